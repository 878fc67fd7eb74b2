/* key_platform.c - see key_platform.h. */
#include "engine/key_platform.h"

#include "runners/box.h"

#include <string.h>

struct pairs {
    struct arena *arena;
    struct action_pair *v;
    size_t n;
};

static void add(struct pairs *pairs, const char *name, const char *value)
{
    if (value)
        pairs->v[pairs->n++] = (struct action_pair){name, value};
}

static const char *hex_of(struct arena *arena, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    if (!digest)
        return NULL;
    digest_hex(digest, hex);
    return arena_strdup(arena, hex);
}

static void add_secrets(struct pairs *pairs, const struct op_exec *exec, const char *const *hashes)
{
    for (size_t i = 0; hashes && i < exec->n_secrets; i++) {
        if (exec->secrets[i].target[0] == '/')
            add(pairs, arena_printf(pairs->arena, PLATFORM_SECRET "%s", exec->secrets[i].target),
                hashes[i]);
    }
}

size_t exec_platform(const struct op_exec *exec, const struct platform_facts *facts,
                     struct arena *arena, struct action_pair **out)
{
    bool host = !strcmp(exec->runner, "host"), container = !strcmp(exec->runner, "container");
    struct pairs pairs = {.arena = arena};
    pairs.v = arena_zalloc(arena, 12 + exec->n_secrets, sizeof *pairs.v);
    add(&pairs, "ISA", facts->isa);
    add(&pairs, "OSFamily", facts->os);
    if (container)
        add(&pairs, PLATFORM_IMAGE, facts->image);
    if (exec->interactive)
        add(&pairs, "kiln-interactive", "true");
    if (!host) {
        add(&pairs, "kiln-mount", exec->mount_same ? "same" : BOX_PROJECT);
        add(&pairs, "kiln-network", exec->network ? "host" : "none");
    }
    if (container)
        add(&pairs, "kiln-platform", exec->platform);
    if (host || exec->mount_same)
        add(&pairs, "kiln-root", facts->root);
    add(&pairs, "kiln-runner", exec->runner);
    add_secrets(&pairs, exec, facts->secrets);
    if (!host && !container)
        add(&pairs, PLATFORM_SYSTEM, hex_of(arena, facts->system));
    if (container)
        add(&pairs, "kiln-user", exec->user);
    *out = pairs.v;
    return pairs.n;
}

const char *platform_word(const char *name)
{
    static const char *const words[][2] = {
        {PLATFORM_IMAGE, "image"},     {"kiln-interactive", "interactive"},
        {"kiln-mount", "mount"},       {"kiln-network", "network"},
        {"kiln-platform", "platform"}, {"kiln-root", "project's folder"},
        {"kiln-runner", "runner"},     {PLATFORM_SYSTEM, "system packages"},
        {"kiln-user", "user"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcmp(words[i][0], name))
            return words[i][1];
    }
    return NULL;
}
