/*
 * reasons.c - why a step runs: its last recorded result against what it is now, by file, variable,
 * command and upstream output.
 */
#include "engine/private.h"

#include <stdlib.h>
#include <string.h>

struct differ {
    struct engine *e;
    const struct node *node;
    struct reasons *out;
    size_t max;
};

static void add(struct reasons *out, size_t max, struct reason reason)
{
    out->all++;
    if (out->list.n < max)
        vec_push(&out->list, reason);
}

static const char *keep(struct reasons *out, const char *text)
{
    return text ? arena_strdup(&out->arena, text) : NULL;
}

/* What to show of a file's state: its digest, a link's target, a directory as such; the executable
 * bit where it is set. */
static const char *shown(struct reasons *out, const struct tree_entry *entry)
{
    if (!entry)
        return NULL;
    if (entry->kind == TREE_SYMLINK)
        return arena_printf(&out->arena, "-> %s", entry->target);
    if (entry->kind == TREE_DIR)
        return "directory";
    char hex[DIGEST_HEX + 1];
    digest_hex(&entry->digest, hex);
    return arena_printf(&out->arena, "%s%s", hex, entry->executable ? " +x" : "");
}

static const char *owner_of(const struct differ *d, const char *path)
{
    vec_each (uint32_t, dep, (ids *)&d->node->deps) {
        const struct op_exec *exec = d->e->nodes.v[*dep].exec;
        for (size_t i = 0; i < exec->n_outputs; i++) {
            if (path_is_below(path, exec->outputs[i]))
                return exec->name;
        }
    }
    return NULL;
}

static bool on_change(void *ctx, const char *path, const struct tree_entry *old,
                      const struct tree_entry *now)
{
    struct differ *d = ctx;
    if (d->out->list.n >= d->max) {
        d->out->all++;
        return true;
    }
    const char *step = owner_of(d, path);
    add(d->out, d->max,
        (struct reason){.kind = step ? REASON_UPSTREAM : REASON_FILE,
                        .subject = keep(d->out, path),
                        .step = step,
                        .old = shown(d->out, old),
                        .now = shown(d->out, now)});
    return true;
}

static void join(struct buf *out, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, ' ');
        buf_adds(out, list[i]);
    }
}

static bool same_list(const char *const *a, size_t n_a, const char *const *b, size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++) {
        if (strcmp(a[i], b[i]))
            return false;
    }
    return true;
}

/* The words of the command as people wrote it: without the shell that kiln puts before a string. */
static const char *command_text(struct reasons *out, const struct action_command *command)
{
    struct buf text = BUF_INIT;
    size_t skip = command->n_argv == 3 && !strcmp(command->argv[0], "/bin/sh") &&
                          !strcmp(command->argv[1], "-ec")
                      ? 2
                      : 0;
    join(&text, command->argv + skip, command->n_argv - skip);
    const char *kept = keep(out, buf_str(&text));
    buf_release(&text);
    return kept;
}

static const char *list_text(struct reasons *out, const char *const *list, size_t n)
{
    struct buf text = BUF_INIT;
    join(&text, list, n);
    const char *kept = keep(out, buf_str(&text));
    buf_release(&text);
    return kept;
}

/* Merges two sorted lists of pairs and reports each that differs. */
static void diff_pairs(struct reasons *out, size_t max, enum reason_kind kind,
                       const struct action_pair *old, size_t n_old, const struct action_pair *now,
                       size_t n_now)
{
    for (size_t i = 0, k = 0; i < n_old || k < n_now;) {
        int order = i == n_old ? 1 : k == n_now ? -1 : strcmp(old[i].name, now[k].name);
        const struct action_pair *a = order <= 0 ? &old[i++] : NULL;
        const struct action_pair *b = order >= 0 ? &now[k++] : NULL;
        if (a && b && !strcmp(a->value, b->value))
            continue;
        add(out, max,
            (struct reason){.kind = kind,
                            .subject = keep(out, a ? a->name : b->name),
                            .old = keep(out, a ? a->value : NULL),
                            .now = keep(out, b ? b->value : NULL)});
    }
}

static void diff_commands(struct reasons *out, size_t max, const struct history_record *last,
                          const struct instance *in)
{
    struct arena arena = ARENA_INIT;
    struct action_command old, now;
    if (action_command_decode(last->command, last->n_command, &arena, &old, NULL) < 0 ||
        action_command_decode(in->command.data, in->command.len, &arena, &now, NULL) < 0) {
        arena_release(&arena);
        return;
    }
    if (!same_list(old.argv, old.n_argv, now.argv, now.n_argv))
        add(out, max,
            (struct reason){.kind = REASON_COMMAND,
                            .old = command_text(out, &old),
                            .now = command_text(out, &now)});
    diff_pairs(out, max, REASON_ENV, old.env, old.n_env, now.env, now.n_env);
    if (strcmp(old.cwd, now.cwd))
        add(out, max,
            (struct reason){.kind = REASON_SETTINGS,
                            .subject = "cwd",
                            .old = keep(out, *old.cwd ? old.cwd : "."),
                            .now = keep(out, *now.cwd ? now.cwd : ".")});
    if (!same_list(old.outputs, old.n_outputs, now.outputs, now.n_outputs))
        add(out, max,
            (struct reason){.kind = REASON_SETTINGS,
                            .subject = "outputs",
                            .old = list_text(out, old.outputs, old.n_outputs),
                            .now = list_text(out, now.outputs, now.n_outputs)});
    diff_pairs(out, max, REASON_SETTINGS, old.platform, old.n_platform, now.platform,
               now.n_platform);
    arena_release(&arena);
}

void reasons_of(struct engine *e, const struct instance *in, struct reasons *out)
{
    const struct node *node = &e->nodes.v[in->node];
    size_t max = e->opt.max_reasons ? e->opt.max_reasons : 20;
    const struct history_record *last =
        e->opt.history ? history_last(e->opt.history, node->exec->name) : NULL;
    if (in->forced || e->opt.force || e->opt.no_cache)
        add(out, max, (struct reason){.kind = REASON_FORCED});
    if (!last) {
        add(out, max, (struct reason){.kind = REASON_NEW});
        return;
    }
    if (in->has_key && !digest_eq(&last->key, &in->key)) {
        diff_commands(out, max, last, in);
        if (strcmp(last->salt, ENGINE_SALT))
            add(out, max,
                (struct reason){.kind = REASON_SETTINGS,
                                .subject = "kiln",
                                .old = keep(out, last->salt),
                                .now = ENGINE_SALT});
        if (!digest_eq(&last->input_root, &in->input_root)) {
            struct differ differ = {e, node, out, max};
            size_t before = out->all;
            if (history_load_tree(e->opt.history, &last->input_root, e->trees)) {
                int rc = trees_compare(e->trees, &last->input_root, &in->input_root, on_change,
                                       &differ, NULL);
                (void)rc; /* what was found before an error still holds */
            }
            if (out->all == before) { /* the old tree is no longer known file by file */
                char old[DIGEST_HEX + 1], now[DIGEST_HEX + 1];
                digest_hex(&last->input_root, old);
                digest_hex(&in->input_root, now);
                add(out, max,
                    (struct reason){.kind = REASON_FILE,
                                    .subject = ".",
                                    .old = keep(out, old),
                                    .now = keep(out, now)});
            }
        }
    }
    if (!node->exec->cache)
        add(out, max, (struct reason){.kind = REASON_UNCACHEABLE});
    else if (last->status == HISTORY_TAINTED || in->tainted_before)
        add(out, max, (struct reason){.kind = REASON_TAINTED});
    else if (last->status == HISTORY_FAILED && digest_eq(&last->key, &in->key))
        add(out, max, (struct reason){.kind = REASON_FAILED});
    else if (out->all == 0)
        add(out, max, (struct reason){.kind = REASON_EVICTED});
}

void reasons_release(struct reasons *reasons)
{
    arena_release(&reasons->arena);
    vec_release(&reasons->list);
}
