#include "tui/log_private.h"
#include "tui/typing.h"

#include <stdlib.h>

/* "  123.4s " before each line, where times are wanted. */
#define TIMES_COLUMNS  9
#define STREAM_COLUMNS 2

static size_t rows_of_line(struct line *line, int cols)
{
    return line->cells.n == 0 ? 1 : (line->cells.n + (size_t)cols - 1) / (size_t)cols;
}

bool log_parse(struct app *app, uint64_t nth, size_t columns, struct line *line)
{
    size_t n;
    const char *bytes = lines_get(&app->log.lines, nth, &n);
    if (bytes)
        line_parse(line, bytes, n, columns, app->screen.utf8);
    return bytes != NULL;
}

uint64_t log_bottom(struct log_view *log)
{
    uint64_t n = lines_n(&log->lines),
             bottom = log->top + (uint64_t)(log->rows > 0 ? log->rows : 1);
    return bottom < n ? bottom : n;
}

bool log_sees(const struct log_view *log, uint64_t nth)
{
    uint64_t height = log->rows > 0 ? (uint64_t)log->rows : 1;
    return nth >= log->top && nth < log->top + (log->wrap ? 1 : height);
}

static size_t rows_at(struct app *app, struct line *line, uint64_t at)
{
    if (!app->log.wrap || !log_parse(app, at, COLUMNS_MAX, line))
        return 1;
    return rows_of_line(line, app->log.cols);
}

/* The place at which the pane ends with the last line. */
static void last_place(struct app *app, struct line *line, uint64_t *top, size_t *top_row)
{
    struct log_view *log = &app->log;
    uint64_t at = lines_n(&log->lines);
    size_t height = log->rows > 0 ? (size_t)log->rows : 1, filled = 0;
    *top_row = 0;
    while (at > 0 && filled < height) {
        at--;
        filled += rows_at(app, line, at);
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
    last_place(app, line, &top, &top_row);
    if (log->follow || log->top > top || (log->top == top && log->top_row > top_row)) {
        log->top = top;
        log->top_row = top_row;
    }
}

void cell_text_of(struct cell_text *text, const struct line *line)
{
    buf_reset(&text->text);
    vec_clear(&text->cell_of);
    for (size_t i = 0; i < line->cells.n; i++) {
        const struct cell *cell = &line->cells.v[i];
        buf_add(&text->text, cell->text, cell->len);
        for (size_t k = 0; k < cell->len; k++)
            vec_push(&text->cell_of, i);
    }
}

void cell_text_release(struct cell_text *text)
{
    buf_release(&text->text);
    vec_release(&text->cell_of);
}

/* -- drawing ----------------------------------------------------------------------------------- */

/* What one picture needs to know of the log while its lines are drawn. */
struct sheet {
    struct app *app;
    struct area area;            /* for text */
    const struct chunks *chunks; /* NULL: nothing is known */
    int gutter;                  /* columns left of the text */
    bool streams;                /* the two are to be told apart */
    uint64_t start_ns;           /* what times count from */
    struct cell_text text;
    struct line line;
    bool has_target;
    uint64_t target; /* the line with the place that would be edited */
    struct link link;
};

static void sheet_begin(struct sheet *sheet, struct app *app, struct area area)
{
    const struct model_step *step = app_selected(app);
    *sheet = (struct sheet){.app = app, .area = area};
    const struct chunks *chunks = step && app->log.own ? &step->chunks : &app->log.chunks;
    if (step && chunks->list.n > 0) {
        sheet->chunks = chunks;
        sheet->start_ns = app->log.own ? step->started_ns : app->log.start_ns;
        sheet->streams = chunks_mixed(sheet->chunks);
    }
    int wanted = (app->log.times ? TIMES_COLUMNS : 0) + (sheet->streams ? STREAM_COLUMNS : 0);
    if (sheet->chunks && wanted + 10 < area.w)
        sheet->gutter = wanted;
    sheet->area.x += sheet->gutter;
    sheet->area.w -= sheet->gutter;
}

static void sheet_end(struct sheet *sheet)
{
    cell_text_release(&sheet->text);
    line_release(&sheet->line);
}

/* When the line at that offset came, and whether from stderr. */
static void draw_gutter(struct sheet *sheet, int y, uint64_t offset)
{
    if (sheet->gutter == 0 || y < 0 || y >= sheet->area.h)
        return;
    struct chunk chunk = chunks_at(sheet->chunks, offset);
    struct area area = sheet->area;
    area.x -= sheet->gutter;
    area.w = sheet->gutter;
    struct pen_row row = {&sheet->app->screen, area, 0, y};
    if (sheet->app->log.times && chunk.time_ns > 0) {
        uint64_t ms =
            chunk.time_ns > sheet->start_ns ? (chunk.time_ns - sheet->start_ns) / 1000000 : 0;
        row_printf(&row, ROLE_DIM, "%7.1fs", (double)ms / 1000);
    }
    row.x = sheet->gutter - STREAM_COLUMNS;
    if (sheet->streams && chunk.stream == 2)
        row_put(&row, ROLE_WARNING, "▌");
}

static void restyle_bytes(struct sheet *sheet, size_t from, size_t to, struct style style)
{
    for (size_t i = from; i < to && i < sheet->text.cell_of.n; i++)
        sheet->line.cells.v[sheet->text.cell_of.v[i]].style = style;
}

/* Marks what the pattern finds. */
static void mark_matches(struct sheet *sheet, bool here)
{
    const struct pattern *pattern = &sheet->app->log.pattern;
    const struct buf *text = &sheet->text.text;
    size_t from = 0, start, end;
    struct style style = look_style(here ? ROLE_MATCH_HERE : ROLE_MATCH);
    while (from < text->len &&
           pattern_find(pattern, buf_str(text), text->len, from, &start, &end)) {
        restyle_bytes(sheet, start, end, style);
        from = end > start ? end : end + 1;
    }
}

/* The line with the error found, and the place that would be edited. */
static void mark_places(struct sheet *sheet, uint64_t nth)
{
    struct log_view *log = &sheet->app->log;
    const struct buf *text = &sheet->text.text;
    struct link link;
    if (log->errors.state == SEARCH_FOUND && log->errors.found == nth &&
        links_find(log_links(log), buf_str(text), text->len, log->least, &link))
        restyle_bytes(sheet, link.start, link.end, look_style(ROLE_MATCH_HERE));
    if (!sheet->has_target || sheet->target != nth)
        return;
    for (size_t i = sheet->link.start; i < sheet->link.end && i < sheet->text.cell_of.n; i++)
        sheet->line.cells.v[sheet->text.cell_of.v[i]].style.attrs |= ATTR_UNDERLINE;
}

static void decorate(struct sheet *sheet, uint64_t nth)
{
    const struct log_view *log = &sheet->app->log;
    bool error = log->errors.state == SEARCH_FOUND && log->errors.found == nth;
    bool target = sheet->has_target && sheet->target == nth;
    bool pattern = pattern_ready(&log->pattern);
    if (!error && !target && !pattern)
        return;
    cell_text_of(&sheet->text, &sheet->line);
    if (pattern)
        mark_matches(sheet, log->search.state == SEARCH_FOUND && log->search.found == nth);
    mark_places(sheet, nth);
}

static void draw_row(struct sheet *sheet, int y, size_t from)
{
    const struct line *line = &sheet->line;
    for (size_t x = 0; x < (size_t)sheet->area.w && from + x < line->cells.n; x++) {
        const struct cell *cell = &line->cells.v[from + x];
        if (cell->width > 0)
            screen_cell(&sheet->app->screen, sheet->area, (int)x, y, cell);
    }
}

/* Draws the line that has been taken apart from its row skip on, at y; returns where the next line
 * goes. */
static int draw_line(struct sheet *sheet, int y, size_t skip)
{
    const struct log_view *log = &sheet->app->log;
    const struct line *line = &sheet->line;
    struct area area = sheet->area;
    if (!log->wrap) {
        draw_row(sheet, y, log->left);
        if (line->cells.n > log->left + (size_t)area.w)
            screen_puts(&sheet->app->screen, area, area.w - 1, y, look_style(ROLE_DIM), "…");
        return y + 1;
    }
    size_t rows = rows_of_line(&sheet->line, area.w);
    for (size_t row = skip; row < rows && y < area.h; row++)
        draw_row(sheet, y++, row * (size_t)area.w);
    return y;
}

static size_t columns_wanted(const struct log_view *log, struct area area)
{
    return log->wrap ? COLUMNS_MAX : log->left + (size_t)area.w + 1;
}

static bool marked(const struct log_view *log, uint64_t nth)
{
    uint64_t a = log->mark.anchor, b = log->mark.cursor;
    return log->mark.on && nth >= (a < b ? a : b) && nth <= (a < b ? b : a);
}

static void draw_lines(struct sheet *sheet)
{
    struct app *app = sheet->app;
    struct log_view *log = &app->log;
    char *file = NULL;
    keep_in_range(app, &sheet->line);
    if (app->focus == PANE_LOG && !app->prompt)
        sheet->has_target = log_target(app, &sheet->target, &sheet->link, &file);
    free(file);
    size_t skip = log->wrap ? log->top_row : 0;
    int y = 0;
    for (uint64_t nth = log->top; y < sheet->area.h; nth++) {
        if (!log_parse(app, nth, columns_wanted(log, sheet->area), &sheet->line))
            break;
        decorate(sheet, nth);
        if (sheet->gutter > 0 && skip == 0)
            draw_gutter(sheet, y, logfile_origin(log->lines.file, lines_nth(&log->lines, nth)));
        int next = draw_line(sheet, y, skip);
        for (; marked(log, nth) && y < next; y++)
            screen_restyle(&app->screen, sheet->area, 0, y, sheet->area.w,
                           look_style(nth == log->mark.cursor ? ROLE_MATCH_HERE : ROLE_SELECTED));
        y = next;
        skip = 0;
    }
}

/* While somebody types to the step the cursor is the terminal's. */
static void put_cursor(const struct sheet *sheet)
{
    struct app *app = sheet->app;
    const struct log_view *log = &app->log;
    uint64_t line;
    size_t column;
    if (!typing_here(app) || log->wrap || lines_chosen(&log->lines) ||
        !logfile_cursor(log->lines.file, &line, &column) || line < log->top ||
        line - log->top >= (uint64_t)sheet->area.h || column < log->left ||
        column - log->left >= (size_t)sheet->area.w)
        return;
    app->screen.cursor_x = sheet->area.x + (int)(column - log->left);
    app->screen.cursor_y = sheet->area.y + (int)(line - log->top);
}

/* The end of a log whose index is far behind: it is what FOLLOW promises, whatever the lines'
 * numbers. */
static void draw_tail(struct sheet *sheet)
{
    struct log_view *log = &sheet->app->log;
    uint64_t end = logfile_end(log->lines.file);
    size_t n;
    const char *bytes;
    int y = sheet->area.h;
    while (y > 0 && (bytes = logfile_back(log->lines.file, &end, &n))) {
        line_parse(&sheet->line, bytes, n, columns_wanted(log, sheet->area),
                   sheet->app->screen.utf8);
        int rows = log->wrap ? (int)rows_of_line(&sheet->line, sheet->area.w) : 1;
        decorate(sheet, UINT64_MAX);
        draw_gutter(sheet, y - rows, logfile_back_origin(log->lines.file, end, bytes, n));
        draw_line(sheet, rows > y ? 0 : y - rows, rows > y ? (size_t)(rows - y) : 0);
        y -= rows;
    }
}

static bool far_behind(const struct log_view *log)
{
    return logfile_indexed(log->lines.file) + BEHIND_MAX < logfile_size(log->lines.file);
}

static void draw(struct app *app, struct area area)
{
    struct log_view *log = &app->log;
    struct sheet sheet;
    if (log->fetching && log->fetched_ns == 0)
        log->fetched_ns = app->clock_ns;
    sheet_begin(&sheet, app, area);
    log->rows = area.h;
    log->cols = sheet.area.w > 0 ? sheet.area.w : 1;
    bool chosen = lines_chosen(&log->lines);
    if (log->lines.file && log->follow && far_behind(log) && !chosen)
        draw_tail(&sheet);
    else if (lines_n(&log->lines) > 0)
        draw_lines(&sheet);
    else if (chosen && log->lines.file && logfile_lines(log->lines.file) > 0)
        screen_puts(&app->screen, area, 2, area.h > 2 ? 1 : 0, look_style(ROLE_DIM),
                    log->filtering ? "Looking for such lines." : "No such line.");
    else if (!log->more)
        log_draw_words(app, area);
    put_cursor(&sheet);
    sheet_end(&sheet);
}

/* What is being looked for, and how far that is. */
static void add_search(const struct search *search, uint64_t lines, const char *missed,
                       struct buf *out)
{
    if (search->state == SEARCH_MISSED)
        buf_addf(out, "%s ", missed);
    else if (search->state == SEARCH_RUNNING && lines > 0)
        buf_addf(out, "searching %u%% ", (unsigned)(search->seen * 100 / lines));
}

static void title_right(struct app *app, struct buf *right)
{
    struct log_view *log = &app->log;
    uint64_t all = log->lines.file ? logfile_lines(log->lines.file) : 0;
    uint64_t lines = lines_n(&log->lines);
    if (all == 0)
        return;
    const char *invalid = log->pattern.invalid ? log->pattern.invalid : log->lines.only.invalid;
    if (invalid)
        buf_addf(right, "not yet: %s ", invalid);
    add_search(&log->search, lines, "not found", right);
    add_search(&log->errors, lines, log->least == LINK_ERROR ? "no errors" : "no warnings", right);
    if (far_behind(log))
        buf_addf(
            right, "reading %u%% ",
            (unsigned)(logfile_indexed(log->lines.file) * 100 / logfile_size(log->lines.file)));
    else if (log->filtering)
        buf_addf(right, "filtering %u%% ", (unsigned)(log->lines.looked * 100 / all));
    if (log->wrap)
        buf_adds(right, "WRAP ");
    if (log->mark.on) {
        uint64_t a = log->mark.anchor, b = log->mark.cursor, n = (a < b ? b - a : a - b) + 1;
        buf_addf(right, "MARKED %llu ", (unsigned long long)n);
    }
    if (log->follow)
        buf_adds(right, "FOLLOW");
    else
        buf_addf(right, "%llu/%llu", (unsigned long long)(lines > 0 ? log->top + 1 : 0),
                 (unsigned long long)lines);
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
    if (step && log->lines.file && (step->state == STATE_WAITING || step->state == STATE_QUEUED))
        buf_adds(left, ", last time");
    if (lines_chosen(&log->lines))
        buf_addf(left, " & %s", log->lines.only.text);
    title_right(app, right);
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
            log->top_row = rows_at(app, &line, log->top) - 1;
        }
        rows++;
    }
    for (; rows > 0 && log->top < lines_n(&log->lines); rows--) {
        if (log->top_row + 1 < rows_at(app, &line, log->top)) {
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
    if (lines_n(&log->lines) == 0)
        return;
    if (motion == MOVE_COLUMNS) {
        if (!log->wrap && (amount > 0 || log->left > 0) && log->left < COLUMNS_MAX)
            log->left += (size_t)amount;
    } else if (log->mark.on) {
        log_mark_move(app, motion, amount);
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
    if (on)
        app->log.mark.on = false;
}

const struct view view_log = {"log", title, draw, move, NULL};
