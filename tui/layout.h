/*
 * layout.h - where things go on a screen of a given size. Pure.
 *
 * 160x30 and more: steps over timeline, beside log over why and inputs. 100x20: steps beside log
 * over why. 60x12: steps over log over why. Less: one pane at a time. Below 30x6: one line that
 * says how things are. A zoomed pane has the whole body.
 *
 * There are more panes than places: a place shows the one of its panes that had the keys last. So
 * it is with the room that the log shares with the places below it.
 */
#ifndef KILN_TUI_LAYOUT_H
#define KILN_TUI_LAYOUT_H

#include "tui/screen.h"

#include <stdbool.h>

enum pane {
    PANE_STEPS,
    PANE_LOG,
    PANE_WHY,
    PANE_INPUTS,
    PANE_TIMELINE,
    PANE_RUNS,
    PANE_CACHE,
    PANE_CHANGES,
    PANE_N
};

enum layout_kind { LAYOUT_STATUS, LAYOUT_SINGLE, LAYOUT_STACKED, LAYOUT_BESIDE, LAYOUT_WIDE };

struct layout_want {
    int cols, rows;
    enum pane focus;
    bool zoom;
    unsigned recent[PANE_N]; /* the higher, the later it had the keys; 0: never */
    size_t steps;            /* how many rows they would like */
    int notice_rows;
};

struct layout {
    enum layout_kind kind;
    struct area header, notice, footer; /* h == 0: not there */
    struct {
        bool shown;
        struct area title, body; /* the title is one row above the body */
    } panes[PANE_N];
    struct area lines[2]; /* one column wide, between places, from the row of their titles on */
    size_t n_lines;
};

struct layout layout_of(const struct layout_want *want);
/* The pane that Tab goes to from there: the next (step 1) or previous (-1) that is shown; where one
 * is shown at a time, of all. */
enum pane layout_next(const struct layout *layout, enum pane from, int step);

#endif
