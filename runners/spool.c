#include "runners/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#define COPY_SIZE 65536

static void open_file(struct spool *spool)
{
    if (spool->fd >= 0 || spool->errnum)
        return;
    spool->fd = spool->open(spool->ctx);
    if (spool->fd < 0)
        spool->errnum = errno;
}

size_t spool_add(struct spool *spool, const char *bytes, size_t n)
{
    size_t done = 0;
    open_file(spool);
    while (done < n && !spool->errnum) {
        ssize_t put = pwrite(spool->fd, bytes + done, n - done, (off_t)spool->offset);
        if (put > 0) {
            done += (size_t)put;
            spool->offset += (uint64_t)put;
        } else if (put == 0) {
            spool->errnum = ENOSPC;
        } else if (errno != EINTR) {
            spool->errnum = errno;
        }
    }
    return done;
}

/* What the filter makes of the bytes, as far as the limit allows. Returns how many bytes went to
 * the file. */
static size_t add_filtered(struct spool *spool, int stream, const char *bytes, size_t n)
{
    struct buf out = BUF_INIT;
    spool->filter(spool->ctx, stream, bytes, n, &out);
    size_t keep = out.len < spool->left ? out.len : (size_t)spool->left;
    spool->truncated |= keep < out.len;
    size_t kept = keep && !spool->errnum ? spool_add(spool, out.data, keep) : 0;
    if (out.data)
        explicit_bzero(out.data, out.cap);
    buf_release(&out);
    return kept;
}

/* All answer as read(2) does: bytes taken from the pipe, 0 at its end, -1 with errno. */
static ssize_t take_filtering(struct spool *spool, int stream, int pipe, size_t max, uint64_t *kept)
{
    char bytes[COPY_SIZE];
    ssize_t n = read(pipe, bytes, max < sizeof bytes ? max : sizeof bytes);
    if (n > 0) {
        *kept = add_filtered(spool, stream, bytes, (size_t)n);
        explicit_bzero(bytes, (size_t)n);
    }
    return n;
}

static ssize_t take_copying(struct spool *spool, int pipe, size_t max, bool keep, uint64_t *kept)
{
    char bytes[COPY_SIZE];
    ssize_t n = read(pipe, bytes, max < sizeof bytes ? max : sizeof bytes);
    if (n > 0 && keep)
        *kept = spool_add(spool, bytes, (size_t)n);
    return n;
}

static ssize_t take(struct spool *spool, int stream, int pipe, size_t max, bool keep,
                    uint64_t *kept)
{
    *kept = 0;
    if (spool->filter)
        return take_filtering(spool, stream, pipe, max, kept);
    if (spool->copying)
        return take_copying(spool, pipe, max, keep, kept);
    off_t at = (off_t)spool->offset;
    ssize_t n = splice(pipe, NULL, keep ? spool->fd : spool->null_fd, keep ? &at : NULL, max,
                       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    /* Not every file can be spliced to: one opened with O_APPEND, some filesystems, some sandboxes.
     */
    if (n < 0 && (errno == EINVAL || errno == ENOSYS)) {
        spool->copying = true;
        return take_copying(spool, pipe, max, keep, kept);
    }
    if (n > 0 && keep) {
        *kept = (uint64_t)n;
        spool->offset += (uint64_t)n;
    }
    return n;
}

static bool is_empty(int pipe)
{
    int n = 0;
    return ioctl(pipe, FIONREAD, &n) == 0 && n == 0;
}

uint64_t spool_take(struct spool *spool, int stream, int pipe, size_t max)
{
    uint64_t kept = 0;
    if (spool->fd < 0 && is_empty(pipe))
        return 0;
    if (!spool->filter) /* which may leave nothing for it */
        open_file(spool);
    while (max > 0) {
        bool keep = !spool->errnum && spool->left > 0;
        uint64_t written;
        size_t want = keep && !spool->filter && spool->left < max ? (size_t)spool->left : max;
        ssize_t n = take(spool, stream, pipe, want, keep, &written);
        kept += written;
        if (n < 0 && errno == EINTR)
            continue;
        /* A pipe itself does not fail; should it, there is nothing more to get. */
        if (n == 0 || (n < 0 && (errno == EAGAIN || !keep)))
            break;
        if (n < 0) {
            spool->errnum = errno;
            continue;
        }
        if (!keep && !spool->errnum && !spool->filter) /* which says itself what is too much */
            spool->truncated = true;
        if (keep && spool->left != UINT64_MAX)
            spool->left -= written;
        max -= (size_t)n < max ? (size_t)n : max;
    }
    return kept;
}

uint64_t spool_end(struct spool *spool, int stream)
{
    if (!spool->filter)
        return 0;
    uint64_t kept = add_filtered(spool, stream, NULL, 0);
    if (spool->left != UINT64_MAX)
        spool->left -= kept;
    return kept;
}
