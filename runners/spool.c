#include "runners/spool.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

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

/* Adds as many of the bytes as the limit allows. Returns how many went to the file. */
static size_t add_limited(struct spool *spool, const char *bytes, size_t n)
{
    size_t keep = n < spool->left ? n : (size_t)spool->left;
    spool->truncated |= keep < n && !spool->errnum;
    size_t kept = keep && !spool->errnum ? spool_add(spool, bytes, keep) : 0;
    if (spool->left != UINT64_MAX)
        spool->left -= kept;
    return kept;
}

static size_t add_filtered(struct spool *spool, int stream, const char *bytes, size_t n)
{
    struct buf out = BUF_INIT;
    spool->filter(spool->ctx, stream, bytes, n, &out);
    size_t kept = add_limited(spool, out.data, out.len);
    if (out.data)
        explicit_bzero(out.data, out.cap);
    buf_release(&out);
    return kept;
}

static bool is_empty(int pipe)
{
    int n = 0;
    return ioctl(pipe, FIONREAD, &n) == 0 && n == 0;
}

uint64_t spool_take(struct spool *spool, int stream, int pipe, size_t max)
{
    char *bytes = spool->piece;
    uint64_t kept = 0;
    if (spool->fd < 0 && is_empty(pipe))
        return 0;
    if (!spool->filter) /* which may leave nothing for it */
        open_file(spool);
    while (max > 0) {
        ssize_t n = read(pipe, bytes, max < SPOOL_PIECE ? max : SPOOL_PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) /* empty; a pipe itself does not fail, should it there is nothing more to get */
            break;
        if (spool->filter) {
            kept += add_filtered(spool, stream, bytes, (size_t)n);
            explicit_bzero(bytes, (size_t)n);
        } else {
            kept += add_limited(spool, bytes, (size_t)n);
        }
        max -= (size_t)n;
    }
    return kept;
}

uint64_t spool_end(struct spool *spool, int stream)
{
    return spool->filter ? add_filtered(spool, stream, NULL, 0) : 0;
}
