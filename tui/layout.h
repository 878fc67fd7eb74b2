/*
 * layout.h - where things go on a screen of a given size. Pure.
 *
 * 160x30 and more: steps with more columns beside log over why. 100x20: the same, narrower. 60x12:
 * steps over log over why. Less: one pane at a time. Below 30x6: one line that says how things are.
 * A zoomed pane has the whole body.
 */
#ifndef KILN_TUI_LAYOUT_H
#define KILN_TUI_LAYOUT_H

#include "tui/screen.h"

#include <stdbool.h>

enum pane { PANE_STEPS, PANE_LOG, PANE_WHY, PANE_N };

enum layout_kind { LAYOUT_STATUS, LAYOUT_SINGLE, LAYOUT_STACKED, LAYOUT_BESIDE, LAYOUT_WIDE };

struct layout {
    enum layout_kind kind;
    struct area header, notice, footer; /* h == 0: not there */
    struct {
        bool shown;
        struct area title, body; /* the title is one row above the body */
    } panes[PANE_N];
    int divider; /* column of the line between left and right; -1: none */
};

struct layout layout_of(int cols, int rows, enum pane focus, bool zoom, size_t steps,
                        int notice_rows);

#endif
