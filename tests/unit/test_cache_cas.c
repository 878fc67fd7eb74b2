/* The disk cache: layout, every way a stored file can be damaged, what use does to a file's age. */
#include "test_cache_cas.h"

#include "cache/cache_private.h"

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
/* What was judged is set aside, not what has come into its place since. */
static void test_set_aside_late(void **state)
{
    struct fixture *f = *state;
    struct digest key = digest_str("key");
    char *path = stored_path(f, "ac", &key), *other = path_join(f->dir, "other");
    char rel[CACHE_REL_SIZE];
    struct stat judged;
    cache_rel(&key, rel);
    char *folder = mem_printf("%s/v1/ac/%.2s", f->path, rel);
    assert_int_equal(mkdir(folder, 0755), 0);
    write_text(f->dir, "other", "bad", 3, 0644);
    assert_int_equal(rename(other, path), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &judged), 0);
    write_text(f->dir, "other", "good", 4, 0644);
    assert_int_equal(rename(other, path), 0);
    assert_true(cache_quarantine(f->cache, f->cache->ac_fd, rel, "ac", &judged));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(stat(path, &judged), 0);
    assert_true(cache_quarantine(f->cache, f->cache->ac_fd, rel, "ac", &judged));
    assert_int_not_equal(access(path, F_OK), 0);
    close(fd);
    free(folder);
    free(other);
    free(path);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_path),
        with_cache(test_set_aside_late),
        with_cache(test_put_get),
        with_cache(test_put_fd),
        with_cache(test_damaged_blobs),
        with_cache(test_copy_out),
        with_cache(test_actions),
        with_cache(test_touch),
        with_cache(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
