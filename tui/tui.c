#include "tui/tui.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/app.h"
#include "tui/clip.h"
#include "tui/keeper.h"
#include "tui/keymap.h"
#include "tui/keys.h"
#include "tui/notify.h"
#include "tui/program.h"
#include "tui/reader.h"
#include "tui/term.h"
#include "tui/typing.h"
#include "tui/view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Events give at most 30 frames a second; a key is answered sooner. */
#define FRAME_MS     33
#define KEY_FRAME_MS 8
/* What follows ESC within this time belongs to it. */
#define ESC_MS  40
#define TICK_MS 1000
/* The private mode of synchronised output. */
#define SYNCHRONISED 2026

struct tui {
    struct app app;
    struct term *term;
    struct program *program; /* has the terminal now; or NULL */
    struct keys keys;
    struct notify notify;
    struct reader *reader; /* linear; else NULL */
    struct keeper *keeper; /* of what is chosen here; or NULL */
    uv_loop_t *loop;
    uint64_t (*now_ns)(void *ctx);
    void (*frame_done)(void *ctx);
    void *ctx;
    bool dirty;   /* something to show has changed */
    bool eager;   /* a key: its frame does not wait for the others' rate */
    bool mouse;   /* as the terminal was told */
    bool working; /* there is more of a log to look through */
    bool freed;
    uint64_t drawn_at; /* loop time of the last frame */
    uint64_t taken;    /* bytes of input */
    uv_timer_t frame, tick, esc;
    int open_handles;
};

bool tui_supported(int fd, const char *term)
{
    return term_supported(fd, term);
}

static void on_frame(uv_timer_t *timer);
static void on_tick(uv_timer_t *timer);

/* A frame is due gap after the last one, or at once. Repeated calls do not put it off. */
static void schedule(struct tui *tui, uint64_t gap_ms)
{
    if (tui->freed || term_busy(tui->term))
        return; /* the end of the frame being written schedules the next */
    uint64_t now = uv_now(tui->loop), due = tui->drawn_at + gap_ms;
    uint64_t wait = due > now ? due - now : 0;
    if (uv_is_active((uv_handle_t *)&tui->frame) && uv_timer_get_due_in(&tui->frame) <= wait)
        return;
    uv_timer_start(&tui->frame, on_frame, wait, 0);
}

static void mark(struct tui *tui, uint64_t gap_ms)
{
    tui->dirty = true;
    schedule(tui, gap_ms);
}

/* Elapsed times move once a second, and only while there is one on the screen; to those who hear it
 * silence may mean something. */
static void set_tick(struct tui *tui)
{
    bool wanted = !tui->freed && (tui->reader ? reader_ticks(tui->reader) : app_ticks(&tui->app));
    bool ticks = uv_is_active((uv_handle_t *)&tui->tick);
    if (wanted && !ticks)
        uv_timer_start(&tui->tick, on_tick, TICK_MS, TICK_MS);
    else if (!wanted && ticks)
        uv_timer_stop(&tui->tick);
}

static void on_tick(uv_timer_t *timer)
{
    mark(timer->data, 0);
}

/* What is to be copied goes to the terminal's clipboard. */
static void copy(struct tui *tui)
{
    struct buf *text = &tui->app.want_clip;
    enum clip_way way = term_caps(tui->term)->clip;
    if (text->len > 0 && way == CLIP_NONE)
        app_say(&tui->app, "This terminal has no clipboard: o and S take the log");
    else if (text->len > 0)
        clip_write(way, text->data, text->len, &tui->app.to_terminal);
    buf_release(text);
}

static void take_words(struct tui *tui, struct buf *frame)
{
    struct reader *reader = tui->reader;
    if (!tui->app.past.id)
        tui->app.now_ns = tui->now_ns(tui->ctx);
    reader_catch_up(reader);
    buf_add(frame, reader->out.data, reader->out.len);
    buf_reset(&reader->out);
}

static void draw(struct tui *tui)
{
    struct app *app = &tui->app;
    int cols, rows;
    term_size(tui->term, &cols, &rows);
    if (cols != app->screen.cols || rows != app->screen.rows)
        screen_resize(&app->screen, cols, rows);
    copy(tui);
    if (!tui->reader)
        app_draw(app, tui->now_ns(tui->ctx));
    /* What drawing has opened is yet to be looked through. */
    tui->working = tui->working || app->inputs.counting || app->log.more;
    tui->dirty = tui->eager = false;
    tui->drawn_at = uv_now(tui->loop);
    struct buf *frame = term_frame(tui->term);
    if (tui->reader)
        take_words(tui, frame);
    buf_add(frame, app->to_terminal.data, app->to_terminal.len);
    bool told = frame->len > 0;
    buf_reset(&app->to_terminal);
    if ((!tui->reader && screen_diff(&app->screen, term_caps(tui->term), frame)) || told)
        term_send(tui->term);
    else if (tui->frame_done)
        tui->frame_done(tui->ctx);
}

static void on_frame(uv_timer_t *timer)
{
    struct tui *tui = timer->data;
    if (tui->freed || term_busy(tui->term))
        return;
    tui->working = app_work(&tui->app);
    if (!tui->working || tui->eager || uv_now(tui->loop) >= tui->drawn_at + FRAME_MS)
        draw(tui);
    /* More to look through: soon, but after whatever else the loop has to do. */
    if (tui->working && !uv_is_active((uv_handle_t *)timer))
        uv_timer_start(timer, on_frame, 1, 0);
}

static void on_written(void *ctx)
{
    struct tui *tui = ctx;
    /* Looking through a log goes on between frames, and draws when the next one is due. */
    if (tui->working && !tui->freed)
        uv_timer_start(&tui->frame, on_frame, 1, 0);
    else if (tui->dirty)
        schedule(tui, FRAME_MS);
    if (tui->frame_done && !tui->freed)
        tui->frame_done(tui->ctx);
}

static void on_changed(void *ctx)
{
    struct tui *tui = ctx;
    screen_forget(&tui->app.screen);
    /* Of a storm of sizes most are gone before anybody could see them. */
    mark(tui, FRAME_MS);
}

static void on_gone(void *ctx)
{
    struct tui *tui = ctx;
    /* Nobody is there to see or to say anything: the same as quitting. */
    app_send(&tui->app, COMMAND_QUIT, NULL);
}

static void on_something(void *ctx, const struct key_input *input)
{
    struct tui *tui = ctx;
    if (tui->freed)
        return;
    if (input->kind == INPUT_KEY)
        tui->notify.key_ms = uv_now(tui->loop);
    if (typing_on(&tui->app) && typing_take(&tui->app, input)) {
        tui->keys.raw = typing_on(&tui->app);
        return;
    }
    switch (input->kind) {
    case INPUT_KEY:
        if (tui->reader)
            reader_key(tui->reader, input->key);
        else
            app_key(&tui->app, input->key);
        break;
    case INPUT_MOUSE: app_mouse(&tui->app, &input->mouse); break;
    case INPUT_TEXT:
        if (tui->reader)
            reader_paste(tui->reader, input->text, input->n);
        else
            app_paste(&tui->app, input->text, input->n);
        break;
    case INPUT_FOCUS: tui->notify.focus = input->focused ? FOCUS_HERE : FOCUS_ELSEWHERE; break;
    case INPUT_MODE:
        if (input->mode == SYNCHRONISED)
            term_has_sync(tui->term, input->known);
        break;
    case INPUT_BACKGROUND:
        tui->app.light = input->light;
        if (tui->app.auto_theme)
            app_theme_auto(&tui->app);
        break;
    case INPUT_DEVICE: term_answered(tui->term); break;
    case INPUT_BYTES: break;
    }
    tui->keys.raw = typing_on(&tui->app);
}

static void on_wake(void *ctx)
{
    struct tui *tui = ctx;
    if (!tui->freed)
        mark(tui, FRAME_MS);
}

static void on_program_ended(void *ctx, int status)
{
    struct tui *tui = ctx;
    tui->program = NULL;
    changes_forget(&tui->app); /* it may have been a shell */
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        app_say(&tui->app, "that program could not be run");
    term_take_back(tui->term);
}

static void run_program(struct tui *tui)
{
    struct app *app = &tui->app;
    struct err err = ERR_INIT;
    struct program_options options = {.loop = tui->loop,
                                      .fd = term_fd(tui->term),
                                      .argv = (const char *const *)app->want_program.argv.v,
                                      .cwd = app->want_program.cwd,
                                      .ended = on_program_ended,
                                      .ctx = tui};
    if (tui->program)
        return;
    term_lend(tui->term);
    if (program_start(&options, &tui->program, &err) < 0) {
        app_say(app, "%s", err_text(&err));
        term_take_back(tui->term);
    }
    err_release(&err);
    app_program_started(app);
}

static void tell(struct tui *tui, const char *bytes)
{
    app_tell_terminal(&tui->app, bytes, strlen(bytes));
}

static void set_mouse(struct tui *tui)
{
    if (tui->mouse == tui->app.mouse)
        return;
    tui->mouse = tui->app.mouse;
    tell(tui, term_mouse(tui->term, tui->mouse));
}

static void on_kept(void *ctx, const char *chosen, const char *what)
{
    struct tui *tui = ctx;
    app_say(&tui->app, "%s%s", chosen, what);
    mark(tui, FRAME_MS);
}

static void after_keys(struct tui *tui)
{
    if (tui->freed)
        return;
    set_mouse(tui);
    if (tui->app.want_keep.n > 0)
        keeper_keep(tui->keeper, &tui->app.want_keep);
    tui->app.want_keep.n = 0;
    if (tui->app.want_program.argv.n)
        run_program(tui);
    if (tui->app.want_redraw)
        screen_forget(&tui->app.screen);
    tui->app.want_redraw = false;
    if (tui->app.want_suspend) {
        tui->app.want_suspend = false;
        term_suspend(tui->term);
    }
    tui->eager = true;
    mark(tui, KEY_FRAME_MS);
}

static void on_esc(uv_timer_t *timer)
{
    struct tui *tui = timer->data;
    keys_timeout(&tui->keys, on_something, tui);
    after_keys(tui);
}

static void on_input(void *ctx, const char *bytes, size_t n)
{
    struct tui *tui = ctx;
    tui->taken += n;
    keys_feed(&tui->keys, bytes, n, on_something, tui);
    if (tui->freed)
        return;
    if (keys_pending(&tui->keys))
        uv_timer_start(&tui->esc, on_esc, ESC_MS, 0);
    else
        uv_timer_stop(&tui->esc);
    after_keys(tui);
}

static uint64_t wall_clock(void *ctx)
{
    (void)ctx;
    return clock_realtime_ns();
}

static void open_timer(struct tui *tui, uv_timer_t *timer)
{
    uv_timer_init(tui->loop, timer);
    timer->data = tui;
    tui->open_handles++;
}

static void take_settings(struct tui *tui, const struct settings *given)
{
    struct settings defaults;
    settings_init(&defaults);
    const struct settings *settings = given ? given : &defaults;
    const struct caps *caps = term_caps(tui->term);
    for (size_t i = 0; i < settings->n_commands; i++)
        own_add(&tui->app, &settings->commands[i]);
    for (size_t i = 0; i < settings->n_keys; i++)
        keymap_bind(&tui->app.keymap, settings->keys[i].action, settings->keys[i].keys,
                    settings->keys[i].n);
    tui->app.light = caps->light; /* until it says so itself */
    if (settings->theme >= 0)
        app_theme(&tui->app, (enum theme)settings->theme);
    else
        app_theme_auto(&tui->app);
    tui->keeper = keeper_new(tui->loop, settings, on_kept, tui);
    tui->app.mouse = settings->mouse;
    if (!tui->reader) /* one below the other there, whatever needs what */
        tui->app.steps.form = (enum steps_form)settings->steps;
    tui->app.steps.sort = (enum steps_sort)settings->sort;
    set_mouse(tui);
    tui->notify.how = settings->notify;
    tui->notify.after_ms = settings->notify_after_ms;
    tui->notify.desktop = caps->desktop;
    tui->notify.way = caps->clip;
    settings_release(&defaults);
}

int tui_new(const struct tui_options *options, struct tui **out, struct err *err)
{
    struct tui *tui = mem_zalloc(1, sizeof *tui);
    struct term_hooks hooks = {tui, on_input, on_changed, on_written, on_gone};
    struct term_options term = {options->loop, options->fd, options->term, options->colour,
                                options->linear};
    int code = term_new(&term, &hooks, &tui->term, err);
    if (code != 0) {
        free(tui);
        return code;
    }
    app_init(&tui->app, options->control, options->project, options->utf8);
    tui->app.colours = term_caps(tui->term)->colours;
    app_theme(&tui->app, tui->app.theme);
    tui->app.replay = options->replay;
    tui->app.wake = on_wake;
    tui->app.wake_ctx = tui;
    tui->app.self = options->self;
    tui->loop = options->loop;
    tui->now_ns = options->now_ns ? options->now_ns : wall_clock;
    tui->frame_done = options->frame_done;
    tui->ctx = options->ctx;
    open_timer(tui, &tui->frame);
    open_timer(tui, &tui->tick);
    open_timer(tui, &tui->esc);
    if (options->linear) {
        tui->reader = mem_zalloc(1, sizeof *tui->reader);
        reader_init(tui->reader, &tui->app);
    }
    take_settings(tui, options->settings);
    tell(tui, term_ask(tui->term));
    mark(tui, 0);
    *out = tui;
    return 0;
}

void tui_event(void *ctx, const struct event *event)
{
    struct tui *tui = ctx;
    if (tui->freed)
        return;
    app_event(&tui->app, event);
    if (tui->reader)
        reader_event(tui->reader, event);
    notify_event(&tui->notify, &tui->app.model, event, uv_now(tui->loop), &tui->app.to_terminal);
    set_tick(tui);
    mark(tui, FRAME_MS);
}

void tui_start(struct tui *tui, const struct tui_start *start)
{
    if (tui->freed)
        return;
    start_set(&tui->app.start, start);
    if (tui->reader)
        reader_start(tui->reader);
    mark(tui, 0);
}

static void timer_closed(uv_handle_t *handle)
{
    struct tui *tui = handle->data;
    if (--tui->open_handles > 0)
        return;
    if (tui->reader)
        reader_release(tui->reader);
    free(tui->reader);
    app_release(&tui->app);
    free(tui);
}

void tui_free(struct tui *tui)
{
    if (!tui || tui->freed)
        return;
    tui->freed = true;
    program_kill(tui->program);
    keeper_free(tui->keeper);
    term_free(tui->term);
    uv_close((uv_handle_t *)&tui->frame, timer_closed);
    uv_close((uv_handle_t *)&tui->tick, timer_closed);
    uv_close((uv_handle_t *)&tui->esc, timer_closed);
}

pid_t tui_guardian(const struct tui *tui)
{
    return term_guardian(tui->term);
}

bool tui_settled(const struct tui *tui)
{
    return !tui->dirty && !tui->working && !term_busy(tui->term) && !keys_pending(&tui->keys);
}

void tui_size(const struct tui *tui, int *cols, int *rows)
{
    *cols = tui->app.screen.cols;
    *rows = tui->app.screen.rows;
}

uint64_t tui_taken(const struct tui *tui)
{
    return tui->taken;
}

uint64_t tui_written(const struct tui *tui)
{
    return term_written(tui->term);
}
