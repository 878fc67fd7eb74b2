/* The box runner: boxes with a terminal, the caller's own or one that is made for them. */
#include "tests/unit/test_runners_box.h"

#include "runners/probe.h"

#include <sys/ioctl.h>

struct screen {
    int leader;
    char text[4096];
    size_t n;
};

static void on_replaced(void *ctx, int leader)
{
    struct screen *screen = ctx;
    close(screen->leader);
    screen->leader = leader;
}

static bool screen_shows(struct screen *screen, const char *text)
{
    ssize_t got =
        read(screen->leader, screen->text + screen->n, sizeof screen->text - 1 - screen->n);
    screen->n += got > 0 ? (size_t)got : 0;
    screen->text[screen->n] = '\0';
    return strstr(screen->text, text) != NULL;
}

static void screen_wait(struct box_rig *r, const struct run *run, struct screen *screen,
                        const char *text)
{
    while (!screen_shows(screen, text)) {
        if (run->n_exited && !screen_shows(screen, text))
            fail_msg("exit code %d, no '%s' in '%s'", run->exit.exit_code, text, screen->text);
        uv_run(&r->rig.loop, UV_RUN_ONCE);
    }
}

static void with_runc(void (*check)(void))
{
    char *runc = probe_program("runc");
    if (!runc)
        skip();
    free(runc);
    setenv("KILN_RUNTIME", "runc", 1);
    check();
    unsetenv("KILN_RUNTIME");
}

/* It is the box's own, whose size follows: by the runtime's doing, or by ours where the runtime
 * hands it over. */
static void check_terminal(void)
{
    struct box_rig r;
    struct winsize size = {.ws_row = 31, .ws_col = 97};
    struct screen screen = {.leader = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)};
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    assert_true(screen.leader >= 0 && grantpt(screen.leader) == 0 && unlockpt(screen.leader) == 0);
    struct runner_terminal terminal = {
        .fd = open(ptsname(screen.leader), O_RDWR | O_NOCTTY | O_CLOEXEC),
        .replaced = on_replaced,
        .ctx = &screen};
    assert_true(terminal.fd >= 0);
    assert_int_equal(ioctl(screen.leader, TIOCSWINSZ, &size), 0);
    struct run *run = run_new(&r.rig);
    run->request.box = &box;
    run->request.terminal = &terminal;
    run->on_exit = tell_lost;
    static const char *const argv[] = {"/bin/sh", "-c",
                                       "test -t 0 && test -t 1 && test -t 2 && tty && stty size\n"
                                       "trap 'stty size' WINCH\n"
                                       "echo ready\n"
                                       "until read x && [ \"$x\" ]; do :; done\n"
                                       "echo got $x > /dev/tty",
                                       NULL};
    run_start_argv(&r.rig, run, argv);
    screen_wait(&r, run, &screen, "ready");
    assert_int_equal(run->n_started, 1);
    assert_non_null(strstr(screen.text, "/dev/pts/0"));
    assert_non_null(strstr(screen.text, "31 97"));
    size = (struct winsize){.ws_row = 40, .ws_col = 120};
    assert_int_equal(ioctl(screen.leader, TIOCSWINSZ, &size), 0);
    screen_wait(&r, run, &screen, "40 120");
    assert_int_equal(write(screen.leader, "hello\n", 6), 6);
    screen_wait(&r, run, &screen, "got hello");
    rig_wait(&r.rig, &run->n_exited, 1);
    assert_int_equal(run->exit.exit_code, 0);
    assert_int_equal(run->n_pieces, 0);
    run_free(run);
    close(terminal.fd);
    close(screen.leader);
    box_free(&r);
}

static void test_terminal(void **state)
{
    (void)state;
    check_terminal();
}

/* It does not hand the terminal over, but lets it follow its own. */
static void test_terminal_of_runc(void **state)
{
    (void)state;
    with_runc(check_terminal);
}

/* One that kiln makes itself and types into, whoever makes the terminal in the box. */
static void check_pty(void)
{
    static const char *const argv[] = {
        "/bin/sh", "-c",
        "tty && stty size\ntrap 'stty size' WINCH\nprintf 'ready? '\n"
        "until read x && [ \"$x\" ]; do :; done\necho got $x >/dev/tty\n"
        "stty -echo; printf 'secret? '; read y; test \"$y\" = hidden",
        NULL};
    const struct winsize before = {.ws_row = 31, .ws_col = 97}, after = {.ws_row = 9, .ws_col = 60};
    struct box_rig r;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    struct run *run = run_new(&r.rig);
    run->request.box = &box;
    run->request.pty = &before;
    run->on_exit = tell_lost;
    run_start_argv(&r.rig, run, argv);
    run_wait_text(&r.rig, run, "/dev/pts/0\r\n31 97\r\nready? ");
    assert_int_equal(run->n_started, 1);
    runner_resize(run->exec, &after);
    run_wait_text(&r.rig, run, "9 60");
    assert_true(runner_input(run->exec, "hello\n", 6));
    run_wait_text(&r.rig, run, "hello\r\n");
    run_wait_text(&r.rig, run, "got hello\r\nsecret? ");
    assert_true(runner_input(run->exec, "hidden\n", 7));
    run_wait(&r.rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    assert_null(strstr(buf_str(&run->text), "hidden"));
    run_free(run);
    box_free(&r);
}

static void test_pty(void **state)
{
    (void)state;
    check_pty();
}

static void test_pty_of_runc(void **state)
{
    (void)state;
    with_runc(check_pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_terminal_of_runc),
        cmocka_unit_test(test_pty),
        cmocka_unit_test(test_pty_of_runc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
