/*
 * engine.c - the engine's life: made, given a graph, started, closed.
 */
#include "engine/answers.h"
#include "engine/boxing.h"
#include "engine/inputs.h"
#include "engine/look.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/wants.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int engine_new(const struct engine_options *options, struct engine **out, struct err *err)
{
    (void)err;
    struct engine *e = mem_zalloc(1, sizeof *e);
    e->opt = *options;
    e->loop = options->loop;
    e->trees = trees_new();
    uname(&e->machine);
    e->source_view = UINT32_MAX;
    e->terminal = (struct winsize){.ws_row = 24, .ws_col = 80};
    e->jobs = options->jobs ? options->jobs : uv_available_parallelism();
    e->cache_warned = options->cache_read_only;
    turn_open(e);
    calm_open(e);
    round_open(e);
    ahead_open(e);
    breaks_open(e);
    preparing_open(e);
    *out = e;
    return 0;
}

void engine_subscribe(struct engine *e, event_cb *cb, void *ctx)
{
    vec_push(&e->subscribers, (struct subscriber){cb, ctx});
}

/* Loading a graph, at first or anew. */

static void select_step(struct engine *e, uint32_t first)
{
    ids stack = VEC_INIT;
    vec_push(&stack, first);
    while (stack.n) {
        struct node *node = &e->nodes.v[vec_pop(&stack)];
        if (node->selected)
            continue;
        node->selected = true;
        vec_each (uint32_t, dep, &node->deps)
            vec_push(&stack, *dep);
    }
    vec_release(&stack);
}

static int find_step(struct engine *e, const char *name, uint32_t *node, struct err *err)
{
    op_id op = graph_find(e->graph, name);
    if (op != OP_NONE) {
        *node = e->node_of[op];
        return 0;
    }
    VEC(const char *) names = VEC_INIT;
    vec_each (struct node, n, &e->nodes)
        vec_push(&names, n->exec->name);
    const char *nearest = text_nearest(name, names.v, names.n);
    int rc = nearest
                 ? err_set(err, ERR_USAGE, "there is no step \"%s\"; did you mean \"%s\"?", name,
                           nearest)
                 : err_set(err, ERR_USAGE, "there is no step \"%s\" (kiln plan lists them)", name);
    vec_release(&names);
    return rc;
}

static int select_steps(struct engine *e, const char *const *steps, size_t n, struct err *err)
{
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        if (find_step(e, steps[i], &node, err) < 0)
            return -(int)err->kind;
        select_step(e, node);
    }
    for (size_t i = 0; i < e->nodes.n && n == 0; i++)
        e->nodes.v[i].selected = !e->nodes.v[i].exec->fix;
    if (e->opt.shell) {
        if (find_step(e, e->opt.shell->step, &node, err) < 0)
            return -(int)err->kind;
        e->forced[node] = true;
    }
    for (size_t i = 0; i < e->opt.n_force_steps && !e->started; i++) {
        if (find_step(e, e->opt.force_steps[i], &node, err) < 0)
            return -(int)err->kind;
        e->forced[node] = true;
    }
    return 0;
}

static bool any_selected(const struct engine *e)
{
    bool any = false;
    for (size_t i = 0; i < e->nodes.n; i++)
        any |= e->nodes.v[i].selected;
    return any;
}

static int open_graph(struct engine *e, const char *const *steps, size_t n,
                      const char *const *sources, size_t n_sources, struct err *err)
{
    if (e->opt.mode == ENGINE_WATCH && !e->watch && watching_open(e, err) < 0)
        return -(int)err->kind;
    if (session_open(e, err) < 0)
        return -(int)err->kind;
    e->affected = mem_zalloc(e->nodes.n + 1, sizeof *e->affected);
    e->forced = mem_zalloc(e->nodes.n + 1, sizeof *e->forced);
    if (select_steps(e, steps, n, err) < 0)
        return -(int)err->kind;
    e->n_sources = 0;
    if (n_sources && e->opt.mode == ENGINE_WATCH) {
        if (worktree_view(e->worktree, WORKTREE_INPUTS, sources, n_sources, &e->source_view, NULL,
                          err) < 0)
            return -(int)err->kind;
        /* What was known before the graph was made stands: they may have changed since. */
        e->n_sources = n_sources;
    }
    order_steps(e);
    emit_pipeline(e);
    if (n == 0 && e->nodes.n && !any_selected(e))
        engine_notice(e, "warning",
                      "all steps are fixers, which run in the hook and where they are named");
    return e->started ? 0 : breaks_load(e, err);
}

static void close_graph(struct engine *e)
{
    vec_each (struct node, node, &e->nodes)
        free(node->current);
    free(e->affected);
    free(e->forced);
    e->affected = e->forced = NULL;
    vec_release(&e->stale);
    vec_release(&e->held);
    vec_clear(&e->ready);
    vec_clear(&e->turn_waiters);
    vec_clear(&e->looking);
    order_release(e);
    e->n_recheck = e->n_restless = 0;
    e->round = ROUND_IDLE;
    uv_timer_stop(&e->slow);
    e->source_view = UINT32_MAX;
    e->n_sources = 0;
    vec_each (char *, step, &e->gone)
        free(*step);
    vec_release(&e->gone);
    e->gone_known = false;
    session_close(e);
}

/* Ending everything that runs, for another graph or for good. */

void engine_check_drained(struct engine *e)
{
    if (e->drained && !e->runs.n && !e->n_jobs && !e->pumping) {
        void (*drained)(struct engine *) = e->drained;
        if (e->opt.cache)
            cache_give_up(e->opt.cache, false);
        keep_inputs_go_on(e);
        drained(e);
    }
}

void engine_job_done(struct engine *e)
{
    e->n_jobs--;
    engine_check_drained(e);
}

void engine_cancel_all(struct engine *e, const char *why)
{
    for (size_t r = e->runs.n; r-- > 0;) {
        struct run *run = e->runs.v[r];
        VEC(struct instance *) all = VEC_INIT;
        vec_each (struct instance *, in, &run->instances)
            vec_push(&all, *in);
        size_t pending = run->pending;
        for (size_t i = 0; i < all.n && pending; i++) {
            if (all.v[i]->state == DONE)
                continue;
            bool ends_now =
                !(all.v[i]->state == RUNNING && all.v[i]->flight) && all.v[i]->state != RESTORING;
            pending -= ends_now;
            schedule_cancel(e, all.v[i], why);
        }
        vec_release(&all);
    }
}

static void drain(struct engine *e, void (*drained)(struct engine *), const char *why)
{
    e->drained = drained;
    if (e->settle_open)
        uv_timer_stop(&e->settle);
    asks_refuse(e, true);
    images_cancel(e);
    secrets_cancel(e);
    keep_inputs_stop(e);
    if (e->worktree)
        worktree_stop(e->worktree);
    if (e->opt.cache)
        cache_give_up(e->opt.cache, true);
    engine_cancel_all(e, why);
    engine_check_drained(e);
}

struct reloading {
    struct graph *graph;
    char **steps, **sources;
    size_t n_steps, n_sources;
};

static char **copy_list(const char *const *list, size_t n)
{
    char **copy = mem_zalloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = mem_strdup(list[i]);
    return copy;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        free(list[i]);
    free(list);
}

static void reload_opened(struct engine *e)
{
    struct reloading *next = e->reloading;
    struct err err = ERR_INIT;
    e->reloading = NULL;
    e->drained = NULL;
    e->graph = next->graph;
    e->stop_starting = false;
    if (open_graph(e, (const char *const *)next->steps, next->n_steps,
                   (const char *const *)next->sources, next->n_sources, &err) < 0) {
        engine_notice(e, "error", err_text(&err));
        err_release(&err);
        /* Nothing to go on with until somebody loads another one, or ends it. */
        close_graph(e);
        e->started = false;
    }
    free_list(next->steps, next->n_steps);
    free_list(next->sources, next->n_sources);
    free(next);
    e->all_wanted = e->round_wanted = true;
    e->opt.trigger = "watch";
    round_next(e);
}

static void reload_watch_closed(void *ctx)
{
    struct engine *e = ctx;
    e->n_jobs--;
    if (e->closing) {
        engine_check_drained(e);
        return;
    }
    reload_opened(e);
}

static void reload_drained(struct engine *e)
{
    close_graph(e);
    if (e->watch) {
        struct watch *watch = e->watch;
        e->watch = NULL;
        e->n_jobs++;
        watch_close(watch, reload_watch_closed, e);
    } else {
        reload_opened(e);
    }
}

void engine_ask_reload(struct engine *e)
{
    if (e->reload_asked) {
        e->reload_again = true;
        return;
    }
    e->reload_asked = e->asking = true;
    e->opt.reload(e->opt.ctx); /* loads another graph, or says what is wrong with it */
    e->asking = false;
}

/* False when the answer is of sources that have changed since, so that there will be another. */
static bool reload_answered(struct engine *e)
{
    bool again = e->reload_again && !e->closing;
    e->reload_asked = e->reload_again = false;
    if (again)
        engine_ask_reload(e);
    return !again;
}

void engine_reload_failed(struct engine *e)
{
    if (reload_answered(e) && !e->asking) {
        e->was_idle = false;
        round_next(e);
    }
}

int engine_load(struct engine *e, struct graph *graph, const char *const *steps, size_t n,
                const char *const *sources, size_t n_sources, struct err *err)
{
    if (!e->graph && !e->reloading) {
        bool again = e->all_wanted; /* the last one could not be opened */
        e->graph = graph;
        int rc = open_graph(e, steps, n, sources, n_sources, err);
        if (rc == 0 && again)
            engine_start(e);
        return rc;
    }
    if (!reload_answered(e)) {
        graph_free(graph);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (graph_find(graph, steps[i]) == OP_NONE) {
            int rc = err_set(err, ERR_USAGE,
                             "the new pipeline has no step \"%s\" to watch; the last one goes on",
                             steps[i]);
            graph_free(graph);
            return rc;
        }
    }
    bool under_way = e->reloading != NULL;
    if (under_way) { /* a still newer one */
        graph_free(e->reloading->graph);
        free_list(e->reloading->steps, e->reloading->n_steps);
        free_list(e->reloading->sources, e->reloading->n_sources);
    } else {
        e->reloading = mem_zalloc(1, sizeof *e->reloading);
    }
    *e->reloading =
        (struct reloading){graph, copy_list(steps, n), copy_list(sources, n_sources), n, n_sources};
    if (!under_way && !e->closing)
        drain(e, reload_drained, "the pipeline changed");
    return 0;
}

void engine_look_at_sources(struct engine *e)
{
    e->sources_old = e->round_wanted = true; /* the round under way ends first */
}

void engine_start(struct engine *e)
{
    e->started = true;
    e->all_wanted = e->round_wanted = true;
    round_next(e);
}

/* Closing. */

static void engine_freed(struct engine *e)
{
    void (*closed)(void *) = e->closed;
    void *ctx = e->closed_ctx;
    turn_close(e);
    free(e->git_lock);
    look_free(e->look);
    answers_free(e->answers);
    trees_free(e->trees);
    vec_release(&e->subscribers);
    vec_release(&e->ready);
    vec_release(&e->ahead);
    vec_release(&e->runs);
    vec_release(&e->asks);
    vec_release(&e->looking);
    vec_release(&e->preparings);
    secrets_close(e);
    keep_inputs_close(e);
    breaks_close(e);
    map_release(&e->flights);
    if (e->reloading) {
        graph_free(e->reloading->graph);
        free_list(e->reloading->steps, e->reloading->n_steps);
        free_list(e->reloading->sources, e->reloading->n_sources);
        free(e->reloading);
    }
    free(e);
    if (closed)
        closed(ctx);
}

static void handle_gone(uv_handle_t *timer)
{
    struct engine *e = timer->data;
    if (--e->n_closing == 0)
        engine_freed(e);
}

static void close_watch_closed(void *ctx)
{
    struct engine *e = ctx;
    e->n_closing = 6; /* libuv says in which order they are gone */
    uv_close((uv_handle_t *)&e->turn_timer, handle_gone);
    uv_close((uv_handle_t *)&e->calm, handle_gone);
    uv_close((uv_handle_t *)&e->slow, handle_gone);
    uv_close((uv_handle_t *)&e->ahead_timer, handle_gone);
    uv_close((uv_handle_t *)&e->preparing, handle_gone);
    uv_close((uv_handle_t *)&e->settle, handle_gone);
}

static void close_drained(struct engine *e)
{
    e->drained = NULL;
    e->started = false;
    e->finished = true;
    close_graph(e);
    uv_timer_stop(&e->turn_timer);
    uv_timer_stop(&e->calm);
    uv_timer_stop(&e->slow);
    uv_timer_stop(&e->ahead_timer);
    uv_timer_stop(&e->preparing);
    if (e->settle_open)
        uv_timer_stop(&e->settle);
    if (!e->settle_open)
        uv_timer_init(e->loop, &e->settle);
    e->settle.data = e;
    if (e->watch)
        watch_close(e->watch, close_watch_closed, e);
    else
        close_watch_closed(e);
}

void engine_close(struct engine *e, void (*closed)(void *ctx), void *ctx)
{
    e->closing = true;
    e->closed = closed;
    e->closed_ctx = ctx;
    drain(e, close_drained, NULL);
}

void engine_kill(struct engine *e)
{
    vec_each (struct node, node, &e->nodes) {
        if (node->flight && node->flight->exec)
            runner_cancel(node->flight->exec);
    }
}

bool engine_busy(const struct engine *e)
{
    return schedule_busy(e) || e->round != ROUND_IDLE;
}

int engine_exit_code(const struct engine *e)
{
    return e->exit_code;
}
