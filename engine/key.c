/*
 * key.c - a step's content key: the digest of its REAPI Action, made of the command, the input
 * tree, the platform and the salt.
 */
#include "base/crypt.h"
#include "engine/inputs.h"
#include "engine/key_platform.h"
#include "engine/private.h"
#include "engine/wants.h"

#include <stdlib.h>
#include <string.h>

/* What a step finds in its environment besides its own: enough for tools to work, nothing of the
 * caller's session. An image brings its own, which its digest stands for in the key. */
static size_t base_environment(const struct op_exec *exec, struct graph_env out[8])
{
    const char *home = getenv("HOME");
    bool host = !strcmp(exec->runner, "host");
    size_t n = 0;
    if (exec->interactive)
        out[n++] = (struct graph_env){"TERM", ENGINE_TERM};
    if (exec->image)
        return n;
    out[n++] = (struct graph_env){"HOME", !host ? BOX_HOME : home && *home ? home : "/"};
    out[n++] = (struct graph_env){"LANG", "C.UTF-8"};
    out[n++] =
        (struct graph_env){"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    if (!exec->interactive)
        out[n++] = (struct graph_env){"TERM", "dumb"};
    out[n++] = (struct graph_env){"TZ", "UTC"};
    if (!host)
        out[n++] = (struct graph_env){"USER", BOX_USER};
    return n;
}

static bool sets(const struct op_exec *exec, const char *name)
{
    for (size_t i = 0; i < exec->n_env; i++) {
        if (!strcmp(exec->env[i].name, name))
            return true;
    }
    for (size_t i = 0; i < exec->n_secrets; i++) {
        if (!strcmp(exec->secrets[i].target, name))
            return true;
    }
    return false;
}

static size_t most_variables(const struct op_exec *exec)
{
    return 8 + exec->n_env + exec->n_secrets;
}

/* The base with the exec's own on top, and what is given for its secrets; at most
 * most_variables(). */
static size_t environment(const struct op_exec *exec, const char *const *secrets,
                          struct action_pair *out)
{
    struct graph_env base[8];
    size_t n = 0, n_base = base_environment(exec, base);
    for (size_t i = 0; i < n_base; i++) {
        if (!sets(exec, base[i].name))
            out[n++] = (struct action_pair){base[i].name, base[i].value};
    }
    for (size_t k = 0; k < exec->n_env; k++)
        out[n++] = (struct action_pair){exec->env[k].name, exec->env[k].value};
    for (size_t k = 0; secrets && k < exec->n_secrets; k++) {
        if (exec->secrets[k].target[0] != '/')
            out[n++] = (struct action_pair){exec->secrets[k].target, secrets[k]};
    }
    return n;
}

char **key_environment(struct engine *e, const struct op_exec *exec, const char *const *secrets)
{
    (void)e;
    struct action_pair *pairs = mem_alloc(most_variables(exec) * sizeof *pairs);
    size_t n = environment(exec, secrets, pairs);
    char **envp = mem_zalloc(n + 1, sizeof *envp);
    for (size_t i = 0; i < n; i++)
        envp[i] = mem_printf("%s=%s", pairs[i].name, pairs[i].value);
    free(pairs);
    return envp;
}

void key_environment_free(char **envp)
{
    for (char **p = envp; p && *p; p++) {
        crypt_wipe(*p, strlen(*p));
        free(*p);
    }
    free(envp);
}

/* What stands around the step, for as long as the arena. */
static size_t platform_of(struct engine *e, const struct node *node, struct arena *arena,
                          struct action_pair **out)
{
    const struct op_exec *exec = node->exec;
    if (!strcmp(exec->runner, "sandbox") && !e->system.known)
        system_packages_look(&e->system, "");
    struct platform_facts facts = {
        .isa = e->machine.machine,
        .os = e->machine.sysname,
        .root = exec->n_outputs == 0 && e->opt.known_root ? e->opt.known_root : e->opt.root,
        .system = &e->system.digest,
        .secrets = secrets_hashes(e, exec, arena)};
    const struct pin *pin = node->pin ? images_pin(e, node) : NULL;
    char hex[DIGEST_HEX + 1];
    if (pin && pin->state == PIN_KNOWN) {
        digest_hex(&pin->pin.manifest, hex);
        facts.image = arena_printf(arena, "sha256:%s", hex);
    }
    return exec_platform(exec, &facts, arena, out);
}

void key_command(struct engine *e, struct node *node)
{
    const struct op_exec *exec = node->exec;
    if (node->command.len)
        return;
    struct arena arena = ARENA_INIT;
    struct action_pair *platform;
    size_t n_platform = platform_of(e, node, &arena, &platform);
    struct action_pair *env = mem_alloc(most_variables(exec) * sizeof *env);
    struct action_command command = {.argv = exec->argv,
                                     .n_argv = exec->n_argv,
                                     .env = env,
                                     .n_env =
                                         environment(exec, secrets_hashes(e, exec, &arena), env),
                                     .outputs = exec->outputs,
                                     .n_outputs = exec->n_outputs,
                                     .cwd = exec->cwd,
                                     .platform = platform,
                                     .n_platform = n_platform};
    action_command_encode(&command, &node->command);
    free(env);
    arena_release(&arena);
    node->command_digest = digest_of(node->command.data, node->command.len);
}

void key_look_at_system(struct engine *e)
{
    if (!e->system.known || !system_packages_look(&e->system, ""))
        return;
    for (size_t i = 0; i < e->nodes.n; i++) {
        struct node *node = &e->nodes.v[i];
        if (strcmp(node->exec->runner, "sandbox") != 0)
            continue;
        buf_reset(&node->command);
        e->affected[i] |= node->selected;
    }
}

struct digest key_on(struct engine *e, struct node *node, const struct digest *input_root)
{
    if (node->exec->n_secrets) /* this run's may be others */
        buf_reset(&node->command);
    key_command(e, node);

    struct buf action = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct action_pair *platform;
    size_t n_platform = platform_of(e, node, &arena, &platform);
    action_encode(&node->command_digest, input_root, ENGINE_SALT, platform, n_platform, &action);
    arena_release(&arena);
    struct digest key = digest_of(action.data, action.len);
    buf_release(&action);
    return key;
}

int key_of(struct engine *e, struct instance *in, struct err *err)
{
    struct node *node = &e->nodes.v[in->node];
    if (!value_of(e, node->exec->input, &in->input_root, err) ||
        secrets_check(e, node->exec, err) < 0)
        return -(int)err->kind;
    in->key = key_on(e, node, &in->input_root);
    if (!strcmp(node->exec->runner, "sandbox"))
        in->system = e->system;
    in->has_key = true;
    return 0;
}
