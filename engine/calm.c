/*
 * calm.c - another try for a step whose inputs changed each time that it ran.
 *
 * Whether it changes them itself, or somebody saves faster than it runs, can't be told while both
 * go on. So it is left alone, and tried again when the tree and kiln have been quiet for a while,
 * then for a longer while: what is disturbed even then is disturbed by itself.
 */
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"

#define CALM_MS   700
#define CALM_MORE 4 /* times as long before the next try */
#define MAX_TRIES 2

static void calm(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    if (e->n_restless == 0)
        return;
    if (schedule_busy(e) || e->round != ROUND_IDLE || e->round_wanted || e->paused) {
        calm_restart(e);
        return;
    }
    vec_each (struct node, node, &e->nodes) {
        if (!node->restless)
            continue;
        calm_forget(e, node);
        node->left = false;
        node->calm_tries++;
        node->taints = ENGINE_MAX_TAINTS - 1;
        node->cancels = ENGINE_MAX_CANCELS; /* and let finish */
        e->n_recheck += !node->recheck;
        node->recheck = true;
    }
    round_next(e);
}

void calm_open(struct engine *e)
{
    uv_timer_init(e->loop, &e->calm);
    e->calm.data = e;
}

bool calm_wait(struct engine *e, struct node *node)
{
    if (node->calm_tries >= MAX_TRIES)
        return false;
    e->n_restless += !node->restless;
    node->restless = true;
    calm_restart(e);
    return true;
}

void calm_forget(struct engine *e, struct node *node)
{
    e->n_restless -= node->restless;
    node->restless = false;
}

void calm_restart(struct engine *e)
{
    uint64_t wait = CALM_MS;
    if (e->n_restless == 0)
        return;
    vec_each (struct node, node, &e->nodes) {
        if (node->restless && node->calm_tries)
            wait = (uint64_t)CALM_MS * CALM_MORE;
    }
    uv_timer_start(&e->calm, calm, wait, 0);
}
