/* The file's "hook". */
#include "config/reader.h"

static const struct config_node *at(const struct config_reader *r, uint32_t node)
{
    return &r->doc.nodes.v[node];
}

static int read_stages(struct config_reader *r, uint32_t node, const char *const **out)
{
    const char **stages = arena_zalloc(&r->config->arena, at(r, node)->n + 1, sizeof(*stages));
    size_t n = 0, choice;

    config_doc_each(item, &r->doc, node)
    {
        if (config_read_choice(r, item, CONFIG_KEY_HOOK_STAGES, &choice) < 0)
            return -ERR_CONFIG;
        stages[n++] = config_choices(CONFIG_KEY_HOOK_STAGES)[choice];
    }
    *out = stages;
    return 0;
}

int config_read_hook(struct config_reader *r, uint32_t node)
{
    static const char *const usual[] = {"pre-commit", NULL};
    struct config_hook *hook = &r->config->hook;
    config_found found;

    hook->stages = usual;
    if (!node)
        return 0;
    if (config_read_keys(r, node, CONFIG_IN_HOOK, found) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_HOOK_STAGES] &&
        read_stages(r, found[CONFIG_KEY_HOOK_STAGES], &hook->stages) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_HOOK_BUDGET] &&
        config_read_duration(r, found[CONFIG_KEY_HOOK_BUDGET], CONFIG_KEY_HOOK_BUDGET,
                             &hook->budget_ms) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_HOOK_FIX]) {
        size_t choice;
        if (config_read_choice(r, found[CONFIG_KEY_HOOK_FIX], CONFIG_KEY_HOOK_FIX, &choice) < 0)
            return -ERR_CONFIG;
        hook->fix = (enum config_fixes)choice;
    }
    if (found[CONFIG_KEY_HOOK_BIND])
        return config_read_outputs(r, found[CONFIG_KEY_HOOK_BIND], "bind path", &hook->bind,
                                   &hook->n_bind);
    return 0;
}
