#include "tui/app.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/acts.h"
#include "tui/asking.h"
#include "tui/keymap.h"
#include "tui/marks.h"
#include "tui/typing.h"
#include "tui/view.h"
#include "tui/width.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPED_MAX 200 /* bytes */

const struct view *const views[PANE_N] = {
    [PANE_STEPS] = &view_steps,   [PANE_LOG] = &view_log,           [PANE_WHY] = &view_why,
    [PANE_INPUTS] = &view_inputs, [PANE_TIMELINE] = &view_timeline, [PANE_RUNS] = &view_runs,
    [PANE_CACHE] = &view_cache,   [PANE_CHANGES] = &view_changes,
};

void app_init(struct app *app, const struct control *control, const char *project, bool utf8)
{
    memset(app, 0, sizeof *app);
    model_init(&app->model);
    screen_init(&app->screen, utf8);
    keymap_init(&app->keymap);
    app->colours = 256;
    app_theme(app, THEME_DARK);
    app->control = control;
    app->project = mem_strdup(project ? project : "kiln");
    app->hands_off = true;
    log_init(&app->log);
}

void app_release(struct app *app)
{
    asking_release(app);
    typing_release(app);
    log_release(&app->log);
    start_release(&app->start);
    step_list_release(&app->steps);
    map_release(&app->marks);
    model_release(&app->model);
    past_release(&app->past);
    diffs_release(&app->diffs);
    held_release(&app->held);
    usage_release(&app->usages);
    arena_release(&app->runs.arena);
    arena_release(&app->cache.arena);
    changes_release(&app->changes);
    free(app->cache.error);
    screen_release(&app->screen);
    buf_release(&app->typed);
    buf_release(&app->to_terminal);
    keymap_release(&app->keymap);
    own_release(&app->own);
    app_program_started(app);
    vec_release(&app->want_program.argv);
    buf_release(&app->want_clip);
    free(app->said);
    free(app->palette.items);
    free(app->project);
}

struct model_step *app_selected(struct app *app)
{
    return app->selected < app->model.steps.n ? &app->model.steps.v[app->selected] : NULL;
}

void app_select(struct app *app, size_t step)
{
    if (step >= app->model.steps.n || step == app->selected)
        return;
    app->selected = step;
    app->why_top = 0;
}

void app_focus(struct app *app, enum pane pane)
{
    if (app->zoom_by_enter && pane != PANE_LOG)
        app->zoom = app->zoom_by_enter = false;
    app->focus = pane;
    app->recent[pane] = ++app->focused;
}

static void give_order(struct app *app, const struct command *order)
{
    char *step = order->step ? mem_strdup(order->step) : NULL;
    char *rule = order->rule ? mem_strdup(order->rule) : NULL;
    struct command command = {.type = order->type, .step = step, .rule = rule};
    past_close(app); /* what is ordered happens now */
    app->control->send(app->control->ctx, &command);
    free(step);
    free(rule);
}

void app_send(struct app *app, enum command_type type, const char *step)
{
    give_order(app, &(struct command){.type = type, .step = step});
}

void app_send_rule(struct app *app, enum command_type type, const char *rule)
{
    give_order(app, &(struct command){.type = type, .rule = rule});
}

/* The step that matters most now: the one that has been held longest, else the one that failed
 * first, else the one that started last of those that run, or of all. */
static void select_work(struct app *app)
{
    const struct model *model = &app->model;
    size_t step = model_first(model, STATE_PAUSED);
    if (step == model->steps.n)
        step = model_first(model, STATE_FAILED);
    if (step == model->steps.n)
        step = model_last(model, STATE_RUNNING);
    app_select(app, step < model->steps.n ? step : model->latest);
}

void app_event(struct app *app, const struct event *event)
{
    char *name = NULL;
    if (app->past.id) {
        model_fold(&app->past.live, event);
        if (event->type == EVENT_PIPELINE_LOADED)
            marks_prune(app);
        return;
    }
    if (event->type == EVENT_PIPELINE_LOADED && app_selected(app))
        name = mem_strdup(app_selected(app)->name);
    model_fold(&app->model, event);
    if (event->type == EVENT_PIPELINE_LOADED) {
        /* The selection stays with its step, wherever that is now; the open log is looked up anew.
         */
        size_t at = model_find(&app->model, name);
        steps_sync(app);
        app->selected = at < app->model.steps.n ? at
                        : app->steps.rows.n > 0 ? app->steps.rows.v[0].step
                                                : 0;
        app->log.step = SIZE_MAX;
        marks_prune(app);
        free(name);
    }
    if (app->hands_off && (event->type == EVENT_STEP_STARTED || event->type == EVENT_STEP_PAUSED ||
                           event->type == EVENT_STEP_FINISHED))
        select_work(app);
}

bool app_work(struct app *app)
{
    log_sync(app);
    bool more = log_work(app);
    return inputs_work(app) || more;
}

uint64_t app_stamp(struct app *app)
{
    const struct model *live = past_live(app);
    return live->runs + live->ends;
}

bool app_ticks(struct app *app)
{
    const struct model *live = past_live(app);
    return live->counts[STATE_RUNNING] > 0 || live->run_state == RUN_ACTIVE;
}

void app_prompt(struct app *app, const struct prompt *prompt)
{
    app->prompt = prompt;
    buf_reset(&app->typed);
}

void app_prompt_end(struct app *app, bool accepted)
{
    const struct prompt *prompt = app->prompt;
    app->prompt = NULL;
    prompt->ended(app, accepted);
}

static void prompt_key(struct app *app, uint32_t key)
{
    if (app->prompt->key && app->prompt->key(app, key))
        return;
    if (key == KEY_ENTER) {
        app_prompt_end(app, true);
        return;
    }
    if (key == KEY_ESC || key == KEY_CTRL('c') || (key == KEY_BACKSPACE && app->typed.len == 0)) {
        app_prompt_end(app, false);
        return;
    }
    if (key == KEY_BACKSPACE) {
        size_t n = app->typed.len - 1;
        while (n > 0 && ((unsigned char)app->typed.data[n] & 0xc0) == 0x80)
            n--;
        buf_truncate(&app->typed, n);
    } else if (key == KEY_CTRL('u')) {
        buf_reset(&app->typed);
    } else if (key >= 0x20 && key <= 0x10ffff && key != 0x7f && app->typed.len < TYPED_MAX) {
        char bytes[4];
        buf_add(&app->typed, bytes, utf8_encode(key, bytes));
    } else {
        return;
    }
    if (app->prompt->changed)
        app->prompt->changed(app);
}

void app_paste(struct app *app, const char *text, size_t n)
{
    if (!app->prompt) {
        app_say(app, "What is pasted is text: it goes where something is typed, behind / or :");
        return;
    }
    for (size_t i = 0, length; i < n && app->typed.len < TYPED_MAX; i += length) {
        uint32_t scalar;
        length = utf8_decode(text + i, n - i, &scalar);
        if (length > 0 && scalar >= 0x20 && scalar != 0x7f)
            buf_add(&app->typed, text + i, length);
        else if (length > 0 && (scalar == '\n' || scalar == '\t'))
            buf_addc(&app->typed, ' ');
        length = length ? length : 1;
    }
    if (app->prompt->changed)
        app->prompt->changed(app);
}

void app_theme_auto(struct app *app)
{
    app->auto_theme = true;
    app_theme(app, app->light ? THEME_LIGHT : THEME_DARK);
}

void app_theme(struct app *app, enum theme theme)
{
    app->theme = theme;
    look_theme(theme, app->colours, app->looks);
    screen_theme(&app->screen, app->looks);
}

void app_tell_terminal(struct app *app, const char *bytes, size_t n)
{
    buf_add(&app->to_terminal, bytes, n);
}

void app_unsay(struct app *app)
{
    free(app->said);
    app->said = NULL;
}

void app_say(struct app *app, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vaddf(&text, format, args);
    va_end(args);
    free(app->said);
    app->said = mem_strdup(buf_str(&text));
    buf_release(&text);
}

void app_keep(struct app *app, const char *name, const char *word)
{
    settings_choose(&app->want_keep, name, word);
}

void app_run_program(struct app *app, const char *const *argv, const char *cwd)
{
    app_program_started(app);
    for (size_t i = 0; argv[i]; i++)
        vec_push(&app->want_program.argv, mem_strdup(argv[i]));
    vec_push(&app->want_program.argv, NULL);
    app->want_program.cwd = cwd ? mem_strdup(cwd) : NULL;
}

void app_program_started(struct app *app)
{
    vec_each (char *, word, &app->want_program.argv)
        free(*word);
    vec_clear(&app->want_program.argv);
    free(app->want_program.cwd);
    app->want_program.cwd = NULL;
}

void app_key(struct app *app, uint32_t key)
{
    app_unsay(app);
    if (app->prompt) {
        prompt_key(app, key);
        return;
    }
    unsigned context = keymap_context(app);
    if (app->held_key != KEY_NONE) {
        key = key < 0x80 ? KEY_PAIR(app->held_key, key) : KEY_NONE;
        app->held_key = KEY_NONE;
    } else if (keymap_begins(&app->keymap, key, context)) {
        app->held_key = key;
        return;
    }
    const struct action *action = keymap_find(&app->keymap, key, context);
    if (action && (!action->able || action->able(app)))
        keymap_do(app, action);
    else if (action && act_refusal(app, action->name))
        app_say(app, "%s", act_refusal(app, action->name));
    else if (!action && app->overlay == OVERLAY_HELP)
        app->overlay = OVERLAY_NONE;
}

static int notice_rows(const struct app *app)
{
    int rows = 0;
    const char *text = app->model.notice;
    for (size_t n; text && *text && rows < 3; text += n, rows++)
        n = notice_row(text, app->screen.cols, &(size_t){0});
    return rows;
}

/* All of the screen but the key line. */
static struct area start_area(const struct app *app)
{
    struct area area = screen_area(&app->screen);
    if (app->layout.footer.h > 0)
        area.h--;
    return area;
}

void app_draw(struct app *app, uint64_t now_ns)
{
    app->clock_ns = now_ns;
    app->now_ns = app->past.id ? app->model.last_ns : now_ns;
    screen_clear(&app->screen);
    struct layout_want want = {.cols = app->screen.cols,
                               .rows = app->screen.rows,
                               .focus = app->focus,
                               .zoom = app->zoom,
                               .steps = app->model.steps.n,
                               .notice_rows = notice_rows(app)};
    memcpy(want.recent, app->recent, sizeof want.recent);
    app->layout = layout_of(&want);
    if (app->start.lines.n) {
        start_draw(&app->start, &app->screen, start_area(app));
        bars_draw_keys(app);
        return;
    }
    if (app->layout.panes[PANE_STEPS].shown)
        steps_sync(app); /* may select another step, which all panes are about */
    log_sync(app);
    for (int pane = 0; pane < PANE_N; pane++)
        if (app->layout.panes[pane].shown)
            views[pane]->draw(app, app->layout.panes[pane].body);
    usage_sync(app);
    typing_size(app);
    bars_draw(app);
    if (app->overlay == OVERLAY_HELP && app->layout.kind != LAYOUT_STATUS)
        view_help.draw(app, screen_area(&app->screen));
    if (app->overlay == OVERLAY_PALETTE && app->layout.kind != LAYOUT_STATUS)
        palette_draw(app);
}

void row_put(struct pen_row *row, enum role role, const char *text)
{
    size_t n = strlen(text);
    int x = row->x;
    row->x = screen_put(row->screen, row->area, x, row->y, look_style(role), text, n);
    while (n > 0 && text[n - 1] == ' ')
        n--;
    if (n > 0 && x + width_text(text, n) > row->area.w)
        screen_puts(row->screen, row->area, row->area.w - 1, row->y, look_style(role), "…");
}

void row_printf(struct pen_row *row, enum role role, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vaddf(&text, format, args);
    va_end(args);
    row_put(row, role, buf_str(&text));
    buf_release(&text);
}

int motion_lines(enum motion motion, int amount, int height)
{
    int page = height > 1 ? height - 1 : 1;
    switch (motion) {
    case MOVE_LINES: return amount;
    case MOVE_HALF_PAGES: return amount * (height > 1 ? height / 2 : 1);
    case MOVE_PAGES: return amount * page;
    case MOVE_COLUMNS:
    case MOVE_START:
    case MOVE_END: break;
    }
    return 0;
}

uint64_t motion_to(enum motion motion, int amount, int height, uint64_t from, uint64_t last)
{
    int64_t to = (int64_t)from + motion_lines(motion, amount, height);
    if (motion == MOVE_START || to < 0)
        return 0;
    return motion == MOVE_END || (uint64_t)to > last ? last : (uint64_t)to;
}
