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
        bool has = (key->places & place) && key->type != CONFIG_ABSENT;
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
    static const char *const words[] = {"90s",  "1h30m", "500ms", "90", "s",
                                        "1 h",  "A",     "_A1",   "1A", "A-B",
                                        "5s5m", "1h5ms", "1m1m",  "",   "5m5s"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct config *config = NULL;
        char *text =
            mem_printf("{'version': 1, 'steps': {'a': {'run': 'x', 'timeout': '%s'}}}", words[i]);
        int code = case_parse(text, &config, NULL);
        config_free(config);
        assert_true((code == 0) == matches(CONFIG_DURATION_PATTERN, words[i]));
        free(text);
        config = NULL;
        text = mem_printf("{'version': 1, 'steps': {'a': {'run': 'x', 'pass_env': ['%s']}}}",
                          words[i]);
        code = case_parse(text, &config, NULL);
        config_free(config);
        assert_true((code == 0) == matches(CONFIG_VARIABLE_PATTERN, words[i]));
        free(text);
    }
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
