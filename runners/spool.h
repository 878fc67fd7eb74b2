/*
 * spool.h - moves what an execution writes from its pipes into its spool file, without looking at
 * it, unless the caller has a filter for it.
 *
 * The file is asked for when the first byte is there: most steps that end well write nothing.
 *
 * Ownership: the descriptors are the caller's. Loop thread; never blocks on the pipe.
 * Invariant: [start, offset) of the file holds what has been kept, in the order it was taken.
 */
#ifndef KILN_RUNNERS_SPOOL_H
#define KILN_RUNNERS_SPOOL_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes read and written at a time, and what a large pipe holds: enough for both sides to work at
 * once. splice(2) would spare a copy, but keeps the pipe locked while it writes to the file, so
 * that who fills the pipe waits, and all takes longer. */
#define SPOOL_PIECE ((size_t)512 * 1024)

struct spool {
    int (*open)(void *ctx); /* gives the file, or -1 with errno; called once */
    void (*filter)(void *ctx, int stream, const char *bytes, size_t n,
                   struct buf *out); /* or NULL */
    void *ctx;
    char *piece; /* SPOOL_PIECE bytes to read into; shared, as nothing stays there */
    int fd;      /* -1 before that */
    uint64_t offset;
    uint64_t left; /* until the limit; UINT64_MAX = no limit */
    bool truncated;
    int errnum; /* of the file, once writing has failed: all that follows is dropped */
};

/* Takes what the (non-blocking) pipe of that stream holds, at most max bytes. Returns how many went
 * to the file, from the old offset on. */
uint64_t spool_take(struct spool *spool, int stream, int pipe, size_t max);
/* The stream is over: what the filter still has goes to the file. Returns how many bytes. */
uint64_t spool_end(struct spool *spool, int stream);
/* Adds bytes of our own, whatever the limit. Returns how many were written. */
size_t spool_add(struct spool *spool, const char *bytes, size_t n);

#endif
