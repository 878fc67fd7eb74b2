/* The host runner: how executions end, and that nothing of them stays. */
#include "test_runners_rig.h"

/* Waits for the run to say "ready". */
static struct run *run_ready(struct rig *rig, const char *script)
{
    struct run *run = run_new(rig);
    run_start(rig, run, script);
    run_wait_text(rig, run, "ready");
    return run;
}

static void test_timeout(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    run->request.timeout_ms = 50;
    run_start(rig, run, "sleep 1000; echo not reached");
    run_wait(rig, run);
    assert_true(run->exit.timed_out);
    assert_false(run->exit.cancelled);
    assert_int_equal(run->exit.signal, SIGTERM);
    assert_int_equal(run->exit.exit_code, -1);
    assert_string_equal(buf_str(&run->text), "");
    run_free(run);

    run = run_new(rig);
    run->request.timeout_ms = LIMIT_MS;
    run_start(rig, run, "exit 3");
    run_wait(rig, run);
    assert_false(run->exit.timed_out);
    assert_int_equal(run->exit.exit_code, 3);
    run_free(run);
}

static void test_timeout_ignored(void **state)
{
    struct rig *rig = *state;
    bool deaf = false;
    /* As long as it takes for the shell to be deaf. */
    for (uint32_t ms = 50; !deaf && ms < LIMIT_MS; ms *= 5) {
        struct run *run = run_new(rig);
        run->request.timeout_ms = ms;
        run->request.grace_ms = 50;
        run_start(rig, run, "trap '' TERM; echo deaf; while :; do sleep 1000; done");
        run_wait(rig, run);
        assert_true(run->exit.timed_out);
        deaf = strcmp(buf_str(&run->text), "deaf\n") == 0;
        if (deaf)
            assert_int_equal(run->exit.signal, SIGKILL);
        run_free(run);
    }
    assert_true(deaf);
}

static void test_cancel(void **state)
{
    struct rig *rig = *state;
    struct run *run =
        run_ready(rig, "trap 'echo tidied; exit 9' TERM; echo ready; while :; do :; done");
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_true(run->exit.cancelled);
    assert_false(run->exit.timed_out);
    assert_int_equal(run->exit.exit_code, 9);
    assert_string_equal(buf_str(&run->text), "ready\ntidied\n");
    run_free(run);

    /* At once, before it can have started. */
    run = run_new(rig);
    run_start(rig, run, "sleep 1000");
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_true(run->exit.cancelled);
    assert_int_equal(run->exit.signal, SIGTERM);
    run_free(run);

    /* Without a grace period it is KILL. */
    run = run_new(rig);
    run->request.grace_ms = 0;
    run_start(rig, run, "sleep 1000");
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_int_equal(run->exit.signal, SIGKILL);
    run_free(run);
}

static void test_cancel_twice(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_ready(rig, "trap 'echo heard' TERM; echo ready; while :; do :; done");
    runner_cancel(run->exec);
    run_wait_text(rig, run, "heard");
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_true(run->exit.cancelled);
    assert_int_equal(run->exit.signal, SIGKILL);
    run_free(run);
}

/* The shell dies of TERM at once; what it had started still has its grace period to tidy up in. */
static void test_grace_for_children(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_ready(rig, "(trap 'until [ -e go ]; do :; done; echo tidied; exit' TERM; "
                                     "echo ready; while :; do :; done) & wait");
    pid_t pid = run->pid;
    runner_cancel(run->exec);
    /* Once the shell is a zombie, the child may go on. */
    char path[96], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)LIMIT_MS * 1000000;
    do {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
        assert_true(clock_monotonic_ns() < deadline);
        uv_run(&rig->loop, UV_RUN_ONCE);
    } while (!strstr(text, ") Z "));
    snprintf(path, sizeof path, "%s/go", rig->dir);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    run_wait(rig, run);
    assert_int_equal(run->exit.signal, SIGTERM);
    assert_non_null(strstr(buf_str(&run->text), "tidied"));
    run_free(run);
}

/* TERM reaches what has left the group and the session, too. */
static void test_cancel_reaches_escapees(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_ready(
        rig, "setsid sh -c 'trap \"echo heard; exit\" TERM; echo ready; while :; do sleep 0.01; "
             "done' & wait");
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_non_null(strstr(buf_str(&run->text), "heard"));
    run_free(run);
}

static void test_stopped(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_ready(rig, "sleep 1000 & e=$!; kill -STOP $e; " UNTIL_STOPPED
                                     "echo e=$e ready; kill -STOP $$");
    pid_t escapee = run_pid(run, "e");
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_int_equal(run->exit.signal, SIGTERM); /* CONT lets it see its TERM */
    assert_false(is_alive(escapee));
    run_free(run);

    run = run_script(rig, "sleep 1000 & e=$!; kill -STOP $e; " UNTIL_STOPPED "echo e=$e");
    assert_int_equal(run->exit.exit_code, 0);
    assert_false(is_alive(run_pid(run, "e")));
    run_free(run);
}

/* Each leaves something behind in its own way, and is over at once; pids are told as p1=, p2=, ...
 */
static void check_gone(struct rig *rig, int pids, const char *script)
{
    struct run *run = run_script(rig, script);
    assert_int_equal(run->exit.exit_code, 0);
    for (int i = 1; i <= pids; i++) {
        char key[16];
        snprintf(key, sizeof key, "p%d", i);
        assert_false(is_alive(run_pid(run, key)));
    }
    run_free(run);
}

static void test_left_behind(void **state)
{
    struct rig *rig = *state;
    /* In the background, holding the output open. */
    check_gone(rig, 2, "sleep 1000 & echo p1=$!; sleep 1000 & echo p2=$!");
    check_gone(rig, 1, "trap '' TERM HUP; sleep 1000 & echo p1=$!");
    /* In a session of its own, with and without the output. */
    check_gone(rig, 1, "setsid sleep 1000 & e=$!; " UNTIL_ESCAPED "echo p1=$e");
    check_gone(rig, 1,
               "setsid sleep 1000 </dev/null >/dev/null 2>&1 & e=$!; " UNTIL_ESCAPED "echo p1=$e");
    /* A daemon: two forks, the parent gone before. */
    check_gone(rig, 1,
               "(setsid sh -c 'cd /; sleep 1000 & echo $! >&3' 3>d </dev/null >/dev/null 2>&1); "
               "until read -r e <d; do :; done; echo p1=$e");
    /* A group of its own in the same session. */
    check_gone(rig, 1, "set -m; sleep 1000 & echo p1=$!");
    /* A tree, in several sessions. */
    check_gone(rig, 3,
               "setsid sh -c 'echo p1=$$; setsid sh -c \"echo p2=\\$\\$; setsid sleep 1000 & "
               "e=\\$!; sh -c \\\""
               "until [ -e /proc/\\$e ]; do :; done"
               "\\\"; echo p3=\\$e; echo >t; wait\" & wait' & "
               "until [ -e t ]; do :; done");
}

/* Nothing of a running step is touched by the end of another. */
static void test_others_survive(void **state)
{
    struct rig *rig = *state;
    struct run *a =
        run_ready(rig, "sleep 1000 & echo p1=$!; (sleep 1000 & echo p2=$!); setsid sleep 1000 & "
                       "e=$!; " UNTIL_ESCAPED "echo p3=$e; (setsid sleep 1000 & echo p4=$!); "
                       "(setsid sleep 1000 >/dev/null 2>&1 & echo p5=$!); echo ready; wait");
    for (int i = 0; i < 5; i++) {
        struct run *b = run_script(rig, "setsid sleep 1000 & e=$!; " UNTIL_ESCAPED "echo e=$e");
        assert_false(is_alive(run_pid(b, "e")));
        run_free(b);
    }
    static const char *const keys[] = {"p1", "p2", "p3", "p4", "p5"};
    for (size_t i = 0; i < 5; i++)
        assert_true(is_alive(run_pid(a, keys[i])));
    assert_int_equal(a->n_exited, 0);
    runner_cancel(a->exec);
    run_wait(rig, a);
    for (size_t i = 0; i < 5; i++)
        assert_false(is_alive(run_pid(a, keys[i])));
    run_free(a);
}

/* What can be either one's is gone when both have ended, whichever is first. */
static void test_ambiguous(void **state)
{
    struct rig *rig = *state;
    static const char daemon[] =
        "echo ready; until [ -e go ]; do :; done; "
        "(setsid sh -c 'sleep 1000 & echo $! >&3' 3>$$ </dev/null >/dev/null 2>&1); "
        "until read -r e <$$; do :; done; echo e=$e; ";
    char script[512], path[96];
    for (int first = 0; first < 2; first++) {
        snprintf(path, sizeof path, "%s/go", rig->dir);
        unlink(path);
        struct run *quiet = run_ready(rig, "echo ready; until [ -e end ]; do sleep 0.01; done");
        snprintf(script, sizeof script, "%s%s", daemon,
                 first ? "" : "until [ -e end ]; do sleep 0.01; done");
        struct run *loud = run_ready(rig, script);
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        run_wait_text(rig, loud, "e=");
        pid_t escapee = run_pid(loud, "e");
        snprintf(path, sizeof path, "%s/end", rig->dir);
        if (first) {
            run_wait(rig, loud);
        } else {
            assert_true(is_alive(escapee));
        }
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        run_wait(rig, quiet);
        run_wait(rig, loud);
        assert_false(is_alive(escapee));
        unlink(path);
        run_free(quiet);
        run_free(loud);
    }
}

/* A process that leaves for a new session again and again while it is being killed. */
static void test_runaway(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    run_start(rig, run,
              "cat >r <<'EOF'\n#!/bin/sh\nsetsid ./r &\nEOF\nchmod +x r; "
              "i=0; while [ $i -lt 5 ]; do ./r; i=$((i+1)); done");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    run_free(run);
}

static void test_close_while_running(void **state)
{
    struct rig *rig = *state;
    struct run *a = run_ready(rig, "trap '' TERM; sleep 1000 & echo e=$!; echo ready; wait");
    struct run *b = run_new(rig);
    run_start(rig, b, "sleep 1000");
    rig_close(rig);
    run_wait(rig, a);
    run_wait(rig, b);
    assert_true(a->exit.cancelled && b->exit.cancelled);
    assert_int_equal(a->exit.signal, SIGKILL);
    assert_int_equal(b->exit.signal, SIGKILL);
    assert_false(is_alive(run_pid(a, "e")));
    run_free(a);
    run_free(b);
}

static void close_on_exit(struct run *run)
{
    struct rig *rig = run->ctx;
    runner_close(rig->runner, rig_closed, rig);
    rig->runner = NULL;
}

static void test_close_in_callback(void **state)
{
    struct rig *rig = *state;
    struct run *other = run_new(rig), *run = run_new(rig);
    run_start(rig, other, "sleep 1000");
    run->on_exit = close_on_exit;
    run->ctx = rig;
    run_start(rig, run, "true");
    run_wait(rig, run);
    run_wait(rig, other);
    rig_close(rig);
    run_free(run);
    run_free(other);
}

static pid_t warden_of(pid_t pid)
{
    char path[96];
    int warden = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &warden), 1);
    fclose(file);
    return warden;
}

/* Dead, that is: an orphan's zombie stays until the process at the top of this machine looks at it.
 */
static void wait_dead(pid_t pid)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)LIMIT_MS * 1000000;
    for (;;) {
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return;
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n <= 0 || strstr(text, ") Z ") || strstr(text, ") X "))
            return;
        if (clock_monotonic_ns() > deadline)
            fail_msg("process %d is still there", pid);
    }
}

static void test_warden_killed(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_ready(rig, "sleep 1000 & echo e=$!; echo ready; wait");
    pid_t escapee = run_pid(run, "e"), main_pid = run->pid;
    kill(warden_of(getpid()), SIGKILL);
    run_wait(rig, run);
    assert_non_null(run->exit.lost);
    assert_int_equal(run->exit.exit_code, -1);
    wait_dead(main_pid);
    (void)escapee;
    run_free(run);
    run = run_new(rig);
    struct err err = ERR_INIT;
    static const char *const argv[] = {"true", NULL};
    run->request.argv = argv;
    assert_int_equal(
        runner_start(rig->runner, &run->request, &run_callbacks, run, &run->exec, &err),
        -ERR_SYSTEM);
    err_release(&err);
    run_free(run);
}

struct told {
    pid_t pids[5];
    char dir[64];
};

/* kiln itself, killed without a chance to tidy up. */
static void test_kiln_killed(void **state)
{
    (void)state;
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t kiln = fork();
    assert_true(kiln >= 0);
    if (kiln == 0) {
        static struct rig rig;
        rig_init(&rig);
        struct run *run =
            run_ready(&rig, "trap '' TERM HUP INT; sleep 1000 & echo p1=$!; setsid sleep 1000 & "
                            "e=$!; " UNTIL_ESCAPED
                            "echo p2=$e; (setsid sleep 1000 >/dev/null 2>&1 & echo p3=$!); "
                            "echo ready; wait");
        struct told told = {.pids = {warden_of(getpid()), run->pid, run_pid(run, "p1"),
                                     run_pid(run, "p2"), run_pid(run, "p3")}};
        memcpy(told.dir, rig.dir, sizeof told.dir);
        if (write(out[1], &told, sizeof told) == (ssize_t)sizeof told)
            for (;;)
                uv_run(&rig.loop, UV_RUN_ONCE);
        _exit(1);
    }
    close(out[1]);
    struct told told;
    assert_int_equal(read(out[0], &told, sizeof told), sizeof told);
    close(out[0]);
    for (size_t i = 0; i < 5; i++)
        assert_true(is_alive(told.pids[i]));
    kill(kiln, SIGKILL);
    assert_int_equal(waitpid(kiln, NULL, 0), kiln);
    for (size_t i = 5; i-- > 0;)
        wait_dead(told.pids[i]);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", told.dir);
    assert_int_equal(system(command), 0);
}

/* The signals of a terminal and of a supervisor are for kiln, not for the warden. */
static void test_warden_ignores(void **state)
{
    struct rig *rig = *state;
    static const int signals[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP};
    pid_t warden = warden_of(getpid());
    struct run *run = run_ready(rig, "echo ready; until [ -e go ]; do sleep 0.01; done");
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        assert_int_equal(kill(warden, signals[i]), 0);
    assert_int_not_equal(getsid(warden), getsid(0));
    char path[96];
    snprintf(path, sizeof path, "%s/go", rig->dir);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    run_wait(rig, run);
    assert_null(run->exit.lost);
    assert_int_equal(run->exit.exit_code, 0);
    run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timeout, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_timeout_ignored, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_twice, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_grace_for_children, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_reaches_escapees, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_stopped, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_left_behind, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_others_survive, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_ambiguous, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_runaway, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_close_while_running, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_close_in_callback, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_warden_killed, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_warden_ignores, rig_set_up, rig_tear_down),
        cmocka_unit_test(test_kiln_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
