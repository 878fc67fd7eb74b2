/*
 * acts.h - what a person does to steps: run them again, cancel, hold, look inside.
 *
 * The functions of the table of actions (keymap.h) and whether they would do anything now. Each
 * sends a command, or has a program run in the terminal; what is done to a step is done to all that
 * are marked (marks.h). Loop thread only.
 */
#ifndef KILN_TUI_ACTS_H
#define KILN_TUI_ACTS_H

#include "tui/app.h"

/* What happens now: orders are about that, also while a run of the past is looked at. */
const struct model *act_now(const struct app *app);
/* The selected step as it is now; NULL when it is not there, or there is no now. */
const struct model_step *act_step(const struct app *app);
bool act_can_retry(const struct app *app);
void act_retry(struct app *app);
bool act_can_run(const struct app *app);
void act_run_stale(struct app *app);
/* The step and what depends on it, or all, whatever the cache has. */
void act_force(struct app *app);
void act_force_all(struct app *app);
bool act_can_cancel(const struct app *app);
void act_cancel(struct app *app);
bool act_can_pause(const struct app *app);
void act_pause(struct app *app);
bool act_can_break(const struct app *app);
void act_break(struct app *app);
bool act_not_quitting(const struct app *app);
void act_break_on_failure(struct app *app);
/* What is held goes on: the selected step where it is, else all that are. */
bool act_can_go_on(const struct app *app);
void act_go_on(struct app *app);
/* The same, and the next one that starts is held. */
void act_next(struct app *app);
bool act_can_skip(const struct app *app);
void act_skip(struct app *app);
void act_abort(struct app *app);
/* acts_breaks.c: hold the step when it has ended; ask for a rule; offer the rules to be taken away.
 */
bool act_has_step(const struct app *app);
void act_break_after(struct app *app);
void act_ask_break(struct app *app);
bool act_has_breaks(const struct app *app);
void act_list_breaks(struct app *app);
/* The step's command, to the clipboard. */
bool act_can_copy(const struct app *app);
void act_copy(struct app *app);
bool act_can_shell(const struct app *app);
void act_shell(struct app *app);
/* view_changes.c: whether a failure of the step left a box; what was changed in the step's box;
 * takes it into the working tree. */
bool act_has_box(const struct app *app);
void act_changes(struct app *app);
bool act_can_take(const struct app *app);
void act_take(struct app *app);
/* Why the action of that name would do nothing now; NULL: there is nothing to say. */
const char *act_refusal(const struct app *app, const char *action);

#endif
