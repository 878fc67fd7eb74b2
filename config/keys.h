/*
 * keys.h - the one table of kiln.json's keys: the parser checks by it and the JSON Schema is made
 * from it.
 *
 * The table is constant, so any thread may read it.
 */
#ifndef KILN_CONFIG_KEYS_H
#define KILN_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_key_id {
    CONFIG_KEY_SCHEMA,
    CONFIG_KEY_VERSION,
    CONFIG_KEY_NAME,
    CONFIG_KEY_JOBS,
    CONFIG_KEY_DEFAULTS,
    CONFIG_KEY_STEPS,
    CONFIG_KEY_GENERATE,
    CONFIG_KEY_RUN,
    CONFIG_KEY_DESCRIPTION,
    CONFIG_KEY_INPUTS,
    CONFIG_KEY_OUTPUTS,
    CONFIG_KEY_NEEDS,
    CONFIG_KEY_ENV,
    CONFIG_KEY_PASS_ENV,
    CONFIG_KEY_RUNNER,
    CONFIG_KEY_CWD,
    CONFIG_KEY_TIMEOUT,
    CONFIG_KEY_RETRIES,
    CONFIG_KEY_CACHE,
    CONFIG_KEY_HOOK,
    /* known, but for a runner that isolates */
    CONFIG_KEY_NETWORK,
    CONFIG_KEY_IMAGE,
    CONFIG_KEY_USER,
    CONFIG_KEY_CACHES,
    CONFIG_KEY_SECRETS,
    CONFIG_KEY_LIMITS,
    CONFIG_KEY_INTERACTIVE,
    CONFIG_KEY_FIX,
    CONFIG_KEY_MOUNT,
    CONFIG_KEY_COUNT
};

/* Where a key may stand; a key has one or more. */
enum config_place {
    CONFIG_IN_FILE = 1,
    CONFIG_IN_STEP = 2,
    CONFIG_IN_DEFAULTS = 4,
    CONFIG_IN_GENERATE = 8,
};

enum config_type {
    CONFIG_VERSION,  /* the number 1 */
    CONFIG_STRING,   /* any text */
    CONFIG_BOOL,     /* true or false */
    CONFIG_INT,      /* a whole number, least to most */
    CONFIG_COMMAND,  /* a string or a list of strings */
    CONFIG_PATTERNS, /* a list of globs */
    CONFIG_PATHS,    /* a list of paths */
    CONFIG_NAMES,    /* a list of steps' names */
    CONFIG_VARS,     /* a list of variables' names */
    CONFIG_ENV,      /* an object of strings by variables' names */
    CONFIG_DURATION, /* "90s" */
    CONFIG_PATH,     /* a path */
    CONFIG_RUNNERS,  /* a runner's name */
    CONFIG_BLOCK,    /* an object with keys of its own, or the steps */
    CONFIG_ABSENT,   /* nothing that this kiln has */
};

struct config_key {
    const char *name;
    unsigned places;
    unsigned required_in; /* places */
    enum config_type type;
    uint32_t least, most;
    const char *fallback; /* as JSON, NULL when there is none worth naming */
    const char *title;
    const char *help;
};

extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* The key of that name, whichever place it is for, or NULL. */
const struct config_key *config_key_find(const char *name);
/* The name that may stand in that place nearest to the word, or NULL. */
const char *config_key_nearest(const char *word, enum config_place place);
/* What an editor or a message calls the place: "a step", "\"defaults\"". */
const char *config_place_name(enum config_place place);

/* The runners that this kiln has are the first n_available of the n known ones; enum config_runner
 * is the index. */
extern const char *const config_runners[];
extern const size_t config_n_runners, config_n_available_runners;

/* Patterns of the schema for what the parser checks by hand. */
#define CONFIG_VARIABLE_PATTERN "^[A-Za-z_][A-Za-z0-9_]*$"
#define CONFIG_DURATION_PATTERN \
    "^[0-9]+(h([0-9]+m)?([0-9]+s)?([0-9]+ms)?|m([0-9]+s)?([0-9]+ms)?|s([0-9]+ms)?|ms)$"
#define CONFIG_STEP_PATTERN  \
    "^[^\\x00-\\x20!-*,\\-/" \
    ";-?\\[-^`{-\\x7f]([^\\x00-\\x20!-*,;-?\\[-^`{-\\x7f]*[^\\x00-\\x20!-*,/;-?\\[-^`{-\\x7f])?$"
#define CONFIG_MAX_NAME 200

#endif
