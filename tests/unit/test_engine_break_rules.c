/* When a step is held: the grammar, what is wrong with it, and which rule wants what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/break_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct break_rules *rules, const char *text)
{
    struct err err = ERR_INIT;
    if (break_rules_add(rules, text, NULL, &err) < 0)
        fail_msg("%s: %s", text, err_text(&err));
}

static void add_step(struct break_rules *rules, const char *text)
{
    struct err err = ERR_INIT;
    if (break_rules_add_step(rules, text, &err) < 0)
        fail_msg("%s: %s", text, err_text(&err));
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum break_kind kind;
        const char *steps, *expression;
        uint64_t ms;
    } cases[] = {
        {"before", BREAK_BEFORE, NULL, NULL, 0},
        {"before@web/test", BREAK_BEFORE, "web/test", NULL, 0},
        {"after@*", BREAK_AFTER, "*", NULL, 0},
        {"failure", BREAK_FAILURE, NULL, NULL, 0},
        {"failure@a@b:c", BREAK_FAILURE, "a@b:c", NULL, 0},
        {"key-changed@test", BREAK_KEY_CHANGED, "test", NULL, 0},
        {"duration>30s", BREAK_DURATION, NULL, NULL, 30000},
        {"duration>1h30m@t[12]", BREAK_DURATION, "t[12]", NULL, 5400000},
        {"output~[0-9]+ failed", BREAK_OUTPUT, NULL, "[0-9]+ failed", 0},
        {"output~a>b~c", BREAK_OUTPUT, NULL, "a>b~c", 0},
        {"output~x@test", BREAK_OUTPUT, "test", "x", 0},
        {"output~me\\@here@test", BREAK_OUTPUT, "test", "me@here", 0},
        {"output~a\\.b\\\\@test", BREAK_OUTPUT, "test", "a\\.b\\\\", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct break_rules rules = {0};
        add(&rules, cases[i].text);
        const struct break_rule *rule = break_rules_find(&rules, cases[i].text);
        assert_non_null(rule);
        assert_int_equal(rule->kind, cases[i].kind);
        assert_int_equal(rule->ms, cases[i].ms);
        if (cases[i].steps)
            assert_string_equal(rule->steps, cases[i].steps);
        else
            assert_null(rule->steps);
        if (cases[i].expression)
            assert_string_equal(rule->pattern.text, cases[i].expression);
        break_rules_release(&rules);
    }
}

static void test_steps(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"test", "before@test"},
        {"test:before", "before@test"},
        {"test:after", "after@test"},
        {"web/*:after", "after@web/*"},
        {"a:after:before", "before@a:after"},
        {"a:b", "before@a:b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct break_rules rules = {0};
        add_step(&rules, cases[i][0]);
        assert_int_equal(rules.v.n, 1);
        assert_string_equal(rules.v.v[0].text, cases[i][1]);
        break_rules_release(&rules);
    }
    struct break_rules rules = {0};
    struct err err = ERR_INIT;
    assert_true(break_rules_add_step(&rules, ":after", &err) < 0);
    assert_string_equal(err_text(&err), "a step's name is wanted, or a pattern: test:after");
    err_release(&err);
    char *before = break_rule_before("x");
    assert_string_equal(before, "before@x");
    free(before);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"failur", "there is no condition \"failur\"; did you mean \"failure\"?"},
        {"", "there is no condition \"\"; it is one of before, after, failure, key-changed, "
             "duration>TIME, output~EXPRESSION"},
        {"@test", "there is no condition \"\"; it is one of before, after, failure, key-changed, "
                  "duration>TIME, output~EXPRESSION"},
        {"failure@", "behind the @ a step's name is wanted, or a pattern: failure@test"},
        {"duration", "duration wants a time behind it: duration>30s"},
        {"duration~3s", "duration wants a time behind it: duration>30s"},
        {"duration>", "duration> wants a time such as 500ms, 30s or 1h30m, not \"\""},
        {"duration>soon@x", "duration> wants a time such as 500ms, 30s or 1h30m, not \"soon\""},
        {"output", "output wants an expression behind it: output~'[0-9]+ failed'"},
        {"output~", "output~ wants an expression: output~'[0-9]+ failed'"},
        {"output~@x", "output~ wants an expression: output~'[0-9]+ failed'"},
        {"failure>3", "failure has no value; write just failure, or failure@STEP"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct break_rules rules = {0};
        struct err err = ERR_INIT;
        bool added = false;
        assert_int_equal(break_rules_add(&rules, cases[i][0], &added, &err), -(int)ERR_USAGE);
        assert_string_equal(err_text(&err), cases[i][1]);
        assert_int_equal(rules.v.n, 0);
        err_release(&err);
        break_rules_release(&rules);
    }
    struct break_rules rules = {0};
    struct err err = ERR_INIT;
    assert_true(break_rules_add(&rules, "output~(a", NULL, &err) < 0);
    assert_non_null(strstr(err_text(&err), "as grep -E has them, not \"(a\": "));
    assert_true(break_rules_add(&rules, "output~(a)\\1", NULL, &err) < 0);
    assert_non_null(strstr(err_text(&err), "references back"));
    err_release(&err);
    break_rules_release(&rules);
}

static void test_list(void **state)
{
    (void)state;
    struct break_rules rules = {0};
    struct err err = ERR_INIT;
    bool added;
    add(&rules, "failure");
    add_step(&rules, "test");
    assert_int_equal(break_rules_add(&rules, "failure", &added, &err), 0);
    assert_false(added);
    assert_int_equal(rules.v.n, 2);
    assert_false(break_rules_remove(&rules, "before@tests"));
    assert_true(break_rules_remove(&rules, "failure"));
    assert_int_equal(rules.asked[BREAK_END], 0);
    assert_int_equal(rules.asked[BREAK_START], 1);
    assert_null(break_rules_find(&rules, "failure"));
    assert_non_null(break_rules_find(&rules, "before@test"));
    break_rules_release(&rules);
}

/* The rule's text that wants it held and why, as one string. */
static const char *asked(struct break_rules *rules, const struct break_facts *facts)
{
    static char answer[300];
    struct buf why = BUF_INIT;
    const struct break_rule *rule = break_rules_ask(rules, facts, &why);
    snprintf(answer, sizeof answer, "%s%s%s", rule ? rule->text : "", rule ? ": " : "",
             buf_str(&why));
    buf_release(&why);
    return answer;
}

#define START(name, ...) \
    asked(&rules, &(struct break_facts){.moment = BREAK_START, .step = (name), __VA_ARGS__})
#define END(name, ...) \
    asked(&rules, &(struct break_facts){.moment = BREAK_END, .step = (name), __VA_ARGS__})
#define LINE(name, text)                 \
    asked(&rules, &(struct break_facts){ \
                      .moment = BREAK_LINE, .step = (name), .line = (text), .n = strlen(text)})

static void test_asked(void **state)
{
    (void)state;
    struct break_rules rules = {0};
    assert_string_equal(START("test", .key_changed = true), "");
    assert_string_equal(END("test", .failed = true), "");
    add_step(&rules, "te*");
    add(&rules, "key-changed@lint");
    assert_string_equal(START("test", .key_changed = false), "before@te*: it is about to start");
    assert_string_equal(START("lint", .key_changed = false), "");
    assert_string_equal(START("lint", .key_changed = true),
                        "key-changed@lint: its key is not that of its last pass");
    assert_string_equal(START("lint", .never_passed = true),
                        "key-changed@lint: it has not passed before");
    assert_string_equal(END("test", .failed = true), "");
    add(&rules, "duration>30s@b");
    add(&rules, "failure@a");
    add_step(&rules, "c/*:after");
    assert_string_equal(END("b", .failed = true, .duration_ms = 30000), "");
    assert_string_equal(END("b", .duration_ms = 41000),
                        "duration>30s@b: it took 41s, which is more than 30s");
    assert_string_equal(END("a", .duration_ms = 41000), "");
    assert_string_equal(END("a", .failed = true), "failure@a: it failed");
    assert_string_equal(END("c/d/e", .failed = false), "after@c/*: it has ended");
    assert_string_equal(LINE("a", "3 failed"), "");
    assert_false(break_rules_about(&rules, BREAK_LINE, "a"));
    add(&rules, "output~[0-9]+ FAILED@a");
    assert_true(break_rules_about(&rules, BREAK_LINE, "a"));
    assert_false(break_rules_about(&rules, BREAK_LINE, "b"));
    assert_string_equal(LINE("a", "3 failed"), "");
    assert_string_equal(LINE("b", "3 FAILED"), "");
    assert_string_equal(LINE("a", "no\x1b 3 FAILED!"),
                        "output~[0-9]+ FAILED@a: it wrote: no\\x1b 3 FAILED!");
    assert_int_equal(break_rules_find(&rules, "failure@a")->met, 1);
    assert_int_equal(break_rules_find(&rules, "key-changed@lint")->met, 2);
    break_rules_release(&rules);
}

static void test_checked(void **state)
{
    (void)state;
    static const char *const steps[] = {"build", "test", "web/lint"};
    struct break_rules rules = {0};
    struct err err = ERR_INIT;
    add(&rules, "failure");
    add(&rules, "failure@*/lint");
    add_step(&rules, "build");
    assert_int_equal(break_rules_check(&rules, steps, 3, &err), 0);
    add_step(&rules, "tset");
    assert_int_equal(break_rules_check(&rules, steps, 3, &err), -(int)ERR_USAGE);
    assert_string_equal(err_text(&err),
                        "no step is called \"tset\", which is to be held; did you mean \"test\"?");
    err_release(&err);
    break_rules_release(&rules);
    add(&rules, "failure@nothing*");
    assert_int_equal(break_rules_check(&rules, steps, 3, &err), -(int)ERR_USAGE);
    assert_string_equal(err_text(&err), "no step is called \"nothing*\", which is to be held; "
                                        "\"kiln plan\" lists the steps");
    err_release(&err);
    break_rules_release(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_steps), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_list), cmocka_unit_test(test_asked), cmocka_unit_test(test_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
