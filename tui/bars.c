#include "base/mem.h"
#include "base/text.h"
#include "tui/acts.h"
#include "tui/estimate.h"
#include "tui/keymap.h"
#include "tui/typing.h"
#include "tui/view.h"
#include "tui/width.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The header's pieces in their order; each width has the fullest form that fits. Long names are cut
 * before what they would push out. */
struct form {
    bool words, run, git, changed, time, cut;
};

static const struct form forms[] = {
    {true, true, true, true, true, false},     {false, true, true, true, true, false},
    {false, false, true, true, true, false},   {false, false, true, false, true, false},
    {false, false, true, false, true, true},   {false, false, false, false, true, false},
    {false, false, false, false, true, true},  {false, false, false, false, false, false},
    {false, false, false, false, false, true},
};

#define NAME_LEAST 10 /* columns of a name that is cut; else a quarter of the row */

/* Looked at once a frame; with very many steps, four times a second. */
#define ESTIMATE_STEPS 1000
#define ESTIMATE_NS    UINT64_C(250000000)

static void look_ahead(struct app *app)
{
    const struct model *model = &app->model;
    if (model->steps.n > ESTIMATE_STEPS && app->left_run == model->runs &&
        app->now_ns >= app->left_ns && app->now_ns - app->left_ns < ESTIMATE_NS)
        return;
    app->left = estimate_left(model, app->now_ns);
    app->left_run = model->runs;
    app->left_ns = app->now_ns;
}

static void put_counts(struct pen_row *row, const struct app *app, bool words)
{
    static const enum step_state order[] = {STATE_PASSED,  STATE_CACHED,   STATE_RUNNING,
                                            STATE_PAUSED,  STATE_FAILED,   STATE_WAITING,
                                            STATE_SKIPPED, STATE_CANCELLED};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        size_t n = app->model.counts[order[i]];
        if (order[i] == STATE_WAITING)
            n += app->model.counts[STATE_QUEUED];
        if (n == 0)
            continue;
        row_put(row, ROLE_TEXT, " ");
        row_printf(row, look_role(order[i]), "%s%zu", look_glyph(order[i]), n);
        if (words)
            row_printf(row, order[i] == STATE_FAILED ? ROLE_STRONG : ROLE_TEXT, " %s ",
                       look_word(order[i]));
    }
}

static void put_run_time(struct pen_row *row, const struct app *app)
{
    const struct model *model = &app->model;
    char text[16];
    uint64_t ms = model_run_ms(model, app->now_ns);
    if (model->run_state == RUN_ACTIVE) {
        struct estimate left = app->left;
        row_put(row, ROLE_TEXT, look_elapsed(ms, text));
        if (left.known && left.ms >= 1000)
            row_printf(row, ROLE_DIM, " · %s%s left",
                       look_elapsed((left.ms + 999) / 1000 * 1000, text), left.at_least ? "+" : "");
        return;
    }
    static const struct {
        const char *word;
        enum role role;
    } ends[RUN_STATUS_N] = {
        [RUN_PASSED] = {"passed", ROLE_GOOD},
        [RUN_FAILED] = {"failed", ROLE_BAD},
        [RUN_CANCELLED] = {"cancelled", ROLE_STOPPED},
    };
    row_put(row, ends[model->run_status].role, ends[model->run_status].word);
    row_printf(row, ROLE_TEXT, " in %s", text_duration(ms, text));
}

static void put_name(struct pen_row *row, const struct app *app, enum role role, const char *name,
                     bool cut)
{
    int most = app->screen.cols / 4 > NAME_LEAST ? app->screen.cols / 4 : NAME_LEAST;
    if (!cut || width_text(name, strlen(name)) <= most) {
        row_put(row, role, name);
        return;
    }
    screen_fit(row->screen, row->area, row->x, row->y, most, look_style(role), name, false);
    row->x += most;
}

static int put_header(struct app *app, struct area area, const struct form *form)
{
    const struct model *model = &app->model;
    struct pen_row row = {&app->screen, area, 1, 0};
    put_name(&row, app, ROLE_STRONG, model->name ? model->name : app->project, form->cut);
    if (form->git && model->branch) {
        row_put(&row, ROLE_TEXT, "  ");
        put_name(&row, app, ROLE_TEXT, model->branch, form->cut);
        if (model->dirty > 0)
            row_printf(&row, ROLE_WARNING, "* %llu file%s", (unsigned long long)model->dirty,
                       model->dirty == 1 ? "" : "s");
    }
    if (form->changed && !model->settled && model->changed > 0)
        row_printf(&row, ROLE_TEXT, "  %llu changed", (unsigned long long)model->changed);
    if (model->runs > 0) {
        row_put(&row, ROLE_RULE, " │");
        if (form->run)
            row_printf(&row, ROLE_DIM, " run %s ", model->run_id ? model->run_id : "?");
        put_counts(&row, app, form->words);
        if (form->time) {
            row_put(&row, ROLE_RULE, form->words ? "│ " : " │ ");
            put_run_time(&row, app);
        }
    }
    return row.x;
}

static void draw_header(struct app *app, struct area area)
{
    const struct model *model = &app->model;
    const char *mode = app->quitting   ? "QUITTING"
                       : app->past.id  ? "PAST"
                       : app->replay   ? "REPLAY"
                       : model->paused ? "PAUSED"
                                       : "";
    enum role role = ROLE_WARNING;
    size_t held = model_first(model, STATE_PAUSED);
    char text[40];
    if (!app->quitting && held < model->steps.n) {
        snprintf(text, sizeof text, area.w < 70 ? "PAUSED" : "PAUSED at %.24s",
                 model->steps.v[held].name);
        mode = text;
    }
    size_t asks = !*mode && !typing_on(app) ? typing_asks(app) : model->steps.n;
    if (asks < model->steps.n) {
        snprintf(text, sizeof text, area.w < 70 ? "INPUT?" : "INPUT? %.24s",
                 model->steps.v[asks].name);
        mode = text;
    }
    if (!*mode && model->watching) {
        mode = model->degraded ? "WATCH degraded" : "WATCH";
        role = model->degraded ? ROLE_WARNING : ROLE_FOCUS;
    }
    look_ahead(app);
    int taken = *mode ? width_text(mode, strlen(mode)) + 3 : 0;
    struct area left = {area.x, area.y, area.w - taken, 1};
    if (left.w < 0)
        left.w = 0;
    struct area nowhere = {0, area.y, left.w > 0 ? 100000 : 0, 0};
    size_t i = 0;
    while (i + 1 < sizeof forms / sizeof *forms && put_header(app, nowhere, &forms[i]) >= left.w)
        i++;
    put_header(app, left, &forms[i]);
    struct pen_row row = {&app->screen, area, area.w - taken + 2, 0};
    row_put(&row, role, mode);
}

/* A long title leaves that to what stands at its right, where there is as much for itself. */
#define TITLE_LEAST 24

/* "─1 Steps ───────────── 3/40 ─" */
static void draw_title(struct app *app, enum pane pane)
{
    struct area area = app->layout.panes[pane].title;
    struct screen *screen = &app->screen;
    bool focus = app->focus == pane;
    struct style rule = look_style(ROLE_RULE);
    struct buf left = BUF_INIT, right = BUF_INIT;
    views[pane]->title(app, &left, &right);
    screen_rule(screen, area, 0, 0, area.w, rule, "─");
    while (right.len > 0 && right.data[right.len - 1] == ' ')
        buf_truncate(&right, right.len - 1);
    int width = width_text(buf_str(&right), right.len), taken = width > 0 ? width + 4 : 0;
    struct pen_row row = {screen, area, 1, 0};
    if (area.w - taken >= TITLE_LEAST)
        row.area.w -= taken;
    row_printf(&row, focus ? ROLE_FOCUS : ROLE_DIM, "%d", pane + 1);
    row_printf(&row, focus ? ROLE_FOCUS : ROLE_TITLE, " %s ", buf_str(&left));
    row.area = area;
    if (width > 0 && row.x + taken <= area.w) {
        row.x = area.w - width - 3;
        bool follows = pane == PANE_LOG && app->log.follow;
        row_printf(&row, follows ? ROLE_FOCUS : ROLE_TEXT, " %s ", buf_str(&right));
    }
    buf_release(&left);
    buf_release(&right);
}

/* The lines between places, joined to the titles that end or begin at them. */
static void draw_lines(struct app *app)
{
    const struct layout *layout = &app->layout;
    struct area all = screen_area(&app->screen);
    for (size_t i = 0; i < layout->n_lines; i++) {
        struct area line = layout->lines[i];
        for (int y = line.y; y < line.y + line.h; y++) {
            bool left = false, right = false;
            for (int pane = 0; pane < PANE_N; pane++) {
                struct area title = layout->panes[pane].title;
                if (!layout->panes[pane].shown || title.y != y)
                    continue;
                left = left || (title.x < line.x && title.x + title.w >= line.x);
                right = right || (title.x <= line.x + 1 && title.x + title.w > line.x + 1);
            }
            screen_puts(&app->screen, all, line.x, y, look_style(ROLE_RULE),
                        y == line.y     ? "┬"
                        : left && right ? "┼"
                        : left          ? "┤"
                        : right         ? "├"
                                        : "│");
        }
    }
}

#define NOTICE_X  3
#define SAID_ROWS 3

size_t notice_row(const char *text, int cols, size_t *n)
{
    size_t line = strcspn(text, "\n");
    *n = width_row(text, line, cols > NOTICE_X + 1 ? cols - NOTICE_X - 1 : 1);
    return *n + (text[*n] == '\n');
}

static void draw_notice(struct app *app, struct area area)
{
    const char *text = app->model.notice;
    enum role role = app->model.notice_level == NOTICE_ERROR     ? ROLE_BAD
                     : app->model.notice_level == NOTICE_WARNING ? ROLE_WARNING
                                                                 : ROLE_TEXT;
    int y = 0;
    for (bool first_line = true; y < area.h && text && *text; y++) {
        size_t n, taken = notice_row(text, area.w, &n);
        struct style style = look_style(first_line ? role : ROLE_TEXT);
        if (y == 0)
            screen_puts(&app->screen, area, 1, 0, style, "!");
        screen_put(&app->screen, area, NOTICE_X, y, style, text, n);
        first_line = first_line && text[n] != '\n';
        text += taken;
    }
    if (y > 0 && text && *text) /* there is more than there is room for */
        screen_puts(&app->screen, area, area.w - 1, y - 1, look_style(ROLE_TEXT), "…");
}

/* A row that only puts a label on the key line has the keys of the one that it is called like. */
static const struct action *with_keys(const struct app *app, const struct action *action)
{
    for (size_t i = 0; action->keys[0] == KEY_NONE && i < app->keymap.n; i++) {
        const struct action *other = &app->keymap.actions[i];
        if (other->keys[0] != KEY_NONE && strcmp(other->name, action->name) == 0)
            return other;
    }
    return action;
}

static bool on_key_line(const struct app *app, const struct action *action)
{
    return action->label && (action->contexts & keymap_context(app)) &&
           keymap_key(&app->keymap, with_keys(app, action)) != KEY_NONE &&
           (!action->able || action->able(app));
}

/* The words of the table, where its keys are still those. */
static const char *shown_key(const struct app *app, const struct action *action, char name[16])
{
    const struct action *keyed = with_keys(app, action);
    uint32_t key = keymap_key(&app->keymap, keyed);
    return action->shown && key == keyed->keys[0] ? action->shown : key_name(key, name);
}

static int rank_of(const struct app *app, const struct action *action)
{
    const struct model_step *step = act_step(app);
    bool held = step && step->state == STATE_PAUSED;
    return held && action->held_rank ? action->held_rank : action->rank;
}

static const char *shown_label(const struct app *app, const struct action *action)
{
    return app->model.paused && strcmp(action->name, "pause") == 0 ? "resume" : action->label;
}

/* The highest rank that still fits; what goes first is what matters least. */
static int rank_that_fits(const struct app *app, int width)
{
    char name[16];
    for (int rank = 20; rank > 1; rank--) {
        int taken = 1;
        for (size_t i = 0; i < app->keymap.n; i++) {
            const struct action *action = &app->keymap.actions[i];
            if (on_key_line(app, action) && rank_of(app, action) <= rank)
                taken += (int)strlen(shown_key(app, action, name)) +
                         (int)strlen(shown_label(app, action)) + 3;
        }
        if (taken - 2 <= width)
            return rank;
    }
    return 1;
}

static void draw_key_line(struct app *app, struct area area)
{
    app->n_key_spots = 0;
    struct pen_row row = {&app->screen, area, 1, 0};
    char name[16];
    int rank = rank_that_fits(app, area.w);
    for (size_t i = 0; i < app->keymap.n; i++) {
        const struct action *action = &app->keymap.actions[i];
        if (!on_key_line(app, action) || rank_of(app, action) > rank)
            continue;
        int x = row.x;
        row_put(&row, ROLE_KEY, shown_key(app, action, name));
        row_printf(&row, ROLE_DIM, " %s", shown_label(app, action));
        if (app->n_key_spots < KEY_SPOTS)
            app->key_spots[app->n_key_spots++] = (struct key_spot){area.x + x, row.x - x, i};
        row.x += 2;
    }
}

static void draw_prompt(struct app *app, struct area area)
{
    struct pen_row row = {&app->screen, area, 1, 0};
    row_put(&row, ROLE_KEY, app->prompt->mark);
    struct area field = {area.x + row.x, area.y, area.w - row.x - 1, 1};
    int width = width_text(buf_str(&app->typed), app->typed.len);
    int start = width < field.w ? 0 : field.w - 1 - width;
    screen_puts(&app->screen, field, start, 0, look_style(ROLE_TEXT), buf_str(&app->typed));
    app->screen.cursor_x = field.x + start + width;
    app->screen.cursor_y = area.y;
}

/* Too small for panes: how things are, in one line. */
static void draw_status(struct app *app, struct area area)
{
    const struct model *model = &app->model;
    struct pen_row row = {&app->screen, area, 0, 0};
    put_counts(&row, app, false);
    const struct model_step *step = app_selected(app);
    vec_each (struct model_step, s, &model->steps) {
        if (s->state == STATE_FAILED) {
            step = s;
            break;
        }
    }
    if (step)
        row_printf(&row, ROLE_TEXT, "  %s %s", step->name, look_word(step->state));
    else
        row_put(&row, ROLE_TEXT, app->project);
}

/* A sentence too long for the row goes over those above it, too, until the next key. */
static void draw_said(struct app *app, struct area footer)
{
    int room = footer.w > 3 ? footer.w - 2 : 1, rows = 0;
    int most = footer.y < SAID_ROWS ? footer.y : SAID_ROWS;
    const char *text = app->said;
    for (const char *rest = text; *rest && rows < most; rows++)
        rest += width_row(rest, strlen(rest), room);
    struct area area = {footer.x, footer.y - rows + 1, footer.w, rows};
    for (int y = 0; y < rows; y++) {
        size_t left = strlen(text), n = y < rows - 1 ? width_row(text, left, room) : left;
        char *row = mem_strndup(text, n);
        screen_rule(&app->screen, area, 0, y, area.w, look_style(ROLE_TEXT), " ");
        screen_fit(&app->screen, area, 1, y, room, look_style(ROLE_STRONG), row, false);
        free(row);
        text += n;
    }
}

void bars_draw_keys(struct app *app)
{
    const struct layout *layout = &app->layout;
    if (app->prompt)
        draw_prompt(app, layout->footer);
    else if (typing_on(app) && (!app->said || typing_over(app)))
        typing_draw(app, layout->footer);
    else if (app->said)
        draw_said(app, layout->footer);
    else
        draw_key_line(app, layout->footer);
}

void bars_draw(struct app *app)
{
    const struct layout *layout = &app->layout;
    if (layout->kind == LAYOUT_STATUS) {
        draw_status(app, layout->header);
        return;
    }
    draw_header(app, layout->header);
    for (int pane = 0; pane < PANE_N; pane++)
        if (layout->panes[pane].shown)
            draw_title(app, pane);
    draw_lines(app);
    draw_notice(app, layout->notice);
    bars_draw_keys(app);
}
