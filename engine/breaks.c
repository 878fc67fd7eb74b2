/*
 * breaks.c - breakpoints: steps that are held before they start, or after they failed, until a
 * person lets them go on.
 *
 * Before it starts the instance stays QUEUED, in its place; it holds no turn, no box and none of
 * the places to run. After it failed it is HELD with the failure that it will be finished with: its
 * log and its box are kept already, what depends on it waits, and it can be run again instead.
 *
 * They are this kiln's alone: while there are any, nobody else's run is done here (ask.c), for a
 * person's pause must not hold up somebody's commit.
 */
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"

#include <stdlib.h>
#include <string.h>

struct held_failure {
    struct runner_exit exit;
    bool tainted;
    uint64_t duration_ms;
    char *error; /* or NULL */
};

bool breaks_any(const struct engine *e)
{
    return e->breaks.count > 0 || e->break_on_failure;
}

void breaks_set(struct engine *e, const char *step, bool set)
{
    bool was = step ? map_get_str(&e->breaks, step) != NULL : e->break_on_failure;
    if (was == set || (step && set && graph_find(e->graph, step) == OP_NONE))
        return;
    if (!step)
        e->break_on_failure = set;
    else if (set)
        map_put_str(&e->breaks, step, e);
    else
        (void)map_del_str(&e->breaks, step);
    struct event event = {.type = EVENT_BREAKPOINT, .step = step, .u.breakpoint = {set}};
    emit(e, NULL, &event);
    if (set)
        asks_refuse(e, true);
}

void breaks_close(struct engine *e)
{
    map_release(&e->breaks);
    vec_release(&e->held_steps);
}

static void forget(struct engine *e, const struct instance *in)
{
    for (size_t i = 0; i < e->held_steps.n; i++) {
        if (e->held_steps.v[i] != in)
            continue;
        memmove(&e->held_steps.v[i], &e->held_steps.v[i + 1],
                (e->held_steps.n - i - 1) * sizeof *e->held_steps.v);
        e->held_steps.n--;
        return;
    }
}

void breaks_forget(struct engine *e, struct instance *in)
{
    if (!in->held)
        return;
    in->held = false;
    forget(e, in);
    if (in->failure)
        free(in->failure->error);
    free(in->failure);
    in->failure = NULL;
}

bool breaks_hold(struct engine *e, struct instance *in)
{
    const char *name = e->nodes.v[in->node].exec->name;
    if (in->held)
        return true;
    if (in->let_go || !e->breaks.count || !map_get_str(&e->breaks, name))
        return false;
    in->held = true;
    vec_push(&e->held_steps, in);
    struct event event = {.type = EVENT_STEP_PAUSED, .step = name};
    emit(e, in->run, &event);
    return true;
}

bool breaks_holds_failure(const struct engine *e, const struct flight *flight)
{
    return e->break_on_failure && !e->drained && !e->closing && !e->stop_starting &&
           !flight->shell && flight->exit.end_ns && !flight->owner->run->ask &&
           e->nodes.v[flight->node].current == flight->owner;
}

void breaks_hold_failed(struct engine *e, struct instance *in, const struct runner_exit *exit,
                        bool tainted, uint64_t duration_ms, const char *error)
{
    const struct node *node = &e->nodes.v[in->node];
    in->state = HELD;
    in->flight = NULL;
    in->held = true;
    in->failure = mem_zalloc(1, sizeof *in->failure);
    *in->failure = (struct held_failure){.exit = *exit,
                                         .tainted = tainted,
                                         .duration_ms = duration_ms,
                                         .error = error ? mem_strdup(error) : NULL};
    in->failure->exit.lost = NULL;
    vec_push(&e->held_steps, in);
    struct event event = {.type = EVENT_STEP_PAUSED,
                          .step = node->exec->name,
                          .u.paused = {.failed = true,
                                       .exit_code = exit->exit_code,
                                       .signal = exit->signal,
                                       .timed_out = exit->timed_out,
                                       .duration_ms = duration_ms,
                                       .error = error,
                                       .box = node->kept}};
    emit(e, in->run, &event);
}

bool breaks_stop_starting(const struct engine *e)
{
    if (e->opt.mode != ENGINE_RUN || e->opt.keep_going)
        return false;
    vec_each (struct instance *, in, (instances *)&e->held_steps) {
        if ((*in)->state == HELD)
            return true; /* whether anything else is to start is what the person decides */
    }
    return false;
}

void breaks_fail(struct engine *e, struct instance *in)
{
    struct held_failure *failure = in->failure;
    in->failure = NULL;
    instance_finish(e, in, STEP_FAILED, &failure->exit, failure->tainted, failure->duration_ms,
                    failure->error);
    free(failure->error);
    free(failure);
}

static void resume(struct engine *e, struct instance *in)
{
    struct event event = {.type = EVENT_STEP_RESUMED, .step = e->nodes.v[in->node].exec->name};
    emit(e, in->run, &event);
}

void breaks_go_on(struct engine *e, const char *step)
{
    instances held = VEC_INIT;
    vec_each (struct instance *, in, &e->held_steps) {
        if (!step || strcmp(e->nodes.v[(*in)->node].exec->name, step) == 0)
            vec_push(&held, *in);
    }
    vec_each (struct instance *, at, &held) {
        struct instance *in = *at;
        resume(e, in);
        if (in->state == HELD) {
            breaks_fail(e, in);
        } else {
            breaks_forget(e, in);
            in->let_go = true;
        }
    }
    vec_release(&held);
    schedule_pump(e);
}

bool breaks_retry(struct engine *e, struct node *node)
{
    struct instance *in = node->current;
    if (!in || !in->held)
        return false;
    bool failed = in->state == HELD;
    resume(e, in);
    breaks_forget(e, in);
    in->let_go = true;
    if (failed) {
        in->attempt = 1;
        in->forced = true;
        if (e->watch) {
            schedule_ready(e, in);
        } else { /* it may have been mended, which nothing tells of */
            worktree_mark_all(e->worktree, 0);
            round_look_again(e, in);
        }
    }
    schedule_pump(e);
    return true;
}
