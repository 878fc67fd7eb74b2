/*
 * keep_inputs.c - the inputs of failed steps go into the cache, beside what goes on.
 *
 * A failure is put on record as the step ends (failure.h), as one whose inputs are not kept yet;
 * then a worker stores them, one failure after the other so that the rest of the pool stays with
 * the steps, and says in the record what came of it. A kiln that is ended meanwhile leaves a record
 * that says so, and beside it what is needed to go on: the next runs do, beside what they do, and
 * whoever wants that failure before (failure_store.c).
 *
 * What is stored is what the step's key says. An isolated step's is in its snapshot; a step of the
 * host read the project, where a file may have become another one since: then it is told that they
 * changed, and nothing is kept.
 */
#include "engine/failure_store.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/wants.h"

#include <inttypes.h>
#include <stdlib.h>

#define AT_END_NS  ((uint64_t)3000000000) /* that the end of a run waits for them, at most */
#define AT_ONCE_NS ((uint64_t)200000000)  /* the same where somebody waits for it */
#define LOOK_BACK  10                     /* runs, for what was left */
#define MAX_QUEUED 100

struct keeping {
    uv_work_t work;
    struct engine *engine;
    struct failure_store store;
    bool left; /* by an earlier run */
};

struct keepings {
    VEC(struct keeping *) queue; /* the first is at work */
    atomic_uint_fast64_t until;  /* kept_inputs_options */
    bool ending;                 /* the engine waits for them alone */
    char *looking_at;            /* the directory of a run, for what was left; or NULL */
};

static void keeping_free(struct keeping *k)
{
    failure_store_release(&k->store);
    free(k);
}

static const char *keep(struct keeping *k, const char *text)
{
    return text ? arena_strdup(&k->store.failure.arena, text) : NULL;
}

static const char *const *keep_list(struct keeping *k, const char *const *list, size_t n)
{
    const char **copy = arena_zalloc(&k->store.failure.arena, n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = keep(k, list[i]);
    return copy;
}

/* A copy that outlives the graph. */
static void take_exec(struct keeping *k, const struct op_exec *exec)
{
    struct arena *arena = &k->store.failure.arena;
    struct op_exec *to = &k->store.failure.exec;
    *to = *exec;
    to->name = keep(k, exec->name);
    to->shown = keep(k, exec->shown ? exec->shown : "");
    to->where = keep(k, exec->where ? exec->where : "");
    to->argv = keep_list(k, exec->argv, exec->n_argv);
    to->outputs = keep_list(k, exec->outputs, exec->n_outputs);
    to->cwd = keep(k, exec->cwd);
    to->runner = keep(k, exec->runner);
    to->image = keep(k, exec->image);
    to->platform = keep(k, exec->platform);
    to->user = keep(k, exec->user);
    struct graph_env *env = arena_zalloc(arena, exec->n_env + 1, sizeof *env);
    for (size_t i = 0; i < exec->n_env; i++)
        env[i] = (struct graph_env){keep(k, exec->env[i].name), keep(k, exec->env[i].value)};
    to->env = env;
    struct graph_secret *secrets = arena_zalloc(arena, exec->n_secrets + 1, sizeof *secrets);
    for (size_t i = 0; i < exec->n_secrets; i++)
        secrets[i].target = keep(k, exec->secrets[i].target);
    to->secrets = secrets;
    struct graph_cache *caches = arena_zalloc(arena, exec->n_caches + 1, sizeof *caches);
    for (size_t i = 0; i < exec->n_caches; i++)
        caches[i] = (struct graph_cache){keep(k, exec->caches[i].path),
                                         keep(k, exec->caches[i].name), exec->caches[i].sharing};
    to->caches = caches;
}

/* -- storing ----------------------------------------------------------------------------------- */

static void keep_work(uv_work_t *work)
{
    struct keeping *k = work->data;
    failure_store_run(&k->store, k->engine->opt.cache, &k->engine->keepings->until);
}

static void begin(struct engine *e);

static void keep_done(uv_work_t *work, int status)
{
    struct keeping *k = work->data;
    struct engine *e = k->engine;
    struct keepings *all = e->keepings;
    (void)status;
    for (size_t i = 1; i < all->queue.n; i++)
        all->queue.v[i - 1] = all->queue.v[i];
    all->queue.n--;
    if (k->left && !e->drained && !all->ending)
        atomic_store(&all->until, 0); /* only it had to make way */
    keeping_free(k);
    if (e->drained)
        keep_inputs_stop(e);
    begin(e);
    if (!e->drained && e->opt.mode == ENGINE_RUN)
        schedule_pump(e); /* the end may have waited */
    engine_job_done(e);
}

static void begin(struct engine *e)
{
    struct keepings *all = e->keepings;
    if (!all->queue.n)
        return;
    struct keeping *k = all->queue.v[0];
    k->work.data = k;
    e->n_jobs++;
    uv_queue_work(e->loop, &k->work, keep_work, keep_done);
}

static void refuse(struct keeping *k, const char *why)
{
    k->store.failure.inputs = FAILURE_REFUSED;
    k->store.failure.why = keep(k, why);
}

/* Notes what the worker needs to know of the inputs. False: nothing can be kept. */
static bool take_inputs(struct engine *e, struct keeping *k)
{
    struct err err = ERR_INIT;
    bool known =
        trees_encode_tree(e->trees, &k->store.failure.input_root, &k->store.tree, &err) == 0;
    if (e->opt.cache_read_only)
        refuse(k, "the cache can't be written");
    else if (!known)
        refuse(k, err_text(&err));
    else if (e->keepings->queue.n >= MAX_QUEUED)
        refuse(k, "too many steps failed at once");
    err_release(&err);
    return k->store.failure.inputs == FAILURE_UNFINISHED;
}

static void take_places(struct engine *e, struct keeping *k, const struct node *node)
{
    if (node->boxed) {
        const struct snapshot_options options = {.root = e->opt.root,
                                                 .name = node->exec->name,
                                                 .owner = e->boxes.owner.uid,
                                                 .group = e->boxes.owner.gid};
        k->store.view = snapshot_find(e->opt.cache, &k->store.failure.input_root, &options);
    }
    size_t n = 0;
    const char *const *dirs = k->store.view ? snapshot_dirs(k->store.view, &n) : NULL;
    while (n > 0) /* the uppermost is the likeliest */
        failure_store_place(&k->store, dirs[--n]);
    failure_store_place(&k->store, e->opt.root);
}

static void add(struct engine *e, struct keeping *k)
{
    k->engine = e;
    vec_push(&e->keepings->queue, k);
    if (e->keepings->queue.n == 1)
        begin(e);
}

/* What is new can change soon; what was left stays left. */
static void go_before_what_was_left(struct keepings *all)
{
    while (all->queue.n > 1 && all->queue.v[all->queue.n - 1]->left)
        keeping_free(vec_pop(&all->queue));
    if (all->queue.n == 1 && all->queue.v[0]->left)
        atomic_store(&all->until, 1);
}

static void take_left(void *ctx, const struct failure *failure)
{
    struct engine *e = ctx;
    struct keeping *k;
    if (failure->inputs != FAILURE_UNFINISHED || e->keepings->queue.n >= MAX_QUEUED)
        return;
    k = mem_zalloc(1, sizeof *k);
    k->left = true;
    if (failure_store_take(&k->store, e->keepings->looking_at, failure->exec.name))
        add(e, k);
    else
        keeping_free(k);
}

void keep_inputs_resume(struct engine *e, const struct run *run)
{
    if (e->keepings || !run->record || !e->opt.cache || e->opt.cache_read_only)
        return;
    e->keepings = mem_zalloc(1, sizeof *e->keepings);
    uint64_t id = strtoull(record_id(run->record), NULL, 10);
    for (uint64_t i = 1; i <= LOOK_BACK && i < id; i++) {
        char *name = mem_printf("%" PRIu64, id - i);
        e->keepings->looking_at = records_run_dir(e->opt.records, name);
        if (e->keepings->looking_at)
            failure_each(e->keepings->looking_at, take_left, e);
        free(e->keepings->looking_at);
        free(name);
    }
    e->keepings->looking_at = NULL;
}

void keep_inputs(struct engine *e, const struct instance *in)
{
    const struct node *node = &e->nodes.v[in->node];
    if (!in->run->record || !e->opt.cache)
        return;
    if (!e->keepings)
        e->keepings = mem_zalloc(1, sizeof *e->keepings);
    struct keeping *k = mem_zalloc(1, sizeof *k);
    k->store.run_dir = mem_strdup(record_dir(in->run->record));
    take_exec(k, node->exec);
    k->store.failure.key = in->key;
    k->store.failure.input_root = in->input_root;
    k->store.failure.attempt = in->attempt;
    k->store.failure.isa = keep(k, e->machine.machine);
    k->store.failure.os = keep(k, e->machine.sysname);
    const struct pin *pin = images_pin(e, node);
    if (pin && pin->state == PIN_KNOWN) {
        k->store.failure.image = pin->pin.manifest;
        k->store.failure.image_index = pin->pin.index;
    }
    bool wanted = take_inputs(e, k);
    failure_store_note(&k->store);
    if (!wanted) {
        keeping_free(k);
        return;
    }
    take_places(e, k, node);
    go_before_what_was_left(e->keepings);
    add(e, k);
}

bool keep_inputs_busy(struct engine *e)
{
    struct keepings *all = e->keepings;
    if (!all || !all->queue.n)
        return false;
    if (!all->ending) {
        all->ending = true;
        go_before_what_was_left(all); /* nobody waits for that */
        if (!all->queue.v[all->queue.n - 1]->left)
            atomic_store(&all->until,
                         clock_monotonic_ns() + (e->opt.awaited ? AT_ONCE_NS : AT_END_NS));
    }
    return true;
}

void keep_inputs_stop(struct engine *e)
{
    if (!e->keepings)
        return;
    atomic_store(&e->keepings->until, 1);
    while (e->keepings->queue.n > 1) {
        struct keeping *k = vec_pop(&e->keepings->queue);
        if (!k->left)
            failure_store_leave(&k->store);
        keeping_free(k);
    }
}

void keep_inputs_go_on(struct engine *e)
{
    if (e->keepings)
        atomic_store(&e->keepings->until, 0);
}

void keep_inputs_close(struct engine *e)
{
    if (!e->keepings)
        return;
    vec_release(&e->keepings->queue);
    free(e->keepings);
    e->keepings = NULL;
}
