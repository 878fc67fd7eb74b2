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

#endif
