/* Where there is no output to show: why there is none, in words. */
#include "tui/log_private.h"

#include <string.h>

/* What takes less is not told, so that nothing flickers. */
#define WORTH_SAYING_NS UINT64_C(300000000)

static int columns_of(const struct app *app, const char *text, size_t n)
{
    int columns = 0;
    for (size_t at = 0; at < n;) {
        struct cell cell;
        at += cell_take(&cell, text + at, n - at, app->screen.utf8);
        columns += cell.width;
    }
    return columns;
}

/* Sentences, broken between words where that is possible. */
static void put_words(struct app *app, struct area area, int y, enum role role, const char *text)
{
    for (int x = 2; *text && y < area.h;) {
        size_t n = strcspn(text, " \n");
        if (x > 2 && x + columns_of(app, text, n) > area.w) {
            x = 2;
            y++;
        }
        x = screen_put(&app->screen, area, x, y, look_style(role), text, n);
        text += n;
        if (*text == '\n') {
            x = 2;
            y++;
        } else if (*text == ' ') {
            x++;
        }
        text += *text != '\0';
    }
}

void log_draw_words(struct app *app, struct area area)
{
    const struct log_view *log = &app->log;
    const struct model_step *step = app_selected(app);
    struct pen_row row = {&app->screen, area, 2, area.h > 2 ? 1 : 0};
    if (!step)
        return;
    bool lost = log->path && step->log_bytes > 0 && !log->lines.file && step->state != STATE_CACHED;
    if (log->gone || lost) {
        struct buf text = BUF_INIT;
        buf_addf(&text, "Its log is gone: %s%s.", log->gone ? log->gone : log->path,
                 log->gone ? "" : " is no longer there");
        put_words(app, area, row.y, ROLE_DIM, buf_str(&text));
        buf_release(&text);
        return;
    }
    size_t blocker = model_blocker(&app->model, step);
    const char *need = blocker < app->model.steps.n ? app->model.steps.v[blocker].name : NULL;
    switch (step->state) {
    case STATE_IDLE: row_put(&row, ROLE_DIM, "It has not run yet."); break;
    case STATE_WAITING:
        if (need)
            row_printf(&row, ROLE_DIM, "Waits for %s.", need);
        else if (step->doing)
            row_printf(&row, ROLE_DIM, "Being made ready: %s.", step->doing);
        else
            row_put(&row, ROLE_DIM, "About to be looked at.");
        break;
    case STATE_QUEUED:
        if (step->doing)
            row_printf(&row, ROLE_DIM, "Being made ready: %s.", step->doing);
        else
            row_put(&row, ROLE_DIM, "Ready; waits for a free place.");
        break;
    case STATE_RUNNING: row_put(&row, ROLE_DIM, "No output so far."); break;
    case STATE_PAUSED:
        row_put(&row, ROLE_DIM,
                step->held_failed   ? "It failed without a word; held until you let it go on."
                : step->held_passed ? "It passed without a word; held until you let it go on."
                                    : "Held by a breakpoint, before it starts.");
        break;
    case STATE_PASSED: row_put(&row, ROLE_DIM, "It wrote nothing."); break;
    case STATE_CACHED:
        if (!log->fetching)
            row_put(&row, ROLE_DIM, "It wrote nothing.");
        else if (app->clock_ns - log->fetched_ns > WORTH_SAYING_NS)
            row_put(&row, ROLE_DIM, "Being taken out of the cache.");
        break;
    case STATE_FAILED:
        if (!step->error)
            row_put(&row, ROLE_DIM, "It failed without a word.");
        break;
    case STATE_SKIPPED:
        if (need && !step->error)
            row_printf(&row, ROLE_DIM, "Skipped: it needs %s.", need);
        break;
    case STATE_CANCELLED: row_put(&row, ROLE_DIM, "Cancelled before it wrote anything."); break;
    case STATE_N: break;
    }
    if (step->error)
        put_words(app, area, row.y, ROLE_TEXT, step->error);
}
