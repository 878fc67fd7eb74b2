/* Reading and merging the environment: "env" sets variables, "pass_env" lets the caller's through.
 */
#include "config/reader.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int config_check_variable(struct config_reader *r, struct config_pos pos, const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char others[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

    if (!*name)
        return config_fail(r, pos, "a variable's name is empty; give it one");
    if (strchr(name, '='))
        return config_fail(r, pos,
                           "the variable's name %s has a '='; write the value apart, as "
                           "\"env\": {\"NAME\": \"value\"}",
                           config_quote(r, name));
    if (!strchr(letters, *name) || name[strspn(name, others)])
        return config_fail(r, pos,
                           "%s is not a variable's name; use letters, digits and _, with no digit "
                           "in front",
                           config_quote(r, name));
    return 0;
}

static int compare_env(const void *a, const void *b)
{
    return strcmp(((const struct config_env *)a)->name, ((const struct config_env *)b)->name);
}

static int compare_pass(const void *a, const void *b)
{
    return strcmp(((const struct config_text *)a)->text, ((const struct config_text *)b)->text);
}

static const struct config_env *find_env(const struct config_vars *vars, const char *name)
{
    struct config_env key = {.name = name};
    return vars->n_env ? bsearch(&key, vars->env, vars->n_env, sizeof(key), compare_env) : NULL;
}

static const struct config_text *find_pass(const struct config_vars *vars, const char *name)
{
    struct config_text key = {.text = name};
    return vars->n_pass ? bsearch(&key, vars->pass, vars->n_pass, sizeof(key), compare_pass) : NULL;
}

static int read_env(struct config_reader *r, uint32_t node, struct config_vars *vars)
{
    struct arena *arena = &r->config->arena;

    vars->env = arena_zalloc(arena, r->doc.nodes.v[node].n, sizeof(*vars->env));
    config_doc_each(item, &r->doc, node)
    {
        const struct config_node *it = &r->doc.nodes.v[item];
        if (config_check_variable(r, it->key_pos, it->key) < 0)
            return -ERR_CONFIG;
        vars->env[vars->n_env++] =
            (struct config_env){arena_strdup(arena, it->key),
                                arena_strdup(arena, json_string_value(it->json)), it->key_pos};
    }
    if (vars->n_env)
        qsort(vars->env, vars->n_env, sizeof(*vars->env), compare_env);
    return 0;
}

static bool is_before(struct config_pos a, struct config_pos b)
{
    return a.line < b.line || (a.line == b.line && a.column < b.column);
}

static int read_pass_env(struct config_reader *r, uint32_t node, struct config_vars *vars)
{
    struct arena *arena = &r->config->arena;

    vars->pass = arena_zalloc(arena, r->doc.nodes.v[node].n, sizeof(*vars->pass));
    config_doc_each(item, &r->doc, node)
    {
        const struct config_node *it = &r->doc.nodes.v[item];
        if (config_check_variable(r, it->pos, json_string_value(it->json)) < 0)
            return -ERR_CONFIG;
        vars->pass[vars->n_pass++] =
            (struct config_text){arena_strdup(arena, json_string_value(it->json)), it->pos};
    }
    if (vars->n_pass)
        qsort(vars->pass, vars->n_pass, sizeof(*vars->pass), compare_pass);
    for (size_t i = 1; i < vars->n_pass; i++) {
        const struct config_text *a = &vars->pass[i - 1], *b = &vars->pass[i];
        if (strcmp(a->text, b->text))
            continue;
        const struct config_text *first = is_before(a->pos, b->pos) ? a : b;
        return config_fail(r, first == a ? b->pos : a->pos,
                           "\"pass_env\" names \"%s\" twice, first at %u:%u; remove one of the two",
                           a->text, first->pos.line, first->pos.column);
    }
    return 0;
}

int config_read_vars(struct config_reader *r, uint32_t env, uint32_t pass_env,
                     struct config_vars *vars)
{
    *vars = (struct config_vars){0};
    if (env && read_env(r, env, vars) < 0)
        return -ERR_CONFIG;
    if (pass_env && read_pass_env(r, pass_env, vars) < 0)
        return -ERR_CONFIG;
    for (size_t i = 0; i < vars->n_pass; i++) {
        const struct config_env *set = find_env(vars, vars->pass[i].text);
        if (set)
            return config_fail(r, vars->pass[i].pos,
                               "\"%s\" is in \"pass_env\" and, at %u:%u, in \"env\"; keep one: set "
                               "it or pass it on",
                               set->name, set->pos.line, set->pos.column);
    }
    return 0;
}

int config_merge_vars(struct config_reader *r, const struct config_vars *base,
                      const struct config_vars *own, struct config_vars *all)
{
    size_t n_env = base->n_env + own->n_env, n_pass = base->n_pass + own->n_pass;

    if (!own->n_env && !own->n_pass) {
        *all = *base;
        return 0;
    }
    *all = (struct config_vars){0};
    /* Many defaults times many steps is the one place where a small file could ask for much memory.
     */
    r->n_merged += n_env + n_pass;
    if (r->n_merged > CONFIG_MAX_VALUES)
        return config_fail(r, own->n_env ? own->env[0].pos : own->pass[0].pos,
                           "the steps and \"defaults\" together have more than %u variables; set "
                           "fewer in \"defaults\"",
                           CONFIG_MAX_VALUES);
    all->env = arena_zalloc(&r->config->arena, n_env, sizeof(*all->env));
    all->pass = arena_zalloc(&r->config->arena, n_pass, sizeof(*all->pass));
    for (size_t i = 0; i < own->n_env; i++)
        all->env[all->n_env++] = own->env[i];
    for (size_t i = 0; i < base->n_env; i++)
        if (!find_env(own, base->env[i].name) && !find_pass(own, base->env[i].name))
            all->env[all->n_env++] = base->env[i];
    for (size_t i = 0; i < own->n_pass; i++)
        all->pass[all->n_pass++] = own->pass[i];
    for (size_t i = 0; i < base->n_pass; i++)
        if (!find_env(own, base->pass[i].text) && !find_pass(own, base->pass[i].text))
            all->pass[all->n_pass++] = base->pass[i];
    if (all->n_env)
        qsort(all->env, all->n_env, sizeof(*all->env), compare_env);
    if (all->n_pass)
        qsort(all->pass, all->n_pass, sizeof(*all->pass), compare_pass);
    return 0;
}
