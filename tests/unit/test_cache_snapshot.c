/* Presenting trees: what is made of them, from where, and what is made again. */
#include "test_cache_snapshot.h"

#include <pthread.h>

/* A project's working tree beside the cache, and its digest. */
struct project {
    struct fixture *f;
    struct trees *trees;
    struct digest root;
    char *dir;
    struct snapshot_options options;
};

static void project_begin(struct project *p, struct fixture *f)
{
    *p = (struct project){.f = f, .trees = trees_new(), .root = tree_empty()};
    p->dir = path_join(f->dir, "project");
    assert_int_equal(mkdir(p->dir, 0755), 0);
    p->options = snapshot_ours(p->dir, "step");
}

static void project_end(struct project *p)
{
    trees_free(p->trees);
    free(p->dir);
}

/* A file in the working tree that the tree names and nothing stores. */
static void project_file(struct project *p, const char *path, const char *text, bool executable)
{
    struct err err = ERR_INIT;
    struct tree_entry entry = {
        .kind = TREE_FILE, .executable = executable, .digest = digest_str(text)};
    char *full = path_join(p->dir, path), *slash = strrchr(full, '/');
    *slash = '\0';
    assert_ok(file_mkdirs(full, 0755, &err), &err);
    *slash = '/';
    free(full);
    write_text(p->dir, path, text, strlen(text), executable ? 0755 : 0644);
    tree_set(p->trees, &p->root, path, &entry);
}

static void assert_shows(const struct snapshot *snapshot, const struct digest *root, size_t layers)
{
    size_t n;
    assert_non_null(snapshot);
    const char *const *dirs = snapshot_dirs(snapshot, &n);
    assert_int_equal(n, layers);
    struct digest shown = view_layers(dirs, n);
    assert_true(digest_eq(&shown, root));
}

static struct stat stat_in(const struct snapshot *snapshot, size_t layer, const char *path)
{
    size_t n;
    struct stat st;
    char *full = path_join(snapshot_dirs(snapshot, &n)[layer], path);
    assert_int_equal(lstat(full, &st), 0);
    free(full);
    return st;
}

static char *pool_path(const struct fixture *f, const char *text, const char *path,
                       const char *suffix)
{
    struct digest digest = digest_str(text), place = digest_str(path);
    char hex[DIGEST_HEX + 1], place_hex[DIGEST_HEX + 1], rel[2 * DIGEST_HEX];
    digest_hex(&digest, hex);
    digest_hex(&place, place_hex);
    snprintf(rel, sizeof(rel), "pool/%.2s/%s-%.16s%s", hex, hex, place_hex, suffix);
    return snapshot_path(f, rel);
}

/* -- the ordinary way -------------------------------------------------------------------------- */

static void test_a_tree(void **state)
{
    struct fixture *f = *state;
    struct project p;
    struct stat st, pool;
    struct tree_entry link = {.kind = TREE_SYMLINK, .target = "../nowhere"};
    struct tree_entry empty = {.kind = TREE_DIR, .digest = tree_empty()};
    project_begin(&p, f);
    project_file(&p, "src/a.c", "int a;\n", false);
    project_file(&p, "src/same.c", "int a;\n", false);
    project_file(&p, "run", "#!/bin/sh\n", true);
    project_file(&p, "src/deep/er/x\ny", "", false);
    tree_set(p.trees, &p.root, "link", &link);
    tree_set(p.trees, &p.root, "empty", &empty);
    tree_file(f->cache, p.trees, &p.root, "out/of/another", "stored\n");
    assert_null(snapshot_find(f->cache, &p.root, &p.options));

    struct snapshot *snapshot = present(f->cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    st = stat_in(snapshot, 0, "src/a.c");
    char *path = pool_path(f, "int a;\n", "src/a.c", "");
    assert_int_equal(stat(path, &pool), 0);
    free(path);
    assert_int_equal(st.st_ino, pool.st_ino);
    assert_int_equal(st.st_nlink, 2);
    pool = stat_in(snapshot, 0, "src/same.c");
    assert_int_not_equal(st.st_ino, pool.st_ino); /* equal, but not the same */
    assert_int_equal(pool.st_nlink, 2);
    path = pool_path(f, "#!/bin/sh\n", "run", ".x");
    assert_int_equal(stat(path, &pool), 0);
    free(path);
    st = stat_in(snapshot, 0, "out/of/another");
    struct digest stored = digest_str("stored\n");
    path = stored_path(f, "cas", &stored);
    assert_int_equal(stat(path, &pool), 0);
    free(path);
    assert_int_not_equal(st.st_ino, pool.st_ino); /* nobody gets at what is stored */
    snapshot_release(snapshot);

    snapshot = snapshot_find(f->cache, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    snapshot_release(snapshot);
    assert_int_equal(count_files(f, "tmp"), 0);
    project_end(&p);
}

static void test_a_small_change(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char name[32];
    project_begin(&p, f);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "d%d/f%d", i % 8, i);
        project_file(&p, name, name, false);
    }
    struct digest before = p.root;
    snapshot_release(present(f->cache, p.trees, &p.root, &p.options));
    project_file(&p, "d3/f3", "changed", false);
    struct snapshot *snapshot = present(f->cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 2);
    size_t n;
    struct digest delta = view_layers(&snapshot_dirs(snapshot, &n)[1], 1);
    struct digest wanted = tree_empty();
    struct tree_entry entry = {.kind = TREE_FILE, .digest = digest_str("changed")};
    tree_set(p.trees, &wanted, "d3/f3", &entry);
    assert_true(digest_eq(&delta, &wanted));
    snapshot_release(snapshot);

    /* Both are there, for another kiln too, and it goes on from the last one. */
    struct cache *other = open_cache(f->path);
    snapshot = snapshot_find(other, &before, &p.options);
    assert_shows(snapshot, &before, 1);
    snapshot_release(snapshot);
    project_file(&p, "d4/new", "new", true);
    snapshot = present(other, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 2);
    snapshot_release(snapshot);

    /* A step that was never seen takes the project's last one. */
    struct snapshot_options options = snapshot_ours(p.dir, "another step");
    project_file(&p, "d5/new", "new too", true);
    snapshot = present(other, p.trees, &p.root, &options);
    assert_shows(snapshot, &p.root, 2);
    snapshot_release(snapshot);

    /* Another project has none. */
    options = snapshot_ours("/nonexistent", "step");
    tree_file(other, p.trees, &p.root, "d6/stored", "stored");
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "d%d/f%d", i % 8, i);
        tree_file(other, p.trees, &p.root, name, name);
    }
    snapshot = present(other, p.trees, &p.root, &options);
    assert_shows(snapshot, &p.root, 1);
    snapshot_release(snapshot);
    cache_close(other);
    project_end(&p);
}

static void test_a_large_change_is_a_whole_tree(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char name[32];
    project_begin(&p, f);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        project_file(&p, name, name, false);
    }
    snapshot_release(present(f->cache, p.trees, &p.root, &p.options));
    for (int i = 0; i < 90; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        project_file(&p, name, "other", false);
    }
    struct snapshot *snapshot = present(f->cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    snapshot_release(snapshot);
    project_end(&p);
}

/* -- where content comes from ------------------------------------------------------------------ */

static enum snapshot_answer try_present(struct project *p, char **changed)
{
    struct err err = ERR_INIT;
    struct snapshot_request *request;
    struct snapshot *snapshot;
    enum snapshot_answer answer;
    assert_ok(snapshot_request_new(p->f->cache, p->trees, &p->root, &p->options, &request, &err),
              &err);
    assert_ok(snapshot_make(request, &answer, &snapshot, &err), &err);
    *changed = answer == SNAPSHOT_CHANGED ? mem_strdup(snapshot_request_changed(request)) : NULL;
    snapshot_request_free(request);
    snapshot_release(snapshot);
    return answer;
}

static void test_changed_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char *changed, *path;
    project_begin(&p, f);
    project_file(&p, "src/a", "aaaa", false);
    project_file(&p, "src/b", "bbbb", false);
    path = path_join(p.dir, "src/b");

    static const char *const others[] = {"cccc", "longer than that", ""};
    for (size_t i = 0; i < 3; i++) {
        write_text(p.dir, "src/b", others[i], strlen(others[i]), 0644);
        assert_int_equal(try_present(&p, &changed), SNAPSHOT_CHANGED);
        assert_string_equal(changed, "src/b");
        free(changed);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_CHANGED);
    free(changed);
    /* Not through a link, wherever it leads. */
    write_text(f->dir, "elsewhere", "bbbb", 4, 0644);
    assert_int_equal(symlink("../../elsewhere", path), 0);
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_CHANGED);
    free(changed);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_CHANGED);
    free(changed);
    assert_int_equal(count_files(f, "tmp"), 0);
    assert_null(snapshot_find(f->cache, &p.root, &p.options));
    /* What is stored serves as well. */
    (void)put(f, "bbbb");
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_READY);
    struct snapshot *snapshot = snapshot_find(f->cache, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    snapshot_release(snapshot);
    free(path);
    project_end(&p);
}

static void test_directory_became_a_link(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char *changed;
    project_begin(&p, f);
    project_file(&p, "src/a", "aaaa", false);
    char *src = path_join(p.dir, "src"), *moved = path_join(f->dir, "moved");
    assert_int_equal(rename(src, moved), 0);
    assert_int_equal(symlink("../moved", src), 0);
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_CHANGED);
    assert_string_equal(changed, "src/a");
    free(changed);
    free(src);
    free(moved);
    project_end(&p);
}

static void test_large_files(void **state)
{
    struct fixture *f = *state;
    struct project p;
    size_t n = 1 << 20;
    char *text = mem_alloc(n + 1), *changed;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + (i * 7 + i / 4096) % 26);
    text[n] = '\0';
    project_begin(&p, f);
    project_file(&p, "large", text, true);
    struct digest large = digest_str(text);
    text[n - 1] ^= 1;
    write_text(p.dir, "large", text, n, 0755);
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_CHANGED);
    free(changed);
    text[n - 1] ^= 1;
    struct digest stored = put(f, text);
    assert_true(digest_eq(&stored, &large));
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_READY);
    struct snapshot *snapshot = snapshot_find(f->cache, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    snapshot_release(snapshot);
    free(text);
    project_end(&p);
}

static void test_stored_content_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char *changed;
    project_begin(&p, f);
    tree_file(f->cache, p.trees, &p.root, "a", "stored");
    struct digest digest = digest_str("stored");
    char *path = stored_path(f, "cas", &digest);
    damage(path, FLIP);
    free(path);
    assert_int_equal(try_present(&p, &changed), SNAPSHOT_CHANGED);
    assert_string_equal(changed, "a");
    free(changed);
    assert_int_equal(count_files(f, "bad"), 1);
    project_end(&p);
}

/* -- made again -------------------------------------------------------------------------------- */

static void test_pool_was_tampered_with(void **state)
{
    struct fixture *f = *state;
    struct project p;
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    project_begin(&p, f);
    project_file(&p, "a", "aaaa", false);
    snapshot_release(present(f->cache, p.trees, &p.root, &p.options));
    char *path = pool_path(f, "aaaa", "a", "");
    char *trees = mem_printf("rm -rf '%s/v1/snap'/*/tree/*", f->path);
    for (int i = 0; i < 5; i++) {
        struct snapshot *snapshot = present(f->cache, p.trees, &p.root, &p.options);
        assert_shows(snapshot, &p.root, 1);
        struct stat st = stat_in(snapshot, 0, "a"), pool;
        assert_int_equal(stat(path, &pool), 0);
        assert_int_equal(st.st_ino, pool.st_ino);
        snapshot_release(snapshot);
        assert_int_equal(system(trees), 0);
        if (i == 0)
            assert_int_equal(chmod(path, 0600), 0);
        else if (i == 1)
            assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        else if (i == 2)
            assert_int_equal(truncate(path, 3), 0);
        else
            assert_int_equal(unlink(path), 0);
    }
    free(trees);
    free(path);
    project_end(&p);
}

/* After a restart nothing of before is used: a power cut may have left files without content. */
static void test_of_another_boot(void **state)
{
    struct fixture *f = *state;
    struct project p;
    project_begin(&p, f);
    project_file(&p, "a", "aaaa", false);
    struct snapshot *before = present(f->cache, p.trees, &p.root, &p.options);
    char *place = snapshot_path(f, ""), *old = path_join(f->path, "v1/snap/0123456789abcdef");
    struct stat st;
    assert_int_equal(rename(place, old), 0);

    struct cache *cache = open_cache(f->path);
    assert_null(snapshot_find(cache, &p.root, &p.options));
    struct snapshot *snapshot = present(cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    snapshot_release(snapshot);
    assert_int_equal(stat(old, &st), 0); /* somebody is at work there, on another machine */
    snapshot_release(before);
    cache_close(f->cache);
    f->cache = cache;
    project_file(&p, "a", "bbbb", false);
    snapshot_release(present(cache, p.trees, &p.root, &p.options));
    assert_int_equal(stat(old, &st), -1);
    free(place);
    free(old);
    project_end(&p);
}

static void test_base_is_gone(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char hex[DIGEST_HEX + 1];
    project_begin(&p, f);
    project_file(&p, "a", "aaaa", false);
    project_file(&p, "d/b", "bbbb", false);
    snapshot_release(present(f->cache, p.trees, &p.root, &p.options));
    digest_hex(&p.root, hex);
    project_file(&p, "a", "cccc", false);
    struct snapshot *snapshot = present(f->cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 2);
    snapshot_release(snapshot);
    char *command = mem_printf("rm -rf '%s/v1/snap'/*/tree/%s", f->path, hex);
    assert_int_equal(system(command), 0);
    free(command);
    assert_null(snapshot_find(f->cache, &p.root, &p.options));
    snapshot = present(f->cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    snapshot_release(snapshot);
    project_end(&p);
}

/* Whatever of a snapshot's meta is damaged, what comes after it is right. */
static void test_meta_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct project p;
    project_begin(&p, f);
    project_file(&p, "a", "aaaa", false);
    project_file(&p, "d/b", "bbbb", false);
    for (size_t at = 0; at < 1000; at += 13) {
        char text[16], *changed;
        snapshot_release(present(f->cache, p.trees, &p.root, &p.options));
        char *meta = snapshot_meta_path(f, &p.root);
        struct buf bytes = BUF_INIT;
        struct err err = ERR_INIT;
        assert_ok(file_read(meta, 1 << 20, &bytes, &err), &err);
        bytes.data[at % bytes.len] ^= 0x10;
        int fd = open(meta, O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
        close(fd);
        buf_release(&bytes);
        free(meta);
        snprintf(text, sizeof(text), "%zu", at);
        project_file(&p, "d/b", text, false);
        enum snapshot_answer answer = try_present(&p, &changed);
        if (answer == SNAPSHOT_AGAIN)
            answer = try_present(&p, &changed);
        assert_int_equal(answer, SNAPSHOT_READY);
        struct snapshot *snapshot = snapshot_find(f->cache, &p.root, &p.options);
        size_t n;
        assert_non_null(snapshot);
        const char *const *dirs = snapshot_dirs(snapshot, &n);
        struct digest shown = view_layers(dirs, n);
        assert_true(digest_eq(&shown, &p.root));
        snapshot_release(snapshot);
    }
    project_end(&p);
}

static void test_more_links_than_a_file_may_have(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char name[32];
    project_begin(&p, f);
    project_file(&p, "a", "", false);
    snapshot_release(present(f->cache, p.trees, &p.root, &p.options));
    char *path = pool_path(f, "", "a", ""), *dir = path_join(f->dir, "links");
    char *trees = mem_printf("rm -rf '%s/v1/snap'/*/tree/*", f->path);
    assert_int_equal(system(trees), 0); /* what the tree had is free again */
    assert_int_equal(mkdir(dir, 0755), 0);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
    for (; n < 70000; n++) {
        snprintf(name, sizeof(name), "%d", n);
        if (linkat(AT_FDCWD, path, fd, name, 0) != 0)
            break;
    }
    bool limited = n < 70000 && errno == EMLINK;
    close(fd);
    if (limited) {
        struct snapshot *snapshot = present(f->cache, p.trees, &p.root, &p.options);
        assert_shows(snapshot, &p.root, 1);
        /* The new inode has taken the place of the old one. */
        assert_int_equal(stat_in(snapshot, 0, "a").st_nlink, 2);
        snapshot_release(snapshot);
    }
    free(trees);
    free(path);
    free(dir);
    project_end(&p);
    if (!limited)
        skip();
}

/* -- others ------------------------------------------------------------------------------------ */

static void test_told_to_stop(void **state)
{
    struct fixture *f = *state;
    struct project p;
    struct err err = ERR_INIT;
    struct snapshot_request *request;
    struct snapshot *snapshot;
    enum snapshot_answer answer;
    atomic_bool stop = true;
    project_begin(&p, f);
    project_file(&p, "a", "aaaa", false);
    p.options.stop = &stop;
    assert_ok(snapshot_request_new(f->cache, p.trees, &p.root, &p.options, &request, &err), &err);
    assert_fails(snapshot_make(request, &answer, &snapshot, &err), ERR_CANCELLED, &err);
    assert_null(snapshot);
    err_release(&err);
    assert_int_equal(count_files(f, "tmp"), 0);
    atomic_store(&stop, false);
    struct snapshot_progress progress = {0};
    snapshot_request_free(request);
    p.options.progress = &progress;
    snapshot = present(f->cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    assert_int_equal(progress.files, 1);
    assert_int_equal(progress.all_files, 1);
    assert_int_equal(progress.bytes, 4);
    snapshot_release(snapshot);
    project_end(&p);
}

static void test_for_another_owner(void **state)
{
    struct fixture *f = *state;
    struct project p;
    if (geteuid() != 0)
        skip();
    project_begin(&p, f);
    project_file(&p, "d/a", "aaaa", false);
    snapshot_release(present(f->cache, p.trees, &p.root, &p.options));
    p.options.owner = 123456;
    p.options.group = 123457;
    assert_null(snapshot_find(f->cache, &p.root, &p.options));
    struct snapshot *snapshot = present(f->cache, p.trees, &p.root, &p.options);
    assert_shows(snapshot, &p.root, 1);
    static const char *const paths[] = {"", "d", "d/a"};
    for (size_t i = 0; i < 3; i++) {
        struct stat st = stat_in(snapshot, 0, paths[i]);
        assert_int_equal(st.st_uid, 123456);
        assert_int_equal(st.st_gid, 123457);
    }
    snapshot_release(snapshot);
    project_end(&p);
}

struct racer {
    struct snapshot_request *request;
    struct snapshot *snapshot;
    struct err err;
    int rc;
    enum snapshot_answer answer;
};

static void *race(void *ctx)
{
    struct racer *racer = ctx;
    racer->rc = snapshot_make(racer->request, &racer->answer, &racer->snapshot, &racer->err);
    return NULL;
}

static void test_made_by_several_at_once(void **state)
{
    struct fixture *f = *state;
    struct project p;
    char name[32];
    struct racer racers[4] = {0};
    pthread_t threads[4];
    struct err err = ERR_INIT;
    project_begin(&p, f);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 50; i++) {
            snprintf(name, sizeof(name), "d%d/f%d.%d", i % 4, i, round);
            project_file(&p, name, i % 5 ? name : "same", false);
        }
        for (int i = 0; i < 4; i++)
            assert_ok(snapshot_request_new(f->cache, p.trees, &p.root, &p.options,
                                           &racers[i].request, &err),
                      &err);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            assert_ok(racers[i].rc, &racers[i].err);
            assert_int_equal(racers[i].answer, SNAPSHOT_READY);
            size_t n;
            const char *const *dirs = snapshot_dirs(racers[i].snapshot, &n);
            struct digest shown = view_layers(dirs, n);
            assert_true(digest_eq(&shown, &p.root));
            snapshot_release(racers[i].snapshot);
            snapshot_request_free(racers[i].request);
        }
    }
    assert_int_equal(count_files(f, "tmp"), 0);
    project_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_small_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_large_change_is_a_whole_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory_became_a_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stored_content_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pool_was_tampered_with, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_another_boot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meta_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_links_than_a_file_may_have, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told_to_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_for_another_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_made_by_several_at_once, setup, teardown),
    };
    return cmocka_run_group_tests_name("cache.snapshot", tests, NULL, NULL);
}
