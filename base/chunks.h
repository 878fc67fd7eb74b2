/*
 * chunks.h - when each piece of a log came, and from which stream.
 *
 * Pieces of one stream that came within a grain of time are one entry; the grain grows when there
 * are too many, and in the end the older half no longer tells the streams apart. So memory is
 * bounded however long the log. Bytes that nothing is known of have stream 0 and time 0.
 *
 * Ownership: the struct is the caller's, zeroed but for max to start, chunks_release() in the end.
 */
#ifndef KILN_BASE_CHUNKS_H
#define KILN_BASE_CHUNKS_H

#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>

struct chunk {
    uint64_t offset; /* where it starts; it ends where the next one does */
    uint64_t time_ns;
    uint8_t stream; /* 1 stdout, 2 stderr; 0: both, or not known */
};

struct chunks {
    VEC(struct chunk) list;
    uint64_t end; /* of the last one */
    size_t max;   /* entries at most; 0: 8192 */
    uint64_t grain_ns;
    bool streams[3]; /* which have been seen */
};

/* n bytes at that offset. What lies before the end known so far starts the log anew. */
void chunks_add(struct chunks *chunks, uint64_t offset, uint64_t n, int stream, uint64_t time_ns);
/* What is known of the byte at that offset. */
struct chunk chunks_at(const struct chunks *chunks, uint64_t offset);
/* Whether both streams have been written to. */
bool chunks_mixed(const struct chunks *chunks);
void chunks_clear(struct chunks *chunks);
void chunks_release(struct chunks *chunks);

#endif
