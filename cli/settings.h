/*
 * settings.h - finds and reads a person's settings for the terminal.
 */
#ifndef KILN_CLI_SETTINGS_H
#define KILN_CLI_SETTINGS_H

#include "base/buf.h"
#include "tui/settings.h"

struct cli_settings {
    struct settings tui;
    bool screen_reader;
    char *problem; /* why the file counts for nothing: a sentence with its place; or NULL */
};

/* From $XDG_CONFIG_HOME/kiln/config.json and KILN_SCREEN_READER. A file that is not there, or
 * broken, leaves everything as it is by default. */
void cli_settings_load(struct cli_settings *settings);
/* Writes one choice into that file, which is made where there is none: what else is in it stays as
 * it is, and it is replaced in one step, where a link leads to it there. shown: its name in
 * messages. Fails, and nothing is written, where it cannot be read. Any thread. */
int cli_settings_keep(const char *file, const char *shown, const char *name, const char *word,
                      struct err *err) MUST_CHECK;
/* Adds the JSON Schema of that file. */
void cli_settings_schema(struct buf *out);
void cli_settings_release(struct cli_settings *settings);

#endif
