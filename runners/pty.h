/*
 * pty.h - a pseudo-terminal that kiln makes for an execution: what it writes is taken like that of
 * a pipe, what is typed waits here until it is read.
 *
 * Its log tells how large the terminal is, before the first byte and whenever that changes, in a
 * sequence that terminals pass over: ESC ] 5546 ; ROWS ; COLUMNS ESC \. So whoever plays the log
 * (tui/paper.h) plays it on a screen of that size.
 *
 * kiln holds the terminal's other end open as well: that programs have closed theirs for a while is
 * no hang-up, and the end of all is told by the warden.
 *
 * Ownership: the struct is the caller's, PTY_INIT to pty_close(). Loop thread; nothing here waits.
 */
#ifndef KILN_RUNNERS_PTY_H
#define KILN_RUNNERS_PTY_H

#include "base/buf.h"
#include "runners/runner.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* Bytes that wait at most for somebody who does not read; the kernel holds some more. */
#define PTY_WAITING ((size_t)64 * 1024)

struct pty {
    int leader, terminal; /* -1: it has not been made yet, or no more */
    struct winsize size;
    bool marked;        /* the log tells of this size */
    bool dropping;      /* there was no room, and there still waits something */
    struct buf waiting; /* typed, not taken by the kernel yet */
};
#define PTY_INIT                      \
    {                                 \
        .leader = -1, .terminal = -1, \
    }

/* Makes the terminal, of pty->size. Returns 0, or an errno and all is closed. */
int pty_open(struct pty *pty);
/* Takes the leader of a terminal that was made elsewhere in place of its own, if it has one; it is
 * the pty's from here on. Returns 0 or an errno. */
int pty_adopt(struct pty *pty, int leader);
/* Hangs it up. What waits is wiped: it may be a password. */
void pty_close(struct pty *pty);
/* Whoever is in the foreground there gets SIGWINCH when it is another size. */
void pty_resize(struct pty *pty, struct winsize size);
/* Queues what was typed; false, and nothing queued, when there is no room for all of it, and from
 * then on until none waits: so what is dropped is one piece, not holes in a text. */
bool pty_type(struct pty *pty, const char *bytes, size_t n);
/* Hands over what waits, as far as there is room. */
void pty_flush(struct pty *pty);
/* Whether there is something to take, looked up in all of the kernel's buffers. */
bool pty_holds(const struct pty *pty);
/* What is to be put into the log before anything else, now that there is something; 0: nothing. */
size_t pty_mark(struct pty *pty, char out[RUNNER_SIZE_MARK]);

#endif
