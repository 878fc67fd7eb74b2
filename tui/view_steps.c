#include "tui/view.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/marks.h"
#include "tui/past.h"
#include "tui/typing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The widths of the columns; 0: not shown. */
struct columns {
    int left;   /* marker, level, glyph and a blank after each */
    int indent; /* at most so much of the tree */
    int name, word, time, last, use, note, about;
};

/* How long it takes as a rule, where that is not what the time column says; 0: nothing to add. */
static uint64_t usual_ms(const struct model_step *step)
{
    if (step->state == STATE_CACHED)
        return 0;
    return step->state == STATE_PASSED || step->state == STATE_RUNNING ? step->last_ms
                                                                       : step->ran_ms;
}

/* It takes, or took, much longer than the last time: worth a look. */
static bool is_slow(const struct model_step *step, uint64_t now_ns)
{
    uint64_t usual = usual_ms(step), took = 0;
    if (step->state == STATE_RUNNING)
        took = model_elapsed_ms(step, now_ns);
    else if (step->state == STATE_PASSED)
        took = step->duration_ms;
    return usual > 0 && took > usual + usual / 2 && took > usual + 1000;
}

static struct columns columns_of(const struct app *app, int width)
{
    const struct step_list *list = &app->steps;
    struct columns c = {.left = 4, .word = 10, .time = 8, .indent = width / 6};
    if (list->form == STEPS_LEVELS && !step_list_filtered(list))
        c.left += 3;
    int longest = list->widest > 6 ? (int)list->widest : 6;
    int most = width >= 80 ? width * 2 / 5 - 4 : width >= 78 ? 28 : 20;
    c.name = longest + 1 < most ? longest + 1 : most;
    int rest = width - c.left - c.word - c.time;
    if (rest < c.name + 10) {
        /* Nothing but the name gives way. */
        c.name = rest > 4 ? rest : 4;
        return c;
    }
    rest -= c.name;
    if (app->model.timed && rest >= 30) {
        c.last = 13;
        rest -= c.last;
    }
    if (rest >= (app->screen.cols >= 160 ? 40 : 52)) {
        c.use = 16;
        rest -= c.use;
    }
    c.note = rest;
    if (rest >= 52) {
        c.note = 24;
        c.about = rest - 24;
    }
    return c;
}

static void time_text(const struct app *app, const struct model_step *step, struct buf *out)
{
    char text[16];
    switch (step->state) {
    case STATE_RUNNING:
        buf_adds(out, look_elapsed(model_elapsed_ms(step, app->now_ns), text));
        break;
    case STATE_QUEUED:
        if (step->doing && step->doing_percent >= 0)
            buf_addf(out, "%d%%", step->doing_percent);
        break;
    case STATE_CACHED: buf_adds(out, "hit"); break;
    case STATE_PASSED:
    case STATE_FAILED: buf_adds(out, text_duration(step->duration_ms, text)); break;
    case STATE_PAUSED:
    case STATE_CANCELLED:
        if (step->duration_ms > 0)
            buf_adds(out, text_duration(step->duration_ms, text));
        break;
    default: break;
    }
}

static bool has_break_after(const struct model *model, const struct model_step *step)
{
    if (model->breaks.n == 0)
        return false;
    char *rule = mem_printf("after@%s", step->name);
    bool has = model_has_break(model, rule);
    free(rule);
    return has;
}

/* In few words, as its reason has many: "unit failed". */
static void note_skipped(const struct model *model, const struct model_step *step, struct buf *out)
{
    size_t blocker = model_blocker(model, step);
    const struct model_step *need = blocker < model->steps.n ? &model->steps.v[blocker] : NULL;
    if (need && (need->state == STATE_FAILED || need->state == STATE_CANCELLED ||
                 need->state == STATE_SKIPPED))
        buf_addf(out, "%s %s", need->name, look_word(need->state));
    else
        look_failure(step, out);
}

static enum role note_text(const struct app *app, const struct model_step *step, struct buf *out)
{
    const struct model *model = &app->model;
    char text[16];
    size_t blocker;
    switch (step->state) {
    case STATE_FAILED: look_failure(step, out); return ROLE_TEXT;
    case STATE_CACHED:
        if (step->source && strcmp(step->source, "remote") == 0)
            buf_adds(out, "remote, ");
        if (step->saved_ms > 0)
            buf_addf(out, "saved %s", text_duration(step->saved_ms, text));
        break;
    case STATE_RUNNING:
        if (typing_may_wait(app, step)) {
            buf_adds(out, "may wait for input: i");
            return ROLE_WARNING;
        }
        if (step->attempt > 1) {
            buf_addf(out, "attempt %u", step->attempt);
            return ROLE_WARNING;
        }
        look_reason(step, out);
        break;
    case STATE_PASSED:
        if (step->tainted) {
            buf_adds(out, "inputs moved, not kept");
            return ROLE_WARNING;
        }
        look_reason(step, out);
        break;
    case STATE_QUEUED:
        if (step->doing)
            buf_add_shown(out, step->doing, strlen(step->doing));
        else if ((blocker = model_before(model, step)) > 0)
            buf_addf(out, "%zu before it", blocker);
        else
            buf_adds(out, "next");
        break;
    case STATE_WAITING:
        blocker = model_blocker(model, step);
        if (blocker < model->steps.n)
            buf_addf(out, "after %s", model->steps.v[blocker].name);
        else if (step->doing)
            buf_add_shown(out, step->doing, strlen(step->doing));
        break;
    case STATE_SKIPPED: note_skipped(model, step, out); break;
    case STATE_CANCELLED: look_failure(step, out); break;
    case STATE_PAUSED:
        if (step->held_failed) {
            buf_adds(out, "failed: ");
            look_failure(step, out);
        } else {
            buf_adds(out, step->held_passed ? "passed" : "before it starts");
        }
        return ROLE_WARNING;
    default: break;
    }
    if (out->len == 0 && step->breakpoint)
        buf_adds(out, "breakpoint");
    else if (out->len == 0 && has_break_after(model, step))
        buf_adds(out, "breakpoint after");
    return ROLE_DIM;
}

/* The same; of the past, whether that would still be so comes first. */
static enum role noted(const struct app *app, const struct model_step *step, struct buf *out)
{
    struct buf note = BUF_INIT;
    enum role role = note_text(app, step, &note);
    if (app->past.id && step->key)
        buf_addf(out, "%s%s", past_word(past_label(app, step)), note.len ? ": " : "");
    buf_adds(out, buf_str(&note));
    buf_release(&note);
    return role;
}

/* What leads to the glyph, and the column that it is in: "│├", "▾". */
static int draw_tree(struct app *app, struct area area, int y, const struct step_row *row,
                     const struct columns *c)
{
    struct screen *screen = &app->screen;
    struct style rule = look_style(ROLE_RULE);
    int depth = (int)row->depth < c->indent ? (int)row->depth : c->indent;
    int x = c->left - 3;
    char level[16];
    if (row->first) {
        snprintf(level, sizeof level, "%u", row->level);
        screen_fit_right(screen, area, 1, y, 2, rule, level);
    }
    for (int d = 1; d < depth; d++)
        if (d < 64 && (row->more >> d & 1))
            screen_puts(screen, area, x + d, y, rule, "│");
    if (row->parent && app->steps.form == STEPS_TREE && !step_list_filtered(&app->steps))
        screen_puts(screen, area, x + depth, y, look_style(ROLE_DIM), row->hidden ? "▸" : "▾");
    else if (depth > 0)
        screen_puts(screen, area, x + depth, y, rule,
                    depth < 64 && (row->more >> depth & 1) ? "├" : "└");
    return x + depth + 1;
}

static void draw_last(struct app *app, struct area area, int x, int y, int w,
                      const struct model_step *step)
{
    bool slow = is_slow(step, app->now_ns);
    uint64_t usual = usual_ms(step);
    char time[16];
    struct buf text = BUF_INIT;
    if (usual > 0)
        buf_addf(&text, "%swas %s", slow ? "▲ " : "  ", text_duration(usual, time));
    screen_fit(&app->screen, area, x, y, w - 1, look_style(slow ? ROLE_WARNING : ROLE_DIM),
               buf_str(&text), false);
    buf_release(&text);
}

static void draw_name(struct app *app, struct area area, int x, int y, int w,
                      const struct step_row *row)
{
    const struct model_step *step = &app->model.steps.v[row->step];
    struct style name = look_style(step->state == STATE_FAILED ? ROLE_STRONG : ROLE_TEXT);
    struct buf text = BUF_INIT;
    if (step->breakpoint)
        screen_puts(&app->screen, area, x - 1, y, look_style(ROLE_WARNING), "◇");
    buf_add_shown(&text, step->name, strlen(step->name));
    if (row->hidden)
        buf_addf(&text, " +%u", row->hidden);
    screen_fit(&app->screen, area, x, y, w, name, buf_str(&text), false);
    buf_release(&text);
}

static void draw_step(struct app *app, struct area area, int y, const struct step_row *row,
                      const struct columns *c)
{
    const struct model_step *step = &app->model.steps.v[row->step];
    struct screen *screen = &app->screen;
    bool selected = row->step == app->selected;
    struct style state = look_style(look_role(step->state));
    struct buf text = BUF_INIT;

    bool marked = marks_has(app, step->name);
    if (selected || marked)
        screen_puts(screen, area, 0, y, look_style(ROLE_FOCUS),
                    !marked    ? "▌"
                    : selected ? "█"
                               : "•");
    int x = draw_tree(app, area, y, row, c);
    screen_puts(screen, area, x, y, state, look_glyph(step->state));
    int name = x + 2;
    x = c->left + c->name;
    draw_name(app, area, name, y, x - name - 1, row);
    screen_fit(screen, area, x, y, c->word - 1, state, look_word(step->state), false);
    x += c->word;
    time_text(app, step, &text);
    screen_fit_right(screen, area, x, y, c->time - 1,
                     look_style(step->state == STATE_CACHED ? ROLE_HIT : ROLE_TEXT),
                     buf_str(&text));
    x += c->time;
    if (c->last > 0)
        draw_last(app, area, x, y, c->last, step);
    x += c->last;
    if (c->use > 0) {
        buf_reset(&text);
        usage_text(app, step, &text);
        screen_fit(screen, area, x + 1, y, c->use - 2,
                   look_style(step->state == STATE_RUNNING ? ROLE_TEXT : ROLE_DIM), buf_str(&text),
                   false);
        x += c->use;
    }
    if (c->note > 0) {
        buf_reset(&text);
        enum role role = noted(app, step, &text);
        screen_fit(screen, area, x + 1, y, c->note - 2, look_style(role), buf_str(&text), false);
        x += c->note;
    }
    if (c->about > 0)
        screen_fit(screen, area, x + 1, y, c->about - 2, look_style(ROLE_DIM),
                   step->description ? step->description : "", false);
    if (selected && app->focus == PANE_STEPS) {
        struct style all = look_style(ROLE_SELECTED);
        all.attrs |= ATTR_BOLD;
        screen_restyle(screen, area, 1, y, area.w - 1, all);
    } else if (selected) {
        screen_restyle(screen, area, name, y, c->left + c->name - name - 1,
                       look_style(ROLE_SELECTED_AWAY));
    }
    buf_release(&text);
}

static void draw_empty(struct app *app, struct area area)
{
    struct pen_row row = {&app->screen, area, 2, area.h > 2 ? 1 : 0};
    if (!app->model.loaded) {
        row_put(&row, ROLE_DIM, "Reading the pipeline …");
        return;
    }
    row_put(&row, ROLE_TEXT, "This pipeline has no steps yet.");
    row.x = 2;
    row.y++;
    row_put(&row, ROLE_DIM, "Add one to \"steps\" in kiln.json:");
    row.x = 2;
    row.y += 1;
    row_put(&row, ROLE_DIM, "\"hello\": {\"run\": \"echo hello\"}");
}

static void draw(struct app *app, struct area area)
{
    size_t n = app->steps.rows.n, height = area.h > 0 ? (size_t)area.h : 0;
    if (app->model.steps.n == 0) {
        draw_empty(app, area);
        return;
    }
    if (n == 0) {
        screen_puts(&app->screen, area, 2, area.h > 2 ? 1 : 0, look_style(ROLE_DIM),
                    "No step is like that; Esc shows all.");
        return;
    }
    size_t at = step_list_place(&app->steps, app->selected);
    if (at == STEPS_NONE)
        at = 0;
    if (app->steps_top > at)
        app->steps_top = at;
    if (height > 0 && at >= app->steps_top + height)
        app->steps_top = at - height + 1;
    if (app->steps_top + height > n)
        app->steps_top = n > height ? n - height : 0;
    struct columns c = columns_of(app, area.w);
    for (size_t y = 0; y < height && app->steps_top + y < n; y++)
        draw_step(app, area, (int)y, &app->steps.rows.v[app->steps_top + y], &c);
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    static const char *const forms[STEPS_FORMS] = {"", "by level", "flat"};
    static const char *const sorts[SORTS] = {"",        "by state",     "by duration",
                                             "by name", "by processor", "by memory"};
    static const char *const onlies[ONLIES] = {"", "failed", "under way"};
    const struct step_list *list = &app->steps;
    size_t n = list->rows.n, at = step_list_place(list, app->selected);
    const char *words[] = {onlies[list->only], step_list_filtered(list) ? "" : forms[list->form],
                           sorts[list->sort]};
    const char *before = ": ";
    buf_adds(left, "Steps");
    if (list->filter) {
        buf_addf(left, "%s%s", before, list->filter);
        before = ", ";
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!*words[i])
            continue;
        buf_addf(left, "%s%s", before, words[i]);
        before = ", ";
    }
    int height = app->layout.panes[PANE_STEPS].body.h;
    size_t marked = marks_count(app);
    if (marked > 0)
        buf_addf(right, "%zu marked  ", marked);
    if (step_list_filtered(list))
        buf_addf(right, "%zu of %zu", n, app->model.steps.n);
    else if (height > 0 && n > (size_t)height && at != STEPS_NONE)
        buf_addf(right, "%zu/%zu", at + 1, n);
}

static void move(struct app *app, enum motion motion, int amount)
{
    steps_sync(app);
    size_t n = app->steps.rows.n, at = step_list_place(&app->steps, app->selected);
    if (n == 0 || motion == MOVE_COLUMNS)
        return;
    app->hands_off = false;
    size_t to = motion_to(motion, amount, app->layout.panes[PANE_STEPS].body.h,
                          at == STEPS_NONE ? 0 : at, n - 1);
    app_select(app, app->steps.rows.v[to].step);
}

static void click(struct app *app, struct area area, int x, int y)
{
    size_t row = app->steps_top + (size_t)y;
    if (row >= app->steps.rows.n)
        return;
    app->hands_off = false;
    app_select(app, app->steps.rows.v[row].step);
    /* On what says that it is folded, or can be. */
    struct columns c = columns_of(app, area.w);
    const struct step_row *at = &app->steps.rows.v[row];
    int depth = (int)at->depth < c.indent ? (int)at->depth : c.indent;
    if (at->parent && steps_can_fold(app) && x == c.left - 3 + depth)
        (at->hidden ? steps_unfold : steps_fold)(app);
}

const struct view view_steps = {"steps", title, draw, move, click};
