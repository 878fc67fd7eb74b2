/*
 * fault.c - a library to be preloaded into kiln, or to be included by a test, that lets the n-th of
 * its calls go wrong.
 *
 * FAULT_KIND says how: a call that changes files fails with ENOSPC, EIO or EDQUOT;
 *
 * short: a write is cut short;
 *
 * lie, zeros: a write says that it wrote all, and wrote half, or zeros;
 *
 * read: a call that reads files or looks at them fails with EIO;
 *
 * malloc: no memory;
 *
 * refused: a call that makes namespaces, mounts, processes and pipes, or changes users, fails with
 * EPERM;
 *
 * kill: instead of a call that changes or reads files, kiln is killed.
 *
 * FAULT_AT is which one, from 1 on, over all processes and threads of one kiln; 0 only counts.
 * FAULT_COUNT is a file that has the number of calls that counted, in eight bytes.
 *
 * Writes and reads are those of regular files alone. Steps do not see it: kiln hands none of its
 * environment on to them.
 */
#include <alloca.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum class { CHANGES = 1, WRITES = 2, READS = 4, ALLOCATES = 8, STARTS = 16 };
enum how { FAIL, SHORT, LIE, ZEROS, KILL };

static const struct kind {
    const char *name;
    enum class only; /* what counts */
    enum how how;
    int errnum;
} kinds[] = {
    {"ENOSPC", CHANGES, FAIL, ENOSPC}, {"EIO", CHANGES, FAIL, EIO},
    {"EDQUOT", CHANGES, FAIL, EDQUOT}, {"short", WRITES, SHORT, 0},
    {"lie", WRITES, LIE, 0},           {"zeros", WRITES, ZEROS, 0},
    {"read", READS, FAIL, EIO},        {"malloc", ALLOCATES, FAIL, ENOMEM},
    {"refused", STARTS, FAIL, EPERM},  {"kill", CHANGES | READS, KILL, 0},
};

static const struct kind *kind;
static unsigned long fault_at;
static atomic_ulong *counter;
static long (*raw)(long number, ...); /* syscall(), but for the one below */

__attribute__((constructor)) static void begin(void)
{
    *(void **)&raw = dlsym(RTLD_NEXT, "syscall");
    const char *is = getenv("FAULT_KIND"), *at = getenv("FAULT_AT"), *to = getenv("FAULT_COUNT");
    if (!is || !to)
        return;
    int fd = (int)raw(SYS_openat, AT_FDCWD, to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || raw(SYS_ftruncate, fd, sizeof(*counter)) != 0)
        abort();
    counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)raw(SYS_close, fd);
    if (counter == MAP_FAILED)
        abort();
    fault_at = at ? strtoul(at, NULL, 10) : 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (!strcmp(is, kinds[i].name))
            kind = &kinds[i];
}

/* Whether it is this call's turn to go wrong. */
static bool fault(int classes)
{
    if (!kind || !(classes & (int)kind->only))
        return false;
    unsigned long n = atomic_fetch_add(counter, 1) + 1;
    if (n != fault_at)
        return false;
    if (kind->how == KILL)
        (void)kill(getpid(), SIGKILL);
    errno = kind->errnum;
    return true;
}

static bool is_regular(int fd)
{
    struct stat st; /* not by the fstat() below, which would count */
    return raw(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISREG(st.st_mode);
}

static bool of_libuv(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) != 0 && info.dli_fname && strstr(info.dli_fname, "libuv");
}

#define REAL(type, name, ...)                                        \
    static void *found;                                              \
    type (*real)(__VA_ARGS__);                                       \
    *(void **)&real = __atomic_load_n(&found, __ATOMIC_RELAXED);     \
    if (!real) {                                                     \
        *(void **)&real = dlsym(RTLD_NEXT, name);                    \
        __atomic_store_n(&found, *(void **)&real, __ATOMIC_RELAXED); \
    }

#define SIMPLE(type, name, params, args, classes, ...) \
    type name params;                                  \
    type name params                                   \
    {                                                  \
        REAL(type, #name, __VA_ARGS__);                \
        return fault(classes) ? (type)-1 : real args;  \
    }

#define OPEN(name, params, args, ...)                                                     \
    int name params;                                                                      \
    int name params                                                                       \
    {                                                                                     \
        REAL(int, #name, __VA_ARGS__, mode_t);                                            \
        mode_t mode = 0;                                                                  \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                            \
            va_list list;                                                                 \
            va_start(list, flags);                                                        \
            mode = va_arg(list, mode_t);                                                  \
            va_end(list);                                                                 \
        }                                                                                 \
        return fault(flags & (O_CREAT | __O_TMPFILE) ? CHANGES : READS) ? -1 : real args; \
    }

#define WRITE(name, params, args, whole, half, ...)                     \
    ssize_t name params;                                                \
    ssize_t name params                                                 \
    {                                                                   \
        REAL(ssize_t, #name, __VA_ARGS__);                              \
        if (!is_regular(fd) || !fault(CHANGES | (n > 1 ? WRITES : 0)))  \
            return real args;                                           \
        if (kind->how == FAIL)                                          \
            return -1;                                                  \
        if (kind->how == ZEROS) {                                       \
            p = memset(alloca(n), 0, n);                                \
            return real args;                                           \
        }                                                               \
        ssize_t done = real half;                                       \
        return kind->how == LIE && done >= 0 ? (ssize_t)(whole) : done; \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), const char *, int)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), const char *, int)
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), int, const char *,
     int)
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), int,
     const char *, int)
WRITE(write, (int fd, const void *p, size_t n), (fd, p, n), n, (fd, p, n / 2), int, const void *,
      size_t)
WRITE(pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), n, (fd, p, n / 2, at),
      int, const void *, size_t, off_t)
WRITE(pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at), n,
      (fd, p, n / 2, at), int, const void *, size_t, off64_t)
SIMPLE(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n), 0, int,
       const struct iovec *, int)
SIMPLE(ssize_t, copy_file_range,
       (int from, off64_t *at, int to, off64_t *to_at, size_t n, unsigned int flags),
       (from, at, to, to_at, n, flags), CHANGES, int, off64_t *, int, off64_t *, size_t,
       unsigned int)
SIMPLE(int, rename, (const char *a, const char *b), (a, b), CHANGES, const char *, const char *)
SIMPLE(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d), CHANGES, int,
       const char *, int, const char *)
SIMPLE(int, renameat2, (int a, const char *b, int c, const char *d, unsigned int e),
       (a, b, c, d, e), CHANGES, int, const char *, int, const char *, unsigned int)
SIMPLE(int, mkdir, (const char *a, mode_t b), (a, b), CHANGES, const char *, mode_t)
SIMPLE(int, mkdirat, (int a, const char *b, mode_t c), (a, b, c), CHANGES, int, const char *,
       mode_t)
SIMPLE(int, symlink, (const char *a, const char *b), (a, b), CHANGES, const char *, const char *)
SIMPLE(int, symlinkat, (const char *a, int b, const char *c), (a, b, c), CHANGES, const char *, int,
       const char *)
SIMPLE(int, linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e), CHANGES,
       int, const char *, int, const char *, int)
SIMPLE(int, mknodat, (int a, const char *b, mode_t c, dev_t d), (a, b, c, d), CHANGES, int,
       const char *, mode_t, dev_t)
SIMPLE(int, unlink, (const char *a), (a), CHANGES, const char *)
SIMPLE(int, unlinkat, (int a, const char *b, int c), (a, b, c), CHANGES, int, const char *, int)
SIMPLE(int, ftruncate, (int a, off_t b), (a, b), CHANGES, int, off_t)
SIMPLE(int, ftruncate64, (int a, off64_t b), (a, b), CHANGES, int, off64_t)
SIMPLE(int, fsync, (int a), (a), CHANGES, int)
SIMPLE(int, fdatasync, (int a), (a), CHANGES, int)
SIMPLE(int, utimensat, (int a, const char *b, const struct timespec c[2], int d), (a, b, c, d),
       CHANGES, int, const char *, const struct timespec *, int)
SIMPLE(int, fchmodat, (int a, const char *b, mode_t c, int d), (a, b, c, d), CHANGES, int,
       const char *, mode_t, int)
SIMPLE(int, fchmod, (int a, mode_t b), (a, b), CHANGES, int, mode_t)
SIMPLE(int, futimens, (int a, const struct timespec b[2]), (a, b), CHANGES, int,
       const struct timespec *)
SIMPLE(int, mkostemp, (char *a, int b), (a, b), CHANGES, char *, int)
SIMPLE(ssize_t, readlinkat, (int a, const char *b, char *c, size_t d), (a, b, c, d), READS, int,
       const char *, char *, size_t)
SIMPLE(int, fstatat, (int a, const char *b, struct stat *c, int d), (a, b, c, d), READS, int,
       const char *, struct stat *, int)
SIMPLE(int, fstat, (int a, struct stat *b), (a, b), READS, int, struct stat *)
SIMPLE(int, stat, (const char *a, struct stat *b), (a, b), READS, const char *, struct stat *)
SIMPLE(int, lstat, (const char *a, struct stat *b), (a, b), READS, const char *, struct stat *)
SIMPLE(int, statx, (int a, const char *b, int c, unsigned int d, struct statx *e), (a, b, c, d, e),
       READS, int, const char *, int, unsigned int, struct statx *)
SIMPLE(ssize_t, getdents64, (int a, void *b, size_t c), (a, b, c), READS, int, void *, size_t)

SIMPLE(int, mount, (const char *a, const char *b, const char *c, unsigned long d, const void *e),
       (a, b, c, d, e), STARTS, const char *, const char *, const char *, unsigned long,
       const void *)
SIMPLE(int, open_tree, (int a, const char *b, unsigned int c), (a, b, c), STARTS, int, const char *,
       unsigned int)
SIMPLE(int, move_mount, (int a, const char *b, int c, const char *d, unsigned int e),
       (a, b, c, d, e), STARTS, int, const char *, int, const char *, unsigned int)
SIMPLE(int, umount2, (const char *a, int b), (a, b), STARTS, const char *, int)
SIMPLE(int, setns, (int a, int b), (a, b), STARTS, int, int)
SIMPLE(int, unshare, (int a), (a), STARTS, int)
SIMPLE(pid_t, fork, (void), (), STARTS, void)
/* libuv aborts when it has no pipe to begin with. */
#define CLASS_OF_PIPES (of_libuv(__builtin_return_address(0)) ? 0 : STARTS)
SIMPLE(int, pipe2, (int a[2], int b), (a, b), CLASS_OF_PIPES, int *, int)
SIMPLE(int, socketpair, (int a, int b, int c, int d[2]), (a, b, c, d), STARTS, int, int, int, int *)
SIMPLE(int, chdir, (const char *a), (a), STARTS, const char *)
SIMPLE(int, fchdir, (int a), (a), STARTS, int)
SIMPLE(int, fchownat, (int a, const char *b, uid_t c, gid_t d, int e), (a, b, c, d, e), CHANGES,
       int, const char *, uid_t, gid_t, int)

/* What starts steps: child runs in the caller's memory. */
int clone(int (*child)(void *), void *stack, int flags, void *arg, ...);
int clone(int (*child)(void *), void *stack, int flags, void *arg, ...)
{
    REAL(int, "clone", int (*)(void *), void *, int, void *, ...);
    return fault(STARTS) ? -1 : real(child, stack, flags, arg);
}

/* What is called by number: changing users, execveat. */
long syscall(long number, ...)
{
    long arg[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(list, long);
    va_end(list);
    if (!raw)
        *(void **)&raw = dlsym(RTLD_NEXT, "syscall");
    bool starts = number == SYS_setresuid || number == SYS_setresgid || number == SYS_execveat ||
                  number == SYS_setgroups;
    return starts && fault(STARTS) ? -1
                                   : raw(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

ssize_t read(int fd, void *p, size_t n);
ssize_t read(int fd, void *p, size_t n)
{
    REAL(ssize_t, "read", int, void *, size_t);
    return is_regular(fd) && fault(READS) ? -1 : real(fd, p, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t at);
ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    return fault(READS) ? -1 : real(fd, p, n, at);
}

struct dirent *readdir(DIR *dir);
struct dirent *readdir(DIR *dir)
{
    REAL(struct dirent *, "readdir", DIR *);
    return fault(READS) ? NULL : real(dir);
}

/* Closed in any case; some file systems tell only then that the disk is full. */
int close(int fd)
{
    REAL(int, "close", int);
    bool wrong = is_regular(fd) && fault(CHANGES);
    int errnum = errno;
    int rc = real(fd);
    if (!wrong)
        return rc;
    errno = errnum;
    return -1;
}

#ifndef FAULT_NO_MALLOC /* a sanitizer has its own */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    if (fault(ALLOCATES)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    if (fault(ALLOCATES)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    if (fault(ALLOCATES)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(p, n);
}
#endif
