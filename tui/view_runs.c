/*
 * view_runs.c - the runs of this project: what happens now in the first row, then those on record,
 * newest first. Enter looks at one of them in all panes.
 */
#include "tui/view.h"

#include "base/text.h"
#include "tui/asking.h"
#include "tui/past.h"

#include <string.h>
#include <time.h>

/* -- the list ---------------------------------------------------------------------------------- */

/* What is under way has the first row to itself. */
static bool is_live(struct app *app, const struct run_facts *run)
{
    return model_is_under_way(past_live(app), run->id);
}

static size_t row_of(const struct runs_view *runs, const char *id)
{
    for (size_t i = 0; id && i < runs->n; i++)
        if (strcmp(runs->v[i].id, id) == 0)
            return i + 1;
    return 0;
}

static void answered(struct app *app, struct question *question)
{
    if (!app)
        return;
    struct runs_view *runs = &app->runs;
    runs->asking = false;
    if (!question->found)
        return;
    struct arena old = runs->arena;
    const char *selected = runs->selected > 0 ? runs->v[runs->selected - 1].id : NULL;
    runs->arena = question->arena;
    question->arena = (struct arena)ARENA_INIT;
    runs->v = question->runs;
    runs->n = 0;
    for (size_t i = 0; i < question->n_runs; i++)
        if (!is_live(app, &question->runs[i]))
            runs->v[runs->n++] = question->runs[i];
    runs->known = true;
    runs->selected = row_of(runs, selected);
    arena_release(&old);
}

void runs_sync(struct app *app)
{
    struct runs_view *runs = &app->runs;
    uint64_t stamp = app_stamp(app);
    if (runs->asking || (runs->known && runs->as_of == stamp))
        return;
    runs->as_of = stamp;
    runs->asking = app_ask(app, &(struct question){.kind = QUESTION_RUNS}, answered);
}

void runs_open(struct app *app)
{
    struct runs_view *runs = &app->runs;
    if (runs->selected == 0) {
        past_close(app);
        return;
    }
    if (runs->selected <= runs->n)
        past_open(app, runs->v[runs->selected - 1].id);
}

void runs_next_failed(struct app *app, bool forward)
{
    struct runs_view *runs = &app->runs;
    size_t at = runs->selected;
    while (forward ? at < runs->n : at > 1) {
        at = forward ? at + 1 : at - 1;
        if (runs->v[at - 1].status == RUN_FAILED) {
            runs->selected = at;
            return;
        }
    }
    app_say(app, forward ? "no run before it has failed" : "no run after it has failed");
}

/* -- a row ------------------------------------------------------------------------------------- */

static const struct {
    enum step_state like; /* the state that it looks like */
    const char *word;
} ends[RUN_STATUS_N] = {
    [RUN_PASSED] = {STATE_PASSED, "passed"},
    [RUN_FAILED] = {STATE_FAILED, "failed"},
    [RUN_CANCELLED] = {STATE_CANCELLED, "cancelled"},
};

/* Of today the time, else the day too: what is "2 minutes ago" would not stay true on a screen that
 * rests. */
static void when_text(const struct app *app, uint64_t time_ns, struct buf *out)
{
    char text[32];
    time_t then = (time_t)(time_ns / 1000000000), now = (time_t)(app->clock_ns / 1000000000);
    struct tm day, today;
    if (!localtime_r(&then, &day) || !localtime_r(&now, &today))
        return;
    bool is_today = day.tm_yday == today.tm_yday && day.tm_year == today.tm_year;
    if (strftime(text, sizeof text, is_today ? "%H:%M:%S" : "%d %b %H:%M", &day) > 0)
        buf_adds(out, text);
}

static void add_count(struct pen_row *row, size_t n, enum step_state state)
{
    if (n == 0)
        return;
    row_printf(row, look_role(state), "%s%zu", look_glyph(state), n);
    row_printf(row, ROLE_DIM, " %s  ", look_word(state));
}

static void draw_now(struct app *app, struct pen_row *row)
{
    const struct model *live = past_live(app);
    char text[16];
    row_put(row, ROLE_FOCUS, "  now  ");
    if (live->run_state == RUN_ACTIVE) {
        uint64_t ms = app->clock_ns > live->run_started_ns
                          ? (app->clock_ns - live->run_started_ns) / 1000000
                          : 0;
        row_printf(row, look_role(STATE_RUNNING), "%s running", look_glyph(STATE_RUNNING));
        row->x = 19;
        row_printf(row, ROLE_TEXT, "%8s  ", look_elapsed(ms, text));
        row_printf(row, ROLE_DIM, "run %s", live->run_id ? live->run_id : "");
    } else {
        row_put(row, ROLE_TEXT,
                live->paused     ? "nothing runs, watching is paused"
                : live->watching ? "nothing to do, watching"
                                 : "nothing runs");
    }
}

static void draw_run(struct app *app, struct pen_row *row, const struct run_facts *run)
{
    char text[16];
    struct buf when = BUF_INIT;
    bool ended = run->status >= 0 && run->status < RUN_STATUS_N;
    enum step_state like = ended ? ends[run->status].like : STATE_IDLE;
    bool open = app->past.id && strcmp(app->past.id, run->id) == 0;
    row_printf(row, open ? ROLE_FOCUS : ROLE_TEXT, "%5s  ", run->id);
    row_printf(row, look_role(like), "%s %s", look_glyph(like),
               ended ? ends[run->status].word : "no end");
    row->x = 19;
    row_printf(row, ROLE_TEXT, "%8s  ", ended ? text_duration(run->duration_ms, text) : "");
    when_text(app, run->time_ns, &when);
    row_printf(row, ROLE_DIM, "%-13s ", buf_str(&when));
    row_printf(row, ROLE_DIM, "%-8s", run->trigger);
    row->x = row->x < 53 ? 53 : row->x;
    add_count(row, run->failed, STATE_FAILED);
    add_count(row, run->passed, STATE_PASSED);
    add_count(row, run->cached, STATE_CACHED);
    add_count(row, run->skipped, STATE_SKIPPED);
    add_count(row, run->cancelled, STATE_CANCELLED);
    int room = row->area.w - row->x - (open ? 5 : 0);
    if (run->saved_ms > 0 && room >= 6 + (int)strlen(text_duration(run->saved_ms, text)))
        row_printf(row, ROLE_DIM, "saved %s  ", text);
    if (open)
        row_put(row, ROLE_FOCUS, "shown");
    buf_release(&when);
}

static void draw(struct app *app, struct area area)
{
    struct runs_view *runs = &app->runs;
    size_t height = area.h > 0 ? (size_t)area.h : 0, n = runs->n + 1;
    runs_sync(app);
    if (runs->selected >= n)
        runs->selected = n - 1;
    if (runs->top > runs->selected)
        runs->top = runs->selected;
    if (height > 0 && runs->selected >= runs->top + height)
        runs->top = runs->selected - height + 1;
    if (runs->top + height > n)
        runs->top = n > height ? n - height : 0;
    for (size_t y = 0; y < height && runs->top + y < n; y++) {
        size_t at = runs->top + y;
        struct pen_row row = {&app->screen, area, 1, (int)y};
        if (at == 0)
            draw_now(app, &row);
        else
            draw_run(app, &row, &runs->v[at - 1]);
        if (at != runs->selected)
            continue;
        screen_puts(&app->screen, area, 0, (int)y, look_style(ROLE_FOCUS), "▌");
        if (app->focus == PANE_RUNS)
            screen_restyle(&app->screen, area, 1, (int)y, area.w - 1, look_style(ROLE_SELECTED));
    }
    if (runs->known && runs->n == 0 && height > 2) {
        struct pen_row row = {&app->screen, area, 3, 2};
        row_put(&row, ROLE_DIM, "No run of this project is on record.");
    }
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    const struct runs_view *runs = &app->runs;
    buf_adds(left, "Runs");
    uint64_t saved = 0;
    char text[16];
    if (!runs->known)
        return;
    for (size_t i = 0; i < runs->n; i++)
        saved += runs->v[i].saved_ms;
    buf_addf(right, "%zu on record", runs->n);
    if (saved > 0)
        buf_addf(right, ", saved %s", text_duration(saved, text));
}

static void move(struct app *app, enum motion motion, int amount)
{
    struct runs_view *runs = &app->runs;
    runs->selected =
        motion_to(motion, amount, app->layout.panes[PANE_RUNS].body.h, runs->selected, runs->n);
}

static void click(struct app *app, struct area area, int x, int y)
{
    struct runs_view *runs = &app->runs;
    size_t at = runs->top + (size_t)y;
    (void)area;
    (void)x;
    if (at > runs->n)
        return;
    /* The second click on a row opens it. */
    if (at == runs->selected)
        runs_open(app);
    runs->selected = at;
}

const struct view view_runs = {"runs", title, draw, move, click};
