/* Outputs of every kind into the cache and back byte for byte. */
#include "test_cache_outputs.h"

#include <sys/resource.h>

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes;
    make_everything(f);
    struct action_output *outputs = capture(f, everything, 5, &bytes);
    assert_int_equal(bytes, 2 * (6 + 0 + 10 + 1 + 6 + 7) + 9); /* "out" is named twice */
    static const char *const sorted[] = {"hollow", "link", "out", "out", "single"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(outputs[i].path, sorted[i]);
    assert_int_equal(outputs[0].kind, OUTPUT_DIR);
    struct digest nothing = tree_empty();
    assert_true(digest_eq(&outputs[0].root, &nothing));
    assert_int_equal(outputs[1].kind, OUTPUT_SYMLINK);
    assert_string_equal(outputs[1].target, "../outside");
    assert_int_equal(outputs[4].kind, OUTPUT_FILE);
    assert_true(outputs[4].executable);

    for (size_t i = 0; i < 4; i++)
        remove_all(f, sorted[i]);
    remove_all(f, "single");
    mode_t mask = umask(022);
    assert_int_equal(restore(f, outputs, 5), CACHE_HIT);
    assert_everything(f);
    assert_int_equal(stat_of(f, "out/run").st_mode & 07777, 0755);
    assert_int_equal(stat_of(f, "out/sub/deeper/same").st_mode & 07777, 0644);
    assert_int_equal(stat_of(f, "out/empty").st_mode & 07777, 0755);
    umask(mask);

    /* What came back is what went in: the same digests. */
    struct action_output *again = capture(f, everything, 5, NULL);
    for (size_t i = 0; i < 5; i++) {
        assert_true(digest_eq(&again[i].digest, &outputs[i].digest));
        assert_true(digest_eq(&again[i].root, &outputs[i].root));
    }
}

/* The stored Tree is the message that anybody else would read. */
static void test_tree_blob(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct arena arena = ARENA_INIT;
    enum cache_answer answer;
    struct digest root;
    struct tree_entry entry;
    bool found;
    make_everything(f);
    struct action_output out = capture_one(f, "out");
    struct trees *trees = trees_new();
    assert_ok(cache_get(f->cache, &out.digest, 1 << 20, &buf, &answer, &err), &err);
    assert_int_equal(answer, CACHE_HIT);
    assert_ok(trees_decode_tree(trees, buf.data, buf.len, &root, &err), &err);
    assert_true(digest_eq(&root, &out.root));
    assert_ok(trees_find(trees, &root, "sub/deeper/same", &arena, &entry, &found, &err), &err);
    assert_true(found && cache_has(f->cache, &entry.digest));
    trees_free(trees);
    buf_release(&buf);
    arena_release(&arena);
}

static void age(struct fixture *f, const char *path)
{
    struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(f->fd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* What is right is not touched; what is wrong is put right, whatever it has become. */
static void test_repairs(void **state)
{
    struct fixture *f = *state;
    make_everything(f);
    struct action_output *outputs = capture(f, everything, 4, NULL);
    static const char *const untouched[] = {"out/plain", "out/dangling", "single", "link",
                                            "out/sub/deeper/same"};
    ino_t inodes[5];
    for (size_t i = 0; i < 5; i++) {
        age(f, untouched[i]);
        inodes[i] = stat_of(f, untouched[i]).st_ino;
    }
    make_file(f, "out/extra", "x", 0644);
    make_dir(f, "out/sub/extra dir");
    make_file(f, "out/sub/extra dir/file", "x", 0644);
    make_link(f, "out/empty/extra link", "/");
    make_file(f, "out/.kiln-left-behind", "half", 0644);
    make_file(f, "out/nothing", "something", 0644); /* another content */
    make_file(f, "out/run", "#!/bin/sh\n", 0644);   /* the bit is lost */
    make_file(f, "out/sub/private", "q", 0700);     /* the same size */
    remove_all(f, "out/loop");
    make_dir(f, "out/loop"); /* a directory for a link */
    make_file(f, "out/loop/x", "x", 0644);
    remove_all(f, "out/absolute");
    make_link(f, "out/absolute", "/etc/group"); /* another target */
    remove_all(f, "out/sub/deeper/empty too");
    make_file(f, "out/sub/deeper/empty too", "x", 0644); /* a file for a directory */
    remove_all(f, "hollow");
    make_link(f, "hollow", "out"); /* a link for a directory */
    remove_all(f, "out/to-dir");
    make_file(f, "out/to-dir", "x", 0644); /* a file for a link */

    assert_int_equal(restore(f, outputs, 4), CACHE_HIT);
    assert_everything(f);
    assert_file(f->root, "out/sub/private", "p");
    assert_false(exists(f->root, "out/extra"));
    assert_false(exists(f->root, "out/sub/extra dir"));
    assert_false(exists(f->root, "out/empty/extra link"));
    assert_false(exists(f->root, "out/.kiln-left-behind"));
    for (size_t i = 0; i < 5; i++) {
        struct stat st = stat_of(f, untouched[i]);
        assert_int_equal(st.st_mtim.tv_sec, 1000000000);
        assert_int_equal(st.st_ino, inodes[i]);
    }

    /* A file output where a full directory and then a FIFO stands. */
    remove_all(f, "single");
    make_dir(f, "single");
    make_file(f, "single/x", "x", 0644);
    assert_int_equal(restore(f, outputs, 4), CACHE_HIT);
    remove_all(f, "single");
    assert_int_equal(mkfifoat(f->fd, "single", 0644), 0);
    assert_int_equal(restore(f, outputs, 4), CACHE_HIT);
    assert_everything(f);

    /* Another name of the same file keeps its mode. */
    make_file(f, "single", "one file\n", 0644);
    assert_int_equal(linkat(f->fd, "single", f->fd, "other name", 0), 0);
    assert_int_equal(restore(f, outputs, 4), CACHE_HIT);
    assert_true(stat_of(f, "single").st_mode & S_IXUSR);
    assert_false(stat_of(f, "other name").st_mode & S_IXUSR);
}

static void test_parents(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "a/b");
    make_dir(f, "a/b/c");
    make_file(f, "a/b/c/file", "deep", 0644);
    make_link(f, "a/b/link", "c");
    static const char *const paths[] = {"a/b/c/file", "a/b/link"};
    struct action_output *outputs = capture(f, paths, 2, NULL);
    remove_all(f, "a");
    assert_int_equal(restore(f, outputs, 2), CACHE_HIT);
    assert_file(f->root, "a/b/c/file", "deep");
    assert_link(f, "a/b/link", "c");
    assert_int_equal(restore(f, NULL, 0), CACHE_HIT);
}

/* More levels than there may be open files, and paths beyond PATH_MAX. */
static void test_deep(void **state)
{
    struct fixture *f = *state;
    char name[16];
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int fd = dup(f->fd);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), i ? "level%05d" : "out", i);
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(sub >= 0);
        close(fd);
        fd = sub;
    }
    close(fd);
    struct action_output out = capture_one(f, "out");
    remove_all(f, "out");
    assert_int_equal(restore(f, &out, 1), CACHE_HIT);
    struct action_output again = capture_one(f, "out");
    assert_true(digest_eq(&again.root, &out.root));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void test_large_file(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct buf before = BUF_INIT, after = BUF_INIT;
    char *path = path_join(f->root, "large");
    char *bytes = mem_alloc(3000000);
    uint32_t seed = 1;
    for (size_t i = 0; i < 3000000; i++)
        bytes[i] = (char)roll(&seed, 256);
    write_text(f->root, "large", bytes, 3000000, 0644);
    buf_add(&before, bytes, 3000000);
    struct action_output out = capture_one(f, "large");
    assert_int_equal(out.digest.size, 3000000);
    remove_all(f, "large");
    assert_int_equal(restore(f, &out, 1), CACHE_HIT);
    assert_ok(file_read(path, 1 << 24, &after, &err), &err);
    assert_bytes("large", &after, &before);
    bytes[2999999] ^= 1; /* differs in the last byte only */
    write_text(f->root, "large", bytes, 3000000, 0644);
    assert_int_equal(restore(f, &out, 1), CACHE_HIT);
    buf_reset(&after);
    assert_ok(file_read(path, 1 << 24, &after, &err), &err);
    assert_bytes("large, repaired", &after, &before);
    free(bytes);
    free(path);
    buf_release(&before);
    buf_release(&after);
}

/* How many names in the directory begin so. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    char path[64], text[64];
    make_dir(f, "out");
    for (int d = 0; d < 20; d++) {
        snprintf(path, sizeof(path), "out/d%d", d);
        make_dir(f, path);
        for (int i = 0; i < 100; i++) {
            snprintf(path, sizeof(path), "out/d%d/f%d", d, i);
            snprintf(text, sizeof(text), "%d in %d", i, d);
            make_file(f, path, text, i % 3 ? 0644 : 0755);
        }
    }
    struct action_output out = capture_one(f, "out");
    remove_all(f, "out");
    assert_int_equal(restore(f, &out, 1), CACHE_HIT);
    struct action_output again = capture_one(f, "out");
    assert_true(digest_eq(&again.root, &out.root));
    ino_t kept = stat_of(f, "out/d7/f1").st_ino;
    for (int d = 0; d < 20; d++)
        for (int i = 0; i < 100; i += 2) {
            snprintf(path, sizeof(path), "out/d%d/f%d", d, i);
            make_file(f, path, "spoilt", 0644);
        }
    remove_all(f, "out/d3");
    assert_int_equal(restore(f, &out, 1), CACHE_HIT);
    again = capture_one(f, "out");
    assert_true(digest_eq(&again.root, &out.root));
    assert_int_equal(stat_of(f, "out/d7/f1").st_ino, kept);
    assert_int_equal(count_names(f, ".", ".kiln-") + count_names(f, "out", ".kiln-"), 0);
    assert_int_equal(count_names(f, "out/d7", "f"), 100);
    assert_int_equal(count_names(f, "out/d7", "."), 2); /* itself and the one above */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_project(test_round_trip), with_project(test_tree_blob), with_project(test_repairs),
        with_project(test_parents),    with_project(test_deep),      with_project(test_large_file),
        with_project(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
