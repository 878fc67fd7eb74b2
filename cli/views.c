#include "cli/views.h"

#include "base/mem.h"
#include "cli/attach.h"
#include "cli/raw.h"
#include "cli/report.h"

#include <langinfo.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void views_init(struct views *views, const struct options *options, uv_loop_t *loop, bool watching)
{
    *views = (struct views){
        .options = options, .loop = loop, .watching = watching, .files = report_new(options)};
}

static void on_tick(uv_timer_t *timer)
{
    struct views *v = timer->data;
    view_plain_tick(v->plain);
}

/* The live line's clock goes only while there is something to count. */
static void follow_running(void *ctx, const struct event *event)
{
    struct views *v = ctx;
    if (event->type == EVENT_RUN_STARTED && v->n_running++ == 0)
        uv_timer_start(&v->tick, on_tick, 100, 100);
    if (event->type == EVENT_RUN_FINISHED && --v->n_running == 0)
        uv_timer_stop(&v->tick);
}

static void on_unread(uv_timer_t *timer)
{
    struct views *v = timer->data;
    v->unread(v->ctx);
}

/* A watch whose words go nowhere would go on for ever without anybody knowing. */
static void notice_unread(void *ctx, const struct event *event)
{
    struct views *v = ctx;
    (void)event;
    if (!ferror(stdout) || v->unread_open)
        return;
    uv_timer_init(v->loop, &v->unread_timer);
    v->unread_timer.data = v;
    v->unread_open = true;
    uv_timer_start(&v->unread_timer, on_unread, 0, 0); /* not from within an event */
}

static void add_option(struct buf *text, const char *option, const char *value)
{
    if (!value)
        return;
    buf_addf(text, " %s ", option);
    buf_add_word(text, value);
}

const char *views_kiln(struct views *v)
{
    const struct options *o = v->options;
    struct buf text = BUF_INIT;
    if (!v->kiln) {
        buf_adds(&text, "kiln");
        add_option(&text, "-C", o->directory);
        add_option(&text, "--config", o->config);
        v->kiln = buf_detach(&text);
    }
    return v->kiln;
}

/* The views without a screen need no engine: somebody else may be telling. */
static void open_plain_views(struct views *v)
{
    const struct options *o = v->options;
    const char *term = getenv("TERM");
    if (v->json || v->plain)
        return;
    if (o->json) {
        v->json = view_json_new(stdout);
        return;
    }
    v->live = !o->plain && !v->settings.screen_reader && !in_ci() && isatty(STDOUT_FILENO) &&
              !v->watching && term && strcmp(term, "dumb") != 0;
    v->plain = view_plain_new(&(struct view_plain_options){.out = stdout,
                                                           .color = color_wanted(o, STDOUT_FILENO),
                                                           .live = v->live,
                                                           .watching = v->watching,
                                                           .groups = !o->plain && !v->live,
                                                           .kiln = views_kiln(v),
                                                           .again = v->again});
}

/* In the background the screen is somebody else's. */
static bool has_terminal(void)
{
    return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && tcgetpgrp(STDOUT_FILENO) == getpgrp();
}

bool views_want_tui(const struct views *v)
{
    const struct options *o = v->options;
    return !o->plain && !o->json && has_terminal() && (v->watching ? !in_ci() : o->tui) &&
           tui_supported(STDOUT_FILENO, getenv("TERM"));
}

enum engine_typing views_who_types(const struct views *v)
{
    const struct options *o = v->options;
    if (views_want_tui(v))
        return ENGINE_TYPING_ANY;
    return !v->watching && !o->plain && !o->json && !in_ci() && raw_possible()
               ? ENGINE_TYPING_ONE
               : ENGINE_TYPING_NOBODY;
}

static void load_settings(struct views *v)
{
    const struct options *o = v->options;
    if (!v->settings_loaded && has_terminal() && !o->plain && !o->json)
        cli_settings_load(&v->settings);
    v->settings_loaded = true;
    v->settings.screen_reader = v->settings.screen_reader || o->screen_reader;
}

struct tui_options views_terminal(struct views *v)
{
    load_settings(v);
    return (struct tui_options){.fd = STDOUT_FILENO,
                                .term = getenv("TERM"),
                                .settings = &v->settings.tui,
                                .linear = v->settings.screen_reader,
                                .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                                .colour = color_wanted(v->options, STDOUT_FILENO)};
}

/* For a shell in a step. */
static const char *const *find_self(struct views *v)
{
    const struct options *o = v->options;
    size_t n = 0;
    v->exe = realpath("/proc/self/exe", NULL);
    if (!v->exe)
        return NULL;
    v->self[n++] = v->exe;
    if (o->config && (v->config = realpath(o->config, NULL))) {
        v->self[n++] = "--config";
        v->self[n++] = v->config;
    }
    v->self[n] = NULL;
    return v->self;
}

int views_open(struct views *v, struct engine *engine, struct control *control,
               const struct app *app, struct err *err)
{
    const struct options *o = v->options;
    const char *term = getenv("TERM");
    bool terminal = has_terminal(), tui = views_want_tui(v);
    load_settings(v);
    if (o->tui && !tui)
        return terminal
                   ? err_set(err, ERR_USAGE,
                             "--tui needs a terminal that can address its cursor (TERM is \"%s\")",
                             term ? term : "")
                   : err_set(err, ERR_USAGE, "--tui needs a terminal, in the foreground");
    if (!tui)
        open_plain_views(v);
    if (v->json) {
        engine_subscribe(engine, view_json_event, v->json);
    } else if (tui) {
        struct tui_options options = views_terminal(v);
        options.loop = v->loop;
        options.control = control;
        options.project = app->config->name;
        options.self = find_self(v);
        if (tui_new(&options, &v->tui, err) < 0)
            return -(int)err->kind;
        engine_subscribe(engine, tui_event, v->tui);
        v->git = git_watch_new(v->loop, app->root, tui_event, v->tui);
        engine_subscribe(engine, git_watch_event, v->git);
        if (!v->watching) { /* what is left to read when the screen is gone */
            v->report = open_memstream(&v->report_text, &v->report_size);
            v->plain = view_plain_new(&(struct view_plain_options){
                .out = v->report, .color = options.colour, .kiln = views_kiln(v)});
            engine_subscribe(engine, view_plain_event, v->plain);
        }
    } else {
        if (views_who_types(v) == ENGINE_TYPING_ONE) {
            v->attach = attach_new(v->loop, control, v->plain, !term || strcmp(term, "dumb") == 0);
            engine_subscribe(engine, attach_event, v->attach);
        } else {
            engine_subscribe(engine, view_plain_event, v->plain);
        }
        if (v->live) {
            uv_timer_init(v->loop, &v->tick);
            v->tick.data = v;
            v->tick_open = true;
            engine_subscribe(engine, follow_running, v);
        }
    }
    if (v->watching && !tui)
        engine_subscribe(engine, notice_unread, v);
    if (v->files)
        engine_subscribe(engine, report_event, v->files);
    return 0;
}

void views_told(struct views *v, const struct event *event)
{
    open_plain_views(v);
    if (v->json)
        view_json_event(v->json, event);
    else
        view_plain_event(v->plain, event);
    if (v->files)
        report_event(v->files, event);
}

int views_write(struct views *v, int code)
{
    return report_write(v->files, code);
}

void views_told_tick(struct views *v)
{
    view_plain_tick(v->plain);
}

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

void views_close(struct views *v)
{
    if (v->tick_open)
        uv_close((uv_handle_t *)&v->tick, handle_closed);
    if (v->unread_open)
        uv_close((uv_handle_t *)&v->unread_timer, handle_closed);
    v->tick_open = v->unread_open = false;
    attach_end(v->attach);
    git_watch_free(v->git);
    v->git = NULL;
    tui_free(v->tui);
    v->tui = NULL;
    if (v->report) {
        view_plain_free(v->plain); /* it writes there */
        v->plain = NULL;
        fclose(v->report);
        fwrite(v->report_text, 1, v->report_size, stdout);
        free(v->report_text);
        v->report = NULL;
    }
}

void views_release(struct views *v)
{
    attach_free(v->attach);
    view_plain_free(v->plain);
    view_json_free(v->json);
    report_free(v->files);
    free(v->exe);
    free(v->config);
    free(v->kiln);
    cli_settings_release(&v->settings);
}
