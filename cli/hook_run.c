/*
 * hook_run.c - the steps of the hook run on a checkout of the tree that is being committed (see
 * hook.h).
 */
#include "cli/hook.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/git_checkout.h"
#include "cli/ending.h"
#include "cli/views.h"
#include "engine/failure.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_BYTES ((size_t)16 << 20)
#define FILES_SHOWN  10

/* Whether the files are as they were. */
struct checking {
    const struct hook_commit *commit;
    const struct hook_checkout *checkout;
    struct buf changed;
    struct err err;
    int rc;
    pthread_t thread;
    bool begun, by_thread;
};

struct hooking {
    struct app app;
    const struct options *options;
    const struct hook_commit *commit;
    const struct hook_checkout *checkout;
    struct views views;
    struct control control;
    struct engine *engine;
    struct tidy *tidy;
    struct ending ending;
    uv_timer_t budget;
    bool budget_open;
    bool finished;
    bool fixed; /* a step has rewritten what it says that it reads */
    int signal, exit_code;
    char *run;
    VEC(char *) failed;
    VEC(char *) running;
    struct hook_passes passes; /* count if all files are as they were checked out */
    enum hook_part part;
    const char *git;
    struct checking checking;
};

/* -- the files --------------------------------------------------------------------------------- */

static void *check(void *ctx)
{
    struct checking *c = ctx;
    c->rc = git_checkout_changed(&c->commit->place, c->commit->tree, c->checkout->dir,
                                 c->checkout->stamps, &c->changed, &c->err);
    return NULL;
}

/* All steps have ended. */
static void begin_check(struct hooking *h)
{
    struct checking *c = &h->checking;
    sigset_t all, before;
    *c = (struct checking){.commit = h->commit, .checkout = h->checkout, .begun = true};
    sigfillset(&all); /* signals are for who waits for them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->by_thread = pthread_create(&c->thread, NULL, check, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!c->by_thread)
        check(c);
}

static void join_check(struct checking *c)
{
    if (c->by_thread)
        pthread_join(c->thread, NULL);
    c->by_thread = false;
}

static void checking_release(struct checking *c)
{
    join_check(c);
    buf_release(&c->changed);
    err_release(&c->err);
}

/* -- its end ----------------------------------------------------------------------------------- */

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void engine_closed(void *ctx)
{
    struct hooking *h = ctx;
    h->engine = NULL;
    ending_close(&h->ending);
    if (h->budget_open)
        uv_close((uv_handle_t *)&h->budget, handle_closed);
    views_close(&h->views);
    app_close_runners(&h->app);
}

static void finish(struct hooking *h)
{
    if (h->finished)
        return;
    h->finished = true;
    if (!h->engine) {
        engine_closed(h);
        return;
    }
    int code = engine_exit_code(h->engine);
    if (!code && engine_busy(h->engine))
        code = EXIT_STEP_FAILED; /* ended before it was done */
    h->exit_code = h->exit_code ? h->exit_code : code;
    if (h->part != HOOK_FIXERS && !engine_busy(h->engine) && (h->passes.list.n || !h->exit_code))
        begin_check(h); /* while the engine closes */
    engine_close(h->engine, engine_closed, h);
}

static void on_done(void *ctx)
{
    finish(ctx);
}

static void on_signal(void *ctx, int number)
{
    struct hooking *h = ctx;
    if (h->signal && h->engine)
        engine_kill(h->engine); /* asked twice: no more grace */
    h->signal = number;
    finish(h);
}

static void catch_signals(struct hooking *h)
{
    ending_begin(&h->ending, &h->app.loop, on_signal, h);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* -- the run ----------------------------------------------------------------------------------- */

static void no_longer_runs(struct hooking *h, const char *step)
{
    for (size_t i = 0; i < h->running.n; i++)
        if (!strcmp(h->running.v[i], step)) {
            free(h->running.v[i]);
            h->running.v[i] = h->running.v[--h->running.n];
            return;
        }
}

static void on_event(void *ctx, const struct event *event)
{
    struct hooking *h = ctx;
    if (event->type == EVENT_RUN_STARTED && event->run && !h->run)
        h->run = mem_strdup(event->run);
    if (event->type == EVENT_STEP_STARTED)
        vec_push(&h->running, mem_strdup(event->step));
    if (event->type == EVENT_STEP_FINISHED)
        no_longer_runs(h, event->step);
    if (event->type == EVENT_STEP_FINISHED && event->u.finished.tainted)
        h->fixed = true;
    if (event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_FAILED)
        vec_push(&h->failed, mem_strdup(event->step));
}

static void on_passed(void *ctx, const struct digest *key, const struct buf *action)
{
    hook_passes_add(&((struct hooking *)ctx)->passes, key, action);
}

static void on_budget(uv_timer_t *timer)
{
    struct hooking *h = timer->data;
    struct buf text = BUF_INIT;
    char time[16];
    if (!h->engine || h->finished || !h->running.n)
        return; /* asked again soon */
    uv_timer_stop(timer);
    buf_addf(&text, "the hook takes longer than the %s that it may",
             text_duration(h->app.config->hook.budget_ms, time));
    for (size_t i = 0; i < h->running.n; i++)
        buf_addf(&text, "%s%s", i ? ", " : "; still at work: ", h->running.v[i]);
    buf_addf(&text, "; ^C and git %s --no-verify goes without it", h->git);
    engine_notice(h->engine, "warning", buf_str(&text));
    buf_release(&text);
}

static void begin_budget(struct hooking *h)
{
    uint64_t ms = h->app.config->hook.budget_ms;
    if (!ms)
        return;
    uv_timer_init(&h->app.loop, &h->budget);
    h->budget.data = h;
    h->budget_open = true;
    uv_update_time(&h->app.loop);
    uv_timer_start(&h->budget, on_budget, ms, 50);
    uv_unref((uv_handle_t *)&h->budget);
}

static int on_boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    return app_boxes(&((struct hooking *)ctx)->app, out, err);
}

static int open_engine(struct hooking *h, struct err *err)
{
    const struct options *o = h->options;
    struct engine_options options = {.loop = &h->app.loop,
                                     .mode = ENGINE_RUN,
                                     .typing = ENGINE_TYPING_NOBODY,
                                     .root = h->app.root,
                                     .known_root = h->commit->root,
                                     .stat_path = h->app.stat_path,
                                     .stat_ahead = h->app.stat_ahead,
                                     .scratch_path = h->app.scratch_path,
                                     .version = KILN_VERSION,
                                     .trigger = "hook",
                                     .cache = h->app.cache,
                                     .cache_read_only = h->app.read_only,
                                     .runner = h->app.runner,
                                     .boxes = on_boxes,
                                     .lock_path = h->app.lock_path,
                                     .records = h->app.records,
                                     .history = h->app.history,
                                     /* Fixers see each other's files. */
                                     .jobs = h->part == HOOK_FIXERS ? 1
                                             : o->jobs              ? o->jobs
                                                                    : h->app.config->jobs,
                                     .awaited = isatty(STDERR_FILENO) && !in_ci(),
                                     .keep_going = o->keep_going,
                                     .passed = on_passed,
                                     .done = on_done,
                                     .ctx = h};
    if (engine_new(&options, &h->engine, err) < 0)
        return -(int)err->kind;
    h->control = engine_control(h->engine);
    h->tidy = tidy_new(&h->app.loop, h->app.cache);
    engine_subscribe(h->engine, on_event, h);
    return views_open(&h->views, h->engine, &h->control, &h->app, err);
}

/* Of the hook's steps the fixers, or the others. */
static const char **part_of(const struct config *config, enum hook_part part, size_t *n)
{
    size_t n_all;
    const char **names = hook_steps(config, &n_all);
    *n = n_all;
    if (part == HOOK_STEPS || (part == HOOK_OTHERS && !n_all))
        return names;
    *n = 0;
    for (size_t i = 0; i < n_all; i++)
        if (config->steps[config_step_index(config, names[i])].fix == (part == HOOK_FIXERS))
            names[(*n)++] = names[i];
    if (*n)
        return names;
    free(names);
    return NULL;
}

static void on_loaded(void *ctx, struct graph *graph, const char *const *sources, size_t n_sources,
                      int exit_code, const char *error)
{
    struct hooking *h = ctx;
    struct err err = ERR_INIT;
    if (h->finished || !graph) {
        if (!h->finished)
            complain(h->options, error);
        h->exit_code = exit_code;
        graph_free(graph);
        finish(h);
        return;
    }
    size_t n_steps;
    const char **steps = part_of(h->app.made, h->part, &n_steps);
    if (!steps) {
        h->exit_code = HOOK_NONE;
        graph_free(graph);
        finish(h);
        return;
    }
    int rc = open_engine(h, &err);
    if (rc < 0)
        graph_free(graph);
    else
        rc = engine_load(h->engine, graph, steps, n_steps, sources, n_sources, &err);
    free(steps);
    if (rc < 0) {
        complain(h->options, err_text(&err));
        h->exit_code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
        err_release(&err);
        finish(h);
        return;
    }
    begin_budget(h);
    engine_start(h->engine);
}

static int open_app(struct hooking *h, struct err *err)
{
    const struct hook_commit *commit = h->commit;
    size_t n = strlen(commit->root);
    bool inside = path_is_below(commit->config, commit->root) && commit->config[n] == '/';
    char *path =
        inside ? path_join(h->checkout->root, commit->config + n + 1) : mem_strdup(commit->config);
    struct buf text = BUF_INIT;
    struct app_given given = {
        .path = path, .root = h->checkout->root, .text = &text, .project = commit->root};
    int rc = file_read(path, CONFIG_BYTES, &text, err);
    if (rc == 0)
        rc = app_open_given(&h->app, h->options, &given, APP_CACHE | APP_STATE | APP_RUNNER, err);
    buf_release(&text);
    free(path);
    return rc;
}

static void put_passes(struct hooking *h)
{
    struct err err = ERR_INIT;
    if (hook_passes_put(&h->passes, h->app.cache, &err) < 0)
        warn(h->options, err_text(&err));
    err_release(&err);
}

/* What was tested is the tree only if steps left it as it was; else nobody knows what those that
 * passed have seen. */
static int check_files(struct hooking *h, struct err *err)
{
    const struct buf *changed = &h->checking.changed;
    if (!h->checking.begun)
        begin_check(h);
    join_check(&h->checking);
    int rc = h->checking.rc != 0 ? err_move(err, &h->checking.err) : 0;
    size_t shown = 0, at = 0;
    for (; rc == 0 && at < changed->len && shown < FILES_SHOWN;
         at += strlen(changed->data + at) + 1)
        fprintf(stderr, "%s%s", shown++ ? ", " : "hook: steps changed files that are committed: ",
                changed->data + at);
    if (shown) {
        fprintf(stderr,
                "%s\nhook: others may have seen them so; let them write elsewhere, or "
                "commit what they make of the files\n",
                at < changed->len ? " ..." : "");
        h->exit_code = EXIT_STEP_FAILED;
    } else if (rc == 0) {
        put_passes(h);
    }
    return rc;
}

/* What fixers pass on is the tree as it is, or they own up to what they fixed. */
static int take_fixes(struct hooking *h, char *left, struct err *err)
{
    const struct hook_commit *commit = h->commit;
    int rc = git_checkout_take(&commit->place, commit->tree, h->checkout->dir, left, err);
    if (rc == 0 && (h->fixed || !strcmp(left, commit->tree)))
        put_passes(h);
    return rc;
}

/* Whether what it read is there to go on from. */
static bool is_kept(const struct hooking *h, const char *step)
{
    struct failure failure;
    bool found = false, kept = false;
    char *dir = h->app.records ? records_run_dir(h->app.records, h->run) : NULL;
    if (dir && failure_read(dir, step, &failure, &found, NULL) == 0 && found) {
        kept = failure.inputs == FAILURE_KEPT;
        failure_release(&failure);
    }
    free(dir);
    return kept;
}

static void say_what_now(struct hooking *h)
{
    const char *kiln = views_kiln(&h->views);
    if (h->signal || h->exit_code <= 0)
        return;
    fflush(stdout);
    for (size_t i = 0; h->run && i < h->failed.n && i < FILES_SHOWN; i++) {
        const char *step = h->failed.v[i];
        fprintf(stderr, "hook: what %s wrote: %s logs --run %s %s\n", step, kiln, h->run, step);
        if (is_kept(h, step))
            fprintf(stderr, "hook: to look into it: %s debug --run %s %s\n", kiln, h->run, step);
    }
    fprintf(stderr, "hook: stopped; to go on without it: git %s --no-verify\n", h->git);
}

/* The message, and what is pushed, kiln would have to be told; git tells it. A new string. */
static char *command_again(struct hooking *h)
{
    const char *name = h->options->n_args ? h->options->args[0] : "pre-commit";
    if (!strcmp(name, "commit-msg") || !strcmp(name, "pre-push"))
        return mem_printf("git %s", h->git);
    return mem_printf("%s hook run", views_kiln(&h->views));
}

int hook_run(const struct options *options, const struct hook_commit *commit,
             const struct hook_checkout *checkout, enum hook_part part, const char *git, char *left)
{
    struct options shown = *options;
    struct hooking h = {
        .options = &shown, .commit = commit, .checkout = checkout, .part = part, .git = git};
    struct err err = ERR_INIT;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty >= 0)
        close(tty);
    else
        shown.plain = true; /* a client with windows: nobody sees a line that is drawn anew */
    views_init(&h.views, h.options, &h.app.loop, false);
    char *again = command_again(&h);
    h.views.again = again;
    /* Fixers own up to what they change at the end alone. */
    hook_passes_begin(&h.passes, part != HOOK_FIXERS ? checkout->passed : NULL, commit->tree);
    int rc = open_app(&h, &err);
    if (rc == 0) {
        catch_signals(&h);
        cache_use_begin(h.app.cache); /* what the passes name is there until they are put */
        pipeline_load(&h.app, on_loaded, &h);
        uv_run(&h.app.loop, UV_RUN_DEFAULT);
        if (h.passes.list.n || !h.exit_code)
            rc = left ? take_fixes(&h, left, &err) : check_files(&h, &err);
        cache_use_end(h.app.cache);
        unlink(checkout->passed);
    }
    if (rc != 0) {
        complain(options, err_text(&err));
        h.exit_code = err.kind == ERR_SYSTEM || err.kind == ERR_CORRUPT ? EXIT_KILN : EXIT_USAGE;
    }
    tidy_end(h.tidy, options);
    say_what_now(&h);
    err_release(&err);
    views_release(&h.views);
    free(again);
    app_close(&h.app);
    checking_release(&h.checking);
    hook_passes_release(&h.passes);
    vec_each (char *, name, &h.failed)
        free(*name);
    vec_release(&h.failed);
    vec_each (char *, name, &h.running)
        free(*name);
    vec_release(&h.running);
    free(h.run);
    return h.signal ? 128 + h.signal : h.exit_code;
}
