/*
 * restore.c - putting outputs into place, by a worker: a hit's, and what an isolated step gave.
 * What needs them goes on afterwards.
 */
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"

#include "base/text.h"

#include <stdlib.h>

struct restore {
    uv_work_t work;
    struct engine *engine;
    struct node *node;
    void (*done)(void *ctx, struct restored *restored);
    void *ctx;
    struct cache *cache;
    const char *root;
    /* The node's value; it does not change while node->restoring or while it has a flight. */
    const struct action_output *outputs;
    size_t n;
    struct restored restored;
    const char *const *paths; /* the same, as declared */
    size_t n_paths;
    struct digest stamp;
    int64_t stamp_ns;
};

static void restore_work(uv_work_t *work)
{
    struct restore *r = work->data;
    r->restored.rc =
        outputs_restore(r->cache, r->root, r->outputs, r->n, &r->restored.answer, &r->restored.err);
    r->stamp_ns = (int64_t)clock_realtime_ns();
    r->stamp = outputs_stamp(r->root, r->paths, r->n_paths, r->stamp_ns);
}

static void restore_finish(struct restore *r)
{
    struct engine *e = r->engine;
    struct node *node = r->node;
    cache_use_end(r->cache);
    node->stamped = !e->watch && r->restored.rc == 0 && r->restored.answer == CACHE_HIT;
    node->stamp = r->stamp;
    node->stamp_ns = r->stamp_ns;
    if (node->out_view != WORKTREE_NONE)
        node->out_tick = worktree_view_tick(e->worktree, node->out_view);
    r->done(r->ctx, &r->restored);
    err_release(&r->restored.err);
    free(r);
    engine_job_done(e);
}

static void restore_barrier(void *ctx, struct watch_clock clock)
{
    struct restore *r = ctx;
    r->engine->clock = clock;
    restore_finish(r);
}

static void restore_done(uv_work_t *work, int status)
{
    struct restore *r = work->data;
    (void)status;
    /* Watching, the events of the restoring itself come first: to those who need the outputs a
     * later one is somebody else's. */
    if (r->engine->watch && !r->engine->closing)
        watch_barrier(r->engine->watch, restore_barrier, r);
    else
        restore_finish(r);
}

void restore_outputs(struct engine *e, struct node *node,
                     void (*done)(void *ctx, struct restored *restored), void *ctx)
{
    struct restore *r = mem_zalloc(1, sizeof *r);
    r->work.data = r;
    r->engine = e;
    r->node = node;
    r->done = done;
    r->ctx = ctx;
    r->cache = e->opt.cache;
    r->root = e->opt.root;
    r->outputs = node->value.result.outputs;
    r->n = node->value.result.n_outputs;
    r->paths = node->exec->outputs;
    r->n_paths = node->exec->n_outputs;
    flight_disturb_dependents(e, node);
    e->n_jobs++;
    cache_use_begin(r->cache);
    uv_queue_work(e->loop, &r->work, restore_work, restore_done);
}

static void hit_restored(void *ctx, struct restored *restored)
{
    struct instance *in = ctx;
    struct engine *e = in->engine;
    struct node *node = &e->nodes.v[in->node];
    node->restoring = false;
    turn_give(e, node);
    struct instance *next = node->current;
    if (next != in && next && next->state == READY) {
        forget_ready(e, next);
        schedule_ready(e, next);
    }
    if (e->drained || in->unwanted) {
        instance_finish(e, in, STEP_CANCELLED, NULL, false, 0, NULL);
    } else if (restored->rc < 0) {
        char *text = mem_printf("its outputs could not be restored: %s", err_text(&restored->err));
        engine_failed(e, in, 3);
        instance_finish(e, in, STEP_FAILED, NULL, false, 0, text);
        free(text);
    } else {
        in->restored = restored->answer == CACHE_HIT;
        in->evicted = restored->answer == CACHE_MISS;
        if (in == node->current)
            schedule_ready(e, in);
        else if (in->run->ask && next->state != DONE)
            ask_follow(e, in);
        else
            instance_finish(e, in, STEP_CANCELLED, NULL, false, 0, "its inputs changed");
    }
    schedule_pump(e);
}

void restore_start(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    in->state = RESTORING;
    in->engine = e;
    node->restoring = true;
    restore_outputs(e, node, hit_restored, in);
}
