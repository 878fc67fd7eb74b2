/* Stops, ends and stalls: the terminal is sane after each, and nobody waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <signal.h>
#include <sys/wait.h>

static struct pty *start(void)
{
    struct pty *pty = pty_start(&(struct pty_options){80, 24, "xterm-256color", true, true});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step build - -");
    pty_say(pty, "step test build -");
    pty_say(pty, "end");
    pty_say(pty, "run");
    pty_say(pty, "started build 1");
    pty_sync(pty);
    assert_true(pty_alternate(pty));
    assert_false(pty_cursor_shown(pty));
    return pty;
}

static void test_suspend(void **state)
{
    (void)state;
    struct pty *pty = start();
    for (int i = 0; i < 3; i++) {
        pty_type(pty, "\032");
        pty_wait_stopped(pty);
        pty_wait_left(pty);
        assert_true(pty_sane(pty));
        pty_resize(pty, 80 + i, 24);
        pty_continue(pty);
        pty_sync(pty);
        assert_true(pty_alternate(pty));
        assert_true(pty_shows(pty, "● build"));
    }
    pty_end(pty);
}

static void test_stop_from_outside(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_signal(pty, SIGTSTP);
    pty_wait_stopped(pty);
    pty_wait_left(pty);
    assert_true(pty_sane(pty));
    pty_continue(pty);
    pty_sync(pty);
    assert_true(pty_alternate(pty));
    /* This one cannot be seen coming; going on must still give a whole screen. */
    pty_signal(pty, SIGSTOP);
    pty_wait_stopped(pty);
    pty_resize(pty, 100, 30);
    pty_continue(pty);
    pty_sync(pty);
    assert_true(pty_shows(pty, "● build"));
    pty_end(pty);
}

static void test_terminated(void **state)
{
    (void)state;
    struct pty *pty = start();
    assert_int_equal(pty_terminated(pty), 128 + SIGTERM);
    pty_end_left(pty);
}

static void test_killed(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_signal(pty, SIGKILL);
    int status = pty_wait_ended(pty);
    assert_true(WIFSIGNALED(status));
    pty_end_left(pty);
}

static void test_killed_while_stopped(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_type(pty, "\032");
    pty_wait_stopped(pty);
    pty_wait_left(pty);
    pty_signal(pty, SIGKILL);
    pty_continue(pty);
    assert_true(WIFSIGNALED(pty_wait_ended(pty)));
    assert_false(pty_alternate(pty));
    assert_true(pty_sane(pty));
    pty_end(pty);
}

static void test_crashed(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_say(pty, "crash");
    int status = pty_wait_ended(pty);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    pty_end_left(pty);
}

static void test_stalled(void **state)
{
    (void)state;
    struct pty *pty = start();
    /* Nobody reads the terminal; each redraw is a full screen, so that its buffer soon is full. */
    for (int i = 0; i < 200; i++) {
        pty_resize(pty, 80 + i % 40, 24);
        pty_say(pty, "lines build 50");
        pty_say(pty, "notice info number %d", i);
        pty_said(pty);
    }
    pty_say(pty, "notice info all is said");
    pty_sync(pty);
    assert_true(pty_shows(pty, "all is said"));
    pty_end(pty);
}

static void test_stalled_and_terminated(void **state)
{
    (void)state;
    struct pty *pty = start();
    for (int i = 0; i < 100; i++) {
        pty_resize(pty, 80 + i % 40, 24);
        pty_say(pty, "lines build 50");
        pty_said(pty);
    }
    pty_terminated(pty);
    pty_end_left(pty);
}

static void test_hangup(void **state)
{
    (void)state;
    struct pty *pty = start();
    pty_hang_up(pty);
    assert_string_equal(pty_reply(pty, "command"), "command quit -");
    assert_int_equal(pty_wait_ended(pty), 0);
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suspend),
        cmocka_unit_test(test_stop_from_outside),
        cmocka_unit_test(test_terminated),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_killed_while_stopped),
        cmocka_unit_test(test_crashed),
        cmocka_unit_test(test_stalled),
        cmocka_unit_test(test_stalled_and_terminated),
        cmocka_unit_test(test_hangup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
