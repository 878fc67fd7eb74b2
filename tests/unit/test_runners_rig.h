/*
 * test_runners_rig.h - what the tests of the host runner share: a loop with a runner, and runs
 * whose output and end are kept.
 *
 * Everything waits for a condition with a deadline (LIMIT_MS); a step that has to be at a certain
 * place says so in a file or in its output.
 */
#ifndef KILN_TESTS_RUNNERS_RIG_H
#define KILN_TESTS_RUNNERS_RIG_H

#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"
#include "runners/runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 30000
#define PIECES   65536 /* of output, that are kept apart */

struct rig {
    uv_loop_t loop;
    uv_timer_t tick; /* lets waiting look at its condition and its deadline */
    struct runner *runner;
    bool closed;
    char dir[64]; /* a fresh directory, root of all runs */
};

struct piece {
    int stream;
    uint64_t offset, n;
};

struct run {
    struct runner_request request;
    struct runner_exec *exec;
    int spool;
    int n_spool; /* times that it was asked for */
    struct piece pieces[PIECES];
    size_t n_pieces;
    uint64_t bytes[3]; /* by stream */
    pid_t pid;
    int n_started, n_exited;
    bool disordered; /* output or exited where it must not be */
    struct runner_exit exit;
    struct buf text; /* the whole spool, after run_wait */
    void (*on_exit)(struct run *run);
    void *ctx;
};

static inline void rig_tick(uv_timer_t *timer)
{
    (void)timer;
}

static inline void rig_closed(void *ctx)
{
    ((struct rig *)ctx)->closed = true;
}

static inline void rig_init(struct rig *rig)
{
    struct err err = ERR_INIT;
    memset(rig, 0, sizeof *rig);
    strcpy(rig->dir, "/tmp/kiln-test-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->tick);
    uv_timer_start(&rig->tick, rig_tick, 5, 5);
    assert_int_equal(runner_host_new(&rig->loop, &rig->runner, &err), 0);
}

/* Runs the loop until *flag is at least want. */
static inline void rig_wait(struct rig *rig, const int *flag, int want)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)LIMIT_MS * 1000000;
    while (*flag < want) {
        if (clock_monotonic_ns() > deadline)
            fail_msg("waited for %d ms", LIMIT_MS);
        uv_run(&rig->loop, UV_RUN_ONCE);
    }
}

static inline void rig_close(struct rig *rig)
{
    if (rig->runner)
        runner_close(rig->runner, rig_closed, rig);
    rig->runner = NULL;
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)LIMIT_MS * 1000000;
    while (!rig->closed) {
        if (clock_monotonic_ns() > deadline)
            fail_msg("closing took %d ms", LIMIT_MS);
        uv_run(&rig->loop, UV_RUN_ONCE);
    }
}

static inline void rig_free(struct rig *rig)
{
    rig_close(rig);
    uv_close((uv_handle_t *)&rig->tick, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", rig->dir);
    assert_int_equal(system(command), 0);
}

/* For cmocka: a rig a test. */
static inline int rig_set_up(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    *state = &rig;
    return 0;
}

static inline int rig_tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

static inline void rig_write_file(const struct rig *rig, const char *name, const char *text,
                                  mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline void run_started(void *ctx, pid_t pid)
{
    struct run *run = ctx;
    run->n_started++;
    run->pid = pid;
}

static inline void run_output(void *ctx, int stream, uint64_t offset, uint64_t n)
{
    struct run *run = ctx;
    if (run->n_exited || (stream != 1 && stream != 2))
        run->disordered = true;
    run->bytes[stream & 3] += n;
    if (run->n_pieces < sizeof run->pieces / sizeof run->pieces[0])
        run->pieces[run->n_pieces++] = (struct piece){stream, offset, n};
}

static inline void run_exited(void *ctx, const struct runner_exit *exit)
{
    struct run *run = ctx;
    run->n_exited++;
    run->exit = *exit;
    run->exec = NULL;
    if (run->on_exit)
        run->on_exit(run);
}

static inline int run_spool(void *ctx)
{
    struct run *run = ctx;
    run->n_spool++;
    if (run->spool < 0)
        errno = EDQUOT;
    return run->spool;
}

static const char *const run_clean_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
static const struct runner_callbacks run_callbacks = {
    .started = run_started, .spool = run_spool, .output = run_output, .exited = run_exited};

static inline struct run *run_new(struct rig *rig)
{
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    char path[96];
    snprintf(path, sizeof path, "%s/.spool-XXXXXX", rig->dir);
    run->spool = mkostemp(path, O_CLOEXEC);
    assert_true(run->spool >= 0);
    unlink(path);
    run->request = (struct runner_request){
        .envp = run_clean_env,
        .root = rig->dir,
        .cwd = "",
        .grace_ms = LIMIT_MS,
    };
    return run;
}

static inline void run_free(struct run *run)
{
    if (run->spool >= 0)
        close(run->spool);
    buf_release(&run->text);
    free(run);
}

static inline void run_start_argv(struct rig *rig, struct run *run, const char *const *argv)
{
    struct err err = ERR_INIT;
    run->request.argv = argv;
    int status = runner_start(rig->runner, &run->request, &run_callbacks, run, &run->exec, &err);
    if (status != 0)
        fail_msg("%s", err_text(&err));
}

/* Starts the shell script. */
static inline void run_start(struct rig *rig, struct run *run, const char *script)
{
    const char *const argv[] = {"/bin/sh", "-ec", script, NULL};
    run_start_argv(rig, run, argv);
    run->request.argv = NULL;
}

static inline void run_read(struct run *run)
{
    char bytes[65536];
    off_t at = 0;
    ssize_t n;
    buf_reset(&run->text);
    while ((n = pread(run->spool, bytes, sizeof bytes, at)) > 0) {
        buf_add(&run->text, bytes, (size_t)n);
        at += n;
    }
}

/* Waits for the end and checks what holds of every run. */
static inline void run_wait(struct rig *rig, struct run *run)
{
    rig_wait(rig, &run->n_exited, 1);
    run_read(run);
    assert_int_equal(run->n_exited, 1);
    assert_false(run->disordered);
    assert_int_equal(run->n_spool, run->n_pieces > 0 || run->exit.spool_errno != 0);
    uint64_t at = run->request.spool_offset;
    for (size_t i = 0; i < run->n_pieces && run->n_pieces < PIECES; i++) {
        assert_int_equal(run->pieces[i].offset, at);
        at += run->pieces[i].n;
    }
    assert_true(run->exit.end_ns >= run->exit.start_ns);
}

/* One run of a script, to its end. */
static inline struct run *run_script(struct rig *rig, const char *script)
{
    struct run *run = run_new(rig);
    run_start(rig, run, script);
    run_wait(rig, run);
    return run;
}

/* Runs the loop until the run has written the text. */
static inline void run_wait_text(struct rig *rig, struct run *run, const char *text)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)LIMIT_MS * 1000000;
    for (run_read(run); !strstr(buf_str(&run->text), text); run_read(run)) {
        if (clock_monotonic_ns() > deadline || run->n_exited)
            fail_msg("never wrote '%s', but '%s'", text, buf_str(&run->text));
        uv_run(&rig->loop, UV_RUN_ONCE);
    }
}

/* The number behind the key in what the run wrote: "key=123". */
static inline pid_t run_pid(struct run *run, const char *key)
{
    char pattern[32];
    snprintf(pattern, sizeof pattern, "%s=", key);
    const char *at = strstr(buf_str(&run->text), pattern);
    assert_non_null(at);
    pid_t pid = (pid_t)atoi(at + strlen(pattern));
    assert_true(pid > 1);
    return pid;
}

static inline bool is_alive(pid_t pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

/* Ends of scripts: wait until process $e leads a session of its own; until $e is stopped. */
#define UNTIL_ESCAPED \
    "until read -r p c t pp g s x </proc/$e/stat && [ \"$s\" = \"$e\" ]; do :; done; "
#define UNTIL_STOPPED "until read -r p c t x </proc/$e/stat && [ \"$t\" = T ]; do :; done; "

#endif
