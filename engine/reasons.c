/*
 * reasons.c - why a step runs: an earlier result against what it is now, by file, variable, command
 * and upstream output.
 *
 * What is compared with is its last pass, as that is what people remember as good; where it never
 * passed, its last result; and where the step is new, that of a step which is gone and had the same
 * command: it was renamed.
 */
#include "engine/private.h"
#include "engine/tell.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct differ {
    struct engine *e;
    const struct node *node;
    struct reasons *out;
    size_t max;
    VEC(struct reason) upstream; /* told after the files: those are what somebody edited */
};

static bool gives(const struct op_exec *exec, const char *path)
{
    for (size_t i = 0; i < exec->n_outputs; i++) {
        if (path_is_below(path, exec->outputs[i]))
            return true;
    }
    return false;
}

/* The needed step whose output that is, or NULL. */
static const char *owner_of(const struct differ *d, const char *path)
{
    vec_each (uint32_t, dep, (ids *)&d->node->deps) {
        if (gives(d->e->nodes.v[*dep].exec, path))
            return d->e->nodes.v[*dep].exec->name;
    }
    return NULL;
}

/* Any step whose output that is, needed or not. */
static const char *maker_of(const struct differ *d, const char *path)
{
    vec_each (struct node, node, &d->e->nodes) {
        if (gives(node->exec, path))
            return node->exec->name;
    }
    return NULL;
}

/* Whether the entry has stood where it is since before that time, and all that it lies in: neither
 * written, nor moved here. Where that can't be told, false. */
static bool older_than(const char *root, const char *path, uint64_t time_ns)
{
    struct buf part = BUF_INIT;
    bool older = true;
    for (size_t n = 0; older && path[n]; n++) {
        n += strcspn(path + n, "/");
        struct stat st;
        buf_reset(&part);
        buf_addf(&part, "%s/%.*s", root, (int)n, path);
        older = lstat(buf_str(&part), &st) == 0 && st.st_ctim.tv_sec >= 0 &&
                (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec < time_ns;
        if (!path[n])
            break;
    }
    buf_release(&part);
    return older;
}

static bool is_file(const char *root, const char *path)
{
    char *full = path_join(root, path);
    struct stat st;
    bool file = lstat(full, &st) == 0 && !S_ISDIR(st.st_mode);
    free(full);
    return file;
}

/* A file that is no input any more, or is one now, without having gone or come: what did that. */
static const char *selection_note(const struct differ *d, const char *path,
                                  const struct tree_entry *now)
{
    const struct history_record *base = d->out->base;
    const char *root = d->e->opt.root;
    if (now) {
        uint64_t took = base->duration_ms * 1000000;
        return base->time_ns > took && older_than(root, path, base->time_ns - took)
                   ? "not new: \"inputs\" or the ignore rules left it out before"
                   : NULL;
    }
    const char *maker = maker_of(d, path);
    if (maker)
        return arena_printf(&d->out->arena, "an output of %s, which is not among its needs", maker);
    if (!is_file(root, path))
        return NULL;
    return worktree_ignores(d->e->worktree, path) ? "still there, ignored now"
                                                  : "still there, \"inputs\" leave it out now";
}

static const char *change_note(const struct differ *d, const char *path, const char *step,
                               const struct tree_entry *old, const struct tree_entry *now)
{
    if (!old || !now)
        return step ? NULL : selection_note(d, path, now);
    if (old->kind == TREE_FILE && now->kind == TREE_FILE && old->executable != now->executable)
        return now->executable ? "executable now" : "not executable any more";
    return NULL;
}

static bool on_change(void *ctx, const char *path, const struct tree_entry *old,
                      const struct tree_entry *now)
{
    struct differ *d = ctx;
    const char *step = d->out->list.n < d->max ? owner_of(d, path) : NULL;
    if (d->out->list.n >= d->max || (step && d->upstream.n >= d->max)) {
        d->out->all++;
        return true;
    }
    struct reason reason = {.kind = step ? REASON_UPSTREAM : REASON_FILE,
                            .subject = reasons_keep(d->out, path),
                            .step = step,
                            .old = reasons_shown(d->out, old),
                            .now = reasons_shown(d->out, now),
                            .note = change_note(d, path, step, old, now)};
    if (step)
        vec_push(&d->upstream, reason);
    else
        reasons_add(d->out, d->max, reason);
    return true;
}

static void diff_inputs(struct engine *e, size_t max, const struct instance *in,
                        struct reasons *out)
{
    const struct history_record *base = out->base;
    struct differ differ = {e, &e->nodes.v[in->node], out, max, VEC_INIT};
    size_t before = out->all;
    if (history_load_tree(e->opt.history, &base->input_root, e->trees)) {
        int rc =
            trees_compare(e->trees, &base->input_root, &in->input_root, on_change, &differ, NULL);
        (void)rc; /* what was found before an error still holds */
    }
    vec_each (struct reason, reason, &differ.upstream)
        reasons_add(out, max, *reason);
    vec_release(&differ.upstream);
    if (out->all == before) /* the old tree is no longer known file by file */
        reasons_add_roots(out, max, &base->input_root, &in->input_root);
}

static void diff(struct engine *e, size_t max, const struct instance *in, struct reasons *out)
{
    const struct history_record *base = out->base;
    const struct buf *command = &e->nodes.v[in->node].command;
    if (!in->has_key || digest_eq(&base->key, &in->key))
        return;
    reasons_add_commands(out, max, base->command, base->n_command, command->data, command->len);
    reasons_add_salts(out, max, base->salt, ENGINE_SALT);
    if (!digest_eq(&base->input_root, &in->input_root))
        diff_inputs(e, max, in, out);
}

static void note_gone(void *ctx, const char *step)
{
    struct engine *e = ctx;
    if (graph_find(e->graph, step) == OP_NONE)
        vec_push(&e->gone, mem_strdup(step));
}

/* The latest pass, else result, of a step that the pipeline no longer has and that ran the same
 * command; or NULL. */
static const struct history_record *predecessor(struct engine *e, const struct instance *in)
{
    const struct history_record *best = NULL;
    const struct buf *command = &e->nodes.v[in->node].command;
    if (!e->opt.history || !in->has_key)
        return NULL;
    if (!e->gone_known)
        history_steps(e->opt.history, note_gone, e);
    e->gone_known = true;
    vec_each (char *, step, &e->gone) {
        const struct history_record *record = history_last_pass(e->opt.history, *step);
        if (!record)
            record = history_last(e->opt.history, *step);
        if (record && record->n_command == command->len &&
            memcmp(record->command, command->data, command->len) == 0 &&
            (!best || record->time_ns > best->time_ns))
            best = record;
    }
    return best;
}

/* A step without a past: the one that it was called before, if there is one. */
static void tell_new(struct engine *e, size_t max, const struct instance *in, struct reasons *out)
{
    out->base = predecessor(e, in);
    const char *note =
        out->base ? arena_printf(&out->arena, "compared with %s, which is gone and ran the same",
                                 out->base->step)
                  : NULL;
    reasons_add(out, max, (struct reason){.kind = REASON_NEW, .note = note});
    if (out->base)
        diff(e, max, in, out);
}

bool reasons_since_pass(struct engine *e, const struct instance *in, struct reasons *out)
{
    size_t max = e->opt.max_reasons ? e->opt.max_reasons : 20;
    out->base =
        e->opt.history ? history_last_pass(e->opt.history, e->nodes.v[in->node].exec->name) : NULL;
    if (out->base)
        diff(e, max, in, out);
    return out->base != NULL;
}

void reasons_of(struct engine *e, const struct instance *in, struct reasons *out)
{
    const struct node *node = &e->nodes.v[in->node];
    const char *name = node->exec->name;
    size_t max = e->opt.max_reasons ? e->opt.max_reasons : 20;
    const struct history_record *last = e->opt.history ? history_last(e->opt.history, name) : NULL;
    if (in->attempt > 1)
        reasons_add(
            out, max,
            (struct reason){.kind = REASON_FAILED,
                            .note = arena_printf(&out->arena, "attempt %u of %u", in->attempt - 1,
                                                 node->exec->retries + 1)});
    if (in->forced || e->opt.force || e->opt.no_cache)
        reasons_add(out, max,
                    (struct reason){.kind = REASON_FORCED,
                                    .note = e->opt.no_cache ? "by --no-cache"
                                            : e->opt.force  ? "by --force"
                                                            : NULL});
    if (!last) {
        tell_new(e, max, in, out);
        return;
    }
    const struct history_record *pass = history_last_pass(e->opt.history, name);
    bool same = in->has_key && digest_eq(&last->key, &in->key);
    out->base = pass ? pass : last;
    size_t before = out->all;
    diff(e, max, in, out);
    bool differs = out->all > before || last == out->base;
    if (!node->exec->cache)
        reasons_add(out, max, (struct reason){.kind = REASON_UNCACHEABLE});
    if (last->status == HISTORY_TAINTED || in->tainted_before)
        reasons_add(out, max, (struct reason){.kind = REASON_TAINTED});
    else if (last->status == HISTORY_FAILED && differs)
        reasons_add(out, max,
                    (struct reason){.kind = REASON_FAILED,
                                    .note = arena_printf(&out->arena, "in run %s%s", last->run,
                                                         same ? ", with the same inputs" : "")});
    if (out->all == 0)
        reasons_add(
            out, max,
            (struct reason){.kind = REASON_EVICTED,
                            .note = in->evicted ? "an output of it is gone or damaged" : NULL});
}
