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
/* Adds the JSON Schema of that file. */
void cli_settings_schema(struct buf *out);
void cli_settings_release(struct cli_settings *settings);

#endif
