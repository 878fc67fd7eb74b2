/* kiln.json from its text: the file, its defaults, its steps or its generator. */
#include "config/reader.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* What "defaults" sets for every step. */
struct defaults {
    struct config_surroundings around;
    uint64_t timeout_ms;
    uint32_t retries;
    bool cache;
    struct config_vars vars;
};

static const struct config_node *at(const struct config_reader *r, uint32_t node)
{
    return &r->doc.nodes.v[node];
}

static uint32_t number_or(const struct config_reader *r, uint32_t node, uint32_t fallback)
{
    return node ? (uint32_t)json_integer_value(at(r, node)->json) : fallback;
}

static bool bool_or(const struct config_reader *r, uint32_t node, bool fallback)
{
    return node ? json_is_true(at(r, node)->json) : fallback;
}

static int read_settings(struct config_reader *r, const config_found found, struct defaults *set)
{
    if (config_read_surroundings(r, found, &set->around) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_TIMEOUT] && config_read_duration(r, found[CONFIG_KEY_TIMEOUT],
                                                          CONFIG_KEY_TIMEOUT, &set->timeout_ms) < 0)
        return -ERR_CONFIG;
    set->retries = number_or(r, found[CONFIG_KEY_RETRIES], set->retries);
    set->cache = bool_or(r, found[CONFIG_KEY_CACHE], set->cache);
    return config_read_vars(r, found[CONFIG_KEY_ENV], found[CONFIG_KEY_PASS_ENV], &set->vars);
}

static int check_fixer(struct config_reader *r, const config_found found,
                       const struct config_step *step)
{
    if (step->fix && step->n_outputs)
        return config_fail(r, at(r, found[CONFIG_KEY_OUTPUTS])->key_pos,
                           "a step with \"fix\" has no \"outputs\": what it hands on are the files "
                           "that it fixes; make the outputs in another step");
    if (step->fix && step->runner != CONFIG_RUNNER_HOST)
        return config_fail(
            r, at(r, found[CONFIG_KEY_FIX])->key_pos,
            "\"fix\" rewrites files of the project, which a step in a box can't; add "
            "\"runner\": \"host\"");
    return 0;
}

static int read_step(struct config_reader *r, uint32_t node, const struct defaults *defaults,
                     struct config_step *step)
{
    struct defaults set = *defaults;
    struct config_vars vars;
    config_found found;

    if (config_read_keys(r, node, CONFIG_IN_STEP, found) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_DESCRIPTION])
        step->description =
            arena_strdup(&r->config->arena, config_string(r, found[CONFIG_KEY_DESCRIPTION]));
    if (config_read_command(r, found[CONFIG_KEY_RUN], &step->argv, &step->n_argv, &step->run_text) <
        0)
        return -ERR_CONFIG;
    step->has_inputs = found[CONFIG_KEY_INPUTS] != 0;
    if (step->has_inputs &&
        config_read_inputs(r, found[CONFIG_KEY_INPUTS], &step->inputs, &step->n_inputs) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_OUTPUTS] && config_read_outputs(r, found[CONFIG_KEY_OUTPUTS], "output",
                                                         &step->outputs, &step->n_outputs) < 0)
        return -ERR_CONFIG;
    step->cwd = "";
    if (found[CONFIG_KEY_CWD] && config_read_cwd(r, found[CONFIG_KEY_CWD], &step->cwd) < 0)
        return -ERR_CONFIG;
    if (read_settings(r, found, &set) < 0 ||
        config_merge_vars(r, &defaults->vars, &set.vars, &vars) < 0)
        return -ERR_CONFIG;
    step->env = vars.env;
    step->n_env = vars.n_env;
    step->pass_env = vars.pass;
    step->n_pass_env = vars.n_pass;
    step->timeout_ms = set.timeout_ms;
    step->retries = set.retries;
    step->cache = set.cache;
    step->hook = bool_or(r, found[CONFIG_KEY_HOOK], false);
    step->fix = bool_or(r, found[CONFIG_KEY_FIX], false);
    step->interactive = bool_or(r, found[CONFIG_KEY_INTERACTIVE], false);
    if (config_surround(r, found, &set.around, step) < 0 || config_read_given(r, found, step) < 0 ||
        check_fixer(r, found, step) < 0)
        return -ERR_CONFIG;
    r->needs[step - r->steps] = found[CONFIG_KEY_NEEDS];
    return 0;
}

static int read_steps(struct config_reader *r, uint32_t node, const struct defaults *defaults)
{
    struct arena *arena = &r->config->arena;
    uint32_t n = at(r, node)->n;
    size_t i = 0;

    if (n == 0)
        return config_fail(r, at(r, node)->pos,
                           "\"steps\" has no steps; add one, as \"build\": {\"run\": \"make\"}");
    r->steps = arena_zalloc(arena, n, sizeof(*r->steps));
    r->needs = arena_zalloc(arena, n, sizeof(*r->needs));
    config_doc_each(child, &r->doc, node)
    {
        struct config_step *step = &r->steps[i++];
        if (config_check_step_name(r, child) < 0)
            return -ERR_CONFIG;
        step->name =
            (struct config_text){arena_strdup(arena, at(r, child)->key), at(r, child)->key_pos};
        config_enter_step(r, step->name.text);
        if (!json_is_object(at(r, child)->json))
            return config_fail(r, at(r, child)->pos,
                               "a step must be an object; write it as {\"run\": \"make\"}");
        if (read_step(r, child, defaults, step) < 0)
            return -ERR_CONFIG;
        config_enter_step(r, NULL);
    }
    r->config->steps = r->steps;
    r->config->n_steps = n;
    return config_link_steps(r);
}

static int read_generate(struct config_reader *r, uint32_t node)
{
    struct config_generate *generate = arena_zalloc(&r->config->arena, 1, sizeof(*generate));
    struct config_vars vars;
    config_found found;

    if (config_read_keys(r, node, CONFIG_IN_GENERATE, found) < 0 ||
        config_read_command(r, found[CONFIG_KEY_RUN], &generate->argv, &generate->n_argv,
                            &generate->run_text) < 0)
        return -ERR_CONFIG;
    generate->run = (struct config_text){generate->run_text, at(r, node)->pos};
    generate->has_inputs = found[CONFIG_KEY_INPUTS] != 0;
    if (generate->has_inputs &&
        config_read_inputs(r, found[CONFIG_KEY_INPUTS], &generate->inputs, &generate->n_inputs) < 0)
        return -ERR_CONFIG;
    if (config_read_vars(r, found[CONFIG_KEY_ENV], found[CONFIG_KEY_PASS_ENV], &vars) < 0)
        return -ERR_CONFIG;
    generate->env = vars.env;
    generate->n_env = vars.n_env;
    generate->pass_env = vars.pass;
    generate->n_pass_env = vars.n_pass;
    r->config->generate = generate;
    return 0;
}

static int read_name(struct config_reader *r, uint32_t node)
{
    const char *name = node ? config_string(r, node) : strrchr(r->config->root, '/');

    if (!node)
        name = name && name[1] ? name + 1 : r->config->root;
    else if (!*name || strlen(name) > CONFIG_MAX_NAME)
        return config_fail(r, at(r, node)->pos, "\"name\" must have 1 to %d bytes",
                           CONFIG_MAX_NAME);
    for (const char *c = name; node && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return config_fail(r, at(r, node)->pos,
                               "\"name\" has a control character; write it in one line of text");
    r->config->name = arena_strdup(&r->config->arena, name);
    return 0;
}

/* Which of the file's keys go together. */
static int check_file(struct config_reader *r, const config_found found)
{
    uint32_t steps = found[CONFIG_KEY_STEPS], generate = found[CONFIG_KEY_GENERATE];

    if (generate && r->from_generator)
        return config_fail(r, at(r, generate)->key_pos,
                           "a generated pipeline cannot have \"generate\"; print its \"steps\"");
    if (generate && steps)
        return config_fail(r, at(r, generate)->key_pos,
                           "\"generate\" and \"steps\" (at %u:%u) exclude each other; remove one",
                           at(r, steps)->key_pos.line, at(r, steps)->key_pos.column);
    if (generate && found[CONFIG_KEY_DEFAULTS])
        return config_fail(r, at(r, found[CONFIG_KEY_DEFAULTS])->key_pos,
                           "\"defaults\" does nothing beside \"generate\"; let the program print "
                           "it with the steps");
    if (!generate && !steps)
        return config_fail(r, at(r, 0)->pos,
                           "a pipeline has no \"steps\"; add \"steps\": {\"build\": {\"run\": "
                           "\"make\"}}");
    return 0;
}

static int read_file(struct config_reader *r)
{
    struct defaults defaults = {.around = {.runner = CONFIG_DEFAULT_RUNNER}, .cache = true};
    config_found found, of_defaults;

    if (config_read_keys(r, 0, CONFIG_IN_FILE, found) < 0 || check_file(r, found) < 0 ||
        read_name(r, found[CONFIG_KEY_NAME]) < 0)
        return -ERR_CONFIG;
    if (config_read_hook(r, found[CONFIG_KEY_GIT_HOOK]) < 0)
        return -ERR_CONFIG;
    r->config->jobs = number_or(r, found[CONFIG_KEY_JOBS], 0);
    if (found[CONFIG_KEY_GENERATE])
        return read_generate(r, found[CONFIG_KEY_GENERATE]);
    if (found[CONFIG_KEY_DEFAULTS] &&
        (config_read_keys(r, found[CONFIG_KEY_DEFAULTS], CONFIG_IN_DEFAULTS, of_defaults) < 0 ||
         read_settings(r, of_defaults, &defaults) < 0))
        return -ERR_CONFIG;
    return read_steps(r, found[CONFIG_KEY_STEPS], &defaults);
}

/* The file's name for messages: from the root where it lies below it, and without anything that
 * would not show. */
static const char *make_shown(struct arena *arena, const char *path, const char *given,
                              const char *root, bool generated)
{
    struct buf shown = BUF_INIT;

    if (!strcmp(root, "/"))
        root = "";
    if (path_is_below(path, root) && path[strlen(root)] == '/')
        given = path + strlen(root) + 1;
    buf_add_shown(&shown, given, strlen(given));
    if (generated)
        buf_adds(&shown, " (generated)");
    given = arena_strdup(arena, buf_str(&shown));
    buf_release(&shown);
    return given;
}

int config_parse_given(const char *text, size_t n, const char *path, const char *given,
                       const char *root, bool from_generator, struct config **out, struct err *err)
{
    struct config *config = mem_zalloc(1, sizeof(*config));
    struct config_reader r = {.config = config, .from_generator = from_generator};

    config->path = arena_strdup(&config->arena, path);
    config->root = arena_strdup(&config->arena, root);
    config->shown = make_shown(&config->arena, path, given, root, from_generator);
    int code = config_doc_open(&r.doc, text, n, config->shown, err);
    if (code == 0)
        code = read_file(&r);
    config_doc_close(&r.doc);
    if (code < 0) {
        config_free(config);
        return code;
    }
    *out = config;
    return 0;
}

int config_parse(const char *text, size_t n, const char *path, const char *root,
                 bool from_generator, struct config **out, struct err *err)
{
    return config_parse_given(text, n, path, path, root, from_generator, out, err);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    arena_release(&config->arena);
    free(config);
}
