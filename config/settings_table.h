/*
 * settings_table.h - the one table of a person's settings: what reads them (settings.c) and what
 * makes their JSON Schema (settings_schema.c) go by it.
 *
 * Constant data; any thread. Private to config/ and its tests.
 */
#ifndef KILN_CONFIG_SETTINGS_TABLE_H
#define KILN_CONFIG_SETTINGS_TABLE_H

enum config_setting_id {
    SETTING_SCHEMA, /* names the schema to an editor, and says nothing to kiln */
    SETTING_THEME,
    SETTING_MOUSE,
    SETTING_STEPS,
    SETTING_SORT,
    SETTING_NOTIFY,
    SETTING_NOTIFY_AFTER,
    SETTING_SCREEN_READER,
    SETTING_KEYS,
    SETTING_COMMANDS,
    SETTING_N
};

/* What names of commands are made of. */
#define CONFIG_COMMAND_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-"

struct config_setting {
    const char *name;
    const char *fallback; /* what holds where it is not said, as JSON; NULL: nothing worth naming */
    const char *title, *help;
};

extern const struct config_setting config_setting_table[SETTING_N];

#endif
