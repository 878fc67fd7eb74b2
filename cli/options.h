/*
 * options.h - the one table of commands and options: parsing, help, nearest names and completion
 * all read it, so what can be typed and what is told about it cannot differ.
 *
 * Constant data; any thread. Included by options*.c and completion.c, and by their tests.
 */
#ifndef KILN_CLI_OPTIONS_H
#define KILN_CLI_OPTIONS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* One bit a command, so that an option can say which commands it belongs to. */
enum {
    CMD_WATCH = 1 << 0,
    CMD_RUN = 1 << 1,
    CMD_PLAN = 1 << 2,
    CMD_EXPLAIN = 1 << 3,
    CMD_LOGS = 1 << 4,
    CMD_RUNS = 1 << 5,
    CMD_CACHE = 1 << 6,
    CMD_SCHEMA = 1 << 7,
    CMD_COMPLETION = 1 << 8,
    CMD_VERSION = 1 << 9,
    CMD_HELP = 1 << 10,
    CMD_DOCTOR = 1 << 11,
    CMD_SHELL = 1 << 12,
    CMD_INIT = 1 << 13,
    CMD_REPLAY = 1 << 14,
    CMD_HOOK = 1 << 15,
    CMD_COMPARE = 1 << 16,
    CMD_CI = 1 << 17,
    CMD_DEBUG = 1 << 18,
    CMD_BUNDLE = 1 << 19,
    CMD_ALL = (1 << 20) - 1,
};

#define ARGS_ANY 1000000u

/* A word that may stand at a place, and what it does (NULL where the word says it). */
struct choice {
    const char *name, *summary;
};

struct command_spec {
    const char *name;
    unsigned bit;
    const char *arguments; /* as the usage line has them: "[STEP...]"; "" for none */
    const char *summary;   /* one line, no full stop */
    const char *help;      /* paragraphs with an empty line between; wrapped when shown */
    unsigned min_args, max_args;
    const struct choice
        *subcommands;            /* its first argument is one of these; ends with a NULL name */
    const struct choice *values; /* likewise, but an ordinary argument */
    const struct choice *then;   /* what may follow the subcommand, for completion */
    bool takes_steps;            /* arguments are names of steps */
};

enum option_id {
    OPT_DIRECTORY,
    OPT_CONFIG,
    OPT_COLOR,
    OPT_HELP,
    OPT_VERSION,
    OPT_JOBS,
    OPT_FORCE,
    OPT_KEEP_GOING,
    OPT_DRY_RUN,
    OPT_NO_CACHE,
    OPT_REHASH,
    OPT_UPDATE_IMAGES,
    OPT_PLAIN,
    OPT_JSON,
    OPT_TUI,
    OPT_SCREEN_READER,
    OPT_DOT,
    OPT_MERMAID,
    OPT_RUN,
    OPT_SPEED,
    OPT_SIZE,
    OPT_COMMAND,
    OPT_FAILED,
    OPT_YES,
    OPT_CACHES,
    OPT_SETTINGS,
    OPT_LAST_PASS,
    OPT_JUNIT,
    OPT_TRACE,
    OPT_SHARD,
    OPT_DURATIONS,
    OPT_OVERWRITE,
    OPT_BREAK,
    OPT_BREAK_ON,
    OPT_ON_FAILURE,
    OPT_DIFF,
    OPT_TAKE,
    OPT_OUTPUT,
    OPT_N
};

struct option_spec {
    enum option_id id;
    const char *name;     /* without its dashes */
    char letter;          /* 0 = none */
    const char *argument; /* NULL = takes none */
    bool optional;        /* the argument: only as --name=ARGUMENT */
    unsigned commands;    /* that have it */
    const struct choice *values;
    const char *help;
};

extern const struct command_spec command_table[];
extern const size_t n_commands;
extern const struct option_spec option_table[OPT_N]; /* indexed by option_id */

/* NULL when there is none of that name. */
const struct command_spec *command_find(const char *name);

/* Adds text for a terminal of 80 columns from the given one on, each further line indented, and a
 * newline. An empty line in it stays one. */
void options_wrap(struct buf *out, const char *text, size_t indent, size_t column);

#endif
