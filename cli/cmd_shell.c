/*
 * cmd_shell.c - kiln shell: a command of one's own exactly where a step would run.
 *
 * On a terminal the command gets one of its own, kiln's or the one that is made in its box
 * (relay.h). Elsewhere its output is printed as it comes, and it has no input.
 */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/raw.h"
#include "cli/relay.h"
#include "cli/shell.h"
#include "cli/shell_script.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shell {
    struct app *app;
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

    struct relay *relay; /* NULL: there is no terminal */
    uv_signal_t signals[6];
    int n_signals;
};

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
    relay_end(s->relay);
    if (event->u.finished.error)
        complain(s->options, event->u.finished.error);
    if (event->u.finished.exit_code >= 0)
        s->exit_code = event->u.finished.exit_code;
    else if (event->u.finished.signal)
        s->exit_code = 128 + event->u.finished.signal;
    else
        s->exit_code = s->upstream_failed ? EXIT_STEP_FAILED : EXIT_KILN;
}

/* Nothing shows it otherwise: a prompt is a prompt. */
static void tell_place(const struct shell *s, const char *runner)
{
    const char *how = strcmp(runner, "host") == 0 ? "runs: the working tree itself"
                      : s->order.failed
                          ? "failed, as it left things; changes stay until it runs again"
                          : "runs; changes go with it";
    char *text = mem_printf("this is where %s %s; exit leaves it", s->step, how);
    remark(s->options, text);
    free(text);
}

static void on_started(struct shell *s, const struct event *event)
{
    if (s->relay && !s->options->shell_command && !s->options->run_id)
        tell_place(s, event->u.started.runner);
    relay_begin(s->relay);
}

static void on_event(void *ctx, const struct event *event)
{
    struct shell *s = ctx;
    if (event->step && strcmp(event->step, s->step) == 0) {
        switch (event->type) {
        case EVENT_STEP_STARTED: on_started(s, event); break;
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

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

/* -- the run ----------------------------------------------------------------------------------- */

static void engine_closed(void *ctx)
{
    struct shell *s = ctx;
    s->engine = NULL;
    relay_end(s->relay);
    for (int i = 0; i < s->n_signals; i++)
        uv_close((uv_handle_t *)&s->signals[i], handle_closed);
    s->n_signals = 0;
    app_close_runners(s->app);
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
    relay_hang_up(s->relay);
}

static void on_gone(void *ctx)
{
    end_by(ctx, SIGHUP);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct shell *s = handle->data;
    if (number == SIGWINCH)
        relay_resize(s->relay);
    else if (number == SIGTSTP)
        relay_stop(s->relay, handle, on_signal);
    else if (number == SIGCONT)
        relay_go_on(s->relay);
    else
        end_by(s, number);
}

static void catch_signals(struct shell *s)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT};
    for (size_t i = 0; i < (s->relay ? 6 : 4); i++) {
        uv_signal_t *handle = &s->signals[s->n_signals++];
        uv_signal_init(&s->app->loop, handle);
        handle->data = s;
        uv_signal_start(handle, on_signal, numbers[i]);
        uv_unref((uv_handle_t *)handle);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int on_boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    return app_boxes(((struct shell *)ctx)->app, out, err);
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
    if (!s->app->records)
        return err_set(err, ERR_SYSTEM, "without a state directory nobody knows what failed last");
    s->step = s->found = last_failure(s->app->records, graph, &run, err);
    if (!s->found)
        return err->kind ? -(int)err->kind
                         : err_set(err, ERR_USAGE,
                                   "no failure is on record whose step has not passed since; "
                                   "name a step: kiln shell STEP");
    char *text = mem_printf("%s failed last, in run %s", s->found, run);
    remark(s->options, text);
    free(text);
    free(run);
    return 0;
}

/* What is run in the step's place. A step that is not there is told by the engine. */
static void set_command(struct shell *s, const struct graph *graph)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    const char *command = s->options->shell_command;
    const char *term = s->relay ? getenv("TERM") : NULL;
    op_id op = graph_find(graph, s->step);
    if (term && *term && !term[strspn(term, safe)]) /* not the dumb one that steps are told of */
        buf_addf(&s->script, "export TERM=%s; ", term);
    if (command)
        buf_adds(&s->script, command);
    else if (op != OP_NONE)
        shell_script(&s->script, graph->ops[op].u.exec.argv, graph->ops[op].u.exec.n_argv);
    s->argv[0] = "/bin/sh";
    s->argv[1] = "-c";
    s->argv[2] = buf_str(&s->script);
    s->order.step = s->step;
    s->order.argv = s->argv;
    s->order.failed = s->options->failed;
}

static struct engine_options engine_options(struct shell *s, const char *root, const char *lock)
{
    return (struct engine_options){.loop = &s->app->loop,
                                   .mode = ENGINE_RUN,
                                   .root = root,
                                   .scratch_path = s->app->scratch_path,
                                   .version = KILN_VERSION,
                                   .trigger = EVENT_TRIGGER_SHELL,
                                   .cache = s->app->cache,
                                   .cache_read_only = s->app->read_only,
                                   .runner = s->app->runner,
                                   .boxes = on_boxes,
                                   .shell = &s->order,
                                   .lock_path = lock,
                                   .done = on_done,
                                   .ctx = s};
}

/* Loads the graph, which is the engine's from here on, and begins. */
static int begin(struct shell *s, const struct engine_options *options, struct graph *graph,
                 struct err *err)
{
    set_command(s, graph);
    int rc = engine_new(options, &s->engine, err);
    if (rc < 0) {
        graph_free(graph);
        return rc;
    }
    engine_subscribe(s->engine, on_event, s);
    rc = engine_load(s->engine, graph, &s->step, 1, NULL, 0, err);
    if (rc == 0)
        engine_start(s->engine);
    return rc;
}

static void refuse(struct shell *s, struct err *err)
{
    give_up(s, err->kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE, err_text(err));
    err_release(err);
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
    struct engine_options options = engine_options(s, s->app->root, s->app->lock_path);
    options.stat_path = s->app->stat_path;
    options.stat_ahead = s->app->stat_ahead;
    options.records = s->app->records;
    options.history = s->app->history;
    options.jobs = s->app->config->jobs;
    int rc = choose_step(s, graph, &err);
    if (rc == 0)
        rc = begin(s, &options, graph, &err);
    else
        graph_free(graph);
    if (rc < 0)
        refuse(s, &err);
}

/* Nothing is put on record: the place is no part of the pipeline. */
static void on_placed(struct shell *s, const struct shell_place *place)
{
    struct err err = ERR_INIT;
    struct engine_options options = engine_options(s, place->root, place->lock_path);
    options.caches_root = s->app->root; /* those of the step, and none for a place that goes */
    s->step = place->step;
    if (begin(s, &options, place->graph, &err) < 0)
        refuse(s, &err);
}

/* Everything but the place: the terminal, and a loop that has something to do. */
static int prepare(struct shell *s, bool *terminal)
{
    *terminal = raw_possible();
    if (!*terminal && !s->options->shell_command) {
        complain(s->options, "a shell needs a terminal, in the foreground; --command CMD runs "
                             "one command without");
        return EXIT_USAGE;
    }
    s->view = view_plain_new(&(struct view_plain_options){
        .out = stderr, .color = color_wanted(s->options, STDERR_FILENO)});
    return EXIT_OK;
}

static void complain_of(struct shell *s, const struct err *err)
{
    complain(s->options, err_text(err));
    s->exit_code = err->kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
}

static int release(struct shell *s)
{
    view_plain_free(s->view);
    relay_free(s->relay);
    free(s->found);
    buf_release(&s->script);
    return s->signal ? 128 + s->signal : s->exit_code;
}

int shell_in_place(const struct options *options, struct app *app, shell_open_cb *open, void *ctx)
{
    struct shell s = {.app = app, .options = options, .exit_code = EXIT_KILN};
    struct shell_place place = {0};
    struct err err = ERR_INIT;
    bool terminal;
    int code = prepare(&s, &terminal);
    if (code != EXIT_OK)
        return code;
    if (open(ctx, app, &place, &err) < 0) {
        complain_of(&s, &err);
    } else if (terminal && relay_new(&app->loop, on_gone, &s, &s.relay, &err) < 0) {
        graph_free(place.graph);
        complain_of(&s, &err);
    } else {
        s.order.terminal = s.relay ? relay_terminal(s.relay) : NULL;
        catch_signals(&s);
        on_placed(&s, &place);
        uv_run(&app->loop, UV_RUN_DEFAULT);
    }
    err_release(&err);
    return release(&s);
}

int command_shell(const struct options *options)
{
    struct app app = {0};
    struct shell s = {.app = &app,
                      .options = options,
                      .step = options->n_args ? options->args[0] : NULL,
                      .exit_code = EXIT_KILN};
    struct err err = ERR_INIT;
    bool terminal;
    int code = prepare(&s, &terminal);
    if (code != EXIT_OK)
        return code;
    if (app_open(&app, options, APP_CONFIG | APP_CACHE | APP_STATE | APP_RUNNER, &err) < 0 ||
        (terminal && relay_new(&app.loop, on_gone, &s, &s.relay, &err) < 0)) {
        complain_of(&s, &err);
    } else {
        s.order.terminal = s.relay ? relay_terminal(s.relay) : NULL;
        catch_signals(&s);
        pipeline_load(&app, on_loaded, &s);
        uv_run(&app.loop, UV_RUN_DEFAULT);
    }
    err_release(&err);
    code = release(&s);
    app_close(&app);
    return code;
}
