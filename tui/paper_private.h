/*
 * paper_private.h - the screen that a log is played on. Included by paper.c, which takes the bytes
 * and does what sequences say, and paper_screen.c, which has the rows, the cursor and what scrolls.
 */
#ifndef KILN_TUI_PAPER_PRIVATE_H
#define KILN_TUI_PAPER_PRIVATE_H

#include "base/buf.h"
#include "tui/line.h"
#include "tui/paper.h"

struct row {
    struct line line;
    uint64_t origin; /* in the log, of what was written to it last */
};

struct paper {
    int fd;
    uint64_t played;
    uint64_t at; /* in the log: what is being taken */
    uint64_t settled, size;
    struct row rows[PAPER_ROWS]; /* from the top of the screen */
    size_t row, column, saved_row, saved_column;
    size_t used;        /* rows from the top that have been reached */
    size_t top, bottom; /* the rows from top to before bottom scroll */
    struct style style;
    /* Of a real terminal, whose size the log tells: it is as wide as that, and a newline goes down
     * alone. */
    bool terminal;
    size_t height, width;
    unsigned modes;
    bool drawing[2], shifted; /* the two character sets have lines; the second one is in force */
    char last[4];             /* the character written last */
    size_t n_last;
    struct buf out; /* settled, not in the file yet */
    char *piece;
};

/* No margins: all of the screen scrolls. */
void paper_all_scrolls(struct paper *paper);
/* Of the rows from ... to - 1 the first n leave: those below come up, empty ones at the end. */
void paper_remove_rows(struct paper *paper, size_t from, size_t to, size_t n);
/* n empty ones come before the rows from ... to - 1: these go down, and out at the end. */
void paper_add_rows(struct paper *paper, size_t from, size_t to, size_t n);
/* What is on the screen is left above it, whatever scrolls. */
void paper_clear(struct paper *paper);
/* The cursor's row has been reached. */
void paper_reach(struct paper *paper);
/* To the beginning of the next row, which may have to be made. */
void paper_next_row(struct paper *paper);
void paper_go_to_row(struct paper *paper, size_t row);
/* What never was reached does not leave. */
void paper_scroll_up(struct paper *paper, size_t by);
/* The terminal is so large from now on; what is above the cursor stays above. */
void paper_set_size(struct paper *paper, size_t rows, size_t columns);
/* Whether the row is within the margins. */
bool paper_scrolls(const struct paper *paper, size_t row);
/* Motions by rows end where scrolling does, from within. */
void paper_go_up(struct paper *paper, size_t by);
void paper_go_down(struct paper *paper, size_t by);
/* From now on only these rows scroll, counted from 1; 0: from the first, to the last. */
void paper_set_margins(struct paper *paper, size_t first, size_t last);
/* As CSI J has it: 0 from the cursor on, 1 up to it, 2 all. */
void paper_erase_screen(struct paper *paper, struct hand *hand, unsigned how);
/* The cursor's, and back to it. */
void paper_keep_place(struct paper *paper);
void paper_return_to_place(struct paper *paper);
/* Rows that there is something in, or has been. */
size_t paper_rows_shown(const struct paper *paper);
/* The row as a line of text, its origin in front. */
void paper_add_row(const struct row *row, struct buf *out);

#endif
