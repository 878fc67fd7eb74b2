/*
 * raw.h - the user's terminal while somebody else's bytes go in and out of it: raw, and put back
 * whatever becomes of kiln (tui/guard.h).
 *
 * Ownership: the struct is the caller's, raw_open() to raw_close(). Loop thread only.
 */
#ifndef KILN_CLI_RAW_H
#define KILN_CLI_RAW_H

#include "base/err.h"
#include "tui/guard.h"

#include <stdbool.h>
#include <termios.h>

struct raw {
    int fd; /* opened again: not to block is for us alone; -1 when closed */
    struct termios before;
    struct guard *guard; /* while it is raw */
    bool on;
};
#define RAW_INIT  \
    {             \
        .fd = -1, \
    }

/* Whether standard input and output are a terminal that is kiln's to use. */
bool raw_possible(void);
/* Fails with ERR_SYSTEM; raw_close() also then. */
int raw_open(struct raw *raw, struct err *err) MUST_CHECK;
void raw_begin(struct raw *raw);
void raw_end(struct raw *raw);
void raw_close(struct raw *raw);

#endif
