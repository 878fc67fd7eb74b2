/*
 * schedule.c - which step may go next; run.c has the runs and instances that this is about.
 *
 * Ready means ready to be checked: only the check decides between a hit, a share of somebody else's
 * flight and a flight of its own.
 */
#include "base/chains.h"
#include "engine/boxing.h"
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/wants.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *name_of(const struct engine *e, const struct instance *in)
{
    return e->nodes.v[in->node].exec->name;
}

bool schedule_busy(const struct engine *e)
{
    return e->runs.n > 0;
}

void schedule_ready(struct engine *e, struct instance *in)
{
    in->state = READY;
    if (in->ready)
        return;
    vec_push(&e->ready, in);
    in->ready = e->ready.n;
}

void forget_ready(struct engine *e, struct instance *in)
{
    if (in->ready)
        e->ready.v[in->ready - 1] = NULL;
    in->ready = 0;
}

void order_steps(struct engine *e)
{
    size_t n = e->nodes.n;
    uint64_t *ms = mem_zalloc(n + 1, sizeof *ms);
    uint32_t *places = mem_zalloc(n + 1, sizeof *places);
    VEC(struct chain_need) needs = VEC_INIT;
    for (size_t i = 0; i < n; i++) {
        const struct node *node = &e->nodes.v[i];
        ms[i] = usual_ms(e, node);
        /* What a step that nobody asked for would gain counts for nothing. */
        vec_each (uint32_t, dep, (ids *)&node->deps)
            if (node->selected || !e->nodes.v[*dep].selected)
                vec_push(&needs, ((struct chain_need){(uint32_t)i, *dep}));
    }
    chains_order(n, ms, needs.v, needs.n, places);
    e->node_at = mem_zalloc(n + 1, sizeof *e->node_at);
    for (uint32_t i = 0; i < n; i++) {
        e->nodes.v[i].place = places[i];
        e->node_at[places[i]] = i;
    }
    bits_init(&e->queue, n);
    vec_release(&needs);
    free(places);
    free(ms);
}

void order_release(struct engine *e)
{
    bits_release(&e->queue);
    free(e->node_at);
    e->node_at = NULL;
}

static void enqueue(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    assert(!node->queued);
    in->state = QUEUED;
    node->queued = in;
    bits_put(&e->queue, node->place);
}

void forget_queued(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    if (node->queued != in)
        return;
    node->queued = NULL;
    bits_take(&e->queue, node->place);
}

/* An upstream step that did not pass, or NULL. */
static const struct instance *upstream_trouble(const struct engine *e, const struct node *node)
{
    vec_each (uint32_t, dep, (ids *)&node->deps) {
        const struct instance *upstream = e->nodes.v[*dep].current;
        if (upstream && upstream->status != STEP_PASSED && upstream->status != STEP_CACHED)
            return upstream;
    }
    return NULL;
}

static bool look_up(struct engine *e, struct node *node, const struct instance *in)
{
    struct value value = {0};
    bool hit = foresee_take(e, &in->key, &value) || foresee_read(e->opt.cache, &in->key, &value);
    if (hit) {
        value.input_root = in->input_root;
        hit = value_set(e, node, &value, true);
    }
    value_release(&value);
    return hit;
}

bool outputs_in_place(struct engine *e, const struct node *node)
{
    struct digest now;
    if (node->out_view == WORKTREE_NONE)
        return true;
    enum worktree_answer answer = worktree_digest(e->worktree, node->out_view, &now, NULL, NULL);
    return answer == WORKTREE_READY && digest_eq(&now, &node->value.tree);
}

static void share(struct engine *e, struct flight *flight, struct instance *in)
{
    in->state = SHARING;
    in->flight = flight;
    vec_push(&flight->sharers, in);
    emit_so_far(e, flight, in);
    vec_each (struct instance *, follower, &e->nodes.v[in->node].followers)
        emit_so_far(e, flight, *follower);
}

/* True when the instance has to wait for another execution, which may be one that it has just told
 * to end. */
static bool waits_for_flight(struct engine *e, struct node *node, struct instance *in)
{
    if (node->restoring)
        return true; /* the end of the restoring makes it ready again */
    if (node->flight) {
        if (digest_eq(&node->flight->key, &in->key) && !node->flight->cancelled && !in->forced) {
            share(e, node->flight, in);
        } else if (in->forced || node->cancels < ENGINE_MAX_CANCELS) {
            flight_cancel(node->flight,
                          in->forced ? "it is started anew" : "its inputs changed while it ran");
        }
        return true;
    }
    void **place = map_get(&e->flights, in->key.hash, sizeof in->key.hash);
    if (place && node->exec->cache && !in->forced && !e->opt.no_cache) {
        share(e, *place, in);
        return true;
    }
    return false;
}

/* Puts the place of the pattern to blame before the message, or at least the step's. */
static void say_where(const struct engine *e, const struct node *node, struct err *err)
{
    const struct op_exec *exec = node->exec;
    vec_each (uint32_t, index, (ids *)&node->locals) {
        const struct local *local = &e->locals.v[*index];
        if (local->answer != WORKTREE_BROKEN)
            continue;
        bool placed = exec->input_where && local->bad < exec->n_input_where;
        err_wrap(err, "%s", placed ? exec->input_where[local->bad] : exec->where);
        return;
    }
}

void instance_check(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    struct err err = ERR_INIT;
    bool planning = e->opt.mode == ENGINE_PLAN;
    const struct instance *trouble = upstream_trouble(e, node);
    if (trouble && !planning) {
        char *text = mem_printf("it needs %s, which %s", name_of(e, trouble),
                                trouble->status == STEP_FAILED      ? "failed"
                                : trouble->status == STEP_CANCELLED ? "was cancelled"
                                                                    : "was skipped");
        instance_finish(e, in, STEP_SKIPPED, NULL, false, 0, text);
        free(text);
        return;
    }
    if (planning && plan_waits(e, node)) {
        in->plan = PLAN_PENDING;
        plan_emit(e, in, NULL);
        return;
    }
    if (images_wait(e, in))
        return;
    const struct pin *pin = images_pin(e, node);
    if (planning && pin && pin->state == PIN_UNKNOWN) { /* nobody has asked what it means */
        in->plan = PLAN_PENDING;
        plan_emit(e, in, NULL);
        return;
    }
    if (pin && pin->state == PIN_FAILED) {
        engine_failed(e, in, pin->code);
        in->plan = PLAN_RUN;
        if (planning)
            plan_emit(e, in, pin->error);
        else
            instance_finish(e, in, STEP_FAILED, NULL, false, 0, pin->error);
        return;
    }
    if (secrets_wait(e, in))
        return;
    if (key_of(e, in, &err) < 0) {
        say_where(e, node, &err);
        char *text = mem_printf("%s", err_text(&err));
        engine_failed(e, in, err.kind == ERR_SYSTEM ? 3 : 2);
        err_release(&err);
        in->plan = PLAN_RUN;
        if (planning)
            plan_emit(e, in, text);
        else
            instance_finish(e, in, STEP_FAILED, NULL, false, 0, text);
        free(text);
        return;
    }
    if (waits_for_flight(e, node, in))
        return;
    if (node->left && !in->forced && digest_eq(&node->left_key, &in->key)) {
        instance_finish(
            e, in, STEP_SKIPPED, NULL, true, 0,
            "it disturbs itself, as was said; it runs again when an input changes, or by hand");
        return;
    }
    node->left = false;
    hints_release(&node->hints);
    calm_forget(e, node);

    bool look =
        !in->forced && !e->opt.force && !e->opt.no_cache && node->exec->cache && !in->evicted;
    bool hit = look && look_up(e, node, in);
    if (hit && planning && !plan_can_restore(e, node))
        hit = !(in->evicted = true);
    if (hit) {
        in->plan = PLAN_CACHED;
        if (planning) {
            plan_emit(e, in, NULL);
        } else if (in->restored || (!in->waited && outputs_in_place(e, node))) {
            node->taints = node->cancels = 0;
            if (node->out_view != WORKTREE_NONE && !in->restored)
                node->out_tick = worktree_view_tick(e->worktree, node->out_view);
            note_result(e, in, HISTORY_PASSED, result_ms(&node->value.result));
            instance_finish(e, in, STEP_CACHED, NULL, false, 0, NULL);
        } else if (turn_take(e, node)) {
            restore_start(e, in);
        } else {
            turn_wait(e, in, NULL);
        }
        return;
    }
    in->plan = PLAN_RUN;
    if (planning) {
        plan_emit(e, in, NULL);
        return;
    }
    enqueue(e, in);
    if (!in->told)
        emit_queued(e, in);
    in->told = true;
}

void schedule_cancel(struct engine *e, struct instance *in, const char *why)
{
    if (in->state == DONE)
        return;
    if (in->state == RUNNING && in->flight)
        flight_cancel(in->flight, why);
    else if (in->state == HELD)
        breaks_end(e, in);
    else if (in->state == RESTORING)
        in->unwanted = true;
    else
        instance_finish(e, in, STEP_CANCELLED, NULL, false, 0, why);
}

char *skip_words(const struct engine *e, const struct instance *in)
{
    const struct instance *trouble = upstream_trouble(e, &e->nodes.v[in->node]);
    if (trouble && trouble->state == DONE && trouble->status == STEP_FAILED)
        return mem_printf("it needs %s, which failed", name_of(e, trouble));
    return mem_strdup("not started, because another step failed (--keep-going starts it)");
}

/* Without keep-going, a failure ends what has not begun; what runs is let finish. */
static bool skip_the_rest(struct engine *e)
{
    bool any = false;
    for (size_t r = e->runs.n; r-- > 0;) {
        struct run *run = e->runs.v[r];
        VEC(struct instance *) rest = VEC_INIT;
        vec_each (struct instance *, in, &run->instances) {
            if ((*in)->state == WAITING || (*in)->state == QUEUED || (*in)->state == READY)
                vec_push(&rest, *in);
        }
        vec_each (struct instance *, in, &rest) {
            char *text = skip_words(e, *in);
            instance_finish(e, *in, STEP_SKIPPED, NULL, false, 0, text);
            free(text);
            any = true;
        }
        vec_release(&rest);
    }
    vec_clear(&e->ready);
    return any;
}

/* While it was queued its inputs, or its secrets, may have become others without its being
 * superseded. */
static bool key_is_old(struct engine *e, struct instance *in)
{
    const struct op_exec *exec = e->nodes.v[in->node].exec;
    struct digest now, key = in->key;
    struct err err = ERR_INIT;
    bool old = !value_of(e, exec->input, &now, &err) || !digest_eq(&now, &in->input_root);
    if (!old && exec->n_secrets)
        old = !secrets_known(e, exec) || key_of(e, in, &err) < 0 || !digest_eq(&key, &in->key);
    err_release(&err);
    return old;
}

/* Starts it, or parks it until what it needs for itself is free. */
static void start(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    struct flight_caches *caches;
    const char *busy;
    if (!turn_take(e, node)) {
        turn_wait(e, in, NULL);
    } else if (!caches_take(e, node->exec, &caches, &busy)) {
        turn_give(e, node);
        turn_wait(e, in, busy);
    } else {
        flight_start(e, in, caches);
    }
}

static bool start_one(struct engine *e)
{
    if (e->n_withdrawing || (e->n_running >= e->jobs && !ahead_may_start(e)))
        return false;
    bool by_hand = breaks_stop_starting(e);
    for (size_t at = bits_next(&e->queue, 0); at < e->queue.n; at = bits_next(&e->queue, at + 1)) {
        struct node *node = &e->nodes.v[e->node_at[at]];
        struct instance *in = node->queued;
        if ((by_hand && !in->let_go) || node->flight || node->restoring || breaks_hold(e, in) ||
            typing_waits(e, node))
            continue;
        if ((node->boxed || node->exec->interactive) && e->n_running >= e->jobs)
            return false; /* in nobody else's place */
        forget_queued(e, in);
        /* An equal key may have taken off since this one was checked. */
        if (key_is_old(e, in))
            schedule_ready(e, in);
        else if (!waits_for_flight(e, node, in))
            start(e, in);
        return true;
    }
    return false;
}

void schedule_pump(struct engine *e)
{
    if (e->pumping)
        return;
    if (e->drained) { /* everything is being ended: nothing new begins */
        skip_the_rest(e);
        engine_check_drained(e);
        return;
    }
    e->pumping = true;
    for (bool more = true; more;) {
        for (size_t i = 0; i < e->ready.n && !e->stop_starting; i++) {
            struct instance *in = e->ready.v[i];
            e->ready.v[i] = NULL;
            if (!in)
                continue;
            in->ready = 0;
            if (in->state == READY)
                instance_check(e, in);
        }
        more = asks_stop(e);
        if (e->stop_starting)
            more |= skip_the_rest(e);
        else
            vec_clear(&e->ready);
        while (!e->stop_starting && start_one(e))
            more = true;
        more = more || e->ready.n > 0;
    }
    e->pumping = false;
    if (e->drained) {
        engine_check_drained(e);
        return;
    }
    if (e->started && !e->finished && e->runs.n == 0 && e->round == ROUND_IDLE &&
        e->opt.mode != ENGINE_WATCH && !keep_inputs_busy(e)) {
        e->finished = true;
        e->opt.done(e->opt.ctx);
    } else if (e->opt.mode == ENGINE_WATCH) {
        round_next(e);
    }
}
