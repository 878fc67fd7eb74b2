/*
 * landing.c - the end of an execution: the commit protocol.
 *
 * The command ends -> a worker takes outputs and logs into the cache and looks whether any input
 * was touched -> watching, a second barrier brings in every event up to then -> only if nothing was
 * touched is the action result put, and that is the commit.
 */
#include "engine/boxing.h"
#include "engine/commit.h"
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"

#include <stdlib.h>

static uint64_t run_ms(const struct flight *flight)
{
    return (flight->exit.end_ns - flight->exit.start_ns) / 1000000;
}

/* A step that seems to disturb itself is not looked at again before somebody else changes an input,
 * or all is calm. Returns why it may never be, or what is to come. */
static const char *leave_alone(struct engine *e, struct flight *flight, const char *why)
{
    struct node *node = &e->nodes.v[flight->node];
    struct instance *next = node->current;
    node->taints = node->cancels = 0;
    node->deaf_until = e->clock.tick;
    node->left = true;
    node->left_key = flight->key;
    if (calm_wait(e, node))
        why = "it runs again when nothing changes for a while";
    if (next != flight->owner &&
        (next->state == READY || next->state == SHARING || next->state == QUEUED))
        instance_finish(e, next, STEP_CANCELLED, NULL, true, 0, why);
    return why;
}

/* Disturbed: the result does not belong to the key. Watching, the step is looked at again, unless
 * it seems to disturb itself. */
static void end_tainted(struct engine *e, struct commit *commit)
{
    struct flight *flight = commit->flight;
    struct node *node = &e->nodes.v[flight->node];
    const char *path = commit->check ? worktree_check_changed(commit->check) : NULL;
    bool watching = e->opt.mode == ENGINE_WATCH;
    bool again = watching && ++node->taints < ENGINE_MAX_TAINTS;
    bool fixed = path && e->nodes.v[flight->node].exec->fix;
    struct buf error = BUF_INIT;
    if (fixed)
        buf_addf(&error, "%s was fixed, or edited, while it ran", *path ? path : ".");
    else if (path)
        buf_addf(&error, "input %s changed while it ran", *path ? path : ".");
    else if (commit->rc < 0)
        buf_adds(&error, err_text(&commit->err));
    else
        buf_adds(&error, flight->disturbed ? flight->disturbed : "an input changed while it ran");
    buf_adds(&error, ": the result is not kept");
    if (again) {
        buf_adds(&error, "; it runs again");
    } else if (watching) {
        buf_adds(&error, "; ");
        buf_adds(&error, leave_alone(e, flight,
                                     fixed ? "each time anew: a fixer must come to rest"
                                           : "if the step writes it itself, declare it as an "
                                             "output and not as an input"));
    }
    if (again && node->current == flight->owner && !node->recheck) {
        node->recheck = true;
        e->n_recheck++;
    }
    note_result(e, flight->owner, HISTORY_TAINTED, run_ms(flight));
    commit_free(commit);
    flight_end(e, flight, node->value.known ? STEP_PASSED : STEP_FAILED, true, buf_str(&error));
    buf_release(&error);
}

/* Whether an event says that one of its inputs may have been touched. */
static bool inputs_touched(struct engine *e, const struct flight *flight)
{
    const struct node *node = &e->nodes.v[flight->node];
    for (size_t i = 0; i < node->locals.n; i++) {
        if (worktree_view_tick(e->worktree, e->locals.v[node->locals.v[i]].view) !=
            flight->ticks.v[i])
            return true;
    }
    return false;
}

static bool disturbed(struct engine *e, struct flight *flight)
{
    const struct node *node = &e->nodes.v[flight->node];
    if (flight->disturbed)
        return true;
    for (size_t i = 0; i < node->deps.n; i++) {
        const struct node *dep = &e->nodes.v[node->deps.v[i]];
        if (dep->out_view != WORKTREE_NONE &&
            worktree_view_tick(e->worktree, dep->out_view) != flight->dep_ticks.v[i]) {
            flight->disturbed = "an output that it needs was touched while it ran";
            return true;
        }
    }
    return false;
}

struct failure {
    struct flight *flight;
    char *error; /* owned, or NULL */
};

/* Whoever shared the execution has failed as well, unless there was more to it. */
static void keep_all_inputs(struct engine *e, const struct failure *failure)
{
    const struct flight *flight = failure->flight;
    keep_inputs(e, flight->owner);
    for (size_t i = 0; i < flight->sharers.n && !failure->error; i++)
        keep_inputs(e, flight->sharers.v[i]);
}

static void failure_finish(struct engine *e, struct failure *failure)
{
    struct flight *flight = failure->flight;
    struct node *node = &e->nodes.v[flight->node];
    bool cancelled = flight->cancelled;
    note_result(e, flight->owner, HISTORY_FAILED, run_ms(flight));
    if (!cancelled)
        keep_all_inputs(e, failure);
    if (flight->box && !cancelled)
        boxing_keep(e, flight);
    if (flight->box || !e->watch || !inputs_touched(e, flight))
        node->taints = node->cancels = 0;
    else if (++node->taints >= ENGINE_MAX_TAINTS)
        (void)leave_alone(
            e, flight,
            "its inputs changed while it ran, again and again; if it writes them itself, "
            "they are no inputs");
    if (cancelled)
        flight_end(e, flight, STEP_CANCELLED, flight->cancel_why != NULL, flight->cancel_why);
    else
        flight_end(e, flight, STEP_FAILED, false, failure->error);
    free(failure->error);
    free(failure);
}

static void passed(struct engine *e, struct flight *flight)
{
    note_result(e, flight->owner, HISTORY_PASSED, run_ms(flight));
    if (flight->box)
        kept_drop(e, e->nodes.v[flight->node].exec->name);
    flight_end(e, flight, STEP_PASSED, false, NULL);
}

/* What an isolated step gave stands in the working tree, where people and steps of the host look
 * for it. */
static void box_placed(void *ctx, struct restored *restored)
{
    struct flight *flight = ctx;
    struct engine *e = flight->engine;
    if (flight->cancelled || e->drained) {
        flight_end(e, flight, STEP_CANCELLED, flight->cancel_why != NULL, flight->cancel_why);
    } else if (restored->rc < 0 || restored->answer == CACHE_MISS) {
        char *text = mem_printf("its outputs could not be put into the project: %s",
                                restored->rc < 0 ? err_text(&restored->err)
                                                 : "they are no longer in the cache");
        engine_failed(e, flight->owner, 3);
        flight_end(e, flight, STEP_FAILED, false, text);
        free(text);
    } else {
        passed(e, flight);
    }
}

static void commit_finish(struct engine *e, struct commit *commit)
{
    struct flight *flight = commit->flight;
    struct node *node = &e->nodes.v[flight->node];
    if (flight->cancelled) {
        const char *why = flight->cancel_why;
        node->taints += why != NULL; /* it had ended: this is no edit in mid-run */
        commit_free(commit);
        flight_end(e, flight, STEP_CANCELLED, why != NULL, why);
        return;
    }
    if (commit->rc < 0 &&
        (commit->upper ||
         commit->err.kind != ERR_CORRUPT)) { /* an output that is not there, or can't be kept */
        struct failure *failure = mem_zalloc(1, sizeof *failure);
        failure->flight = flight;
        failure->error = mem_strdup(err_text(&commit->err));
        if (commit->upper && commit->err.kind == ERR_SYSTEM)
            engine_failed(e, flight->owner, 3);
        commit_free(commit);
        failure_finish(e, failure); /* the barrier has been */
        return;
    }
    if (commit->leak) {
        char *text = mem_printf("step %s wrote one of its secrets to its output %s, which is kept "
                                "as it is: whoever has the cache or the output can read it",
                                node->exec->name, commit->leak);
        engine_notice(e, "warning", text);
        free(text);
    }
    if (commit->outdated) {
        char *text = mem_printf("the system's packages changed while step %s ran: its result is "
                                "not kept, and the step runs again the next time",
                                node->exec->name);
        engine_notice(e, "warning", text);
        free(text);
    }
    if (!e->cache_warned && commit->stored.kind != ERR_NONE) {
        e->cache_warned = true;
        char *text = mem_printf("results are not being cached: %s", err_text(&commit->stored));
        engine_notice(e, "warning", text);
        free(text);
    }
    /* The outputs' content is true of this execution even when its inputs were touched, so what
     * depends on it may go on. */
    commit->value.key = flight->key;
    commit->value.input_root = flight->owner->input_root;
    bool set =
        commit->rc == 0 && value_set(e, node, &commit->value, commit->stored.kind == ERR_NONE);
    node->stamped = set && !commit->upper && !e->watch && node->exec->n_outputs;
    node->stamp = commit->stamp;
    node->stamp_ns = commit->stamp_ns;
    if (commit->rc == 0 && !set) {
        commit_free(commit);
        flight_end(e, flight, STEP_FAILED, false,
                   "its outputs could not be read back from the cache");
        return;
    }
    if (commit->rc < 0 || (!commit->upper && disturbed(e, flight)) ||
        (commit->check && worktree_check_changed(commit->check))) {
        end_tainted(e, commit);
        return;
    }
    node->taints = node->cancels = 0;
    node->calm_tries = 0;
    if (node->out_view != WORKTREE_NONE)
        node->out_tick = worktree_view_tick(e->worktree, node->out_view);
    if (commit->store && commit->stored.kind == ERR_NONE) {
        struct buf blob = BUF_INIT;
        struct err err = ERR_INIT;
        action_result_encode(&node->value.result, &blob);
        if (e->opt.passed && !commit->upper)
            e->opt.passed(e->opt.ctx, &flight->key, &blob);
        else if (cache_put_action(e->opt.cache, &flight->key, blob.data, blob.len, &err) < 0 &&
                 !e->cache_warned) {
            e->cache_warned = true;
            engine_notice(e, "warning", err_text(&err));
        }
        err_release(&err);
        buf_release(&blob);
    }
    if (commit->upper && node->exec->n_outputs)
        restore_outputs(e, node, box_placed, flight);
    else
        passed(e, flight);
    commit_free(commit);
}

static void checked_cb(struct commit *commit)
{
    struct engine *e = commit->engine;
    commit_finish(e, commit);
    engine_job_done(e);
}

static void barrier_cb(void *ctx, struct watch_clock clock)
{
    struct commit *commit = ctx;
    struct engine *e = commit->engine;
    e->clock = clock;
    /* An event may be about nothing that counts; the stats tell. Without one there is nothing to
     * look at. */
    if (inputs_touched(e, commit->flight)) {
        commit->capture = false;
        commit->check = commit->flight->check;
        commit->done = checked_cb;
        commit_queue(e->loop, commit);
        return;
    }
    commit_finish(e, commit);
    engine_job_done(e);
}

static void commit_cb(struct commit *commit)
{
    struct engine *e = commit->engine;
    if (e->watch && !commit->upper && !e->closing) {
        e->n_jobs++; /* the barrier answers exactly once, unless the watch is closed, which waits
                        for jobs */
        watch_barrier(e->watch, barrier_cb, commit);
    } else {
        commit_finish(e, commit);
    }
    engine_job_done(e);
}

static void failure_barrier(void *ctx, struct watch_clock clock)
{
    struct failure *failure = ctx;
    struct engine *e = failure->flight->engine;
    e->clock = clock;
    failure_finish(e, failure);
    engine_job_done(e);
}

/* A failure too may come of inputs that the step itself changed: watching, the events tell. error:
 * NULL where the exit says it. */
void flight_fail(struct engine *e, struct flight *flight, const char *error)
{
    struct failure *failure = mem_zalloc(1, sizeof *failure);
    failure->flight = flight;
    failure->error = error ? mem_strdup(error) : NULL;
    if (e->watch && !flight->box && !e->closing) {
        e->n_jobs++;
        watch_barrier(e->watch, failure_barrier, failure);
    } else {
        failure_finish(e, failure);
    }
}

void flight_commit(struct engine *e, struct flight *flight)
{
    struct node *node = &e->nodes.v[flight->node];
    struct commit *commit = mem_zalloc(1, sizeof *commit);
    commit->engine = e;
    commit->flight = flight;
    commit->cache = e->opt.cache;
    cache_use_begin(commit->cache); /* until commit_free() */
    commit->root = e->opt.root;
    commit->upper = flight->box ? boxing_upper(flight) : NULL;
    commit->exec = node->exec;
    commit->store = node->exec->cache && !e->opt.no_cache;
    commit->capture = true;
    commit->check = flight->check; /* watching, too: some changes cause no event */
    commit->done = commit_cb;
    e->n_jobs++;
    commit_queue(e->loop, commit);
}
