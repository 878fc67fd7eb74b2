/*
 * tree_ops.c - finding, laying over one another, changing and comparing stored trees.
 *
 * Each operation opens only the directories it has to look into, all into one arena that dies with
 * it.
 */
#include "base/mem.h"
#include "base/vec.h"
#include "cache/tree.h"

#include <stdlib.h>
#include <string.h>

struct op {
    struct trees *trees;
    struct arena arena;
    struct err *err;
};

static int too_deep(struct err *err)
{
    return err_set(err, ERR_CONFIG,
                   "a directory is nested deeper than %d levels; kiln does not follow that far",
                   TREE_DEPTH_MAX);
}

/* The index of the entry with the name of n bytes, or of the first one behind it. */
static size_t lower_bound(const struct tree_dir *dir, const char *name, size_t n, bool *found)
{
    size_t low = 0, high = dir->n;
    *found = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const char *other = dir->entries[mid].name;
        int order = strncmp(other, name, n);
        if (order == 0 && other[n] != '\0')
            order = 1;
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Length of the first component; *rest is what follows it, NULL when it is the last. */
static size_t split(const char *path, const char **rest)
{
    size_t n = strcspn(path, "/");
    *rest = path[n] ? path + n + 1 : NULL;
    return n;
}

static bool entry_eq(const struct tree_entry *a, const struct tree_entry *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TREE_FILE: return a->executable == b->executable && digest_eq(&a->digest, &b->digest);
    case TREE_DIR: return digest_eq(&a->digest, &b->digest);
    case TREE_SYMLINK: return strcmp(a->target, b->target) == 0;
    }
    return false;
}

int trees_find(const struct trees *trees, const struct digest *root, const char *path,
               struct arena *arena, struct tree_entry *out, bool *found, struct err *err)
{
    *out = (struct tree_entry){.kind = TREE_DIR, .name = "", .digest = *root};
    *found = *path == '\0';
    for (const char *rest = *path ? path : NULL; rest;) {
        struct tree_dir dir;
        const char *part = rest;
        size_t n = split(part, &rest);
        *found = false;
        if (out->kind != TREE_DIR)
            return 0;
        int rc = trees_open(trees, &out->digest, arena, &dir, err);
        if (rc != 0)
            return rc;
        size_t at = lower_bound(&dir, part, n, found);
        if (!*found)
            return 0;
        *out = dir.entries[at];
    }
    return 0;
}

/* -- merge ------------------------------------------------------------------------------------- */

/* Drops what changes nothing: empty directories, and all but the last of equal ones. */
static size_t merge_distinct(const struct digest *dirs, size_t n, struct digest *out)
{
    struct digest empty = tree_empty();
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool needed = !digest_eq(&dirs[i], &empty);
        for (size_t k = i + 1; needed && k < n; k++)
            needed = !digest_eq(&dirs[i], &dirs[k]);
        if (needed)
            out[kept++] = dirs[i];
    }
    return kept;
}

static int merge_dirs(struct op *op, const struct digest *dirs, size_t n_dirs, unsigned depth,
                      struct digest *out)
{
    struct digest *distinct = arena_zalloc(&op->arena, n_dirs, sizeof(*distinct));
    size_t n = merge_distinct(dirs, n_dirs, distinct);
    if (n <= 1) {
        *out = n ? distinct[0] : tree_empty();
        return 0;
    }
    if (depth > TREE_DEPTH_MAX)
        return too_deep(op->err);

    struct tree_dir *opened = arena_zalloc(&op->arena, n, sizeof(*opened));
    size_t *at = arena_zalloc(&op->arena, n, sizeof(*at));
    struct digest *below = arena_zalloc(&op->arena, n, sizeof(*below));
    VEC(struct tree_entry) entries = VEC_INIT;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = trees_open(op->trees, &distinct[i], &op->arena, &opened[i], op->err);
    while (rc == 0) {
        const char *name = NULL;
        for (size_t i = 0; i < n; i++)
            if (at[i] < opened[i].n && (!name || strcmp(opened[i].entries[at[i]].name, name) < 0))
                name = opened[i].entries[at[i]].name;
        if (!name)
            break;
        /* The last one wins; directories that follow one another without a file between join. */
        struct tree_entry winner = {0};
        size_t n_below = 0;
        for (size_t i = 0; i < n; i++) {
            if (at[i] == opened[i].n || strcmp(opened[i].entries[at[i]].name, name) != 0)
                continue;
            winner = opened[i].entries[at[i]++];
            if (winner.kind == TREE_DIR)
                below[n_below++] = winner.digest;
            else
                n_below = 0;
        }
        if (n_below > 1)
            rc = merge_dirs(op, below, n_below, depth + 1, &winner.digest);
        vec_push(&entries, winner);
    }
    if (rc == 0)
        *out = trees_put(op->trees, entries.v, entries.n);
    vec_release(&entries);
    return rc;
}

int trees_merge(struct trees *trees, const struct digest *roots, size_t n, struct digest *out,
                struct err *err)
{
    struct op op = {.trees = trees, .err = err};
    int rc = merge_dirs(&op, roots, n, 0, out);
    arena_release(&op.arena);
    return rc;
}

/* -- one place --------------------------------------------------------------------------------- */

/* Puts entry at path below dir (NULL: absent); with lay a directory is laid over the one that
 * stands there. */
static int set_at(struct op *op, const struct digest *dir, const char *path,
                  const struct tree_entry *entry, bool lay, unsigned depth, struct digest *out)
{
    struct tree_dir opened = {NULL, 0};
    const char *rest;
    size_t n = split(path, &rest);
    bool found;
    int rc = 0;
    if (depth > TREE_DEPTH_MAX)
        return too_deep(op->err);
    if (dir)
        rc = trees_open(op->trees, dir, &op->arena, &opened, op->err);
    if (rc != 0)
        return rc;

    size_t at = lower_bound(&opened, path, n, &found);
    const struct tree_entry *old = found ? &opened.entries[at] : NULL;
    const struct digest *old_dir = old && old->kind == TREE_DIR ? &old->digest : NULL;
    struct tree_entry now = rest ? (struct tree_entry){.kind = TREE_DIR} : *entry;
    now.name = arena_strndup(&op->arena, path, n);
    if (rest)
        rc = set_at(op, old_dir, rest, entry, lay, depth + 1, &now.digest);
    else if (lay && old_dir && now.kind == TREE_DIR)
        rc = merge_dirs(op, (struct digest[]){*old_dir, entry->digest}, 2, depth + 1, &now.digest);
    if (rc != 0)
        return rc;

    struct tree_entry *entries = arena_zalloc(&op->arena, opened.n + 1, sizeof(*entries));
    size_t behind = opened.n - at - (found ? 1 : 0);
    if (at > 0)
        memcpy(entries, opened.entries, at * sizeof(*entries));
    entries[at] = now;
    if (behind > 0)
        memcpy(entries + at + 1, opened.entries + opened.n - behind, behind * sizeof(*entries));
    *out = trees_put(op->trees, entries, at + 1 + behind);
    return 0;
}

int trees_make(struct trees *trees, const struct digest *root, const char *path,
               const struct tree_entry *entry, struct digest *out, struct err *err)
{
    struct op op = {.trees = trees, .err = err};
    if (*path == '\0')
        return err_set(err, ERR_CONFIG, "the root of a tree cannot be replaced");
    int rc = set_at(&op, root, path, entry, false, 0, out);
    arena_release(&op.arena);
    return rc;
}

int trees_copy(struct trees *trees, const struct digest *src, const char *src_path,
               const struct digest *dst, const char *dst_path, bool *found, struct digest *out,
               struct err *err)
{
    struct op op = {.trees = trees, .err = err};
    struct tree_entry entry;
    *out = *dst;
    int rc = trees_find(trees, src, src_path, &op.arena, &entry, found, err);
    if (rc == 0 && *found) {
        if (*dst_path)
            rc = set_at(&op, dst, dst_path, &entry, true, 0, out);
        else if (entry.kind == TREE_DIR)
            rc = merge_dirs(&op, (struct digest[]){*dst, entry.digest}, 2, 0, out);
        else
            rc = err_set(err, ERR_CONFIG,
                         "\"%s\" is not a directory, so it cannot be copied to the root; name the "
                         "file it should become",
                         src_path);
    }
    arena_release(&op.arena);
    return rc;
}

static int remove_at(struct op *op, const struct digest *dir, const char *path, struct digest *out)
{
    struct tree_dir opened;
    const char *rest;
    size_t n = split(path, &rest);
    bool found;
    *out = *dir;
    int rc = trees_open(op->trees, dir, &op->arena, &opened, op->err);
    if (rc != 0)
        return rc;
    size_t at = lower_bound(&opened, path, n, &found);
    if (!found || (rest && opened.entries[at].kind != TREE_DIR))
        return 0;
    if (rest) {
        struct digest old = opened.entries[at].digest;
        rc = remove_at(op, &old, rest, &opened.entries[at].digest);
        if (rc != 0 || digest_eq(&old, &opened.entries[at].digest))
            return rc;
    } else {
        opened.n--;
        memmove(&opened.entries[at], &opened.entries[at + 1],
                (opened.n - at) * sizeof(*opened.entries));
    }
    *out = trees_put(op->trees, opened.entries, opened.n);
    return 0;
}

int trees_remove(struct trees *trees, const struct digest *root, const char *path,
                 struct digest *out, struct err *err)
{
    struct op op = {.trees = trees, .err = err};
    int rc = 0;
    if (*path)
        rc = remove_at(&op, root, path, out);
    else
        *out = tree_empty();
    arena_release(&op.arena);
    return rc;
}

/* -- two trees side by side -------------------------------------------------------------------- */

/* Takes the next name of two sorted directories; an entry is NULL on the side that lacks it. False
 * at the end. */
static bool next_pair(const struct tree_dir *a, size_t *ia, const struct tree_dir *b, size_t *ib,
                      const struct tree_entry **ea, const struct tree_entry **eb)
{
    *ea = *ia < a->n ? &a->entries[*ia] : NULL;
    *eb = *ib < b->n ? &b->entries[*ib] : NULL;
    if (*ea && *eb) {
        int order = strcmp((*ea)->name, (*eb)->name);
        if (order < 0)
            *eb = NULL;
        else if (order > 0)
            *ea = NULL;
    }
    *ia += *ea ? 1 : 0;
    *ib += *eb ? 1 : 0;
    return *ea || *eb;
}

static int diff_dirs(struct op *op, const struct digest *lower, const struct digest *upper,
                     unsigned depth, struct digest *out)
{
    struct tree_dir old = {NULL, 0}, now = {NULL, 0};
    size_t io = 0, in = 0;
    const struct tree_entry *eo, *en;
    if (digest_eq(lower, upper)) {
        *out = tree_empty();
        return 0;
    }
    if (depth > TREE_DEPTH_MAX)
        return too_deep(op->err);
    int rc = trees_open(op->trees, lower, &op->arena, &old, op->err);
    if (rc == 0)
        rc = trees_open(op->trees, upper, &op->arena, &now, op->err);
    VEC(struct tree_entry) entries = VEC_INIT;
    while (rc == 0 && next_pair(&old, &io, &now, &in, &eo, &en)) {
        if (!en || (eo && entry_eq(eo, en)))
            continue;
        struct tree_entry entry = *en;
        if (eo && eo->kind == TREE_DIR && en->kind == TREE_DIR) {
            struct digest empty = tree_empty();
            rc = diff_dirs(op, &eo->digest, &en->digest, depth + 1, &entry.digest);
            if (rc != 0 || digest_eq(&entry.digest, &empty))
                continue;
        }
        vec_push(&entries, entry);
    }
    if (rc == 0)
        *out = trees_put(op->trees, entries.v, entries.n);
    vec_release(&entries);
    return rc;
}

int trees_diff(struct trees *trees, const struct digest *lower, const struct digest *upper,
               struct digest *out, struct err *err)
{
    struct op op = {.trees = trees, .err = err};
    int rc = diff_dirs(&op, lower, upper, 0, out);
    arena_release(&op.arena);
    return rc;
}

struct comparison {
    const struct trees *trees;
    struct arena arena;
    struct buf path;
    tree_change_cb *cb;
    void *ctx;
    bool stopped;
    struct err *err;
};

/* Appends a component; returns the length to cut back to. */
static size_t path_push(struct buf *path, const char *name)
{
    size_t before = path->len;
    if (before > 0)
        buf_addc(path, '/');
    buf_adds(path, name);
    return before;
}

static int compare_dirs(struct comparison *c, const struct digest *old, const struct digest *now,
                        unsigned depth);

static int compare_pair(struct comparison *c, const struct tree_entry *old,
                        const struct tree_entry *now, unsigned depth)
{
    const struct digest empty = tree_empty();
    const struct digest *old_dir = old && old->kind == TREE_DIR ? &old->digest : NULL;
    const struct digest *now_dir = now && now->kind == TREE_DIR ? &now->digest : NULL;
    if (old && now && entry_eq(old, now))
        return 0;
    /* A directory shows through what it holds; only an empty one that has no counterpart shows
     * itself. */
    const struct tree_entry *shown_old =
        old_dir && (now_dir || !digest_eq(old_dir, &empty)) ? NULL : old;
    const struct tree_entry *shown_now =
        now_dir && (old_dir || !digest_eq(now_dir, &empty)) ? NULL : now;
    if ((shown_old || shown_now) && !c->cb(c->ctx, buf_str(&c->path), shown_old, shown_now)) {
        c->stopped = true;
        return 0;
    }
    if (!old_dir && !now_dir)
        return 0;
    return compare_dirs(c, old_dir ? old_dir : &empty, now_dir ? now_dir : &empty, depth);
}

static int compare_dirs(struct comparison *c, const struct digest *old, const struct digest *now,
                        unsigned depth)
{
    struct tree_dir a = {NULL, 0}, b = {NULL, 0};
    size_t ia = 0, ib = 0;
    const struct tree_entry *ea, *eb;
    if (digest_eq(old, now))
        return 0;
    if (depth > TREE_DEPTH_MAX)
        return too_deep(c->err);
    int rc = trees_open(c->trees, old, &c->arena, &a, c->err);
    if (rc == 0)
        rc = trees_open(c->trees, now, &c->arena, &b, c->err);
    while (rc == 0 && !c->stopped && next_pair(&a, &ia, &b, &ib, &ea, &eb)) {
        size_t cut = path_push(&c->path, ea ? ea->name : eb->name);
        rc = compare_pair(c, ea, eb, depth + 1);
        buf_truncate(&c->path, cut);
    }
    return rc;
}

int trees_compare(const struct trees *trees, const struct digest *old, const struct digest *now,
                  tree_change_cb *cb, void *ctx, struct err *err)
{
    struct comparison c = {.trees = trees, .cb = cb, .ctx = ctx, .err = err};
    int rc = compare_dirs(&c, old, now, 0);
    arena_release(&c.arena);
    buf_release(&c.path);
    return rc;
}

/* -- walk -------------------------------------------------------------------------------------- */

struct walk {
    const struct trees *trees;
    struct buf path;
    tree_walk_cb *cb;
    void *ctx;
    bool stopped;
    struct err *err;
};

static int walk_dir(struct walk *walk, const struct digest *digest, unsigned depth)
{
    struct arena arena = ARENA_INIT;
    struct tree_dir dir;
    if (depth > TREE_DEPTH_MAX)
        return too_deep(walk->err);
    int rc = trees_open(walk->trees, digest, &arena, &dir, walk->err);
    for (size_t i = 0; rc == 0 && !walk->stopped && i < dir.n; i++) {
        size_t cut = path_push(&walk->path, dir.entries[i].name);
        if (!walk->cb(walk->ctx, buf_str(&walk->path), &dir.entries[i]))
            walk->stopped = true;
        else if (dir.entries[i].kind == TREE_DIR)
            rc = walk_dir(walk, &dir.entries[i].digest, depth + 1);
        buf_truncate(&walk->path, cut);
    }
    arena_release(&arena);
    return rc;
}

int trees_walk(const struct trees *trees, const struct digest *root, tree_walk_cb *cb, void *ctx,
               struct err *err)
{
    struct walk walk = {.trees = trees, .cb = cb, .ctx = ctx, .err = err};
    int rc = walk_dir(&walk, root, 0);
    buf_release(&walk.path);
    return rc;
}
