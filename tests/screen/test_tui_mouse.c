/* The mouse, pasting, and what the terminal answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static struct pty *start(const char *term)
{
    struct pty *pty = pty_start(&(struct pty_options){80, 24, term, true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step build - -");
    pty_say(pty, "step test build -");
    pty_say(pty, "step lint - -");
    pty_say(pty, "end");
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "lines build 100");
    pty_sync(pty);
    return pty;
}

/* From 1, as terminals count. */
static void point(struct pty *pty, int code, int x, int y)
{
    char bytes[32];
    snprintf(bytes, sizeof bytes, "\033[<%d;%d;%dM", code, x, y);
    pty_type(pty, bytes);
    bytes[strlen(bytes) - 1] = 'm';
    if (code < 64)
        pty_type(pty, bytes);
    pty_sync(pty);
}

static int row_of(struct pty *pty, const char *text)
{
    for (int row = 0; row < 24; row++)
        if (strstr(pty_row(pty, row), text))
            return row;
    fail_msg("%s is not on the screen", text);
    return -1;
}

static void test_click(void **state)
{
    (void)state;
    struct pty *pty = start("xterm-256color");
    assert_int_equal(pty_mouse(pty), 1);
    point(pty, 0, 10, row_of(pty, "lint") + 1);
    assert_true(pty_shows(pty, "2 Log: lint"));
    point(pty, 0, 10, row_of(pty, "● build") + 1);
    assert_true(pty_shows(pty, "2 Log: build"));
    /* The wheel scrolls what is under it, whoever has the keys. */
    int log = row_of(pty, "2 Log: build");
    assert_true(pty_shows(pty, "line 100 of 100"));
    point(pty, 64, 10, log + 4);
    assert_false(pty_shows(pty, "line 100 of 100"));
    point(pty, 65, 10, log + 4);
    assert_true(pty_shows(pty, "line 100 of 100"));
    /* A click on the log gives it the keys: W is there. */
    point(pty, 0, 10, log + 4);
    assert_true(pty_shows(pty, "follow"));
    /* The right button, places where nothing is, and those off the screen do nothing. */
    point(pty, 2, 10, row_of(pty, "test") + 1);
    point(pty, 0, 1, 1);
    point(pty, 0, 500, 500);
    assert_true(pty_shows(pty, "follow"));
    pty_end(pty);
}

static int column_of(struct pty *pty, int row, const char *text)
{
    const char *line = pty_row(pty, row), *at = strstr(line, text);
    int column = 0;
    assert_non_null(at);
    for (; line < at; line++)
        column += ((unsigned char)*line & 0xc0) != 0x80;
    return column;
}

/* What the key line offers, and what is folded. */
static void test_click_on_words(void **state)
{
    (void)state;
    struct pty *pty = start("xterm-256color");
    char bytes[32]; /* a sync would pass over the command */
    snprintf(bytes, sizeof bytes, "\033[<0;%d;24M", column_of(pty, 23, "retry") + 1);
    pty_type(pty, bytes);
    assert_string_equal(pty_reply(pty, "command"), "command retry build");
    point(pty, 0, column_of(pty, 23, "? help") + 1, 24);
    assert_true(pty_shows(pty, " Help "));
    point(pty, 0, 10, 10);
    assert_false(pty_shows(pty, " Help "));
    int row = row_of(pty, "▾○ test");
    point(pty, 0, column_of(pty, row, "▾") + 1, row + 1);
    assert_true(pty_shows(pty, "test +1"));
    assert_false(pty_shows(pty, "└● build"));
    point(pty, 0, column_of(pty, row, "▸") + 1, row + 1);
    assert_true(pty_shows(pty, "└● build"));
    /* Its name only selects it. */
    point(pty, 0, column_of(pty, row, "test") + 1, row + 1);
    assert_true(pty_shows(pty, "└● build"));
    /* Between the words there is nothing. */
    point(pty, 0, 79, 24);
    assert_true(pty_shows(pty, "└● build"));
    pty_end(pty);
}

static void test_overlays(void **state)
{
    (void)state;
    struct pty *pty = start("xterm-256color");
    pty_type(pty, "?");
    pty_sync(pty);
    assert_true(pty_shows(pty, " Help "));
    point(pty, 65, 10, 10);
    assert_true(pty_shows(pty, " Help "));
    point(pty, 0, 10, 10);
    assert_false(pty_shows(pty, " Help "));
    pty_type(pty, ":zoom");
    pty_sync(pty);
    point(pty, 0, 5, row_of(pty, "this pane on the whole") + 1);
    assert_false(pty_shows(pty, "Palette"));
    assert_false(pty_shows(pty, "2 Log"));
    pty_type(pty, "+:");
    pty_sync(pty);
    point(pty, 65, 5, 20);
    assert_true(pty_shows(pty, "Palette"));
    point(pty, 0, 5, 3);
    assert_false(pty_shows(pty, "Palette"));
    pty_end(pty);
}

static void test_off(void **state)
{
    (void)state;
    struct pty *pty = start("xterm-256color");
    pty_type(pty, "M");
    pty_sync(pty);
    assert_int_equal(pty_mouse(pty), 0);
    assert_true(pty_shows(pty, "The mouse is the terminal's"));
    pty_type(pty, "\032");
    pty_wait_stopped(pty);
    pty_wait_left(pty);
    pty_continue(pty);
    pty_sync(pty);
    assert_int_equal(pty_mouse(pty), 0);
    pty_type(pty, "M");
    pty_sync(pty);
    assert_int_equal(pty_mouse(pty), 1);
    pty_type(pty, "\032");
    pty_wait_stopped(pty);
    pty_wait_left(pty);
    assert_int_equal(pty_mouse(pty), 0);
    pty_continue(pty);
    pty_sync(pty);
    assert_int_equal(pty_mouse(pty), 1);
    pty_signal(pty, SIGKILL);
    pty_wait_ended(pty);
    pty_wait_left(pty);
    assert_int_equal(pty_mouse(pty), 0);
    assert_true(pty_sane(pty));
    pty_end(pty);
}

static void test_paste(void **state)
{
    (void)state;
    struct pty *pty = start("xterm-256color");
    /* No key of it is a key. */
    pty_type(pty, "\033[200~q\rxR:\033[201~");
    pty_sync(pty);
    assert_true(pty_shows(pty, "What is pasted is text"));
    assert_false(pty_shows(pty, "QUITTING"));
    pty_type(pty, "2/\033[200~line\n9\x01\033[A9\033[201~");
    pty_sync(pty);
    assert_true(pty_shows(pty, "/line 9[A9"));
    pty_end(pty);
}

static void test_answers(void **state)
{
    (void)state;
    struct pty *pty = start("xterm-256color");
    pty_type(pty, "\033[?2026;2$y\033]11;rgb:ffff/ffff/ffff\033\\\033[?64;1c");
    pty_sync(pty);
    assert_true(pty_shows(pty, "build"));
    pty_type(pty, "k");
    pty_sync(pty);
    assert_true(pty_shows(pty, "2 Log: test"));
    pty_end(pty);
}

/* Terminals of which nothing is known get none of it. */
static void test_plain_terminal(void **state)
{
    (void)state;
    struct pty *pty = start("vt100");
    assert_int_equal(pty_mouse(pty), 0);
    pty_type(pty, "M");
    pty_sync(pty);
    pty_type(pty, "M");
    pty_sync(pty);
    assert_int_equal(pty_mouse(pty), 0);
    assert_true(pty_shows(pty, "build"));
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_click),          cmocka_unit_test(test_click_on_words),
        cmocka_unit_test(test_overlays),       cmocka_unit_test(test_off),
        cmocka_unit_test(test_paste),          cmocka_unit_test(test_answers),
        cmocka_unit_test(test_plain_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
