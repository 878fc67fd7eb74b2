/*
 * start.h - a screen of a few sentences in place of the panes: where there is no pipeline, or none
 * that can be read.
 *
 * Ownership: the struct is the caller's, start_release(). Loop thread only.
 */
#ifndef KILN_TUI_START_H
#define KILN_TUI_START_H

#include "base/vec.h"
#include "tui/look.h"
#include "tui/screen.h"
#include "tui/tui.h"

#include <stdbool.h>

struct start {
    VEC(struct start_line {
        enum role role;
        char *text;
    })
    lines;         /* none: the panes are shown */
    bool can_init; /* a first kiln.json can be written from here */
    int top, most; /* the first row shown, and the last that could be: as drawn last */
    int height;    /* rows that fit */
};

/* Takes a copy in place of what there was. */
void start_set(struct start *start, const struct tui_start *given);
void start_release(struct start *start);
/* In the middle of the area, its lines broken at blanks where they are too long; from its top on
 * where there are more than fit. */
void start_draw(struct start *start, struct screen *screen, struct area area);

#endif
