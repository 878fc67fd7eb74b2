/*
 * marks.h - steps that a person has marked, so that one order is for all of them.
 *
 * They are kept by name, in and out of what is shown, until they are unmarked. An order is for them
 * while the steps pane has the keys; from another pane it is for the selected step, which is the
 * one that pane is about. Loop thread only.
 */
#ifndef KILN_TUI_MARKS_H
#define KILN_TUI_MARKS_H

#include "tui/app.h"

/* Marks the selected step, or unmarks it, and goes to the next row. */
void marks_toggle(struct app *app);
/* Marks all that the pane shows; where all of them are, unmarks them. */
void marks_shown(struct app *app);
void marks_clear(struct app *app);
bool marks_has(const struct app *app, const char *step);
/* Forgets those that the pipeline does not have any more. */
void marks_prune(struct app *app);
/* How many steps of the pipeline are marked. */
size_t marks_count(const struct app *app);
/* Whether an order is for them now. */
bool marks_meant(const struct app *app);

#endif
