/*
 * hook_script.h - the few lines of sh that git runs as a hook, and which call kiln.
 *
 * Stateless; any thread.
 */
#ifndef KILN_CLI_HOOK_SCRIPT_H
#define KILN_CLI_HOOK_SCRIPT_H

#include "base/buf.h"

#include <stdbool.h>

/* What was there before lies beside it by its name with this behind. */
#define HOOK_BEFORE ".before-kiln"

struct hook_script {
    const char *name;   /* "pre-commit" */
    const char *kiln;   /* absolute: where kiln is now */
    const char *folder; /* the project's, from the working tree's top; "" or ending in '/' */
    const char *config; /* a pipeline that is kept elsewhere, absolute; or NULL */
};

void hook_script_write(const struct hook_script *script, struct buf *out);

enum hook_script_is { HOOK_IS_OTHER, HOOK_IS_OURS, HOOK_IS_CHANGED /* ours, and somebody's */ };
/* Whose text that is. kiln: where it looks for kiln first; a new string; NULL where it isn't ours.
 */
enum hook_script_is hook_script_read(const struct buf *text, char **kiln);

#endif
