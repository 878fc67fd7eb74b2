/*
 * model_states.c - which steps are in which state, in what order they came there, and in what order
 * those that are queued will start.
 *
 * However many steps there are, an event costs the same; only a new pipeline is gone through whole.
 */
#include "tui/model_private.h"

#include "base/chains.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

size_t model_first(const struct model *model, enum step_state state)
{
    return model->counts[state] > 0 ? model->by_state[state].first : model->steps.n;
}

size_t model_last(const struct model *model, enum step_state state)
{
    return model->counts[state] > 0 ? model->by_state[state].last : model->steps.n;
}

static void link_last(struct model *model, struct model_step *step)
{
    size_t last = model_last(model, step->state), index = (size_t)(step - model->steps.v);
    bool is_first = model->counts[step->state]++ == 0;
    step->before = is_first ? NONE : last;
    step->after = NONE;
    if (is_first)
        model->by_state[step->state].first = index;
    else
        model->steps.v[last].after = index;
    model->by_state[step->state].last = index;
}

static void leave(struct model *model, const struct model_step *step)
{
    if (step->before == NONE)
        model->by_state[step->state].first = step->after;
    else
        model->steps.v[step->before].after = step->after;
    if (step->after == NONE)
        model->by_state[step->state].last = step->before;
    else
        model->steps.v[step->after].before = step->before;
    model->counts[step->state]--;
}

/* As the engine does it (order_steps() there). */
static void order_queue(struct model *model)
{
    size_t n = model->steps.n;
    uint64_t *ms = mem_zalloc(n + 1, sizeof *ms);
    uint32_t *places = mem_zalloc(n + 1, sizeof *places);
    VEC(struct chain_need) needs = VEC_INIT;
    for (size_t i = 0; i < n; i++) {
        ms[i] = model->steps.v[i].ran_ms;
        vec_each (size_t, need, &model->steps.v[i].needs)
            if (*need < i)
                vec_push(&needs, ((struct chain_need){(uint32_t)i, (uint32_t)*need}));
    }
    chains_order(n, ms, needs.v, needs.n, places);
    bits_release(&model->queue);
    bits_init(&model->queue, n);
    for (size_t i = 0; i < n; i++) {
        model->steps.v[i].place = places[i];
        if (model->steps.v[i].state == STATE_QUEUED)
            bits_put(&model->queue, places[i]);
    }
    vec_release(&needs);
    free(places);
    free(ms);
}

void model_states_add(struct model *model, struct model_step *step)
{
    step->state_no = ++model->state;
    link_last(model, step);
}

void model_set_state(struct model *model, struct model_step *step, enum step_state state)
{
    if (step->state == STATE_QUEUED)
        bits_take(&model->queue, step->place);
    leave(model, step);
    step->state = state;
    step->state_no = ++model->state;
    link_last(model, step);
    if (state == STATE_QUEUED && model->queue.n != model->steps.n)
        order_queue(model); /* some came without a pipeline */
    else if (state == STATE_QUEUED)
        bits_put(&model->queue, step->place);
}

static int compare(const void *left, const void *right)
{
    const struct model_step *a = *(struct model_step *const *)left;
    const struct model_step *b = *(struct model_step *const *)right;
    return a->state_no < b->state_no ? -1 : a->state_no > b->state_no;
}

void model_states_rebuild(struct model *model)
{
    struct model_step **steps = mem_alloc((model->steps.n + 1) * sizeof(struct model_step *));
    for (size_t i = 0; i < model->steps.n; i++)
        steps[i] = &model->steps.v[i];
    qsort(steps, model->steps.n, sizeof(struct model_step *), compare);
    memset(model->counts, 0, sizeof model->counts);
    for (size_t i = 0; i < model->steps.n; i++)
        link_last(model, steps[i]);
    free(steps);
    order_queue(model);
}

void model_states_release(struct model *model)
{
    bits_release(&model->queue);
}

size_t model_before(const struct model *model, const struct model_step *step)
{
    return bits_below(&model->queue, step->place);
}
