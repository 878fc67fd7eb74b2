/* The JSON Schema says what the parser accepts: every key, once, with its words. */
#include "test_config.h"

#include "config/keys.h"

#include <jansson.h>
#include <regex.h>

static json_t *load_schema(void)
{
    struct buf text = BUF_INIT;
    json_error_t error;

    config_schema(&text);
    json_t *schema = json_loadb(buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &error);
    if (!schema)
        print_error("%d:%d: %s\n", error.line, error.column, error.text);
    assert_non_null(schema);
    assert_int_equal(text.data[text.len - 1], '\n');
    buf_release(&text);
    return schema;
}

static const json_t *in_defs(const json_t *schema, const char *name)
{
    return json_object_get(json_object_get(schema, "$defs"), name);
}

static void check_place(const json_t *schema, enum config_place place)
{
    const json_t *properties = json_object_get(schema, "properties");
    size_t n = 0;

    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        const json_t *property = json_object_get(properties, key->name);
        if (config_key_find(key->name, place) != key)
            continue; /* another key of that name is the one of this place */
        bool has = key->places & place;
        assert_true((property != NULL) == has);
        if (!has)
            continue;
        n++;
        assert_true(json_string_length(json_object_get(property, "title")) > 0);
        assert_true(json_string_length(json_object_get(property, "description")) > 0);
        assert_true(json_object_get(property, "type") || json_object_get(property, "anyOf") ||
                    json_object_get(property, "enum") || json_object_get(property, "const") ||
                    json_object_get(property, "$ref"));
    }
    assert_int_equal(json_object_size(properties), n);
}

static void the_schema_has_every_key(void **state)
{
    json_t *schema = load_schema();

    (void)state;
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    check_place(schema, CONFIG_IN_FILE);
    check_place(in_defs(schema, "step"), CONFIG_IN_STEP);
    check_place(in_defs(schema, "defaults"), CONFIG_IN_DEFAULTS);
    check_place(in_defs(schema, "generate"), CONFIG_IN_GENERATE);
    check_place(in_defs(schema, "limits"), CONFIG_IN_LIMITS);
    check_place(in_defs(schema, "secret"), CONFIG_IN_SECRET);
    check_place(in_defs(schema, "cache"), CONFIG_IN_CACHE);
    json_decref(schema);
}

/* A reference to a definition that is not there would make the schema useless without a word. */
static void check_references(const json_t *schema, const json_t *json)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_array(json)) {
        json_array_foreach(json, i, value) check_references(schema, value);
        return;
    }
    json_object_foreach((json_t *)json, key, value)
    {
        if (!strcmp(key, "$ref")) {
            assert_int_equal(strncmp(json_string_value(value), "#/$defs/", 8), 0);
            assert_non_null(in_defs(schema, json_string_value(value) + 8));
        }
        check_references(schema, value);
    }
}

static void references_lead_somewhere(void **state)
{
    json_t *schema = load_schema();

    (void)state;
    check_references(schema, schema);
    json_decref(schema);
}

static bool matches(const char *pattern, const char *text)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

/* The schema's patterns and the parser's checks are two writings of one rule. */
static void patterns_agree_with_the_parser(void **state)
{
    static const char *const words[] = {
        "90s",       "1h30m",     "500ms",   "90",        "s",           "1 h",          "A",
        "_A1",       "1A",        "A-B",     "5s5m",      "1h5ms",       "1m1m",         "",
        "5m5s",      "2GiB",      "1kB",     "1kiB",      "1KiB",        "1.5GiB",       "12B",
        "a:b",       "a:",        ":a",      ".a",        "-a",          "a.b-c",        "a/b",
        "a\tb",      "/a",        "1000",    "node:1000", "linux/amd64", "linux/arm/v7", "linux/",
        "mac/amd64", "debian:12", "oci:a/b", "a b"};
    static const struct {
        const char *body, *pattern;
    } rules[] = {
        {"'timeout': '%s'", CONFIG_DURATION_PATTERN},
        {"'pass_env': ['%s']", CONFIG_VARIABLE_PATTERN},
        {"'image': '%s'", CONFIG_IMAGE_PATTERN},
        {"'image': 'a', 'platform': '%s'", CONFIG_PLATFORM_PATTERN},
        {"'image': 'a', 'user': '%s'", CONFIG_USER_PATTERN},
        {"'image': 'a', 'limits': {'memory': '%s'}", CONFIG_SIZE_PATTERN},
        {"'image': 'a', 'caches': {'/a': '%s'}", CONFIG_CACHE_PATTERN},
        {"'image': 'a', 'secrets': {'%s': {'env': 'A'}}", CONFIG_TARGET_PATTERN},
    };
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) * (sizeof(rules) / sizeof(rules[0]));
         i++) {
        const char *word = words[i / (sizeof(rules) / sizeof(rules[0]))];
        size_t rule = i % (sizeof(rules) / sizeof(rules[0]));
        struct buf text = BUF_INIT;
        struct config *config = NULL;
        struct err err = ERR_INIT;
        const char *hole = strstr(rules[rule].body, "%s");
        buf_adds(&text, "{'version': 1, 'steps': {'a': {'run': 'x', ");
        buf_add(&text, rules[rule].body, (size_t)(hole - rules[rule].body));
        buf_addf(&text, "%s%s}}}", strcmp(word, "a\tb") ? word : "a\\tb", hole + 2);
        bool good = case_parse(buf_str(&text), &config, &err) == 0;
        if (good != matches(rules[rule].pattern, word)) {
            print_error("%s: '%s' is %s: %s\n", rules[rule].pattern, word, good ? "good" : "bad",
                        good ? "" : err_text(&err));
            wrong++;
        }
        err_release(&err);
        config_free(config);
        buf_release(&text);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_has_every_key),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(patterns_agree_with_the_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
