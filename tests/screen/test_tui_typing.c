/* Interactive steps in the panes: their terminal in the log pane, and keys that go to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pty *start(int cols, int rows)
{
    struct pty *pty = pty_start(&(struct pty_options){cols, rows, "xterm-256color", true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step build - -");
    pty_say(pty, "step login - - interactive");
    pty_say(pty, "end");
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_say(pty, "reason uncacheable");
    pty_say(pty, "started login 1");
    return pty;
}

static void test_typed(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24);
    /* As large as the pane. */
    assert_string_equal(pty_reply(pty, "terminal"), "terminal 80x12");
    pty_say(pty, "log login \\x1b]5546;12;80\\x1b\\x5c"
                 "Welcome.\\r\\nuser? ");
    pty_say(pty, "now 3000");
    pty_sync(pty);
    assert_true(pty_shows(pty, "INPUT? login"));
    assert_true(pty_shows(pty, "may wait for input: i"));
    pty_type(pty, "i");
    assert_string_equal(pty_reply(pty, "terminal"), "terminal 80x21");
    pty_sync(pty);
    assert_true(pty_shows(pty, "keys go to login"));
    pty_type(pty, "ada\r");
    assert_string_equal(pty_reply(pty, "input"), "input login 61");
    assert_string_equal(pty_reply(pty, "input"), "input login 64");
    assert_string_equal(pty_reply(pty, "input"), "input login 61");
    assert_string_equal(pty_reply(pty, "input"), "input login 0d");
    pty_say(pty, "log login ada\\r\\npassword: ");
    pty_sync(pty);
    assert_true(pty_cursor_shown(pty));
    pty_golden(pty, "typing-80x24");
    /* What kiln would take for orders, and what it does not know. */
    pty_type(pty, "q\x03\x1b[1;5C\x1bx");
    assert_string_equal(pty_reply(pty, "input"), "input login 71");
    assert_string_equal(pty_reply(pty, "input"), "input login 03");
    assert_string_equal(pty_reply(pty, "input"), "input login 1b5b313b3543");
    assert_string_equal(pty_reply(pty, "input"), "input login 1b78");
    /* Arrows as the program wants them, pasted text with brackets for who asked for those. */
    pty_type(pty, "\x1b[A\x1b[200~two\rlines\x1b[201~");
    assert_string_equal(pty_reply(pty, "input"), "input login 1b5b41");
    assert_string_equal(pty_reply(pty, "input"), "input login 74776f0d6c696e6573");
    pty_say(pty, "log login \\x1b[?1h\\x1b[?2004h");
    pty_sync(pty);
    pty_type(pty, "\x1b[A\x1b[200~x\x1b[201~");
    assert_string_equal(pty_reply(pty, "input"), "input login 1b4f41");
    assert_string_equal(pty_reply(pty, "input"), "input login 1b5b3230307e");
    assert_string_equal(pty_reply(pty, "input"), "input login 78");
    assert_string_equal(pty_reply(pty, "input"), "input login 1b5b3230317e");
    /* Back: keys are kiln's again. */
    pty_type(pty, "\x1d");
    pty_sync(pty);
    assert_true(pty_shows(pty, "keys are kiln's again"));
    assert_false(pty_cursor_shown(pty));
    assert_true(pty_shows(pty, "1 Steps"));
    assert_true(pty_shows(pty, "uncacheable its results are never cached"));
    pty_type(pty, "x");
    assert_string_equal(pty_reply(pty, "command"), "command cancel login");
    pty_end(pty);
}

/* What was meant for a step that is just over is no order to kiln. */
static void test_over(void **state)
{
    (void)state;
    struct pty *pty = start(120, 40);
    pty_say(pty, "log login \\x1b]5546;20;80\\x1b\\x5c"
                 "go on? ");
    pty_sync(pty);
    pty_type(pty, "i");
    pty_sync(pty);
    pty_say(pty, "finished login passed 1000 0 0 0");
    pty_sync(pty);
    assert_true(pty_shows(pty, "login does not run any more"));
    pty_type(pty, "qx\x03");
    pty_sync(pty);
    assert_true(pty_shows(pty, "login does not run any more"));
    pty_type(pty, "\r");
    pty_sync(pty);
    assert_false(pty_shows(pty, "does not run any more"));
    pty_type(pty, "r");
    assert_string_equal(pty_reply(pty, "command"), "command retry login");
    pty_end(pty);
}

/* Why not, where it is not. */
static void test_refused(void **state)
{
    (void)state;
    struct pty *pty = start(120, 40);
    pty_type(pty, "gi");
    pty_sync(pty);
    assert_true(pty_shows(pty, "\"interactive\": true in kiln.json"));
    pty_say(pty, "finished login passed 1000 0 0 0");
    pty_type(pty, "ji");
    pty_sync(pty);
    assert_true(pty_shows(pty, "it does not run"));
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_over),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
