/*
 * cmd_shell.c - kiln shell: a command of one's own exactly where a step would run.
 *
 * On a terminal the command gets one of its own, kiln's or the one that is made in its box, and
 * what goes in and out is passed on, so that it can be resized and interrupted like any. The user's
 * own is never the command's; whatever becomes of kiln, it is put back (tui/guard.h). Elsewhere the
 * command's output is printed as it comes, and it has no input.
 */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "tui/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Which shell there is, only the place itself knows. */
#define INTERACTIVE "if command -v bash >/dev/null 2>&1; then exec bash -i; else exec sh -i; fi"

struct shell {
    struct app app;
    const struct options *options;
    const char *step; /* NULL until it is known which one failed last */
    char *found;      /* owns step, then */
    struct engine_shell order;
    const char *argv[4];
    struct buf script; /* the last of it */
    struct engine *engine;
    struct view_plain *view; /* of what runs before */
    bool finished, upstream_failed;
    int exit_code, signal;

    int user;   /* the user's terminal, opened again: not to block is for us alone */
    int leader; /* of the command's own terminal; -1: none */
    struct runner_terminal terminal;
    struct termios before;
    struct guard *guard; /* of the user's terminal, while it is raw */
    bool raw, relaying;
    uv_poll_t keys, screen;
    uv_signal_t signals[4]; /* the last: the window's size */
    int n_signals;
    struct buf typed; /* not taken yet */
};

/* -- the terminal ------------------------------------------------------------------------------ */

static void copy_size(struct shell *s)
{
    struct winsize size;
    if (s->leader >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        (void)ioctl(s->leader, TIOCSWINSZ, &size);
}

static void close_terminal(struct shell *s)
{
    if (s->leader >= 0)
        close(s->leader);
    if (s->terminal.fd >= 0)
        close(s->terminal.fd);
    s->leader = s->terminal.fd = -1;
}

/* This end of it is held, too: it is no hang-up when programs have closed it for a while. */
static void on_replaced(void *ctx, int leader)
{
    struct shell *s = ctx;
    if (s->finished) {
        close(leader);
        return;
    }
    close_terminal(s);
    s->leader = leader;
    s->terminal.fd = ioctl(leader, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    copy_size(s);
}

static int open_terminal(struct shell *s, struct err *err)
{
    s->user = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (s->user < 0)
        return err_sys(err, errno, "cannot read the terminal");
    s->leader = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (s->leader < 0 || grantpt(s->leader) < 0 || unlockpt(s->leader) < 0)
        return err_sys(err, errno, "cannot make a terminal for the shell");
    s->terminal = (struct runner_terminal){
        .fd = open(ptsname(s->leader), O_RDWR | O_NOCTTY | O_CLOEXEC),
        .replaced = on_replaced,
        .ctx = s,
    };
    if (s->terminal.fd < 0)
        return err_sys(err, errno, "cannot open a terminal for the shell");
    (void)tcsetattr(s->terminal.fd, TCSANOW, &s->before);
    copy_size(s);
    s->order.terminal = &s->terminal;
    return 0;
}

static void end_by(struct shell *s, int number);
static void on_keys(uv_poll_t *poll, int status, int events);

static void pass_typed(struct shell *s)
{
    while (s->typed.len) {
        ssize_t n = write(s->leader, s->typed.data, s->typed.len);
        if (n <= 0)
            break;
        memmove(s->typed.data, s->typed.data + n, s->typed.len - (size_t)n);
        s->typed.len -= (size_t)n;
    }
    if (!s->typed.len && s->relaying)
        uv_poll_start(&s->keys, UV_READABLE, on_keys);
}

static void on_keys(uv_poll_t *poll, int status, int events)
{
    struct shell *s = poll->data;
    (void)events;
    char *to = buf_reserve(&s->typed, 4096);
    ssize_t n = status < 0 ? 0 : read(s->user, to, 4096);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) { /* the terminal is gone, which is told to its session's leader alone */
        uv_poll_stop(poll);
        end_by(s, SIGHUP);
        return;
    }
    s->typed.len += (size_t)n;
    uv_poll_stop(poll); /* until it is taken */
    pass_typed(s);
}

/* Prints what the command has written; true while there may be more. */
static bool pass_screen(struct shell *s)
{
    char bytes[1 << 14];
    ssize_t n = read(s->leader, bytes, sizeof bytes);
    if (n > 0 && file_write_all(STDOUT_FILENO, bytes, (size_t)n) < 0)
        return false;
    return n > 0;
}

static void on_screen(uv_poll_t *poll, int status, int events)
{
    struct shell *s = poll->data;
    if (status < 0 || ((events & UV_READABLE) && !pass_screen(s) && errno != EAGAIN))
        uv_poll_stop(poll);
    else if (s->typed.len)
        pass_typed(s);
}

static void make_raw(struct shell *s)
{
    struct guard_terms terms = {.fd = STDIN_FILENO, .sane = s->before, .restore = ""};
    struct err none = ERR_INIT; /* without a guard it is only kill -9 that nobody puts right */
    terms.raw = s->before;
    cfmakeraw(&terms.raw);
    if (guard_new(&terms, &s->guard, &none) == 0)
        guard_hold(s->guard, true);
    err_release(&none);
    s->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &terms.raw) == 0;
}

static void begin_relaying(struct shell *s)
{
    if (s->leader < 0 || s->relaying)
        return;
    make_raw(s);
    s->relaying = true;
    uv_poll_init(&s->app.loop, &s->keys, s->user);
    uv_poll_init(&s->app.loop, &s->screen, s->leader);
    s->keys.data = s->screen.data = s;
    uv_poll_start(&s->keys, UV_READABLE, on_keys);
    uv_poll_start(&s->screen, UV_READABLE, on_screen);
}

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void end_relaying(struct shell *s)
{
    if (!s->relaying)
        return;
    s->relaying = false;
    while (!s->signal && pass_screen(s)) /* by a signal it ends while programs still write */
        ;
    uv_close((uv_handle_t *)&s->keys, handle_closed);
    uv_close((uv_handle_t *)&s->screen, handle_closed);
    if (s->raw)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
    s->raw = false;
    guard_free(s->guard);
    s->guard = NULL;
}

/* -- events ------------------------------------------------------------------------------------ */

/* Without a terminal: what the command writes, where it writes it. */
static void print_log(const struct event *event)
{
    char bytes[1 << 14];
    int fd = event->u.log.log ? open(event->u.log.log, O_RDONLY | O_CLOEXEC) : -1;
    uint64_t at = event->u.log.offset, end = at + event->u.log.n;
    while (fd >= 0 && at < end) {
        size_t want = end - at < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
        ssize_t n = pread(fd, bytes, want, (off_t)at);
        if (n <= 0 || file_write_all(event->u.log.stream == 2 ? STDERR_FILENO : STDOUT_FILENO,
                                     bytes, (size_t)n) < 0)
            break;
        at += (uint64_t)n;
    }
    if (fd >= 0)
        close(fd);
}

static void on_finished(struct shell *s, const struct event *event)
{
    end_relaying(s);
    if (event->u.finished.error)
        complain(s->options, event->u.finished.error);
    if (event->u.finished.exit_code >= 0)
        s->exit_code = event->u.finished.exit_code;
    else if (event->u.finished.signal)
        s->exit_code = 128 + event->u.finished.signal;
    else
        s->exit_code = s->upstream_failed ? EXIT_STEP_FAILED : EXIT_KILN;
}

static void on_event(void *ctx, const struct event *event)
{
    struct shell *s = ctx;
    if (event->step && strcmp(event->step, s->step) == 0) {
        switch (event->type) {
        case EVENT_STEP_STARTED: begin_relaying(s); break;
        case EVENT_STEP_LOG: print_log(event); break;
        case EVENT_STEP_FINISHED: on_finished(s, event); break;
        case EVENT_STEP_PROGRESS: view_plain_event(s->view, event); break;
        default: break;
        }
        return;
    }
    bool cached = event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_CACHED;
    s->upstream_failed |=
        event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_FAILED;
    if ((event->step && !cached) || event->type == EVENT_NOTICE ||
        (event->type == EVENT_RUN_FINISHED && s->upstream_failed))
        view_plain_event(s->view, event);
}

/* -- the run ----------------------------------------------------------------------------------- */

static void engine_closed(void *ctx)
{
    struct shell *s = ctx;
    s->engine = NULL;
    end_relaying(s);
    for (int i = 0; i < s->n_signals; i++)
        uv_close((uv_handle_t *)&s->signals[i], handle_closed);
    s->n_signals = 0;
    app_close_runners(&s->app);
}

static void finish(struct shell *s)
{
    if (s->finished)
        return;
    s->finished = true;
    if (s->engine)
        engine_close(s->engine, engine_closed, s);
    else
        engine_closed(s);
}

static void on_done(void *ctx)
{
    finish(ctx);
}

static void end_by(struct shell *s, int number)
{
    if (s->signal && s->engine)
        engine_kill(s->engine);
    s->signal = number;
    finish(s);
    end_relaying(s);
    close_terminal(s); /* a hang-up: shells are deaf to SIGTERM */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct shell *s = handle->data;
    if (number == SIGWINCH)
        copy_size(s);
    else
        end_by(s, number);
}

static void catch_signals(struct shell *s)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_t *handle = &s->signals[s->n_signals++];
        uv_signal_init(&s->app.loop, handle);
        handle->data = s;
        uv_signal_start(handle, on_signal, numbers[i]);
        uv_unref((uv_handle_t *)handle);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int on_boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    return app_boxes(&((struct shell *)ctx)->app, out, err);
}

static void give_up(struct shell *s, int code, const char *text)
{
    complain(s->options, text);
    s->exit_code = code;
    finish(s);
}

/* Without a step, --failed means the one that failed last. */
static int choose_step(struct shell *s, const struct graph *graph, struct err *err)
{
    char *run = NULL;
    if (s->step)
        return 0;
    if (!s->app.records)
        return err_set(err, ERR_SYSTEM, "without a state directory nobody knows what failed last");
    s->step = s->order.step = s->found = last_failure(s->app.records, graph, &run, err);
    if (!s->found)
        return err->kind ? -(int)err->kind
                         : err_set(err, ERR_USAGE,
                                   "no failure is on record that its step has not passed since; "
                                   "name a step: kiln shell STEP");
    char *text = mem_printf("%s failed last, in run %s", s->found, run);
    remark(s->options, text);
    free(text);
    free(run);
    return 0;
}

static void on_loaded(void *ctx, struct graph *graph, const char *const *sources, size_t n_sources,
                      int exit_code, const char *error)
{
    struct shell *s = ctx;
    struct err err = ERR_INIT;
    (void)sources;
    (void)n_sources;
    if (s->finished) {
        graph_free(graph);
        return;
    }
    if (!graph) {
        give_up(s, exit_code, error);
        return;
    }
    struct engine_options options = {.loop = &s->app.loop,
                                     .mode = ENGINE_RUN,
                                     .root = s->app.root,
                                     .stat_path = s->app.stat_path,
                                     .stat_ahead = s->app.stat_ahead,
                                     .scratch_path = s->app.scratch_path,
                                     .version = KILN_VERSION,
                                     .trigger = TRIGGER_SHELL,
                                     .cache = s->app.cache,
                                     .cache_read_only = s->app.read_only,
                                     .runner = s->app.runner,
                                     .boxes = on_boxes,
                                     .shell = &s->order,
                                     .lock_path = s->app.lock_path,
                                     .records = s->app.records,
                                     .history = s->app.history,
                                     .jobs = s->app.config->jobs,
                                     .done = on_done,
                                     .ctx = s};
    int rc = choose_step(s, graph, &err);
    if (rc == 0)
        rc = engine_new(&options, &s->engine, &err);
    if (rc == 0) {
        engine_subscribe(s->engine, on_event, s);
        rc = engine_load(s->engine, graph, &s->step, 1, NULL, 0, &err);
    } else {
        graph_free(graph);
    }
    if (rc < 0)
        give_up(s, err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE, err_text(&err));
    else
        engine_start(s->engine);
    err_release(&err);
}

static void set_command(struct shell *s, bool terminal)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    const char *command = s->options->shell_command;
    const char *term = terminal ? getenv("TERM") : NULL;
    if (term && *term && !term[strspn(term, safe)]) /* not the dumb one that steps are told of */
        buf_addf(&s->script, "export TERM=%s; ", term);
    buf_adds(&s->script, command ? command : INTERACTIVE);
    s->argv[0] = "/bin/sh";
    s->argv[1] = "-c";
    s->argv[2] = buf_str(&s->script);
    s->order =
        (struct engine_shell){.step = s->step, .argv = s->argv, .failed = s->options->failed};
}

int command_shell(const struct options *options)
{
    struct shell s = {.options = options,
                      .step = options->n_args ? options->args[0] : NULL,
                      .exit_code = EXIT_KILN,
                      .user = -1,
                      .leader = -1,
                      .terminal = {.fd = -1}};
    struct err err = ERR_INIT;
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
                    tcgetpgrp(STDIN_FILENO) == getpgrp() && tcgetattr(STDIN_FILENO, &s.before) == 0;
    if (!terminal && !options->shell_command) {
        complain(options, "a shell needs a terminal, in the foreground; --command CMD runs "
                          "one command without");
        return EXIT_USAGE;
    }
    set_command(&s, terminal);
    s.view = view_plain_new(stderr, color_wanted(options, STDERR_FILENO), false, false);
    if (app_open(&s.app, options, APP_CONFIG | APP_CACHE | APP_STATE | APP_RUNNER, &err) < 0 ||
        (terminal && open_terminal(&s, &err) < 0)) {
        complain(options, err_text(&err));
        s.exit_code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
    } else {
        catch_signals(&s);
        pipeline_load(&s.app, on_loaded, &s);
        uv_run(&s.app.loop, UV_RUN_DEFAULT);
    }
    err_release(&err);
    view_plain_free(s.view);
    close_terminal(&s);
    if (s.user >= 0)
        close(s.user);
    free(s.found);
    buf_release(&s.typed);
    buf_release(&s.script);
    app_close(&s.app);
    return s.signal ? 128 + s.signal : s.exit_code;
}
