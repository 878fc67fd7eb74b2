#include "tui/view.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* The widths of the columns; 0: not shown. */
struct columns {
    int name, word, time, last, note, about;
};

#define LEFT 4 /* marker, glyph and a blank after each */

/* How long it takes as a rule, where that is not what the time column says; 0: nothing to add. */
static uint64_t usual_ms(const struct model_step *step)
{
    if (step->state == STATE_CACHED)
        return 0;
    return step->state == STATE_PASSED ? step->last_ms : step->ran_ms;
}

static struct columns columns_of(const struct model *model, int width)
{
    struct columns c = {.word = 10, .time = 8};
    int longest = 6;
    bool usual = false;
    vec_each (struct model_step, step, &model->steps) {
        int n = (int)strlen(step->name) > 64 ? 64 : (int)strlen(step->name);
        longest = n > longest ? n : longest;
        usual = usual || usual_ms(step) > 0;
    }
    int most = width >= 78 ? 28 : 20;
    c.name = longest + 1 < most ? longest + 1 : most;
    int rest = width - LEFT - c.word - c.time;
    if (rest < c.name + 10) {
        /* Nothing but the name gives way. */
        c.name = rest > 4 ? rest : 4;
        return c;
    }
    rest -= c.name;
    if (usual && rest >= 30) {
        c.last = 11;
        rest -= c.last;
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
    case STATE_CANCELLED:
        if (step->duration_ms > 0)
            buf_adds(out, text_duration(step->duration_ms, text));
        break;
    default: break;
    }
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
    case STATE_SKIPPED:
        blocker = model_blocker(model, step);
        if (step->error)
            look_failure(step, out);
        else if (blocker < model->steps.n)
            buf_addf(out, "needs %s", model->steps.v[blocker].name);
        break;
    case STATE_CANCELLED: look_failure(step, out); break;
    default: break;
    }
    return ROLE_DIM;
}

static void draw_step(struct app *app, struct area area, int y, size_t index,
                      const struct columns *c)
{
    const struct model_step *step = &app->model.steps.v[index];
    struct screen *screen = &app->screen;
    bool selected = index == app->selected;
    struct style state = look_style(look_role(step->state));
    struct style name = look_style(step->state == STATE_FAILED ? ROLE_STRONG : ROLE_TEXT);
    struct style dim = look_style(ROLE_DIM);
    struct buf text = BUF_INIT;
    char time[16];
    int x = LEFT;

    if (selected)
        screen_puts(screen, area, 0, y, look_style(ROLE_FOCUS), "▌");
    screen_puts(screen, area, 2, y, state, look_glyph(step->state));
    buf_add_shown(&text, step->name, strlen(step->name));
    screen_fit(screen, area, x, y, c->name - 1, name, buf_str(&text), false);
    x += c->name;
    screen_fit(screen, area, x, y, c->word - 1, state, look_word(step->state), false);
    x += c->word;
    buf_reset(&text);
    time_text(app, step, &text);
    screen_fit_right(screen, area, x, y, c->time - 1,
                     look_style(step->state == STATE_CACHED ? ROLE_HIT : ROLE_TEXT),
                     buf_str(&text));
    x += c->time;
    if (c->last > 0) {
        buf_reset(&text);
        if (usual_ms(step) > 0)
            buf_addf(&text, "was %s", text_duration(usual_ms(step), time));
        screen_fit(screen, area, x + 1, y, c->last - 2, dim, buf_str(&text), false);
        x += c->last;
    }
    if (c->note > 0) {
        buf_reset(&text);
        enum role role = note_text(app, step, &text);
        screen_fit(screen, area, x + 1, y, c->note - 2, look_style(role), buf_str(&text), false);
        x += c->note;
    }
    if (c->about > 0)
        screen_fit(screen, area, x + 1, y, c->about - 2, dim,
                   step->description ? step->description : "", false);
    if (selected && app->focus == PANE_STEPS) {
        struct style all = look_style(ROLE_SELECTED);
        all.attrs |= ATTR_BOLD;
        screen_restyle(screen, area, 1, y, area.w - 1, all);
    } else if (selected) {
        screen_restyle(screen, area, LEFT, y, c->name - 1, look_style(ROLE_SELECTED_AWAY));
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
    size_t n = app->model.steps.n, height = area.h > 0 ? (size_t)area.h : 0;
    if (n == 0) {
        draw_empty(app, area);
        return;
    }
    if (app->selected >= n)
        app->selected = n - 1;
    if (app->steps_top > app->selected)
        app->steps_top = app->selected;
    if (height > 0 && app->selected >= app->steps_top + height)
        app->steps_top = app->selected - height + 1;
    if (app->steps_top + height > n)
        app->steps_top = n > height ? n - height : 0;
    struct columns c = columns_of(&app->model, area.w);
    for (size_t y = 0; y < height && app->steps_top + y < n; y++)
        draw_step(app, area, (int)y, app->steps_top + y, &c);
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    size_t n = app->model.steps.n;
    buf_adds(left, "Steps");
    int height = app->layout.panes[PANE_STEPS].body.h;
    if (height > 0 && n > (size_t)height)
        buf_addf(right, "%zu/%zu", app->selected + 1, n);
}

static void move(struct app *app, enum motion motion, int amount)
{
    size_t n = app->model.steps.n;
    if (n == 0 || motion == MOVE_COLUMNS)
        return;
    app->hands_off = false;
    long to =
        (long)app->selected + motion_lines(motion, amount, app->layout.panes[PANE_STEPS].body.h);
    if (motion == MOVE_START || to < 0)
        to = 0;
    if (motion == MOVE_END || to >= (long)n)
        to = (long)n - 1;
    app_select(app, (size_t)to);
}

static void click(struct app *app, struct area area, int x, int y)
{
    (void)area;
    (void)x;
    app->hands_off = false;
    app_select(app, app->steps_top + (size_t)y);
}

const struct view view_steps = {"steps", title, draw, move, click};
