/* The steps pane and the header: what is held, folded, filtered, sorted; the branch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <stdio.h>
#include <string.h>

static struct pty *start(int cols, int rows)
{
    struct pty *pty = pty_start(&(struct pty_options){cols, rows, "xterm-256color", true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step configure - Configure_the_build_tree");
    pty_say(pty, "step build configure Compile_the_library");
    pty_say(pty, "step lint configure clang-tidy_over_src");
    pty_say(pty, "step unit build Unit_tests");
    pty_say(pty, "step spec build The_specification");
    pty_say(pty, "step package unit,spec A_tarball");
    pty_say(pty, "end");
    pty_say(pty, "tree main 3");
    return pty;
}

/* The second time: it is known how long things take. */
static void say_held(struct pty *pty)
{
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "finished build passed 1000 0 0 0");
    pty_say(pty, "started unit 1");
    pty_say(pty, "finished unit passed 2500 0 0 0");
    pty_say(pty, "ended passed 4000");
    pty_say(pty, "run");
    pty_say(pty, "finished configure cached 1 0 0 900");
    pty_say(pty, "started build 1");
    pty_say(pty, "now 4100");
    pty_say(pty, "finished build passed 4100 0 0 0");
    pty_say(pty, "started unit 1");
    pty_say(pty, "log unit 1 of 7 wrong\\n");
    pty_say(pty, "breakpoint spec 1");
    pty_say(pty, "queued spec");
    pty_say(pty, "paused unit 1 400");
    pty_say(pty, "paused spec");
}

static void held_at(int cols, int rows)
{
    char name[40];
    struct pty *pty = start(cols, rows);
    say_held(pty);
    pty_sync(pty);
    snprintf(name, sizeof name, "held-%dx%d", cols, rows);
    pty_golden(pty, name);
    pty_end(pty);
}

static void test_held(void **state)
{
    (void)state;
    held_at(40, 10);
    held_at(80, 24);
    held_at(120, 40);
    held_at(200, 60);
}

static void test_acting(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    /* Nothing is held yet: it says why it does nothing. */
    pty_type(pty, "c");
    pty_sync(pty);
    assert_true(pty_shows(pty, "no step is held"));
    say_held(pty);
    pty_type(pty, ":unit\rbBcr");
    assert_string_equal(pty_reply(pty, "command"), "command break unit");
    assert_string_equal(pty_reply(pty, "command"), "command break failure");
    assert_string_equal(pty_reply(pty, "command"), "command continue unit");
    assert_string_equal(pty_reply(pty, "command"), "command retry unit");
    pty_type(pty, "CX");
    assert_string_equal(pty_reply(pty, "command"), "command step unit");
    assert_string_equal(pty_reply(pty, "command"), "command skip unit");
    pty_type(pty, "fffaa");
    assert_string_equal(pty_reply(pty, "command"), "command force unit");
    assert_string_equal(pty_reply(pty, "command"), "command force -");
    assert_string_equal(pty_reply(pty, "command"), "command abort -");
    pty_say(pty, "breakpoint unit 1");
    pty_sync(pty);
    pty_type(pty, "b");
    assert_string_equal(pty_reply(pty, "command"), "command unbreak unit");
    pty_say(pty, "resumed unit");
    pty_sync(pty);
    assert_true(pty_shows(pty, "PAUSED at spec"));
    pty_end(pty);
}

/* What it runs as, and why it is held, stands in the Why pane; after it passed too. */
static void test_facts(void **state)
{
    (void)state;
    struct pty *pty = start(120, 40);
    say_held(pty);
    pty_say(pty, "env spec CC=gcc");
    pty_say(pty, "env spec TOKEN=***");
    pty_say(pty, "resumed unit");
    pty_say(pty, "started unit 1");
    pty_say(pty, "paused unit 0 400 output~wrong it_wrote:_1_of_7_wrong");
    pty_say(pty, "paused spec");
    pty_type(pty, ":spec\r");
    pty_sync(pty);
    pty_golden(pty, "held-facts-120x40");
    pty_type(pty, ":unit\r3");
    pty_sync(pty);
    assert_true(pty_shows(pty, "paused: passed after 0.40s"));
    assert_true(pty_shows(pty, "held       it wrote: 1 of 7 wrong  output~wrong"));
    /* What has passed can't be skipped. */
    pty_type(pty, "X");
    pty_sync(pty);
    assert_true(pty_shows(pty, "no step is held here that has not passed"));
    pty_end(pty);
}

/* Conditions are typed; what is to be held is listed, and taken away there. */
static void test_rules(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    pty_type(pty, "L");
    pty_sync(pty);
    assert_true(pty_shows(pty, "nothing is to be held"));
    pty_type(pty, "Hduration>3s@unit\r");
    assert_string_equal(pty_reply(pty, "command"), "command break duration>3s@unit");
    pty_type(pty, "H\rH\x7f:spec\rA");
    assert_string_equal(pty_reply(pty, "command"), "command break after@spec");
    pty_say(pty, "breakpoint - 1 duration>3s@unit");
    pty_say(pty, "breakpoint - 1 after@spec");
    pty_say(pty, "breakpoint - 1 failure");
    pty_sync(pty);
    pty_type(pty, "B");
    assert_string_equal(pty_reply(pty, "command"), "command unbreak failure");
    pty_type(pty, "L");
    pty_sync(pty);
    pty_golden(pty, "breakpoints-80x24");
    pty_type(pty, "aft\r");
    assert_string_equal(pty_reply(pty, "command"), "command unbreak after@spec");
    pty_say(pty, "breakpoint - 0 after@spec");
    pty_sync(pty);
    pty_type(pty, "L");
    pty_sync(pty);
    assert_false(pty_shows(pty, "after@spec  "));
    pty_type(pty, "\x7f"
                  "A");
    assert_string_equal(pty_reply(pty, "command"), "command break after@spec");
    pty_end(pty);
}

static void test_choosing(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_held(pty);
    pty_type(pty, ":build\rh");
    pty_sync(pty);
    pty_golden(pty, "folded-80x24");
    /* h again goes up, and folds there; l opens it. */
    pty_type(pty, "hhl");
    pty_sync(pty);
    assert_true(pty_shows(pty, "build +1"));
    pty_type(pty, "T");
    pty_sync(pty);
    pty_golden(pty, "levels-80x24");
    pty_type(pty, "T>>>");
    pty_sync(pty);
    assert_true(pty_shows(pty, "1 Steps: flat, by name"));
    pty_type(pty, "&bui");
    pty_sync(pty);
    assert_true(pty_shows(pty, "&bui"));
    assert_true(pty_shows(pty, "of 6"));
    pty_type(pty, "\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "Log: build"));
    pty_type(pty, "\033");
    pty_sync(pty);
    assert_false(pty_shows(pty, "of 6"));
    pty_type(pty, "!");
    pty_sync(pty);
    assert_true(pty_shows(pty, "No step is like that"));
    pty_end(pty);
}

/* A step that is selected because the one before is not shown any more is so in all panes. */
static void test_filtered(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    pty_say(pty, "run");
    pty_say(pty, "started lint 1");
    pty_say(pty, "log lint one of lint\\n");
    pty_say(pty, "finished lint passed 1000 0 0 0");
    pty_say(pty, "started unit 1");
    pty_say(pty, "log unit one of unit\\n");
    pty_say(pty, "finished unit failed 2500 1 0 0");
    pty_say(pty, "ended failed 4000");
    pty_type(pty, ":lint\r");
    pty_wait_shows(pty, "one of lint");
    pty_type(pty, "!");
    pty_wait_shows(pty, "one of unit");
    assert_true(pty_shows(pty, "Log: unit"));
    assert_false(pty_shows(pty, "one of lint"));
    pty_end(pty);
}

/* Where there is room, a name has more of it. */
static void test_long_names(void **state)
{
    static const char name[] = "integration-of-lexer-and-parser";
    (void)state;
    struct pty *pty = pty_start(&(struct pty_options){200, 60, "xterm-256color", true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step %s - Both_of_them", name);
    pty_say(pty, "end");
    pty_say(pty, "run");
    pty_say(pty, "started %s 1", name);
    pty_sync(pty);
    assert_non_null(strstr(pty_row(pty, 2), name));
    pty_resize(pty, 80, 24);
    pty_sync(pty);
    assert_non_null(strstr(pty_row(pty, 2), "integration-of-lexer-and"));
    assert_null(strstr(pty_row(pty, 2), name));
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_names), cmocka_unit_test(test_held),
        cmocka_unit_test(test_acting),     cmocka_unit_test(test_facts),
        cmocka_unit_test(test_rules),      cmocka_unit_test(test_choosing),
        cmocka_unit_test(test_filtered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
