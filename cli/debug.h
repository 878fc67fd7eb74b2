/*
 * debug.h - kiln debug: a run that is stepped through (cmd_debug.c), a failure of the past that is
 * made again (debug_past.c), and what was changed in a failed step's box (debug_take.c).
 */
#ifndef KILN_CLI_DEBUG_H
#define KILN_CLI_DEBUG_H

#include "cli/cli.h"

/* Each is a command: returns the exit code. */
int debug_past(const struct options *options); /* --run ID [STEP] */
int debug_diff(const struct options *options); /* STEP --diff */
int debug_take(const struct options *options); /* STEP --take [PATH...] */

/* A run that is stepped through; the caller's. */
struct debugging {
    const struct options *options;
    struct break_rules rules;
    bool lines; /* no panes: what is held is told in lines, and commands are read from standard
                   input */
    struct debug_line *line;
    VEC(char *) remarks; /* told in the end: why what was to be held was not */
};

/* cmd_run.c: the run; debugging->rules hold. */
int run_debugged(const struct options *options, struct debugging *debugging);
/* cmd_debug.c: the engine is there; and it goes. */
void debugging_open(struct debugging *debugging, struct app *app, struct engine *engine,
                    const struct control *control);
void debugging_close(struct debugging *debugging);

/*
 * debug_line.c: a line for what is held and why, a line of standard input for each command. At its
 * end all goes on without more pauses. With --command that is run for each held step instead, which
 * goes on then.
 *
 * Ownership: opaque, debug_line_new() to debug_line_close(), which frees once the loop has run the
 * closing callbacks. Loop thread.
 */
struct debug_line *debug_line_new(const struct debugging *debugging, uv_loop_t *loop,
                                  const struct control *control, const char *root);
void debug_line_event(void *line, const struct event *event);
void debug_line_close(struct debug_line *line);

/* debug_show.c: about a step, for people. */
void debug_show(FILE *out, const struct control *control, const char *step);
void debug_why(FILE *out, const struct control *control, const char *step);
void debug_inputs(FILE *out, const struct control *control, const char *step);
void debug_log(FILE *out, const struct control *control, const char *step);

#endif
