/* The disk cache where nothing can be written, on a full or read-only disk, with several users. */
#include "test_cache_cas.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

/* -- faults ------------------------------------------------------------------------------------ */

static void test_nowhere_to_write(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct cache *cache;
    struct cache_stats stats, left;
    struct buf buf = BUF_INIT;
    enum cache_answer answer;
    bool read_only = false;
    struct digest digest = digest_str("x"), key = digest_str("k");
    int fd, file;
    write_text(f->dir, "file", "x", 1, 0644);
    char *path = path_join(f->dir, "file/cache"), *plain = path_join(f->dir, "file");
    const char *paths[] = {path, plain, "/proc/kiln-cache"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cache_open(paths[i], &cache, &read_only, &err), 0);
        assert_true(read_only);
        assert_int_equal(err.kind, ERR_SYSTEM);
        assert_has(err_text(&err), paths[i]);
        assert_has(err_text(&err), "KILN_CACHE_DIR");
        err_release(&err);
        assert_false(cache_has(cache, &digest));
        assert_ok(cache_get(cache, &digest, 10, &buf, &answer, &err), &err);
        assert_int_equal(answer, CACHE_MISS);
        assert_ok(cache_get_action(cache, &key, &buf, &answer, &err), &err);
        assert_int_equal(answer, CACHE_MISS);
        assert_ok(cache_open_blob(cache, &digest, &fd, &answer, &err), &err);
        assert_int_equal(answer, CACHE_MISS);
        assert_fails(cache_put(cache, "x", 1, &digest, &err), ERR_SYSTEM, &err);
        assert_fails(cache_put_action(cache, &key, "", 0, &err), ERR_SYSTEM, &err);
        file = open(plain, O_RDONLY | O_CLOEXEC);
        assert_fails(cache_put_fd(cache, file, UINT64_MAX, &digest, &err), ERR_SYSTEM, &err);
        close(file);
        err_release(&err);
        assert_ok(cache_stats(cache, &stats, &err), &err);
        assert_int_equal(stats.blobs + stats.actions, 0);
        assert_ok(cache_clear(cache, &stats, &left, &err), &err);
        cache_close(cache);
        assert_int_equal(cache_open(paths[i], &cache, &read_only, NULL), 0); /* no words wanted */
        assert_true(read_only);
        cache_close(cache);
    }
    free(path);
    free(plain);
    buf_release(&buf);
}

/* What v1 holds, then v1. */
static void set_modes(const struct fixture *f, mode_t mode)
{
    static const char *const subs[] = {"v1/tmp", "v1/cas", "v1/ac", "v1"};
    for (size_t i = 0; i < 4; i++) {
        char *path = path_join(f->path, subs[i]);
        assert_int_equal(chmod(path, mode), 0);
        free(path);
    }
}

static void test_read_only(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    bool read_only;
    if (geteuid() == 0)
        skip(); /* modes do not hold root back */
    struct digest digest = put(f, "hello\n"), damaged = put(f, "damaged"), key = digest_str("k");
    assert_ok(cache_put_action(f->cache, &key, "", 0, &err), &err);
    char *path = stored_path(f, "cas", &damaged);
    damage(path, FLIP);
    free(path);
    cache_close(f->cache);
    set_modes(f, 0555);
    assert_int_equal(cache_open(f->path, &f->cache, &read_only, &err), 0);
    assert_true(read_only);
    assert_has(err_text(&err), f->path);
    err_release(&err);
    assert_int_equal(get(f, &digest, &buf), CACHE_HIT);
    assert_int_equal(get_action(f, &key, &buf), CACHE_HIT);
    assert_int_equal(get(f, &damaged, &buf), CACHE_MISS);
    struct cache_stats stats, left;
    assert_ok(cache_stats(f->cache, &stats, &err), &err);
    assert_int_equal(stats.blobs, 2);
    assert_fails(cache_put(f->cache, "n", 1, &digest, &err), ERR_SYSTEM, &err);
    assert_fails(cache_clear(f->cache, &stats, &left, &err), ERR_SYSTEM, &err);

    struct cache *cache = NULL;
    set_modes(f, 0000);
    assert_fails(cache_open(f->path, &cache, &read_only, &err), ERR_SYSTEM, &err);
    assert_null(cache);
    assert_has(err_text(&err), f->path);
    char *v1 = path_join(f->path, "v1");
    assert_int_equal(chmod(v1, 0755), 0);
    free(v1);
    set_modes(f, 0755);
    err_release(&err);
    buf_release(&buf);
}

/* A disk that fills up, made of a limit on the size of files. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct rlimit old, small;
    struct digest digest;
    char *bytes = mem_zalloc(1, 1 << 20);
    write_text(f->dir, "big", bytes, 1 << 20, 0644);
    write_text(f->dir, "small", bytes, 100, 0644);
    char *big = path_join(f->dir, "big");
    int fd = open(big, O_RDONLY | O_CLOEXEC);
    int dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct digest stored;
    enum cache_answer answer;
    assert_ok(cache_put_fd(f->cache, fd, UINT64_MAX, &stored, &err), &err);

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 64 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bytes[0] = 'x';
    int rc_put = cache_put(f->cache, bytes, 1 << 20, &digest, &err);
    char *text_put = mem_strdup(err_text(&err));
    int rc_action = cache_put_action(f->cache, &digest, bytes, 1 << 20, &err);
    char *stored_at = stored_path(f, "cas", &stored);
    int gone = unlink(stored_at);
    int rc_fd = cache_put_fd(f->cache, fd, UINT64_MAX, &digest, &err);
    char *text_fd = mem_strdup(err_text(&err));
    struct err small_err = ERR_INIT;
    int rc_small = cache_put(f->cache, bytes, 100, &digest, &small_err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

    assert_int_equal(gone, 0);
    assert_int_equal(rc_put, -(int)ERR_SYSTEM);
    assert_int_equal(rc_action, -(int)ERR_SYSTEM);
    assert_int_equal(rc_fd, -(int)ERR_SYSTEM);
    assert_int_equal(err.errnum, EFBIG);
    assert_has(text_put, f->path);
    assert_has(text_put, "free some space");
    assert_has(text_fd, f->path);
    assert_ok(rc_small, &small_err);
    assert_int_equal(count_files(f, "tmp"), 0);

    /* The other way: the content comes out whole or not at all. */
    assert_ok(cache_put_fd(f->cache, fd, UINT64_MAX, &stored, &err), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc_out = cache_copy_out(f->cache, &stored, dirfd, "small", false, &answer, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(rc_out, -(int)ERR_SYSTEM);
    struct stat st;
    assert_int_equal(fstatat(dirfd, "small", &st, 0), 0);
    assert_int_equal(st.st_size, 100);

    close(fd);
    close(dirfd);
    free(bytes);
    free(big);
    free(stored_at);
    free(text_put);
    free(text_fd);
    err_release(&err);
}

static void test_removed_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct digest digest = put(f, "x"), other;
    char *v1 = path_join(f->path, "v1");
    assert_ok(file_remove_tree(AT_FDCWD, v1, &err), &err);
    assert_int_equal(get(f, &digest, &buf), CACHE_MISS);
    assert_fails(cache_put(f->cache, "y", 1, &other, &err), ERR_SYSTEM, &err);
    assert_has(err_text(&err), "start kiln again");
    err_release(&err);
    cache_close(f->cache);
    f->cache = open_cache(f->path);
    put(f, "y");
    free(v1);
    buf_release(&buf);
}

/* -- several users ----------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    struct fixture *f;
    char *in;
    uint32_t seed;
    unsigned failures;
};

/* No cmocka here: it is not for threads. */
static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct cache *cache = worker->f->cache;
    int fd = open(worker->in, O_RDONLY | O_CLOEXEC);
    struct buf buf = BUF_INIT;
    for (int i = 0; i < 200; i++) {
        char text[32];
        enum cache_answer answer = CACHE_MISS;
        struct digest digest;
        int n = snprintf(text, sizeof(text), "content %u", roll(&worker->seed, 50));
        buf_reset(&buf);
        if (cache_put(cache, text, (size_t)n, &digest, NULL) != 0 ||
            cache_get(cache, &digest, 100, &buf, &answer, NULL) != 0 || answer != CACHE_HIT ||
            strcmp(buf_str(&buf), text) != 0 ||
            cache_put_action(cache, &digest, "", 0, NULL) != 0 ||
            cache_get_action(cache, &digest, &buf, &answer, NULL) != 0 || answer != CACHE_HIT ||
            (i % 20 == 0 && cache_put_fd(cache, fd, UINT64_MAX, &digest, NULL) != 0))
            worker->failures++;
    }
    close(fd);
    buf_release(&buf);
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct worker workers[4];
    struct cache_stats stats;
    char *bytes = mem_zalloc(1, 700000);
    write_text(f->dir, "big", bytes, 700000, 0644);
    char *in = path_join(f->dir, "big");
    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.f = f, .in = in, .seed = i + 1};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_ok(cache_stats(f->cache, &stats, &err), &err);
    assert_int_equal(stats.blobs, 51);
    assert_int_equal(stats.actions, 50);
    assert_int_equal(count_files(f, "tmp"), 0);
    assert_int_equal(count_files(f, "bad"), 0);
    free(bytes);
    free(in);
}

static void test_stats_clear(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct cache_stats stats, removed, left;
    struct digest key = digest_str("k"), digest = put(f, "12345");
    put(f, "123");
    assert_ok(cache_put_action(f->cache, &key, "", 0, &err), &err);
    char *stored = stored_path(f, "cas", &digest);
    damage(stored, FLIP);
    free(stored);
    assert_int_equal(get(f, &digest, &buf), CACHE_MISS);
    assert_int_equal(count_files(f, "bad"), 1);
    put(f, "12345");
    assert_ok(cache_stats(f->cache, &stats, &err), &err);
    assert_int_equal(stats.blobs, 2);
    assert_int_equal(stats.actions, 1);
    assert_int_equal(stats.bytes, 5 + 3 + 35);

    struct cache *other = open_cache(f->path);
    cache_use_begin(other); /* it is at work: what was touched lately stays */
    assert_ok(cache_clear(f->cache, &removed, &left, &err), &err);
    assert_int_equal(removed.blobs + removed.actions, 0);
    assert_int_equal(left.blobs, 2);
    assert_int_equal(left.actions, 1);
    assert_int_equal(get(f, &digest, &buf), CACHE_HIT);
    cache_use_end(other);
    cache_close(other);

    assert_ok(cache_clear(f->cache, &removed, &left, &err), &err);
    assert_int_equal(left.blobs + left.actions, 0);
    assert_int_equal(removed.blobs, 2);
    assert_int_equal(removed.actions, 1);
    assert_ok(cache_stats(f->cache, &stats, &err), &err);
    assert_int_equal(stats.blobs + stats.actions + stats.bytes, 0);
    assert_int_equal(count_files(f, "bad"), 0);
    assert_int_equal(get(f, &digest, &buf), CACHE_MISS);
    put(f, "12345"); /* the handle goes on working, and shares again */
    assert_int_equal(get(f, &digest, &buf), CACHE_HIT);
    other = open_cache(f->path);
    cache_close(other);
    err_release(&err);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_cache(test_nowhere_to_write), with_cache(test_read_only),
        with_cache(test_full_disk),        with_cache(test_removed_meanwhile),
        with_cache(test_threads),          with_cache(test_stats_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
