/*
 * log_private.h - between the files of the log pane: view_log.c draws and moves, log_open.c finds
 * the log and looks through it, log_find.c searches and chooses, log_places.c finds the files that
 * it names, log_take.c takes something out of it, log_words.c says why there is nothing to see.
 */
#ifndef KILN_TUI_LOG_PRIVATE_H
#define KILN_TUI_LOG_PRIVATE_H

#include "tui/line.h"
#include "tui/view.h"

/* How much of a log is looked at between two looks at the keyboard. */
#define INDEX_BUDGET ((size_t)1 << 20)
/* The end of a log is shown without its lines' numbers when more than this is still to be looked
 * at.
 */
#define BEHIND_MAX ((size_t)4 << 20)
/* Columns kept of a line; logs are cut at LOGFILE_LINE_MAX bytes anyway. */
#define COLUMNS_MAX LOGFILE_LINE_MAX

/* Takes the nth line apart; false: there is none. */
bool log_parse(struct app *app, uint64_t nth, size_t columns, struct line *line);
/* Its cells as text, with the cell of each byte. */
struct cell_text {
    struct buf text;
    VEC(size_t) cell_of;
};
void cell_text_of(struct cell_text *text, const struct line *line);
void cell_text_release(struct cell_text *text);
/* Whether that line is in the pane as it was last drawn. */
bool log_sees(const struct log_view *log, uint64_t nth);
/* The line after the last one that the pane shows, as far as can be told without wrapping. */
uint64_t log_bottom(struct log_view *log);

/* log_find.c: a bounded piece of looking; true when there is more. */
bool log_find_work(struct app *app);
struct links *log_links(struct log_view *log);

/* log_places.c: the place that is edited when the person says so: the line and, in the text of its
 * cells, the link. *file: the file outside, a new string. False: no line shown names a file that is
 * there. */
bool log_target(struct app *app, uint64_t *nth, struct link *link, char **file);
/* Forgets what was read of the log for that. */
void log_entries_release(struct entries *entries);

/* log_words.c: drawn in place of lines. */
void log_draw_words(struct app *app, struct area area);

/* log_take.c */
bool log_save_work(struct app *app);
void log_mark_move(struct app *app, enum motion motion, int amount);

#endif
