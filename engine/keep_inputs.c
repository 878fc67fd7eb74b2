/*
 * keep_inputs.c - the inputs of failed steps go into the cache, beside what goes on.
 *
 * A failure is put on record as the step ends (failure.h), as one whose inputs are not kept yet;
 * then a worker stores them, one failure after the other so that the rest of the pool stays with
 * the steps, and says in the record what came of it. A kiln that is ended meanwhile leaves a record
 * that says so.
 *
 * What is stored is what the step's key says. An isolated step's is in its snapshot; a step of the
 * host read the project, where a file may have become another one since: then it is told that they
 * changed, and nothing is kept.
 */
#include "engine/failure.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/wants.h"

#include "cache/kept_inputs.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILES  ((size_t)50000)
#define MAX_BYTES  ((uint64_t)512 << 20)
#define AT_END_NS  ((uint64_t)3000000000) /* that the end of a run waits for them, at most */
#define MAX_QUEUED 100

struct keeping {
    uv_work_t work;
    struct engine *engine;
    char *run_dir;
    struct failure failure; /* its strings are the arena's */
    struct buf tree;        /* the Tree message */
    struct snapshot *view;  /* or NULL */
    char *root;
};

struct keepings {
    VEC(struct keeping *) queue; /* the first is at work */
    atomic_uint_fast64_t until;  /* kept_inputs_options */
};

static void keeping_free(struct keeping *k)
{
    snapshot_release(k->view);
    buf_release(&k->tree);
    failure_release(&k->failure);
    free(k->run_dir);
    free(k->root);
    free(k);
}

/* -- the record -------------------------------------------------------------------------------- */

static void write_failure(const struct keeping *k)
{
    char name[DIGEST_HEX + 6];
    struct buf text = BUF_INIT;
    char *folder = path_join(k->run_dir, "failed");
    failure_name(k->failure.exec.name, name);
    char *path = path_join(folder, name);
    failure_text(&k->failure, &text);
    /* A state directory that can't be written is told of elsewhere. */
    if (file_mkdirs(folder, 0700, NULL) == 0)
        (void)!file_write_atomic(path, text.data, text.len, 0600, NULL);
    buf_release(&text);
    free(path);
    free(folder);
}

static const char *keep(struct keeping *k, const char *text)
{
    return text ? arena_strdup(&k->failure.arena, text) : NULL;
}

static const char *const *keep_list(struct keeping *k, const char *const *list, size_t n)
{
    const char **copy = arena_zalloc(&k->failure.arena, n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = keep(k, list[i]);
    return copy;
}

/* A copy that outlives the graph. */
static void take_exec(struct keeping *k, const struct op_exec *exec)
{
    struct arena *arena = &k->failure.arena;
    struct op_exec *to = &k->failure.exec;
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

static void note_report(struct keeping *k, const struct kept_inputs_report *report)
{
    static const enum failure_inputs states[] = {[KEPT_INPUTS_WHOLE] = FAILURE_KEPT,
                                                 [KEPT_INPUTS_CHANGED] = FAILURE_CHANGED,
                                                 [KEPT_INPUTS_TOO_MUCH] = FAILURE_TOO_MUCH,
                                                 [KEPT_INPUTS_LATE] = FAILURE_UNFINISHED};
    k->failure.inputs = states[report->answer];
    k->failure.why = keep(k, report->path);
    k->failure.files = report->files;
    k->failure.bytes = report->bytes;
}

static void keep_work(uv_work_t *work)
{
    struct keeping *k = work->data;
    struct engine *e = k->engine;
    struct kept_inputs_report report;
    struct err err = ERR_INIT;
    size_t n = 0;
    const char *const *dirs = k->view ? snapshot_dirs(k->view, &n) : NULL;
    const char **places = arena_zalloc(&k->failure.arena, n + 1, sizeof *places);
    for (size_t i = 0; i < n; i++) /* the uppermost is the likeliest */
        places[i] = dirs[n - 1 - i];
    places[n++] = k->root;
    struct kept_inputs_options options = {.step = k->failure.exec.name,
                                          .root = k->root,
                                          .places = places,
                                          .n_places = n,
                                          .max_files = MAX_FILES,
                                          .max_bytes = MAX_BYTES,
                                          .until = &e->keepings->until};
    if (kept_inputs_put(e->opt.cache, k->tree.data, k->tree.len, &options, &report, &err) < 0) {
        bool ended = err.kind == ERR_CANCELLED || err.errnum == ECANCELED;
        k->failure.inputs = ended ? FAILURE_UNFINISHED : FAILURE_REFUSED;
        k->failure.why = ended ? NULL : keep(k, err_text(&err));
    } else {
        note_report(k, &report);
    }
    free(report.path);
    err_release(&err);
    write_failure(k);
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
    k->failure.inputs = FAILURE_REFUSED;
    k->failure.why = keep(k, why);
}

/* Notes what the worker needs to know of the inputs. False: nothing can be kept. */
static bool take_inputs(struct engine *e, struct keeping *k)
{
    struct err err = ERR_INIT;
    bool known = trees_encode_tree(e->trees, &k->failure.input_root, &k->tree, &err) == 0;
    if (e->opt.cache_read_only)
        refuse(k, "the cache can't be written");
    else if (!known)
        refuse(k, err_text(&err));
    else if (e->keepings->queue.n >= MAX_QUEUED)
        refuse(k, "too many steps failed at once");
    err_release(&err);
    return k->failure.inputs == FAILURE_UNFINISHED;
}

void keep_inputs(struct engine *e, const struct instance *in)
{
    const struct node *node = &e->nodes.v[in->node];
    if (!in->run->record || !e->opt.cache)
        return;
    if (!e->keepings)
        e->keepings = mem_zalloc(1, sizeof *e->keepings);
    struct keeping *k = mem_zalloc(1, sizeof *k);
    k->engine = e;
    k->run_dir = mem_strdup(record_dir(in->run->record));
    k->root = mem_strdup(e->opt.root);
    take_exec(k, node->exec);
    k->failure.key = in->key;
    k->failure.input_root = in->input_root;
    k->failure.attempt = in->attempt;
    k->failure.isa = keep(k, e->machine.machine);
    k->failure.os = keep(k, e->machine.sysname);
    const struct pin *pin = images_pin(e, node);
    if (pin && pin->state == PIN_KNOWN) {
        k->failure.image = pin->pin.manifest;
        k->failure.image_index = pin->pin.index;
    }
    bool wanted = take_inputs(e, k);
    write_failure(k);
    if (!wanted) {
        keeping_free(k);
        return;
    }
    if (node->boxed) {
        const struct snapshot_options options = {.root = e->opt.root,
                                                 .name = node->exec->name,
                                                 .owner = e->boxes.owner.uid,
                                                 .group = e->boxes.owner.gid};
        k->view = snapshot_find(e->opt.cache, &k->failure.input_root, &options);
    }
    vec_push(&e->keepings->queue, k);
    if (e->keepings->queue.n == 1)
        begin(e);
}

bool keep_inputs_busy(struct engine *e)
{
    if (!e->keepings || !e->keepings->queue.n)
        return false;
    if (!atomic_load(&e->keepings->until))
        atomic_store(&e->keepings->until, clock_monotonic_ns() + AT_END_NS);
    return true;
}

void keep_inputs_stop(struct engine *e)
{
    if (!e->keepings)
        return;
    atomic_store(&e->keepings->until, 1);
    while (e->keepings->queue.n > 1)
        keeping_free(vec_pop(&e->keepings->queue));
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
