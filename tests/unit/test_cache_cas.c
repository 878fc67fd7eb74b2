/* The disk cache: layout, every way a stored file can be damaged, a full or read-only disk, several
 * users. */
#include "test_cache.h"

#include "cache/action.h"
#include "cache/cache_gc.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

struct fixture {
    char *dir, *path; /* scratch; the cache inside it */
    struct cache *cache;
};

static struct cache *open_cache(const char *path)
{
    struct err err = ERR_INIT;
    struct cache *cache;
    bool read_only;
    assert_ok(cache_open(path, &cache, &read_only, &err), &err);
    assert_false(read_only);
    return cache;
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    f->dir = scratch_make();
    f->path = path_join(f->dir, "deep/er/cache");
    f->cache = open_cache(f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cache_close(f->cache);
    scratch_remove(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static char *stored_path(const struct fixture *f, const char *sub, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return mem_printf("%s/v1/%s/%.2s/%s", f->path, sub, hex, hex);
}

static size_t count_files(const struct fixture *f, const char *sub)
{
    char *path = mem_printf("%s/v1/%s", f->path, sub);
    DIR *dir = opendir(path);
    size_t n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.' ? 1 : 0;
    if (dir)
        closedir(dir);
    free(path);
    return n;
}

static struct digest put(struct fixture *f, const char *text)
{
    struct err err = ERR_INIT;
    struct digest digest;
    assert_ok(cache_put(f->cache, text, strlen(text), &digest, &err), &err);
    return digest;
}

static enum cache_answer get(struct fixture *f, const struct digest *digest, struct buf *buf)
{
    struct err err = ERR_INIT;
    enum cache_answer answer;
    buf_reset(buf);
    assert_ok(cache_get(f->cache, digest, 1 << 24, buf, &answer, &err), &err);
    return answer;
}

static void test_default_path(void **state)
{
    (void)state;
    setenv("KILN_CACHE_DIR", "/somewhere/else", 1);
    char *path = cache_default_path();
    assert_string_equal(path, "/somewhere/else");
    free(path);
    setenv("KILN_CACHE_DIR", "", 1);
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    path = cache_default_path();
    assert_string_equal(path, "/xdg/kiln");
    free(path);
    unsetenv("KILN_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/home/somebody", 1);
    path = cache_default_path();
    assert_string_equal(path, "/home/somebody/.cache/kiln");
    free(path);
}

static void test_put_get(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct stat st, again;
    enum cache_answer answer;
    struct digest absent = digest_str("nobody put this");
    assert_false(cache_has(f->cache, &absent));
    assert_int_equal(get(f, &absent, &buf), CACHE_MISS);
    struct digest digest = put(f, "hello\n"), wanted = digest_str("hello\n");
    assert_true(digest_eq(&digest, &wanted));
    assert_true(cache_has(f->cache, &digest));
    assert_string_equal(cache_path(f->cache), f->path);

    char *path = stored_path(f, "cas", &digest);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_int_equal(st.st_size, 6);
    put(f, "hello\n"); /* already there: the very file stays */
    assert_int_equal(stat(path, &again), 0);
    assert_int_equal(again.st_ino, st.st_ino);
    assert_int_equal(count_files(f, "tmp"), 0);
    free(path);

    buf_adds(&buf, "kept ");
    assert_ok(cache_get(f->cache, &digest, 6, &buf, &answer, &err), &err);
    assert_int_equal(answer, CACHE_HIT);
    assert_string_equal(buf_str(&buf), "kept hello\n");
    assert_fails(cache_get(f->cache, &digest, 5, &buf, &answer, &err), ERR_SYSTEM, &err);
    assert_string_equal(buf_str(&buf), "kept hello\n");

    struct digest empty = put(f, "");
    assert_int_equal(get(f, &empty, &buf), CACHE_HIT);
    assert_int_equal(buf.len, 0);
    struct digest lied = digest; /* right hash, wrong size */
    lied.size = 7;
    assert_false(cache_has(f->cache, &lied));

    int fd;
    assert_ok(cache_open_blob(f->cache, &digest, &fd, &answer, &err), &err);
    assert_int_equal(answer, CACHE_HIT);
    char text[8];
    assert_int_equal(read(fd, text, sizeof(text)), 6);
    close(fd);
    assert_ok(cache_open_blob(f->cache, &absent, &fd, &answer, &err), &err);
    assert_int_equal(answer, CACHE_MISS);
    path = stored_path(f, "cas", &digest);
    assert_ok(file_write_atomic(path, "hellO\n", 6, 0444, &err), &err);
    assert_ok(cache_open_blob(f->cache, &digest, &fd, &answer, &err), &err);
    assert_int_equal(answer, CACHE_MISS);
    assert_false(cache_has(f->cache, &digest));
    free(path);
    err_release(&err);
    buf_release(&buf);
}

/* Sizes around the copy loop's block, known and unknown, new and already there. */
static void test_put_fd(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 524287, 524288, 524289, 1048576, 1048579, 2097152};
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    char *bytes = mem_alloc(2097152);
    uint32_t seed = 3;
    for (size_t i = 0; i < 2097152; i++)
        bytes[i] = (char)roll(&seed, 256);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        write_text(f->dir, "in", bytes, sizes[i], 0644);
        char *path = path_join(f->dir, "in");
        int fd = open(path, O_RDWR | O_CLOEXEC);
        struct digest digest, wanted = digest_of(bytes, sizes[i]);
        for (int round = 0; round < 4; round++) {
            uint64_t size = round & 1 ? sizes[i] : UINT64_MAX;
            if (round == 2) {
                char *stored = stored_path(f, "cas", &wanted);
                assert_int_equal(unlink(stored), 0);
                free(stored);
            }
            assert_int_equal(lseek(fd, 1, SEEK_SET), 1); /* the offset must not matter */
            assert_ok(cache_put_fd(f->cache, fd, size, &digest, &err), &err);
            assert_true(digest_eq(&digest, &wanted));
        }
        assert_int_equal(get(f, &digest, &buf), CACHE_HIT);
        assert_memory_equal(buf_str(&buf), bytes, sizes[i]);
        assert_fails(cache_put_fd(f->cache, fd, sizes[i] + 1, &digest, &err), ERR_CORRUPT, &err);
        if (sizes[i] > 0) { /* a part of it */
            assert_ok(cache_put_fd(f->cache, fd, sizes[i] - 1, &digest, &err), &err);
            wanted = digest_of(bytes, sizes[i] - 1);
            assert_true(digest_eq(&digest, &wanted));
        }
        close(fd);
        free(path);
    }
    int pipes[2];
    struct digest digest;
    assert_int_equal(pipe(pipes), 0);
    assert_fails(cache_put_fd(f->cache, pipes[0], UINT64_MAX, &digest, &err), ERR_SYSTEM, &err);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(count_files(f, "tmp"), 0);
    free(bytes);
    buf_release(&buf);
    err_release(&err);
}

/* -- damage ------------------------------------------------------------------------------------ */

enum damage { FLIP, SHORTER, EMPTY, LONGER, OTHER, IS_DIR, IS_LINK, IS_FIFO, DAMAGES };

static void rewrite(const char *path, const void *bytes, size_t n)
{
    assert_int_equal(unlink(path), 0);
    write_text("", path, bytes, n, 0444);
}

static void damage(const char *path, enum damage how)
{
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    assert_ok(file_read(path, 1 << 20, &buf, &err), &err);
    assert_true(buf.len > 2);
    switch (how) {
    case FLIP:
        buf.data[buf.len / 2] ^= 0x10;
        rewrite(path, buf.data, buf.len);
        break;
    case SHORTER: rewrite(path, buf.data, buf.len - 1); break;
    case EMPTY: rewrite(path, "", 0); break;
    case LONGER:
        buf_addc(&buf, '\0');
        rewrite(path, buf.data, buf.len);
        break;
    case OTHER:
        memset(buf.data, 0, buf.len);
        rewrite(path, buf.data, buf.len);
        break;
    case IS_DIR:
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0755), 0);
        break;
    case IS_LINK: {
        char *other = mem_printf("%s.moved", path);
        assert_int_equal(rename(path, other), 0);
        assert_int_equal(symlink(other, path), 0);
        free(other);
        break;
    }
    case IS_FIFO:
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0644), 0);
        break;
    case DAMAGES: break;
    }
    buf_release(&buf);
}

static void test_damaged_blobs(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    size_t bad = 0;
    int dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_text(f->dir, "target", "old", 3, 0644);
    for (int how = 0; how < DAMAGES; how++) {
        for (int by = 0; by < 2; by++) {
            struct digest digest = put(f, "the content of a blob");
            char *path = stored_path(f, "cas", &digest);
            enum cache_answer answer;
            damage(path, (enum damage)how);
            if (by == 0)
                answer = get(f, &digest, &buf);
            else
                assert_ok(cache_copy_out(f->cache, &digest, dirfd, "target", false, &answer, &err),
                          &err);
            assert_int_equal(answer, CACHE_MISS);
            assert_int_equal(buf.len, 0);
            assert_int_equal(count_files(f, "bad"), ++bad);
            assert_false(cache_has(f->cache, &digest));
            assert_file(f->dir, "target", "old");
            put(f, "the content of a blob"); /* and it is whole again */
            assert_int_equal(get(f, &digest, &buf), CACHE_HIT);
            buf_reset(&buf);
            free(path);
        }
    }
    /* One blob under another's name. */
    struct digest a = put(f, "aaaa"), b = put(f, "bbbb");
    char *path_a = stored_path(f, "cas", &a), *path_b = stored_path(f, "cas", &b);
    assert_int_equal(rename(path_a, path_b), 0);
    assert_int_equal(get(f, &b, &buf), CACHE_MISS);
    assert_int_equal(get(f, &a, &buf), CACHE_MISS);
    assert_int_equal(count_files(f, "bad"), bad + 1);
    free(path_a);
    free(path_b);

    /* No temporary name was left beside the target. */
    DIR *dir = fdopendir(dirfd);
    for (struct dirent *entry; (entry = readdir(dir));)
        assert_false(strncmp(entry->d_name, ".kiln", 5) == 0);
    closedir(dir);
    buf_release(&buf);
    err_release(&err);
}

static void test_copy_out(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    enum cache_answer answer;
    struct stat st;
    int dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct digest digest = put(f, "#!/bin/sh\n"), absent = digest_str("absent");
    mode_t mask = umask(027);
    assert_ok(cache_copy_out(f->cache, &digest, dirfd, "run", true, &answer, &err), &err);
    assert_int_equal(answer, CACHE_HIT);
    assert_file(f->dir, "run", "#!/bin/sh\n");
    assert_int_equal(fstatat(dirfd, "run", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(st.st_nlink, 1);
    assert_ok(cache_copy_out(f->cache, &digest, dirfd, "run", false, &answer, &err), &err);
    assert_int_equal(fstatat(dirfd, "run", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    umask(mask);
    write_text(f->dir, "run", "changed", 7, 0644); /* the cache's copy is its own */
    assert_ok(cache_copy_out(f->cache, &digest, dirfd, "run2", false, &answer, &err), &err);
    assert_file(f->dir, "run2", "#!/bin/sh\n");

    assert_ok(cache_copy_out(f->cache, &absent, dirfd, "run", false, &answer, &err), &err);
    assert_int_equal(answer, CACHE_MISS);
    assert_file(f->dir, "run", "changed");

    /* A link there is replaced, never written through. */
    assert_int_equal(symlinkat("run2", dirfd, "link"), 0);
    struct digest other = put(f, "other");
    assert_ok(cache_copy_out(f->cache, &other, dirfd, "link", false, &answer, &err), &err);
    assert_file(f->dir, "link", "other");
    assert_file(f->dir, "run2", "#!/bin/sh\n");
    assert_int_equal(mkdirat(dirfd, "dir", 0755), 0);
    assert_fails(cache_copy_out(f->cache, &other, dirfd, "dir", false, &answer, &err), ERR_SYSTEM,
                 &err);
    close(dirfd);
    err_release(&err);
}

/* -- action results ---------------------------------------------------------------------------- */

static void encode_result(struct buf *buf)
{
    struct action_output outputs[] = {{.kind = OUTPUT_FILE, .path = "a", .digest = digest_str("1")},
                                      {.kind = OUTPUT_FILE, .path = "b", .digest = digest_str("2")},
                                      {.kind = OUTPUT_SYMLINK, .path = "c", .target = "b"}};
    struct action_result result = {
        .outputs = outputs, .n_outputs = 3, .stdout_digest = digest_str("log"), .start_ns = 5};
    action_result_encode(&result, buf);
}

static enum cache_answer get_action(struct fixture *f, const struct digest *key, struct buf *buf)
{
    struct err err = ERR_INIT;
    enum cache_answer answer;
    buf_reset(buf);
    assert_ok(cache_get_action(f->cache, key, buf, &answer, &err), &err);
    assert_true(answer == CACHE_HIT || buf->len == 0);
    return answer;
}

static void test_actions(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT, result = BUF_INIT, file = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct action_result decoded;
    struct digest key = digest_str("key"), other = digest_str("other");
    encode_result(&result);
    assert_int_equal(get_action(f, &key, &buf), CACHE_MISS);
    assert_ok(cache_put_action(f->cache, &key, result.data, result.len, &err), &err);
    assert_int_equal(get_action(f, &key, &buf), CACHE_HIT);
    assert_bytes("as it was put", &buf, &result);
    assert_int_equal(get_action(f, &other, &buf), CACHE_MISS);
    assert_ok(cache_put_action(f->cache, &key, "", 0, &err),
              &err); /* replaced; no fields is valid */
    assert_int_equal(get_action(f, &key, &buf), CACHE_HIT);
    assert_int_equal(buf.len, 0);

    /* The file itself is an ActionResult, for whoever reads Bazel's layout. */
    assert_ok(cache_put_action(f->cache, &key, result.data, result.len, &err), &err);
    char *path = stored_path(f, "ac", &key), *path_other = stored_path(f, "ac", &other);
    assert_ok(file_read(path, 1 << 20, &file, &err), &err);
    assert_ok(action_result_decode(file.data, file.len, &arena, &decoded, &err), &err);
    assert_int_equal(decoded.n_outputs, 3);

    size_t bad = 0;
    for (int how = 0; how < DAMAGES; how++) {
        damage(path, (enum damage)how);
        assert_int_equal(get_action(f, &key, &buf), CACHE_MISS);
        assert_int_equal(count_files(f, "bad"), ++bad);
        assert_int_equal(get_action(f, &key, &buf), CACHE_MISS);
        assert_ok(cache_put_action(f->cache, &key, result.data, result.len, &err), &err);
    }
    /* No bit and no cut goes unnoticed, although many of them decode. */
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] = (char)(file.data[i] ^ (1 << (i % 8)));
        rewrite(path, file.data, file.len);
        assert_int_equal(get_action(f, &key, &buf), CACHE_MISS);
        file.data[i] = (char)(file.data[i] ^ (1 << (i % 8)));
        write_text("", path, file.data, i, 0444);
        assert_int_equal(get_action(f, &key, &buf), CACHE_MISS);
        write_text("", path, file.data, file.len, 0444);
    }
    assert_int_equal(get_action(f, &key, &buf), CACHE_HIT);
    rewrite(path, result.data, result.len); /* not sealed */
    assert_int_equal(get_action(f, &key, &buf), CACHE_MISS);

    /* A result under another key. */
    assert_ok(cache_put_action(f->cache, &key, result.data, result.len, &err), &err);
    assert_ok(cache_put_action(f->cache, &other, "", 0, &err), &err);
    assert_int_equal(rename(path, path_other), 0);
    assert_int_equal(get_action(f, &other, &buf), CACHE_MISS);

    /* Sealed, but it does not decode. */
    assert_ok(cache_put_action(f->cache, &key, "\x12\x00", 2, &err), &err);
    assert_int_equal(get_action(f, &key, &buf), CACHE_MISS);
    assert_int_equal(count_files(f, "tmp"), 0);
    free(path);
    free(path_other);
    arena_release(&arena);
    buf_release(&buf);
    buf_release(&result);
    buf_release(&file);
    err_release(&err);
}

/* -- time -------------------------------------------------------------------------------------- */

static void set_age(const char *path, time_t seconds)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static time_t age_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return time(NULL) - st.st_mtime;
}

/* Use makes a file young again, but only when it is old enough for that to matter. */
static void test_touch(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct digest digest = put(f, "blob"), key = digest_str("key");
    assert_ok(cache_put_action(f->cache, &key, "", 0, &err), &err);
    char *blob = stored_path(f, "cas", &digest), *action = stored_path(f, "ac", &key);
    set_age(blob, 9000);
    set_age(action, 9000);
    assert_int_equal(get(f, &digest, &buf), CACHE_HIT);
    assert_int_equal(get_action(f, &key, &buf), CACHE_HIT);
    assert_true(age_of(blob) < 600 && age_of(action) < 600);
    set_age(blob, 9000);
    put(f, "blob");
    assert_true(age_of(blob) < 600);
    set_age(blob, 200);
    set_age(action, 200);
    assert_int_equal(get(f, &digest, &buf), CACHE_HIT);
    assert_int_equal(get_action(f, &key, &buf), CACHE_HIT);
    assert_true(age_of(blob) > 150 && age_of(action) > 150);
    put(f, "blob"); /* gc must not take what somebody was just told is there */
    assert_true(age_of(blob) < 150);
    free(blob);
    free(action);
    buf_release(&buf);
}

static void test_sweep(void **state)
{
    struct fixture *f = *state;
    char *tmp = path_join(f->path, "v1/tmp");
    write_text(tmp, "orphan", "x", 1, 0444);
    write_text(tmp, "fresh", "x", 1, 0444);
    char *orphan = path_join(tmp, "orphan");
    set_age(orphan, 9000);
    cache_close(f->cache);
    f->cache = open_cache(f->path);
    assert_false(exists(tmp, "orphan"));
    assert_true(exists(tmp, "fresh"));
    free(orphan);
    free(tmp);
}

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

#define with_cache(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_path),
        with_cache(test_put_get),
        with_cache(test_put_fd),
        with_cache(test_damaged_blobs),
        with_cache(test_copy_out),
        with_cache(test_actions),
        with_cache(test_touch),
        with_cache(test_sweep),
        with_cache(test_nowhere_to_write),
        with_cache(test_read_only),
        with_cache(test_full_disk),
        with_cache(test_removed_meanwhile),
        with_cache(test_threads),
        with_cache(test_stats_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
