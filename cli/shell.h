/*
 * shell.h - a command, or a shell, in the place of a step's own (cmd_shell.c): where the pipeline
 * has the step, or in what somebody else made of it (debug_past.c).
 */
#ifndef KILN_CLI_SHELL_H
#define KILN_CLI_SHELL_H

#include "cli/cli.h"

struct shell_place {
    struct graph *graph; /* the callee's */
    const char *step;    /* outlives the command, as what follows */
    const char *root;    /* the folder in which a step of the host runs */
    const char *lock_path;
};

/* app is open: cache and runner; parts of it are taken when it runs. open makes the place, on the
 * loop before it runs; it fails with words for the user. */
typedef int shell_open_cb(void *ctx, struct app *app, struct shell_place *out, struct err *err);

/* Runs --command, or a shell, there; app_close() follows by the caller. Returns the exit code. */
int shell_in_place(const struct options *options, struct app *app, shell_open_cb *open, void *ctx);

#endif
