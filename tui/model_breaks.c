/* model_breaks.c - what is held, and what is to be. */
#include "tui/model_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FAILURE "failure" /* the rule that holds whichever step fails */

static void replace(char **place, const char *text)
{
    free(*place);
    *place = text ? mem_strdup(text) : NULL;
}

void model_fold_paused(struct model *model, const struct event *event)
{
    size_t at = model_find(model, event->step);
    if (at == model->steps.n)
        return;
    struct model_step *step = &model->steps.v[at];
    model_set_state(model, step, STATE_PAUSED);
    model->latest = at;
    step->held_failed = event->u.paused.failed;
    step->held_passed = event->u.paused.passed;
    step->exit_code = event->u.paused.exit_code;
    step->signal = event->u.paused.signal;
    step->timed_out = event->u.paused.timed_out;
    step->duration_ms = event->u.paused.duration_ms;
    replace(&step->error, event->u.paused.error);
    replace(&step->box, event->u.paused.box);
    replace(&step->held_why, event->u.paused.reason);
    replace(&step->held_rule, event->u.paused.rule);
    if (event->u.paused.key)
        replace(&step->key, event->u.paused.key);
}

void model_fold_resumed(struct model *model, const struct event *event)
{
    size_t at = model_find(model, event->step);
    if (at == model->steps.n || model->steps.v[at].state != STATE_PAUSED)
        return;
    model_set_state(model, &model->steps.v[at], STATE_QUEUED);
    model->steps.v[at].held_failed = model->steps.v[at].held_passed = false;
}

static void set_rule(struct model *model, const char *rule, bool set)
{
    size_t at = 0;
    while (at < model->breaks.n && strcmp(model->breaks.v[at], rule) != 0)
        at++;
    if (set && at == model->breaks.n) {
        vec_push(&model->breaks, mem_strdup(rule));
    } else if (!set && at < model->breaks.n) {
        free(model->breaks.v[at]);
        memmove(&model->breaks.v[at], &model->breaks.v[at + 1],
                (model->breaks.n - at - 1) * sizeof *model->breaks.v);
        model->breaks.n--;
    }
}

void model_fold_breakpoint(struct model *model, const struct event *event)
{
    size_t at = event->step ? model_find(model, event->step) : model->steps.n;
    if (at < model->steps.n)
        model->steps.v[at].breakpoint = event->u.breakpoint.set;
    if (event->u.breakpoint.rule)
        set_rule(model, event->u.breakpoint.rule, event->u.breakpoint.set);
}

bool model_has_break(const struct model *model, const char *rule)
{
    for (size_t i = 0; i < model->breaks.n; i++)
        if (strcmp(model->breaks.v[i], rule) == 0)
            return true;
    return false;
}

bool model_holds_failures(const struct model *model)
{
    return model_has_break(model, FAILURE);
}

void model_release_breaks(struct model *model)
{
    vec_each (char *, rule, &model->breaks)
        free(*rule);
    vec_release(&model->breaks);
}
