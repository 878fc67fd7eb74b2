/*
 * spool.h - moves what an execution writes from its pipes into its spool file, without looking at
 * it.
 *
 * Ownership: the descriptors are the caller's. Loop thread; never blocks on the pipe.
 * Invariant: [start, offset) of the file holds what has been kept, in the order it was taken.
 */
#ifndef KILN_RUNNERS_SPOOL_H
#define KILN_RUNNERS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool {
    int fd;
    int null_fd; /* /dev/null: where the rest goes */
    uint64_t offset;
    uint64_t left; /* until the limit; UINT64_MAX = no limit */
    bool copying;  /* the file cannot be spliced to */
    bool truncated;
    int errnum; /* of the file, once writing has failed: all that follows is dropped */
};

enum spool_result {
    SPOOL_MORE,  /* max has been reached, there may be more */
    SPOOL_EMPTY, /* nothing more for now */
    SPOOL_END,   /* no writer is left, and nothing more in the pipe */
};

/* Takes at most max bytes from the (non-blocking) pipe. *kept is how many of them went to the file,
 * from the old offset on. */
enum spool_result spool_take(struct spool *spool, int pipe, size_t max, uint64_t *kept);
/* Adds bytes of our own, whatever the limit. Returns how many were written. */
size_t spool_add(struct spool *spool, const char *bytes, size_t n);

#endif
