/*
 * plan.c - what would run and why, for those who only ask: an instance is told instead of started.
 */
#include "engine/private.h"
#include "engine/running.h"
#include "engine/tell.h"

#include <unistd.h>

struct missing {
    struct cache *cache;
    bool lost;
};

static bool look_for_content(void *ctx, const char *path, const struct tree_entry *old,
                             const struct tree_entry *now)
{
    struct missing *missing = ctx;
    enum cache_answer answer = CACHE_MISS;
    int fd = -1;
    (void)path;
    if (!now || now->kind != TREE_FILE ||
        (old && old->kind == TREE_FILE && digest_eq(&old->digest, &now->digest)))
        return true;
    missing->lost = cache_open_blob(missing->cache, &now->digest, &fd, &answer, NULL) != 0 ||
                    answer == CACHE_MISS;
    if (fd >= 0)
        close(fd);
    return !missing->lost;
}

bool plan_can_restore(struct engine *e, const struct node *node)
{
    struct missing missing = {.cache = e->opt.cache};
    struct digest now;
    if (node->out_view == WORKTREE_NONE || e->opt.git ||
        worktree_digest(e->worktree, node->out_view, &now, NULL, NULL) != WORKTREE_READY)
        return true;
    return trees_compare(e->trees, &now, &node->value.tree, look_for_content, &missing, NULL) ==
               0 &&
           !missing.lost;
}

void plan_emit(struct engine *e, struct instance *in, const char *error)
{
    const struct node *node = &e->nodes.v[in->node];
    char hex[DIGEST_HEX + 1];
    struct reasons reasons = {0};
    digest_hex(&in->key, hex);
    if (in->plan == PLAN_RUN && !error && !e->opt.unexplained)
        reasons_of(e, in, &reasons);
    struct plan_step step = {.name = node->exec->name,
                             .state = in->plan,
                             .key = in->has_key ? hex : NULL,
                             .reasons = reasons.list.v,
                             .n_reasons = reasons.list.n,
                             .all_reasons = reasons.all,
                             .error = error};
    if (in->plan == PLAN_PENDING && !plan_waits(e, node))
        step.image = node->exec->image;
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
