/*
 * own.h - a person's own commands: programs that they have put on keys (config.json, "commands").
 *
 * Loop thread.
 */
#ifndef KILN_TUI_OWN_H
#define KILN_TUI_OWN_H

#include "base/vec.h"

struct app;
struct settings_command;

struct own_command {
    char *name, *help;
    char **words; /* ends with NULL */
};

struct own_commands {
    VEC(struct own_command) v;
};

/* Makes an action of it: it is in the help, in the palette, and on its keys, wherever panes are. */
void own_add(struct app *app, const struct settings_command *command);
void own_release(struct own_commands *own);

#endif
