/*
 * model_private.h - which steps are in which state (model_states.c) and what is held
 * (model_breaks.c), for the fold (model.c).
 */
#ifndef KILN_TUI_MODEL_PRIVATE_H
#define KILN_TUI_MODEL_PRIVATE_H

#include "tui/model.h"

/* Counts and orders a step that has just been added. */
void model_states_add(struct model *model, struct model_step *step);
void model_set_state(struct model *model, struct model_step *step, enum step_state state);
/* Does it all anew: the steps are others than they were. */
void model_states_rebuild(struct model *model);
void model_states_release(struct model *model);

void model_fold_paused(struct model *model, const struct event *event);
void model_fold_resumed(struct model *model, const struct event *event);
void model_fold_breakpoint(struct model *model, const struct event *event);
void model_release_breaks(struct model *model);

#endif
