/*
 * crew.h - the same work by several threads at once, for a job that is all its own.
 *
 * Stateless; any thread but the loop's, which would stand still meanwhile. The hands share ctx and
 * nothing else: what they take from it they take atomically.
 */
#ifndef KILN_BASE_CREW_H
#define KILN_BASE_CREW_H

#include <stddef.h>

/* How many hands are worth having: the processors that this process may use, 4 at most. */
size_t crew_size(void);

/* Calls work once for each of n hands (0 … n-1) at the same time, the first one on this thread, and
 * returns when all are done. Where a thread cannot be had its hand is not called: work must go on
 * until nothing is left, so that one hand alone does all. */
void crew_run(size_t n, void (*work)(void *ctx, size_t hand), void *ctx);

#endif
