/*
 * fault.c - a library to be preloaded into kiln that lets the n-th of its calls go wrong.
 *
 *     FAULT_KIND   count: only count · kill: the process is killed instead of the call
 *                  ENOSPC, EIO, EDQUOT: a call that writes fails so · short: a write is cut short
 *                  lie: a write says that it wrote all, and wrote half · malloc: no memory
 *     FAULT_AT     which one, from 1 on, over all processes and threads of one kiln
 *     FAULT_COUNT  a file that gets the number of calls that counted, one byte of any kind each
 *
 * What counts: with kill and count every call here, otherwise those that change files (and for
 * short and lie writes to regular files alone). Steps do not see it: kiln hands none of its
 * environment on to them.
 */
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

enum kind { OFF, COUNT, KILL, FAIL, SHORT, LIE, MALLOC };
enum class { ANY = 1, CHANGES = 2, WRITES = 4, ALLOCATES = 8 };

static enum kind kind;
static int fault_errno;
static unsigned long fault_at;
static int only = ANY; /* what counts */
static atomic_ulong *counter;
static int report = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *is = getenv("FAULT_KIND"), *at = getenv("FAULT_AT"), *to = getenv("FAULT_COUNT");
    const char *what = getenv("FAULT_CLASS");
    if (!is)
        return;
    counter =
        mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counter == MAP_FAILED)
        abort();
    fault_at = at ? strtoul(at, NULL, 10) : 0;
    if (to)
        report =
            (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!strcmp(is, "ENOSPC") || !strcmp(is, "EIO") || !strcmp(is, "EDQUOT")) {
        fault_errno = *is == 'E' && is[1] == 'N' ? ENOSPC : is[1] == 'I' ? EIO : EDQUOT;
        only = CHANGES;
        kind = FAIL;
    } else if (!strcmp(is, "short") || !strcmp(is, "lie")) {
        only = WRITES;
        kind = *is == 's' ? SHORT : LIE;
    } else if (!strcmp(is, "malloc")) {
        only = ALLOCATES;
        kind = MALLOC;
    } else if (!strcmp(is, "count")) {
        kind = COUNT;
        if (what)
            only = !strcmp(what, "writes")      ? WRITES
                   : !strcmp(what, "changes")   ? CHANGES
                   : !strcmp(what, "allocates") ? ALLOCATES
                                                : ANY;
    } else {
        kind = KILL;
    }
}

/* Whether it is this call's turn to go wrong. */
static bool fault(int classes)
{
    if (kind == OFF || !(classes & only))
        return false;
    unsigned long n = atomic_fetch_add(counter, 1) + 1;
    if (report >= 0)
        (void)syscall(SYS_write, report, ".", 1);
    if (kind == COUNT || n != fault_at)
        return false;
    if (kind == KILL)
        (void)syscall(SYS_kill, getpid(), SIGKILL);
    if (kind == FAIL)
        errno = fault_errno;
    return true;
}

static bool is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
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

#define OPEN(name, params, args, ...)                                                         \
    int name params;                                                                          \
    int name params                                                                           \
    {                                                                                         \
        REAL(int, #name, __VA_ARGS__, mode_t);                                                \
        mode_t mode = 0;                                                                      \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                \
            va_list list;                                                                     \
            va_start(list, flags);                                                            \
            mode = va_arg(list, mode_t);                                                      \
            va_end(list);                                                                     \
        }                                                                                     \
        return fault(ANY | (flags & (O_CREAT | __O_TMPFILE) ? CHANGES : 0)) ? -1 : real args; \
    }

#define WRITE(name, params, args, whole, half, ...)                          \
    ssize_t name params;                                                     \
    ssize_t name params                                                      \
    {                                                                        \
        REAL(ssize_t, #name, __VA_ARGS__);                                   \
        if (!is_regular(fd) || !fault(ANY | CHANGES | (n > 1 ? WRITES : 0))) \
            return real args;                                                \
        if (kind == FAIL)                                                    \
            return -1;                                                       \
        ssize_t done = real half;                                            \
        return kind == LIE && done >= 0 ? (ssize_t)(whole) : done;           \
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
SIMPLE(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n), ANY, int,
       const struct iovec *, int)
SIMPLE(ssize_t, splice,
       (int from, off64_t *at, int to, off64_t *to_at, size_t n, unsigned int flags),
       (from, at, to, to_at, n, flags), ANY | CHANGES, int, off64_t *, int, off64_t *, size_t,
       unsigned int)
SIMPLE(ssize_t, copy_file_range,
       (int from, off64_t *at, int to, off64_t *to_at, size_t n, unsigned int flags),
       (from, at, to, to_at, n, flags), ANY | CHANGES, int, off64_t *, int, off64_t *, size_t,
       unsigned int)
SIMPLE(int, rename, (const char *a, const char *b), (a, b), ANY | CHANGES, const char *,
       const char *)
SIMPLE(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d), ANY | CHANGES,
       int, const char *, int, const char *)
SIMPLE(int, mkdir, (const char *a, mode_t b), (a, b), ANY | CHANGES, const char *, mode_t)
SIMPLE(int, mkdirat, (int a, const char *b, mode_t c), (a, b, c), ANY | CHANGES, int, const char *,
       mode_t)
SIMPLE(int, symlink, (const char *a, const char *b), (a, b), ANY | CHANGES, const char *,
       const char *)
SIMPLE(int, symlinkat, (const char *a, int b, const char *c), (a, b, c), ANY | CHANGES,
       const char *, int, const char *)
SIMPLE(int, linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e),
       ANY | CHANGES, int, const char *, int, const char *, int)
SIMPLE(int, unlink, (const char *a), (a), ANY | CHANGES, const char *)
SIMPLE(int, unlinkat, (int a, const char *b, int c), (a, b, c), ANY | CHANGES, int, const char *,
       int)
SIMPLE(int, ftruncate, (int a, off_t b), (a, b), ANY | CHANGES, int, off_t)
SIMPLE(int, ftruncate64, (int a, off64_t b), (a, b), ANY | CHANGES, int, off64_t)
SIMPLE(int, fsync, (int a), (a), ANY | CHANGES, int)
SIMPLE(int, fdatasync, (int a), (a), ANY | CHANGES, int)
SIMPLE(int, flock, (int a, int b), (a, b), ANY, int, int)
SIMPLE(int, utimensat, (int a, const char *b, const struct timespec *c, int d), (a, b, c, d),
       ANY | CHANGES, int, const char *, const struct timespec *, int)
SIMPLE(int, fchmodat, (int a, const char *b, mode_t c, int d), (a, b, c, d), ANY | CHANGES, int,
       const char *, mode_t, int)
SIMPLE(int, pipe2, (int *a, int b), (a, b), ANY, int *, int)
SIMPLE(ssize_t, read, (int a, void *b, size_t c), (a, b, c), ANY, int, void *, size_t)
SIMPLE(ssize_t, pread, (int a, void *b, size_t c, off_t d), (a, b, c, d), ANY, int, void *, size_t,
       off_t)
SIMPLE(ssize_t, readlinkat, (int a, const char *b, char *c, size_t d), (a, b, c, d), ANY, int,
       const char *, char *, size_t)
SIMPLE(int, fstatat, (int a, const char *b, struct stat *c, int d), (a, b, c, d), ANY, int,
       const char *, struct stat *, int)

/* Closed in any case; some file systems tell only then that the disk is full. */
int close(int fd)
{
    REAL(int, "close", int);
    bool wrong = is_regular(fd) && fault(ANY | CHANGES);
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
