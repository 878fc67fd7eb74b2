/*
 * reasons.c - why a step runs: an earlier result against what it is now, by file, variable, command
 * and upstream output.
 *
 * What is compared with is its last pass, as that is what people remember as good; where it never
 * passed, its last result; and where the step is new, that of a step which is gone and had the same
 * command: it was renamed.
 */
#include "engine/key_platform.h"
#include "engine/private.h"
#include "engine/secret.h"
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
                            .subject = keep(d->out, path),
                            .step = step,
                            .old = shown(d->out, old),
                            .now = shown(d->out, now),
                            .note = change_note(d, path, step, old, now)};
    if (step)
        vec_push(&d->upstream, reason);
    else
        add(d->out, d->max, reason);
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

/* What differs of a pair, for people: settings by what kiln.json calls them, and of a secret not so
 * much as its hash. */
static struct reason pair_reason(struct reasons *out, enum reason_kind kind,
                                 const struct action_pair *old, const struct action_pair *now)
{
    const char *name = old ? old->name : now->name, *note = NULL;
    const char *was = old ? old->value : NULL, *is = now ? now->value : NULL;
    const char *word = kind == REASON_SETTINGS ? platform_word(name) : NULL;
    bool was_secret = was && secret_is_hash(was), is_secret = is && secret_is_hash(is);
    if (!strncmp(name, PLATFORM_SECRET, strlen(PLATFORM_SECRET))) {
        kind = REASON_ENV;
        word = name + strlen(PLATFORM_SECRET);
    }
    if (was_secret || is_secret) {
        note = !is_secret    ? "no secret any more"
               : !was_secret ? "a secret now"
                             : "the secret is another one";
        was = is = NULL;
    }
    return (struct reason){.kind = kind,
                           .subject = keep(out, word ? word : name),
                           .old = keep(out, was),
                           .now = keep(out, is),
                           .note = note};
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
        add(out, max, pair_reason(out, kind, a, b));
    }
}

static void diff_commands(struct reasons *out, size_t max, const struct history_record *last,
                          const struct buf *command)
{
    struct arena arena = ARENA_INIT;
    struct action_command old, now;
    if (action_command_decode(last->command, last->n_command, &arena, &old, NULL) < 0 ||
        action_command_decode(command->data, command->len, &arena, &now, NULL) < 0) {
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
        add(out, max, *reason);
    vec_release(&differ.upstream);
    if (out->all == before) { /* the old tree is no longer known file by file */
        char old[DIGEST_HEX + 1], now[DIGEST_HEX + 1];
        digest_hex(&base->input_root, old);
        digest_hex(&in->input_root, now);
        add(out, max,
            (struct reason){
                .kind = REASON_FILE, .subject = ".", .old = keep(out, old), .now = keep(out, now)});
    }
}

static void diff(struct engine *e, size_t max, const struct instance *in, struct reasons *out)
{
    const struct history_record *base = out->base;
    if (!in->has_key || digest_eq(&base->key, &in->key))
        return;
    diff_commands(out, max, base, &e->nodes.v[in->node].command);
    if (strcmp(base->salt, ENGINE_SALT))
        add(out, max,
            (struct reason){.kind = REASON_SETTINGS,
                            .subject = "kiln",
                            .old = keep(out, base->salt),
                            .now = ENGINE_SALT});
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
    add(out, max, (struct reason){.kind = REASON_NEW, .note = note});
    if (out->base)
        diff(e, max, in, out);
}

void reasons_of(struct engine *e, const struct instance *in, struct reasons *out)
{
    const struct node *node = &e->nodes.v[in->node];
    const char *name = node->exec->name;
    size_t max = e->opt.max_reasons ? e->opt.max_reasons : 20;
    const struct history_record *last = e->opt.history ? history_last(e->opt.history, name) : NULL;
    if (in->attempt > 1)
        add(out, max,
            (struct reason){.kind = REASON_FAILED,
                            .note = arena_printf(&out->arena, "attempt %u of %u", in->attempt - 1,
                                                 node->exec->retries + 1)});
    if (in->forced || e->opt.force || e->opt.no_cache)
        add(out, max,
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
        add(out, max, (struct reason){.kind = REASON_UNCACHEABLE});
    if (last->status == HISTORY_TAINTED || in->tainted_before)
        add(out, max, (struct reason){.kind = REASON_TAINTED});
    else if (last->status == HISTORY_FAILED && differs)
        add(out, max,
            (struct reason){.kind = REASON_FAILED,
                            .note = arena_printf(&out->arena, "in run %s%s", last->run,
                                                 same ? ", with the same inputs" : "")});
    if (out->all == 0)
        add(out, max,
            (struct reason){.kind = REASON_EVICTED,
                            .note = in->evicted ? "an output of it is gone or damaged" : NULL});
}

void reasons_release(struct reasons *reasons)
{
    arena_release(&reasons->arena);
    vec_release(&reasons->list);
}
