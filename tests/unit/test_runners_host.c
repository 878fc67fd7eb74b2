/* The host runner: what a step gets, how it is started, and what it used. */
#include "test_runners_rig.h"

#include "runners/usage.h"

#include <sys/resource.h>

static void test_exit_codes(void **state)
{
    static const int codes[] = {1, 2, 42, 126, 127, 255};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char script[32];
        snprintf(script, sizeof script, "exit %d", codes[i]);
        struct run *run = run_script(*state, script);
        assert_int_equal(run->exit.exit_code, codes[i]);
        assert_int_equal(run->n_started, 1);
        run_free(run);
    }
    struct run *run = run_script(*state, "kill -SEGV $$");
    assert_int_equal(run->exit.exit_code, -1);
    assert_int_equal(run->exit.signal, SIGSEGV);
    run_free(run);
}

static void check_cannot(struct rig *rig, const char *program, const char *cwd, int code,
                         const char *text)
{
    const char *const argv[] = {program, "x", NULL};
    struct run *run = run_new(rig);
    run->request.cwd = cwd;
    run_start_argv(rig, run, argv);
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, code);
    assert_int_equal(run->n_started, 0);
    assert_non_null(strstr(buf_str(&run->text), text));
    assert_int_equal(run->bytes[2], run->text.len);
    assert_null(run->exit.lost);
    run_free(run);
}

static void test_cannot_start(void **state)
{
    struct rig *rig = *state;
    rig_write_file(rig, "plain", "echo hello", 0644);
    rig_write_file(rig, "lost", "#!/no/such/interpreter\n", 0755);
    check_cannot(rig, "no-such-program", "", 127,
                 "kiln: cannot run 'no-such-program': No such file or directory\n");
    check_cannot(rig, "./absent", "", 127,
                 "kiln: cannot run './absent': No such file or directory\n");
    check_cannot(rig, "", "", 127, "kiln: cannot run '': No such file");
    check_cannot(rig, "./plain", "", 126, "kiln: cannot run './plain': Permission denied\n");
    check_cannot(rig, "./plain/x", "", 126, "kiln: cannot run './plain/x': Not a directory\n");
    check_cannot(rig, "/", "", 126, "kiln: cannot run '/': Permission denied\n");
    check_cannot(rig, "./lost", "", 127, "the file is there");
    check_cannot(rig, "true", "no/such", 127, "kiln: cannot enter '/tmp/kiln-test-");
    check_cannot(rig, "true", "plain", 126, "Not a directory");

    struct run *run = run_new(rig);
    const char *const none[] = {NULL};
    struct err err = ERR_INIT;
    run->request.argv = none;
    assert_int_equal(
        runner_start(rig->runner, &run->request, &run_callbacks, run, &run->exec, &err),
        -ERR_USAGE);
    assert_null(run->exec);
    err_release(&err);
    run_free(run);
}

static void test_lookup(void **state)
{
    struct rig *rig = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/one", rig->dir);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/two", rig->dir);
    mkdir(path, 0755);
    rig_write_file(rig, "one/tool", "not to be run", 0644);
    rig_write_file(rig, "two/tool", "#!/bin/sh\necho two $1\n", 0755);
    rig_write_file(rig, "two/bare", "echo bare $1\n", 0755);
    rig_write_file(rig, "here", "#!/bin/sh\necho here $1\n", 0755);
    static const char *const argvs[][3] = {{"tool", "x", NULL},
                                           {"bare", "x", NULL},
                                           {"here", "x", NULL},
                                           {"./here", "x", NULL},
                                           {"two/bare", "x", NULL}};
    static const char *const expected[] = {"two x\n", "bare x\n", "here x\n", "here x\n",
                                           "bare x\n"};
    /* Not there, not executable, found; a relative entry and an empty one are below the step's
     * directory. */
    snprintf(path, sizeof path, "PATH=/no/such:%s/one:two::/usr/bin:/bin", rig->dir);
    const char *const envp[] = {path, NULL};
    for (size_t i = 0; i < 5; i++) {
        struct run *run = run_new(rig);
        run->request.envp = envp;
        run_start_argv(rig, run, argvs[i]);
        run_wait(rig, run);
        assert_string_equal(buf_str(&run->text), expected[i]);
        run_free(run);
    }
    /* Only the request's PATH counts; without one there is a plain default. */
    static const char *const elsewhere[] = {"PATH=/no/such", NULL}, *const nothing[] = {NULL};
    static const char *const sh[] = {"sh", "-c", "exit 7", NULL};
    struct run *run = run_new(rig);
    run->request.envp = elsewhere;
    run_start_argv(rig, run, sh);
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 127);
    run_free(run);
    run = run_new(rig);
    run->request.envp = nothing;
    run_start_argv(rig, run, sh);
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 7);
    run_free(run);
}

static void test_environment(void **state)
{
    struct rig *rig = *state;
    static const char *const envp[] = {"A=1", "B=two words", "C=", "PATH=/usr/bin:/bin", NULL};
    static const char *const argv[] = {"env", NULL};
    setenv("KILN_TEST_LEAK", "1", 1);
    struct run *run = run_new(rig);
    run->request.envp = envp;
    run_start_argv(rig, run, argv);
    run_wait(rig, run);
    assert_string_equal(buf_str(&run->text), "A=1\nB=two words\nC=\nPATH=/usr/bin:/bin\n");
    run_free(run);
}

static void test_cwd(void **state)
{
    struct rig *rig = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/a b", rig->dir);
    mkdir(path, 0755);
    struct run *run = run_new(rig);
    run->request.cwd = "a b";
    run_start(rig, run, "pwd -P");
    run_wait(rig, run);
    assert_memory_equal(buf_str(&run->text), path, strlen(path));
    run_free(run);
    run = run_script(rig, "pwd -P");
    assert_int_equal(run->text.len, strlen(rig->dir) + 1);
    assert_memory_equal(buf_str(&run->text), rig->dir, strlen(rig->dir));
    run_free(run);
}

static void test_descriptors(void **state)
{
    struct rig *rig = *state;
    int leak = open("/dev/null", O_RDONLY), high = fcntl(leak, F_DUPFD, 100);
    struct run *run = run_script(rig, "readlink /proc/self/fd/0; cat; ls -1 /proc/self/fd");
    /* 3 is the directory that ls itself reads. */
    assert_string_equal(buf_str(&run->text), "/dev/null\n0\n1\n2\n3\n");
    run_free(run);
    close(leak);
    close(high);
}

/* A step begins with nothing blocked and nothing ignored, however kiln was started; in a session of
 * its own, without a terminal. */
static void test_signals(void **state)
{
    (void)state;
    struct rig rig;
    sigset_t block, old;
    sigfillset(&block);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    pthread_sigmask(SIG_SETMASK, &block, &old);
    rig_init(&rig);
    struct run *run = run_script(&rig, "grep -E 'Sig(Blk|Ign)' /proc/self/status");
    assert_string_equal(buf_str(&run->text),
                        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    run_free(run);
    run = run_script(&rig, "read -r p c t pp g s tty x </proc/self/stat; echo $g $s $tty; echo $$");
    char expected[64];
    snprintf(expected, sizeof expected, "%d %d 0\n%d\n", run->pid, run->pid, run->pid);
    assert_string_equal(buf_str(&run->text), expected);
    run_free(run);
    rig_close(&rig);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    rig_free(&rig);
}

static void test_huge(void **state)
{
    struct rig *rig = *state;
    enum { COUNT = 16, SIZE = 100000 };
    static char vars[COUNT][SIZE];
    const char *envp[COUNT + 2];
    for (int i = 0; i < COUNT; i++) {
        memset(vars[i], 'x', SIZE - 1);
        memcpy(vars[i], "V00=", 4);
        vars[i][1] = (char)('0' + i / 10);
        vars[i][2] = (char)('0' + i % 10);
        envp[i] = vars[i];
    }
    envp[COUNT] = "PATH=/usr/bin:/bin";
    envp[COUNT + 1] = NULL;
    struct run *run = run_new(rig);
    run->request.envp = envp;
    run_start(rig, run, "env | wc -c");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    assert_true(atoi(buf_str(&run->text)) >= COUNT * SIZE);
    run_free(run);

    /* More than the system allows is the command's fault, and said. */
    static char big[300000];
    memset(big, 'y', sizeof big - 1);
    const char *const argv[] = {"true", big, NULL};
    run = run_new(rig);
    run_start_argv(rig, run, argv);
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 126);
    assert_non_null(strstr(buf_str(&run->text), "Argument list too long"));
    run_free(run);
}

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* The pids of a process's children, as text. */
static void children_of(pid_t pid, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t n = fread(out, 1, size - 1, file);
    out[n] = 0;
    fclose(file);
}

static void test_many(void **state)
{
    struct rig *rig = *state;
    struct run *runs[4] = {0};
    char text[256];
    struct run *warm = run_script(rig, "true");
    run_free(warm);
    int before = count_entries("/proc/self/fd");
    for (int i = 0; i < 500; i += 4) {
        for (int k = 0; k < 4; k++) {
            runs[k] = run_new(rig);
            run_start(rig, runs[k], "echo out");
        }
        for (int k = 0; k < 4; k++) {
            run_wait(rig, runs[k]);
            assert_int_equal(runs[k]->exit.exit_code, 0);
            assert_string_equal(buf_str(&runs[k]->text), "out\n");
            run_free(runs[k]);
        }
    }
    uv_run(&rig->loop, UV_RUN_ONCE);
    assert_int_equal(count_entries("/proc/self/fd"), before);
    children_of(getpid(), text, sizeof text);
    pid_t warden = (pid_t)atoi(text);
    assert_true(warden > 0);
    children_of(warden, text, sizeof text);
    assert_string_equal(text, "");
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", warden);
    /* ., .., three standard ones, the socket, kiln's pidfd, the signals, the list of children. */
    assert_true(count_entries(path) <= 9);
    rig_close(rig);
    assert_false(is_alive(warden));
}

/* More at once than the socket holds messages. */
static void test_many_at_once(void **state)
{
    struct rig *rig = *state;
    enum { COUNT = 120 };
    static struct run *runs[COUNT];
    for (int i = 0; i < COUNT; i++) {
        runs[i] = run_new(rig);
        run_start(rig, runs[i], "echo $$");
    }
    for (int i = 0; i < COUNT; i++) {
        run_wait(rig, runs[i]);
        assert_int_equal(runs[i]->exit.exit_code, 0);
        assert_int_equal(atoi(buf_str(&runs[i]->text)), runs[i]->pid);
        run_free(runs[i]);
    }
}

/* Starts the script ahead: it is to take the place of one that ends. */
static struct run *run_ahead(struct rig *rig, const char *script)
{
    struct run *run = run_new(rig);
    run->request.ahead = true;
    run_start(rig, run, script);
    return run;
}

/* What is started ahead waits for one that ends well, in order; after a failure for the word. */
static void test_ahead(void **state)
{
    struct rig *rig = *state;
    struct run *first = run_new(rig);
    run_start(rig, first, "until [ -e go ]; do :; done");
    struct run *second = run_ahead(rig, "[ -e go ] && exit 3");
    struct run *third = run_ahead(rig, ": > third; exit 4");
    struct run *fourth = run_ahead(rig, "[ -e third ]");
    struct run *fifth = run_ahead(rig, ":");
    rig_wait(rig, &first->n_started, 1);
    rig_write_file(rig, "go", "", 0600);
    run_wait(rig, first);
    assert_int_equal(first->exit.exit_code, 0);
    assert_true(first->exit.counted);
    run_wait(rig, second);
    assert_int_equal(second->exit.exit_code, 3);
    assert_false(second->exit.counted);
    struct run *other = run_script(rig, "exit 5"); /* the warden has seen all of the above */
    assert_int_equal(third->n_started, 0);
    runner_go_on(rig->runner);
    run_wait(rig, third);
    assert_int_equal(third->exit.exit_code, 4);
    runner_withdraw(fifth->exec);
    run_wait(rig, fifth);
    assert_true(fifth->exit.withdrawn);
    assert_int_equal(fifth->n_started, 0);
    runner_go_on(rig->runner);
    run_wait(rig, fourth);
    assert_int_equal(fourth->exit.exit_code, 0);
    assert_false(fourth->exit.withdrawn);
    struct run *const all[] = {first, second, third, fourth, fifth, other};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        run_free(all[i]);
}

/* One that is withdrawn leaves no gap; one that is cancelled never starts; closing ends all. */
static void test_ahead_withdrawn(void **state)
{
    struct rig *rig = *state;
    struct run *first = run_new(rig);
    run_start(rig, first, "until [ -e go ]; do :; done");
    struct run *second = run_ahead(rig, ":");
    struct run *third = run_ahead(rig, ":");
    struct run *fourth = run_ahead(rig, "sleep 1000");
    struct run *fifth = run_ahead(rig, ":");
    runner_withdraw(second->exec);
    runner_cancel(third->exec);
    run_wait(rig, second);
    run_wait(rig, third);
    assert_true(second->exit.withdrawn && third->exit.withdrawn && third->exit.cancelled);
    assert_int_equal(second->n_started + third->n_started + fourth->n_started, 0);
    rig_write_file(rig, "go", "", 0600);
    run_wait(rig, first);
    rig_wait(rig, &fourth->n_started, 1);
    runner_withdraw(fourth->exec); /* too late */
    rig_close(rig);
    assert_int_equal(fourth->exit.signal, SIGKILL);
    assert_true(fifth->exit.withdrawn);
    struct run *const all[] = {first, second, third, fourth, fifth};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        run_free(all[i]);
}

/* Of what it waits for, and of what has left it. */
static void test_usage(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    run_start(rig, run, "dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    assert_in_range(run->exit.memory, 300u << 20, 3000u << 20);
    run_free(run);

    run = run_new(rig);
    run_start(rig, run,
              "mkfifo f; (setsid sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done;"
              " echo x >f' >/dev/null 2>&1 &); read x <f");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    assert_true(run->exit.cpu_us > 50000);
    run_free(run);

    run = run_new(rig);
    run_start(rig, run, "exec sleep 0");
    run_wait(rig, run);
    assert_true(run->exit.cpu_us < 1000000);
    assert_int_equal(run->exit.memory, 0);
    run_free(run);
}

/* While it runs, of all that descends from it. */
static void test_usage_now(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    struct usage usage[2] = {0};
    run_start(rig, run, "setsid sh -c 'while :; do :; done' & echo ready; sleep 1000");
    run_wait_text(rig, run, "ready");
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)LIMIT_MS * 1000000;
    while (usage[1].cpu_us < 30000) {
        usage_take((const pid_t[]){1 << 30, run->pid}, 2, usage);
        if (clock_monotonic_ns() > deadline)
            fail_msg("used %d µs", (int)usage[1].cpu_us);
    }
    assert_true(usage[1].memory > 0);
    assert_true(usage[0].cpu_us == 0 && usage[0].memory == 0);
    runner_cancel(run->exec);
    run_wait(rig, run);
    assert_true(run->exit.cpu_us >= 20000);
    run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exit_codes, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_cannot_start, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_lookup, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_environment, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_cwd, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_descriptors, rig_set_up, rig_tear_down),
        cmocka_unit_test(test_signals),
        cmocka_unit_test_setup_teardown(test_huge, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_many, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_many_at_once, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_ahead, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_ahead_withdrawn, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_usage, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_usage_now, rig_set_up, rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
