/* The panes besides steps and log, at the sizes people have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <stdio.h>
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
    pty_say(pty, "finished package skipped 0 -1 0 0 unit failed");
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
    pty_type(pty, "t");
    pty_say(pty, "now 5000");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
