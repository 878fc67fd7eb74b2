/* cmd_plan.c - kiln plan, kiln explain, kiln run --dry-run: what would run and why, nothing run. */
#include "cli/cli.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cli/shard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MOST_LINES = 40, MOST_REASONS = 10000 };

struct planning {
    struct app app;
    const struct options *options;
    struct engine *engine;
    struct graph *graph; /* the engine's */
    const char *explain; /* the one step asked about */
    struct buf out;
    struct buf edges;
    struct map *index; /* mermaid: name -> number + 1 */
    size_t n_steps, n_run, n_pending;
    struct explain_style style;
    bool finished;
    bool empty; /* there is nothing to plan */
    int exit_code;
};

static const char *const state_names[] = {"cached", "run", "pending"};

static void on_closed(void *ctx)
{
    struct planning *p = ctx;
    p->engine = NULL;
    p->finished = true;
}

static void on_done(void *ctx)
{
    struct planning *p = ctx;
    engine_close(p->engine, on_closed, p);
}

static void paint(struct planning *p, const char *code, const char *text)
{
    if (p->style.color)
        buf_addf(&p->out, "\033[%sm%s\033[0m", code, text);
    else
        buf_adds(&p->out, text);
}

static const struct op_exec *exec_of(const struct planning *p, const char *name)
{
    op_id op = graph_find(p->graph, name);
    return op == OP_NONE ? NULL : &p->graph->ops[op].u.exec;
}

static void step_json(struct planning *p, const struct plan_step *step)
{
    const struct op_exec *exec = exec_of(p, step->name);
    struct buf *out = &p->out;
    buf_adds(out, p->n_steps && !p->explain ? "," : "");
    buf_adds(out, "{\"step\":");
    buf_add_json_str(out, step->name);
    buf_addf(out, ",\"state\":\"%s\",\"key\":", state_names[step->state]);
    buf_add_json_str(out, step->key);
    buf_adds(out, ",\"needs\":[");
    for (size_t i = 0; exec && i < exec->n_after; i++) {
        buf_adds(out, i ? "," : "");
        buf_add_json_str(out, p->graph->ops[exec->after[i]].u.exec.name);
    }
    buf_adds(out, "],");
    explain_json(out, step);
    if (step->error) {
        buf_adds(out, ",\"error\":");
        buf_add_json_str(out, step->error);
    }
    buf_addc(out, '}');
}

static void step_text(struct planning *p, const struct plan_step *step)
{
    static const char *const codes[] = {"32", "33", "2"};
    paint(p, step->error ? "31" : codes[step->state],
          step->error ? "broken" : state_names[step->state]);
    buf_addf(&p->out, "%*s%s\n", 9 - (int)strlen(step->error ? "broken" : state_names[step->state]),
             "", step->name);
    explain_reasons(&p->out, step, &p->style, 11);
}

static void explain_text(struct planning *p, const struct plan_step *step)
{
    const struct op_exec *exec = exec_of(p, step->name);
    VEC(const char *) needs = VEC_INIT;
    for (size_t i = 0; exec && i < exec->n_after; i++)
        vec_push(&needs, p->graph->ops[exec->after[i]].u.exec.name);
    explain_step(&p->out, step, &p->style, needs.v, needs.n);
    vec_release(&needs);
}

static void graph_lines(struct planning *p, const struct plan_step *step)
{
    const struct op_exec *exec = exec_of(p, step->name);
    struct buf name = BUF_INIT;
    buf_add_json_str(&name, step->name);
    if (p->options->dot)
        buf_addf(&p->out, "  %s [label=%s, tooltip=\"%s\"%s];\n", buf_str(&name), buf_str(&name),
                 state_names[step->state], step->state == PLAN_CACHED ? ", color=gray" : "");
    else
        buf_addf(&p->out, "  s%zu[%s]\n", p->n_steps, buf_str(&name));
    for (size_t i = 0; exec && i < exec->n_after; i++) {
        const char *need = p->graph->ops[exec->after[i]].u.exec.name;
        if (p->options->dot) {
            buf_adds(&p->edges, "  ");
            buf_add_json_str(&p->edges, need);
            buf_addf(&p->edges, " -> %s;\n", buf_str(&name));
        } else {
            buf_addf(&p->edges, "  s%zu --> s%zu\n",
                     (size_t)(uintptr_t)map_get_str(p->index, need) - 1, p->n_steps);
        }
    }
    map_put_str(p->index, step->name, (void *)(uintptr_t)(p->n_steps + 1));
    buf_release(&name);
}

static void on_plan(void *ctx, const struct plan_step *step)
{
    struct planning *p = ctx;
    if (step->error)
        p->exit_code = EXIT_USAGE;
    if (p->explain && strcmp(step->name, p->explain) != 0)
        return;
    if (p->explain && !p->options->json)
        explain_text(p, step);
    else if (p->options->json)
        step_json(p, step);
    else if (p->options->dot || p->options->mermaid)
        graph_lines(p, step);
    else
        step_text(p, step);
    p->n_steps++;
    p->n_run += step->state == PLAN_RUN;
    p->n_pending += step->state == PLAN_PENDING;
}

static int on_boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    return app_boxes(&((struct planning *)ctx)->app, out, err);
}

static void on_loaded(void *ctx, struct graph *graph, const char *const *sources, size_t n_sources,
                      int exit_code, const char *error)
{
    struct planning *p = ctx;
    struct app *app = &p->app;
    struct err err = ERR_INIT;
    (void)sources;
    (void)n_sources;
    if (!graph) {
        complain(p->options, error);
        p->exit_code = exit_code;
        p->finished = true;
        return;
    }
    p->graph = graph;
    struct engine_options options = {.loop = &app->loop,
                                     .mode = ENGINE_PLAN,
                                     .root = app->root,
                                     .stat_path = app->stat_path,
                                     .stat_ahead = app->stat_ahead,
                                     .scratch_path = app->scratch_path,
                                     .version = KILN_VERSION,
                                     .trigger = "command",
                                     .cache = app->cache,
                                     .runner = app->runner,
                                     .boxes = on_boxes,
                                     .lock_path = app->lock_path,
                                     .history = app->history,
                                     .force = p->options->force,
                                     .no_cache = p->options->no_cache,
                                     .force_steps = p->options->force_steps,
                                     .n_force_steps = p->options->n_force_steps,
                                     .max_reasons = p->explain ? MOST_REASONS : 20,
                                     .plan = on_plan,
                                     .done = on_done,
                                     .ctx = p};
    bool bad = engine_new(&options, &p->engine, &err) < 0;
    struct shard shard = {0};
    bad = bad || shard_take(p->options, graph, &shard, &err) < 0;
    bool idle = !bad && shard.text && !shard.n;
    if (bad || idle)
        graph_free(graph);
    else
        bad = engine_load(p->engine, graph, shard.steps, shard.n, NULL, 0, &err) < 0;
    if (!bad && shard.text)
        remark(p->options, shard.text);
    shard_release(&shard);
    if (idle) {
        p->empty = true;
        engine_close(p->engine, on_closed, p);
        return;
    }
    if (bad) {
        complain(p->options, err_text(&err));
        p->exit_code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
        err_release(&err);
        if (p->engine)
            engine_close(p->engine, on_closed, p);
        else
            p->finished = true;
        return;
    }
    engine_start(p->engine);
}

static void head(struct planning *p)
{
    if (p->options->json && !p->explain) {
        buf_adds(&p->out, "{\"pipeline\":");
        buf_add_json_str(&p->out, p->app.config->name);
        buf_adds(&p->out, ",\"steps\":[");
    } else if (p->options->dot) {
        buf_adds(&p->out, "digraph kiln {\n  rankdir=LR;\n");
    } else if (p->options->mermaid) {
        buf_adds(&p->out, "flowchart LR\n");
    }
}

static void tail(struct planning *p)
{
    buf_add(&p->out, buf_str(&p->edges), p->edges.len);
    if (p->options->json)
        buf_adds(&p->out, p->explain ? "\n" : "]}\n");
    else if (p->options->dot)
        buf_adds(&p->out, "}\n");
    else if (!p->options->mermaid && !p->explain)
        buf_addf(&p->out, "%zu of %zu would run", p->n_run, p->n_steps);
    if (!p->options->json && !p->options->dot && !p->options->mermaid && !p->explain) {
        if (p->n_pending)
            buf_addf(&p->out,
                     p->n_run ? ", %zu wait%s for what those give"
                              : ", %zu wait%s for images that kiln.lock does not have yet",
                     p->n_pending, p->n_pending == 1 ? "s" : "");
        buf_addc(&p->out, '\n');
    }
}

/* Of the terminal that this goes to, or 0. */
static int columns(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int command_plan(const struct options *options)
{
    struct map index = MAP_INIT;
    struct planning p = {.options = options, .index = &index};
    struct err err = ERR_INIT;
    if (strcmp(options->command, "explain") == 0)
        p.explain = options->args[0];
    p.style = (struct explain_style){.color = color_wanted(options, STDOUT_FILENO),
                                     .width = columns(),
                                     .most = p.explain ? MOST_LINES : 20,
                                     .now_ns = clock_realtime_ns()};
    if (app_open(&p.app, options, APP_CONFIG | APP_CACHE | APP_STATE | APP_RUNNER, &err) < 0) {
        complain(options, err_text(&err));
        p.exit_code = err.kind == ERR_SYSTEM ? EXIT_KILN : EXIT_USAGE;
    } else {
        head(&p);
        pipeline_load(&p.app, on_loaded, &p);
        while (!p.finished) /* the runner stays on the loop until app_close() */
            uv_run(&p.app.loop, UV_RUN_ONCE);
        if (p.n_steps || p.empty) {
            tail(&p);
            fputs(buf_str(&p.out), stdout);
        }
    }
    err_release(&err);
    buf_release(&p.out);
    buf_release(&p.edges);
    map_release(&index);
    app_close(&p.app);
    return p.exit_code;
}
