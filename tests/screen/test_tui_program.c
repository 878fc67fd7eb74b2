/* A program that has the terminal for a while: a shell that is resized, stopped, killed, outlived.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <signal.h>
#include <sys/wait.h>

/* Opens the shell; from then on keys are its. */
static struct pty *start(void)
{
    struct pty *pty = pty_start(&(struct pty_options){80, 24, "xterm-256color", true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step build - -");
    pty_say(pty, "end");
    pty_sync(pty);
    pty_type(pty, "s");
    pty_wait_left(pty);
    pty_wait_shows(pty, "ready>"); /* what is typed before is dropped with kiln's own keys */
    pty_type_away(pty, "echo one''two\r");
    pty_wait_shows(pty, "onetwo");
    return pty;
}

static void assert_back(struct pty *pty)
{
    pty_sync(pty);
    assert_true(pty_alternate(pty));
    assert_false(pty_cursor_shown(pty));
    assert_true(pty_shows(pty, "1 Steps"));
    /* The keys are kiln's again. */
    pty_type(pty, "r");
    assert_string_equal(pty_reply(pty, "command"), "command retry build");
    pty_end(pty);
}

static void test_used_and_left(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_resize(pty, 100, 30);
    pty_type_away(pty, "stty size\r");
    pty_wait_shows(pty, "30 100");
    /* What it interrupts is its own, and what happens meanwhile is drawn when it has ended. */
    pty_type_away(pty, "sh -c 'echo be''gun; exec sleep 1000'\r");
    pty_wait_shows(pty, "begun");
    pty_type_away(pty, "\003");
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_type_away(pty, "exit 3\r");
    pty_sync(pty);
    assert_true(pty_shows(pty, "● build"));
    assert_back(pty);
}

static void test_stopped(void **state)
{
    (void)state;
    struct pty *pty = start();
    /* There is nobody to come back to: it goes on. */
    pty_type_away(pty, "kill -STOP $$; echo al''ive\r");
    pty_wait_shows(pty, "alive");
    pty_type_away(pty, "exit\r");
    assert_back(pty);
}

static void test_killed(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_type_away(pty, "kill -KILL $$\r");
    assert_back(pty);
}

static void test_outlives_kiln(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_signal(pty, SIGKILL);
    assert_true(WIFSIGNALED(pty_wait_ended(pty)));
    assert_false(pty_alternate(pty));
    assert_true(pty_sane(pty));
    pty_end(pty);
}

static void test_kiln_is_ended(void **state)
{
    (void)state;
    struct pty *pty = start();
    assert_int_equal(pty_terminated(pty), 128 + SIGTERM);
    assert_true(pty_sane(pty));
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_and_left), cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_killed),        cmocka_unit_test(test_outlives_kiln),
        cmocka_unit_test(test_kiln_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
