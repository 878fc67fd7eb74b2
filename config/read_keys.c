/* Checking objects by the key table, and the words for what is wrong with them. */
#include "config/reader.h"

#include "base/text.h"

#include <stdarg.h>
#include <string.h>

int config_fail(struct config_reader *r, struct config_pos pos, const char *format, ...)
{
    struct buf words = BUF_INIT;
    va_list args;

    va_start(args, format);
    buf_vaddf(&words, format, args);
    va_end(args);
    int code = err_set(r->doc.err, ERR_CONFIG, "%s:%u:%u: %s%s%s%s", r->doc.shown, pos.line,
                       pos.column, r->step ? "step " : "", r->step ? r->step : "",
                       r->step ? ": " : "", buf_str(&words));
    buf_release(&words);
    return code;
}

void config_enter_step(struct config_reader *r, const char *name)
{
    struct buf out = BUF_INIT;

    r->step = NULL;
    if (!name)
        return;
    config_add_quoted(&out, name, strlen(name), CONFIG_SHOWN_NAME);
    r->step = arena_strdup(&r->config->arena, buf_str(&out));
    buf_release(&out);
}

const char *config_quote(struct config_reader *r, const char *text)
{
    struct buf out = BUF_INIT;
    config_add_quoted(&out, text, strlen(text), CONFIG_SHOWN_TEXT);
    const char *quoted = arena_strdup(&r->config->arena, buf_str(&out));
    buf_release(&out);
    return quoted;
}

const char *config_string(const struct config_reader *r, uint32_t node)
{
    return json_string_value(r->doc.nodes.v[node].json);
}

/* Says that the node is not what it must be; remedy may be NULL. */
static int fail_type(struct config_reader *r, uint32_t node, const char *what, const char *must,
                     const char *remedy)
{
    const json_t *json = r->doc.nodes.v[node].json;
    char number[40];
    const char *is = "?";

    switch (json_typeof(json)) {
    case JSON_OBJECT: is = "an object"; break;
    case JSON_ARRAY: is = "a list"; break;
    case JSON_STRING: is = config_quote(r, json_string_value(json)); break;
    case JSON_TRUE: is = "true"; break;
    case JSON_FALSE: is = "false"; break;
    case JSON_NULL:
        is = "null";
        remedy = "leave it out to have the default";
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        is = number;
        break;
    case JSON_REAL:
        snprintf(number, sizeof(number), "%g", json_real_value(json));
        if (!number[strspn(number, "-0123456789")])
            strcat(number, ".0"); /* 1.0 is not the whole number 1 to JSON's readers */
        is = number;
        break;
    }
    return config_fail(r, r->doc.nodes.v[node].pos, "%s must be %s, not %s%s%s", what, must, is,
                       remedy ? "; " : "", remedy ? remedy : "");
}

/* A list of strings. */
static int check_list(struct config_reader *r, uint32_t node, const char *name, const char *example)
{
    char remedy[80], what[80];

    snprintf(remedy, sizeof(remedy), "write it as %s", example);
    if (!json_is_array(r->doc.nodes.v[node].json))
        return fail_type(r, node, name, "a list of strings", remedy);
    snprintf(what, sizeof(what), "each item of %s", name);
    config_doc_each(item, &r->doc, node)
    {
        if (!json_is_string(r->doc.nodes.v[item].json))
            return fail_type(r, item, what, "a string", "put it in double quotes");
    }
    return 0;
}

static int check_env(struct config_reader *r, uint32_t node, const char *name)
{
    if (!json_is_object(r->doc.nodes.v[node].json))
        return fail_type(r, node, name, "an object", "write it as {\"NAME\": \"value\"}");
    config_doc_each(item, &r->doc, node)
    {
        const struct config_node *value = &r->doc.nodes.v[item];
        if (!json_is_string(value->json))
            return fail_type(
                r, item,
                arena_printf(&r->config->arena, "the variable %s", config_quote(r, value->key)),
                "a string", "put it in double quotes");
    }
    return 0;
}

static int check_type(struct config_reader *r, uint32_t node, const struct config_key *key)
{
    const json_t *json = r->doc.nodes.v[node].json;
    char name[40], must[80];

    snprintf(name, sizeof(name), "\"%s\"", key->name);
    switch (key->type) {
    case CONFIG_VERSION:
        if (!json_is_integer(json))
            return fail_type(r, node, name, "the number 1", "write \"version\": 1");
        if (json_integer_value(json) != 1)
            return config_fail(r, r->doc.nodes.v[node].pos,
                               "version %" JSON_INTEGER_FORMAT " of the format is not known; this "
                               "kiln reads version 1: write 1, or use a newer kiln",
                               json_integer_value(json));
        return 0;
    case CONFIG_BOOL:
        return json_is_boolean(json) ? 0
                                     : fail_type(r, node, name, "true or false",
                                                 "write it without quotes, in lower case");
    case CONFIG_INT:
        if (json_is_integer(json) && json_integer_value(json) >= key->least &&
            json_integer_value(json) <= key->most)
            return 0;
        snprintf(must, sizeof(must), "a whole number from %u to %u", key->least, key->most);
        return fail_type(r, node, name, must,
                         json_is_string(json) ? "write it without quotes" : NULL);
    case CONFIG_COMMAND:
        if (json_is_string(json))
            return 0;
        if (!json_is_array(json))
            return fail_type(
                r, node, name, "a string or a list of strings",
                "write \"make all\" for the shell, or [\"make\", \"all\"] without one");
        return check_list(r, node, name, "");
    case CONFIG_PATTERNS: return check_list(r, node, name, "[\"src\", \"Makefile\"]");
    case CONFIG_PATHS: return check_list(r, node, name, "[\"build/app\"]");
    case CONFIG_CHOICES: return check_list(r, node, name, "[\"pre-commit\"]");
    case CONFIG_NAMES: return check_list(r, node, name, "[\"build\"]");
    case CONFIG_VARS: return check_list(r, node, name, "[\"LANG\"]");
    case CONFIG_ENV: return check_env(r, node, name);
    case CONFIG_DURATION:
        return json_is_string(json) ? 0
                                    : fail_type(r, node, name, "a string",
                                                "write it as \"90s\", \"5m\" or \"1h30m\"");
    case CONFIG_SIZE:
        return json_is_string(json)
                   ? 0
                   : fail_type(r, node, name, "a string", "write it as \"512MiB\" or \"2GiB\"");
    case CONFIG_CPUS:
        if (json_is_number(json) && json_number_value(json) >= 0.01 &&
            json_number_value(json) <= 1024)
            return 0;
        return fail_type(r, node, name, "a number of processors from 0.01 to 1024",
                         json_is_string(json) ? "write it without quotes" : NULL);
    case CONFIG_SECRETS:
        return json_is_object(json) ? 0
                                    : fail_type(r, node, name, "an object",
                                                "write it as {\"TOKEN\": {\"env\": \"TOKEN\"}}");
    case CONFIG_CACHES:
        return json_is_object(json) ? 0
                                    : fail_type(r, node, name, "an object",
                                                "write it as {\"/root/.cache\": \"name\"}");
    case CONFIG_STRING:
    case CONFIG_CHOICE:
    case CONFIG_PATH:
    case CONFIG_RUNNERS:
        return json_is_string(json)
                   ? 0
                   : fail_type(r, node, name, "a string", "put it in double quotes");
    case CONFIG_BLOCK:
        return json_is_object(json) ? 0
                                    : fail_type(r, node, name, "an object", "write it in { and }");
    }
    return 0;
}

/* A key of another place. */
static int fail_misplaced(struct config_reader *r, const struct config_node *it,
                          const struct config_key *key, enum config_place place)
{
    const char *in = place == CONFIG_IN_FILE ? "the top of the file" : config_place_name(place);
    unsigned nested = CONFIG_IN_LIMITS | CONFIG_IN_SECRET | CONFIG_IN_CACHE | CONFIG_IN_HOOK;

    if (key->places & CONFIG_IN_FILE)
        return config_fail(r, it->key_pos,
                           "\"%s\" does not belong in %s; move it to the top of the file",
                           key->name, in);
    return config_fail(r, it->key_pos, "\"%s\" does not belong in %s; it is a key of %s%s",
                       key->name, in,
                       key->places & nested ? config_place_name(key->places & nested) : "a step",
                       key->places & CONFIG_IN_DEFAULTS ? " or of \"defaults\"" : "");
}

static int fail_unknown(struct config_reader *r, uint32_t node, enum config_place place)
{
    const struct config_node *it = &r->doc.nodes.v[node];
    const struct config_key *key = config_key_find(it->key, place);

    if (key && (key->places & place))
        return config_fail(r, it->key_pos, "\"%s\" is not what this kiln has yet; remove the key",
                           key->name);
    if (key)
        return fail_misplaced(r, it, key, place);

    const char *name = config_quote(r, it->key);
    const char *nearest = config_key_nearest(it->key, place);
    if (nearest)
        return config_fail(r, it->key_pos, "unknown key %s; did you mean \"%s\"?", name, nearest);
    struct buf known = BUF_INIT;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        if (config_keys[i].places & place)
            buf_addf(&known, "%s%s", known.len ? ", " : "", config_keys[i].name);
    int code = config_fail(r, it->key_pos, "unknown key %s; %s may have %s", name,
                           config_place_name(place), buf_str(&known));
    buf_release(&known);
    return code;
}

int config_read_keys(struct config_reader *r, uint32_t node, enum config_place place,
                     config_found found)
{
    const char *name = place == CONFIG_IN_FILE ? "a pipeline" : config_place_name(place);

    memset(found, 0, sizeof(config_found));
    if (!json_is_object(r->doc.nodes.v[node].json))
        return fail_type(r, node, name, "an object", "write it in { and }");
    /* Another version may have other keys: its number comes first, wherever it stands. */
    config_doc_each(version, &r->doc, node)
    {
        if (place == CONFIG_IN_FILE && !strcmp(r->doc.nodes.v[version].key, "version") &&
            check_type(r, version, &config_keys[CONFIG_KEY_VERSION]) < 0)
            return -ERR_CONFIG;
    }
    config_doc_each(child, &r->doc, node)
    {
        const struct config_key *key = config_key_find(r->doc.nodes.v[child].key, place);
        if (!key || !(key->places & place))
            return fail_unknown(r, child, place);
        if (check_type(r, child, key) < 0)
            return -ERR_CONFIG;
        found[key - config_keys] = child;
    }
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        if ((config_keys[i].required_in & place) && !found[i])
            return config_fail(r, r->doc.nodes.v[node].pos, "%s has no \"%s\"; add %s", name,
                               config_keys[i].name,
                               i == CONFIG_KEY_VERSION      ? "\"version\": 1"
                               : i == CONFIG_KEY_CACHE_NAME ? "\"name\": \"cargo\""
                                                            : "\"run\": \"the command\"");
    return 0;
}
