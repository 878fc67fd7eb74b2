/*
 * ask.c - runs for somebody who asked: a command elsewhere that need not look at the tree itself.
 *
 * What was asked for before a round began is answered when it ends, for by then all that happened
 * before has been seen. Each step wanted gets an instance in the asker's run:
 *
 *   at once     the last round left the step passed or cached and nothing that it reads or made has
 *               changed since, so its key is what it was: the instance is cached, without a look
 *   following   another run has the step under way: its outcome is this instance's too. An edit
 *               that supersedes the step there keeps the follower waiting for the new outcome
 *   of its own  anything else (it failed, it is never cached, its outputs are not in place): the
 *               instance becomes the node's current one and is checked as always
 *
 * So an equal step runs once, whoever wants it, and who asked gets what a process of its own would
 * have found.
 */
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"

#include <stdlib.h>
#include <string.h>

#define MOST_FILES 256

/* -- taking a wish on -------------------------------------------------------------------------- */

static void want(struct engine *e, bool *wanted, uint32_t first)
{
    ids stack = VEC_INIT;
    vec_push(&stack, first);
    while (stack.n) {
        uint32_t index = vec_pop(&stack);
        if (wanted[index])
            continue;
        wanted[index] = true;
        vec_each (uint32_t, dep, &e->nodes.v[index].deps)
            vec_push(&stack, *dep);
    }
    vec_release(&stack);
}

/* What is not watched, since it would rewrite people's files. Whether it has passed on a tree of
 * git the cache tells, where the step's inputs come from nothing but that tree. */
static bool is_fixer_aside(const struct engine *e, const struct node *node)
{
    op_id input = node->exec->input;
    return node->exec->fix && !node->selected && !node->exec->n_secrets && input != OP_NONE &&
           e->graph->ops[input].kind == OP_LOCAL;
}

/* Marks the steps and all they need; false when one is unknown, interactive or not watched, or left
 * alone here (who asks is to run it). */
static bool want_all(struct engine *e, const struct engine_ask *opt, bool *wanted)
{
    if (!e->nodes.n)
        return false;
    for (size_t i = 0; i < opt->n_steps; i++) {
        op_id op = graph_find(e->graph, opt->steps[i]);
        if (op == OP_NONE)
            return false;
        want(e, wanted, e->node_of[op]);
    }
    for (size_t i = 0; i < e->nodes.n; i++) {
        const struct node *node = &e->nodes.v[i];
        wanted[i] |= opt->n_steps == 0 && !node->exec->fix;
        bool told = node->selected || (opt->git && is_fixer_aside(e, node));
        if (wanted[i] && (!told || node->left || node->deaf_until ||
                          node->exec->interactive)) /* the terminal is the asker's */
            return false;
    }
    return true;
}

/* Whether one of them has been left alone since. */
static bool left_alone(const struct engine *e, const struct ask *ask)
{
    for (size_t i = 0; i < e->nodes.n; i++) {
        const struct node *node = &e->nodes.v[i];
        if (ask->wanted[i] && (node->left || node->deaf_until))
            return true;
    }
    return false;
}

static void ask_free(struct engine *e, struct ask *ask)
{
    for (size_t i = 0; i < e->asks.n; i++) {
        if (e->asks.v[i] != ask)
            continue;
        memmove(&e->asks.v[i], &e->asks.v[i + 1], (e->asks.n - i - 1) * sizeof *e->asks.v);
        e->asks.n--;
        break;
    }
    if (ask->run)
        ask->run->ask = NULL;
    free(ask->wanted);
    free(ask);
}

/* Frees it and calls back. */
static void answer(struct engine *e, struct ask *ask, int code)
{
    struct engine_ask opt = ask->opt;
    ask_free(e, ask);
    opt.done(opt.ctx, code);
}

struct ask *engine_ask(struct engine *e, const struct engine_ask *options)
{
    bool steady = e->opt.mode == ENGINE_WATCH && e->graph && e->started && !e->drained &&
                  !e->closing && !e->finished && !e->reload_asked && !e->reloading;
    /* Without records the logs are gone before the asker can read them. What no event may tell of
     * is seen by who looks himself. */
    if (!steady || e->paused || breaks_any(e) || e->opt.no_cache || e->opt.force ||
        !e->opt.records || !e->watch || watch_counts(e->watch).polled ||
        worktree_linked(e->worktree) || !runner_works(e->opt.runner))
        return NULL;
    bool *wanted = mem_zalloc(e->nodes.n + 1, sizeof *wanted);
    if (!want_all(e, options, wanted)) {
        free(wanted);
        return NULL;
    }
    struct ask *ask = mem_zalloc(1, sizeof *ask);
    ask->opt = *options;
    ask->opt.steps = NULL;
    ask->wanted = wanted;
    vec_push(&e->asks, ask);
    e->round_wanted = true;
    round_next(e);
    return ask;
}

void asks_refuse(struct engine *e, bool all)
{
    for (size_t i = e->asks.n; i-- > 0;) {
        if (all || !e->asks.v[i]->run)
            answer(e, e->asks.v[i], -1);
    }
}

/* -- following --------------------------------------------------------------------------------- */

void ask_follow(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    instance_forget(e, in);
    in->state = FOLLOWING;
    in->flight = NULL;
    vec_push(&node->followers, in);
    struct flight *flight = node->current->flight;
    if (flight && (node->current->state == RUNNING || node->current->state == SHARING))
        emit_so_far(e, flight, in);
}

void ask_unfollow(struct engine *e, const struct instance *in)
{
    instances *followers = &e->nodes.v[in->node].followers;
    for (size_t i = 0; i < followers->n; i++) {
        if (followers->v[i] == in)
            followers->v[i--] = vec_pop(followers);
    }
}

void ask_finish_followers(struct engine *e, struct instance *in, const struct runner_exit *exit,
                          bool tainted, uint64_t duration_ms, const char *error)
{
    instances *followers = &e->nodes.v[in->node].followers;
    while (followers->n) {
        struct instance *follower = vec_pop(followers);
        follower->key = in->key;
        follower->has_key = in->has_key;
        follower->code = in->code;
        instance_finish(e, follower, in->status, exit, tainted, duration_ms, error);
    }
}

void ask_hand_over(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    if (node->current != in || !node->followers.n)
        return;
    struct instance *heir = vec_pop(&node->followers);
    node->current = heir;
    heir->state = WAITING;
    instance_arm(e, heir);
}

static bool has_begun(const struct instance *in)
{
    return in->state == RUNNING || in->state == RESTORING || in->state == SHARING ||
           in->state == HELD || in->state == DONE;
}

bool asks_stop(struct engine *e)
{
    instances rest = VEC_INIT;
    vec_each (struct run *, run, &e->runs) {
        if (!(*run)->stopping)
            continue;
        vec_each (struct instance *, in, &(*run)->instances) {
            if (!has_begun(*in))
                vec_push(&rest, *in);
        }
        (*run)->stopping = false; /* a later failure finds nothing more to end */
    }
    vec_each (struct instance *, in, &rest) {
        if ((*in)->state == DONE)
            continue;
        char *text = skip_words(e, *in);
        ask_hand_over(e, *in);
        instance_finish(e, *in, STEP_SKIPPED, NULL, false, 0, text);
        free(text);
    }
    bool any = rest.n > 0;
    vec_release(&rest);
    return any;
}

/* -- the run ----------------------------------------------------------------------------------- */

/* Whether what is known of the step still stands. settled: whether that is so of each node before
 * it. */
static bool stands(struct engine *e, struct node *node, const bool *settled)
{
    const struct instance *last = node->current;
    if (!last || last->state != DONE ||
        (last->status != STEP_PASSED && last->status != STEP_CACHED) || !node->value.known ||
        !node->exec->cache || node->recheck || node->flight || node->restoring)
        return false;
    vec_each (uint32_t, dep, &node->deps) {
        if (!settled[*dep])
            return false;
    }
    if (node->out_view != WORKTREE_NONE &&
        worktree_view_tick(e->worktree, node->out_view) != node->out_tick &&
        !outputs_in_place(e, node))
        return false;
    return cache_has_action(e->opt.cache, &node->value.key);
}

/* What the tree of git gives a local; false: that can't be told, or not now. */
static bool local_on_tree(const struct engine *e, struct worktree *tree, op_id id,
                          struct digest *out)
{
    const struct op *op = &e->graph->ops[id];
    uint32_t view;
    if (worktree_view(tree, WORKTREE_INPUTS, op->u.local.patterns, op->u.local.n, &view, NULL,
                      NULL) < 0)
        return false;
    worktree_prepare(tree, &view, 1);
    /* What must be read at length, who asks may read himself: nobody else waits for him. */
    if (worktree_progress(tree).files > MOST_FILES)
        return false;
    for (struct worktree_batch *batch; (batch = worktree_next_batch(tree));) {
        worktree_batch_work(batch);
        worktree_batch_done(tree, batch);
    }
    return worktree_digest(tree, view, out, NULL, NULL) == WORKTREE_READY;
}

/* Whether the tree of git gives the step's locals the digests that the last round saw. */
static bool same_inputs(struct engine *e, struct worktree *tree, const struct node *node)
{
    vec_each (uint32_t, index, (ids *)&node->locals) {
        const struct local *local = &e->locals.v[*index];
        struct digest digest;
        if (local->answer != WORKTREE_READY || !local_on_tree(e, tree, local->op, &digest) ||
            !digest_eq(&digest, &local->digest))
            return false;
    }
    return true;
}

static bool fixer_passed(struct engine *e, struct worktree *tree, struct node *node)
{
    struct digest root;
    struct value value;
    if (!node->exec->cache || !local_on_tree(e, tree, node->exec->input, &root))
        return false;
    struct digest key = key_on(e, node, &root);
    bool passed = foresee_read(e->opt.cache, &key, &value);
    if (passed)
        value_release(&value);
    return passed;
}

/* Whether each step wanted stands, and would with the inputs that the tree of git gives it. */
static bool passed_on_tree(struct engine *e, const struct ask *ask)
{
    bool *settled = mem_zalloc(e->nodes.n + 1, sizeof *settled);
    struct trees *trees = trees_new();
    struct worktree_options options = {.git = ask->opt.git, .trees = trees};
    struct worktree *tree = NULL;
    bool passed = value_worktree(e, &options, &tree, NULL) == 0;
    for (uint32_t i = 0; i < e->nodes.n && passed; i++) { /* topological */
        struct node *node = &e->nodes.v[i];
        if (!ask->wanted[i])
            continue;
        if (is_fixer_aside(e, node)) {
            passed = fixer_passed(e, tree, node);
            continue;
        }
        settled[i] = stands(e, node, settled);
        passed = settled[i] && same_inputs(e, tree, node);
    }
    worktree_free(tree);
    trees_free(trees);
    free(settled);
    return passed;
}

static void begin(struct engine *e, struct ask *ask)
{
    instances at_once = VEC_INIT, following = VEC_INIT;
    bool *settled = mem_zalloc(e->nodes.n + 1, sizeof *settled);
    struct run *run = run_open(e, "command");
    run->ask = ask;
    ask->run = run;
    for (uint32_t i = 0; i < e->nodes.n; i++) { /* topological */
        struct node *node = &e->nodes.v[i];
        if (!ask->wanted[i])
            continue;
        struct instance *in = instance_new(run, i);
        settled[i] = stands(e, node, settled);
        if (settled[i])
            vec_push(&at_once, in);
        else if (node->current && node->current->state != DONE)
            vec_push(&following, in);
        else
            (void)instance_enter(e, in);
    }
    free(settled);
    run->pending = run->instances.n;
    e->was_idle = false;
    emit_pipeline_to(e, ask);
    emit_run_started(e, run);
    vec_each (struct instance *, in, &following)
        ask_follow(e, *in);
    run_set_going(e, run);
    /* The last of them may end the run. */
    vec_each (struct instance *, in, &at_once) {
        const struct value *value = &e->nodes.v[(*in)->node].value;
        (*in)->key = value->key;
        (*in)->input_root = value->input_root;
        (*in)->has_key = true;
        instance_finish(e, *in, STEP_CACHED, NULL, false, 0, NULL);
    }
    vec_release(&at_once);
    vec_release(&following);
}

void asks_due(struct engine *e)
{
    vec_each (struct ask *, ask, &e->asks)
        (*ask)->due = true;
}

void asks_begin(struct engine *e, bool sources_changed)
{
    VEC(struct ask *) due = VEC_INIT;
    vec_each (struct ask *, ask, &e->asks) {
        if (!(*ask)->run && sources_changed)
            (*ask)->due = false;
        else if (!(*ask)->run && (*ask)->due)
            vec_push(&due, *ask);
    }
    if (sources_changed)
        asks_refuse(e, false);
    vec_each (struct ask *, ask, &due) {
        if (left_alone(e, *ask) || !runner_works(e->opt.runner))
            answer(e, *ask, -1);
        else if ((*ask)->opt.git)
            answer(e, *ask, passed_on_tree(e, *ask) ? 0 : -1);
        else
            begin(e, *ask);
    }
    vec_release(&due);
}

void ask_done(struct engine *e, struct run *run)
{
    /* Nothing can be started here any more: who asked can do it. */
    bool lost = run->code == 3 && !runner_works(e->opt.runner);
    bool bad = run->counts[STEP_FAILED] || run->counts[STEP_CANCELLED] || run->counts[STEP_SKIPPED];
    answer(e, run->ask, lost ? -1 : run->code ? run->code : bad);
}

/* Marks the nodes whose instance in the run is what another run's step waits for, and what those
 * need of this run. */
static void find_awaited(struct engine *e, const struct run *run, bool *awaited)
{
    for (size_t i = e->nodes.n; i-- > 0;) { /* dependents first */
        const struct node *node = &e->nodes.v[i];
        if (!node->current || node->current->run != run || node->current->state == DONE)
            continue;
        vec_each (uint32_t, index, (ids *)&node->dependents) {
            const struct instance *dependent = e->nodes.v[*index].current;
            awaited[i] |= dependent && dependent->state == WAITING &&
                          (dependent->run != run || awaited[*index]);
        }
    }
}

/* Ends what nobody else waits for; true when something goes on for others. */
static bool cancel(struct engine *e, struct run *run)
{
    instances all = VEC_INIT;
    size_t pending = run->pending;
    bool goes_on = false;
    bool *awaited = mem_zalloc(e->nodes.n + 1, sizeof *awaited);
    find_awaited(e, run, awaited);
    vec_each (struct instance *, in, &run->instances)
        vec_push(&all, *in);
    for (size_t i = 0; i < all.n && pending; i++) { /* the last one frees the run */
        struct instance *in = all.v[i];
        const struct node *node = &e->nodes.v[in->node];
        if (in->state == DONE)
            continue;
        if (node->current == in && awaited[in->node]) {
            goes_on = true;
            continue;
        }
        bool running = (in->state == RUNNING && in->flight) || in->state == RESTORING;
        bool shared = node->current == in && node->followers.n;
        shared |=
            in->state == RUNNING && in->flight && (in->flight->sharers.n || node->current != in);
        goes_on |= running && shared;
        if (running && shared)
            continue;
        pending -= !running;
        if (!running)
            ask_hand_over(e, in);
        schedule_cancel(e, in, NULL);
    }
    vec_release(&all);
    free(awaited);
    return goes_on;
}

void engine_ask_end(struct engine *e, struct ask *ask, bool gone)
{
    struct run *run = ask->run;
    if (gone)
        ask_free(e, ask);
    if (run) {
        bool goes_on = cancel(e, run);
        if (!gone && goes_on)
            answer(e, ask, 1);
    } else if (!gone) {
        answer(e, ask, 1);
    }
    schedule_pump(e);
}
