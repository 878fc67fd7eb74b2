/*
 * estimate.h - how long a run will still take, from how long its steps took the last time.
 *
 * No schedule can be shorter than its longest chain of steps, nor than all work shared by all
 * places; the longer of the two is what is told, taking what waits for what will run. So it is too
 * long where results turn out to be there, and too short where steps take longer than before; it
 * says so where a step was never timed, or takes longer than it did.
 *
 * Pure; the model is not changed.
 */
#ifndef KILN_TUI_ESTIMATE_H
#define KILN_TUI_ESTIMATE_H

#include "tui/model.h"

struct estimate {
    uint64_t ms;
    bool known;    /* at least one of the steps still to end was timed before */
    bool at_least; /* not all were, or one is over its time */
};

/* Of the run under way, at that wall-clock time; not known when there is none. */
struct estimate estimate_left(const struct model *model, uint64_t now_ns);

#endif
