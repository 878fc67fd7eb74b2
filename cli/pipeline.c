/* pipeline.c - a config becomes a graph; a generated one is made by running its generator, as a
 * cached step like any other (see cli.h). */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "engine/from_config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PIPELINE ((size_t)16 << 20)
#define LOG_TAIL     2000

struct loading {
    struct app *app;
    pipeline_cb *cb;
    void *ctx;
    struct engine *engine;
    struct buf log;     /* where the generator's output goes */
    struct buf printed; /* what it printed, when it ran */
    bool ran;
    bool again;  /* what it printed is no longer in the cache */
    bool forced; /* so it runs whatever is known */
    struct buf error;
    struct config *config; /* what the generator made */
    int exit_code;
};

/* What the pipeline comes from: its file, and what its generator reads. */
static void answer(struct loading *l, struct graph *graph)
{
    struct app *app = l->app;
    VEC(const char *) sources = VEC_INIT;
    const struct config *config = app->config;
    size_t n = strlen(app->root);
    if (config && path_is_below(config->path, app->root) && config->path[n] == '/')
        vec_push(&sources, config->path + n + 1);
    const struct config_generate *generate = config ? config->generate : NULL;
    if (generate && !generate->has_inputs)
        vec_push(&sources, "**");
    for (size_t i = 0; generate && i < generate->n_inputs; i++)
        vec_push(&sources, generate->inputs[i].text);
    app->made = l->config ? l->config : config;
    l->cb(l->ctx, graph, sources.v, sources.n, l->exit_code, graph ? NULL : buf_str(&l->error));
    app->made = NULL;
    vec_release(&sources);
    config_free(l->config);
    buf_release(&l->log);
    buf_release(&l->printed);
    buf_release(&l->error);
    free(l);
}

static void fail(struct loading *l, struct err *err)
{
    buf_adds(&l->error, err_text(err));
    l->exit_code = err->kind == ERR_SYSTEM || err->kind == ERR_CORRUPT ? EXIT_KILN : EXIT_USAGE;
    err_release(err);
}

/* Takes what came on standard output over from the log: a cache that can't be written must not keep
 * a pipeline from being made. */
static void take_output(struct loading *l, const struct event *event)
{
    size_t left = MAX_PIPELINE + 1 - l->printed.len;
    if (event->u.log.n >= left) { /* nobody needs the rest */
        struct control control = engine_control(l->engine);
        control.send(control.ctx, &(struct command){.type = COMMAND_CANCEL, .step = GENERATE_STEP});
    }
    size_t n = event->u.log.n < left ? (size_t)event->u.log.n : left;
    int fd = open(event->u.log.log, O_RDONLY | O_CLOEXEC);
    char *to = buf_reserve(&l->printed, n);
    for (size_t done = 0; fd >= 0 && done < n;) {
        ssize_t got = pread(fd, to + done, n - done, (off_t)(event->u.log.offset + done));
        if (got <= 0)
            break;
        done += (size_t)got;
        l->printed.len += (size_t)got;
    }
    *buf_reserve(&l->printed, 1) = '\0';
    if (fd >= 0)
        close(fd);
}

static void on_event(void *ctx, const struct event *event)
{
    struct loading *l = ctx;
    struct buf text = BUF_INIT;
    if (event->type == EVENT_STEP_STARTED && event->u.started.log) {
        l->ran = true;
        buf_reset(&l->log);
        buf_adds(&l->log, event->u.started.log);
    } else if (event->type == EVENT_STEP_LOG && event->u.log.log) {
        buf_reset(&l->log);
        buf_adds(&l->log, event->u.log.log);
        if (event->u.log.stream == 1)
            take_output(l, event);
    } else if (event->type == EVENT_STEP_FINISHED && event->u.finished.status != STEP_PASSED &&
               event->u.finished.status != STEP_CACHED && l->printed.len <= MAX_PIPELINE) {
        buf_addf(&l->error, "%s: the generator of the pipeline failed", l->app->config->shown);
        if (event->u.finished.exit_code >= 0)
            buf_addf(&l->error, " with exit code %d", event->u.finished.exit_code);
        else if (event->u.finished.signal)
            buf_addf(&l->error, ": %s", strsignal(event->u.finished.signal));
        if (event->u.finished.error)
            buf_addf(&l->error, ": %s", event->u.finished.error);
        if (l->log.len && file_read(buf_str(&l->log), MAX_PIPELINE, &text, NULL) == 0 && text.len) {
            const char *tail = text.len > LOG_TAIL ? text.data + text.len - LOG_TAIL : text.data;
            buf_addf(&l->error, "; it said:\n%s", tail);
        }
    }
    buf_release(&text);
}

static void generate(struct loading *l);

/* The first file of the project that the generator's command names, absolute; else NULL. A string
 * of the caller's. */
static char *generator_source(const struct app *app)
{
    const struct config_generate *how = app->config->generate;
    for (size_t i = 0; i < how->n_argv; i++) {
        size_t n;
        for (const char *at = how->argv[i]; *at; at += n) {
            at += strspn(at, " \t\n'\"");
            n = strcspn(at, " \t\n'\"");
            char *word = mem_strndup(at, n), *path = path_join(app->root, word);
            struct stat st;
            bool is = n > 0 && *word != '/' && stat(path, &st) == 0 && S_ISREG(st.st_mode);
            free(word);
            if (is)
                return path;
            free(path);
        }
    }
    return NULL;
}

/* What was generated is nowhere to be edited: what makes it is. */
static void place_generated(const struct app *app, struct graph *graph)
{
    const struct config_generate *how = app->config->generate;
    char *source = generator_source(app);
    graph->file = arena_strdup(&graph->arena, source ? source : app->config->path);
    for (size_t i = 0; i < graph->n_execs; i++) {
        struct op_exec *exec = &graph->ops[graph->execs[i]].u.exec;
        exec->line = source ? 0 : how->run.pos.line;
        exec->column = source ? 0 : how->run.pos.column;
    }
    free(source);
}

static void generator_closed(void *ctx)
{
    struct loading *l = ctx;
    struct graph *graph = NULL;
    struct err err = ERR_INIT;
    if (l->again) {
        l->again = false;
        l->forced = true;
        generate(l);
        return;
    }
    if (l->config && graph_from_config(l->config, &graph, &err) < 0)
        fail(l, &err);
    if (graph)
        place_generated(l->app, graph);
    answer(l, graph);
}

static void generator_done(void *ctx)
{
    struct loading *l = ctx;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = 0;
    if (l->error.len) {
        l->exit_code = engine_exit_code(l->engine) == EXIT_KILN ? EXIT_KILN : EXIT_USAGE;
    } else {
        if (!l->ran)
            rc = engine_stdout(l->engine, GENERATE_STEP, MAX_PIPELINE, &text, &err);
        else if (l->printed.len > MAX_PIPELINE)
            rc = err_set(&err, ERR_CONFIG,
                         "%s: the generator printed more than %zu MiB, which no pipeline needs",
                         l->app->config->shown, MAX_PIPELINE >> 20);
        struct buf *from = l->ran ? &l->printed : &text;
        if (rc == -(int)ERR_CORRUPT && !l->ran && !l->forced) {
            l->again = true;
            err_release(&err);
        } else if (rc < 0 || config_parse(buf_str(from), from->len, l->app->config->path,
                                          l->app->root, true, &l->config, &err) < 0) {
            fail(l, &err);
        }
    }
    buf_release(&text);
    engine_close(l->engine, generator_closed, l);
}

static void generate(struct loading *l)
{
    struct app *app = l->app;
    struct graph *graph = NULL;
    struct err err = ERR_INIT;
    struct engine_options options = {.loop = &app->loop,
                                     .mode = ENGINE_RUN,
                                     .root = app->root,
                                     .stat_path = app->stat_path,
                                     .stat_ahead = app->stat_ahead,
                                     .scratch_path = app->scratch_path,
                                     .version = KILN_VERSION,
                                     .trigger = "command",
                                     .cache = app->cache,
                                     .cache_read_only = app->read_only,
                                     .no_cache = app->options->no_cache,
                                     .force = l->forced,
                                     .runner = app->runner,
                                     .jobs = 1,
                                     .done = generator_done,
                                     .ctx = l};
    if (graph_from_config(app->config, &graph, &err) < 0 ||
        engine_new(&options, &l->engine, &err) < 0) {
        graph_free(graph);
        fail(l, &err);
        answer(l, NULL);
        return;
    }
    engine_subscribe(l->engine, on_event, l);
    if (engine_load(l->engine, graph, NULL, 0, NULL, 0, &err) < 0) {
        fail(l, &err);
        engine_close(l->engine, generator_closed, l);
        return;
    }
    engine_start(l->engine);
}

void pipeline_load(struct app *app, pipeline_cb *cb, void *ctx)
{
    struct loading *l = mem_zalloc(1, sizeof *l);
    struct graph *graph = NULL;
    struct err err = ERR_INIT;
    l->app = app;
    l->cb = cb;
    l->ctx = ctx;
    if (app->config->generate) {
        generate(l);
        return;
    }
    if (graph_from_config(app->config, &graph, &err) < 0)
        fail(l, &err);
    answer(l, graph);
}

bool pipeline_is_old(const struct app *app)
{
    const struct stat *then = &app->config_stat;
    struct stat now = {0};
    if (stat(app->config->path, &now) != 0)
        now = (struct stat){0};
    return now.st_ino != then->st_ino || now.st_size != then->st_size ||
           now.st_ctim.tv_sec != then->st_ctim.tv_sec ||
           now.st_ctim.tv_nsec != then->st_ctim.tv_nsec;
}

void pipeline_reload(struct app *app, pipeline_cb *cb, void *ctx)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;
    if (stat(app->config->path, &app->config_stat) != 0)
        app->config_stat = (struct stat){0};
    if (config_load(app->config->path, app->root, &config, &err) < 0) {
        struct loading *l = mem_zalloc(1, sizeof *l);
        l->app = app;
        l->cb = cb;
        l->ctx = ctx;
        fail(l, &err);
        answer(l, NULL);
        return;
    }
    config_free(app->config);
    app->config = config;
    pipeline_load(app, cb, ctx);
}
