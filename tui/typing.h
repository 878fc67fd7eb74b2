/*
 * typing.h - the keyboard in the hands of an interactive step: what is typed goes there as bytes,
 * all but one key, which brings it back.
 *
 * When the step is over nothing goes anywhere until a person says so (^], Esc or Enter): what was
 * meant for the step is no order to kiln.
 *
 * Loop thread only.
 */
#ifndef KILN_TUI_TYPING_H
#define KILN_TUI_TYPING_H

#include "tui/app.h"

#define TYPING_BACK KEY_CTRL(']')

/* The action of the table and whether it would do something now. */
bool act_can_type(const struct app *app);
void act_type(struct app *app);
/* Why it would not. */
const char *typing_refusal(const struct app *app);
/* Whether keys are not kiln's; then the terminal's input is to be raw (keys.h). */
bool typing_on(const struct app *app);
/* Whether the step that they are for is over. */
bool typing_over(const struct app *app);
/* Takes what people type; false: it is kiln's as ever (the mouse, what a terminal says). */
bool typing_take(struct app *app, const struct key_input *input);
/* Whether the log pane shows what is typed to. */
bool typing_here(const struct app *app);
/* Whether a running interactive step looks as if it waited for somebody: it has been silent for a
 * while, behind a line without an end. That is all that can be told. */
bool typing_may_wait(const struct app *app, const struct model_step *step);
/* The first one that does; steps.n: none. */
size_t typing_asks(const struct app *app);
/* The step that has the keys or had them last, as it is now; NULL: it is gone. */
const struct model_step *typing_step(const struct app *app);
/* Tells the engine how large the log pane is, if interactive steps are to know. */
void typing_size(struct app *app);
/* What stands in the place of the key line. */
void typing_draw(struct app *app, struct area area);
void typing_release(struct app *app);

#endif
