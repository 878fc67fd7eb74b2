/*
 * run.c - runs and instances: how they come, what follows from an instance's end, how they go (see
 * private.h).
 */
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/wants.h"

#include <stdlib.h>
#include <string.h>

void instance_forget(struct engine *e, struct instance *in)
{
    breaks_forget(e, in);
    if (in->state == READY) {
        forget_ready(e, in);
        turn_forget(e, in);
        round_forget(e, in);
        images_forget(e, in);
        secrets_forget(e, in);
    }
    if (in->state == FOLLOWING)
        ask_unfollow(e, in);
    if (in->state == QUEUED)
        forget_queued(e, in);
    if (in->flight && in->flight->owner != in) {
        struct flight *flight = in->flight;
        for (size_t i = 0; i < flight->sharers.n; i++) {
            if (flight->sharers.v[i] == in)
                flight->sharers.v[i--] = vec_pop(&flight->sharers);
        }
    }
}

static void run_finish(struct engine *e, struct run *run)
{
    for (size_t i = 0; i < e->runs.n; i++) {
        if (e->runs.v[i] == run) {
            memmove(&e->runs.v[i], &e->runs.v[i + 1], (e->runs.n - i - 1) * sizeof *e->runs.v);
            e->runs.n--;
            break;
        }
    }
    if (e->opt.mode != ENGINE_PLAN)
        emit_run_finished(e, run);
    bool bad = run->counts[STEP_FAILED] ||
               (e->opt.mode == ENGINE_RUN && (run->counts[STEP_CANCELLED] || run->left_out));
    if (!e->runs.n)
        e->stepping = false;
    if (e->opt.mode != ENGINE_WATCH)
        e->exit_code = e->exit_code < 2 ? bad : e->exit_code;
    else if (!e->root_gone) /* the last run counts */
        e->exit_code = run->code == 3 ? 3 : bad;
    if (run->ask)
        ask_done(e, run);
    record_free(run->record);
    vec_each (struct instance *, in, &run->instances) {
        (*in)->run = NULL;
        if (e->nodes.v[(*in)->node].current != *in)
            free(*in);
    }
    vec_release(&run->instances);
    free(run->id);
    free(run);
    if (e->opt.mode != ENGINE_PLAN)
        write_results(e, e->opt.mode == ENGINE_WATCH);
}

void engine_failed(struct engine *e, struct instance *in, int code)
{
    in->code = code;
    if (e->opt.mode != ENGINE_WATCH && e->exit_code < code)
        e->exit_code = code;
}

void instance_finish(struct engine *e, struct instance *in, enum step_status status,
                     const struct runner_exit *exit, bool tainted, uint64_t duration_ms,
                     const char *error)
{
    struct node *node = &e->nodes.v[in->node];
    instance_forget(e, in);
    in->state = DONE;
    in->status = status;
    in->flight = NULL;
    in->run->counts[status]++;
    in->run->code = in->run->code > in->code ? in->run->code : in->code;
    if (e->opt.mode != ENGINE_PLAN)
        emit_finished(e, in, exit, tainted, duration_ms, error);
    if (status == STEP_FAILED && !e->opt.keep_going && e->opt.mode == ENGINE_RUN) {
        e->stop_starting = true;
        ahead_withdraw(e);
    }
    if (status == STEP_FAILED && in->run->ask && !in->run->ask->opt.keep_going) {
        in->run->stopping = true;
        ahead_withdraw(e);
    }
    if (node->current == in) {
        ask_finish_followers(e, in, exit, tainted, duration_ms, error);
        vec_each (uint32_t, m, &node->dependents) {
            struct instance *dependent = e->nodes.v[*m].current;
            if (dependent && dependent->state == WAITING && --dependent->blocked == 0)
                schedule_ready(e, dependent);
        }
    }
    if (--in->run->pending == 0)
        run_finish(e, in->run);
}

struct run *run_open(struct engine *e, const char *trigger)
{
    struct run *run = mem_zalloc(1, sizeof *run);
    struct err err = ERR_INIT;
    run->trigger = trigger;
    run->start_ns = clock_monotonic_ns();
    if (e->opt.records && e->opt.mode != ENGINE_PLAN &&
        record_new(e->opt.records, &run->record, &err) < 0 && !e->state_warned) {
        e->state_warned = true;
        engine_notice(e, "warning", err_text(&err));
    }
    err_release(&err);
    run->id = mem_strdup(run->record ? record_id(run->record) : "0");
    vec_push(&e->runs, run);
    keep_inputs_resume(e, run);
    return run;
}

struct instance *instance_new(struct run *run, uint32_t node)
{
    struct instance *in = mem_zalloc(1, sizeof *in);
    in->node = node;
    in->run = run;
    in->state = WAITING;
    in->attempt = 1;
    vec_push(&run->instances, in);
    return in;
}

struct instance *instance_enter(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    struct instance *old = node->current;
    in->tainted_before = node->recheck;
    in->forced = e->forced[in->node];
    e->n_recheck -= node->recheck;
    node->current = in;
    node->recheck = false;
    if (!old || old->run)
        return old;
    free(old);
    return NULL;
}

void instance_arm(struct engine *e, struct instance *in)
{
    in->blocked = 0;
    vec_each (uint32_t, dep, &e->nodes.v[in->node].deps) {
        const struct instance *upstream = e->nodes.v[*dep].current;
        in->blocked += upstream && upstream->state != DONE;
    }
    if (in->blocked == 0)
        schedule_ready(e, in);
}

void run_set_going(struct engine *e, struct run *run)
{
    vec_each (struct instance *, in, &run->instances) {
        if (e->nodes.v[(*in)->node].current == *in)
            instance_arm(e, *in);
    }
}

struct run *run_new(struct engine *e, const char *trigger, const bool *affected)
{
    struct run *run = run_open(e, trigger);
    /* An older instance that has not begun has nothing to say any more; one that runs goes on until
     * its successor knows its key. */
    VEC(struct instance *) superseded = VEC_INIT;
    for (size_t i = 0; i < e->nodes.n; i++) {
        if (!affected[i])
            continue;
        struct instance *old = instance_enter(e, instance_new(run, (uint32_t)i));
        if (old && (old->state == WAITING || old->state == READY || old->state == QUEUED ||
                    old->state == SHARING || old->state == HELD))
            vec_push(&superseded, old);
    }
    run->pending = run->instances.n;
    if (e->opt.mode != ENGINE_PLAN)
        emit_run_started(e, run);
    vec_each (struct instance *, old, &superseded) {
        if ((*old)->state == HELD)
            breaks_end(e, *old);
        else if ((*old)->run->ask)
            ask_follow(e, *old);
        else
            instance_finish(e, *old, STEP_CANCELLED, NULL, false, 0,
                            "its inputs changed before it began");
    }
    vec_release(&superseded);
    run_set_going(e, run);
    return run;
}
