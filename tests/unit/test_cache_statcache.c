#include "test_worktree.h"

#include "cache/statcache.h"
#include "cache/worktree_private.h"

#include <time.h>

#define SECOND INT64_C(1000000000)

static void test_racy_rule(void **state)
{
    (void)state;
    struct stamp stamp = {.mtime_ns = 100 * SECOND + 5, .ctime_ns = 100 * SECOND + 5};
    assert_false(stamp_settled(&stamp, 100 * SECOND + 5));
    assert_false(stamp_settled(&stamp, 100 * SECOND + 20000000));
    assert_true(stamp_settled(&stamp, 100 * SECOND + 20000006));
    assert_false(stamp_settled(&stamp, 99 * SECOND)); /* the clock was set back */
    stamp.ctime_ns = 101 * SECOND;
    assert_false(stamp_settled(&stamp, 101 * SECOND));
    /* A filesystem that keeps whole seconds. */
    stamp.mtime_ns = stamp.ctime_ns = 100 * SECOND;
    assert_false(stamp_settled(&stamp, 102 * SECOND));
    assert_true(stamp_settled(&stamp, 103 * SECOND));
    stamp.mtime_ns = INT64_MAX;
    assert_false(stamp_settled(&stamp, INT64_MAX));
    assert_false(stamp_settled(&stamp, INT64_MIN));
}

static struct statcache_entry entry_of(const char *name, uint32_t flags, uint64_t number)
{
    struct statcache_entry entry = {
        .name = name, .len = strlen(name), .flags = flags, .directory = number & 1};
    if (flags & STATCACHE_DIGEST) {
        entry.stamp = (struct stamp){number,           number + 1, number + 2, (int64_t)number + 3,
                                     -(int64_t)number, 0100644};
        entry.recorded_ns = (int64_t)number + 5;
        entry.digest = digest_of(name, entry.len);
        entry.digest.size = entry.stamp.size;
    }
    return entry;
}

static void write_sample(const char *path, const char *root)
{
    struct statcache_writer *writer = statcache_writer_new(root);
    statcache_writer_memo_print(writer, 77);
    statcache_writer_view(writer, "a\0b", 4);
    statcache_writer_view(writer, "", 0);
    static const char *const dirs[] = {"src/lib", "", "src", "src/a\nb"};
    for (size_t i = 0; i < 4; i++) {
        struct statcache_dir dir = {
            .path = dirs[i], .len = strlen(dirs[i]), .rules = i * 7, .index = i * 11};
        dir.names = i == 3;
        dir.stamp = (struct stamp){i, i + 1, i + 2, (int64_t)i + 3, -(int64_t)i, S_IFDIR | 0755};
        dir.read_ns = (int64_t)i + 9;
        statcache_writer_dir(writer, &dir);
        for (uint64_t k = 0; k < i; k++) {
            char name[16];
            snprintf(name, sizeof(name), "file%d", (int)k);
            struct statcache_entry entry =
                entry_of(name, k ? STATCACHE_DIGEST | STATCACHE_VERDICT : STATCACHE_VERDICT, k);
            statcache_writer_add(writer, &entry);
        }
        struct statcache_entry link = {.name = "link",
                                       .len = 4,
                                       .flags = STATCACHE_TARGET,
                                       .kind = STATCACHE_LINK,
                                       .stamp = {.ino = 5, .mode = S_IFLNK},
                                       .recorded_ns = 6,
                                       .target = "where it leads"};
        if (i == 3)
            statcache_writer_add(writer, &link);
        for (uint32_t k = 0; k < i; k++) {
            struct statcache_memo memo = {k, k + 1, digest_of("memo", k)};
            memo.view = k == 2 ? STATCACHE_WHOLE : k;
            statcache_writer_memo(writer, &memo);
        }
    }
    assert_int_equal(statcache_writer_save(writer, path, NULL), 0);
    statcache_writer_free(writer);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    write_sample(project.stat_path, "/root");
    struct statcache *cache = statcache_load(project.stat_path, "/root");
    assert_int_equal(statcache_n_dirs(cache), 4);
    struct statcache_dir dir;
    assert_true(statcache_find(cache, "src/a\nb", 7, &dir));
    assert_int_equal(dir.rules, 21);
    assert_int_equal(dir.index, 33);
    assert_int_equal(dir.n, 4);
    assert_true(dir.names && !dir.has_dirs && !dir.has_rules && !dir.by_index);
    assert_true(stamp_eq(&dir.stamp, &(struct stamp){3, 4, 5, 6, -3, S_IFDIR | 0755}));
    assert_int_equal(dir.read_ns, 12);
    assert_int_equal(dir.n_memos, 3);
    assert_int_equal(statcache_memo_print(cache), 77);
    for (uint32_t k = 0; k < 3; k++) {
        struct statcache_memo memo;
        struct digest digest = digest_of("memo", k);
        statcache_memo(cache, dir.first_memo + k, &memo);
        assert_true(memo.view == (k == 2 ? STATCACHE_WHOLE : k));
        assert_int_equal(memo.flavour, k + 1);
        assert_true(digest_eq(&memo.digest, &digest));
    }
    size_t n_view;
    assert_int_equal(statcache_n_views(cache), 2);
    assert_memory_equal(statcache_view(cache, 0, &n_view), "a\0b", 4);
    assert_int_equal(n_view, 4);
    struct statcache_entry link;
    uint32_t place;
    assert_true(statcache_find_entry(cache, &dir, "link", &place));
    assert_int_equal(place, dir.first + 3);
    assert_false(statcache_find_entry(cache, &dir, "lin", &place));
    statcache_get(cache, dir.first + 3, &link);
    assert_string_equal(link.target, "where it leads");
    assert_int_equal(link.kind, STATCACHE_LINK);
    assert_int_equal(link.recorded_ns, 6);
    for (uint32_t k = 0; k < 3; k++) {
        struct statcache_entry entry, expected;
        char name[16];
        snprintf(name, sizeof(name), "file%d", (int)k);
        expected = entry_of(name, k ? STATCACHE_DIGEST | STATCACHE_VERDICT : STATCACHE_VERDICT, k);
        statcache_get(cache, dir.first + k, &entry);
        assert_string_equal(entry.name, name);
        assert_int_equal(entry.flags, expected.flags);
        assert_int_equal(entry.directory, expected.directory);
        assert_true(stamp_eq(&entry.stamp, &expected.stamp));
        assert_true(digest_eq(&entry.digest, &expected.digest));
        assert_true(entry.recorded_ns == expected.recorded_ns);
    }
    assert_true(statcache_find(cache, "", 0, &dir));
    assert_true(statcache_find(cache, "src", 3, &dir));
    assert_true(statcache_find(cache, "src/lib", 7, &dir));
    assert_false(statcache_find(cache, "src/li", 6, &dir));
    assert_false(statcache_find(cache, "zzz", 3, &dir));
    statcache_free(cache);
    /* Another root's, and one that is not there, are empty. */
    cache = statcache_load(project.stat_path, "/rood");
    assert_int_equal(statcache_n_dirs(cache), 0);
    assert_false(statcache_find(cache, "", 0, &dir));
    statcache_free(cache);
    cache = statcache_load("/proc/nonexistent/file", "/root");
    assert_int_equal(statcache_n_dirs(cache), 0);
    statcache_free(cache);
    cache = statcache_load(NULL, "/root");
    statcache_free(cache);
    project_release(&project);
}

static void assert_empty(const char *path)
{
    struct statcache *cache = statcache_load(path, "/root");
    assert_int_equal(statcache_n_dirs(cache), 0);
    statcache_free(cache);
}

/* Cut at every byte, and every bit turned: always the empty cache, never another one. */
static void test_damage(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    write_sample(project.stat_path, "/root");
    struct buf file = BUF_INIT;
    assert_int_equal(file_read(project.stat_path, 1 << 20, &file, NULL), 0);
    int fd = open(project.stat_path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        char was = file.data[bit / 8], is = (char)(was ^ (1 << bit % 8));
        assert_int_equal(pwrite(fd, &is, 1, (off_t)(bit / 8)), 1);
        assert_empty(project.stat_path);
        assert_int_equal(pwrite(fd, &was, 1, (off_t)(bit / 8)), 1);
    }
    assert_int_equal(pwrite(fd, "x", 1, (off_t)file.len), 1);
    assert_empty(project.stat_path);
    for (size_t n = file.len; n-- > 0;) {
        assert_int_equal(ftruncate(fd, (off_t)n), 0);
        assert_empty(project.stat_path);
    }
    close(fd);
    buf_release(&file);
    project_release(&project);
}

/* A directory or a FIFO in the place of the file. */
static void test_strange_files(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    struct statcache *cache = statcache_load(project.root, "/root");
    assert_int_equal(statcache_n_dirs(cache), 0);
    statcache_free(cache);
    char *fifo = project_path(&project, "fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    cache = statcache_load(fifo, "/root");
    assert_int_equal(statcache_n_dirs(cache), 0);
    statcache_free(cache);
    struct statcache_writer *writer = statcache_writer_new("/root");
    struct err err = ERR_INIT;
    char *below = path_join(fifo, "stat");
    assert_int_not_equal(statcache_writer_save(writer, below, &err), 0);
    assert_true(*err_text(&err));
    err_release(&err);
    statcache_writer_free(writer);
    free(below);
    free(fifo);
    project_release(&project);
}

/* Read ahead it is the same, given out once; one that nobody takes, or of another file or root, is
 * left alone. */
static void test_ahead(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    write_sample(project.stat_path, "/root");
    struct worktree_ahead *ahead = worktree_ahead_new(project.stat_path, "/root", false);
    assert_null(worktree_ahead_take(ahead, project.stat_path, "/rood"));
    assert_null(worktree_ahead_take(ahead, project.root, "/root"));
    assert_null(worktree_ahead_take(ahead, NULL, "/root"));
    struct statcache *cache = worktree_ahead_take(ahead, project.stat_path, "/root");
    assert_int_equal(statcache_n_dirs(cache), 4);
    assert_null(worktree_ahead_take(ahead, project.stat_path, "/root"));
    statcache_free(cache);
    worktree_ahead_free(ahead);

    assert_int_equal(truncate(project.stat_path, 100), 0);
    ahead = worktree_ahead_new(project.stat_path, "/root", false);
    cache = worktree_ahead_take(ahead, project.stat_path, "/root");
    assert_int_equal(statcache_n_dirs(cache), 0);
    statcache_free(cache);
    worktree_ahead_free(ahead);

    worktree_ahead_free(worktree_ahead_new(project.stat_path, "/root", false));
    assert_null(worktree_ahead_take(NULL, project.stat_path, "/root"));
    worktree_ahead_free(NULL);
    project_release(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_racy_rule), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),    cmocka_unit_test(test_strange_files),
        cmocka_unit_test(test_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
