/*
 * snapshot_plan.c - what has to be made for a snapshot: a whole tree, or what differs from another.
 *
 * The snapshots presented last form a pile: a whole tree, and deltas each on top of the one before.
 * A new one goes on the highest layer of it that is STEP times larger than what it differs by; so
 * a small change is a small delta, whatever came before, and layers are few: each is at least STEP
 * times smaller than the one below it. What differs from the whole tree by more than a STEP-th of
 * it becomes a whole tree itself.
 *
 * As an overlay's layer a delta needs whiteouts for names that are gone, and nothing else: where a
 * file stands over a directory, or a directory over a file or a whiteout, the layers below are not
 * looked into.
 */
#include "cache/snapshot_private.h"

#include "base/mem.h"

#include <string.h>

#define STEP 4
/* Any delta may be so large. */
#define SMALL 64

/* Few messages can name each other many times: a tree with more entries is taken for an attack. */
#define ENTRIES_MAX ((size_t)1 << 24)

struct planning {
    struct snapshot_plan *plan;
    struct snapshot_request *request;
    struct map kept; /* hashes of plan->messages */
    struct err *err;
};

static int malformed(const struct digest *digest, struct err *err)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return err_set(err, ERR_CORRUPT, "the directory %s is malformed", hex);
}

static void add_entry(struct snapshot_plan *plan, const struct tree_entry *entry)
{
    struct plan_entry out = {.name = entry->name, .target = entry->target, .digest = entry->digest};
    out.kind = entry->kind == TREE_SYMLINK ? PLAN_LINK
               : entry->executable         ? PLAN_EXECUTABLE
                                           : PLAN_FILE;
    vec_push(&plan->entries, out);
}

static void add_dir(struct snapshot_plan *plan, size_t parent, const struct tree_entry *entry,
                    const struct tree_entry *base)
{
    const struct plan_dir *above = &plan->dirs.v[parent];
    struct plan_dir dir = {.digest = entry->digest, .parent = parent, .depth = above->depth + 1};
    dir.path =
        *above->path ? arena_printf(&plan->arena, "%s/%s", above->path, entry->name) : entry->name;
    dir.has_base = base && base->kind == TREE_DIR;
    if (dir.has_base)
        dir.base = base->digest;
    vec_push(&plan->dirs, dir);
}

static bool same(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->kind == b->kind && a->executable == b->executable &&
           (a->kind == TREE_SYMLINK ? strcmp(a->target, b->target) == 0
                                    : digest_eq(&a->digest, &b->digest));
}

/* Adds what makes a directory out of the one below it: its entries one after the other, and its
 * directories to the list of them. */
static void compare(struct snapshot_plan *plan, size_t at, const struct tree_dir *below,
                    const struct tree_dir *now)
{
    size_t first = plan->entries.n, ib = 0, in = 0;
    while (ib < below->n || in < now->n) {
        const struct tree_entry *old = ib < below->n ? &below->entries[ib] : NULL;
        const struct tree_entry *new = in < now->n ? &now->entries[in] : NULL;
        int order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);
        ib += order <= 0 ? 1 : 0;
        in += order >= 0 ? 1 : 0;
        if (order < 0) {
            vec_push(&plan->entries,
                     (struct plan_entry){.name = arena_strdup(&plan->arena, old->name),
                                         .kind = PLAN_WHITEOUT});
            plan->whiteouts = true;
        } else if (order > 0 || !same(old, new)) {
            if (new->kind == TREE_DIR)
                add_dir(plan, at, new, order == 0 ? old : NULL);
            else
                add_entry(plan, new);
        }
    }
    plan->dirs.v[at].first = first;
    plan->dirs.v[at].n = plan->entries.n - first;
}

/* Its message goes into meta, unless the layers below keep it. */
static void keep(struct planning *p, const struct digest *digest, const void *bytes)
{
    bool known =
        p->plan->layers > 0 && snapshot_keeps(p->request->near, p->plan->layers, digest->hash);
    if (!known)
        map_put(&p->kept, digest->hash, DIGEST_BYTES, NULL, &known);
    if (!known)
        vec_push(&p->plan->messages, (struct snapshot_message){*digest, bytes});
}

static int plan_dir(struct planning *p, size_t at, enum plan_answer *answer)
{
    struct snapshot_plan *plan = p->plan;
    struct plan_dir dir = plan->dirs.v[at];
    struct tree_dir now, below = {NULL, 0};
    struct arena arena = ARENA_INIT;
    const void *bytes = snapshot_request_message(p->request, &dir.digest, &plan->arena), *old = "";
    int rc = 0;
    if (bytes && dir.has_base)
        old = snapshot_request_message(p->request, &dir.base, &arena);
    if (!bytes || !old)
        *answer = PLAN_DAMAGED;
    else if (tree_decode(bytes, (size_t)dir.digest.size, &plan->arena, &now, NULL) != 0)
        rc = malformed(&dir.digest, p->err);
    else if (dir.has_base && tree_decode(old, (size_t)dir.base.size, &arena, &below, NULL) != 0)
        rc = malformed(&dir.base, p->err);
    else {
        compare(plan, at, &below, &now);
        keep(p, &dir.digest, bytes);
    }
    arena_release(&arena);
    return rc;
}

/* Plans what differs from the snapshot of the first layers of near; not more than most entries. */
static int plan_over(struct planning *p, size_t layers, uint64_t most, enum plan_answer *answer)
{
    struct snapshot_plan *plan = p->plan;
    struct snapshot_request *request = p->request;
    struct plan_dir root = {.path = "", .digest = request->root, .has_base = layers > 0};
    if (layers > 0) {
        const struct snapshot_header *base = &request->near->layers[layers - 1].header;
        memcpy(root.base.hash, base->root, DIGEST_BYTES);
        root.base.size = base->root_size;
    }
    snapshot_plan_release(plan);
    map_release(&p->kept);
    plan->layers = layers;
    vec_push(&plan->dirs, root);
    *answer = PLAN_READY;
    int rc = 0;
    for (size_t i = 0; rc == 0 && *answer == PLAN_READY && i < plan->dirs.n; i++) {
        if (plan->dirs.v[i].depth > TREE_DEPTH_MAX)
            return err_set(p->err, ERR_CONFIG,
                           "a directory is nested deeper than %d levels; kiln does not follow that "
                           "far",
                           TREE_DEPTH_MAX);
        rc = plan_dir(p, i, answer);
        if (rc == 0 && *answer == PLAN_READY && plan->dirs.n + plan->entries.n > most)
            *answer = PLAN_LARGE;
    }
    return rc;
}

int snapshot_plan_make(struct snapshot_plan *plan, struct snapshot_request *request,
                       bool whole_tree, enum plan_answer *answer, struct err *err)
{
    struct planning p = {.plan = plan, .request = request, .err = err};
    size_t layers = request->near && !whole_tree ? request->near->n : 0;
    int rc = 0;
    *answer = PLAN_LARGE;
    if (layers == SNAPSHOT_LAYERS_MAX)
        layers--;
    for (; rc == 0 && *answer == PLAN_LARGE && layers > 0; layers--) {
        const struct snapshot_header *below = &request->near->layers[layers - 1].header;
        uint64_t most = below->entries / STEP;
        if (layers == 1 && most < SMALL)
            most = SMALL;
        rc = plan_over(&p, layers, most, answer);
    }
    if (rc == 0 && *answer == PLAN_LARGE) {
        rc = plan_over(&p, 0, ENTRIES_MAX, answer);
        if (rc == 0 && *answer == PLAN_LARGE)
            rc = err_set(err, ERR_CONFIG, "a tree has more than %zu entries", ENTRIES_MAX);
    }
    map_release(&p.kept);
    return rc;
}

bool snapshot_plan_again(struct snapshot_plan *plan, struct snapshot_request *request)
{
    struct planning p = {.plan = plan, .request = request};
    enum plan_answer answer;
    int rc = plan_over(&p, request->near->n - 1, ENTRIES_MAX, &answer);
    map_release(&p.kept);
    return rc == 0 && answer == PLAN_READY;
}

void snapshot_plan_release(struct snapshot_plan *plan)
{
    vec_release(&plan->dirs);
    vec_release(&plan->entries);
    vec_release(&plan->messages);
    arena_release(&plan->arena);
    plan->whiteouts = false;
}
