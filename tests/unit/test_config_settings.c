/* A person's settings: what is read, and where it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/doc.h"
#include "config/settings.h"
#include "config/settings_table.h"

#include <regex.h>
#include <string.h>

static const char *const themes[] = {"auto", "dark", "light", "high-contrast"};
static const char *const notify[] = {"off", "bell"};
static const char *const forms[] = {"tree", "flat"};
static const char *const sorts[] = {"pipeline", "name"};
static const char *const actions[] = {"retry", "quit", "next-pane"};

static const char *const key_names[] = {"Tab"};

static bool is_key(const char *name)
{
    return strlen(name) == 1 || strcmp(name, "Tab") == 0;
}

static const struct config_settings_known known = {.themes = {themes, 4},
                                                   .notify = {notify, 2},
                                                   .forms = {forms, 2},
                                                   .sorts = {sorts, 2},
                                                   .actions = {actions, 3},
                                                   .key_names = {key_names, 1},
                                                   .most_keys = 2,
                                                   .is_key = is_key};

static const char good[] =
    "// mine\n"
    "{\"$schema\": \"x\", \"theme\": \"light\", \"mouse\": false,\n"
    " \"notify\": \"off\", \"notify_after\": \"1m30s\",\n"
    " \"screen_reader\": true, \"steps\": \"flat\", \"sort\": \"name\",\n"
    " \"keys\": {\"retry\": \"r\", \"next-pane\": [\"Tab\", \"x\"], "
    "\"quit\": [],},\n"
    " \"commands\": {\"look-2\": {\"run\": [\"git\", \"{file}\"], \"key\": \"x\"},"
    " \"b\": {\"run\": [\"b\"]}}}\n";

static void test_all(void **state)
{
    (void)state;
    struct config_settings *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(config_settings_parse(good, strlen(good), "c.json", &known, &s, &err), 0);
    assert_string_equal(s->theme, "light");
    assert_string_equal(s->notify, "off");
    assert_string_equal(s->steps, "flat");
    assert_string_equal(s->sort, "name");
    assert_int_equal(s->notify_after_ms, 90000);
    assert_int_equal(s->mouse, CONFIG_NO);
    assert_int_equal(s->screen_reader, CONFIG_YES);
    assert_int_equal(s->n_keys, 3);
    assert_string_equal(s->keys[0].action, "retry");
    assert_int_equal(s->keys[0].n, 1);
    assert_string_equal(s->keys[0].keys[0], "r");
    assert_int_equal(s->keys[1].n, 2);
    assert_string_equal(s->keys[1].keys[0], "Tab");
    assert_string_equal(s->keys[1].keys[1], "x");
    assert_int_equal(s->keys[2].n, 0);
    assert_int_equal(s->n_commands, 2);
    assert_string_equal(s->commands[0].name, "look-2");
    assert_int_equal(s->commands[0].n_keys, 1);
    assert_string_equal(s->commands[0].keys[0], "x");
    assert_string_equal(s->commands[0].run[1], "{file}");
    assert_null(s->commands[0].run[2]);
    assert_int_equal(s->commands[1].n_keys, 0);
    config_settings_free(s);
}

static void test_nothing(void **state)
{
    (void)state;
    struct config_settings *s = NULL;
    assert_int_equal(config_settings_parse("{}", 2, "c.json", &known, &s, NULL), 0);
    assert_null(s->theme);
    assert_null(s->notify);
    assert_int_equal(s->mouse, CONFIG_UNSAID);
    assert_int_equal(s->n_keys, 0);
    config_settings_free(s);
}

static const struct {
    const char *text, *message;
} wrong[] = {
    {"", "c.json:1:1: "},
    {"[]", "c.json:1:1: the settings must be an object; write them in { and }"},
    {"{\"theme\": \"ligth\"}", "c.json:1:11: unknown theme \"ligth\"; did you mean \"light\"?"},
    {"{\"theme\": \"pink\"}", "c.json:1:11: unknown theme \"pink\"; there is \"auto\", \"dark\", "
                              "\"light\" and \"high-contrast\""},
    {"{\"sort\": \"nme\"}", "c.json:1:10: unknown order \"nme\"; did you mean \"name\"?"},
    {"{\"steps\": \"heap\"}",
     "c.json:1:11: unknown way to show steps \"heap\"; there is \"tree\" and \"flat\""},
    {"{\"theme\": 1}", "c.json:1:11: theme must be a string; put it in double quotes"},
    {"{\n \"mose\": true}", "c.json:2:2: unknown setting \"mose\"; did you mean \"mouse\"?"},
    {"{\"mouse\": \"no\"}", "c.json:1:11: \"mouse\" must be true or false, without quotes"},
    {"{\"notify_after\": 5}",
     "c.json:1:18: \"notify_after\" must be a duration; write it as \"30s\" or \"5m\""},
    {"{\"keys\": {\"rety\": \"r\"}}",
     "c.json:1:11: unknown action \"rety\"; did you mean \"retry\"?"},
    {"{\"keys\": {\"retry\": [\"r\", \"Taab\"]}}",
     "c.json:1:26: \"Taab\" names no key; a key is a character, ^ and a letter, two characters "
     "typed one after the other, or a name such as \"Enter\", \"PgUp\" or \"F5\""},
    {"{\"keys\": {\"retry\": 5}}",
     "c.json:1:20: the keys of an action are a string or a list of strings"},
    {"{\"keys\": {\"retry\": [5]}}",
     "c.json:1:21: a key must be a string; put it in double quotes"},
    {"{\"keys\": {\"retry\": [\"a\", \"b\", \"c\"]}}", "c.json:1:20: an action has at most 2 keys"},
    {"{\"keys\": []}", "c.json:1:10: \"keys\" must be an object"},
    {"{\"commands\": {\"Look\": {\"run\": [\"x\"]}}}",
     "c.json:1:15: a command's name has at most 18 lower-case letters, digits and -"},
    {"{\"commands\": {\"retry\": {\"run\": [\"x\"]}}}",
     "c.json:1:15: kiln has an action \"retry\" already; give the command another name"},
    {"{\"commands\": {\"look\": [\"x\"]}}", "c.json:1:23: a command must be an object"},
    {"{\"commands\": {\"look\": {\"key\": \"x\"}}}", "c.json:1:23: a command needs \"run\""},
    {"{\"commands\": {\"look\": {\"run\": \"git diff\"}}}",
     "c.json:1:31: \"run\" must be a list of words"},
    {"{\"commands\": {\"look\": {\"run\": []}}}", "c.json:1:31: \"run\" must be a list of words"},
    {"{\"commands\": {\"look\": {\"run\": [1]}}}", "c.json:1:32: a word of a command must be"},
    {"{\"commands\": {\"look\": {\"run\": [\"x\"], \"kye\": \"x\"}}}",
     "c.json:1:38: unknown part of a command \"kye\"; did you mean \"key\"?"},
    {"{\"commands\": {\"look\": {\"run\": [\"x\"], \"key\": \"Taab\"}}}",
     "c.json:1:45: \"Taab\" names no key"},
    {"{\"commands\": []}", "c.json:1:14: \"commands\" must be an object"},
    {"{\"mouse\": true,, }", "c.json:1:"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct config_settings *s = NULL;
        struct err err = ERR_INIT;
        const char *text = wrong[i].text;
        assert_true(config_settings_parse(text, strlen(text), "c.json", &known, &s, &err) < 0);
        assert_null(s);
        assert_int_equal(err.kind, ERR_CONFIG);
        if (strncmp(err_text(&err), wrong[i].message, strlen(wrong[i].message)) != 0)
            fail_msg("%s: %s", text, err_text(&err));
        err_release(&err);
    }
}

/* -- the schema: it says what is read, no more and no less ------------------------------------- */

static bool has_type(const json_t *value, const char *type)
{
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value));
}

static bool valid(const json_t *root, const json_t *schema, const json_t *value);

static bool any_valid(const json_t *root, const json_t *schemas, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(schemas); i++)
        if (valid(root, json_array_get(schemas, i), value))
            return true;
    return false;
}

static bool enumerated(const json_t *words, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(words); i++)
        if (json_equal(json_array_get(words, i), value))
            return true;
    return false;
}

/* POSIX has no \x00. */
static bool matches(const char *pattern, const char *text)
{
    regex_t regex;
    bool control = strcmp(pattern, "^([!-~]{2}|[^\\x00-\\x20])$") == 0;
    assert_int_equal(
        regcomp(&regex, control ? "^([!-~]{2}|[^[:cntrl:] ])$" : pattern, REG_EXTENDED | REG_NOSUB),
        0);
    bool match = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return match;
}

/* Of what properties does not name: a schema of its own, or false. */
static bool valid_others(const json_t *root, const json_t *schema, const json_t *of,
                         const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    for (void *at = json_object_iter((json_t *)value); at;
         at = json_object_iter_next((json_t *)value, at))
        if (!json_object_get(properties, json_object_iter_key(at)) &&
            (json_is_false(of) || !valid(root, of, json_object_iter_value(at))))
            return false;
    return true;
}

static bool valid_names(const json_t *root, const json_t *of, const json_t *value)
{
    bool is = true;
    for (void *at = json_object_iter((json_t *)value); at;
         at = json_object_iter_next((json_t *)value, at)) {
        json_t *name = json_string(json_object_iter_key(at));
        is = is && valid(root, of, name);
        json_decref(name);
    }
    return is;
}

static bool has_all(const json_t *names, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(names); i++)
        if (!json_object_get(value, json_string_value(json_array_get(names, i))))
            return false;
    return true;
}

static bool valid_object(const json_t *root, const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    for (void *at = json_object_iter((json_t *)value); at;
         at = json_object_iter_next((json_t *)value, at)) {
        const json_t *property = json_object_get(properties, json_object_iter_key(at));
        if (property && !valid(root, property, json_object_iter_value(at)))
            return false;
    }
    return true;
}

/* The words of JSON Schema that this schema uses; another one fails the test. */
static bool valid(const json_t *root, const json_t *schema, const json_t *value)
{
    for (void *at = json_object_iter((json_t *)schema); at;
         at = json_object_iter_next((json_t *)schema, at)) {
        const char *word = json_object_iter_key(at);
        const json_t *of = json_object_iter_value(at);
        bool is = true;
        if (strcmp(word, "$ref") == 0) {
            assert_memory_equal(json_string_value(of), "#/$defs/", 8);
            const json_t *def =
                json_object_get(json_object_get(root, "$defs"), json_string_value(of) + 8);
            assert_non_null(def);
            is = valid(root, def, value);
        } else if (strcmp(word, "type") == 0) {
            is = has_type(value, json_string_value(of));
        } else if (strcmp(word, "enum") == 0) {
            is = enumerated(of, value);
        } else if (strcmp(word, "anyOf") == 0) {
            is = any_valid(root, of, value);
        } else if (strcmp(word, "pattern") == 0) {
            is = !json_is_string(value) || matches(json_string_value(of), json_string_value(value));
        } else if (strcmp(word, "properties") == 0) {
            is = !json_is_object(value) || valid_object(root, schema, value);
        } else if (strcmp(word, "maxItems") == 0) {
            is = (json_int_t)json_array_size(value) <= json_integer_value(of);
        } else if (strcmp(word, "items") == 0) {
            for (size_t i = 0; i < json_array_size(value); i++)
                is = is && valid(root, of, json_array_get(value, i));
        } else if (strcmp(word, "additionalProperties") == 0) {
            is = !json_is_object(value) || valid_others(root, schema, of, value);
        } else if (strcmp(word, "propertyNames") == 0) {
            is = !json_is_object(value) || valid_names(root, of, value);
        } else if (strcmp(word, "required") == 0) {
            is = !json_is_object(value) || has_all(of, value);
        } else if (strcmp(word, "minItems") == 0) {
            is = !json_is_array(value) ||
                 (json_int_t)json_array_size(value) >= json_integer_value(of);
        } else if (strcmp(word, "not") == 0) {
            is = !valid(root, of, value);
        } else if (strcmp(word, "title") && strcmp(word, "description") &&
                   strcmp(word, "default") && strcmp(word, "$schema") && strcmp(word, "$defs")) {
            fail_msg("the schema says \"%s\"", word);
        }
        if (!is)
            return false;
    }
    return true;
}

static json_t *load_schema(void)
{
    struct buf text = BUF_INIT;
    config_settings_schema(&known, &text);
    json_t *schema = json_loadb(buf_str(&text), text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(schema);
    assert_int_equal(text.data[text.len - 1], '\n');
    buf_release(&text);
    return schema;
}

static bool valid_text(const json_t *schema, const char *text)
{
    struct config_doc doc;
    struct err err = ERR_INIT;
    bool is = config_doc_open(&doc, text, strlen(text), "c.json", &err) == 0 &&
              valid(schema, schema, doc.json);
    config_doc_close(&doc);
    err_release(&err);
    return is;
}

static void test_schema(void **state)
{
    (void)state;
    json_t *schema = load_schema();
    const json_t *properties = json_object_get(schema, "properties");
    assert_int_equal(json_object_size(properties), SETTING_N);
    for (size_t i = 0; i < SETTING_N; i++) {
        const json_t *setting = json_object_get(properties, config_setting_table[i].name);
        assert_true(json_string_length(json_object_get(setting, "title")) > 0);
        assert_true(json_string_length(json_object_get(setting, "description")) > 0);
        const json_t *fallback = json_object_get(setting, "default");
        assert_true(!fallback || valid(schema, setting, fallback));
    }
    assert_true(valid_text(schema, good));
    assert_true(valid_text(schema, "{}"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (valid_text(schema, wrong[i].text))
            fail_msg("the schema takes %s", wrong[i].text);
    json_decref(schema);
}

/* -- one value changed ------------------------------------------------------------------------- */

static const struct {
    const char *before, *after; /* NULL: refused */
} puts_[] = {
    {"{}", "{\n  \"theme\": \"light\"\n}"},
    {"{\n}\n", "{\n  \"theme\": \"light\"\n}\n"},
    {"{/* none */}", "{\n  \"theme\": \"light\" /* none */}"},
    {"{ // none\n}", "{\n  \"theme\": \"light\" // none\n}"},
    {"{\"mouse\": true}", "{\"theme\": \"light\", \"mouse\": true}"},
    {"{ \"mouse\": true, }", "{ \"theme\": \"light\", \"mouse\": true, }"},
    {"// mine\n{\n\t// quiet\n\t\"mouse\": false, // no\n}\n",
     "// mine\n{\n\t\"theme\": \"light\",\n\t// quiet\n\t\"mouse\": false, // no\n}\n"},
    {"\xef\xbb\xbf{\r\n  \"mouse\": true\r\n}",
     "\xef\xbb\xbf{\r\n  \"theme\": \"light\",\r\n  \"mouse\": true\r\n}"},
    {"{\"theme\": \"dark\"}", "{\"theme\": \"light\"}"},
    {"{\"theme\" : /* was \"mono\" */ \"da\\\"\\u0072k\" /* now */, \"notify\": \"off\",}",
     "{\"theme\" : /* was \"mono\" */ \"light\" /* now */, \"notify\": \"off\",}"},
    {"{\"keys\": {\"theme\": \"x\"}, \"the\\u006de\": \"\"}",
     "{\"keys\": {\"theme\": \"x\"}, \"the\\u006de\": \"light\"}"},
    {"{\"theme\": \"light\"}", "{\"theme\": \"light\"}"},
    /* what is wrong besides is the person's */
    {"{\"mose\": 1}", "{\"theme\": \"light\", \"mose\": 1}"},
    {"", NULL},
    {"[]", NULL},
    {"{\"theme\": 1}", NULL},
    {"{\"theme\": [\"dark\"]}", NULL},
    {"{\"mouse\": tru}", NULL},
    {"{\"theme\": \"dark\", \"theme\": \"mono\"}", NULL},
};

static void test_put(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof puts_ / sizeof *puts_; i++) {
        const char *before = puts_[i].before, *after = puts_[i].after;
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        buf_adds(&out, ">");
        int code =
            config_settings_put(before, strlen(before), "c.json", "theme", "light", &out, &err);
        assert_int_equal(code < 0, after == NULL);
        if (after)
            assert_string_equal(buf_str(&out) + 1, after);
        else
            assert_memory_equal(err_text(&err), "c.json:1:", 9);
        assert_true(after || out.len == 1);
        buf_release(&out);
        err_release(&err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),    cmocka_unit_test(test_nothing), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_schema), cmocka_unit_test(test_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
