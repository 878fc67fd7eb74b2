/*
 * streams.h - the two pipes that an execution writes to, and how kiln hears of what is in them.
 *
 * kiln keeps the write ends open as well: so the end of the last writer is no news of its own (the
 * warden tells when all is over), and a step without output never wakes the loop by its pipes.
 *
 * Ownership: streams are the caller's storage and own their descriptors. Loop thread.
 */
#ifndef KILN_RUNNERS_STREAMS_H
#define KILN_RUNNERS_STREAMS_H

#include "runners/spool.h"

#define STREAMS 2
/* How many things one execution may have watched: these, and its terminal (pty.h), the last. */
#define STREAMS_WATCHED (STREAMS + 1)
/* The most that one of them can hold. */
#define STREAM_HOLDS SPOOL_PIECE

struct streams {
    int read[STREAMS], write[STREAMS]; /* -1 when closed */
    bool large[STREAMS];
    struct spool spool;
};

/* Makes the pipes; the spool is the caller's to set. Returns 0, or an errno and all closed. */
int streams_open(struct streams *streams);
void streams_close(struct streams *streams);
/* Lets the epoll descriptor tell of what they hold: with data.u64 = id * STREAMS_WATCHED +
 * index of the stream. Returns 0 or an errno. */
int streams_watch(const struct streams *streams, int epoll, uint64_t id);
/* Moves what the stream holds, at most max bytes, to the spool. Returns how many went there. */
uint64_t streams_take(struct streams *streams, int stream, size_t max);
/* The stream is over and empty. Returns how many more bytes went to the spool. */
uint64_t streams_end(struct streams *streams, int stream);

#endif
