/* cmd_run.c - kiln run and kiln watch: an engine, a view, and the signals that end them. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/attach.h"
#include "cli/first_screen.h"
#include "cli/raw.h"
#include "cli/settings.h"
#include "cli/watcher.h"
#include "tui/tui.h"

#include <langinfo.h>
#include <limits.h>
#include <locale.h>
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
    struct engine *engine;
    struct control control;
    struct view_plain *plain;
    FILE *report; /* the plain view of what the screen shows */
    char *report_text;
    size_t report_size;
    struct attach *attach; /* for it, on a terminal */
    struct view_json *json;
    struct tui *tui;
    struct git_watch *git; /* for it */
    char *exe, *config;
    const char *self[4];          /* of these */
    struct cli_settings settings; /* with it */
    bool settings_loaded;
    struct server *server; /* watching: for those who ask */
    struct tidy *tidy;
    uv_timer_t tick;
    uv_timer_t unread; /* to end what nobody reads any more */
    uv_signal_t signals[3];
    int n_signals;
    bool live, tick_open, unread_open;
    size_t n_running;
    char *unread_why; /* why there is no pipeline yet; or NULL */
    char *kiln;       /* kiln_words() */
    char *own[2];     /* where standard output and error go, when that is a file of the project */
    size_t n_own;
    int signal, exit_code;
};

/* kiln's own output is not the project's: as an input it would change with every line. */
static void find_own_files(struct session *s, const char *root)
{
    for (int fd = 1; fd <= 2; fd++) {
        struct stat st;
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        char *link = mem_printf("/proc/self/fd/%d", fd);
        char *path = realpath(link, NULL);
        size_t n = strlen(root);
        if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && path_is_below(path, root) &&
            path[n] == '/' && !(s->n_own && !strcmp(s->own[0], path + n + 1)))
            s->own[s->n_own++] = mem_strdup(path + n + 1);
        free(path);
        free(link);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void engine_closed(void *ctx)
{
    struct session *s = ctx;
    s->engine = NULL;
    for (int i = 0; i < s->n_signals; i++)
        uv_close((uv_handle_t *)&s->signals[i], handle_closed);
    if (s->tick_open)
        uv_close((uv_handle_t *)&s->tick, handle_closed);
    if (s->unread_open)
        uv_close((uv_handle_t *)&s->unread, handle_closed);
    attach_end(s->attach);
    git_watch_free(s->git);
    s->git = NULL;
    tui_free(s->tui);
    s->tui = NULL;
    if (s->unread_why && !s->signal)
        complain(s->options, s->unread_why);
    if (s->report) {
        fclose(s->report);
        fwrite(s->report_text, 1, s->report_size, stdout);
        free(s->report_text);
        s->report = NULL;
    }
    app_close_runners(&s->app);
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

static void on_signal(uv_signal_t *handle, int number)
{
    struct session *s = handle->data;
    if (s->signal && s->engine)
        engine_kill(s->engine); /* asked twice: no more grace */
    s->signal = number;
    finish(s);
}

static void catch_signals(struct session *s)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction now;
        /* Under nohup kiln outlives its terminal. */
        if (numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            continue;
        uv_signal_t *handle = &s->signals[s->n_signals++];
        uv_signal_init(&s->app.loop, handle);
        handle->data = s;
        uv_signal_start(handle, on_signal, numbers[i]);
        uv_unref((uv_handle_t *)handle);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error like a full disk */
}

static void on_tick(uv_timer_t *timer)
{
    struct session *s = timer->data;
    view_plain_tick(s->plain);
}

/* The live line's clock goes only while there is something to count. */
static void follow_running(void *ctx, const struct event *event)
{
    struct session *s = ctx;
    if (event->type == EVENT_RUN_STARTED && s->n_running++ == 0)
        uv_timer_start(&s->tick, on_tick, 100, 100);
    if (event->type == EVENT_RUN_FINISHED && --s->n_running == 0)
        uv_timer_stop(&s->tick);
}

static void on_unread(uv_timer_t *timer)
{
    struct session *s = timer->data;
    s->exit_code = EXIT_KILN;
    finish(s);
}

/* A watch whose words go nowhere would go on for ever without anybody knowing. */
static void notice_unread(void *ctx, const struct event *event)
{
    struct session *s = ctx;
    (void)event;
    if (!ferror(stdout) || s->unread_open)
        return;
    uv_timer_init(&s->app.loop, &s->unread);
    s->unread.data = s;
    s->unread_open = true;
    uv_timer_start(&s->unread, on_unread, 0, 0); /* not from within an event */
}

static void add_option(struct buf *text, const char *option, const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._-/+@:,";
    if (!value)
        return;
    buf_addf(text, " %s ", option);
    if (*value && !value[strspn(value, plain)]) {
        buf_adds(text, value);
        return;
    }
    buf_addc(text, '\'');
    for (; *value; value++) {
        if (*value == '\'')
            buf_adds(text, "'\\''");
        else
            buf_addc(text, *value);
    }
    buf_addc(text, '\'');
}

/* How a person calls kiln for this project, from where they called it now. */
static const char *kiln_words(struct session *s)
{
    const struct options *o = s->options;
    struct buf text = BUF_INIT;
    if (!s->kiln) {
        buf_adds(&text, "kiln");
        add_option(&text, "-C", o->directory);
        add_option(&text, "--config", o->config);
        s->kiln = buf_detach(&text);
    }
    return s->kiln;
}

/* The views without a screen need no engine: somebody else may be telling. */
static void open_plain_views(struct session *s)
{
    const struct options *o = s->options;
    const char *term = getenv("TERM");
    if (s->json || s->plain)
        return;
    if (o->json) {
        s->json = view_json_new(stdout);
        return;
    }
    s->live = !o->plain && !s->settings.screen_reader && !in_ci() && isatty(STDOUT_FILENO) &&
              !s->watching && term && strcmp(term, "dumb") != 0;
    s->plain = view_plain_new(&(struct view_plain_options){.out = stdout,
                                                           .color = color_wanted(o, STDOUT_FILENO),
                                                           .live = s->live,
                                                           .watching = s->watching,
                                                           .groups = !o->plain && !s->live,
                                                           .kiln = kiln_words(s)});
}

/* In the background the screen is somebody else's. */
static bool has_terminal(void)
{
    return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && tcgetpgrp(STDOUT_FILENO) == getpgrp();
}

static bool wants_tui(const struct session *s)
{
    const struct options *o = s->options;
    return !o->plain && !o->json && has_terminal() && (s->watching ? !in_ci() : o->tui) &&
           tui_supported(STDOUT_FILENO, getenv("TERM"));
}

/* Only who sees what a step asks can answer. */
static enum engine_typing who_types(const struct session *s)
{
    const struct options *o = s->options;
    if (wants_tui(s))
        return ENGINE_TYPING_ANY;
    return !s->watching && !o->plain && !o->json && !in_ci() && raw_possible()
               ? ENGINE_TYPING_ONE
               : ENGINE_TYPING_NOBODY;
}

static void load_settings(struct session *s)
{
    const struct options *o = s->options;
    if (!s->settings_loaded && has_terminal() && !o->plain && !o->json)
        cli_settings_load(&s->settings);
    s->settings_loaded = true;
    s->settings.screen_reader = s->settings.screen_reader || o->screen_reader;
}

/* All but what belongs to the pipeline. */
static struct tui_options terminal_options(const struct session *s)
{
    return (struct tui_options){.fd = STDOUT_FILENO,
                                .term = getenv("TERM"),
                                .settings = &s->settings.tui,
                                .linear = s->settings.screen_reader,
                                .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                                .colour = color_wanted(s->options, STDOUT_FILENO)};
}

/* For a shell in a step. */
static const char *const *find_self(struct session *s)
{
    const struct options *o = s->options;
    size_t n = 0;
    s->exe = realpath("/proc/self/exe", NULL);
    if (!s->exe)
        return NULL;
    s->self[n++] = s->exe;
    if (o->config && (s->config = realpath(o->config, NULL))) {
        s->self[n++] = "--config";
        s->self[n++] = s->config;
    }
    s->self[n] = NULL;
    return s->self;
}

static int open_views(struct session *s, struct err *err)
{
    const struct options *o = s->options;
    const char *term = getenv("TERM");
    bool terminal = has_terminal(), tui = wants_tui(s);
    load_settings(s);
    if (o->tui && !tui)
        return terminal
                   ? err_set(err, ERR_USAGE,
                             "--tui needs a terminal that can address its cursor (TERM is \"%s\")",
                             term ? term : "")
                   : err_set(err, ERR_USAGE, "--tui needs a terminal, in the foreground");
    if (!tui)
        open_plain_views(s);
    if (s->json) {
        engine_subscribe(s->engine, view_json_event, s->json);
    } else if (tui) {
        struct tui_options options = terminal_options(s);
        options.loop = &s->app.loop;
        options.control = &s->control;
        options.project = s->app.config->name;
        options.self = find_self(s);
        if (tui_new(&options, &s->tui, err) < 0)
            return -(int)err->kind;
        engine_subscribe(s->engine, tui_event, s->tui);
        s->git = git_watch_new(&s->app.loop, s->app.root, tui_event, s->tui);
        engine_subscribe(s->engine, git_watch_event, s->git);
        if (!s->watching) { /* what is left to read when the screen is gone */
            s->report = open_memstream(&s->report_text, &s->report_size);
            s->plain = view_plain_new(&(struct view_plain_options){
                .out = s->report, .color = options.colour, .kiln = kiln_words(s)});
            engine_subscribe(s->engine, view_plain_event, s->plain);
        }
    } else {
        if (who_types(s) == ENGINE_TYPING_ONE) {
            s->attach =
                attach_new(&s->app.loop, &s->control, s->plain, !term || strcmp(term, "dumb") == 0);
            engine_subscribe(s->engine, attach_event, s->attach);
        } else {
            engine_subscribe(s->engine, view_plain_event, s->plain);
        }
        if (s->live) {
            uv_timer_init(&s->app.loop, &s->tick);
            s->tick.data = s;
            s->tick_open = true;
            engine_subscribe(s->engine, follow_running, s);
        }
    }
    if (s->watching && !tui)
        engine_subscribe(s->engine, notice_unread, s);
    return 0;
}

/* There is no pipeline, and why. */
static void set_unread(struct session *s, const char *why)
{
    free(s->unread_why);
    s->unread_why = why ? mem_strdup(why) : NULL;
    if (s->tui && why)
        first_screen_tell(s->tui, why);
    else if (s->tui)
        tui_start(s->tui, &(struct tui_start){.n = 0});
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
    if (s->finished) {
        graph_free(graph);
        return;
    }
    if (!graph && exit_code == EXIT_USAGE && s->watching && wants_tui(s)) {
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
                                     .typing = who_types(s),
                                     .root = s->app.root,
                                     .stat_path = s->app.stat_path,
                                     .stat_ahead = s->app.stat_ahead,
                                     .scratch_path = s->app.scratch_path,
                                     .version = KILN_VERSION,
                                     .trigger = s->watching ? "watch" : "command",
                                     .cache = s->app.cache,
                                     .cache_read_only = s->app.read_only,
                                     .runner = s->app.runner,
                                     .boxes = on_boxes,
                                     .lock_path = s->app.lock_path,
                                     .update_images = o->update_images,
                                     .records = s->app.records,
                                     .history = s->app.history,
                                     .jobs = o->jobs ? o->jobs : s->app.config->jobs,
                                     .keep_going = o->keep_going,
                                     .no_cache = o->no_cache,
                                     .force = o->force,
                                     .force_steps = o->force_steps,
                                     .n_force_steps = o->n_force_steps,
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
        bad = open_views(s, &err) < 0;
    }
    if (bad)
        graph_free(graph);
    else
        bad = engine_load(s->engine, graph, o->args, s->unread_why ? 0 : o->n_args, sources,
                          n_sources, &err) < 0;
    if (bad) {
        git_watch_free(s->git);
        s->git = NULL;
        tui_free(s->tui);
        s->tui = NULL;
        complain(o, err_text(&err));
        s->exit_code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
        err_release(&err);
        finish(s);
        return;
    }
    if (s->watching)
        s->server = serve_open(&s->app, s->engine);
    if (s->unread_why) {
        first_screen_tell(s->tui, s->unread_why);
        serve_loaded(s->server, false);
    }
    if (s->tui && s->settings.problem)
        engine_notice(s->engine, "warning", s->settings.problem);
    engine_start(s->engine);
}

/* -- asking a kiln that watches ---------------------------------------------------------------- */

static void on_told(void *ctx, const struct event *event)
{
    struct session *s = ctx;
    open_plain_views(s);
    if (s->json)
        view_json_event(s->json, event);
    else
        view_plain_event(s->plain, event);
}

static void on_told_tick(void *ctx)
{
    struct session *s = ctx;
    view_plain_tick(s->plain);
}

/* What is ordered otherwise than a watcher does it, or is to be looked at on a screen, is done
 * here. */
static bool is_plain_order(const struct options *o)
{
    return !o->tui && !o->force && !o->n_force_steps && !o->no_cache && !o->rehash && !o->jobs &&
           !o->update_images;
}

/* True when a kiln that watches the project has done it. */
static bool done_by_watcher(struct session *s)
{
    struct asking asking = {
        .options = s->options, .event = on_told, .tick = on_told_tick, .ctx = s};
    char *config = NULL, *root = NULL;
    bool done = false;
    if (s->watching || !is_plain_order(s->options))
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
        while (s->n_own)
            free(s->own[--s->n_own]);
        s->own[0] = s->own[1] = NULL;
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
    while (rc == -(int)ERR_CONFIG && s->watching && wants_tui(s)) {
        load_settings(s);
        close_app(s);
        struct tui_options terminal = terminal_options(s);
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
    struct session s = {.options = options};
    struct err err = ERR_INIT;
    s.watching = strcmp(options->command, "watch") == 0;
    if (!s.watching)
        keep_memory();
    if (done_by_watcher(&s)) {
        view_plain_free(s.plain);
        view_json_free(s.json);
        free(s.kiln);
        cli_settings_release(&s.settings);
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
    free(s.unread_why);
    free(s.exe);
    free(s.config);
    free(s.own[0]);
    free(s.own[1]);
    attach_free(s.attach);
    view_plain_free(s.plain);
    view_json_free(s.json);
    free(s.kiln);
    cli_settings_release(&s.settings);
    app_close(&s.app);
    return s.signal ? 128 + s.signal : s.exit_code;
}
