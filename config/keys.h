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
    CONFIG_KEY_IMAGE,
    CONFIG_KEY_PLATFORM,
    CONFIG_KEY_USER,
    CONFIG_KEY_NETWORK,
    CONFIG_KEY_MOUNT,
    CONFIG_KEY_LIMITS,
    CONFIG_KEY_SECRETS,
    CONFIG_KEY_CACHES,
    /* of "limits" */
    CONFIG_KEY_MEMORY,
    CONFIG_KEY_PIDS,
    CONFIG_KEY_CPU,
    CONFIG_KEY_FILE_SIZE,
    /* of a secret */
    CONFIG_KEY_SECRET_ENV,
    CONFIG_KEY_SECRET_FILE,
    CONFIG_KEY_SECRET_COMMAND,
    /* of a cache directory */
    CONFIG_KEY_CACHE_NAME,
    CONFIG_KEY_CACHE_SHARING,
    /* of the file's "hook" */
    CONFIG_KEY_GIT_HOOK,
    CONFIG_KEY_HOOK_STAGES,
    CONFIG_KEY_HOOK_BUDGET,
    CONFIG_KEY_HOOK_BIND,
    CONFIG_KEY_HOOK_FIX,
    CONFIG_KEY_INTERACTIVE,
    CONFIG_KEY_FIX,
    CONFIG_KEY_COUNT
};

/* Where a key may stand; a key has one or more. */
enum config_place {
    CONFIG_IN_FILE = 1,
    CONFIG_IN_STEP = 2,
    CONFIG_IN_DEFAULTS = 4,
    CONFIG_IN_GENERATE = 8,
    CONFIG_IN_LIMITS = 16,
    CONFIG_IN_SECRET = 32, /* one of "secrets" */
    CONFIG_IN_CACHE = 64,  /* one of "caches" */
    CONFIG_IN_HOOK = 128,  /* the file's "hook" */
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
    CONFIG_CHOICE,   /* one of some words (config_choices()) */
    CONFIG_CHOICES,  /* a list of such words */
    CONFIG_SIZE,     /* "512MiB" */
    CONFIG_CPUS,     /* a number of processors, also a part of one */
    CONFIG_BLOCK,    /* an object with keys of its own, or the steps */
    CONFIG_SECRETS,  /* an object of sources by what they are to the step */
    CONFIG_CACHES,   /* an object of names, or of objects, by absolute paths */
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

/* The key of that name in that place, else the one of another place, or NULL. */
const struct config_key *config_key_find(const char *name, enum config_place place);
/* The name that may stand in that place nearest to the word, or NULL. */
const char *config_key_nearest(const char *word, enum config_place place);
/* What an editor or a message calls the place: "a step", "\"defaults\"". */
const char *config_place_name(enum config_place place);

/* The runners that this kiln has are the first n_available of the n known ones; enum config_runner
 * is the index. */
extern const char *const config_runners[];
extern const size_t config_n_runners, config_n_available_runners;

/* The runners that a step's key has a meaning for, as bits by enum config_runner. */
unsigned config_key_runners(enum config_key_id id);
/* The words that a CONFIG_CHOICE, or each of CONFIG_CHOICES, may be, NULL terminated. */
const char *const *config_choices(enum config_key_id id);

/* Patterns of the schema for what the parser checks by hand. */
#define CONFIG_VARIABLE_PATTERN "^[A-Za-z_][A-Za-z0-9_]*$"
#define CONFIG_DURATION_PATTERN \
    "^[0-9]+(h([0-9]+m)?([0-9]+s)?([0-9]+ms)?|m([0-9]+s)?([0-9]+ms)?|s([0-9]+ms)?|ms)$"
#define CONFIG_SIZE_PATTERN     "^[0-9]+(B|[kKMGT]B|[KMGT]iB)?$"
#define CONFIG_IMAGE_PATTERN    "^[A-Za-z0-9]\\S*$"
#define CONFIG_PLATFORM_PATTERN "^linux/[a-z0-9_]+(/[a-z0-9]+)?$"
#define CONFIG_USER_PATTERN     "^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$"
#define CONFIG_CACHE_PATTERN    "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
#define CONFIG_TARGET_PATTERN   "^(/.+|[A-Za-z_][A-Za-z0-9_]*)$"
#define CONFIG_STEP_PATTERN  \
    "^[^\\x00-\\x20!-*,\\-/" \
    ";-?\\[-^`{-\\x7f]([^\\x00-\\x20!-*,;-?\\[-^`{-\\x7f]*[^\\x00-\\x20!-*,/;-?\\[-^`{-\\x7f])?$"
#define CONFIG_MAX_NAME 200

#endif
