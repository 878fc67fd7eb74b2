/* cmd_replay.c - kiln replay: a run of the past, from its record into the same views. */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cli/report.h"
#include "cli/settings.h"
#include "engine/answers.h"
#include "tui/tui.h"

#include <langinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct replay {
    struct app app;
    const struct options *options;
    const char *id; /* NULL: the newest */
    struct cli_settings settings;
    struct view_plain *plain;
    struct view_json *json;
    struct tui *tui;
    struct answers *answers;
    struct control control;
    /* The events as lines, each ended. */
    struct buf lines;
    VEC(size_t) starts;
    size_t shown;
    uint64_t first_ns, last_ns; /* when the run began, and when what was shown last happened */
    uint64_t began_ms;          /* of showing it, by the loop's clock */
    uv_timer_t timer;
    uv_signal_t signals[3];
    int n_signals, signal;
    bool finished;
};

static void show(struct replay *r, const struct event *event)
{
    r->last_ns = event->time_ns;
    if (r->tui)
        tui_event(r->tui, event);
    else if (r->json)
        view_json_event(r->json, event);
    else
        view_plain_event(r->plain, event);
}

static void keep(void *ctx, const struct event *event)
{
    struct replay *r = ctx;
    if (r->starts.n == 0)
        r->first_ns = event->time_ns;
    vec_push(&r->starts, r->lines.len);
    event_json(event, NULL, &r->lines);
}

static bool event_at(const struct replay *r, size_t at, struct arena *arena, struct event *event)
{
    size_t end = at + 1 < r->starts.n ? r->starts.v[at + 1] : r->lines.len;
    return event_parse(r->lines.data + r->starts.v[at], end - r->starts.v[at], arena, event,
                       NULL) == 0;
}

/* The wall clock of then. */
static uint64_t now_ns(void *ctx)
{
    struct replay *r = ctx;
    if (!r->options->speed || r->shown >= r->starts.n)
        return r->last_ns;
    return r->first_ns + (uv_now(&r->app.loop) - r->began_ms) * r->options->speed * 1000000;
}

/* Shows what is due; then waits for the next. */
static void on_due(uv_timer_t *timer)
{
    struct replay *r = timer->data;
    uint64_t speed = r->options->speed;
    for (; r->shown < r->starts.n && !r->finished; r->shown++) {
        struct arena arena = ARENA_INIT;
        struct event event;
        uint64_t wait = 0;
        if (event_at(r, r->shown, &arena, &event)) {
            uint64_t due = event.time_ns > r->first_ns ? event.time_ns - r->first_ns : 0;
            uint64_t passed = uv_now(&r->app.loop) - r->began_ms;
            due = speed ? due / 1000000 / speed : 0;
            wait = due > passed ? due - passed : 0;
            if (wait == 0)
                show(r, &event);
        }
        arena_release(&arena);
        if (wait > 0) {
            uv_timer_start(&r->timer, on_due, wait, 0);
            return;
        }
    }
}

/* -- the screen -------------------------------------------------------------------------------- */

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void finish(struct replay *r)
{
    if (r->finished)
        return;
    r->finished = true;
    uv_close((uv_handle_t *)&r->timer, handle_closed);
    for (int i = 0; i < r->n_signals; i++)
        uv_close((uv_handle_t *)&r->signals[i], handle_closed);
    answers_free(r->answers);
    tui_free(r->tui);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct replay *r = handle->data;
    r->signal = number;
    finish(r);
}

static void on_command(void *ctx, const struct command *command)
{
    struct replay *r = ctx;
    struct event event = {.type = EVENT_NOTICE, .time_ns = r->last_ns};
    event.u.notice.level = "info";
    event.u.notice.text = "This is a run of the past: nothing is run here.";
    if (command->type == COMMAND_QUIT)
        finish(r);
    else
        tui_event(r->tui, &event);
}

static void on_question(void *ctx, struct question *question)
{
    answers_ask(((struct replay *)ctx)->answers, question);
}

static char *log_path(void *ctx, const char *step)
{
    struct replay *r = ctx;
    return records_log_path(r->app.records, r->id, step);
}

static void catch_signals(struct replay *r)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_t *handle = &r->signals[r->n_signals++];
        uv_signal_init(&r->app.loop, handle);
        handle->data = r;
        uv_signal_start(handle, on_signal, numbers[i]);
    }
}

static bool wants_screen(const struct options *o)
{
    return !o->plain && !o->json && !in_ci() && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) &&
           tcgetpgrp(STDOUT_FILENO) == getpgrp() && tui_supported(STDOUT_FILENO, getenv("TERM"));
}

static int open_screen(struct replay *r, struct err *err)
{
    const char *root = r->app.root ? r->app.root : ".";
    struct answers_options answers = {
        .loop = &r->app.loop, .root = root, .cache = r->app.cache, .records = r->app.records};
    struct tui_options options = {.loop = &r->app.loop,
                                  .control = &r->control,
                                  .fd = STDOUT_FILENO,
                                  .term = getenv("TERM"),
                                  .project = r->app.config ? r->app.config->name : NULL,
                                  .settings = &r->settings.tui,
                                  .linear = r->settings.screen_reader || r->options->screen_reader,
                                  .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                                  .replay = true,
                                  .colour = color_wanted(r->options, STDOUT_FILENO),
                                  .now_ns = now_ns,
                                  .ctx = r};
    r->control =
        (struct control){.ctx = r, .send = on_command, .log_path = log_path, .ask = on_question};
    if (tui_new(&options, &r->tui, err) < 0)
        return -(int)err->kind;
    r->answers = answers_new(&answers);
    catch_signals(r);
    return 0;
}

/* -- the command ------------------------------------------------------------------------------- */

static int open_views(struct replay *r, struct err *err)
{
    const struct options *o = r->options;
    uv_timer_init(&r->app.loop, &r->timer);
    r->timer.data = r;
    if (wants_screen(o)) {
        cli_settings_load(&r->settings);
        return open_screen(r, err);
    }
    if (o->json)
        r->json = view_json_new(stdout);
    else
        r->plain = view_plain_new(
            &(struct view_plain_options){.out = stdout, .color = color_wanted(o, STDOUT_FILENO)});
    return 0;
}

static int read_run(struct replay *r, struct err *err)
{
    bool found = false;
    int rc = records_replay(r->app.records, r->id, keep, r, &found, err);
    if (rc == 0 && !found)
        rc = r->id ? err_set(err, ERR_USAGE,
                             "there is no run %s on record; \"kiln runs\" lists them", r->id)
                   : err_set(err, ERR_USAGE, "nothing has run here yet; \"kiln run\" does");
    return rc;
}

/* Leading zeros are no part of a run's name. */
static const char *id_of(const struct options *options)
{
    const char *id = options->n_args ? options->args[0] : NULL;
    while (id && *id == '0' && id[1])
        id++;
    return id;
}

int command_replay(const struct options *options)
{
    struct replay r = {.options = options, .id = id_of(options)};
    struct err err = ERR_INIT;
    int code = EXIT_OK;
    bool files = options->junit || options->trace;
    unsigned parts = !files && wants_screen(options) ? APP_CACHE : 0;
    int rc = app_open_records(&r.app, options, parts, &err);
    if (rc == 0 && files) {
        code = report_past(options, r.app.records, r.id);
    } else if (rc < 0 || read_run(&r, &err) < 0 || open_views(&r, &err) < 0) {
        code = err.kind == ERR_USAGE || err.kind == ERR_CONFIG ? EXIT_USAGE : EXIT_KILN;
        complain(options, err_text(&err));
        err_release(&err);
    } else {
        uv_update_time(&r.app.loop);
        r.began_ms = uv_now(&r.app.loop);
        on_due(&r.timer);
        uv_run(&r.app.loop, UV_RUN_DEFAULT);
        if (!r.finished) /* no screen that somebody quits */
            uv_close((uv_handle_t *)&r.timer, handle_closed);
    }
    cli_settings_release(&r.settings);
    view_plain_free(r.plain);
    view_json_free(r.json);
    buf_release(&r.lines);
    vec_release(&r.starts);
    app_close(&r.app);
    code = output_end(options, code);
    return r.signal ? 128 + r.signal : code;
}
