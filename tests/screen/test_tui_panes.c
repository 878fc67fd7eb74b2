/* The panes besides steps and log, at the sizes people have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLD "9f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a7"
#define NEW "c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2"

static struct pty *start(int cols, int rows)
{
    return pty_start(&(struct pty_options){cols, rows, "xterm-256color", true, true});
}

/* A run that had some work to do, and failed. */
static void say_run(struct pty *pty)
{
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step configure - Configure_the_build_tree");
    pty_say(pty, "step build configure Compile_the_library");
    pty_say(pty, "step lint configure -");
    pty_say(pty, "step unit build Unit_tests");
    pty_say(pty, "step docs configure -");
    pty_say(pty, "step package unit,docs A_tarball");
    pty_say(pty, "end");
    pty_say(pty, "changed 1");
    pty_say(pty, "run");
    pty_say(pty, "now 30");
    pty_say(pty, "finished configure cached 3 0 0 8123");
    pty_say(pty, "queued build");
    pty_say(pty, "queued lint");
    pty_say(pty, "queued docs");
    pty_say(pty, "now 50");
    pty_say(pty, "reason file src/parse.c - " OLD " " NEW);
    pty_say(pty, "reason env CC - gcc clang");
    pty_say(pty, "started build 1");
    pty_say(pty, "log build cc -c parse.c\\n");
    pty_say(pty, "reason file src/parse.c - " OLD " " NEW);
    pty_say(pty, "started lint 1");
    pty_say(pty, "now 900");
    pty_say(pty, "finished lint passed 850 0 0 0");
    pty_say(pty, "started docs 1");
    pty_say(pty, "now 3050");
    pty_say(pty, "finished build passed 3000 0 0 0");
    pty_say(pty, "queued unit");
    pty_say(pty, "reason upstream build/cmark build " OLD " " NEW);
    pty_say(pty, "started unit 1");
    pty_say(pty, "now 3500");
    pty_say(pty, "finished docs passed 2600 0 0 0");
}

static void say_end(struct pty *pty)
{
    pty_say(pty, "now 6400");
    pty_say(pty, "finished unit failed 3350 1 0 0");
    pty_say(pty, "finished package skipped 0 -1 0 0 it needs unit, which failed");
    pty_say(pty, "ended failed 6400");
    pty_say(pty, "idle");
}

static void golden(struct pty *pty, const char *what, int cols, int rows)
{
    char name[60];
    snprintf(name, sizeof name, "%s-%dx%d", what, cols, rows);
    pty_sync(pty);
    pty_golden(pty, name);
}

static void each_size(void (*test)(struct pty *pty, int cols, int rows))
{
    static const int sizes[][2] = {{40, 10}, {80, 24}, {120, 40}, {200, 60}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pty *pty = start(sizes[i][0], sizes[i][1]);
        test(pty, sizes[i][0], sizes[i][1]);
        pty_end(pty);
    }
}

static void timeline(struct pty *pty, int cols, int rows)
{
    say_run(pty);
    pty_say(pty, "now 5000");
    pty_sync(pty); /* a clock that goes on is no reason to draw: the key is */
    pty_type(pty, "t");
    golden(pty, "timeline", cols, rows);
    say_end(pty);
    pty_type(pty, "+k");
    golden(pty, "timeline-end", cols, rows);
}

static void test_timeline(void **state)
{
    (void)state;
    each_size(timeline);
}

#define KEY "5c1d07aa0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57"

static void say_records(struct pty *pty)
{
    pty_say(pty, "record 40 command passed -90000000 61000 12 0 0 0");
    pty_say(pty, "record 41 hook - -4000000 0 0 0 0 0");
    pty_say(pty, "record 42 watch cancelled -3000000 1200 1 3 0 0 754000");
    pty_say(pty, "record 43 watch failed -200000 4100 2 3 1 2 9100");
    pty_say(pty, "record 1 watch failed 0 6400 3 1 1 1 8100");
}

static void runs(struct pty *pty, int cols, int rows)
{
    say_run(pty);
    say_records(pty);
    pty_type(pty, "6");
    golden(pty, "runs-live", cols, rows);
    say_end(pty);
    pty_sync(pty); /* the list with the run that has ended */
    pty_type(pty, "+jj");
    golden(pty, "runs", cols, rows);
}

static void test_runs(void **state)
{
    (void)state;
    each_size(runs);
}

/* The same panes show what was, and then again what is. */
static void past(struct pty *pty, int cols, int rows)
{
    say_run(pty);
    say_records(pty);
    say_end(pty);
    pty_say(pty, "changed 1");
    pty_say(pty, "run");
    for (int i = 0; i < 6; i++) {
        static const char *const names[] = {"configure", "build", "lint",
                                            "unit",      "docs",  "package"};
        pty_say(pty, "finished %s cached 1 0 0 900", names[i]);
    }
    pty_say(pty, "ended passed 20");
    pty_say(pty, "key build " KEY);
    pty_say(pty, "key lint " OLD);
    pty_type(pty, "6");
    pty_sync(pty);
    pty_type(pty, "j\r1");
    golden(pty, "past", cols, rows);
    pty_type(pty, "3");
    golden(pty, "past-why", cols, rows);
    pty_type(pty, "\033");
    pty_sync(pty);
    pty_type(pty, "\033");
    golden(pty, "past-over", cols, rows);
    pty_type(pty, "6\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "PAST"));
    pty_type(pty, "10"); /* from any pane */
    pty_sync(pty);
    assert_false(pty_shows(pty, "PAST"));
}

static void test_past(void **state)
{
    (void)state;
    each_size(past);
}

static void test_run_that_is_gone(void **state)
{
    struct pty *pty = start(80, 24);
    (void)state;
    say_run(pty);
    say_records(pty);
    pty_type(pty, "6");
    pty_sync(pty);
    pty_type(pty, "G\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "run 40: it is not on record"));
    assert_false(pty_shows(pty, "PAST"));
    pty_end(pty);
}

/* What is ordered happens now. */
static void test_acting_in_the_past(void **state)
{
    struct pty *pty = start(80, 24);
    (void)state;
    say_run(pty);
    say_records(pty);
    say_end(pty);
    pty_type(pty, "6");
    pty_sync(pty);
    pty_type(pty, "j\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "PAST"));
    pty_type(pty, "r");
    assert_string_equal(pty_reply(pty, "command"), "command retry unit");
    pty_sync(pty);
    assert_false(pty_shows(pty, "PAST"));
    /* The step that was looked at is the one that is held, whatever is chosen now. */
    pty_type(pty, "6");
    pty_sync(pty);
    pty_type(pty, "\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "PAST"));
    pty_type(pty, "1gb");
    assert_string_equal(pty_reply(pty, "command"), "command break lint");
    pty_sync(pty);
    assert_true(pty_shows(pty, "lint is held before it starts"));
    pty_end(pty);
}

static void cache(struct pty *pty, int cols, int rows)
{
    say_run(pty);
    say_records(pty);
    pty_say(pty, "facts 19900000000 21474836480 400000000 12");
    say_end(pty);
    pty_type(pty, "7");
    golden(pty, "cache", cols, rows);
}

static void test_cache(void **state)
{
    (void)state;
    each_size(cache);
}

static void inputs(struct pty *pty, int cols, int rows)
{
    say_run(pty);
    pty_say(pty, "input include/parse.h 1200 same");
    pty_say(pty, "input src/a.c 300 same");
    pty_say(pty, "input src/old.c 20 removed");
    pty_say(pty, "input src/parse.c 48213 changed");
    pty_say(pty, "input src/very/deeply/nested/directory/with/a/long/name/utf8_漢字.c 77 added");
    for (int i = 0; i < 80; i++)
        pty_say(pty, "input t/t%02d.c %d same", i, i * 1000);
    pty_type(pty, "4");
    golden(pty, "inputs", cols, rows);
    pty_type(pty, "G");
    golden(pty, "inputs-end", cols, rows);
}

static void test_inputs(void **state)
{
    (void)state;
    each_size(inputs);
}

static void why(struct pty *pty, int cols, int rows)
{
    pty_say(pty, "diff * @ 87\\n     int n = 0;\\n-    while (n < 3)\\n+    while (n < 4)\\n"
                 "         n++;\\n#and 12 more lines\\n");
    say_run(pty);
    say_end(pty);
    pty_type(pty, "gjj3+");
    golden(pty, "why", cols, rows);
}

static void test_why(void **state)
{
    (void)state;
    each_size(why);
}

#define BOX                                                                                     \
    "box unit =changed src/parse.c\\n@@ -87,4 +87,4 @@ static int count(const char *p)\\n     " \
    "int "                                                                                      \
    "n = 0;\\n-    while (n < 3)\\n+    while (n < 4)\\n         n++;\\n     return n;\\n"      \
    "=removed src/old.c\\n@@ -1 +0,0 @@\\n-int old;\\n=not-executable tests/run.sh\\n"          \
    "=changed tests/logo.png\\n#no text\\n=made core\\n=made src/parse.c.orig\\n"               \
    "#and 12 files of outputs, or too many to be listed\\n"

static void changes(struct pty *pty, int cols, int rows)
{
    say_run(pty);
    say_end(pty);
    pty_type(pty, "gjjd");
    pty_wait_shows(pty, "passed when it last ran");
    pty_say(pty, BOX);
    pty_type(pty, "d");
    golden(pty, "changes", cols, rows);
    pty_type(pty, "+G");
    golden(pty, "changes-all", cols, rows);
    pty_type(pty, "D");
    pty_sync(pty);
    pty_wait_shows(pty, "4 files taken into the working tree");
    /* Of another step there is nothing to take, also while that is not known yet. */
    pty_type(pty, "1g8D");
    pty_sync(pty);
    assert_true(!pty_shows(pty, "taken into the working tree"));
}

static void test_changes(void **state)
{
    (void)state;
    each_size(changes);
}

/* A step that is tried again within its run, and held again, left another box. */
static void test_changes_retried(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_run(pty);
    pty_say(pty, "box unit =changed first.c\\n");
    pty_say(pty, "paused unit 1 3350");
    pty_type(pty, ":unit\r8");
    pty_wait_shows(pty, "first.c");
    pty_say(pty, "resumed unit");
    pty_say(pty, "started unit 1");
    pty_say(pty, "box unit =changed second.c\\n");
    pty_say(pty, "paused unit 1 3350");
    pty_wait_shows(pty, "second.c");
    assert_true(!pty_shows(pty, "first.c"));
    pty_end(pty);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_past),
        cmocka_unit_test(test_run_that_is_gone),
        cmocka_unit_test(test_acting_in_the_past),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_changes_retried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
