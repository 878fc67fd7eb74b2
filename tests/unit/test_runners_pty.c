/*
 * The terminals of executions on the host: what is typed arrives, what is echoed and written is in
 * the spool, and nothing ever waits for somebody who does not read.
 */
#include "tests/unit/test_runners_rig.h"

#include "runners/pty.h"

static const struct winsize size = {.ws_row = 24, .ws_col = 80};

static struct run *start(struct rig *rig, const char *script)
{
    struct run *run = run_new(rig);
    run->request.pty = &size;
    run_start(rig, run, script);
    return run;
}

static void type(struct run *run, const char *text)
{
    assert_true(runner_input(run->exec, text, strlen(text)));
}

static bool wrote(struct run *run, const char *text)
{
    return strstr(buf_str(&run->text), text) != NULL;
}

static void check_wrote(struct run *run, const char *text)
{
    if (!wrote(run, text))
        fail_msg("'%s' is not in '%s'", text, buf_str(&run->text));
}

static void test_question(void **state)
{
    struct rig *rig = *state;
    struct run *run =
        start(rig, "tty; stty size; printf 'name? '; read name; echo \"hello $name\"");
    run_wait_text(rig, run, "name? ");
    type(run, "Ada\n");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    /* How large it is stands before all else. */
    assert_memory_equal(buf_str(&run->text), "\x1b]5546;24;80\x1b\\/dev/pts/", 23);
    check_wrote(run, "\r\n24 80\r\nname? Ada\r\nhello Ada\r\n");
    assert_int_equal(run->bytes[2], 0);
    run_free(run);
}

static void test_password(void **state)
{
    struct rig *rig = *state;
    struct run *run = start(rig, "stty -echo; printf 'password: '; read p; stty echo; echo; "
                                 "test \"$p\" = secret && echo right");
    run_wait_text(rig, run, "password: ");
    type(run, "secret\n");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    assert_false(wrote(run, "secret"));
    check_wrote(run, "password: \r\nright\r\n");
    run_free(run);
}

/* ^D at the start of a line is the end of what is typed. */
static void test_end(void **state)
{
    struct rig *rig = *state;
    struct run *run = start(rig, "echo ready; cat; echo over");
    run_wait_text(rig, run, "ready");
    type(run, "a line\n\x04");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    check_wrote(run, "a line\r\na line\r\n");
    check_wrote(run, "over\r\n");
    run_free(run);
}

static void test_interrupt(void **state)
{
    struct rig *rig = *state;
    struct run *run = start(rig, "trap 'echo caught; exit 3' INT; echo ready; "
                                 "while :; do sleep 60 & wait; done");
    run_wait_text(rig, run, "ready");
    type(run, "\x03");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 3);
    check_wrote(run, "caught");
    run_free(run);
}

/* Jobs in it are stopped and go on, as in anybody's terminal. */
static void test_jobs(void **state)
{
    struct rig *rig = *state;
    struct run *run = start(rig, "set -m; echo ready; set +e; sh -c 'echo inside; kill -STOP $$; "
                                 "echo again'; echo \"stopped $?\"; fg; echo over");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    check_wrote(run, "stopped 147");
    check_wrote(run, "again\r\nover\r\n");
    run_free(run);
}

static void test_resize(void **state)
{
    struct rig *rig = *state;
    const struct winsize other = {.ws_row = 10, .ws_col = 33};
    struct run *run = start(rig, "trap 'stty size; exit 0' WINCH; echo ready; "
                                 "while :; do sleep 60 & wait; done");
    run_wait_text(rig, run, "ready");
    runner_resize(run->exec, &size); /* it is so large */
    runner_resize(run->exec, &other);
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    check_wrote(run, "ready\r\n\x1b]5546;10;33\x1b\\10 33\r\n");
    run_free(run);
}

/* What nobody reads waits up to a bound, and nothing is typed by halves. */
static void test_full(void **state)
{
    struct rig *rig = *state;
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    struct run *run = start(rig, "stty raw -echo; echo ready; exec sleep 60");
    run_wait_text(rig, run, "ready");
    size_t typed = 0;
    while (runner_input(run->exec, piece, sizeof piece))
        typed += sizeof piece;
    assert_true(typed >= PTY_WAITING);
    assert_true(typed <= PTY_WAITING + (1 << 20));
    assert_false(runner_input(run->exec, piece, sizeof piece));
    /* What follows what was dropped would be out of place, though there is room for it. */
    assert_false(runner_input(run->exec, piece, 1));
    /* It ends while they wait. */
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_true(run->exit.cancelled);
    run_free(run);
}

/* What waited arrives once it is read, in its order. */
static void test_late_reader(void **state)
{
    struct rig *rig = *state;
    enum { LINES = 12000 };
    struct run *run =
        start(rig, "stty raw -echo; mkfifo go; echo ready; read x <go; head -c 132000 | cksum");
    char path[96], line[16];
    struct buf all = BUF_INIT;
    for (int i = 0; i < LINES; i++)
        buf_addf(&all, "line %05d\n", i);
    run_wait_text(rig, run, "ready");
    size_t at = 0;
    while (at < all.len && runner_input(run->exec, all.data + at, 1100))
        at += 1100;
    assert_true(at < all.len);
    snprintf(path, sizeof path, "%s/go", rig->dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, "x\n", 2) == 2);
    close(fd);
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)LIMIT_MS * 1000000;
    while (at < all.len) {
        if (clock_monotonic_ns() > deadline)
            fail_msg("it never took what was typed");
        if (runner_input(run->exec, all.data + at, 1100))
            at += 1100;
        else
            uv_run(&rig->loop, UV_RUN_ONCE);
    }
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    snprintf(path, sizeof path, "%s/typed", rig->dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(write(fd, all.data, all.len) == (ssize_t)all.len);
    close(fd);
    struct run *sum = run_script(rig, "cksum <typed");
    snprintf(line, sizeof line, "%.10s", buf_str(&sum->text));
    check_wrote(run, line);
    run_free(sum);
    run_free(run);
    buf_release(&all);
}

/* The end takes the terminal away: who is left there is told, and then gone. */
static void test_hang_up(void **state)
{
    struct rig *rig = *state;
    /* Its child began before: one that is made in this moment would miss the HUP, deaf to TERM. */
    struct run *run = start(rig, "sleep 60 & trap 'echo hung up >said; exit' HUP; trap '' TERM; "
                                 "echo ready; while :; do wait; done");
    run_wait_text(rig, run, "ready");
    runner_cancel(run->exec); /* shells are deaf to TERM */
    run_wait(rig, run);
    assert_true(run->exit.cancelled);
    struct run *said = run_script(rig, "cat said");
    check_wrote(said, "hung up");
    run_free(said);
    run_free(run);
}

/* All that was written is there, however fast it was and whatever ends it. */
static void test_flood(void **state)
{
    struct rig *rig = *state;
    struct run *run = start(rig, "seq 200000");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    check_wrote(run, "\r\n199999\r\n200000\r\n");
    run_free(run);
    for (int i = 0; i < 50; i++) {
        run = start(rig, "printf last");
        run_wait(rig, run);
        check_wrote(run, "last");
        run_free(run);
    }
}

static void test_missing_program(void **state)
{
    struct rig *rig = *state;
    const char *const argv[] = {"/nowhere/at-all", NULL};
    struct run *run = run_new(rig);
    run->request.pty = &size;
    run_start_argv(rig, run, argv);
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 127);
    check_wrote(run, "cannot run");
    run_free(run);
}

/* Without a terminal there is nothing to type to. */
static void test_none(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    run_start(rig, run, "cat; echo over");
    assert_false(runner_input(run->exec, "x", 1));
    runner_resize(run->exec, &size);
    run_wait(rig, run);
    assert_string_equal(buf_str(&run->text), "over\n");
    run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_question, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_password, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_end, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_interrupt, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_jobs, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_resize, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_full, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_late_reader, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_hang_up, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_flood, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_missing_program, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_none, rig_set_up, rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
