/*
 * command.h - the narrow way back from views to the engine.
 *
 * A view gets a struct control and sends commands through it; it never sees the engine. Loop thread
 * only.
 */
#ifndef KILN_ENGINE_COMMAND_H
#define KILN_ENGINE_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

enum command_type {
    COMMAND_RETRY,     /* step (and what depends on it) again, even when nothing changed */
    COMMAND_RUN_STALE, /* every step whose result is not current */
    COMMAND_CANCEL,    /* step; NULL: everything that runs */
    COMMAND_PAUSE,     /* changes are noted but start nothing */
    COMMAND_RESUME,
    COMMAND_QUIT, /* cancel everything and end */
};

struct command {
    enum command_type type;
    const char *step; /* name, or NULL where it is not needed; borrowed */
};

struct control {
    void *ctx;
    /* Carries it out now, or soon; what comes of it arrives as events. Unknown steps are ignored.
     */
    void (*send)(void *ctx, const struct command *command);
    /* The path of a file with the step's latest log (a cached step's is taken out of the cache
     * first); the string is the caller's. NULL when it has none. */
    char *(*log_path)(void *ctx, const char *step);
};

#endif
