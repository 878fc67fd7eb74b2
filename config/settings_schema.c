/* The JSON Schema of a person's settings, made from their table and the words of the terminal. */
#include "config/schema.h"
#include "config/settings.h"
#include "config/settings_table.h"

#include <string.h>

#define made config_json_made

const struct config_setting config_setting_table[SETTING_N] = {
    [SETTING_SCHEMA] = {"$schema", NULL, "Schema",
                        "What an editor checks and completes this file by; kiln passes over it."},
    [SETTING_THEME] =
        {"theme", "\"auto\"", "Colours",
         "\"auto\" is \"light\" where the terminal says that its background is light, "
         "else \"dark\"."},
    [SETTING_MOUSE] = {"mouse", "true", "Mouse",
                       "Whether kiln begins with the mouse, which M gives back to the terminal."},
    [SETTING_STEPS] = {"steps", "\"tree\"", "How steps are shown",
                       "As a tree of what needs what, by levels of that, or flat."},
    [SETTING_SORT] =
        {"sort", "\"pipeline\"", "In which order",
         "In the pipeline's order, or by state, duration, processor time, memory or name."},
    [SETTING_NOTIFY] = {"notify", "\"bell\"", "How to tell",
                        "How you are told that a long run has ended, has turned red or waits at a "
                        "breakpoint while you look elsewhere."},
    [SETTING_NOTIFY_AFTER] = {"notify_after", "\"30s\"", "After how long",
                              "Runs that took at least so long are told of."},
    [SETTING_SCREEN_READER] = {"screen_reader", "false", "For screen readers",
                               "Sentences, one below the other, in place of panes."},
    [SETTING_KEYS] = {"keys", NULL, "Keys",
                      "The keys that actions have instead of their own, by the actions' names in "
                      "the palette."},
    [SETTING_COMMANDS] =
        {"commands", NULL, "Your own commands",
         "Programs that run in the terminal, on keys and in the palette, by names "
         "of yours. {step}, {file}, {line}, {run}, {log} and {root} are filled in."},
};

static json_t *words(struct config_words known)
{
    json_t *names = made(json_array());
    for (size_t i = 0; i < known.n; i++)
        json_array_append_new(names, made(json_string(known.v[i])));
    return made(json_pack("{s:o}", "enum", names));
}

static json_t *type(const char *name)
{
    return made(json_pack("{s:s}", "type", name));
}

static json_t *keys_schema(const struct config_settings_known *known)
{
    json_t *actions = made(json_object());
    for (size_t i = 0; i < known->actions.n; i++) {
        const char *name = known->actions.v[i];
        const char *help = known->action_help.n ? known->action_help.v[i] : NULL;
        json_t *action = json_object_get(actions, name);
        if (!action) {
            action = made(json_pack("{s:s}", "$ref", "#/$defs/keys"));
            json_object_set_new(actions, name, action);
        }
        if (help && !json_object_get(action, "description"))
            json_object_set_new(action, "description", made(json_string(help)));
    }
    return made(json_pack("{s:s, s:o, s:b}", "type", "object", "properties", actions,
                          "additionalProperties", 0));
}

static json_t *commands_schema(const struct config_settings_known *known)
{
    json_t *run = made(json_pack("{s:s, s:i, s:{s:s}}", "type", "array", "minItems", 1, "items",
                                 "type", "string"));
    json_t *command = made(json_pack("{s:s, s:{s:{s:s}, s:o}, s:[s], s:b}", "type", "object",
                                     "properties", "key", "$ref", "#/$defs/keys", "run", run,
                                     "required", "run", "additionalProperties", 0));
    return made(json_pack("{s:s, s:{s:s, s:o}, s:o}", "type", "object", "propertyNames", "pattern",
                          "^[a-z0-9-]{1,18}$", "not", words(known->actions), "additionalProperties",
                          command));
}

/* A key: a name, or one or two characters. */
static json_t *defs(const struct config_settings_known *known)
{
    return made(json_pack("{s:{s:[o, {s:s, s:s}]}, s:{s:[{s:s}, {s:s, s:i, s:{s:s}}]}}", "key",
                          "anyOf", words(known->key_names), "type", "string", "pattern",
                          CONFIG_KEY_PATTERN, "keys", "anyOf", "$ref", "#/$defs/key", "type",
                          "array", "maxItems", (int)known->most_keys, "items", "$ref",
                          "#/$defs/key"));
}

static json_t *value_schema(enum config_setting_id id, const struct config_settings_known *known)
{
    switch (id) {
    case SETTING_THEME: return words(known->themes);
    case SETTING_STEPS: return words(known->forms);
    case SETTING_SORT: return words(known->sorts);
    case SETTING_NOTIFY: return words(known->notify);
    case SETTING_NOTIFY_AFTER:
        return made(json_pack("{s:s, s:s}", "type", "string", "pattern", CONFIG_DURATION_PATTERN));
    case SETTING_MOUSE:
    case SETTING_SCREEN_READER: return type("boolean");
    case SETTING_KEYS: return keys_schema(known);
    case SETTING_COMMANDS: return commands_schema(known);
    case SETTING_SCHEMA:
    case SETTING_N: break;
    }
    return type("string");
}

void config_settings_schema(const struct config_settings_known *known, struct buf *out)
{
    json_t *properties = made(json_object());
    for (size_t i = 0; i < SETTING_N; i++) {
        const struct config_setting *it = &config_setting_table[i];
        json_t *setting = value_schema((enum config_setting_id)i, known);
        json_object_set_new(setting, "title", made(json_string(it->title)));
        json_object_set_new(setting, "description", made(json_string(it->help)));
        if (it->fallback)
            json_object_set_new(setting, "default",
                                made(json_loads(it->fallback, JSON_DECODE_ANY, NULL)));
        json_object_set_new(properties, it->name, setting);
    }
    config_json_write(
        made(json_pack("{s:s, s:s, s:s, s:s, s:o, s:b, s:o}", "$schema", CONFIG_SCHEMA_DRAFT,
                       "title", "kiln's config.json", "description",
                       "What you want of kiln's terminal, the same for all projects.", "type",
                       "object", "properties", properties, "additionalProperties", 0, "$defs",
                       defs(known))),
        out);
}
