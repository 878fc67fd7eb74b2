#include "base/file.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)
/* A page that is written through a mapping stays writable without a further change of the file's
 * times until it is written back: seconds, ten minutes with laptop mode. */
#define WRITEBACK_S 3600

int file_read_fd(int fd, const char *name, size_t max, struct buf *buf, struct err *err)
{
    size_t before = buf->len;
    size_t step = READ_BYTES;
    struct stat st;
    /* One byte more than the file has, so that its end is seen without growing again. Files of
     * /proc say that they have none, and a number there is read at once or not to its end. */
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        size_t size = (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
        step = size < SIZE_MAX / 2 ? size + 1 : SIZE_MAX / 2;
    }
    for (;;) {
        size_t have = buf->len - before;
        size_t want = have <= max ? max - have : 0;
        want = want < step ? want + 1 : step; /* one byte over max tells that it is too much */
        char *to = buf_reserve(buf, want);
        ssize_t n = read(fd, to, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int errnum = errno;
            buf_truncate(buf, before);
            return err_sys(err, errnum, "cannot read %s", name);
        }
        to[n] = '\0';
        if (n == 0)
            return 0;
        buf->len += (size_t)n;
        if (buf->len - before > max) {
            buf_truncate(buf, before);
            return err_sys(err, EFBIG, "cannot read %s: it has more than %zu bytes", name, max);
        }
        step = READ_BYTES;
    }
}

int file_read(const char *path, size_t max, struct buf *buf, struct err *err)
{
    /* A FIFO that nobody writes to must not hang us: opened without blocking it reads as empty. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "cannot open %s", path);
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    int code = file_read_fd(fd, path, max, buf, err);
    close(fd);
    return code;
}

int file_write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n) {
        ssize_t written = write(fd, p, n);
        if (written >= 0) {
            p += written;
            n -= (size_t)written;
        } else if (errno == EAGAIN) {
            /* Somebody else's O_NONBLOCK on a shared terminal or pipe is no reason to lose output.
             */
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            if (poll(&room, 1, -1) < 0 && errno != EINTR)
                return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

/* Creates a file with a new name beside path; returns its descriptor, or -1 with errno. The name is
 * the caller's. */
static int open_beside(const char *path, mode_t mode, char **name)
{
    const char *slash = strrchr(path, '/');
    int dir_len = slash ? (int)(slash - path) + 1 : 0;
    uint64_t number = clock_monotonic_ns() ^ (uint64_t)(uintptr_t)name << 20;
    for (int tries = 0;; tries++) {
        *name = mem_printf("%.*s.kiln-%lx-%" PRIx64 ".tmp", dir_len, path, (unsigned long)getpid(),
                           number);
        int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0 || errno != EEXIST || tries == 100)
            return fd;
        free(*name);
        number = number * 6364136223846793005u + 1442695040888963407u;
    }
}

int file_write_atomic(const char *path, const void *bytes, size_t n, mode_t mode, struct err *err)
{
    char *name;
    int code = 0;
    int fd = open_beside(path, mode, &name);
    if (fd < 0) {
        code = err_sys(err, errno, "cannot write %s: cannot create a file beside it", path);
    } else {
        int failed = file_write_all(fd, bytes, n) < 0 ? errno : 0;
        /* Some file systems tell only now that the disk or the quota is full. */
        if (close(fd) < 0 && !failed && errno != EINTR)
            failed = errno;
        if (!failed && rename(name, path) < 0)
            failed = errno;
        if (failed) {
            unlink(name);
            code = err_sys(err, failed, "cannot write %s", path);
        }
    }
    free(name);
    return code;
}

/* Opened anew, the file that /dev/stdout leads to would be emptied, and a socket can't be opened.
 */
static int own_stream(const char *path)
{
    struct stat there, own;
    if (stat(path, &there) < 0)
        return -1;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &own) == 0 && own.st_ino == there.st_ino && own.st_dev == there.st_dev)
            return fd;
    return -1;
}

int file_write_named(const char *path, const void *bytes, size_t n, mode_t mode, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0 || S_ISREG(st.st_mode))
        return file_write_atomic(path, bytes, n, mode, err);
    /* A pipe that nobody reads from must not hang us. */
    int make = S_ISLNK(st.st_mode) ? O_CREAT | O_TRUNC : 0, stream = own_stream(path);
    int fd = stream >= 0 ? stream
                         : open(path, O_WRONLY | make | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
    int failed = fd < 0 || file_write_all(fd, bytes, n) < 0 ? errno : 0;
    if (fd >= 0 && fd != stream && close(fd) < 0 && !failed && errno != EINTR)
        failed = errno;
    return failed ? err_sys(err, failed, "cannot write %s", path) : 0;
}

/* That is what a lease asks. Who opens the file in the instant between waits for the lease to be
 * given back; the signal that tells of that is one that nobody is woken by. */
bool file_has_writer(int fd, int64_t changed)
{
    if (changed < (int64_t)(clock_realtime_ns() / 1000000000) - WRITEBACK_S ||
        fcntl(fd, F_SETSIG, SIGURG) != 0)
        return false;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        (void)fcntl(fd, F_SETLEASE, F_UNLCK);
        return false;
    }
    return errno == EAGAIN;
}

/* 0 when path is a directory (or a link to one), made now or there before; else errno. */
static int make_dir(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0)
        return 0;
    int errnum = errno;
    /* Asked whatever the error was: a read-only or automounted place refuses before it says that it
     * exists. */
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    return errnum;
}

int file_mkdirs(const char *path, mode_t mode, struct err *err)
{
    int errnum = make_dir(path, mode);
    if (errnum == ENOENT && *path) {
        char *part = mem_strdup(path);
        char *p = part + strspn(part, "/");
        errnum = 0;
        while (!errnum && *p) {
            p += strcspn(p, "/");
            char *next = p + strspn(p, "/");
            char kept = *p;
            *p = '\0';
            /* A parent that its owner cannot enter would be of no use. */
            errnum = make_dir(part, *next ? mode | S_IWUSR | S_IXUSR : mode);
            *p = kept;
            p = next;
        }
        free(part);
    }
    return errnum ? err_sys(err, errnum, "cannot make the directory %s", path) : 0;
}

void file_boot_id(char id[BOOT_ID_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, id, BOOT_ID_SIZE - 1);
    id[n > 0 ? n : 0] = '\0';
    id[strcspn(id, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}
