/*
 * restore.c - putting a hit's outputs into place, by a worker; what needs them goes on afterwards.
 */
#include "engine/private.h"

#include "base/text.h"

#include <stdlib.h>

struct restore {
    uv_work_t work;
    struct engine *engine;
    struct instance *in;
    struct cache *cache;
    const char *root;
    const struct action_output
        *outputs; /* the node's value; it does not change while node->restoring */
    size_t n;
    enum cache_answer answer;
    int rc;
    const char *const *paths; /* the same, as declared */
    size_t n_paths;
    struct digest stamp;
    int64_t stamp_ns;
    struct err err;
};

static void restore_work(uv_work_t *work)
{
    struct restore *r = work->data;
    r->rc = outputs_restore(r->cache, r->root, r->outputs, r->n, &r->answer, &r->err);
    r->stamp_ns = (int64_t)clock_realtime_ns();
    r->stamp = outputs_stamp(r->root, r->paths, r->n_paths, r->stamp_ns);
}

static void restore_finish(struct restore *r)
{
    struct engine *e = r->engine;
    struct instance *in = r->in;
    struct node *node = &e->nodes.v[in->node];
    node->restoring = false;
    cache_use_end(r->cache);
    node->stamped = !e->watch && r->rc == 0 && r->answer == CACHE_HIT;
    node->stamp = r->stamp;
    node->stamp_ns = r->stamp_ns;
    turn_give(e, node);
    struct instance *next = node->current;
    if (next != in && next && next->state == READY) {
        forget_ready(e, next);
        schedule_ready(e, next);
    }
    if (node->out_view != WORKTREE_NONE)
        node->out_tick = worktree_view_tick(e->worktree, node->out_view);
    if (e->drained || in->unwanted) {
        instance_finish(e, in, STEP_CANCELLED, NULL, false, 0, NULL);
    } else if (r->rc < 0) {
        char *text = mem_printf("its outputs could not be restored: %s", err_text(&r->err));
        engine_failed(e, in, 3);
        instance_finish(e, in, STEP_FAILED, NULL, false, 0, text);
        free(text);
    } else {
        in->restored = r->answer == CACHE_HIT;
        in->evicted = r->answer == CACHE_MISS;
        if (in == node->current)
            schedule_ready(e, in);
        else if (in->run->ask && next->state != DONE)
            ask_follow(e, in);
        else
            instance_finish(e, in, STEP_CANCELLED, NULL, false, 0, "its inputs changed");
    }
    err_release(&r->err);
    free(r);
    schedule_pump(e);
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

void restore_start(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    struct restore *r = mem_zalloc(1, sizeof *r);
    r->work.data = r;
    r->engine = e;
    r->in = in;
    r->cache = e->opt.cache;
    r->root = e->opt.root;
    r->outputs = node->value.result.outputs;
    r->n = node->value.result.n_outputs;
    r->paths = node->exec->outputs;
    r->n_paths = node->exec->n_outputs;
    flight_disturb_dependents(e, node);
    in->state = RESTORING;
    node->restoring = true;
    e->n_jobs++;
    cache_use_begin(r->cache);
    uv_queue_work(e->loop, &r->work, restore_work, restore_done);
}
