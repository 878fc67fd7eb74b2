/*
 * view.h - a view is data and a table of functions.
 *
 * Views read the app and draw into an area of its screen; the only state they change is their own
 * place in it (what is scrolled to).
 */
#ifndef KILN_TUI_VIEW_H
#define KILN_TUI_VIEW_H

#include "tui/app.h"

enum motion { MOVE_LINES, MOVE_HALF_PAGES, MOVE_PAGES, MOVE_COLUMNS, MOVE_START, MOVE_END };

struct view {
    const char *name; /* as the palette and the help call it: "steps" */
    /* The words in the line above it: at the left, and at the right. */
    void (*title)(struct app *app, struct buf *left, struct buf *right);
    void (*draw)(struct app *app, struct area area);
    void (*move)(struct app *app, enum motion motion, int amount);
    /* The left button went down on that cell of its area; NULL: that only gives it the keys. */
    void (*click)(struct app *app, struct area area, int x, int y);
};

extern const struct view view_steps, view_log, view_why, view_inputs, view_timeline, view_runs,
    view_cache, view_changes, view_help;
extern const struct view *const views[PANE_N];

/* header, key line, notices, titles: what is around the panes */
void bars_draw(struct app *app);
/* How many bytes of a notice go on the next row of a screen of that width, of which n are shown. */
size_t notice_row(const char *text, int cols, size_t *n);
/* The key line alone. */
void bars_draw_keys(struct app *app);

/* steps_choose.c */
/* Brings the rows up to date, and the selection to one that is shown. */
void steps_sync(struct app *app);
bool steps_can_fold(const struct app *app);
void steps_fold(struct app *app);
void steps_unfold(struct app *app);
void steps_fold_all(struct app *app);
void steps_next_form(struct app *app);
void steps_next_sort(struct app *app);
void steps_next_failed(struct app *app);
void steps_previous_failed(struct app *app);
void steps_to_cause(struct app *app);
void steps_only_failed(struct app *app);
void steps_only_active(struct app *app);
void steps_filter(struct app *app);
bool steps_filtered(const struct app *app);
void steps_show_all(struct app *app);

/* view_palette.c */
void palette_open(struct app *app);
/* With the rules by which steps are held, to take one away. */
void palette_open_breaks(struct app *app);
void palette_draw(struct app *app);
void palette_move(struct app *app, int rows);
/* What is chosen of what is offered; "" when nothing is. */
const char *palette_name(const struct app *app);
/* Does what is offered on that row of the screen; false when there is nothing. */
bool palette_click(struct app *app, int x, int y);

/* log_open.c: opens the log of the selected step where that has changed; a bounded piece of looking
 * through it. */
void log_init(struct log_view *log);
void log_sync(struct app *app);
bool log_work(struct app *app);
void log_release(struct log_view *log);
/* view_log.c */
void log_follow(struct app *app, bool on);
/* log_find.c: what asks for a pattern, and for a choice of lines. Starts looking for the pattern,
 * for the next error, or for what is at least a warning. */
void log_ask_pattern(struct app *app);
void log_ask_filter(struct app *app);
void log_search(struct app *app, bool forward);
void log_find_error(struct app *app, enum link_kind least, bool forward);
/* Ends what marks, finds or chooses, one at a time; false: there is nothing to end. */
bool log_back(struct app *app);
/* log_take.c */
void log_mark(struct app *app);
void log_copy(struct app *app);
void log_edit(struct app *app);
void edit_definition(struct app *app); /* the selected step's, in the editor */
void log_page(struct app *app);
void log_page_plain(struct app *app);
void log_ask_save(struct app *app);

/* view_why.c */
void diffs_release(struct diffs *diffs);
void held_release(struct held_view *held);

/* view_changes.c: looks again when it is next drawn. */
void changes_forget(struct app *app);
void changes_release(struct changes_view *changes);

/* view_inputs.c: counts a piece; true when there is more to count. */
bool inputs_work(struct app *app);

/* view_runs.c: asks for the list where it is old; opens the selected run. */
void runs_sync(struct app *app);
void runs_open(struct app *app);
/* To the next row of a run that failed, which is an earlier one, or to the previous. */
void runs_next_failed(struct app *app, bool forward);

/* A row of text that is built piece by piece from left to right; draws nothing outside of its area,
 * and where something is cut there an ellipsis in its last column. */
struct pen_row {
    struct screen *screen;
    struct area area;
    int x, y;
};
void row_put(struct pen_row *row, enum role role, const char *text);
void row_printf(struct pen_row *row, enum role role, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The distance of a motion over lines in a pane of that height; 0 for columns, start and end. */
int motion_lines(enum motion motion, int amount, int height);
/* Where a motion over rows 0 ... last leads from there, in a pane of that height. */
uint64_t motion_to(enum motion motion, int amount, int height, uint64_t from, uint64_t last);
/* start.c: to other rows, where not all fit. */
void start_move(struct start *start, enum motion motion, int amount);

#endif
