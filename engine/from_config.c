/* from_config.c - see from_config.h. */
#include "engine/from_config.h"

#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

#define GENERATE_TIMEOUT_MS 600000 /* a generator that hangs must not hang everything */

struct builder {
    const struct config *config;
    struct graph *graph;
    op_id *execs; /* a config step's exec */
    struct arena arena;
    struct map owners; /* output -> index of its step + 1 */
};

static const char *where(struct builder *b, const struct config_step *step, struct config_pos pos)
{
    struct buf text = BUF_INIT;
    config_where(b->config, step, pos, &text);
    const char *kept = arena_strdup(&b->arena, buf_str(&text));
    buf_release(&text);
    return kept;
}

/* Whose output the path is, or lies in; -1 for nobody's. */
static int64_t owner_of(const struct builder *b, const char *path)
{
    for (size_t n = strlen(path); n; n--) {
        void **place = path[n] == '\0' || path[n] == '/' ? map_get(&b->owners, path, n) : NULL;
        if (place)
            return (int64_t)(uintptr_t)*place - 1;
    }
    return -1;
}

static void note_owners(struct builder *b)
{
    for (size_t i = 0; i < b->config->n_steps; i++) {
        for (size_t k = 0; k < b->config->steps[i].n_outputs; k++)
            map_put_str(&b->owners, b->config->steps[i].outputs[k].text,
                        (void *)(uintptr_t)(i + 1));
    }
}

static bool needs(const struct config_step *step, uint32_t other)
{
    for (size_t i = 0; i < step->n_needs; i++) {
        if (step->needs[i] == other)
            return true;
    }
    return false;
}

/* An input that names an output outright is only there through needs; without it the step would
 * silently miss it. */
static int check_inputs(struct builder *b, const struct config_step *step, struct err *err)
{
    for (size_t i = 0; i < step->n_inputs; i++) {
        const struct config_text *input = &step->inputs[i];
        if (input->text[0] == '!' || glob_is_wild(input->text))
            continue;
        char *path = path_normalize(input->text);
        int64_t owner = path && *path ? owner_of(b, path) : -1;
        free(path);
        if (owner < 0 || needs(step, (uint32_t)owner))
            continue;
        const struct config_step *other = &b->config->steps[owner];
        if (other == step)
            return err_set(err, ERR_CONFIG,
                           "%s: input \"%s\" is the step's own output; remove it from inputs",
                           where(b, step, input->pos), input->text);
        return err_set(
            err, ERR_CONFIG,
            "%s: input \"%s\" is an output of step \"%s\"; write \"needs\": [\"%s\"] instead",
            where(b, step, input->pos), input->text, other->name.text, other->name.text);
    }
    return 0;
}

static op_id local(struct builder *b, const struct config_step *step, bool has,
                   const struct config_text *inputs, size_t n, struct op_exec *exec)
{
    static const char *const everything = "**";
    if (!has)
        return graph_local(b->graph, &everything, 1);
    const char **patterns = arena_zalloc(&b->arena, n + 1, sizeof *patterns);
    const char **places = arena_zalloc(&b->arena, n + 1, sizeof *places);
    for (size_t i = 0; i < n; i++) {
        patterns[i] = inputs[i].text;
        places[i] = where(b, step, inputs[i].pos);
    }
    exec->input_where = places;
    exec->n_input_where = n;
    return graph_local(b->graph, patterns, n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct graph_env *)a)->name, ((const struct graph_env *)b)->name);
}

/* What the step sets and what it takes from the caller (a variable that is not set there is not set
 * here), sorted by name. */
static const struct graph_env *environment(struct builder *b, const struct config_env *env,
                                           size_t n_env, const struct config_text *pass,
                                           size_t n_pass, size_t *n)
{
    struct graph_env *out = arena_zalloc(&b->arena, n_env + n_pass + 1, sizeof *out);
    *n = 0;
    for (size_t i = 0; i < n_env; i++)
        out[(*n)++] = (struct graph_env){env[i].name, env[i].value};
    for (size_t i = 0; i < n_pass; i++) {
        const char *value = getenv(pass[i].text);
        bool set = false;
        for (size_t k = 0; k < n_env && !set; k++)
            set = !strcmp(env[k].name, pass[i].text);
        if (value && !set)
            out[(*n)++] = (struct graph_env){pass[i].text, arena_strdup(&b->arena, value)};
    }
    if (*n)
        qsort(out, *n, sizeof *out, by_name);
    return out;
}

static const struct graph_secret *secrets(struct builder *b, const struct config_step *step)
{
    static const enum graph_secret_source source[] = {
        [CONFIG_SECRET_ENV] = GRAPH_SECRET_ENV,
        [CONFIG_SECRET_FILE] = GRAPH_SECRET_FILE,
        [CONFIG_SECRET_COMMAND] = GRAPH_SECRET_COMMAND,
    };
    struct graph_secret *out = arena_zalloc(&b->arena, step->n_secrets + 1, sizeof *out);
    for (size_t i = 0; i < step->n_secrets; i++) {
        const struct config_secret *from = &step->secrets[i];
        out[i] = (struct graph_secret){.target = from->target,
                                       .where = where(b, step, from->pos),
                                       .source = source[from->source],
                                       .from = from->from,
                                       .argv = from->argv,
                                       .n_argv = from->n_argv};
    }
    return out;
}

static const struct graph_cache *caches(struct builder *b, const struct config_step *step)
{
    static const enum graph_sharing sharing[] = {
        [CONFIG_SHARING_SHARED] = GRAPH_SHARING_SHARED,
        [CONFIG_SHARING_PRIVATE] = GRAPH_SHARING_PRIVATE,
        [CONFIG_SHARING_LOCKED] = GRAPH_SHARING_LOCKED,
    };
    struct graph_cache *out = arena_zalloc(&b->arena, step->n_caches + 1, sizeof *out);
    for (size_t i = 0; i < step->n_caches; i++)
        out[i] = (struct graph_cache){step->caches[i].path, step->caches[i].name,
                                      sharing[step->caches[i].sharing]};
    return out;
}

/* What the step sees, and what it is given beside its inputs. */
static void surround(struct builder *b, const struct config_step *step, struct op_exec *exec)
{
    exec->runner = config_runner_name(step->runner);
    exec->image = step->image;
    exec->platform = step->platform;
    exec->user = step->user;
    exec->network = step->network;
    exec->mount_same = step->mount_same;
    exec->limits = (struct graph_limits){.memory = step->limits.memory,
                                         .file_size = step->limits.file_size,
                                         .pids = step->limits.pids,
                                         .cpu_milli = step->limits.cpu_milli};
    exec->secrets = secrets(b, step);
    exec->n_secrets = step->n_secrets;
    exec->caches = caches(b, step);
    exec->n_caches = step->n_caches;
}

static int add_step(struct builder *b, uint32_t index, struct err *err)
{
    const struct config_step *step = &b->config->steps[index];
    if (check_inputs(b, step, err) < 0)
        return -(int)err->kind;
    op_id *trees = arena_zalloc(&b->arena, step->n_needs + 1, sizeof *trees);
    op_id *after = arena_zalloc(&b->arena, step->n_needs + 1, sizeof *after);
    const char **outputs = arena_zalloc(&b->arena, step->n_outputs + 1, sizeof *outputs);
    size_t n_trees = 0;
    struct op_exec exec = {.name = step->name.text};
    if (!step->has_inputs || step->n_inputs)
        trees[n_trees++] = local(b, step, step->has_inputs, step->inputs, step->n_inputs, &exec);
    for (size_t i = 0; i < step->n_needs; i++) {
        after[i] = b->execs[step->needs[i]];
        if (b->config->steps[step->needs[i]].n_outputs)
            trees[n_trees++] = after[i];
    }
    for (size_t i = 0; i < step->n_outputs; i++)
        outputs[i] = step->outputs[i].text;
    exec.description = step->description;
    exec.shown = step->run_text;
    exec.where = where(b, step, step->name.pos);
    exec.line = step->name.pos.line;
    exec.column = step->name.pos.column;
    exec.argv = step->argv;
    exec.n_argv = step->n_argv;
    exec.cwd = step->cwd;
    exec.outputs = outputs;
    exec.n_outputs = step->n_outputs;
    exec.input = graph_merge(b->graph, trees, n_trees);
    exec.after = after;
    exec.n_after = step->n_needs;
    surround(b, step, &exec);
    exec.timeout_ms = step->timeout_ms;
    exec.retries = step->retries;
    exec.cache = step->cache && !step->interactive; /* it depends on what is typed */
    exec.fix = step->fix;
    exec.interactive = step->interactive;
    exec.env =
        environment(b, step->env, step->n_env, step->pass_env, step->n_pass_env, &exec.n_env);
    b->execs[index] = graph_exec(b->graph, &exec);
    return 0;
}

static void add_generator(struct builder *b)
{
    const struct config_generate *generate = b->config->generate;
    struct op_exec exec = {.name = GENERATE_STEP,
                           .description = "makes the pipeline",
                           .shown = generate->run_text,
                           .where = where(b, NULL, generate->run.pos),
                           .argv = generate->argv,
                           .n_argv = generate->n_argv,
                           .cwd = "",
                           .runner = "host",
                           .timeout_ms = GENERATE_TIMEOUT_MS,
                           .cache = true};
    exec.input = local(b, NULL, generate->has_inputs, generate->inputs, generate->n_inputs, &exec);
    exec.env = environment(b, generate->env, generate->n_env, generate->pass_env,
                           generate->n_pass_env, &exec.n_env);
    graph_exec(b->graph, &exec);
}

int graph_from_config(const struct config *config, struct graph **out, struct err *err)
{
    struct builder b = {.config = config, .graph = graph_new(config->name), .arena = ARENA_INIT};
    int rc = 0;
    b.graph->file = arena_strdup(&b.graph->arena, config->path);
    note_owners(&b);
    b.execs = arena_zalloc(&b.arena, config->n_steps + 1, sizeof *b.execs);
    if (config->generate)
        add_generator(&b);
    for (size_t i = 0; i < config->n_steps && rc == 0; i++)
        rc = add_step(&b, config->order[i], err);
    arena_release(&b.arena);
    map_release(&b.owners);
    if (rc < 0) {
        graph_free(b.graph);
        return rc;
    }
    *out = b.graph;
    return 0;
}
