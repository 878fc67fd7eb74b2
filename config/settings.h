/*
 * settings.h - a person's own settings, the same for all projects:
 * $XDG_CONFIG_HOME/kiln/config.json.
 *
 *     {"theme": "light", "mouse": false, "steps": "flat", "sort": "state", "notify": "desktop",
 * "notify_after": "1m", "screen_reader": false, "keys": {"retry": "r", "next-pane": ["Tab", "^N"]},
 *      "commands": {"changes": {"key": "^G", "run": ["git", "diff", "--", "{file}"]}}}
 *
 * Read as kiln.json is: comments and trailing commas are fine, unknown keys are not, and errors
 * (ERR_CONFIG) say file:line:column and the nearest known name. What words there are for themes,
 * actions and keys is the terminal's to know; it is handed in.
 *
 * A struct config_settings owns all it points to and never changes, so any thread may read it.
 */
#ifndef KILN_CONFIG_SETTINGS_H
#define KILN_CONFIG_SETTINGS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_words {
    const char *const *v;
    size_t n;
};

struct config_settings_known {
    struct config_words themes, notify, forms, sorts, actions;
    struct config_words
        action_help;               /* of each of them, for the schema; may have NULLs, or be none */
    struct config_words key_names; /* for the schema: of the keys that are no characters */
    size_t most_keys;              /* of one action */
    bool (*is_key)(const char *name);
};

enum config_choice { CONFIG_UNSAID, CONFIG_NO, CONFIG_YES };

struct config_keys_of {
    const char *action;
    const char *const *keys;
    size_t n;
};

/* A person's own command. */
struct config_command {
    const char *name; /* lower-case letters, digits and '-'; no action has it */
    const char *const *keys;
    size_t n_keys;
    const char *const *run; /* words, at least one; ends with NULL */
};

struct config_settings {
    struct arena arena;
    const char *theme, *notify, *steps, *sort; /* NULL: not said */
    uint64_t notify_after_ms;                  /* 0: not said */
    enum config_choice mouse, screen_reader;
    const struct config_keys_of *keys; /* in the order written */
    size_t n_keys;
    const struct config_command *commands;
    size_t n_commands;
};

/* Reads n bytes; messages call the file shown. */
int config_settings_parse(const char *text, size_t n, const char *shown,
                          const struct config_settings_known *known, struct config_settings **out,
                          struct err *err) MUST_CHECK;
void config_settings_free(struct config_settings *settings);
/* Adds to out the n bytes of such a file with that word (plain letters) as the setting of that name
 * (a string): its value is replaced, or it is put in as the first, and every other byte stays as it
 * is. Fails with ERR_CONFIG where the text cannot be read, or that is no string. */
int config_settings_put(const char *text, size_t n, const char *shown, const char *name,
                        const char *word, struct buf *out, struct err *err) MUST_CHECK;
/* Adds the JSON Schema (draft 2020-12) of such a file. */
void config_settings_schema(const struct config_settings_known *known, struct buf *out);

#endif
