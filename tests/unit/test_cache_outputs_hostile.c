/* Outputs in hostile surroundings: kinds and links that are refused, a damaged cache, a kill in the
 * middle, files that change while they are taken. */
#include "test_cache_outputs.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

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

/* Somebody changes what is there all the time. On a machine that stops them meanwhile it may be
 * still for one capture, but not for all of them. */
static void assert_change_is_seen(struct fixture *f, const char *path)
{
    struct err err = ERR_INIT;
    struct action_output *outputs;
    uint64_t deadline = clock_monotonic_ns() + UINT64_C(60000000000);
    int rc = 0;
    while (rc == 0 && clock_monotonic_ns() < deadline)
        rc = outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, &err);
    assert_int_equal(rc, -(int)ERR_CORRUPT);
    assert_has(err_text(&err), "changed while it was read");
    err_release(&err);
}

/* A file that grows while it is read is told, not stored as it never was. */
static void test_changing(void **state)
{
    struct fixture *f = *state;
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
        while (read(go[0], &byte, 1) != 0 && write(fd, "x", 1) == 1)
            ;
        _exit(0);
    }
    close(go[0]);
    struct stat st;
    do /* until it surely writes */
        st = stat_of(f, path);
    while (st.st_size == 1 << 20);
    assert_change_is_seen(f, path);
    close(go[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fd);
    free(chunk);
    free(in);
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

/* Two hundred files. */
static void make_many(struct fixture *f)
{
    char name[64];
    make_dir(f, "out");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "out/f%d", i);
        make_file(f, name, name, 0644);
    }
}

/* Told is also a directory in which something comes and goes while it is listed. */
static void test_changing_directory(void **state)
{
    struct fixture *f = *state;
    const char *path = "out";
    make_many(f);
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
    assert_change_is_seen(f, path);
    close(go[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* Each time it is told to, adds a file to the directory as soon as somebody opens one of those that
 * are there; tells before that it waits for it, and when it has. */
static void add_when_opened(struct fixture *f, int in, int out)
{
    char *file = path_join(f->root, "out/f0"), event[4096], name[64], byte;
    bool ok = true;
    for (int i = 0; ok && read(in, &byte, 1) == 1; i++) {
        int watch = inotify_init1(IN_CLOEXEC);
        snprintf(name, sizeof(name), "out/late %d", i);
        ok = inotify_add_watch(watch, file, IN_OPEN) >= 0 && write(out, "w", 1) == 1 &&
             read(watch, event, sizeof(event)) > 0;
        int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        ok = ok && fd >= 0 && close(fd) == 0 && write(out, "d", 1) == 1;
        close(watch);
    }
    free(file);
}

/* And one that is changed when it is listed, while its files are taken. */
static void test_changing_behind(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct action_output *outputs;
    const char *path = "out";
    int go[2], told[2], status, rc = 0;
    char byte;
    make_many(f);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(go[1]);
        close(told[0]);
        add_when_opened(f, go[0], told[1]);
        _exit(0);
    }
    close(go[0]);
    close(told[1]);
    uint64_t deadline = clock_monotonic_ns() + UINT64_C(60000000000);
    while (rc == 0 && clock_monotonic_ns() < deadline) { /* it may come too late */
        assert_int_equal(write(go[1], "g", 1), 1);
        assert_int_equal(read(told[0], &byte, 1), 1);
        rc = outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, &err);
        assert_int_equal(read(told[0], &byte, 1), 1);
    }
    close(go[1]);
    close(told[0]);
    assert_int_equal(rc, -(int)ERR_CORRUPT);
    assert_has(err_text(&err), "output \"out\"");
    assert_has(err_text(&err), "changed while it was read");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    err_release(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_project(test_capture_refuses), with_project(test_restore_stays_inside),
        with_project(test_damaged_cache),   with_project(test_whole_or_not_at_all),
        with_project(test_killed),          with_project(test_changing),
        with_project(test_stamp),           with_project(test_changing_directory),
        with_project(test_changing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
