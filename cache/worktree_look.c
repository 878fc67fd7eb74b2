/*
 * Looks: whether directories are still as the stat cache says, found out by workers. One stat of
 * the directory tells that its names are the same, one of each entry with a stamp that this is. A
 * big directory is looked at in parts.
 */
#include "cache/beneath.h"
#include "cache/worktree_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_ENTRIES 2048
#define BATCH_LOOKS   128

void worktree_forget_ahead(struct worktree *tree)
{
    worktree_ahead_stop(tree->ahead);
    tree->ahead = NULL;
}

/* Takes over what was seen before it was asked for. */
static bool was_looked_at(struct worktree *tree, const struct look *look, const struct dir *dir)
{
    const struct look_item *seen =
        tree->ahead ? worktree_ahead_looked(tree->ahead, dir->record.number) : NULL;
    if (!seen)
        return false;
    struct look_item item = *seen;
    item.look = *look;
    if (seen->answers)
        item.answers += look->first - seen->look.first;
    worktree_look_done(tree, &item);
    return true;
}

struct worktree_batch *worktree_next_look(struct worktree *tree)
{
    struct worktree_batch *batch = NULL;
    size_t entries = 0;
    while (tree->looks_at < tree->looks.n && entries < BATCH_ENTRIES &&
           (!batch || batch->looks.n < BATCH_LOOKS)) {
        const struct look *look = &tree->looks.v[tree->looks_at++];
        const struct node *node = worktree_node(tree, look->node);
        if (node->kind == NODE_FREE || node->serial != look->serial || !node->dir ||
            node->dir->state != DIR_ASSUMED || node->dir->look != look->look)
            continue;
        if (was_looked_at(tree, look, node->dir))
            continue;
        if (!batch)
            batch = worktree_batch_new(tree);
        vec_push(&batch->looks, (struct look_item){.look = *look, .record = node->dir->record});
        entries += look->n;
    }
    if (tree->looks_at == tree->looks.n) {
        vec_clear(&tree->looks);
        tree->looks_at = 0;
        worktree_forget_ahead(tree); /* steps may run from now on */
    }
    return batch;
}

static enum look_answer look_at(const struct statcache *cache, uint32_t i, int dirfd, bool *linked)
{
    struct stamp then, now;
    struct stat st;
    int64_t recorded_ns;
    size_t len;
    if (!(statcache_stamp(cache, i, &then, &recorded_ns) & STATCACHE_STAMPED))
        return LOOK_SAME; /* its name and kind are all that is known */
    if (fstatat(dirfd, statcache_name(cache, i, &len), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return LOOK_DIFFERS;
    *linked |= S_ISREG(st.st_mode) && st.st_nlink > 1;
    now = stamp_of(&st);
    if (!stamp_eq(&then, &now))
        return LOOK_DIFFERS;
    return stamp_settled(&then, recorded_ns) ? LOOK_SAME : LOOK_YOUNG;
}

void worktree_look_work(struct worktree_batch *batch, struct look_item *item)
{
    const struct look *look = &item->look;
    struct stat st;
    int fd;
    item->differs = true;
    item->names_differ = true;
    if (beneath_open(batch->root_fd, item->record.path, false, &fd, NULL) != 0)
        return;
    if (fstat(fd, &st) == 0) {
        struct stamp stamp = stamp_of(&st);
        item->names_differ = !stamp_eq(&stamp, &item->record.stamp);
        item->differs = false;
    }
    for (uint32_t i = 0; i < look->n && !item->differs; i++) {
        enum look_answer answer = look_at(batch->cache, look->first + i, fd, &item->linked);
        if (answer == LOOK_SAME)
            continue;
        if (!item->answers)
            item->answers = arena_zalloc(&batch->arena, look->n, 1);
        item->answers[i] = (uint8_t)answer;
    }
    close(fd);
}

/* The look is complete. */
static void conclude(struct worktree *tree, struct dir *dir)
{
    bool same = !dir->differs && !dir->names_differ && !dir->answers;
    dir->state = DIR_ASLEEP;
    tree->n_assumed--;
    dir->must_read |= dir->names_differ;
    if (!same || dir->wants_nodes) {
        worktree_wake(tree, dir);
        worktree_unsettle(tree, dir->node);
    }
    free(dir->answers);
    dir->answers = NULL;
    dir->wants_nodes = false;
}

void worktree_look_done(struct worktree *tree, const struct look_item *item)
{
    const struct look *look = &item->look;
    tree->linked |= item->linked;
    const struct node *node = worktree_node(tree, look->node);
    struct dir *dir = node->kind != NODE_FREE && node->serial == look->serial ? node->dir : NULL;
    if (!dir || dir->state != DIR_ASSUMED || dir->look != look->look)
        return; /* things have happened since */
    tree->counts.stats += look->n;
    dir->names_differ |= item->names_differ;
    dir->differs |= item->differs;
    if (item->differs || item->answers) {
        if (!dir->answers)
            dir->answers = mem_zalloc(dir->record.n ? dir->record.n : 1, 1);
        uint8_t *to = dir->answers + (look->first - dir->record.first);
        if (item->differs)
            memset(to, LOOK_DIFFERS, look->n);
        else
            memcpy(to, item->answers, look->n);
    }
    if (--dir->parts == 0)
        conclude(tree, dir);
}

void worktree_look_now(struct worktree *tree)
{
    struct worktree_batch *batch;
    worktree_forget_ahead(tree);
    if (!tree->n_assumed)
        return;
    /* What a worker has taken is looked at again; its answer comes too late. */
    for (uint32_t id = 0; id < tree->n_nodes; id++) {
        const struct node *node = worktree_node(tree, id);
        if (node->kind != NODE_FREE && node->dir && node->dir->state == DIR_ASSUMED)
            worktree_queue_look(tree, node->dir);
    }
    while ((batch = worktree_next_look(tree))) {
        worktree_batch_work(batch);
        worktree_batch_done(tree, batch);
    }
}
