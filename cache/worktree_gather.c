/*
 * Gathering: what the views take is brought up to date (directories read or assumed, entries
 * stat'ed) and files are queued for hashing.
 */
#include "cache/worktree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TRIES 4

struct below {
    uint32_t id, serial;
    struct scope scope;
};

struct pass {
    VEC(struct below) below;
    VEC(uint32_t) gone;
};

static void gather_child(struct worktree *tree, const struct scope *scope, struct dir *dir,
                         uint32_t child, struct reader *reader, struct pass *pass)
{
    struct node *node = worktree_node(tree, child);
    bool look = (node->flags & N_MARKED) || node->kind == NODE_UNKNOWN ||
                (node->kind == NODE_DIR && node->dir && !(node->flags & N_FRESH));
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        if (look && worktree_stat_child(tree, dir, node, reader) == ENOENT) {
            vec_push(&pass->gone, child);
            return;
        }
        struct scope sub;
        enum node_kind kind = node->kind;
        size_t before = worktree_path_push(&tree->path, node->name, node->name_len);
        enum pick pick = worktree_pick(tree, scope, node, buf_str(&tree->path), &sub);
        buf_truncate(&tree->path, before);
        if (pick == PICK_NONE)
            return;
        if (pick == PICK_BELOW) {
            vec_push(&pass->below, (struct below){child, node->serial, sub});
            return;
        }
        look = !(node->flags & N_FRESH);
        if (!look && node->kind == kind)
            break;
    }
    if (tree->git)
        worktree_git_know(tree, node, child);
    if (node->kind == NODE_FILE && !node->errnum && !(node->flags & (N_DIGEST | N_QUEUED))) {
        node->flags |= N_QUEUED;
        vec_push(&tree->queue, child);
    }
}

/* One look at all entries; false when some were gone, so that the names must be read again. */
static bool gather_children(struct worktree *tree, const struct scope *scope, struct dir *dir,
                            struct reader *reader, struct pass *pass)
{
    worktree_places few = VEC_INIT;
    bool limited = worktree_few_children(tree, scope, dir, &few, NULL, NULL);
    for (size_t i = 0, n = limited ? few.n : dir->n_children; i < n; i++)
        gather_child(tree, scope, dir, dir->children[limited ? few.v[i] : i], reader, pass);
    vec_release(&few);
    bool settled = pass->gone.n == 0;
    vec_each (uint32_t, gone, &pass->gone)
        worktree_remove_child(tree, dir, *gone);
    vec_clear(&pass->gone);
    return settled;
}

static bool gather_below(struct worktree *tree, struct dir *dir, const struct pass *pass)
{
    bool settled = true;
    for (size_t i = 0; i < pass->below.n; i++) {
        const struct below *below = &pass->below.v[i];
        struct node *node = worktree_node(tree, below->id);
        if (node->kind != NODE_DIR || node->serial != below->serial)
            continue;
        size_t before = worktree_path_push(&tree->path, node->name, node->name_len);
        if (worktree_gather(tree, &below->scope, below->id) == ENOENT) {
            node->flags = (uint16_t)((node->flags & ~N_FRESH) | N_MARKED);
            settled = false;
        }
        buf_truncate(&tree->path, before);
    }
    if (!settled)
        dir->must_read = true;
    return settled;
}

/* What the record has no memo of takes more than the nodes of a sleeper. */
static void need_nodes(struct worktree *tree, const struct scope *scope, struct dir *dir)
{
    struct statcache_memo memo;
    if (dir->state == DIR_AWAKE || worktree_sleep_memo(tree, dir, scope, &memo))
        return;
    dir->wants_nodes = true;
    if (dir->state == DIR_ASLEEP)
        worktree_wake(tree, dir);
}

int worktree_gather(struct worktree *tree, const struct scope *scope, uint32_t id)
{
    struct dir *dir = worktree_dir(tree, id);
    if (worktree_memo(dir, scope)->ready || (tree->git && worktree_git_recall(tree, scope, dir)))
        return 0;
    struct reader reader = {NULL, -1};
    struct pass pass = {VEC_INIT, VEC_INIT};
    bool settled = false;
    int errnum = 0;
    for (int tries = 0; !settled && !errnum && tries < MAX_TRIES; tries++) {
        vec_clear(&pass.below);
        errnum = worktree_read_names(tree, dir, &reader);
        if (errnum)
            break;
        if (scope->flavour == PLAIN && !tree->git)
            worktree_rules_sync(tree, dir, &reader);
        need_nodes(tree, scope, dir);
        settled = gather_children(tree, scope, dir, &reader, &pass) && !dir->must_read;
        worktree_reader_close(&reader);
        if (tree->files_queued && tree->queue.n - tree->queue_at >= worktree_batch_files(tree))
            tree->files_queued(tree->ctx);
        settled &= gather_below(tree, dir, &pass);
        if (!settled)
            dir->must_read = true;
    }
    worktree_reader_close(&reader);
    vec_release(&pass.below);
    vec_release(&pass.gone);
    if (!settled && !errnum)
        dir->errnum = EBUSY; /* must_read stands: the next time tries again */
    if (errnum == ENOENT)
        return ENOENT;
    worktree_memo(dir, scope)->ready = true;
    return 0;
}

/* Gathers the views that are not ready; true when there was none. */
static bool gather_views(struct worktree *tree, const uint32_t *views, size_t n)
{
    bool ready = true;
    for (size_t i = 0; i < n; i++) {
        struct scope scope = worktree_view_scope(tree, views[i]);
        struct dir *root = worktree_dir(tree, 0);
        if (worktree_memo(root, &scope)->ready)
            continue;
        ready = false;
        buf_reset(&tree->path);
        if (worktree_gather(tree, &scope, 0) != 0) {
            root->errnum = ENOENT;
            worktree_memo(root, &scope)->ready = true;
        }
    }
    return ready;
}

void worktree_prepare(struct worktree *tree, const uint32_t *views, size_t n)
{
    worktree_ignore_sync(tree);
    /* What one view finds changed without a mark may concern those before it. */
    for (int tries = 0; tries < MAX_TRIES && !gather_views(tree, views, n); tries++)
        ;
}

void worktree_prepare_now(struct worktree *tree, const uint32_t *views, size_t n)
{
    worktree_ignore_sync(tree);
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        worktree_look_now(tree);
        if (gather_views(tree, views, n) && !tree->n_assumed)
            return;
    }
}
