/* look_facts.c - what a step runs as: command, environment, key, and what of it is not as it was.
 */
#include "base/mask.h"
#include "engine/inputs.h"
#include "engine/look.h"
#include "engine/private.h"
#include "engine/reasons.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/wants.h"

#include <string.h>

/* The variable without what is secret of it: its value where it is a secret's, and whatever else
 * has the value of one. */
static const char *shown(const struct op_exec *exec, const struct mask *mask, const char *variable,
                         struct arena *arena)
{
    size_t n = strcspn(variable, "=");
    for (size_t i = 0; i < exec->n_secrets; i++) {
        if (strlen(exec->secrets[i].target) == n && !strncmp(exec->secrets[i].target, variable, n))
            return arena_printf(arena, "%s=" MASK_WORD, exec->secrets[i].target);
    }
    if (!mask)
        return arena_strdup(arena, variable);
    struct buf text = BUF_INIT;
    struct mask_stream *stream = mask_stream_new(mask);
    mask_feed(stream, variable, strlen(variable), &text);
    mask_end(stream, &text);
    mask_stream_free(stream);
    const char *kept = arena_strdup(arena, buf_str(&text));
    buf_release(&text);
    return kept;
}

static void add_environment(struct engine *e, const struct op_exec *exec, struct step_facts *out)
{
    bool known = exec->n_secrets && secrets_known(e, exec);
    struct flight_secrets *secrets = known ? secrets_take(e, exec) : NULL;
    char **envp = key_environment(e, exec, secrets_values(secrets));
    size_t n = 0;
    while (envp[n])
        n++;
    const char **env = arena_zalloc(&out->arena, n + exec->n_secrets + 1, sizeof *env);
    for (size_t i = 0; i < n; i++)
        env[i] = shown(exec, secrets ? secrets_mask(secrets) : NULL, envp[i], &out->arena);
    for (size_t i = 0; !known && i < exec->n_secrets; i++) {
        if (exec->secrets[i].target[0] != '/')
            env[n++] = arena_printf(&out->arena, "%s=" MASK_WORD, exec->secrets[i].target);
    }
    out->env = env;
    out->n_env = n;
    key_environment_free(envp);
    secrets_release(secrets);
}

static const char *keep(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

static void add_reasons(struct engine *e, const struct instance *in, struct step_facts *out)
{
    struct reasons reasons = {0};
    if (reasons_since_pass(e, in, &reasons)) {
        struct reason *list = arena_zalloc(&out->arena, reasons.list.n + 1, sizeof *list);
        for (size_t i = 0; i < reasons.list.n; i++) {
            const struct reason *reason = &reasons.list.v[i];
            list[i] = (struct reason){.kind = reason->kind,
                                      .subject = keep(&out->arena, reason->subject),
                                      .step = keep(&out->arena, reason->step),
                                      .old = keep(&out->arena, reason->old),
                                      .now = keep(&out->arena, reason->now),
                                      .note = keep(&out->arena, reason->note)};
        }
        out->since = arena_strdup(&out->arena, reasons.base->run);
        out->reasons = list;
        out->n_reasons = reasons.list.n;
        out->all_reasons = reasons.all;
    }
    reasons_release(&reasons);
}

bool look_facts(void *ctx, const char *step, struct step_facts *out)
{
    struct engine *e = ctx;
    op_id op = e->graph && !e->drained ? graph_find(e->graph, step) : OP_NONE;
    *out = (struct step_facts){.arena = ARENA_INIT};
    if (op == OP_NONE)
        return false;
    const struct node *node = &e->nodes.v[e->node_of[op]];
    const struct op_exec *exec = node->exec;
    out->command = arena_strdup(&out->arena, exec->shown);
    out->cwd = arena_strdup(&out->arena, exec->cwd);
    out->runner = arena_strdup(&out->arena, exec->runner);
    out->image = keep(&out->arena, exec->image);
    add_environment(e, exec, out);
    if (!node->current || !node->current->has_key)
        return true;
    out->keyed = true;
    digest_hex(&node->current->key, out->key);
    digest_hex(&node->current->input_root, out->input_root);
    out->passed = breaks_has_passed(node->current);
    if (!out->passed)
        add_reasons(e, node->current, out);
    return true;
}
