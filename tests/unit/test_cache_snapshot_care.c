/* Snapshots, layers, images and what boxes wrote, under gc, clear and stats. */
#include "test_cache_snapshot.h"

#include "cache/box_dir.h"
#include "cache/cache_gc.h"
#include "cache/cache_verify.h"

#include <signal.h>
#include <sys/file.h>

#define FILES 40

/* A tree of files that are like those of other trees of that size, but for the first n. */
static struct digest tree_of(struct fixture *f, struct trees *trees, int n, int variant)
{
    struct digest root = tree_empty();
    for (int i = 0; i < FILES; i++) {
        char path[32], text[32];
        snprintf(path, sizeof(path), "d%d/f%d", i % 4, i);
        snprintf(text, sizeof(text), "%d of %d", i, i < n ? variant : 0);
        tree_file(f->cache, trees, &root, path, text);
    }
    return root;
}

static struct cache_stats stats_of(struct fixture *f)
{
    struct err err = ERR_INIT;
    struct cache_stats stats;
    assert_ok(cache_stats(f->cache, &stats, &err), &err);
    return stats;
}

/* As if it was used last so many days ago. */
static void age(struct fixture *f, const struct digest *root, int days)
{
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= days * 86400;
    times[1] = times[0];
    char *meta = snapshot_meta_path(f, root);
    assert_int_equal(utimensat(AT_FDCWD, meta, times, 0), 0);
    free(meta);
}

/* Content and results count too: here it is about the rest, so they are taken away. */
static void forget_content(struct fixture *f)
{
    char *command = mem_printf("rm -rf '%s/v1/cas'/*", f->path);
    assert_int_equal(system(command), 0);
    free(command);
}

static struct cache_stats collect(struct fixture *f, uint64_t size, bool dry_run)
{
    struct err err = ERR_INIT;
    struct gc_options options = {.size = size, .dry_run = dry_run};
    struct gc_report report;
    assert_ok(cache_gc(f->cache, &options, &report, &err), &err);
    struct cache_stats removed = report.removed;
    gc_report_release(&report);
    return removed;
}

static bool is_there(struct fixture *f, const struct digest *root)
{
    struct snapshot_options options = snapshot_ours(NULL, "step");
    struct snapshot *snapshot = snapshot_find(f->cache, root, &options);
    snapshot_release(snapshot);
    return snapshot != NULL;
}

static void test_the_least_recently_used_goes(void **state)
{
    struct fixture *f = *state;
    struct trees *trees = trees_new();
    struct snapshot_options one = snapshot_ours(NULL, "one"), two = snapshot_ours("/x", "two");
    struct digest a = tree_of(f, trees, 0, 0), b = tree_of(f, trees, FILES, 1);
    snapshot_release(present(f->cache, trees, &a, &one));
    snapshot_release(present(f->cache, trees, &b, &two));
    forget_content(f);
    age(f, &a, 3);
    age(f, &b, 2);
    struct cache_stats stats = stats_of(f), removed;
    assert_int_equal(stats.snapshots, 2);
    assert_int_equal(stats.snapshot_bytes, stats.disk_bytes);
    assert_true(stats.snapshot_bytes >= 2 * FILES * 4096);

    removed = collect(f, stats.disk_bytes - 1, true);
    assert_int_equal(removed.snapshots, 1);
    assert_true(removed.disk_bytes >= FILES * 4096);
    assert_true(is_there(f, &a));
    age(f, &a, 3);
    struct cache_stats did = collect(f, stats.disk_bytes - 1, false);
    assert_int_equal(did.disk_bytes, removed.disk_bytes);
    assert_false(is_there(f, &a));
    assert_true(is_there(f, &b));
    struct cache_stats left = stats_of(f);
    assert_int_equal(left.disk_bytes, stats.disk_bytes - did.disk_bytes);

    age(f, &b, 2);
    removed = collect(f, 0, false);
    assert_int_equal(removed.snapshots, 1);
    assert_int_equal(stats_of(f).disk_bytes, 0);
    assert_int_equal(count_files(f, "tmp"), 0);
    trees_free(trees);
}

/* What is held stays with all that it lies on, whoever holds it, however old it looks. */
static void test_held_ones_stay(void **state)
{
    struct fixture *f = *state;
    struct trees *trees = trees_new();
    struct snapshot_options options = snapshot_ours(NULL, "step");
    struct digest a = tree_of(f, trees, 0, 0), b = tree_of(f, trees, 1, 1);
    int ends[2], status;
    char byte;
    snapshot_release(present(f->cache, trees, &a, &options));
    snapshot_release(present(f->cache, trees, &b, &options));
    forget_content(f);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cache *cache = open_cache(f->path);
        struct snapshot *snapshot = snapshot_find(cache, &b, &options);
        if (snapshot && write(ends[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    age(f, &a, 100);
    age(f, &b, 100);
    assert_int_equal(collect(f, 0, false).snapshots, 0);
    struct snapshot *snapshot = snapshot_find(f->cache, &b, &options);
    size_t n;
    assert_non_null(snapshot);
    const char *const *dirs = snapshot_dirs(snapshot, &n);
    assert_int_equal(n, 2);
    struct digest shown = view_layers(dirs, n);
    assert_true(digest_eq(&shown, &b));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    age(f, &a, 100);
    age(f, &b, 100);
    assert_int_equal(collect(f, 0, false).snapshots, 0); /* this process has it too */
    snapshot_release(snapshot);
    age(f, &a, 100);
    age(f, &b, 100);
    assert_int_equal(collect(f, 0, false).snapshots, 2);
    close(ends[0]);
    close(ends[1]);
    trees_free(trees);
}

/* A base looks older than what lies on it at times, and goes after it nevertheless. */
static void test_base_goes_last(void **state)
{
    struct fixture *f = *state;
    struct trees *trees = trees_new();
    struct snapshot_options options = snapshot_ours(NULL, "step");
    struct digest a = tree_of(f, trees, 0, 0), b = tree_of(f, trees, 1, 1);
    snapshot_release(present(f->cache, trees, &a, &options));
    snapshot_release(present(f->cache, trees, &b, &options));
    forget_content(f);
    age(f, &a, 5);
    age(f, &b, 3);
    assert_int_equal(collect(f, stats_of(f).disk_bytes - 1, false).snapshots, 1);
    assert_true(is_there(f, &a));
    assert_false(is_there(f, &b));
    trees_free(trees);
}

/* -- images and what boxes wrote --------------------------------------------------------------- */

static char *make_dir(struct fixture *f, const char *rel, size_t bytes)
{
    struct err err = ERR_INIT;
    char *path = mem_printf("%s/v1/%s", f->path, rel), *content = mem_zalloc(bytes + 1, 1);
    assert_ok(file_mkdirs(path, 0755, &err), &err);
    write_text(path, "file", content, bytes, 0644);
    free(content);
    return path;
}

static void age_path(const char *path, int days)
{
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= days * 86400;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool path_is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static int removals(void *ctx, const char *path, struct err *err)
{
    ++*(int *)ctx;
    return file_remove_tree(AT_FDCWD, path, err);
}

static void test_layers_and_images(void **state)
{
    struct fixture *f = *state;
    int removed = 0;
    char *layer = make_dir(f, "layers/0123", 100000), *used = mem_printf("%s.used", layer);
    char *blobs = make_dir(f, "images/blobs/sha256", 50000), *blob = path_join(blobs, "file");
    char *mount = make_dir(f, "mounts/cargo", 70000);
    char *begun = path_join(blobs, ".kiln-1-2.tmp"),
         *left = path_join(blobs, "../../.kiln-3-4.tmp");
    cache_set_remover(f->cache, removals, &removed);
    write_text(blobs, ".kiln-1-2.tmp", "x", 1, 0644); /* somebody writes it */
    write_text(blobs, "../../.kiln-3-4.tmp", "x", 1, 0644);
    age_path(left, 1); /* somebody was killed writing it */
    write_text(f->path, "v1/layers/0123.used", "", 0, 0600);
    age_path(used, 5);
    write_text(blobs, "newer", "x", 1, 0644);
    age_path(blob, 3);
    age_path(mount, 500);
    struct cache_stats stats = stats_of(f);
    assert_int_equal(stats.images, 3);
    assert_true(stats.image_bytes >= 150000);
    assert_true(stats.mount_bytes >= 70000);
    assert_int_equal(stats.disk_bytes, stats.image_bytes);

    /* In use. */
    int fd = open(used, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    (void)collect(f, stats.disk_bytes - 1, false);
    assert_true(path_is_there(layer));
    assert_false(path_is_there(blob));
    free(blob);
    blob = path_join(blobs, "newer"); /* one goes, the rest of the store does not */
    assert_true(path_is_there(blob));
    close(fd);
    (void)collect(f, 0, false);
    assert_false(path_is_there(layer));
    assert_false(path_is_there(used));
    assert_true(path_is_there(mount));
    assert_false(path_is_there(blob));
    assert_int_equal(removed, 1);
    assert_true(path_is_there(begun));
    assert_false(path_is_there(left));
    free(begun);
    free(left);
    free(layer);
    free(used);
    free(blob);
    free(blobs);
    free(mount);
}

static void one_mount(void *ctx, const struct cache_mount *mount)
{
    assert_string_equal(mount->name, "cargo");
    assert_true(mount->bytes >= 70000);
    ++*(int *)ctx;
}

static void test_mounts(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    bool found;
    int n = 0;
    char *mount = make_dir(f, "mounts/cargo", 70000), *used = mem_printf("%s.used", mount);
    write_text(f->path, "v1/mounts/cargo.used", "", 0, 0600);
    cache_each_mount(f->cache, one_mount, &n);
    assert_int_equal(n, 1);
    assert_ok(cache_clear_mount(f->cache, "../cas", &found, &err), &err);
    assert_false(found);
    int fd = open(used, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    assert_fails(cache_clear_mount(f->cache, "cargo", &found, &err), ERR_SYSTEM, &err);
    assert_int_equal(err.errnum, EWOULDBLOCK);
    err_release(&err);
    close(fd);
    assert_ok(cache_clear_mount(f->cache, "cargo", &found, &err), &err);
    assert_true(found);
    assert_false(path_is_there(mount));
    assert_false(path_is_there(used));
    free(mount);
    free(used);
}

static void test_clear(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct trees *trees = trees_new();
    struct snapshot_options options = snapshot_ours(NULL, "step");
    struct digest a = tree_of(f, trees, 0, 0);
    struct cache_stats removed, left;
    struct box_dir *box;
    char *layer = make_dir(f, "layers/0123", 100000), *mount = make_dir(f, "mounts/m", 1);
    snapshot_release(present(f->cache, trees, &a, &options));
    assert_ok(box_dir_new(f->cache, geteuid(), getegid(), &box, &err), &err);
    assert_true(box_dir_keep(box));
    box_dir_free(box);
    assert_ok(cache_clear(f->cache, &removed, &left, &err), &err);
    assert_int_equal(removed.snapshots, 1);
    struct cache_stats stats = stats_of(f);
    assert_int_equal(stats.disk_bytes, 0);
    assert_int_equal(stats.box_bytes, 0);
    assert_int_equal(count_files(f, "tmp"), 0);
    assert_false(path_is_there(layer));
    assert_true(path_is_there(mount));
    assert_null(snapshot_find(f->cache, &a, &options));
    a = tree_of(f, trees, 1, 1);
    struct snapshot *snapshot = present(f->cache, trees, &a, &options);
    assert_non_null(snapshot);

    /* Another kiln is at work: what it holds stays. */
    struct cache *other = open_cache(f->path);
    assert_ok(cache_clear(other, &removed, &left, &err), &err);
    assert_int_equal(left.snapshots, 1);
    size_t n;
    const char *const *dirs = snapshot_dirs(snapshot, &n);
    struct digest shown = view_layers(dirs, n);
    assert_true(digest_eq(&shown, &a));
    snapshot_release(snapshot);
    cache_close(other);
    free(layer);
    free(mount);
    trees_free(trees);
}

/* What a killed kiln left goes with the next tree, what another one is making does not. */
static void test_half_made_ones(void **state)
{
    struct fixture *f = *state;
    struct trees *trees = trees_new();
    struct snapshot_options options = snapshot_ours(NULL, "step");
    char *dead = make_dir(f, "tmp/snap-dead/root", 1),
         *alive = make_dir(f, "tmp/snap-alive/root", 1);
    char *young = make_dir(f, "tmp/snap-young/root", 1), *gone = make_dir(f, "tmp/gone-1", 1);
    write_text(f->path, "v1/tmp/snap-dead/meta", "", 0, 0600);
    write_text(f->path, "v1/tmp/snap-alive/meta", "", 0, 0600);
    char *meta = mem_printf("%s/v1/tmp/snap-alive/meta", f->path);
    age_path(gone, 1);
    int fd = open(meta, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    struct digest a = tree_of(f, trees, 0, 0);
    snapshot_release(present(f->cache, trees, &a, &options));
    assert_false(path_is_there(dead));
    assert_false(path_is_there(gone));
    assert_true(path_is_there(alive));
    assert_true(path_is_there(young));
    close(fd);
    free(meta);
    free(dead);
    free(alive);
    free(young);
    free(gone);
    trees_free(trees);
}

/* -- verify ------------------------------------------------------------------------------------ */

/* Checks all; the findings about snapshots. */
static size_t verify(struct fixture *f, struct buf *words)
{
    struct err err = ERR_INIT;
    struct verify_report report;
    assert_ok(cache_verify(f->cache, NULL, NULL, &report, &err), &err);
    size_t n = report.findings.n;
    buf_reset(words);
    vec_each (struct verify_finding, finding, &report.findings) {
        assert_int_equal(strncmp(finding->name, "snap/", 5), 0);
        assert_string_equal(finding->done, "removed");
        buf_addf(words, "%s: %s\n", finding->name, finding->problem);
    }
    verify_report_release(&report);
    return n;
}

static void shell(struct fixture *f, const char *hex, const char *command)
{
    char *line = mem_printf("cd '%s/v1/snap'/*/%s%s%s && %s", f->path, *hex ? "tree/" : "pool", hex,
                            *hex ? "/root" : "", command);
    assert_int_equal(system(line), 0);
    free(line);
}

static void test_verify(void **state)
{
    struct fixture *f = *state;
    static const struct {
        bool delta;
        const char *damage, *said;
    } cases[] = {
        {false, "rm d1/f1", "\"d1/f1\" is missing"},
        {false, "touch d1/extra", "\"d1\" holds"},
        {false, "chmod 700 d2", "\"d2\" was changed"},
        {false, "rm -r d3", "holds"},
        {false, "rm link && ln -s other link && touch -h -d @946684800 link", "\"link\" is not"},
        {true, "rm d1/f1", "\"d1/f1\" is missing"},
        {true, "rm d2/f2", "\"d2/f2\" is missing"}, /* a whiteout */
        {true, "mkdir new", "\"\" holds"},
        /* The same size, time and mode. */
        {false,
         "printf '1 of 1' > d1/x && chmod 644 d1/x && mv -f d1/x d1/f1 && "
         "touch -d @946684800 d1/f1 d1",
         "\"d1/f1\" has not the content"},
        {false, ": > ../meta", "damaged"},
        {true, ": > ../meta", "damaged"},
    };
    struct trees *trees = trees_new();
    struct snapshot_options options = snapshot_ours(NULL, "step");
    struct buf words = BUF_INIT;
    struct err err = ERR_INIT;
    struct tree_entry link = {.kind = TREE_SYMLINK, .target = "target"};
    struct digest a = tree_of(f, trees, 0, 0);
    tree_set(trees, &a, "link", &link);
    struct digest b = a;
    tree_file(f->cache, trees, &b, "d1/f1", "changed");
    assert_ok(trees_remove(trees, &b, "d2/f2", &b, &err), &err);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char hex[DIGEST_HEX + 1];
        snapshot_release(present(f->cache, trees, &a, &options));
        struct snapshot *snapshot = present(f->cache, trees, &b, &options);
        size_t n;
        (void)snapshot_dirs(snapshot, &n);
        assert_int_equal(n, 2);
        snapshot_release(snapshot);
        if (i == 0)
            assert_int_equal(verify(f, &words), 0);
        digest_hex(cases[i].delta ? &b : &a, hex);
        shell(f, hex, cases[i].damage);
        assert_true(verify(f, &words) >= 1);
        assert_has(buf_str(&words), cases[i].said);
        assert_has(buf_str(&words), hex);
        assert_null(snapshot_find(f->cache, &b, &options));
        if (!cases[i].delta)
            assert_null(snapshot_find(f->cache, &a, &options));
        (void)verify(f, &words); /* what lay on it goes now */
        assert_int_equal(verify(f, &words), 0);
        assert_int_equal(count_files(f, "tmp"), 0);
        struct cache_stats removed, left;
        assert_ok(cache_clear(f->cache, &removed, &left, &err), &err);
        a = tree_of(f, trees, 0, 0);
        tree_set(trees, &a, "link", &link);
        b = a;
        tree_file(f->cache, trees, &b, "d1/f1", "changed");
        assert_ok(trees_remove(trees, &b, "d2/f2", &b, &err), &err);
    }
    buf_release(&words);
    trees_free(trees);
}

/* What is wrong in the pool is removed there, and so are the trees that have it. */
static void test_verify_pool(void **state)
{
    struct fixture *f = *state;
    struct trees *trees = trees_new();
    struct snapshot_options options = snapshot_ours(NULL, "step");
    struct buf words = BUF_INIT;
    struct digest a = tree_of(f, trees, 0, 0);
    struct snapshot *held = present(f->cache, trees, &a, &options);
    struct digest file = digest_str("3 of 0");
    char hex[DIGEST_HEX + 1], *command;
    digest_hex(&file, hex);
    command = mem_printf("f=$(ls -d %.2s/%s-*) && printf '4 of 0' > $f && touch -d @946684800 $f",
                         hex, hex);
    shell(f, "", command);
    shell(f, "", "mkdir -p aa && touch aa/stray");
    assert_int_equal(verify(f, &words), 3);
    assert_has(buf_str(&words), "another digest");
    assert_has(buf_str(&words), "stray: it is none");
    assert_has(buf_str(&words), "\"d3/f3\" has not the content");
    assert_int_equal(count_files(f, "tmp"), 1); /* somebody has it still */
    snapshot_release(held);
    assert_int_equal(verify(f, &words), 0);
    assert_int_equal(count_files(f, "tmp"), 0);
    held = present(f->cache, trees, &a, &options);
    size_t n;
    struct digest shown = view_layers(snapshot_dirs(held, &n), 1);
    assert_true(digest_eq(&shown, &a));
    snapshot_release(held);
    free(command);
    buf_release(&words);
    trees_free(trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_least_recently_used_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_ones_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base_goes_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layers_and_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mounts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_made_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_pool, setup, teardown),
    };
    return cmocka_run_group_tests_name("cache.snapshot.care", tests, NULL, NULL);
}
