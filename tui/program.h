/*
 * program.h - another program in the terminal, in the foreground, until it ends: a shell, an
 * editor, a pager.
 *
 * It is a job of its own, so that what the person interrupts there is not kiln. One that stops
 * itself (^Z) goes on at once: there is nobody to come back to.
 *
 * Ownership: opaque; from program_start() until ended has been called, or program_kill(). Loop
 * thread only.
 */
#ifndef KILN_TUI_PROGRAM_H
#define KILN_TUI_PROGRAM_H

#include "base/err.h"

#include <uv.h>

struct program;

struct program_options {
    uv_loop_t *loop;
    int fd;                  /* the terminal, given back already */
    const char *const *argv; /* looked for in PATH */
    const char *cwd;         /* or NULL: kiln's own */
    /* It has ended and kiln is in the foreground again. status: as of waitpid(2). */
    void (*ended)(void *ctx, int status);
    void *ctx;
};

/* ERR_SYSTEM when it cannot be started. */
int program_start(const struct program_options *options, struct program **out,
                  struct err *err) MUST_CHECK;
/* Hangs up on it and takes the foreground back; ended is not called. NULL is fine. */
void program_kill(struct program *program);

#endif
