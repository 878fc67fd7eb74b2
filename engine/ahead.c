/*
 * ahead.c - the places for executions, and those that are started before there is one for them.
 *
 * Where commands take no time to speak of, what kiln does between two of them is what counts; so
 * some are given to the runner ahead, each to take the place of one that ends. They are called off
 * when that takes longer than thought. With one job nothing is: then a result is taken before the
 * next step can touch anything.
 */
#include "engine/private.h"
#include "engine/running.h"

#include <string.h>

bool ahead_may_start(const struct engine *e)
{
    return e->pace_is_quick && e->jobs > 1 && e->ahead.n < ENGINE_MAX_AHEAD &&
           e->n_landing < ENGINE_MAX_LANDING;
}

static void ahead_too_long(uv_timer_t *timer)
{
    ahead_withdraw(timer->data);
}

void ahead_open(struct engine *e)
{
    uv_timer_init(e->loop, &e->ahead_timer);
    e->ahead_timer.data = e;
}

void ahead_add(struct engine *e, struct flight *flight)
{
    vec_push(&e->ahead, flight);
    uv_timer_start(&e->ahead_timer, ahead_too_long, ENGINE_AHEAD_MS, 0);
}

static void forget_ahead(struct engine *e, const struct flight *flight)
{
    for (size_t i = 0; i < e->ahead.n; i++) {
        if (e->ahead.v[i] != flight)
            continue;
        e->ahead.n--;
        memmove(&e->ahead.v[i], &e->ahead.v[i + 1], (e->ahead.n - i) * sizeof *e->ahead.v);
        return;
    }
}

void ahead_free_place(struct engine *e, struct flight *flight)
{
    if (!flight->has_slot) {
        forget_ahead(e, flight);
        return;
    }
    flight->has_slot = false;
    for (size_t i = 0; i < e->ahead.n; i++) {
        struct flight *next = e->ahead.v[i];
        if (next->withdrawing && !flight->exit.counted)
            continue;
        forget_ahead(e, next);
        next->has_slot = true;
        if (!flight->exit.counted)
            runner_go_on(e->opt.runner);
        return;
    }
    e->n_running--;
}

void ahead_take_place(struct engine *e)
{
    if (!e->ahead.n)
        return;
    struct flight *next = e->ahead.v[0];
    forget_ahead(e, next);
    next->has_slot = true;
    e->n_running++;
}

bool ahead_expect_withdrawn(struct flight *flight)
{
    if (flight->withdrawing || flight->announced)
        return false;
    flight->withdrawing = true;
    flight->engine->n_withdrawing++;
    return true;
}

void ahead_withdraw(struct engine *e)
{
    vec_each (struct flight *, flight, &e->ahead) {
        if ((*flight)->exec && ahead_expect_withdrawn(*flight))
            runner_withdraw((*flight)->exec);
    }
    e->pace_is_quick = false;
}

void ahead_withdrawn(struct engine *e, struct flight *flight)
{
    e->n_withdrawing -= flight->withdrawing;
    flight->withdrawing = false;
}
