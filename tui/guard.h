/*
 * guard.h - whatever kills the process, the terminal is put back.
 *
 * Two nets. Handlers of the fatal signals write the restoring bytes and let the signal go on to
 * whoever had it before. For what cannot be caught there is a guardian: a small process, forked at
 * the start, that waits on a pipe; when the pipe ends without a good-bye it does the same, unless
 * the terminal has meanwhile become somebody else's.
 *
 * The handlers' state is the one static of the terminal's code: a signal handler can reach nothing
 * else. So there is one guard a process.
 *
 * Ownership: opaque, guard_new() to guard_free(). Loop thread only.
 */
#ifndef KILN_TUI_GUARD_H
#define KILN_TUI_GUARD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

struct guard;

struct guard_terms {
    int fd;              /* the terminal; stays the caller's */
    struct termios sane; /* to put back */
    struct termios raw;  /* what the screen sets: anything else is not ours to undo */
    const char *restore; /* bytes; copied */
    size_t n;            /* at most 256 */
};

/* Starts both nets; the terminal counts as not taken over yet. Fails with ERR_SYSTEM. */
int guard_new(const struct guard_terms *terms, struct guard **out, struct err *err) MUST_CHECK;
/* Says that the terminal is taken over from now on (true), or as it was (false). */
void guard_hold(struct guard *guard, bool held);
/* Says good-bye: the handlers are as before, the guardian has gone when it returns. NULL is fine.
 */
void guard_free(struct guard *guard);
/* 0 when there is none. */
pid_t guard_pid(const struct guard *guard);

#endif
