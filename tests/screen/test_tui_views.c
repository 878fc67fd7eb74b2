/* What the panes show, at the sizes people have: saved screens compared cell by cell. */
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

static void say_pipeline(struct pty *pty)
{
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step configure - Configure_the_build_tree");
    pty_say(pty, "step generate configure Tables_from_the_grammar");
    pty_say(pty, "step build configure,generate Compile_the_library");
    pty_say(pty, "step lint configure clang-tidy_over_src");
    pty_say(pty, "step unit build Unit_tests");
    pty_say(pty, "step spec build The_specification");
    pty_say(pty, "step docs configure Manual_pages");
    pty_say(pty, "step package unit,spec,docs A_tarball");
    pty_say(pty, "end");
}

/* The middle of a run: something of everything. */
static void say_busy_run(struct pty *pty)
{
    say_pipeline(pty);
    pty_say(pty, "changed 3");
    pty_say(pty, "run");
    pty_say(pty, "finished configure cached 3 0 0 8123");
    pty_say(pty, "finished generate cached 2 0 0 1220");
    pty_say(pty, "queued build");
    pty_say(pty, "queued lint");
    pty_say(pty, "reason file src/parse.c - " OLD " " NEW);
    pty_say(pty, "reason env CC - gcc clang");
    pty_say(pty, "started build 1");
    pty_say(pty, "log build [1/2] \\e[32mBuilding\\e[0m parse.c.o\\n[2/2] Linking cmark\\n");
    pty_say(pty, "now 4100");
    pty_say(pty, "finished build passed 4100 0 0 0");
    pty_say(pty, "reason upstream build/cmark build " OLD " " NEW);
    pty_say(pty, "started unit 1");
    pty_say(pty, "started lint 1");
    pty_say(pty, "log unit [ RUN ] heading\\n[  OK ] heading\\n[ RUN ] emphasis\\n");
    pty_say(pty, "log unit t_parse.c:88: \\e[1;31merror:\\e[0m expected 3, got 4\\n");
    pty_say(pty, "log unit wide 漢字, accent e\\xcc\\x81, tab\\tstop, bad \\xff\\x01\\n");
    pty_say(pty, "log unit  10%%\\r 50%%\\r100%%\\n");
    pty_say(pty, "now 12000");
    pty_say(pty, "finished unit failed 7900 1 0 0");
    pty_say(pty, "queued spec");
}

static void at_size(int cols, int rows)
{
    char name[40];
    struct pty *pty = start(cols, rows);
    say_busy_run(pty);
    pty_sync(pty);
    assert_true(pty_alternate(pty));
    snprintf(name, sizeof name, "busy-%dx%d", cols, rows);
    pty_golden(pty, name);
    pty_end(pty);
}

static void test_sizes(void **state)
{
    (void)state;
    at_size(29, 5);
    at_size(40, 10);
    at_size(80, 24);
    at_size(120, 40);
    at_size(200, 60);
}

static void test_start_and_empty(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    pty_sync(pty);
    pty_golden(pty, "start-80x24");
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "end");
    pty_sync(pty);
    pty_golden(pty, "empty-80x24");
    say_pipeline(pty);
    pty_sync(pty);
    pty_golden(pty, "idle-80x24");
    pty_end(pty);
}

static void test_after_a_run(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_busy_run(pty);
    pty_say(pty, "finished lint cancelled 7000 -1 15 0");
    pty_say(pty, "finished spec passed 900 0 0 0");
    pty_say(pty, "finished docs cached 0 0 0 2000");
    pty_say(pty, "finished package skipped 0 -1 0 0 it needs unit, which failed");
    pty_say(pty, "ended failed 12900");
    pty_say(pty, "idle");
    pty_sync(pty);
    pty_golden(pty, "failed-80x24");
    pty_end(pty);
}

/* What is wrong stays in the header, however long the names are. */
static void test_long_names(void **state)
{
    (void)state;
    static const int cols[] = {30, 40, 60, 80, 120};
    struct pty *pty = start(120, 40);
    pty_say(pty, "pipeline a-library-of-simple-dynamic-strings watch");
    pty_say(pty, "step unit - Unit_tests");
    pty_say(pty, "end");
    pty_say(pty, "tree feature/a-branch-that-somebody-thought-about-for-very-long-indeed 12");
    pty_say(pty, "run");
    pty_say(pty, "started unit 1");
    pty_say(pty, "now 4000");
    pty_say(pty, "finished unit failed 4000 1 0 0");
    pty_say(pty, "ended failed 4000");
    for (size_t i = 0; i < sizeof cols / sizeof *cols; i++) {
        pty_resize(pty, cols[i], 24);
        pty_sync(pty);
        assert_true(pty_shows(pty, " \xe2\x9c\x97"
                                   "1"));
        assert_true(pty_shows(pty, "a-library"));
    }
    assert_true(
        pty_shows(pty, "a-library-of-simple-dynamic-s\xe2\x80\xa6  feature/a-branch-that-somebo"));
    assert_true(pty_shows(pty, "* 12 files"));
    pty_end(pty);
}

static void test_help(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_busy_run(pty);
    pty_type(pty, ":");
    pty_sync(pty);
    assert_true(pty_shows(pty, "PgDn Space")); /* the longest there are, whole */
    pty_type(pty, "\033");
    pty_sync(pty);
    pty_type(pty, "?");
    pty_sync(pty);
    pty_golden(pty, "help-80x24");
    pty_type(pty, "G");
    pty_sync(pty);
    assert_true(pty_shows(pty, "quit"));
    pty_type(pty, "q");
    pty_sync(pty);
    pty_golden(pty, "busy-80x24");
    pty_resize(pty, 120, 40);
    pty_type(pty, "\033OP");
    pty_sync(pty);
    pty_golden(pty, "help-120x40");
    /* What does not fit in a row goes on in the next. */
    pty_resize(pty, 40, 10);
    pty_sync(pty);
    pty_type(pty, "G");
    pty_sync(pty);
    pty_golden(pty, "help-40x10");
    pty_end(pty);
}

static void test_log(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_pipeline(pty);
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "lines build 5000");
    pty_say(pty, "log build %0200d the end\\n", 7);
    pty_type(pty, "\r");
    pty_sync(pty);
    pty_golden(pty, "log-80x24");
    pty_type(pty, "g/LINE 4");
    pty_sync(pty);
    assert_true(pty_shows(pty, "not found"));
    pty_type(pty, "\025line 49");
    pty_sync(pty);
    pty_golden(pty, "search-80x24");
    pty_type(pty, "\rn");
    pty_sync(pty);
    assert_true(pty_shows(pty, "line 490 of"));
    pty_type(pty, "NN");
    pty_sync(pty);
    assert_true(pty_shows(pty, "line 4999 of"));
    pty_type(pty, "G");
    pty_sync(pty);
    assert_true(pty_shows(pty, "FOLLOW"));
    pty_type(pty, "W");
    pty_sync(pty);
    pty_golden(pty, "wrap-80x24");
    /* The first Esc drops the pattern, the second goes back. */
    pty_type(pty, "\033\033");
    pty_sync(pty);
    assert_true(pty_shows(pty, "1 Steps"));
    pty_end(pty);
}

static void test_log_of_cached(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_pipeline(pty);
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "log build it is broken\\n");
    pty_say(pty, "finished build failed 100 1 0 0");
    pty_say(pty, "ended failed 100");
    pty_sync(pty);
    assert_true(pty_shows(pty, "it is broken"));
    /* The edit is taken back: the result is an older one, and so must its log be. */
    pty_say(pty, "run");
    pty_sync(pty);
    assert_true(pty_shows(pty, "Log: build, last time"));
    pty_say(pty, "finished build cached 1 0 0 900");
    assert_string_equal(pty_reply(pty, "log"), "log of build");
    pty_say(pty, "ended passed 10");
    pty_sync(pty);
    assert_true(pty_shows(pty, "up to date"));
    pty_end(pty);
}

static void test_notice_pause_quit(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_busy_run(pty);
    pty_say(pty, "notice error kiln.json:12:7: unknown key \"comand\"\\nDid you mean \"command\"? "
                 "The last good pipeline stays.");
    pty_type(pty, "p");
    assert_string_equal(pty_reply(pty, "command"), "command pause -");
    pty_sync(pty);
    pty_golden(pty, "notice-80x24");
    pty_type(pty, "r");
    assert_string_equal(pty_reply(pty, "command"), "command retry unit");
    pty_sync(pty);
    assert_true(pty_shows(pty, "watching is paused: this runs when it goes on"));
    pty_resize(pty, 40, 10); /* a sentence that is longer than the row */
    pty_sync(pty);
    pty_golden(pty, "said-40x10");
    pty_resize(pty, 80, 24);
    pty_type(pty, "pr");
    assert_string_equal(pty_reply(pty, "command"), "command resume -");
    assert_string_equal(pty_reply(pty, "command"), "command retry unit");
    pty_type(pty, "gx");
    assert_string_equal(pty_reply(pty, "command"), "command cancel lint");
    say_pipeline(pty);
    pty_sync(pty);
    assert_false(pty_shows(pty, "comand"));
    pty_type(pty, "R");
    assert_string_equal(pty_reply(pty, "command"), "command run-stale -");
    pty_type(pty, "q");
    assert_string_equal(pty_reply(pty, "command"), "command quit -");
    assert_int_equal(pty_wait_ended(pty), 0);
    pty_end_left(pty);
}

static void test_resize(void **state)
{
    (void)state;
    struct pty *pty = start(200, 60);
    say_busy_run(pty);
    pty_sync(pty);
    static const int sizes[][2] = {{1, 1},   {20, 5},  {400, 120}, {30, 6},
                                   {59, 12}, {60, 11}, {120, 40}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pty_resize(pty, sizes[i][0], sizes[i][1]);
        pty_sync(pty);
    }
    pty_golden(pty, "busy-120x40");
    pty_resize(pty, 80, 24);
    pty_sync(pty);
    pty_golden(pty, "busy-80x24");
    pty_end(pty);
}

static void test_poor_terminals(void **state)
{
    (void)state;
    struct pty *pty = pty_start(&(struct pty_options){80, 24, "xterm-256color", false, false});
    say_busy_run(pty);
    pty_sync(pty);
    pty_golden(pty, "ascii-mono-80x24");
    pty_end(pty);
    /* No entry of that name anywhere: taken for an ANSI terminal. */
    pty = pty_start(&(struct pty_options){80, 24, "no-such-terminal", true, true});
    say_busy_run(pty);
    pty_sync(pty);
    pty_golden(pty, "busy-80x24");
    pty_end(pty);
    pty = pty_start(&(struct pty_options){80, 24, "linux", true, true});
    say_busy_run(pty);
    pty_sync(pty);
    assert_true(pty_shows(pty, "x unit"));   /* its font has no ✗ ... */
    assert_true(pty_shows(pty, "─1 Steps")); /* ... but lines */
    pty_end(pty);
}

static void test_junk_keys(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    say_busy_run(pty);
    pty_type(pty, "\033[999;999R\033[<0;10;10M\033]0;x\a\xff\xfe\xc3\033[200~\033[201~");
    pty_type(pty, "\033[1;5A\033Oz\033[[Z\001\002\003");
    /* ^C at the end: the one key among them. */
    assert_string_equal(pty_reply(pty, "command"), "command quit -");
    assert_int_equal(pty_wait_ended(pty), 0);
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_start_and_empty),
        cmocka_unit_test(test_after_a_run),   cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_help),          cmocka_unit_test(test_log),
        cmocka_unit_test(test_log_of_cached), cmocka_unit_test(test_notice_pause_quit),
        cmocka_unit_test(test_resize),        cmocka_unit_test(test_poor_terminals),
        cmocka_unit_test(test_junk_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
