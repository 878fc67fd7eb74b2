/*
 * mirror.h - a copy of a directory that is kept the same as the original, for who must not write
 * to that.
 *
 * What differs from the last time is copied anew (blocks are shared where the file system can).
 * Nothing is taken on trust that could have changed since: a copy stands if it has the size, time
 * and mode of its original, if its original's times say that nobody touched it since before the
 * last time began, and its own that nobody did since that ended. Links are copied as they are;
 * FIFOs, sockets and devices are not.
 *
 * Stateless; any thread, one call at a time for one copy: the caller's lock.
 */
#ifndef KILN_CACHE_MIRROR_H
#define KILN_CACHE_MIRROR_H

#include "base/err.h"

#include <stdint.h>

/* When the last time began and ended, by the clock of files; zero where that is not known: all is
 * copied. */
struct mirror_times {
    int64_t begun_ns, ended_ns;
};

/* Makes to, a path whose parents are made, hold what from has: a directory with all below it, or a
 * file; a link at from itself is followed. Fails naming what can't be read or written, and when
 * something changes faster than it can be copied; what is there then is mended by the next call
 * that has the times of a call that went well. */
int mirror_make(const char *from, const char *to, const struct mirror_times *last,
                struct err *err) MUST_CHECK;

/* The times of calls are between two of these: what the clock of files says now, by a file at path
 * that is made or written anew with the text. 0 and an error when that fails. */
int mirror_clock(const char *path, const char *text, int64_t *now_ns, struct err *err) MUST_CHECK;

#endif
