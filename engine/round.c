/*
 * round.c - a round: barrier, digests brought up to date, the steps concerned found, a run begun.
 *
 * A round touches only what was marked: views that the worktree calls dirty, and those it could not
 * finish last time.
 */
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/wants.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BATCHES 4 /* out at a time: as many as there are workers */
/* While the loop is busy with the tree's first look: it hears of none that is done, and nothing but
 * hashing waits for the workers. */
#define MAX_AHEAD  1024
#define MAX_PASSES 5

#define SLOW_MS       2000  /* hashing that takes longer is spoken of ... */
#define SLOW_AGAIN_MS 10000 /* ... and again each time */

struct hashing {
    uv_work_t work;
    struct engine *engine;
    struct worktree_batch *batch;
};

static void hash_on(struct engine *e);

static void hashing_work(uv_work_t *work)
{
    struct hashing *hashing = work->data;
    worktree_batch_work(hashing->batch);
}

static void hashing_done(uv_work_t *work, int status)
{
    struct hashing *hashing = work->data;
    struct engine *e = hashing->engine;
    (void)status;
    worktree_batch_done(e->worktree, hashing->batch);
    free(hashing);
    e->n_batches--;
    if (!e->drained)
        hash_on(e);
    engine_job_done(e);
}

static void want_stale(struct engine *e, uint32_t view)
{
    vec_each (uint32_t, have, &e->stale) {
        if (*have == view)
            return;
    }
    vec_push(&e->stale, view);
}

static bool node_busy(const struct node *node)
{
    return node->flight || node->restoring || (node->current && node->current->state != DONE);
}

/* Outputs touched while their step runs are mostly being written by it; they are looked at once it
 * is done. */
static void hold_or_want(struct engine *e, uint32_t view)
{
    uint32_t node = view < e->view_node.n ? e->view_node.v[view] : 0;
    if (!node || !node_busy(&e->nodes.v[node - 1])) {
        want_stale(e, view);
        return;
    }
    vec_each (uint32_t, have, &e->held) {
        if (*have == view)
            return;
    }
    vec_push(&e->held, view);
}

/* Of those whose step is done: are they still what it made? */
static void release_held(struct engine *e)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->held.n; i++) {
        uint32_t view = e->held.v[i];
        if (node_busy(&e->nodes.v[e->view_node.v[view] - 1])) {
            e->held.v[kept++] = view;
        } else {
            want_stale(e, view);
            e->round_wanted = e->look_wanted = true;
        }
    }
    e->held.n = kept;
}

static void take_dirty(struct engine *e)
{
    const uint32_t *dirty;
    size_t n = worktree_take_dirty(e->worktree, &dirty);
    for (size_t i = 0; i < n; i++)
        hold_or_want(e, dirty[i]);
}

/* What is found out on the way (other ignore rules, files now tracked) may concern further views.
 */
static void prepare(struct engine *e)
{
    size_t known;
    do {
        known = e->stale.n;
        worktree_prepare(e->worktree, e->stale.v, e->stale.n);
        take_dirty(e);
    } while (e->stale.n > known);
}

/* A declared output was touched by somebody: is it still what the step gave? */
static bool outputs_lost(struct engine *e, const struct node *node)
{
    struct digest now;
    if (node_busy(node) || !node->value.known)
        return false;
    return worktree_digest(e->worktree, node->out_view, &now, NULL, NULL) == WORKTREE_READY &&
           !digest_eq(&now, &node->value.tree);
}

/* Takes the new digests; views that still can't be told stay stale. True when the pipeline's own
 * source changed. */
static bool refresh(struct engine *e)
{
    ids left = VEC_INIT;
    bool source_changed = false;
    vec_each (uint32_t, view, &e->stale) {
        if (e->source_view == *view && e->n_sources) {
            struct digest now = {0};
            enum worktree_answer answer = worktree_digest(e->worktree, *view, &now, NULL, NULL);
            if (answer == WORKTREE_PENDING) {
                vec_push(&left, *view);
            } else {
                source_changed = e->source_known && !digest_eq(&now, &e->source_digest);
                e->source_digest = now;
                e->source_known = true;
            }
        }
        uint32_t local = *view < e->view_local.n ? e->view_local.v[*view] : 0;
        if (local) {
            struct local *l = &e->locals.v[local - 1];
            if (local_refresh(e, l)) {
                vec_each (uint32_t, index, &l->consumers) {
                    struct node *node = &e->nodes.v[*index];
                    if (!node->selected || (node->deaf_until && l->tick <= node->deaf_until))
                        continue;
                    e->affected[*index] = true;
                    if (node->left)
                        node->calm_tries = 0; /* somebody else's doing */
                }
            }
            if (l->answer == WORKTREE_PENDING)
                vec_push(&left, *view);
        }
        uint32_t node = *view < e->view_node.n ? e->view_node.v[*view] : 0;
        if (node && outputs_lost(e, &e->nodes.v[node - 1]))
            e->affected[node - 1] |= e->nodes.v[node - 1].selected;
    }
    vec_release(&e->stale);
    memcpy(&e->stale, &left, sizeof left);
    return source_changed;
}

static void close_over_dependents(struct engine *e)
{
    for (size_t i = 0; i < e->nodes.n; i++) { /* nodes are in topological order */
        if (!e->affected[i])
            continue;
        const struct node *node = &e->nodes.v[i];
        vec_each (uint32_t, dependent, (ids *)&node->dependents)
            e->affected[*dependent] |= e->nodes.v[*dependent].selected;
    }
}

/* Whether a step is asked for by something else than an input. */
static bool is_due(const struct engine *e, const struct node *node)
{
    const struct instance *last = node->current;
    bool stale =
        last && last->state == DONE && last->status != STEP_PASSED && last->status != STEP_CACHED;
    return e->all_wanted || (node->recheck && !node->flight) || (e->stale_wanted && stale);
}

/* An edit concerns few steps: the others are not so much as touched. */
static void find_affected(struct engine *e)
{
    bool any_due = e->all_wanted || e->stale_wanted || e->n_recheck;
    for (size_t i = 0; i < e->nodes.n; i++) {
        if (any_due || e->affected[i] || e->forced[i]) {
            const struct node *node = &e->nodes.v[i];
            e->affected[i] = node->selected && (e->affected[i] || e->forced[i] || is_due(e, node));
        }
    }
}

static void emit_changed(struct engine *e)
{
    char *paths[100];
    size_t n = 0;
    size_t all = worktree_take_changed(e->worktree, paths, 100, &n);
    if (all) {
        e->was_idle = false;
        struct event event = {.type = EVENT_WATCH_CHANGED,
                              .u.changed = {.paths = (const char *const *)paths,
                                            .n_paths = n,
                                            .count = all,
                                            .epoch = e->clock.epoch,
                                            .tick = e->clock.tick}};
        emit(e, NULL, &event);
    }
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
}

void round_look_again(struct engine *e, struct instance *in)
{
    in->state = READY;
    vec_push(&e->looking, in);
    e->round_wanted = e->look_wanted = true;
    round_next(e);
}

void round_forget(struct engine *e, const struct instance *in)
{
    for (size_t i = 0; i < e->looking.n; i++) {
        if (e->looking.v[i] == in)
            e->looking.v[i] = NULL;
    }
}

static void check_looked_at(struct engine *e)
{
    vec_each (struct instance *, in, &e->looking) {
        if (*in)
            schedule_ready(e, *in);
    }
    vec_clear(&e->looking);
}

/* While paused it is known what changed, and nothing comes of that; it is kept for the round after
 * the pause. */
static void finish_paused_round(struct engine *e)
{
    e->round_wanted = true;
    check_looked_at(e);
    schedule_pump(e);
    foresee_end(e);
}

static void finish_round(struct engine *e)
{
    e->round = ROUND_IDLE;
    uv_timer_stop(&e->slow);
    bool source_changed = refresh(e) || e->sources_old;
    e->sources_old = source_changed && e->paused;
    if (e->opt.mode == ENGINE_WATCH)
        emit_changed(e);
    if (e->paused) {
        finish_paused_round(e);
        return;
    }
    if (source_changed && e->opt.reload) {
        engine_ask_reload(e);
        if (e->drained)
            return;
    }
    if (!e->all_wanted)
        images_try_again(e);
    find_affected(e);
    close_over_dependents(e);
    /* A single run is all that there is; a further round in it is for those who look again. */
    bool any = false;
    for (size_t i = 0; i < e->nodes.n && (e->all_wanted || e->opt.mode != ENGINE_RUN); i++)
        any |= e->affected[i];
    if (any) {
        e->was_idle = false;
        struct run *run = run_new(e, e->all_wanted ? e->opt.trigger : "watch", e->affected);
        (void)run;
    }
    e->all_wanted = e->stale_wanted = false;
    memset(e->forced, 0, e->nodes.n * sizeof *e->forced);
    memset(e->affected, 0, e->nodes.n * sizeof *e->affected);
    check_looked_at(e);
    asks_begin(e, source_changed);
    schedule_pump(e);
    foresee_end(e);
}

/* Some inputs take minutes to read: what takes so long, and how long it still will. */
static void say_progress(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    struct worktree_progress progress = worktree_progress(e->worktree);
    struct buf text = BUF_INIT;
    char read[16], bytes[16];
    uint64_t most = progress.read > progress.bytes ? progress.read : progress.bytes;
    if (progress.bytes) {
        buf_addf(&text, "reading inputs: %s of %s so far", text_size(progress.read, read),
                 text_size(most, bytes));
        if (progress.files)
            buf_addf(&text, ", %zu files to go", progress.files);
        if (progress.largest_bytes > most / 2) {
            buf_addf(&text, "; most of it is ");
            buf_add_shown(&text, progress.largest, strlen(progress.largest));
        }
        engine_notice(e, "info", buf_str(&text));
    }
    free(progress.largest);
    buf_release(&text);
}

void round_open(struct engine *e)
{
    uv_timer_init(e->loop, &e->slow);
    e->slow.data = e;
}

static void submit(struct engine *e, struct worktree_batch *batch)
{
    struct hashing *hashing = mem_zalloc(1, sizeof *hashing);
    hashing->work.data = hashing;
    hashing->engine = e;
    hashing->batch = batch;
    e->n_batches++;
    e->n_jobs++;
    uv_queue_work(e->loop, &hashing->work, hashing_work, hashing_done);
}

void round_hash_ahead(void *self)
{
    struct engine *e = self;
    size_t most = e->flights.count ? MAX_BATCHES : MAX_AHEAD;
    struct worktree_batch *batch;
    if (e->round == ROUND_HASHING && e->n_batches < most &&
        (batch = worktree_next_files(e->worktree)))
        submit(e, batch);
}

static void hash_on(struct engine *e)
{
    struct worktree_batch *batch;
    while (e->n_batches < MAX_BATCHES && (batch = worktree_next_batch(e->worktree)))
        submit(e, batch);
    if (e->n_batches)
        return;
    /* What was marked while it was read is read again; a tree that never rests is taken up in the
     * next round. */
    bool pending = false;
    vec_each (uint32_t, view, &e->stale) {
        struct digest digest;
        pending |= worktree_digest(e->worktree, *view, &digest, NULL, NULL) == WORKTREE_PENDING;
    }
    if (pending && ++e->passes < MAX_PASSES) {
        prepare(e);
        hash_on(e);
        return;
    }
    finish_round(e);
}

static void after_barrier(void *ctx, struct watch_clock clock)
{
    struct engine *e = ctx;
    e->clock = clock;
    if (e->drained) {
        engine_job_done(e);
        return;
    }
    worktree_doubt_open(e->worktree);
    key_look_at_system(e);
    secrets_begin(e);
    take_dirty(e);
    if (e->all_wanted) {
        vec_clear(&e->stale);
        for (size_t i = 0; i < e->nodes.n; i++) {
            const struct node *node = &e->nodes.v[i];
            if (!node->selected)
                continue;
            if (node->out_view != WORKTREE_NONE && !e->opt.git)
                vec_push(&e->stale, node->out_view);
        }
        for (size_t i = 0; i < e->locals.n; i++) {
            bool wanted = false;
            vec_each (uint32_t, node, &e->locals.v[i].consumers)
                wanted |= e->nodes.v[*node].selected;
            if (wanted)
                vec_push(&e->stale, e->locals.v[i].view);
        }
        if (e->n_sources)
            vec_push(&e->stale, e->source_view);
    }
    e->round = ROUND_HASHING;
    e->passes = 0;
    worktree_measure(e->worktree);
    uv_timer_start(&e->slow, say_progress, SLOW_MS, SLOW_AGAIN_MS);
    images_begin(e);
    if (e->all_wanted)
        foresee_begin(e);
    prepare(e);
    hash_on(e);
    if (e->round == ROUND_HASHING && e->all_wanted) { /* while workers look */
        vec_each (struct node, node, &e->nodes)
            if (node->selected && !node->pin && !node->exec->n_secrets)
                key_command(e, node);
    }
    if (e->watch)
        engine_job_done(e);
}

void round_next(struct engine *e)
{
    if (e->round != ROUND_IDLE || e->drained || !e->started)
        return;
    release_held(e);
    e->round_wanted |= e->n_recheck > 0;
    if (e->paused ? e->look_wanted : e->round_wanted) {
        e->round_wanted = e->look_wanted = false;
        e->round = ROUND_BARRIER;
        asks_due(e);
        if (e->watch) {
            e->n_jobs++;
            watch_barrier(e->watch, after_barrier, e);
        } else {
            after_barrier(e, (struct watch_clock){0});
        }
        return;
    }
    if (!schedule_busy(e) && !e->reload_asked && !e->was_idle && !e->n_restless &&
        !e->round_wanted && e->opt.mode == ENGINE_WATCH) {
        e->was_idle = true;
        session_sweep(e);
        struct event event = {.type = EVENT_WATCH_IDLE};
        emit(e, NULL, &event);
    }
}

static void force(struct engine *e, uint32_t index)
{
    struct node *node = &e->nodes.v[index];
    e->forced[index] = node->selected;
    node->taints = node->cancels = 0;
    node->deaf_until = 0;
    node->left = false;
    node->calm_tries = 0;
    calm_forget(e, node);
}

void round_retry(struct engine *e, const char *step)
{
    op_id op = graph_find(e->graph, step);
    if (op == OP_NONE)
        return;
    if (breaks_retry(e, &e->nodes.v[e->node_of[op]]))
        return;
    force(e, e->node_of[op]);
    e->round_wanted = true;
    round_next(e);
}

void round_force(struct engine *e, const char *step)
{
    op_id op = step ? graph_find(e->graph, step) : OP_NONE;
    if (step && op == OP_NONE)
        return;
    bool *wanted = mem_zalloc(e->nodes.n + 1, sizeof *wanted);
    for (uint32_t i = 0; i < e->nodes.n; i++) { /* nodes are in topological order */
        wanted[i] |= !step || i == e->node_of[op];
        if (!wanted[i])
            continue;
        force(e, i);
        vec_each (uint32_t, dependent, &e->nodes.v[i].dependents)
            wanted[*dependent] = true;
    }
    free(wanted);
    e->round_wanted = true;
    round_next(e);
}
