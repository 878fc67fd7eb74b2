/* Removing trees: links, depth, locked directories, others at work. */
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

static int count_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void removing(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    int before = count_open();
    assert_int_equal(file_remove_tree(AT_FDCWD, "absent", &err), 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, "absent/below", &err), 0);
    put("f", "");
    assert_int_equal(file_remove_tree(AT_FDCWD, "f", &err), 0);
    assert_int_equal(mkdir("empty", 0755), 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, "empty", &err), 0);

    assert_int_equal(file_mkdirs("t/a/b/c", 0755, NULL), 0);
    assert_int_equal(file_mkdirs("t/d/e", 0755, NULL), 0);
    put("t/f", "");
    put("t/a/b/c/f", "");
    put("t/d/e/\xff\n", "");
    put("t/d/-rf", "");
    assert_int_equal(mkfifo("t/fifo", 0600), 0);
    assert_int_equal(symlink("nowhere", "t/dangling"), 0);
    assert_int_equal(symlink(".", "t/a/self"), 0);
    put("beside", "");
    assert_int_equal(file_remove_tree(AT_FDCWD, "t", &err), 0);
    assert_int_equal(count_entries("."), 1);

    /* Below a directory descriptor; a slash at the end changes nothing. */
    assert_int_equal(file_mkdirs("u/v/w", 0755, NULL), 0);
    int fd = open("u", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(file_remove_tree(fd, "v//", &err), 0);
    assert_int_equal(count_entries("u"), 0);
    assert_int_equal(file_mkdirs("u/v/w/x", 0755, NULL), 0);
    assert_int_equal(file_remove_tree(fd, "v/w", &err), 0);
    assert_int_equal(count_entries("u/v"), 0);
    close(fd);
    assert_int_equal(count_open(), before);

    static const char *const refused[] = {"", ".", "..", "/", "u/.", "u/..", "u/../", "///"};
    for (size_t i = 0; i < COUNT(refused); i++) {
        assert_int_equal(file_remove_tree(AT_FDCWD, refused[i], &err), -ERR_SYSTEM);
        assert_int_equal(err.errnum, EINVAL);
    }
    assert_true(exists("u/v"));
    assert_int_equal(file_remove_tree(-1, "x", &err), -ERR_SYSTEM);
    assert_int_equal(file_remove_tree(AT_FDCWD, "beside/x", &err), -ERR_SYSTEM);
    err_release(&err);
}

static void removing_never_follows(void **state)
{
    (void)state;
    assert_int_equal(file_mkdirs("precious/deep", 0755, NULL), 0);
    put("precious/deep/f", "gold");
    assert_int_equal(mkdir("t", 0755), 0);
    char *absolute = path_join(*state, "precious");
    assert_int_equal(symlink("../precious", "t/a"), 0);
    assert_int_equal(symlink(absolute, "t/b"), 0);
    assert_int_equal(symlink("../precious/deep/f", "t/c"), 0);
    assert_int_equal(symlink("..", "t/up"), 0);
    assert_int_equal(link("precious/deep/f", "t/hard"), 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, "t", NULL), 0);
    assert_false(exists("t"));
    assert_true(exists("precious/deep/f"));
    /* Neither does the name itself, also with the slash that would. */
    assert_int_equal(symlink("precious", "link"), 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, "link/", NULL), 0);
    assert_false(exists("link"));
    assert_true(exists("precious/deep/f"));
    free(absolute);
}

/* Makes depth directories within each other, each with a file, without long paths. */
static void make_deep(const char *top, int depth)
{
    assert_int_equal(mkdir(top, 0755), 0);
    int at = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(at, "d", 0755), 0);
        int file = openat(at, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(file >= 0);
        close(file);
        if (i % 100 == 0)
            assert_int_equal(mkdirat(at, "side", 0755), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(at);
}

static void removing_deep(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    int before = count_open();
    make_deep("t", 5000); /* more than descriptors, and longer than PATH_MAX */
    if (file_remove_tree(AT_FDCWD, "t", &err) != 0)
        fail_msg("%s", err_text(&err));
    assert_false(exists("t"));
    assert_int_equal(count_open(), before);
}

static void removing_with_few_descriptors(void **state)
{
    (void)state;
    struct rlimit old, few;
    struct err err = ERR_INIT;
    make_deep("t", 200);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    close(next);
    few = old;
    few.rlim_cur = (rlim_t)next + 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int code = file_remove_tree(AT_FDCWD, "t", &err);
    setrlimit(RLIMIT_NOFILE, &old);
    if (code)
        fail_msg("%s", err_text(&err));
    assert_false(exists("t"));
}

static void removing_wide(void **state)
{
    (void)state;
    assert_int_equal(mkdir("t", 0755), 0);
    for (int i = 0; i < 3000; i++) {
        char name[300];
        snprintf(name, sizeof(name), "t/%s%0200d", i % 3 ? "file" : "dir", i);
        if (i % 3)
            put(name, "");
        else
            assert_int_equal(mkdir(name, 0755), 0);
    }
    assert_int_equal(file_remove_tree(AT_FDCWD, "t", NULL), 0);
    assert_false(exists("t"));
}

static void *keep_filling(void *arg)
{
    char name[64];
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "t/sub%d/x", i % 7);
        (void)!mkdir("t", 0755);
        name[6] = '\0';
        (void)!mkdir(name, 0755);
        name[6] = '/';
        int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0)
            close(fd);
    }
    return arg;
}

/* Somebody who fills the tree meanwhile, or empties it too, may make it fail but not hang or go
 * astray. */
static void removing_under_others(void **state)
{
    (void)state;
    pthread_t filler;
    assert_int_equal(pthread_create(&filler, NULL, keep_filling, NULL), 0);
    for (int i = 0; i < 300; i++) {
        struct err err = ERR_INIT;
        if (file_remove_tree(AT_FDCWD, "t", &err) != 0)
            assert_true(err.errnum == ENOTEMPTY || err.errnum == EEXIST);
        err_release(&err);
    }
    pthread_join(filler, NULL);
    assert_int_equal(file_remove_tree(AT_FDCWD, "t", NULL), 0);
    assert_false(exists("t"));
}

/* --- without root's powers --- */

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

static int locked_body(void)
{
    static const mode_t modes[] = {0, 0100, 0200, 0300, 0400, 0500, 0600, 0700};
    struct err err = ERR_INIT;
    char name[32];
    if (mkdir("t", 0755))
        return 2;
    for (size_t i = 0; i < COUNT(modes); i++) {
        snprintf(name, sizeof(name), "t/%zu/below/more", i);
        if (file_mkdirs(name, 0755, NULL) != 0)
            return 3;
        snprintf(name, sizeof(name), "t/%zu/f", i);
        if (file_write_atomic(name, "", 0, 0, NULL) != 0)
            return 4;
        snprintf(name, sizeof(name), "t/%zu/below", i);
        if (chmod(name, modes[(i + 3) % COUNT(modes)]))
            return 5;
        snprintf(name, sizeof(name), "t/%zu", i);
        if (chmod(name, modes[i]))
            return 6;
    }
    if (chmod("t", 0))
        return 7;
    if (file_remove_tree(AT_FDCWD, "t", &err) != 0) {
        fprintf(stderr, "%s\n", err_text(&err));
        return 8;
    }
    return exists("t") ? 9 : 0;
}

static void removing_locked(void **state)
{
    (void)state;
    assert_int_equal(as_nobody(locked_body), 0);
}

/* Another user's directory within: it stays, and the message says where. */
static int foreign_body(void)
{
    struct err err = ERR_INIT;
    if (file_remove_tree(AT_FDCWD, "t", &err) != -ERR_SYSTEM)
        return 2;
    bool good = strstr(err_text(&err), "t/foreign") && err.errnum == EACCES;
    if (!good)
        fprintf(stderr, "%s\n", err_text(&err));
    err_release(&err);
    return good && exists("t/foreign") ? 0 : 3;
}

static void removing_what_is_others(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(file_mkdirs("t/foreign/x", 0755, NULL), 0);
    assert_int_equal(chown("t", 65534, 65534), 0);
    assert_int_equal(chmod("t/foreign", 0700), 0);
    assert_int_equal(as_nobody(foreign_body), 0);
    assert_true(exists("t/foreign/x"));
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, enter_new_dir, leave_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(removing),        IN_DIR(removing_never_follows),
        IN_DIR(removing_deep),   IN_DIR(removing_with_few_descriptors),
        IN_DIR(removing_wide),   IN_DIR(removing_under_others),
        IN_DIR(removing_locked), IN_DIR(removing_what_is_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
