/* hook_answer.c - whether the steps of the hook passed on the tree that is being committed (see
 * hook.h). */
#include "cli/hook.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/git_source.h"
#include "cli/watcher.h"
#include "config/lock.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_BYTES ((size_t)16 << 20)

struct looking {
    struct app app;
    const struct hook_commit *commit;
    const char *root; /* where the steps would run */
    struct git_source *source;
    const char **steps;
    size_t n_steps;
    struct engine *engine;
    struct hook_answer *answer;
    struct err *err;
    bool finished;
};

static char *cache_folder(const char *name)
{
    char *cache = cache_default_path();
    char *path = cache ? path_join(cache, name) : NULL;
    free(cache);
    return path;
}

int hook_commit_find(const struct options *options, struct hook_commit *out, struct err *err)
{
    *out = (struct hook_commit){0};
    int rc = app_find(options, &out->config, &out->root, err);
    return rc == 0 ? git_place_find(out->root, &out->place, err) : rc;
}

int hook_commit_index(struct hook_commit *commit, struct err *err)
{
    char *scratch = cache_folder("v1/tmp");
    int rc = 0;
    if (!scratch)
        rc = err_set(err, ERR_SYSTEM,
                     "there is no place for the cache: set HOME, XDG_CACHE_HOME or "
                     "KILN_CACHE_DIR");
    if (rc == 0)
        rc = file_mkdirs(scratch, 0700, err);
    if (rc == 0)
        rc = git_tree_of_index(&commit->place, scratch, commit->tree, err);
    free(scratch);
    return rc;
}

void hook_commit_release(struct hook_commit *commit)
{
    git_place_release(&commit->place);
    free(commit->config);
    free(commit->root);
}

void hook_answer_release(struct hook_answer *answer)
{
    free(answer->first);
    free(answer->why);
    config_free(answer->config);
    *answer = (struct hook_answer){0};
}

static bool has_fixers(const struct config *config)
{
    bool any = false;
    for (size_t i = 0; i < config->n_steps; i++)
        any |= config->steps[i].fix;
    return any;
}

const char **hook_steps(const struct config *config, size_t *n)
{
    VEC(const char *) names = VEC_INIT;
    bool told = false;
    vec_reserve(&names, 1);
    for (size_t i = 0; i < config->n_steps; i++)
        told |= config->steps[i].hook;
    for (size_t i = 0; i < config->n_steps; i++)
        if (config->steps[i].hook || config->steps[i].fix || (!told && has_fixers(config)))
            vec_push(&names, config->steps[i].name.text);
    *n = names.n;
    return names.v;
}

/* One memo a repository: its linked worktrees have the same objects. */
int hook_source(const struct hook_commit *commit, struct git_source **out, struct err *err)
{
    char hex[DIGEST_HEX + 1], *scratch = cache_folder("v1/tmp");
    struct digest id = digest_of(commit->place.common, strlen(commit->place.common));
    digest_hex(&id, hex);
    char *name = mem_printf("v1/git/%s", hex), *memo = cache_folder(name);
    int rc = git_source_new(&commit->place, commit->tree, memo, scratch, out, err);
    free(name);
    free(memo);
    free(scratch);
    return rc;
}

/* A file of the project as it is in the tree; from its place in the folder, where it is named by
 * that. */
static int read_committed(struct git_source *source, const struct hook_commit *commit,
                          const char *path, struct buf *out, bool *found, struct err *err)
{
    size_t n = strlen(commit->root);
    if (!path_is_below(path, commit->root) || !path[n]) {
        *found = true; /* a pipeline that is kept elsewhere */
        return file_read(path, CONFIG_BYTES, out, err);
    }
    return git_source_read(source, path + n + 1, CONFIG_BYTES, out, found, err);
}

/* -- the plan ---------------------------------------------------------------------------------- */

static void on_closed(void *ctx)
{
    struct looking *look = ctx;
    look->engine = NULL;
    look->finished = true;
}

static void on_done(void *ctx)
{
    struct looking *look = ctx;
    engine_close(look->engine, on_closed, look);
}

static void no(struct hook_answer *answer, const char *step, const char *why)
{
    answer->all_cached = false;
    if (answer->why)
        return;
    answer->first = step ? mem_strdup(step) : NULL;
    answer->why = mem_strdup(why);
}

/* The bound directory that the step misses as an input: it is no part of the tree. Or NULL. */
static const char *bound_input(const struct config *config, const struct plan_step *step)
{
    for (size_t i = 0; step->error && i < config->hook.n_bind; i++)
        if (strstr(step->error, config->hook.bind[i].text))
            return config->hook.bind[i].text;
    return NULL;
}

static void on_plan(void *ctx, const struct plan_step *step)
{
    struct looking *look = ctx;
    struct hook_answer *answer = look->answer;
    answer->n_steps++;
    if (step->state == PLAN_CACHED && !step->error)
        return;
    int64_t index = config_step_index(look->app.config, step->name);
    answer->fixers |= index >= 0 && look->app.config->steps[index].fix;
    answer->n_run++;
    const char *bound = bound_input(look->app.config, step);
    char *why = bound ? mem_printf("it reads %s, which is not committed; with a copy of that in "
                                   "the checkout it may be cached",
                                   bound)
                      : NULL;
    no(answer, step->name,
       why                       ? why
       : step->error             ? step->error
       : step->state == PLAN_RUN ? "it has not passed with these inputs"
                                 : "it waits for others");
    free(why);
}

static int on_boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    return app_boxes(&((struct looking *)ctx)->app, out, err);
}

static void on_loaded(void *ctx, struct graph *graph, const char *const *sources, size_t n_sources,
                      int exit_code, const char *error)
{
    struct looking *look = ctx;
    struct app *app = &look->app;
    (void)sources;
    (void)n_sources;
    (void)exit_code;
    look->finished = true;
    if (!graph) {
        err_set(look->err, ERR_CONFIG, "%s", error);
        return;
    }
    struct engine_options options = {.loop = &app->loop,
                                     .mode = ENGINE_PLAN,
                                     .root = look->root,
                                     .known_root = look->commit->root,
                                     .git = look->source,
                                     .scratch_path = app->scratch_path,
                                     .version = KILN_VERSION,
                                     .trigger = "hook",
                                     .cache = app->cache,
                                     .runner = app->runner,
                                     .boxes = on_boxes,
                                     .lock_path = app->lock_path,
                                     .history = app->history,
                                     .unexplained = true,
                                     .plan = on_plan,
                                     .done = on_done,
                                     .ctx = look};
    if (engine_new(&options, &look->engine, look->err) < 0) {
        graph_free(graph);
        return;
    }
    look->finished = false;
    if (engine_load(look->engine, graph, look->steps, look->n_steps, NULL, 0, look->err) < 0)
        engine_close(look->engine, on_closed, look);
    else
        engine_start(look->engine);
}

/* -- what comes before ------------------------------------------------------------------------- */

/* Which images are meant says kiln.lock, and the engine reads that of the folder: it may speak for
 * the tree where it is the same. */
static int same_lock(struct git_source *source, const struct hook_commit *commit,
                     const struct config *config, const char *lock_path, bool *same,
                     struct err *err)
{
    struct buf ours = BUF_INIT, theirs = BUF_INIT;
    bool found = false, any = false;
    *same = true;
    for (size_t i = 0; i < config->n_steps; i++)
        any |= config->steps[i].runner == CONFIG_RUNNER_CONTAINER;
    if (!any)
        return 0;
    int rc = read_committed(source, commit, lock_path, &theirs, &found, err);
    bool here = file_read(lock_path, CONFIG_BYTES, &ours, NULL) == 0;
    *same = here == found && ours.len == theirs.len &&
            memcmp(buf_str(&ours), buf_str(&theirs), ours.len) == 0;
    buf_release(&ours);
    buf_release(&theirs);
    return rc;
}

bool hook_same_pipeline(struct git_source *source, const struct hook_commit *commit,
                        const struct config *config, const char *lock_path)
{
    struct buf text = BUF_INIT;
    bool found = false, same = false;
    if (read_committed(source, commit, commit->config, &text, &found, NULL) == 0 && found) {
        struct digest digest = digest_of(buf_str(&text), text.len);
        same = digest_eq(&digest, &config->text);
    }
    buf_release(&text);
    return same && same_lock(source, commit, config, lock_path, &same, NULL) == 0 && same;
}

/* Whether all is cached of what the steps would make in that folder. */
static void plan_in(struct looking *look, const char *root)
{
    look->root = root;
    look->finished = false;
    pipeline_load(&look->app, on_loaded, look);
    while (!look->finished)
        uv_run(&look->app.loop, UV_RUN_ONCE);
}

static int plan(struct looking *look, const struct hook_commit *commit, struct err *err)
{
    bool same;
    if (look->app.config->generate) {
        no(look->answer, NULL, "the pipeline is generated");
        look->answer->fixers = true;
        return 0;
    }
    int rc = same_lock(look->source, commit, look->app.config, look->app.lock_path, &same, err);
    if (rc == 0 && !same) {
        no(look->answer, NULL, "kiln.lock in the working tree is not the one that is committed");
        look->answer->fixers = has_fixers(look->app.config);
    }
    if (rc != 0 || !same)
        return rc;
    look->steps = hook_steps(look->app.config, &look->n_steps);
    plan_in(look, commit->root);
    /* What a hook has run before is known by where that was. */
    char *checkout = hook_checkout_root(commit);
    if (!err->kind && !look->answer->all_cached && checkout && access(checkout, F_OK) == 0) {
        hook_answer_release(look->answer);
        look->answer->all_cached = true;
        plan_in(look, checkout);
    }
    free(checkout);
    return err->kind ? -(int)err->kind : 0;
}

static void on_told(void *ctx, const struct event *event)
{
    (void)ctx;
    (void)event;
}

static void on_tick(void *ctx)
{
    (void)ctx;
}

/* Whether a kiln that watches the project has seen all of it pass. */
static bool watcher_knows(const struct options *options, const struct hook_commit *commit)
{
    struct asking asking = {.root = commit->root,
                            .config = commit->config,
                            .options = options,
                            .tree = commit->tree,
                            .event = on_told,
                            .tick = on_tick};
    int code;
    if (!watcher_ask(&asking, &code))
        return false;
    if (code > 128) /* it was caught meanwhile, for a run that the watcher would have to end */
        raise(code - 128);
    return code == EXIT_OK;
}

int hook_ask(const struct options *options, const struct hook_commit *commit,
             struct hook_answer *out, struct err *err)
{
    *out = (struct hook_answer){.all_cached = true};
    if (watcher_knows(options, commit))
        return 0;
    struct looking look = {.commit = commit, .answer = out, .err = err};
    struct buf text = BUF_INIT;
    struct app_given given = {.path = commit->config, .root = commit->root, .text = &text};
    struct err unsaved = ERR_INIT;
    bool found = false;
    int rc = hook_source(commit, &look.source, err);
    if (rc == 0)
        rc = read_committed(look.source, commit, commit->config, &text, &found, err);
    if (rc == 0 && !found)
        rc = err_set(err, ERR_CONFIG,
                     "%s is not part of what is committed; \"git add\" it, so that a clone has a "
                     "pipeline too",
                     commit->config);
    if (rc == 0) {
        rc = app_open_given(&look.app, options, &given, APP_CACHE | APP_STATE | APP_RUNNER, err);
        if (rc == 0)
            rc = plan(&look, commit, err);
        out->config = look.app.config;
        look.app.config = NULL;
        app_close(&look.app);
    }
    if (look.source && git_source_save(look.source, &unsaved) != 0)
        warn(options, err_text(&unsaved)); /* the next one finds it all out again */
    err_release(&unsaved);
    git_source_free(look.source);
    buf_release(&text);
    free(look.steps);
    return rc;
}
