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
#include <uv.h>

struct raw {
    int fd;                       /* opened again: not to block is for us alone; -1 when closed */
    struct termios before, modes; /* modes: while it is raw */
    struct guard *guard;          /* while it is raw */
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
/* What is to be done at SIGTSTP: the job stops with the terminal as it was. cb: the signal's. */
void raw_stop(struct raw *raw, uv_signal_t *signal, uv_signal_cb cb);
/* What is to be done at SIGCONT: a shell may have put the terminal's modes back meanwhile. */
void raw_go_on(struct raw *raw);
void raw_close(struct raw *raw);

#endif
