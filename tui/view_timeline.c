/*
 * view_timeline.c - when the steps of the run ran: a lane each, over one scale of time.
 *
 *       build    ····━━━━━━━━━━ 4.1s     waited, then ran; heavy: on the critical path
 *       lint     ··──── 1.2s
 *       spec     ≡ saved 900ms           from the cache
 *
 * The critical path is the chain of steps that the run's end had to wait for: from the step that
 * ended last back through what each of them needed and that ended last.
 */
#include "tui/view.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_WIDTH 24
#define TIME_WIDTH     8
#define TICK_COLUMNS   11 /* at least so many between two */

/* What is drawn: the steps of the latest run, in the pipeline's order. */
struct lanes {
    size_t *steps; /* indices */
    size_t n;
    size_t selected; /* lane of the selected step; n: it has none */
    bool *critical;  /* by step */
    uint64_t critical_ms, saved_ms;
    uint64_t start_ns, end_ns; /* of the scale */
    size_t longest;            /* name, in bytes */
};

static uint64_t started(const struct lanes *lanes, const struct model_step *step)
{
    return step->started_ns >= lanes->start_ns && step->has_started ? step->started_ns : 0;
}

/* When it ended, or now while it runs; 0: it has not begun. */
static uint64_t ended(const struct lanes *lanes, const struct model_step *step)
{
    if (step->state == STATE_RUNNING)
        return lanes->end_ns;
    if (step->state == STATE_PAUSED &&
        (step->held_failed || step->held_passed)) /* held since then */
        return step->started_ns + step->duration_ms * 1000000;
    return step->ended_ns;
}

static bool ran(const struct lanes *lanes, const struct model_step *step)
{
    return started(lanes, step) > 0 &&
           (step->state == STATE_RUNNING || step->state == STATE_PASSED ||
            step->state == STATE_FAILED || step->state == STATE_CANCELLED ||
            (step->state == STATE_PAUSED && (step->held_failed || step->held_passed)));
}

/* Of these steps the one that ran and ended last; steps.n: none of them did. */
static size_t latest_of(const struct model *model, const struct lanes *lanes, const size_t *steps,
                        size_t n)
{
    size_t best = model->steps.n;
    for (size_t i = 0; i < n; i++) {
        const struct model_step *step = &model->steps.v[steps[i]];
        if (model_in_run(model, step) && ran(lanes, step) &&
            (best == model->steps.n || ended(lanes, step) > ended(lanes, &model->steps.v[best])))
            best = steps[i];
    }
    return best;
}

static void find_critical(const struct model *model, struct lanes *lanes)
{
    size_t at = latest_of(model, lanes, lanes->steps, lanes->n);
    while (at < model->steps.n && !lanes->critical[at]) {
        const struct model_step *step = &model->steps.v[at];
        lanes->critical[at] = true;
        lanes->critical_ms += (ended(lanes, step) - started(lanes, step)) / 1000000;
        at = latest_of(model, lanes, step->needs.v, step->needs.n);
    }
}

static struct lanes lanes_of(const struct app *app)
{
    const struct model *model = &app->model;
    struct lanes lanes = {.start_ns = model->run_started_ns};
    lanes.end_ns = model->run_state == RUN_ACTIVE ? app->now_ns
                                                  : model->run_started_ns + model->run_ms * 1000000;
    lanes.steps = mem_alloc((model->steps.n + 1) * sizeof *lanes.steps);
    lanes.critical = mem_zalloc(model->steps.n + 1, sizeof *lanes.critical);
    lanes.selected = SIZE_MAX;
    for (size_t i = 0; i < model->steps.n; i++) {
        const struct model_step *step = &model->steps.v[i];
        if (!model_in_run(model, step))
            continue;
        if (i == app->selected)
            lanes.selected = lanes.n;
        lanes.steps[lanes.n++] = i;
        if (step->state == STATE_CACHED)
            lanes.saved_ms += step->saved_ms;
        if (step->ended_ns > lanes.end_ns && model->run_state == RUN_ENDED)
            lanes.end_ns = step->ended_ns;
        size_t n = strlen(step->name);
        lanes.longest = n > lanes.longest ? n : lanes.longest;
    }
    if (lanes.end_ns < lanes.start_ns + 1000000)
        lanes.end_ns = lanes.start_ns + 1000000;
    if (lanes.selected == SIZE_MAX)
        lanes.selected = lanes.n;
    find_critical(model, &lanes);
    return lanes;
}

static void lanes_release(struct lanes *lanes)
{
    free(lanes->steps);
    free(lanes->critical);
}

/* A column of the w that stand for the whole time. */
static int column(const struct lanes *lanes, uint64_t ns, int w)
{
    uint64_t whole = lanes->end_ns - lanes->start_ns;
    if (ns <= lanes->start_ns)
        return 0;
    uint64_t since = ns - lanes->start_ns < whole ? ns - lanes->start_ns : whole;
    int x = (int)((double)since * (w - 1) / (double)whole + 0.5);
    return x < w - 1 ? x : w - 1;
}

/* The distance between ticks: a round time that leaves room for its words. */
static uint64_t tick_ms(uint64_t whole_ms, int w)
{
    static const uint64_t round[] = {1,       2,       5,        10,       20,      50,     100,
                                     200,     500,     1000,     2000,     5000,    10000,  15000,
                                     30000,   60000,   120000,   300000,   600000,  900000, 1800000,
                                     3600000, 7200000, 14400000, 43200000, 86400000};
    int most = w / TICK_COLUMNS > 0 ? w / TICK_COLUMNS : 1;
    for (size_t i = 0; i < sizeof round / sizeof *round; i++)
        if (whole_ms / round[i] <= (uint64_t)most)
            return round[i];
    return whole_ms + 1;
}

static char *tick_text(uint64_t ms, uint64_t tick, char out[16])
{
    if (ms == 0)
        return strcpy(out, "0");
    if (tick < 1000 && ms < 1000)
        snprintf(out, 16, "%ums", (unsigned)ms);
    else if (tick < 1000 && ms < 60000)
        snprintf(out, 16, "%.*fs", tick < 10 ? 3 : tick < 100 ? 2 : 1, (double)ms / 1000);
    else
        look_elapsed(ms, out);
    return out;
}

static void draw_scale(struct app *app, struct area bars, const struct lanes *lanes)
{
    uint64_t whole = (lanes->end_ns - lanes->start_ns) / 1000000;
    uint64_t tick = tick_ms(whole, bars.w);
    char text[16];
    for (uint64_t ms = 0; ms <= whole; ms += tick) {
        int x = column(lanes, lanes->start_ns + ms * 1000000, bars.w);
        screen_puts(&app->screen, bars, x, 0, look_style(ROLE_DIM), "╷");
        if (x + 1 + (int)strlen(tick_text(ms, tick, text)) <= bars.w)
            screen_puts(&app->screen, bars, x + 1, 0, look_style(ROLE_DIM), text);
    }
}

static void draw_bar(struct app *app, struct area bars, int y, const struct lanes *lanes,
                     size_t index)
{
    const struct model_step *step = &app->model.steps.v[index];
    struct screen *screen = &app->screen;
    struct style style = look_style(look_role(step->state));
    char text[16];
    bool has_run = ran(lanes, step);
    uint64_t until = has_run                              ? started(lanes, step)
                     : step->ended_ns                     ? step->ended_ns
                     : app->model.run_state == RUN_ACTIVE ? lanes->end_ns
                                                          : lanes->start_ns;
    int from = column(lanes, step->queued_ns, bars.w), x = column(lanes, until, bars.w);
    if (step->queued_ns && x > from)
        screen_rule(screen, bars, from, y, x - from, look_style(ROLE_DIM), "·");
    if (has_run) {
        int to = column(lanes, ended(lanes, step), bars.w);
        bool critical = lanes->critical[index];
        if (critical)
            style.attrs |= ATTR_BOLD;
        screen_rule(screen, bars, x, y, to - x + 1, style, critical ? "━" : "─");
        return;
    }
    if (step->ended_ns == 0)
        return;
    screen_puts(screen, bars, x, y, style, look_glyph(step->state));
    if (step->state == STATE_CACHED && step->saved_ms > 0 && x + 2 < bars.w) {
        struct pen_row row = {screen, bars, x + 2, y};
        row_printf(&row, ROLE_DIM, "saved %s", text_duration(step->saved_ms, text));
    }
}

static void time_text(const struct app *app, const struct lanes *lanes,
                      const struct model_step *step, char out[16])
{
    *out = '\0';
    if (step->state == STATE_RUNNING)
        look_elapsed(model_elapsed_ms(step, app->now_ns), out);
    else if (ran(lanes, step))
        text_duration(step->duration_ms, out);
}

static void draw_lane(struct app *app, struct area area, struct area bars, int y,
                      const struct lanes *lanes, size_t index)
{
    const struct model_step *step = &app->model.steps.v[index];
    struct screen *screen = &app->screen;
    bool selected = index == app->selected;
    char text[16];
    struct buf name = BUF_INIT;
    if (selected)
        screen_puts(screen, area, 0, y, look_style(ROLE_FOCUS), "▌");
    screen_puts(screen, area, 1, y, look_style(look_role(step->state)), look_glyph(step->state));
    buf_add_shown(&name, step->name, strlen(step->name));
    screen_fit(screen, area, 3, y, bars.x - area.x - 4,
               look_style(lanes->critical[index] ? ROLE_STRONG : ROLE_TEXT), buf_str(&name), false);
    buf_release(&name);
    draw_bar(app, bars, y - (bars.y - area.y), lanes, index);
    time_text(app, lanes, step, text);
    screen_fit_right(screen, area, area.w - TIME_WIDTH - 1, y, TIME_WIDTH, look_style(ROLE_TEXT),
                     text);
    if (selected)
        screen_restyle(screen, area, 3, y, bars.x - area.x - 4,
                       app->focus == PANE_TIMELINE ? look_style(ROLE_SELECTED)
                                                   : look_style(ROLE_SELECTED_AWAY));
}

static void draw(struct app *app, struct area area)
{
    struct lanes lanes = lanes_of(app);
    size_t height = area.h > 1 ? (size_t)area.h - 1 : 0;
    if (lanes.n == 0) {
        struct pen_row row = {&app->screen, area, 2, area.h > 2 ? 1 : 0};
        row_put(&row, ROLE_DIM, "Nothing has run yet.");
        lanes_release(&lanes);
        return;
    }
    int name = (int)(lanes.longest < NAME_MAX_WIDTH ? lanes.longest : NAME_MAX_WIDTH);
    if (name > area.w / 3)
        name = area.w / 3;
    int left = name + 4, w = area.w - left - TIME_WIDTH - 2;
    struct area bars = {area.x + left, area.y, w > 1 ? w : 1, area.h};
    draw_scale(app, bars, &lanes);
    size_t *top = &app->timeline_top;
    if (lanes.selected<lanes.n && * top> lanes.selected)
        *top = lanes.selected;
    if (lanes.selected < lanes.n && height > 0 && lanes.selected >= *top + height)
        *top = lanes.selected - height + 1;
    if (*top + height > lanes.n)
        *top = lanes.n > height ? lanes.n - height : 0;
    if (app->model.run_state == RUN_ACTIVE) {
        for (size_t y = 0; y < height && *top + y < lanes.n; y++)
            screen_puts(&app->screen, bars, bars.w - 1, (int)y + 1, look_style(ROLE_DIM), "│");
    }
    for (size_t y = 0; y < height && *top + y < lanes.n; y++)
        draw_lane(app, area, bars, (int)y + 1, &lanes, lanes.steps[*top + y]);
    lanes_release(&lanes);
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    struct lanes lanes = lanes_of(app);
    char text[16];
    buf_adds(left, "Timeline");
    if (lanes.critical_ms > 0)
        buf_addf(right, "critical path %s", text_duration(lanes.critical_ms, text));
    if (lanes.saved_ms > 0)
        buf_addf(right, "%ssaved %s", right->len ? ", " : "", text_duration(lanes.saved_ms, text));
    lanes_release(&lanes);
}

static void move(struct app *app, enum motion motion, int amount)
{
    struct lanes lanes = lanes_of(app);
    if (lanes.n > 0 && motion != MOVE_COLUMNS) {
        int height = app->layout.panes[PANE_TIMELINE].body.h;
        size_t at = lanes.selected < lanes.n ? lanes.selected : 0;
        app->hands_off = false;
        app_select(
            app,
            lanes.steps[motion_to(motion, amount, height > 1 ? height - 1 : 1, at, lanes.n - 1)]);
    }
    lanes_release(&lanes);
}

static void click(struct app *app, struct area area, int x, int y)
{
    struct lanes lanes = lanes_of(app);
    size_t at = app->timeline_top + (size_t)y - 1;
    (void)area;
    (void)x;
    if (y > 0 && at < lanes.n) {
        app->hands_off = false;
        app_select(app, lanes.steps[at]);
    }
    lanes_release(&lanes);
}

const struct view view_timeline = {"timeline", title, draw, move, click};
