/*
 * plan.c - what would run and why, for those who only ask: an instance is told instead of started.
 */
#include "engine/private.h"

void plan_emit(struct engine *e, struct instance *in, const char *error)
{
    const struct node *node = &e->nodes.v[in->node];
    char hex[DIGEST_HEX + 1];
    struct reasons reasons = {0};
    digest_hex(&in->key, hex);
    if (in->plan == PLAN_RUN && !error)
        reasons_of(e, in, &reasons);
    struct plan_step step = {.name = node->exec->name,
                             .state = in->plan,
                             .key = in->has_key ? hex : NULL,
                             .reasons = reasons.list.v,
                             .n_reasons = reasons.list.n,
                             .all_reasons = reasons.all,
                             .error = error};
    if (reasons.base) {
        step.since_run = reasons.base->run;
        step.since_status = history_status_name(reasons.base->status);
        step.since_ns = reasons.base->time_ns;
    }
    if (in->plan == PLAN_CACHED && node->value.known) {
        const struct action_result *result = &node->value.result;
        step.made_by = result->worker;
        step.made_ns = result->end_ns;
        step.made_ms = result_ms(result);
    }
    if (e->opt.plan)
        e->opt.plan(e->opt.ctx, &step);
    reasons_release(&reasons);
    instance_finish(e, in, in->plan == PLAN_CACHED ? STEP_CACHED : STEP_PASSED, NULL, false, 0,
                    error);
}

bool plan_waits(const struct engine *e, const struct node *node)
{
    vec_each (uint32_t, dep, (ids *)&node->deps) {
        const struct instance *upstream = e->nodes.v[*dep].current;
        if (upstream && upstream->plan != PLAN_CACHED)
            return true;
    }
    return false;
}
