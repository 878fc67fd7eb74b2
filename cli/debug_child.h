/*
 * debug_child.h - another kiln about the same project, run while this one holds a step.
 *
 * Ownership: the struct is the caller's and stays where it is, debug_child_init() to
 * debug_child_release(), which is not before ended was called for each that was run. One at a time.
 * Loop thread.
 */
#ifndef KILN_CLI_DEBUG_CHILD_H
#define KILN_CLI_DEBUG_CHILD_H

#include "cli/cli.h"

struct debug_child {
    uv_loop_t *loop;
    char *exe, *root, *config; /* config: or NULL */
    int output;                /* where its standard output goes */
    uv_process_t process;
    bool on;
    int code; /* how the last one ended: its exit code, or 128 and the signal's number */
    void (*ended)(void *ctx); /* nothing of it is left on the loop */
    void *ctx;
};

void debug_child_init(struct debug_child *child, uv_loop_t *loop, const struct options *options,
                      const char *root);
/* Runs it with these arguments; the last is NULL. terminal: it reads this one's standard input,
 * else nothing. Where it can't be started, that is told on out. */
void debug_child_run(struct debug_child *child, FILE *out, bool terminal,
                     const char *const *arguments);
/* It is to end. */
void debug_child_end(struct debug_child *child);
void debug_child_release(struct debug_child *child);

#endif
