/* reasons_key.c - what differs between two keys of a step (see reasons.h). */
#include "engine/reasons.h"

#include "base/buf.h"
#include "cache/action.h"
#include "engine/key_platform.h"
#include "engine/secret.h"

#include <string.h>

void reasons_release(struct reasons *reasons)
{
    arena_release(&reasons->arena);
    vec_release(&reasons->list);
}

void reasons_add(struct reasons *out, size_t max, struct reason reason)
{
    out->all++;
    if (out->list.n < max)
        vec_push(&out->list, reason);
}

const char *reasons_keep(struct reasons *out, const char *text)
{
    return text ? arena_strdup(&out->arena, text) : NULL;
}

/* What to show of a file's state: its digest, a link's target, a directory as such; the executable
 * bit where it is set. */
const char *reasons_shown(struct reasons *out, const struct tree_entry *entry)
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
    const char *kept = reasons_keep(out, buf_str(&text));
    buf_release(&text);
    return kept;
}

static const char *list_text(struct reasons *out, const char *const *list, size_t n)
{
    struct buf text = BUF_INIT;
    join(&text, list, n);
    const char *kept = reasons_keep(out, buf_str(&text));
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
                           .subject = reasons_keep(out, word ? word : name),
                           .old = reasons_keep(out, was),
                           .now = reasons_keep(out, is),
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
        reasons_add(out, max, pair_reason(out, kind, a, b));
    }
}

void reasons_add_commands(struct reasons *out, size_t max, const void *old_bytes, size_t n_old,
                          const void *now_bytes, size_t n_now)
{
    struct arena arena = ARENA_INIT;
    struct action_command old, now;
    if (action_command_decode(old_bytes, n_old, &arena, &old, NULL) < 0 ||
        action_command_decode(now_bytes, n_now, &arena, &now, NULL) < 0) {
        arena_release(&arena);
        return;
    }
    if (!same_list(old.argv, old.n_argv, now.argv, now.n_argv))
        reasons_add(out, max,
                    (struct reason){.kind = REASON_COMMAND,
                                    .old = command_text(out, &old),
                                    .now = command_text(out, &now)});
    diff_pairs(out, max, REASON_ENV, old.env, old.n_env, now.env, now.n_env);
    if (strcmp(old.cwd, now.cwd))
        reasons_add(out, max,
                    (struct reason){.kind = REASON_SETTINGS,
                                    .subject = "cwd",
                                    .old = reasons_keep(out, *old.cwd ? old.cwd : "."),
                                    .now = reasons_keep(out, *now.cwd ? now.cwd : ".")});
    if (!same_list(old.outputs, old.n_outputs, now.outputs, now.n_outputs))
        reasons_add(out, max,
                    (struct reason){.kind = REASON_SETTINGS,
                                    .subject = "outputs",
                                    .old = list_text(out, old.outputs, old.n_outputs),
                                    .now = list_text(out, now.outputs, now.n_outputs)});
    diff_pairs(out, max, REASON_SETTINGS, old.platform, old.n_platform, now.platform,
               now.n_platform);
    arena_release(&arena);
}

void reasons_add_salts(struct reasons *out, size_t max, const char *old, const char *now)
{
    if (strcmp(old, now) != 0)
        reasons_add(out, max,
                    (struct reason){.kind = REASON_SETTINGS,
                                    .subject = "kiln",
                                    .old = reasons_keep(out, old),
                                    .now = reasons_keep(out, now)});
}

void reasons_add_roots(struct reasons *out, size_t max, const struct digest *old,
                       const struct digest *now)
{
    char was[DIGEST_HEX + 1], is[DIGEST_HEX + 1];
    digest_hex(old, was);
    digest_hex(now, is);
    reasons_add(out, max,
                (struct reason){.kind = REASON_FILE,
                                .subject = ".",
                                .old = reasons_keep(out, was),
                                .now = reasons_keep(out, is)});
}

/* -- two results of the past ------------------------------------------------------------------- */

struct between {
    struct reasons *out;
    size_t max;
    reasons_owner *owner;
    void *ctx;
};

static bool on_change(void *ctx, const char *path, const struct tree_entry *old,
                      const struct tree_entry *now)
{
    struct between *b = ctx;
    if (b->out->list.n >= b->max) {
        b->out->all++;
        return true;
    }
    const char *step = b->owner ? b->owner(b->ctx, path) : NULL;
    const char *note = NULL;
    if (old && now && old->kind == TREE_FILE && now->kind == TREE_FILE &&
        old->executable != now->executable)
        note = now->executable ? "executable now" : "not executable any more";
    reasons_add(b->out, b->max,
                (struct reason){.kind = step ? REASON_UPSTREAM : REASON_FILE,
                                .subject = reasons_keep(b->out, path),
                                .step = reasons_keep(b->out, step),
                                .old = reasons_shown(b->out, old),
                                .now = reasons_shown(b->out, now),
                                .note = note});
    return true;
}

void reasons_between(const struct history *old_from, const struct history_record *old,
                     const struct history *now_from, const struct history_record *now, size_t max,
                     reasons_owner *owner, void *ctx, struct reasons *out)
{
    struct between between = {out, max, owner, ctx};
    reasons_add_commands(out, max, old->command, old->n_command, now->command, now->n_command);
    reasons_add_salts(out, max, old->salt, now->salt);
    if (digest_eq(&old->input_root, &now->input_root))
        return;
    struct trees *trees = trees_new();
    size_t before = out->all;
    if (history_load_tree(old_from, &old->input_root, trees) &&
        history_load_tree(now_from, &now->input_root, trees)) {
        int rc =
            trees_compare(trees, &old->input_root, &now->input_root, on_change, &between, NULL);
        (void)rc; /* what was found before an error still holds */
    }
    if (out->all == before) /* they are no longer known file by file */
        reasons_add_roots(out, max, &old->input_root, &now->input_root);
    trees_free(trees);
}
