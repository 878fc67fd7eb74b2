#include "tui/view.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/line.h"

#include <stdlib.h>
#include <string.h>

/* How much of a log is looked at between two looks at the keyboard. */
#define INDEX_BUDGET  ((size_t)4 << 20)
#define SEARCH_BUDGET ((size_t)2 << 20)
/* Columns kept of a line; logs are cut at LOGFILE_LINE_MAX bytes anyway. */
#define COLUMNS_MAX LOGFILE_LINE_MAX

void log_release(struct log_view *log)
{
    logfile_free(log->file);
    log->file = NULL;
    free(log->path);
    free(log->key);
    log->path = log->key = NULL;
    search_release(&log->search);
}

static void open_anew(struct app *app, const struct model_step *step)
{
    struct log_view *log = &app->log;
    char *pattern = log->search.pattern ? mem_strdup(log->search.pattern) : NULL;
    bool same = log->step == app->selected && step && log->starts == step->starts;
    log_release(log);
    /* The same pattern serves for the next step's log. */
    search_set(&log->search, pattern);
    free(pattern);
    log->step = app->selected;
    log->starts = step ? step->starts : 0;
    log->asked = log->more = false;
    log->cached = step && step->state == STATE_CACHED;
    log->key = log->cached && step->key ? mem_strdup(step->key) : NULL;
    if (same)
        return;
    log->top = log->top_row = log->left = 0;
    log->follow = true;
}

static bool same_key(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether the log that is open is no longer the one to show. */
static bool outdated(const struct app *app, const struct model_step *step)
{
    const struct log_view *log = &app->log;
    if (log->step != app->selected || (step && log->starts != step->starts))
        return true;
    return step && step->state == STATE_CACHED && !(log->cached && same_key(log->key, step->key));
}

/* The spool that the step's own run has written: not that of a run before a cached result. */
static bool has_spool(const struct model_step *step)
{
    return step->log && step->has_started &&
           (step->state == STATE_RUNNING || step->state == STATE_PASSED ||
            step->state == STATE_FAILED || step->state == STATE_CANCELLED);
}

void log_sync(struct app *app)
{
    struct log_view *log = &app->log;
    struct model_step *step = app_selected(app);
    if (outdated(app, step))
        open_anew(app, step);
    if (!step || log->file)
        return;
    bool kept =
        step->state == STATE_PASSED || step->state == STATE_CACHED || step->state == STATE_FAILED;
    if (has_spool(step)) {
        if (!log->path || strcmp(log->path, step->log) != 0) {
            free(log->path);
            log->path = mem_strdup(step->log);
        }
        log->file = logfile_open(log->path);
    }
    if (!log->file && kept && !log->asked && app->control->log_path) {
        log->asked = true;
        free(log->path);
        log->path = app->control->log_path(app->control->ctx, step->name);
        log->file = log->path ? logfile_open(log->path) : NULL;
    }
    log->more = log->file != NULL;
}

static size_t rows_of_line(struct line *line, int cols)
{
    return line->cells.n == 0 ? 1 : (line->cells.n + (size_t)cols - 1) / (size_t)cols;
}

static bool parse(struct log_view *log, struct line *line, uint64_t at, bool utf8, size_t columns)
{
    size_t n;
    const char *bytes = logfile_line(log->file, at, &n);
    if (bytes)
        line_parse(line, bytes, n, columns, utf8);
    return bytes != NULL;
}

static size_t rows_at(struct log_view *log, struct line *line, uint64_t at, bool utf8)
{
    if (!log->wrap || !parse(log, line, at, utf8, COLUMNS_MAX))
        return 1;
    return rows_of_line(line, log->cols);
}

/* The place at which the pane ends with the last line. */
static void last_place(struct log_view *log, struct line *line, bool utf8, uint64_t *top,
                       size_t *top_row)
{
    uint64_t at = logfile_lines(log->file);
    size_t height = log->rows > 0 ? (size_t)log->rows : 1, filled = 0;
    *top_row = 0;
    while (at > 0 && filled < height) {
        at--;
        filled += rows_at(log, line, at, utf8);
    }
    if (filled > height)
        *top_row = filled - height;
    *top = at;
}

static void keep_in_range(struct app *app, struct line *line)
{
    struct log_view *log = &app->log;
    uint64_t top;
    size_t top_row;
    last_place(log, line, app->screen.utf8, &top, &top_row);
    if (log->follow || log->top > top || (log->top == top && log->top_row > top_row)) {
        log->top = top;
        log->top_row = top_row;
    }
}

/* Marks what the pattern finds in the line's cells. */
static void mark_matches(const struct log_view *log, struct line *line, bool here)
{
    struct buf text = BUF_INIT;
    VEC(size_t) cell_of = VEC_INIT; /* of each byte */
    for (size_t i = 0; i < line->cells.n; i++) {
        const struct cell *cell = &line->cells.v[i];
        buf_add(&text, cell->text, cell->len);
        for (size_t k = 0; k < cell->len; k++)
            vec_push(&cell_of, i);
    }
    size_t length = strlen(log->search.pattern), from = 0;
    const char *found;
    while (text.len > from &&
           (found = search_find(log->search.pattern, text.data + from, text.len - from))) {
        size_t start = (size_t)(found - text.data);
        for (size_t i = cell_of.v[start]; i <= cell_of.v[start + length - 1]; i++)
            line->cells.v[i].style = look_style(here ? ROLE_MATCH_HERE : ROLE_MATCH);
        from = start + length;
    }
    vec_release(&cell_of);
    buf_release(&text);
}

static void draw_row(struct app *app, struct area area, int y, const struct line *line, size_t from)
{
    for (size_t x = 0; x < (size_t)area.w && from + x < line->cells.n; x++) {
        const struct cell *cell = &line->cells.v[from + x];
        if (cell->width > 0)
            screen_cell(&app->screen, area, (int)x, y, cell);
    }
}

/* Draws the line from its row skip on, at y; returns where the next line goes. */
static int draw_line(struct app *app, struct area area, int y, struct line *line, size_t skip,
                     bool here)
{
    struct log_view *log = &app->log;
    if (log->search.pattern)
        mark_matches(log, line, here);
    if (!log->wrap) {
        draw_row(app, area, y, line, log->left);
        if (line->cells.n > log->left + (size_t)area.w)
            screen_puts(&app->screen, area, area.w - 1, y, look_style(ROLE_DIM), "…");
        return y + 1;
    }
    size_t rows = rows_of_line(line, area.w);
    for (size_t row = skip; row < rows && y < area.h; row++)
        draw_row(app, area, y++, line, row * (size_t)area.w);
    return y;
}

static size_t columns_wanted(const struct log_view *log, struct area area)
{
    return log->wrap ? COLUMNS_MAX : log->left + (size_t)area.w + 1;
}

static void draw_lines(struct app *app, struct area area)
{
    struct log_view *log = &app->log;
    struct line line = {0};
    keep_in_range(app, &line);
    size_t skip = log->wrap ? log->top_row : 0;
    int y = 0;
    for (uint64_t at = log->top; y < area.h; at++) {
        if (!parse(log, &line, at, app->screen.utf8, columns_wanted(log, area)))
            break;
        bool here = log->search.state == SEARCH_FOUND && log->search.found == at;
        y = draw_line(app, area, y, &line, skip, here);
        skip = 0;
    }
    line_release(&line);
}

/* The end of a log whose index is far behind: it is what FOLLOW promises, whatever the lines'
 * numbers. */
static void draw_tail(struct app *app, struct area area)
{
    struct log_view *log = &app->log;
    struct line line = {0};
    uint64_t end = logfile_size(log->file);
    size_t n;
    const char *bytes;
    int y = area.h;
    while (y > 0 && (bytes = logfile_back(log->file, &end, &n))) {
        line_parse(&line, bytes, n, columns_wanted(log, area), app->screen.utf8);
        int rows = log->wrap ? (int)rows_of_line(&line, area.w) : 1;
        draw_line(app, area, rows > y ? 0 : y - rows, &line, rows > y ? (size_t)(rows - y) : 0,
                  false);
        y -= rows;
    }
    line_release(&line);
}

static bool far_behind(const struct log_view *log)
{
    return logfile_indexed(log->file) + INDEX_BUDGET < logfile_size(log->file);
}

/* What to say where there is no output to show. */
static void draw_words(struct app *app, struct area area)
{
    const struct model_step *step = app_selected(app);
    struct pen_row row = {&app->screen, area, 2, area.h > 2 ? 1 : 0};
    if (!step)
        return;
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
    case STATE_PASSED:
    case STATE_CACHED: row_put(&row, ROLE_DIM, "It wrote nothing."); break;
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
    const char *error = step->error;
    for (; error && *error && row.y < area.h; row.y++) {
        size_t n = strcspn(error, "\n");
        screen_put(&app->screen, area, 2, row.y, look_style(ROLE_TEXT), error, n);
        error += n + (error[n] == '\n' ? 1 : 0);
    }
}

static void draw(struct app *app, struct area area)
{
    struct log_view *log = &app->log;
    log->rows = area.h;
    log->cols = area.w > 0 ? area.w : 1;
    if (log->file && log->follow && far_behind(log))
        draw_tail(app, area);
    else if (log->file && logfile_lines(log->file) > 0)
        draw_lines(app, area);
    else if (!log->more)
        draw_words(app, area);
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    struct log_view *log = &app->log;
    const struct model_step *step = app_selected(app);
    buf_adds(left, "Log");
    if (step)
        buf_addf(left, ": %s", step->name);
    if (step && step->attempt > 1)
        buf_addf(left, ", attempt %u", step->attempt);
    if (step && log->file && (step->state == STATE_WAITING || step->state == STATE_QUEUED))
        buf_adds(left, ", last time");
    uint64_t lines = log->file ? logfile_lines(log->file) : 0;
    if (lines == 0)
        return;
    if (log->search.state == SEARCH_MISSED)
        buf_adds(right, "not found ");
    else if (log->search.state == SEARCH_RUNNING)
        buf_addf(right, "searching %u%% ", (unsigned)(log->search.seen * 100 / lines));
    if (far_behind(log))
        buf_addf(right, "reading %u%% ",
                 (unsigned)(logfile_indexed(log->file) * 100 / logfile_size(log->file)));
    if (log->wrap)
        buf_adds(right, "WRAP ");
    if (log->follow)
        buf_adds(right, "FOLLOW");
    else
        buf_addf(right, "%llu/%llu", (unsigned long long)log->top + 1, (unsigned long long)lines);
}

static void scroll_rows(struct app *app, long rows)
{
    struct log_view *log = &app->log;
    struct line line = {0};
    while (rows < 0 && (log->top > 0 || log->top_row > 0)) {
        if (log->top_row > 0) {
            log->top_row--;
        } else {
            log->top--;
            log->top_row = rows_at(log, &line, log->top, app->screen.utf8) - 1;
        }
        rows++;
    }
    for (; rows > 0 && log->top < logfile_lines(log->file); rows--) {
        if (log->top_row + 1 < rows_at(log, &line, log->top, app->screen.utf8)) {
            log->top_row++;
        } else {
            log->top++;
            log->top_row = 0;
        }
    }
    line_release(&line);
}

static void move(struct app *app, enum motion motion, int amount)
{
    struct log_view *log = &app->log;
    if (!log->file)
        return;
    if (motion == MOVE_COLUMNS) {
        if (!log->wrap && (amount > 0 || log->left > 0) && log->left < COLUMNS_MAX)
            log->left += (size_t)amount;
    } else if (motion == MOVE_START) {
        log->follow = false;
        log->top = log->top_row = log->left = 0;
    } else if (motion == MOVE_END) {
        log->follow = true;
        log->left = 0;
    } else if (amount < 0 || !log->follow) {
        log->follow = false;
        scroll_rows(app, motion_lines(motion, amount, log->rows));
    }
}

void log_follow(struct app *app, bool on)
{
    app->log.follow = on;
}

/* Brings the place found into view, a third from the top, unless it is there already. */
static void show_found(struct log_view *log)
{
    uint64_t found = log->search.found, height = log->rows > 0 ? (uint64_t)log->rows : 1;
    log->follow = false;
    if (!log->wrap && found >= log->top && found < log->top + height)
        return;
    log->top = found > height / 3 ? found - height / 3 : 0;
    log->top_row = 0;
    if (log->wrap)
        log->top = found;
}

void log_search(struct app *app, bool forward, bool from_here)
{
    struct log_view *log = &app->log;
    struct search *search = &log->search;
    uint64_t lines = log->file ? logfile_lines(log->file) : 0;
    uint64_t from = log->top;
    /* Keys may come faster than answers: the next place is next to the one still looked for. */
    if (!from_here && search->state == SEARCH_RUNNING) {
        search_work(search, log->file, SEARCH_BUDGET, log->more);
        if (search->state == SEARCH_FOUND)
            show_found(log);
    }
    if (!from_here && search->state == SEARCH_FOUND)
        from = forward ? search->found + 1 : search->found > 0 ? search->found - 1 : lines;
    search_start(search, log->file, from, forward);
}

bool log_work(struct app *app)
{
    struct log_view *log = &app->log;
    if (!log->file)
        return false;
    log->more = logfile_index(log->file, INDEX_BUDGET);
    bool was_running = log->search.state == SEARCH_RUNNING;
    bool searching = search_work(&log->search, log->file, SEARCH_BUDGET, log->more);
    if (was_running && log->search.state == SEARCH_FOUND)
        show_found(log);
    return log->more || searching;
}

const struct view view_log = {"log", title, draw, move, NULL};

static void search_changed(struct app *app)
{
    app->log.top = app->prompt_top;
    app->log.follow = app->prompt_follow;
    search_set(&app->log.search, buf_str(&app->typed));
    log_search(app, true, true);
}

static void search_ended(struct app *app, bool accepted)
{
    if (accepted)
        return;
    search_set(&app->log.search, NULL);
    app->log.top = app->prompt_top;
    app->log.follow = app->prompt_follow;
}

const struct prompt log_search_prompt = {"/", NULL, search_changed, search_ended};
