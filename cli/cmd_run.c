/* cmd_run.c - kiln run and kiln watch: an engine, a view, and the signals that end them. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/debug.h"
#include "cli/ending.h"
#include "cli/first_screen.h"
#include "cli/report.h"
#include "cli/shard.h"
#include "cli/views.h"
#include "cli/watcher.h"

#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct session {
    struct app app;
    const struct options *options;
    bool watching, finished, check_source;
    struct debugging *debugging; /* or NULL */
    struct engine *engine;
    struct control control;
    struct views views;
    struct server *server; /* watching: for those who ask */
    struct tidy *tidy;
    struct ending ending;
    char *error;      /* the last one that the screen told of, which goes with it; or NULL */
    char *unread_why; /* why there is no pipeline yet; or NULL */
    char *own[4];     /* where standard output, error and reports go, when that is in the project */
    size_t n_own;
    int signal, exit_code;
};

static void add_own(struct session *s, const char *path, const char *root)
{
    size_t n = strlen(root);
    if (!path_is_below(path, root) || path[n] != '/')
        return;
    for (size_t i = 0; i < s->n_own; i++) {
        if (!strcmp(s->own[i], path + n + 1))
            return;
    }
    s->own[s->n_own++] = mem_strdup(path + n + 1);
}

/* A report's place, which need not be there yet. */
static void add_report(struct session *s, const char *path, const char *root)
{
    char *cwd = getcwd(NULL, 0);
    char *full = cwd && path ? path_join(cwd, path) : NULL;
    char *plain = full ? path_normalize(full + 1) : NULL;
    char *absolute = plain ? mem_printf("/%s", plain) : NULL;
    if (absolute)
        add_own(s, absolute, root);
    free(absolute);
    free(plain);
    free(full);
    free(cwd);
}

/* kiln's own output is not the project's: as an input it would change with every line. */
static void find_own_files(struct session *s, const char *root)
{
    for (int fd = 1; fd <= 2; fd++) {
        struct stat st;
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        char *link = mem_printf("/proc/self/fd/%d", fd);
        char *path = realpath(link, NULL);
        if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            add_own(s, path, root);
        free(path);
        free(link);
    }
    add_report(s, s->options->junit, root);
    add_report(s, s->options->trace, root);
}

static void forget_own_files(struct session *s)
{
    while (s->n_own)
        free(s->own[--s->n_own]);
}

static void engine_closed(void *ctx)
{
    struct session *s = ctx;
    s->engine = NULL;
    ending_close(&s->ending);
    if (s->debugging)
        debugging_close(s->debugging);
    views_close(&s->views);
    if (s->error && s->exit_code == EXIT_KILN)
        complain(s->options, s->error);
    if (s->unread_why && !s->signal)
        complain(s->options, s->unread_why);
    app_close_runners(&s->app);
}

static void keep_error(void *ctx, const struct event *event)
{
    struct session *s = ctx;
    if (event->type != EVENT_NOTICE || strcmp(event->u.notice.level, "error") != 0)
        return;
    free(s->error);
    s->error = mem_strdup(event->u.notice.text);
}

static void finish(struct session *s)
{
    if (s->finished)
        return;
    s->finished = true;
    if (s->unread_why)
        s->exit_code = EXIT_USAGE;
    if (s->engine) {
        int code = engine_exit_code(s->engine);
        if (!s->watching && !code && engine_busy(s->engine))
            code = EXIT_STEP_FAILED; /* ended before it was done */
        s->exit_code = s->exit_code ? s->exit_code : code;
        serve_close(s->server);
        s->server = NULL;
        engine_close(s->engine, engine_closed, s);
    } else {
        engine_closed(s);
    }
}

static void on_done(void *ctx)
{
    finish(ctx);
}

static void on_signal(void *ctx, int number)
{
    struct session *s = ctx;
    if (s->signal && s->engine)
        engine_kill(s->engine); /* asked twice: no more grace */
    s->signal = number;
    finish(s);
}

static void catch_signals(struct session *s)
{
    ending_begin(&s->ending, &s->app.loop, on_signal, s);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error like a full disk */
}

static void on_unread(void *ctx)
{
    struct session *s = ctx;
    s->exit_code = EXIT_KILN;
    finish(s);
}

/* There is no pipeline, and why. */
static void set_unread(struct session *s, const char *why)
{
    free(s->unread_why);
    s->unread_why = why ? mem_strdup(why) : NULL;
    if (s->views.tui && why)
        first_screen_tell(s->views.tui, why);
    else if (s->views.tui)
        tui_start(s->views.tui, &(struct tui_start){.n = 0});
}

static void reload_failed(struct session *s, const char *why)
{
    size_t n = strlen(why);
    if (s->unread_why) {
        set_unread(s, why);
        return;
    }
    while (n && why[n - 1] == '\n')
        n--;
    char *text = mem_printf("%.*s\nuntil that is mended, the pipeline that was read before stays",
                            (int)n, why);
    engine_notice(s->engine, "error", text);
    free(text);
}

static void on_reloaded(void *ctx, struct graph *graph, const char *const *sources,
                        size_t n_sources, int exit_code, const char *error)
{
    struct session *s = ctx;
    struct err err = ERR_INIT;
    (void)exit_code;
    if (s->finished) {
        graph_free(graph);
        return;
    }
    if (!graph) {
        reload_failed(s, error);
        engine_reload_failed(s->engine);
        serve_loaded(s->server, false);
    } else if (engine_load(s->engine, graph, s->options->args, s->options->n_args, sources,
                           n_sources, &err) < 0) {
        reload_failed(s, err_text(&err));
        err_release(&err);
        engine_reload_failed(s->engine);
        serve_loaded(s->server, false);
    } else {
        if (s->unread_why)
            set_unread(s, NULL);
        serve_loaded(s->server, true);
    }
}

static void on_reload(void *ctx)
{
    struct session *s = ctx;
    pipeline_reload(&s->app, on_reloaded, s);
}

/* What the engine compares the file with is what it finds in its first round. An edit between the
 * reading of it and that round would be taken for how it has always been, so it is looked for here.
 */
static void check_source(void *ctx, const struct event *event)
{
    struct session *s = ctx;
    if (event->type == EVENT_PIPELINE_LOADED)
        s->check_source = true;
    if (event->type == EVENT_RUN_STARTED && s->check_source) {
        s->check_source = false;
        if (pipeline_is_old(&s->app))
            engine_look_at_sources(s->engine);
    }
}

static int on_boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    return app_boxes(&((struct session *)ctx)->app, out, err);
}

static void on_loaded(void *ctx, struct graph *graph, const char *const *sources, size_t n_sources,
                      int exit_code, const char *error)
{
    struct session *s = ctx;
    const struct options *o = s->options;
    struct err err = ERR_INIT;
    struct shard shard = {0};
    if (s->finished) {
        graph_free(graph);
        return;
    }
    if (!graph && exit_code == EXIT_USAGE && s->watching && views_want_tui(&s->views)) {
        /* Nothing to run until the person has mended it. */
        graph = graph_new(s->app.config->name);
        set_unread(s, error);
    }
    if (!graph) {
        s->exit_code = exit_code;
        complain(o, error);
        finish(s);
        return;
    }
    struct engine_options options = {.loop = &s->app.loop,
                                     .mode = s->watching ? ENGINE_WATCH : ENGINE_RUN,
                                     .typing = views_who_types(&s->views),
                                     .root = s->app.root,
                                     .stat_path = s->app.stat_path,
                                     .stat_ahead = s->app.stat_ahead,
                                     .scratch_path = s->app.scratch_path,
                                     .version = KILN_VERSION,
                                     .trigger = s->watching ? "watch" : "command",
                                     .trace = report_trace_id(s->views.files),
                                     .cache = s->app.cache,
                                     .cache_read_only = s->app.read_only,
                                     .runner = s->app.runner,
                                     .boxes = on_boxes,
                                     .lock_path = s->app.lock_path,
                                     .update_images = o->update_images,
                                     .records = s->app.records,
                                     .history = s->app.history,
                                     .jobs = o->jobs ? o->jobs : s->app.config->jobs,
                                     .awaited = isatty(STDERR_FILENO) && !in_ci(),
                                     .keep_going = o->keep_going,
                                     .no_cache = o->no_cache,
                                     .force = o->force,
                                     .force_steps = o->force_steps,
                                     .n_force_steps = o->n_force_steps,
                                     .breaks = s->debugging ? &s->debugging->rules : NULL,
                                     .reload = on_reload,
                                     .own_files = (const char *const *)s->own,
                                     .n_own_files = s->n_own,
                                     .done = on_done,
                                     .ctx = s};
    bool bad = engine_new(&options, &s->engine, &err) < 0;
    if (!bad) {
        s->control = engine_control(s->engine);
        s->tidy = tidy_new(&s->app.loop, s->app.cache);
        if (s->watching) {
            engine_subscribe(s->engine, check_source, s);
            engine_subscribe(s->engine, tidy_event, s->tidy);
        }
        bad = views_open(&s->views, s->engine, &s->control, &s->app, &err) < 0;
        if (!bad && s->debugging)
            debugging_open(s->debugging, &s->app, s->engine, &s->control);
    }
    if (!bad && s->watching && s->views.tui)
        engine_subscribe(s->engine, keep_error, s);
    if (bad || shard_take(o, graph, &shard, &err) < 0) {
        bad = true;
        graph_free(graph);
    } else if (shard.text) {
        engine_notice(s->engine, "info", shard.text);
    }
    bool idle = !bad && shard.text && !shard.n;
    if (idle)
        graph_free(graph);
    else if (!bad)
        bad = engine_load(s->engine, graph, shard.steps, s->unread_why ? 0 : shard.n, sources,
                          n_sources, &err) < 0;
    shard_release(&shard);
    if (bad) {
        views_close(&s->views);
        complain(o, err_text(&err));
        s->exit_code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
        err_release(&err);
        finish(s);
        return;
    }
    if (idle) {
        report_nothing(s->views.files, s->app.config->name);
        finish(s);
        return;
    }
    if (s->watching)
        s->server = serve_open(&s->app, s->engine);
    if (s->unread_why) {
        first_screen_tell(s->views.tui, s->unread_why);
        serve_loaded(s->server, false);
    }
    if (s->views.tui && s->views.settings.problem)
        engine_notice(s->engine, "warning", s->views.settings.problem);
    engine_start(s->engine);
}

/* -- asking a kiln that watches ---------------------------------------------------------------- */

static void on_told(void *ctx, const struct event *event)
{
    views_told(&((struct session *)ctx)->views, event);
}

static void on_told_tick(void *ctx)
{
    views_told_tick(&((struct session *)ctx)->views);
}

/* What is ordered otherwise than a watcher does it, or is to be looked at on a screen, is done
 * here. */
static bool is_plain_order(const struct options *o)
{
    return strcmp(o->command, "run") == 0 && !o->tui && !o->force && !o->n_force_steps &&
           !o->no_cache && !o->rehash && !o->jobs && !o->update_images && !o->shards;
}

/* True when a kiln that watches the project has done it. */
static bool done_by_watcher(struct session *s)
{
    struct asking asking = {
        .options = s->options, .event = on_told, .tick = on_told_tick, .ctx = s};
    char *config = NULL, *root = NULL;
    bool done = false;
    /* Steps of a watcher know of no trace. */
    if (s->watching || !is_plain_order(s->options) || report_trace_id(s->views.files))
        return false;
    if (app_find(s->options, &config, &root, NULL) == 0) {
        find_own_files(s, root);
        asking.root = root;
        asking.config = config;
        void (*pipe)(int) = signal(SIGPIPE, SIG_IGN), (*xfsz)(int) = signal(SIGXFSZ, SIG_IGN);
        /* To the watcher what is written into the project is a change of it. */
        done = !s->n_own && watcher_ask(&asking, &s->exit_code);
        if (!done) { /* what is started from here inherits them */
            signal(SIGPIPE, pipe);
            signal(SIGXFSZ, xfsz);
        }
        forget_own_files(s);
    }
    free(config);
    free(root);
    return done;
}

/* A run is over soon: handing memory back to the kernel bit by bit costs more than it is worth. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
#endif
}

static void close_app(struct session *s)
{
    app_close(&s->app);
    s->app = (struct app){0};
}

/* As app_open(). Where there is no pipeline, or it is wrong, the person at the terminal can do
 * something about it; one who leaves instead: the code is in s->exit_code. */
static int open_app(struct session *s, unsigned parts, struct err *err)
{
    int rc = app_open(&s->app, s->options, parts, err);
    while (rc == -(int)ERR_CONFIG && s->watching && views_want_tui(&s->views)) {
        close_app(s);
        struct tui_options terminal = views_terminal(&s->views);
        int code = first_screen(s->options, &terminal, err);
        if (code >= 0) {
            s->exit_code = code;
            return rc;
        }
        rc = app_open(&s->app, s->options, parts, err);
    }
    s->exit_code = rc == 0 ? EXIT_OK : rc == -(int)ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
    return rc;
}

int command_run(const struct options *options)
{
    return run_debugged(options, NULL);
}

int run_debugged(const struct options *options, struct debugging *debugging)
{
    struct session s = {.options = options, .debugging = debugging};
    struct err err = ERR_INIT;
    s.watching = strcmp(options->command, "watch") == 0;
    if (!s.watching)
        keep_memory();
    views_init(&s.views, options, &s.app.loop, s.watching);
    s.views.unread = on_unread;
    s.views.ctx = &s;
    if (done_by_watcher(&s)) {
        s.exit_code = views_write(&s.views, s.exit_code);
        views_release(&s.views);
        return s.exit_code;
    }
    fflush(stdout); /* a part may have been done there */
    unsigned parts =
        APP_CONFIG | APP_CACHE | APP_STATE | APP_RUNNER | (s.watching ? APP_WATCHES : 0);
    if (open_app(&s, parts, &err) < 0) {
        if (err.kind != ERR_NONE)
            complain(options, err_text(&err));
    } else {
        find_own_files(&s, s.app.root);
        catch_signals(&s);
        pipeline_load(&s.app, on_loaded, &s);
        uv_run(&s.app.loop, UV_RUN_DEFAULT);
    }
    tidy_end(s.tidy, options);
    err_release(&err);
    free(s.error);
    free(s.unread_why);
    forget_own_files(&s);
    s.exit_code = views_write(&s.views, s.exit_code);
    views_release(&s.views);
    app_close(&s.app);
    return s.signal ? 128 + s.signal : s.exit_code;
}
