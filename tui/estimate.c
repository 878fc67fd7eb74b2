#include "tui/estimate.h"

#include "base/mem.h"

#include <stdlib.h>

/* It waits for what has not come to anything, so it will not run. */
static bool is_lost(const struct model *model, const struct model_step *step)
{
    size_t need = model_blocker(model, step);
    if (step->state != STATE_WAITING || need == model->steps.n)
        return false;
    enum step_state state = model->steps.v[need].state;
    return state == STATE_FAILED || state == STATE_SKIPPED || state == STATE_CANCELLED;
}

/* What is left of the step itself, in ms. */
static uint64_t own(const struct model_step *step, uint64_t now_ns, struct estimate *estimate)
{
    bool runs = step->state == STATE_RUNNING;
    uint64_t usual = runs ? step->last_ms : step->ran_ms;
    uint64_t spent = runs ? model_elapsed_ms(step, now_ns) : 0;
    bool held = step->state == STATE_PAUSED; /* nobody knows for how long */
    estimate->at_least = estimate->at_least || held;
    if (held && (step->held_failed || step->held_passed))
        return 0;
    if (!runs && !held && step->state != STATE_WAITING && step->state != STATE_QUEUED)
        return 0;
    estimate->known = estimate->known || usual > 0;
    estimate->at_least = estimate->at_least || usual == 0 || spent > usual;
    return usual > spent ? usual - spent : 0;
}

struct estimate estimate_left(const struct model *model, uint64_t now_ns)
{
    struct estimate estimate = {0};
    uint64_t longest = 0, all = 0;
    if (model->run_state != RUN_ACTIVE)
        return estimate;
    uint64_t *ends = mem_zalloc(model->steps.n + 1, sizeof *ends);
    for (size_t i = 0; i < model->steps.n; i++) {
        const struct model_step *step = &model->steps.v[i];
        uint64_t ms = is_lost(model, step) ? 0 : own(step, now_ns, &estimate);
        vec_each (size_t, need, &step->needs)
            if (*need < i && ends[*need] > ends[i])
                ends[i] = ends[*need];
        ends[i] += ms;
        all += ms;
        if (ends[i] > longest)
            longest = ends[i];
    }
    free(ends);
    uint64_t shared = all / (model->jobs ? model->jobs : 1);
    estimate.ms = shared > longest ? shared : longest;
    return estimate;
}
