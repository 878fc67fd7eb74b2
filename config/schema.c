/* The JSON Schema of kiln.json, made from the key table. */
#include "config/schema.h"
#include "config/config.h"

#include <stdlib.h>

#define made config_json_made

json_t *config_json_made(json_t *json)
{
    if (!json)
        abort();
    return json;
}

void config_json_write(json_t *json, struct buf *out)
{
    char *text = json_dumps(json, JSON_INDENT(2));
    if (!text)
        abort();
    buf_adds(out, text);
    buf_addc(out, '\n');
    free(text);
    json_decref(json);
}

static json_t *strings(const char *pattern)
{
    json_t *list = made(json_pack("{s:s, s:{s:s, s:i}}", "type", "array", "items", "type", "string",
                                  "minLength", 1));
    if (pattern)
        json_object_set_new(json_object_get(list, "items"), "pattern", made(json_string(pattern)));
    return list;
}

static json_t *runners(void)
{
    json_t *names = made(json_array());
    for (size_t i = 0; i < config_n_available_runners; i++)
        json_array_append_new(names, made(json_string(config_runners[i])));
    return made(json_pack("{s:o}", "enum", names));
}

static json_t *choices(enum config_key_id id)
{
    json_t *names = made(json_array());
    for (const char *const *choice = config_choices(id); *choice; choice++)
        json_array_append_new(names, made(json_string(*choice)));
    return made(json_pack("{s:o}", "enum", names));
}

static json_t *text_like(const char *pattern)
{
    return made(json_pack("{s:s, s:s}", "type", "string", "pattern", pattern));
}

/* A string; what it looks like is the key's. */
static json_t *string(enum config_key_id id)
{
    switch (id) {
    case CONFIG_KEY_IMAGE: return text_like(CONFIG_IMAGE_PATTERN);
    case CONFIG_KEY_PLATFORM: return text_like(CONFIG_PLATFORM_PATTERN);
    case CONFIG_KEY_USER: return text_like(CONFIG_USER_PATTERN);
    case CONFIG_KEY_SECRET_ENV: return text_like(CONFIG_VARIABLE_PATTERN);
    case CONFIG_KEY_SECRET_FILE: return text_like(".");
    case CONFIG_KEY_CACHE_NAME: return text_like(CONFIG_CACHE_PATTERN);
    default: return made(json_pack("{s:s}", "type", "string"));
    }
}

static json_t *block(const struct config_key *key)
{
    if (key == &config_keys[CONFIG_KEY_STEPS])
        return made(json_pack("{s:s, s:i, s:{s:s, s:i}, s:{s:s}}", "type", "object",
                              "minProperties", 1, "propertyNames", "pattern", CONFIG_STEP_PATTERN,
                              "maxLength", CONFIG_MAX_NAME, "additionalProperties", "$ref",
                              "#/$defs/step"));
    return made(json_pack("{s:s+}", "$ref", "#/$defs/", key->name));
}

/* What a value of the key's type must look like. */
static json_t *type_schema(const struct config_key *key)
{
    enum config_key_id id = (enum config_key_id)(key - config_keys);

    switch (key->type) {
    case CONFIG_VERSION: return made(json_pack("{s:i}", "const", 1));
    case CONFIG_BOOL: return made(json_pack("{s:s}", "type", "boolean"));
    case CONFIG_INT:
        return made(json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", (int)key->least,
                              "maximum", (int)key->most));
    case CONFIG_COMMAND:
        return made(json_pack("{s:[{s:s, s:s}, {s:s, s:i, s:{s:s}}]}", "anyOf", "type", "string",
                              "pattern", "\\S", "type", "array", "minItems", 1, "items", "type",
                              "string"));
    case CONFIG_PATTERNS: return strings(NULL);
    case CONFIG_PATHS: return strings("^[^*?\\[\\\\!/][^*?\\[\\\\]*$");
    case CONFIG_NAMES: return strings(CONFIG_STEP_PATTERN);
    case CONFIG_VARS: return strings(CONFIG_VARIABLE_PATTERN);
    case CONFIG_ENV:
        return made(json_pack("{s:s, s:{s:s}, s:{s:s}}", "type", "object", "propertyNames",
                              "pattern", CONFIG_VARIABLE_PATTERN, "additionalProperties", "type",
                              "string"));
    case CONFIG_DURATION: return text_like(CONFIG_DURATION_PATTERN);
    case CONFIG_PATH: return text_like("^[^/]");
    case CONFIG_RUNNERS: return runners();
    case CONFIG_CHOICE: return choices(id);
    case CONFIG_CHOICES:
        return made(json_pack("{s:s, s:o}", "type", "array", "items", choices(id)));
    case CONFIG_SIZE: return text_like(CONFIG_SIZE_PATTERN);
    case CONFIG_CPUS:
        return made(
            json_pack("{s:s, s:f, s:i}", "type", "number", "minimum", 0.01, "maximum", 1024));
    case CONFIG_BLOCK: return block(key);
    case CONFIG_SECRETS:
        return made(json_pack("{s:s, s:{s:s}, s:{s:s}}", "type", "object", "propertyNames",
                              "pattern", CONFIG_TARGET_PATTERN, "additionalProperties", "$ref",
                              "#/$defs/secret"));
    case CONFIG_CACHES:
        return made(json_pack("{s:s, s:{s:s}, s:{s:[o, {s:s}]}}", "type", "object", "propertyNames",
                              "pattern", "^/", "additionalProperties", "anyOf",
                              string(CONFIG_KEY_CACHE_NAME), "$ref", "#/$defs/cache"));
    case CONFIG_STRING: return string(id);
    }
    return made(json_pack("{s:s}", "type", "string"));
}

static json_t *key_schema(const struct config_key *key)
{
    json_t *schema = made(json_pack("{s:s, s:s}", "title", key->title, "description", key->help));
    json_t *type = type_schema(key);

    json_object_update(schema, type);
    json_decref(type);
    if (key->type == CONFIG_RUNNERS)
        json_object_set_new(schema, "default",
                            made(json_string(config_runners[CONFIG_DEFAULT_RUNNER])));
    if (key->fallback)
        json_object_set_new(schema, "default",
                            made(json_loads(key->fallback, JSON_DECODE_ANY, NULL)));
    return schema;
}

/* An object with the keys of that place and no others. */
static json_t *place_schema(enum config_place place)
{
    json_t *properties = made(json_object()), *required = made(json_array());

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        if (!(key->places & place))
            continue;
        json_object_set_new(properties, key->name, key_schema(key));
        if (key->required_in & place)
            json_array_append_new(required, made(json_string(key->name)));
    }
    json_t *schema = made(json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
                                    "additionalProperties", 0));
    if (json_array_size(required))
        json_object_set_new(schema, "required", required);
    else
        json_decref(required);
    return schema;
}

void config_schema(struct buf *out)
{
    json_t *schema = made(
        json_pack("{s:s, s:s, s:s}", "$schema", CONFIG_SCHEMA_DRAFT, "title", "kiln.json",
                  "description", "A pipeline of steps that kiln runs when their inputs change."));
    json_t *file = place_schema(CONFIG_IN_FILE);

    json_object_update(schema, file);
    json_decref(file);
    json_object_set_new(schema, "oneOf",
                        made(json_pack("[{s:[s]}, {s:[s], s:{s:b}}]", "required", "steps",
                                       "required", "generate", "properties", "defaults", 0)));
    json_t *secret = place_schema(CONFIG_IN_SECRET);
    json_object_set_new(secret, "minProperties", made(json_integer(1)));
    json_object_set_new(secret, "maxProperties", made(json_integer(1)));
    json_object_set_new(
        schema, "$defs",
        made(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "step", place_schema(CONFIG_IN_STEP),
                       "defaults", place_schema(CONFIG_IN_DEFAULTS), "generate",
                       place_schema(CONFIG_IN_GENERATE), "limits", place_schema(CONFIG_IN_LIMITS),
                       "secret", secret, "cache", place_schema(CONFIG_IN_CACHE), "hook",
                       place_schema(CONFIG_IN_HOOK))));
    config_json_write(schema, out);
}
