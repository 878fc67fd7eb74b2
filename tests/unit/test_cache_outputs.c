/* Outputs of every kind into the cache and back byte for byte; hostile surroundings; interrupted
 * and damaged. */
#include "test_cache.h"

#include "base/text.h"
#include "cache/beneath.h"
#include "cache/outputs.h"
#include "cache/tree.h"
#include "cache/unfinished.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct fixture {
    char *dir, *root, *cache_dir;
    int fd; /* of root */
    struct cache *cache;
    struct arena arena;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct err err = ERR_INIT;
    bool read_only;
    f->dir = scratch_make();
    f->root = path_join(f->dir, "project");
    f->cache_dir = path_join(f->dir, "cache");
    assert_int_equal(mkdir(f->root, 0755), 0);
    f->fd = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    assert_ok(cache_open(f->cache_dir, &f->cache, &read_only, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cache_close(f->cache);
    close(f->fd);
    arena_release(&f->arena);
    scratch_remove(f->dir);
    free(f->root);
    free(f->cache_dir);
    free(f);
    return 0;
}

static void make_dir(struct fixture *f, const char *path)
{
    assert_int_equal(mkdirat(f->fd, path, 0755), 0);
}

static void make_file(struct fixture *f, const char *path, const char *text, mode_t mode)
{
    write_text(f->root, path, text, strlen(text), mode);
}

static void make_link(struct fixture *f, const char *path, const char *target)
{
    assert_int_equal(symlinkat(target, f->fd, path), 0);
}

static void remove_all(struct fixture *f, const char *path)
{
    struct err err = ERR_INIT;
    assert_ok(file_remove_tree(f->fd, path, &err), &err);
}

static void assert_link(struct fixture *f, const char *path, const char *target)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(f->fd, path, text, sizeof(text));
    assert_true(n >= 0);
    assert_int_equal((size_t)n, strlen(target));
    assert_memory_equal(text, target, (size_t)n);
}

static struct stat stat_of(struct fixture *f, const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(f->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st;
}

static struct action_output *capture(struct fixture *f, const char *const *paths, size_t n,
                                     uint64_t *bytes)
{
    struct err err = ERR_INIT;
    struct action_output *outputs;
    assert_ok(outputs_capture(f->cache, f->root, paths, n, &f->arena, &outputs, bytes, &err), &err);
    return outputs;
}

static struct action_output capture_one(struct fixture *f, const char *path)
{
    return capture(f, &path, 1, NULL)[0];
}

static enum cache_answer restore(struct fixture *f, const struct action_output *outputs, size_t n)
{
    struct err err = ERR_INIT;
    enum cache_answer answer;
    assert_ok(outputs_restore(f->cache, f->root, outputs, n, &answer, &err), &err);
    return answer;
}

static void capture_fails(struct fixture *f, const char *path, enum err_kind kind, const char *says)
{
    struct err err = ERR_INIT;
    struct action_output *outputs;
    assert_fails(outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, &err),
                 kind, &err);
    assert_has(err_text(&err), says);
    assert_int_equal(outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, NULL),
                     -(int)kind);
    err_release(&err);
}

/* -- there and back ---------------------------------------------------------------------------- */

static const char awkward[] = "new\nline \"quoted\" 日本 🔥 -rf";

static void make_everything(struct fixture *f)
{
    make_dir(f, "out");
    make_dir(f, "out/empty");
    make_dir(f, "out/sub");
    make_dir(f, "out/sub/deeper");
    make_dir(f, "out/sub/deeper/empty too");
    make_file(f, "out/plain", "plain\n", 0644);
    make_file(f, "out/nothing", "", 0600);
    make_file(f, "out/run", "#!/bin/sh\n", 0755);
    make_file(f, "out/sub/private", "p", 0700);
    make_file(f, "out/sub/deeper/same", "plain\n", 0444);
    make_link(f, "out/dangling", "no/where");
    make_link(f, "out/absolute", "/etc/passwd");
    make_link(f, "out/loop", "loop");
    make_link(f, "out/to-dir", "sub");
    char *path = mem_printf("out/sub/%s", awkward);
    make_file(f, path, "awkward", 0644);
    free(path);
    make_file(f, "single", "one file\n", 0755);
    make_link(f, "link", "../outside");
    make_dir(f, "hollow");
}

static const char *const everything[] = {"single", "out", "hollow", "link", "out"};

static void assert_everything(struct fixture *f)
{
    assert_file(f->root, "out/plain", "plain\n");
    assert_file(f->root, "out/nothing", "");
    assert_file(f->root, "out/run", "#!/bin/sh\n");
    assert_file(f->root, "out/sub/deeper/same", "plain\n");
    assert_file(f->root, "single", "one file\n");
    char *path = mem_printf("out/sub/%s", awkward);
    assert_file(f->root, path, "awkward");
    free(path);
    assert_link(f, "out/dangling", "no/where");
    assert_link(f, "out/absolute", "/etc/passwd");
    assert_link(f, "out/loop", "loop");
    assert_link(f, "out/to-dir", "sub");
    assert_link(f, "link", "../outside");
    assert_true(S_ISDIR(stat_of(f, "out/empty").st_mode));
    assert_true(S_ISDIR(stat_of(f, "out/sub/deeper/empty too").st_mode));
    assert_true(S_ISDIR(stat_of(f, "hollow").st_mode));
    assert_true(stat_of(f, "out/run").st_mode & S_IXUSR);
    assert_true(stat_of(f, "out/sub/private").st_mode & S_IXUSR);
    assert_true(stat_of(f, "single").st_mode & S_IXUSR);
    assert_false(stat_of(f, "out/plain").st_mode & 0111);
}

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
static size_t count_names(struct fixture *f, const char *path, const char *head)
{
    size_t n = 0;
    DIR *dir = fdopendir(openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strncmp(entry->d_name, head, strlen(head)) == 0;
    closedir(dir);
    return n;
}

/* Enough for several hands: all new, all there, and each second one spoilt. */
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

/* -- hostile surroundings ---------------------------------------------------------------------- */

static void test_capture_refuses(void **state)
{
    struct fixture *f = *state;
    capture_fails(f, "missing", ERR_CONFIG, "output \"missing\"");
    capture_fails(f, "missing/too", ERR_CONFIG, "\"missing\" is not there");
    make_file(f, "file", "x", 0644);
    capture_fails(f, "file/below", ERR_CONFIG, "\"file\" is not a directory");
    make_dir(f, "real");
    make_file(f, "real/x", "x", 0644);
    make_link(f, "parent", "real");
    capture_fails(f, "parent/x", ERR_CONFIG, "\"parent\" is a symbolic link");
    make_dir(f, "top");
    make_link(f, "top/parent", "../real");
    capture_fails(f, "top/parent/x", ERR_CONFIG, "\"top/parent\" is a symbolic link");
    capture_fails(f, "../cache", ERR_CONFIG, "..");
    capture_fails(f, "..", ERR_CONFIG, "..");
    capture_fails(f, "real/..", ERR_CONFIG, "..");
    capture_fails(f, "", ERR_CONFIG, "output");
    capture_fails(f, "\xff", ERR_CONFIG, "UTF-8");

    assert_int_equal(mkfifoat(f->fd, "fifo", 0644), 0);
    capture_fails(f, "fifo", ERR_CONFIG, "a FIFO");
    make_dir(f, "dir");
    make_dir(f, "dir/sub");
    assert_int_equal(mkfifoat(f->fd, "dir/sub/fifo", 0644), 0);
    capture_fails(f, "dir", ERR_CONFIG, "output \"dir/sub/fifo\": it is a FIFO");
    remove_all(f, "dir/sub/fifo");
    make_file(f, "dir/sub/bad\xff\n", "x", 0644);
    capture_fails(f, "dir", ERR_CONFIG, "not valid UTF-8");
    capture_fails(f, "dir", ERR_CONFIG, "dir/sub/bad\\xff\\n");
    remove_all(f, "dir/sub/bad\xff\n");
    make_link(f, "dir/link", "\xfe");
    capture_fails(f, "dir", ERR_CONFIG, "target is not valid UTF-8");
    remove_all(f, "dir/link");

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s/dir/socket", f->root) <
                (int)sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    capture_fails(f, "dir", ERR_CONFIG, "a socket");
    close(fd);
    remove_all(f, "dir/socket");
    if (geteuid() != 0) {
        make_file(f, "dir/secret", "x", 0000);
        capture_fails(f, "dir", ERR_SYSTEM, "dir/secret");
        remove_all(f, "dir/secret");
    }
    capture_one(f, "dir");

    struct err err = ERR_INIT;
    struct action_output *outputs;
    assert_fails(
        outputs_capture(f->cache, "/proc/nonexistent", NULL, 0, &f->arena, &outputs, NULL, &err),
        ERR_SYSTEM, &err);
    enum cache_answer answer;
    assert_fails(outputs_restore(f->cache, "/proc/nonexistent", NULL, 0, &answer, &err), ERR_SYSTEM,
                 &err);
    err_release(&err);
}

/* Restoring stays inside: no link is followed, and nobody's parent directory is replaced. */
static void test_restore_stays_inside(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    enum cache_answer answer;
    make_dir(f, "out");
    make_dir(f, "out/sub");
    make_file(f, "out/sub/file", "inside", 0644);
    static const char *const paths[] = {"out/sub", "out/sub/file"};
    struct action_output *outputs = capture(f, paths, 2, NULL);
    char *outside = path_join(f->dir, "outside");
    assert_int_equal(mkdir(outside, 0755), 0);
    write_text(outside, "file", "precious", 8, 0644);
    write_text(outside, "extra", "precious", 8, 0644);

    remove_all(f, "out");
    make_link(f, "out", outside);
    for (size_t i = 0; i < 2; i++) {
        assert_fails(outputs_restore(f->cache, f->root, &outputs[i], 1, &answer, &err), ERR_CONFIG,
                     &err);
        assert_int_equal(answer, CACHE_MISS);
        assert_has(err_text(&err), "\"out\" is a symbolic link");
    }
    remove_all(f, "out");
    make_file(f, "out", "a file of the user's", 0644);
    assert_fails(outputs_restore(f->cache, f->root, outputs, 2, &answer, &err), ERR_CONFIG, &err);
    assert_file(f->root, "out", "a file of the user's");

    remove_all(f, "out");
    make_dir(f, "out");
    make_link(f, "out/sub", outside); /* the output itself: replaced */
    assert_int_equal(restore(f, outputs, 1), CACHE_HIT);
    assert_file(f->root, "out/sub/file", "inside");
    remove_all(f, "out/sub/file");
    char *target = path_join(outside, "file");
    make_link(f, "out/sub/file", target);
    assert_int_equal(restore(f, outputs, 2), CACHE_HIT);
    assert_file(f->root, "out/sub/file", "inside");
    assert_file(outside, "file", "precious");
    assert_true(exists(outside, "extra"));

    /* Results that lie about where they belong; decoding refuses them already. */
    static const char *const lies[] = {
        "..", "../outside/file", "out/../../outside/file", "out/..", ".", "/tmp", ""};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        for (size_t k = 0; k < 2; k++) {
            struct action_output lie = outputs[k];
            lie.path = lies[i];
            int rc = outputs_restore(f->cache, f->root, &lie, 1, &answer, &err);
            assert_true(rc < 0);
            assert_int_equal(answer, CACHE_MISS);
        }
    assert_file(outside, "file", "precious");
    assert_file(f->root, "out/sub/file", "inside");
    free(outside);
    free(target);
    err_release(&err);
}

/* -- damage ------------------------------------------------------------------------------------ */

static void spoil(struct fixture *f, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    char *path = mem_printf("%s/v1/cas/%.2s/%s", f->cache_dir, hex, hex);
    char *bytes = mem_zalloc(1, (size_t)digest->size + 1);
    write_text("", path, bytes, (size_t)digest->size, 0444);
    free(bytes);
    free(path);
}

static void test_damaged_cache(void **state)
{
    struct fixture *f = *state;
    make_everything(f);
    struct digest content = digest_str("#!/bin/sh\n");
    struct action_output *outputs = capture(f, everything, 4, NULL);
    spoil(f, &content);
    assert_int_equal(restore(f, outputs, 4), CACHE_HIT); /* nothing to take from the cache */
    make_file(f, "out/run", "mine", 0644);
    assert_int_equal(restore(f, outputs, 4), CACHE_MISS);
    assert_file(f->root, "out/run", "mine"); /* whole: the old one */
    assert_false(cache_has(f->cache, &content));
    assert_int_equal(restore(f, outputs, 4), CACHE_MISS);

    make_file(f, "out/run", "#!/bin/sh\n", 0755);
    outputs = capture(f, everything, 4, NULL); /* capturing heals */
    remove_all(f, "out/run");
    assert_int_equal(restore(f, outputs, 4), CACHE_HIT);
    assert_everything(f);

    spoil(f, &outputs[2].digest); /* the Tree */
    assert_int_equal(restore(f, outputs, 4), CACHE_MISS);
    assert_everything(f);
    outputs = capture(f, everything, 4, NULL);
    struct action_output lie = outputs[2];
    lie.root = digest_str("another root");
    assert_int_equal(restore(f, &lie, 1), CACHE_MISS);
    lie = outputs[2];
    lie.digest = digest_str("one file\n"); /* a blob, but no Tree */
    assert_int_equal(restore(f, &lie, 1), CACHE_MISS);
    assert_everything(f);
}

/* A directory that was not there comes whole or not at all. */
static void test_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    make_everything(f);
    struct digest content = digest_str("#!/bin/sh\n");
    struct action_output out = capture_one(f, "out");
    spoil(f, &content);
    remove_all(f, "out");
    assert_int_equal(restore(f, &out, 1), CACHE_MISS);
    assert_false(exists(f->root, "out"));
    assert_int_equal(count_names(f, ".", ".kiln-"), 0);
    make_file(f, "out", "a file", 0644);
    assert_int_equal(restore(f, &out, 1), CACHE_MISS);
    assert_file(f->root, "out", "a file");
}

/* Begins to restore in the project and in its directory "out", writes a byte to ready, and waits to
 * be killed. */
static _Noreturn void restore_half(struct fixture *f, int ready)
{
    struct cache *cache;
    struct err err = ERR_INIT;
    bool read_only;
    char name[CACHE_NAME_SIZE];
    if (cache_open(f->cache_dir, &cache, &read_only, &err) != 0)
        _exit(1);
    unfinished_begin(cache);
    unfinished_note(cache, f->root, "");
    unfinished_note(cache, f->root, "out");
    cache_unique_name(cache, ".kiln", name);
    if (mkdirat(f->fd, name, 0755) != 0 || symlinkat("half", f->fd, "out/mine") != 0)
        _exit(1);
    int dir = openat(f->fd, name, O_RDONLY | O_DIRECTORY);
    if (dir < 0 || mkdirat(dir, "sub", 0) != 0 || symlinkat("/", dir, "link") != 0)
        _exit(1);
    int out = openat(f->fd, "out", O_RDONLY | O_DIRECTORY);
    cache_unique_name(cache, ".kiln", name);
    if (out < 0 || symlinkat("half", out, name) != 0 || write(ready, "!", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

/* What a killed restoring left is collected by who opens the cache next, and nothing else is. */
static void test_killed(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct cache *other;
    bool read_only;
    char byte;
    int ready[2], status;
    make_dir(f, "out");
    make_file(f, "out/.kiln-1-00000000-0", "somebody else's", 0644);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        restore_half(f, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);

    /* However long it has been at it. */
    char *ancient = mem_printf("touch -d '3 days ago' '%s'/v1/tmp/restoring-*", f->cache_dir);
    assert_int_equal(system(ancient), 0);
    free(ancient);
    assert_ok(cache_open(f->cache_dir, &other, &read_only, &err), &err);
    cache_close(other);
    assert_int_equal(count_names(f, ".", ".kiln-"), 1); /* it is alive */
    assert_int_equal(count_names(f, "out", ".kiln-"), 2);

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_ok(cache_open(f->cache_dir, &other, &read_only, &err), &err);
    cache_close(other);
    assert_int_equal(count_names(f, ".", ".kiln-"), 0);
    assert_int_equal(count_names(f, "out", ".kiln-"), 1);
    assert_file(f->root, "out/.kiln-1-00000000-0", "somebody else's");
    assert_link(f, "out/mine", "half");
    char *tmp = path_join(f->cache_dir, "v1/tmp");
    int fd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(fd);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        assert_false(unfinished_is_note(entry->d_name));
    closedir(dir);
    free(tmp);
    err_release(&err);
}

/* A file that grows while it is read is told, not stored as it never was. */
static void test_changing(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct action_output *outputs;
    const char *path = "growing";
    char *in = path_join(f->root, path);
    char *chunk = mem_zalloc(1, 1 << 20);
    write_text(f->root, path, chunk, 1 << 20, 0644);
    int fd = open(in, O_WRONLY | O_APPEND | O_CLOEXEC);
    int go[2];
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* writes until it is told to stop */
        (void)fcntl(go[0], F_SETFL, O_NONBLOCK);
        close(go[1]);
        char byte;
        for (int i = 0; i < 100000 && read(go[0], &byte, 1) != 0; i++)
            if (write(fd, "x", 1) != 1)
                break;
        _exit(0);
    }
    close(go[0]);
    struct stat st;
    do /* until it surely writes */
        st = stat_of(f, path);
    while (st.st_size == 1 << 20);
    int rc = outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, &err);
    close(go[1]);
    if (rc != 0) { /* on a machine that stopped the child meanwhile it may have been still */
        assert_int_equal(rc, -(int)ERR_CORRUPT);
        assert_has(err_text(&err), "changed while it was read");
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fd);
    free(chunk);
    free(in);
    err_release(&err);
}

/* Below any depth that can be stored, and with more levels than a process may have files open. */
static void test_stamp(void **state)
{
    struct fixture *f = *state;
    const char *paths[] = {"deep", "file", "none"};
    struct buf path = BUF_INIT;
    struct rlimit few, before;
    buf_adds(&path, "deep");
    for (int i = 0; i < 1000; i++)
        buf_adds(&path, "/d");
    int fd, root = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(beneath_open(root, buf_str(&path), true, &fd, NULL), 0);
    close(root);
    int file = openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(file, "1", 1), 1);
    write_text(f->root, "file", "1", 1, 0644);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int64_t now = (int64_t)clock_realtime_ns();
    struct digest stamp = outputs_stamp(f->root, paths, 3, now);
    struct digest again = outputs_stamp(f->root, paths, 3, now);
    assert_true(digest_eq(&stamp, &again));
    assert_int_equal(pwrite(file, "2", 1, 0), 1);
    again = outputs_stamp(f->root, paths, 3, now);
    assert_false(digest_eq(&stamp, &again));
    stamp = again;
    write_text(f->root, "none", "", 0, 0644);
    again = outputs_stamp(f->root, paths, 3, now);
    assert_false(digest_eq(&stamp, &again));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(file);
    close(fd);
    buf_release(&path);
}

/* Told is also a directory in which something comes and goes while its files are taken. */
static void test_changing_directory(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct action_output *outputs;
    const char *path = "out";
    char name[64];
    make_dir(f, path);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "out/f%d", i);
        make_file(f, name, name, 0644);
    }
    struct stat first = stat_of(f, path), st;
    int go[2];
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* until it is told to stop */
        (void)fcntl(go[0], F_SETFL, O_NONBLOCK);
        close(go[1]);
        char byte;
        while (read(go[0], &byte, 1) != 0) {
            int fd = openat(f->fd, "out/comes and goes", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            if (fd < 0 || close(fd) != 0 || unlinkat(f->fd, "out/comes and goes", 0) != 0)
                break;
        }
        _exit(0);
    }
    close(go[0]);
    do /* until it surely does */
        st = stat_of(f, path);
    while (st.st_ctim.tv_sec == first.st_ctim.tv_sec &&
           st.st_ctim.tv_nsec == first.st_ctim.tv_nsec);
    int rc = outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, &err);
    close(go[1]);
    if (rc != 0) { /* on a machine that stopped the child meanwhile it may have been still */
        assert_int_equal(rc, -(int)ERR_CORRUPT);
        assert_has(err_text(&err), "output \"out");
        assert_has(err_text(&err), "changed while it was read");
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    err_release(&err);
}

#define with_project(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_project(test_round_trip),
        with_project(test_tree_blob),
        with_project(test_repairs),
        with_project(test_parents),
        with_project(test_deep),
        with_project(test_large_file),
        with_project(test_many),
        with_project(test_capture_refuses),
        with_project(test_restore_stays_inside),
        with_project(test_damaged_cache),
        with_project(test_whole_or_not_at_all),
        with_project(test_killed),
        with_project(test_changing),
        with_project(test_stamp),
        with_project(test_changing_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
