/* Whole files and directories: reading, replacing, making. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Every test starts in a new empty directory. */
static int enter_new_dir(void **state)
{
    char name[] = "/tmp/kiln-test-file-XXXXXX";
    if (!mkdtemp(name) || chdir(name) < 0)
        return -1;
    *state = strdup(name);
    return 0;
}

static int leave_dir(void **state)
{
    struct err err = ERR_INIT;
    if (chdir("/") < 0 || file_remove_tree(AT_FDCWD, *state, &err) != 0)
        fprintf(stderr, "%s\n", err_text(&err));
    err_release(&err);
    free(*state);
    return 0;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static size_t count_entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return n;
}

/* --- reading --- */

static void reading(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    put("f", "hello");
    buf_adds(&buf, "> ");
    assert_int_equal(file_read("f", 5, &buf, &err), 0);
    assert_string_equal(buf_str(&buf), "> hello");
    assert_int_equal(file_read("f", SIZE_MAX, &buf, &err), 0);
    assert_string_equal(buf_str(&buf), "> hellohello");

    /* What does not fit adds nothing. */
    assert_int_equal(file_read("f", 4, &buf, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, EFBIG);
    assert_non_null(strstr(err_text(&err), "cannot read f: "));
    assert_string_equal(buf_str(&buf), "> hellohello");
    assert_int_equal(file_read("f", 0, &buf, &err), -ERR_SYSTEM);

    assert_int_equal(file_read("absent", 9, &buf, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, ENOENT);
    assert_non_null(strstr(err_text(&err), "absent"));
    assert_int_equal(file_read(".", 9, &buf, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, EISDIR);
    assert_int_equal(file_read("f/x", 9, &buf, NULL), -ERR_SYSTEM);

    put("empty", "");
    buf_reset(&buf);
    assert_int_equal(file_read("empty", 0, &buf, &err), 0);
    assert_int_equal(buf.len, 0);
    /* Files of the kernel have no size before they are read. */
    assert_int_equal(file_read("/proc/self/status", 1 << 20, &buf, &err), 0);
    assert_non_null(strstr(buf_str(&buf), "Pid:"));
    assert_int_equal(file_read("/proc/self/status", 10, &buf, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, EFBIG);
    err_release(&err);
    buf_release(&buf);
}

static void reading_large(void **state)
{
    (void)state;
    size_t n = 3000001;
    char *bytes = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 >> 3);
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    assert_int_equal(file_write_atomic("f", bytes, n, 0644, &err), 0);
    assert_int_equal(file_read("f", n, &buf, &err), 0);
    assert_int_equal(buf.len, n);
    assert_memory_equal(buf.data, bytes, 3000001);
    buf_reset(&buf);
    int fd = open("f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, 3000000, SEEK_SET), 3000000);
    assert_int_equal(file_read_fd(fd, "the rest", 10, &buf, &err), 0);
    assert_int_equal(buf.len, 1);
    close(fd);
    assert_int_equal(file_read_fd(fd, "the rest", 10, &buf, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "the rest"));
    err_release(&err);
    buf_release(&buf);
    free(bytes);
}

/* The kernel's settings have no size, and give a number at the first read or never. */
static void reading_a_setting(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    FILE *file = fopen("/proc/sys/kernel/pid_max", "re");
    unsigned long want = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &want), 1);
    fclose(file);
    assert_true(want > 9);
    assert_int_equal(file_read("/proc/sys/kernel/pid_max", 4096, &text, NULL), 0);
    assert_int_equal(strtoul(buf_str(&text), NULL, 10), want);
    buf_release(&text);
}

static void reading_a_fifo_does_not_hang(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    alarm(20);
    assert_int_equal(file_read("fifo", 10, &buf, NULL), 0);
    alarm(0);
    assert_int_equal(buf.len, 0);
    buf_release(&buf);
}

/* --- writing --- */

struct pump {
    int fd;
    size_t n;
};

static void *write_much(void *arg)
{
    struct pump *pump = arg;
    char *bytes = mem_zalloc(pump->n, 1);
    int result = file_write_all(pump->fd, bytes, pump->n);
    free(bytes);
    close(pump->fd);
    return result == 0 ? NULL : pump;
}

static void writing_past_short_writes(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    /* A pipe that does not block takes what fits, then refuses. */
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    struct pump pump = {fds[1], 1 << 20};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_much, &pump), 0);
    struct buf buf = BUF_INIT;
    assert_int_equal(file_read_fd(fds[0], "pipe", 1 << 21, &buf, NULL), 0);
    assert_int_equal(buf.len, 1 << 20);
    void *failed;
    pthread_join(thread, &failed);
    assert_null(failed);
    close(fds[0]);
    buf_release(&buf);

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(file_write_all(fds[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(file_write_all(fds[1], NULL, 0), 0);
    close(fds[1]);
}

static void replacing(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct stat st;
    umask(022);
    assert_int_equal(file_write_atomic("f", "one", 3, 0666, &err), 0);
    assert_int_equal(stat("f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    ino_t first = st.st_ino;
    int fd = open("f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_write_atomic("./f", "two", 3, 0600, &err), 0);
    assert_int_equal(stat("f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(st.st_ino != first);
    /* Who has it open keeps the old. */
    assert_int_equal(file_read_fd(fd, "f", 9, &buf, &err), 0);
    assert_string_equal(buf_str(&buf), "one");
    close(fd);
    assert_int_equal(count_entries("."), 1);

    /* A link is replaced, not written through. */
    put("target", "old");
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(file_write_atomic("link", "new", 3, 0644, &err), 0);
    buf_reset(&buf);
    assert_int_equal(file_read("target", 9, &buf, &err), 0);
    assert_string_equal(buf_str(&buf), "old");
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISREG(st.st_mode));

    /* A place that somebody named stays what it is, if it is no file. */
    assert_int_equal(symlink("target", "to_target"), 0);
    assert_int_equal(symlink("made", "to_nothing"), 0);
    assert_int_equal(file_write_named("to_target", "nu", 2, 0644, &err), 0);
    assert_int_equal(file_write_named("to_nothing", "some", 4, 0644, &err), 0);
    assert_int_equal(file_write_named("f", "three", 5, 0644, &err), 0);
    const char *const named[][2] = {{"target", "nu"}, {"made", "some"}, {"f", "three"}};
    for (size_t i = 0; i < 3; i++) {
        buf_reset(&buf);
        assert_int_equal(file_read(named[i][0], 9, &buf, &err), 0);
        assert_string_equal(buf_str(&buf), named[i][1]);
    }
    assert_int_equal(lstat("to_target", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(file_write_named("pipe", "x", 1, 0644, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, ENXIO); /* nobody reads it */
    err_release(&err);
    assert_int_equal(lstat("pipe", &st), 0);
    assert_true(S_ISFIFO(st.st_mode));

    /* The longest name there can be. */
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(file_write_atomic(name, "", 0, 0644, &err), 0);

    /* A failure leaves nothing behind. */
    size_t before = count_entries(".");
    assert_int_equal(mkdir("dir", 0755), 0);
    put("dir/x", "");
    assert_int_equal(file_write_atomic("dir", "x", 1, 0644, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "cannot write dir: "));
    assert_int_equal(count_entries("."), before + 1);
    assert_int_equal(file_write_atomic("no/f", "x", 1, 0644, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, ENOENT);
    err_release(&err);
    buf_release(&buf);
}

static void a_full_disk(void **state)
{
    (void)state;
    struct rlimit old, small;
    struct err err = ERR_INIT;
    put("f", "kept");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char bytes[5000] = {0};
    int code = file_write_atomic("f", bytes, sizeof(bytes), 0644, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(code, -ERR_SYSTEM);
    assert_int_equal(err.errnum, EFBIG);
    assert_int_equal(count_entries("."), 1);
    struct buf buf = BUF_INIT;
    assert_int_equal(file_read("f", 99, &buf, &err), 0);
    assert_string_equal(buf_str(&buf), "kept");
    buf_release(&buf);
    err_release(&err);
}

static void making_directories(void **state)
{
    struct err err = ERR_INIT;
    struct stat st;
    umask(022);
    assert_int_equal(file_mkdirs("a/b//c/", 0755, &err), 0);
    assert_int_equal(stat("a/b/c", &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(file_mkdirs("a/b/c", 0755, &err), 0);
    assert_int_equal(file_mkdirs(".", 0755, &err), 0);
    assert_int_equal(file_mkdirs("/", 0755, &err), 0);
    assert_int_equal(file_mkdirs("x/../y/./z", 0755, &err), 0);
    assert_true(exists("y/z"));
    char *absolute = path_join(*state, "abs/one");
    assert_int_equal(file_mkdirs(absolute, 0700, &err), 0);
    assert_int_equal(stat("abs/one", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    free(absolute);
    /* A mode that forbids entering is for the last one. */
    assert_int_equal(file_mkdirs("m/n", 0500, &err), 0);
    assert_int_equal(stat("m/n", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0500);

    assert_int_equal(symlink("a", "link"), 0);
    assert_int_equal(file_mkdirs("link/b/d", 0755, &err), 0);
    assert_true(exists("a/b/d"));

    put("file", "");
    assert_int_equal(file_mkdirs("file", 0755, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, ENOTDIR);
    assert_int_equal(file_mkdirs("file/x", 0755, &err), -ERR_SYSTEM);
    assert_int_equal(err.errnum, ENOTDIR);
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_int_equal(file_mkdirs("dangling/x", 0755, &err), -ERR_SYSTEM);
    assert_int_equal(file_mkdirs("", 0755, &err), -ERR_SYSTEM);
    assert_int_equal(file_mkdirs("/proc/no/such", 0755, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "/proc/no/such"));
    err_release(&err);
}

static void *make_same_dirs(void *arg)
{
    return file_mkdirs("p/q/r/s/t/u/v", 0755, NULL) == 0 ? NULL : arg;
}

static void making_directories_at_once(void **state)
{
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        for (size_t i = 0; i < COUNT(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, make_same_dirs, state), 0);
        for (size_t i = 0; i < COUNT(threads); i++) {
            void *failed;
            pthread_join(threads[i], &failed);
            assert_null(failed);
        }
        assert_int_equal(file_remove_tree(AT_FDCWD, "p", NULL), 0);
    }
}

static int as_nobody(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (chmod(".", 0777) || setgid(65534) || setuid(65534)))
            _exit(99);
        prctl(PR_SET_DUMPABLE, 1); /* changing the user took /proc/self away */
        _exit(body());
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int refused_body(void)
{
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    /* The caller's own directory is not ours to unlock: only what is to go is. */
    if (mkdir("up", 0755) || mkdir("up/t", 0755) || chmod("up", 0500))
        return 2;
    if (file_remove_tree(AT_FDCWD, "up/t", &err) != -ERR_SYSTEM || err.errnum != EACCES)
        return 3;
    if (!strstr(err_text(&err), "up/t") || !exists("up/t"))
        return 4;
    struct stat st;
    if (stat("up", &st) || (st.st_mode & 0777) != 0500)
        return 5;
    if (file_write_atomic("up/f", "x", 1, 0644, &err) != -ERR_SYSTEM || err.errnum != EACCES)
        return 6;
    if (file_mkdirs("up/x/y", 0755, &err) != -ERR_SYSTEM || err.errnum != EACCES)
        return 7;
    if (file_write_atomic("secret", "x", 1, 0, &err) != 0)
        return 8;
    if (file_read("secret", 9, &buf, &err) != -ERR_SYSTEM || err.errnum != EACCES)
        return 9;
    if (chmod("up", 0700) || file_remove_tree(AT_FDCWD, "up", &err) != 0)
        return 10;
    err_release(&err);
    return 0;
}

static void refused(void **state)
{
    (void)state;
    assert_int_equal(as_nobody(refused_body), 0);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, enter_new_dir, leave_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(reading),
        IN_DIR(reading_large),
        IN_DIR(reading_a_setting),
        IN_DIR(reading_a_fifo_does_not_hang),
        IN_DIR(writing_past_short_writes),
        IN_DIR(replacing),
        IN_DIR(a_full_disk),
        IN_DIR(making_directories),
        IN_DIR(making_directories_at_once),
        IN_DIR(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
