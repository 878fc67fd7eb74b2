/* A person's settings: what is read, and where it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/settings.h"

#include <string.h>

static const char *const themes[] = {"auto", "dark", "light", "high-contrast"};
static const char *const notify[] = {"off", "bell"};
static const char *const actions[] = {"retry", "quit", "next-pane"};

static bool is_key(const char *name)
{
    return strlen(name) == 1 || strcmp(name, "Tab") == 0;
}

static const struct config_settings_known known = {
    {themes, 4}, {notify, 2}, {actions, 3}, 2, is_key};

static void test_all(void **state)
{
    (void)state;
    static const char text[] = "// mine\n"
                               "{\"$schema\": \"x\", \"theme\": \"light\", \"mouse\": false,\n"
                               " \"notify\": \"off\", \"notify_after\": \"1m30s\",\n"
                               " \"screen_reader\": true,\n"
                               " \"keys\": {\"retry\": \"r\", \"next-pane\": [\"Tab\", \"x\"], "
                               "\"quit\": [],}}\n";
    struct config_settings *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(config_settings_parse(text, strlen(text), "c.json", &known, &s, &err), 0);
    assert_string_equal(s->theme, "light");
    assert_string_equal(s->notify, "off");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
