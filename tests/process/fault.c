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
 * kill: instead of a call that changes or reads files, kiln is killed.
 *
 * FAULT_AT is which one, from 1 on, over all processes and threads of one kiln; 0 only counts.
 * FAULT_COUNT is a file that gets the number of calls that counted, one byte of any kind each.
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

enum class { CHANGES = 1, WRITES = 2, READS = 4, ALLOCATES = 8 };
enum how { FAIL, SHORT, LIE, ZEROS, KILL };

static const struct kind {
    const char *name;
    enum class only; /* what counts */
    enum how how;
    int errnum;
} kinds[] = {
    {"ENOSPC", CHANGES, FAIL, ENOSPC},
    {"EIO", CHANGES, FAIL, EIO},
    {"EDQUOT", CHANGES, FAIL, EDQUOT},
    {"short", WRITES, SHORT, 0},
    {"lie", WRITES, LIE, 0},
    {"zeros", WRITES, ZEROS, 0},
    {"read", READS, FAIL, EIO},
    {"malloc", ALLOCATES, FAIL, ENOMEM},
    {"kill", CHANGES | READS, KILL, 0},
};

static const struct kind *kind;
static unsigned long fault_at;
static atomic_ulong *counter;
static int report_fd = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *is = getenv("FAULT_KIND"), *at = getenv("FAULT_AT"), *to = getenv("FAULT_COUNT");
    if (!is)
        return;
    counter =
        mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counter == MAP_FAILED)
        abort();
    fault_at = at ? strtoul(at, NULL, 10) : 0;
    if (to)
        report_fd =
            (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
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
    if (report_fd >= 0)
        (void)syscall(SYS_write, report_fd, ".", 1);
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
    return syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISREG(st.st_mode);
}

#define REAL(type, name, ...)         \
    static type (*real)(__VA_ARGS__); \
    if (!real)                        \
    *(void **)&real = dlsym(RTLD_NEXT, name)

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
SIMPLE(ssize_t, splice,
       (int from, off64_t *at, int to, off64_t *to_at, size_t n, unsigned int flags),
       (from, at, to, to_at, n, flags), CHANGES, int, off64_t *, int, off64_t *, size_t,
       unsigned int)
SIMPLE(ssize_t, copy_file_range,
       (int from, off64_t *at, int to, off64_t *to_at, size_t n, unsigned int flags),
       (from, at, to, to_at, n, flags), CHANGES, int, off64_t *, int, off64_t *, size_t,
       unsigned int)
SIMPLE(int, rename, (const char *a, const char *b), (a, b), CHANGES, const char *, const char *)
SIMPLE(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d), CHANGES, int,
       const char *, int, const char *)
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
