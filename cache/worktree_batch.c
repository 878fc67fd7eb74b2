/*
 * Work in portions that workers take away, and hashing: a batch holds the root's descriptor and has
 * its own strings.
 */
#include "cache/beneath.h"
#include "cache/worktree_private.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_BYTES ((uint64_t)8 << 20)
#define MAX_TRIES   4
#define MAX_MISSES  8

void worktree_measure(struct worktree *tree)
{
    atomic_store(&tree->bytes_read, 0);
    tree->bytes_given = tree->largest_bytes = 0;
}

static void note_given(struct worktree *tree, uint32_t id, const struct node *node)
{
    tree->bytes_given += node->stamp.size;
    if (node->stamp.size <= tree->largest_bytes)
        return;
    tree->largest_bytes = node->stamp.size;
    tree->largest = id;
    tree->largest_serial = node->serial;
}

struct worktree_progress worktree_progress(const struct worktree *tree)
{
    struct worktree_progress progress = {.read = atomic_load(&tree->bytes_read),
                                         .bytes = tree->bytes_given,
                                         .files = tree->queue.n - tree->queue_at};
    for (size_t i = tree->queue_at; i < tree->queue.n; i++)
        progress.bytes += worktree_node(tree, tree->queue.v[i])->stamp.size;
    if (tree->largest_bytes && worktree_node(tree, tree->largest)->serial == tree->largest_serial) {
        struct buf path = BUF_INIT;
        worktree_path(tree, tree->largest, &path);
        progress.largest = mem_strdup(buf_str(&path));
        progress.largest_bytes = tree->largest_bytes;
        buf_release(&path);
    }
    return progress;
}

static bool still_wanted(const struct node *node)
{
    return node->kind == NODE_FILE && (node->flags & N_QUEUED) && !(node->flags & N_DIGEST);
}

size_t worktree_batch_files(const struct worktree *tree)
{
    return tree->git ? GIT_BATCH_FILES : BATCH_FILES;
}

struct worktree_batch *worktree_batch_new(struct worktree *tree)
{
    struct worktree_batch *batch = mem_zalloc(1, sizeof(*batch));
    batch->top = tree->top;
    batch->top->holders++;
    batch->root_fd = batch->top->fd;
    batch->stop = &tree->stop;
    batch->bytes = &tree->bytes_read;
    batch->cache = tree->cache;
    batch->git = tree->git;
    return batch;
}

struct worktree_batch *worktree_next_batch(struct worktree *tree)
{
    struct worktree_batch *batch = worktree_next_look(tree);
    return batch ? batch : worktree_next_files(tree);
}

struct worktree_batch *worktree_next_files(struct worktree *tree)
{
    struct worktree_batch *batch = NULL;
    struct buf path = BUF_INIT;
    uint32_t parent = WORKTREE_NONE;
    const char *dir = NULL;
    uint64_t bytes = 0;
    while (tree->queue_at < tree->queue.n && bytes < BATCH_BYTES &&
           (!batch || batch->items.n < worktree_batch_files(tree))) {
        uint32_t id = tree->queue.v[tree->queue_at++];
        struct node *node = worktree_node(tree, id);
        if (!still_wanted(node)) {
            node->flags &= (uint16_t)~N_QUEUED;
            continue;
        }
        if (!batch)
            batch = worktree_batch_new(tree);
        if (node->parent != parent) {
            parent = node->parent;
            worktree_path(tree, parent, &path);
            dir = arena_strndup(&batch->arena, buf_str(&path), path.len);
        }
        vec_push(&batch->items, (struct hash_item){.node = id,
                                                   .serial = node->serial,
                                                   .dir = dir,
                                                   .name = arena_strndup(&batch->arena, node->name,
                                                                         node->name_len),
                                                   .stamp = node->stamp});
        if (tree->git)
            vec_last(&batch->items).git = worktree_git_file(tree, node, dir, &batch->arena);
        bytes += node->stamp.size;
        note_given(tree, id, node);
    }
    if (tree->queue_at == tree->queue.n) {
        vec_clear(&tree->queue);
        tree->queue_at = 0;
    }
    buf_release(&path);
    return batch;
}

/* The content that was hashed is that of the stat. The device and inode of an open file differ from
 * those of its name on some stacked filesystems, and say nothing that ctime does not. */
static bool same_content(const struct stamp *seen, const struct stamp *hashed)
{
    return seen->size == hashed->size && seen->mtime_ns == hashed->mtime_ns &&
           seen->ctime_ns == hashed->ctime_ns && seen->mode == hashed->mode;
}

/* Takes the stat that the file was queued with for the one before the reading, and one read for all
 * of it: for small files these calls are most of the work. False when they do not fit. */
static bool hash_small(struct worktree_batch *batch, int fd, struct hash_item *item)
{
    const struct stamp *seen = &item->stamp;
    struct stat after;
    if (seen->size >= HASH_SMALL)
        return false;
    bool writer = file_has_writer(fd, seen->ctime_ns / 1000000000);
    if (pread(fd, batch->space, (size_t)seen->size + 1, 0) != (ssize_t)seen->size ||
        fstat(fd, &after) != 0)
        return false;
    struct stamp stamp = stamp_of(&after);
    if (!same_content(seen, &stamp))
        return false;
    hasher_start(batch->hasher);
    hasher_add(batch->hasher, batch->space, (size_t)seen->size);
    item->digest = hasher_end(batch->hasher);
    item->stamp = stamp;
    item->linked = after.st_nlink > 1;
    if (writer)
        item->recorded_ns = NEVER_SETTLED;
    atomic_fetch_add_explicit(batch->bytes, seen->size, memory_order_relaxed);
    return true;
}

static int hash_any(struct worktree_batch *batch, int fd, struct hash_item *item)
{
    struct stat before, after;
    struct err err = ERR_INIT;
    int errnum = 0;
    if (fstat(fd, &before) != 0)
        errnum = errno;
    else if (!S_ISREG(before.st_mode))
        errnum = ENOENT;
    else if (file_has_writer(fd, before.st_ctim.tv_sec))
        item->recorded_ns = NEVER_SETTLED;
    if (errnum == 0 && digest_of_fd(batch->hasher, fd, &item->digest, &err) != 0)
        errnum = err.errnum ? err.errnum : EIO;
    if (errnum == 0 && fstat(fd, &after) != 0)
        errnum = errno;
    if (errnum == 0) {
        struct stamp first = stamp_of(&before);
        item->stamp = stamp_of(&after);
        item->linked = after.st_nlink > 1;
        if (!stamp_eq(&first, &item->stamp) || item->digest.size != item->stamp.size)
            errnum = EBUSY;
    }
    err_release(&err);
    return errnum;
}

static int hash_once(struct worktree_batch *batch, int dirfd, struct hash_item *item, bool first)
{
    /* Before the open: a write that comes later must find a recorded time that is not clearly after
     * it. */
    item->recorded_ns = (int64_t)clock_realtime_ns();
    int fd = openat(dirfd, item->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno == ELOOP || errno == ENOTDIR || errno == ENXIO ? ENOENT : errno;
    int errnum = first && hash_small(batch, fd, item) ? 0 : hash_any(batch, fd, item);
    close(fd);
    return errnum;
}

static void hash(struct worktree_batch *batch)
{
    unsigned char space[HASH_SMALL];
    batch->space = space;
    batch->hasher = hasher_new();
    hasher_heed(batch->hasher, batch->stop);
    hasher_count(batch->hasher, batch->bytes);
    const char *dir = NULL;
    int dirfd = -1, dir_errnum = 0;
    vec_each (struct hash_item, item, &batch->items) {
        if (item->dir != dir) {
            if (dirfd >= 0)
                close(dirfd);
            struct err err = ERR_INIT;
            dir_errnum = 0;
            if (beneath_open(batch->root_fd, item->dir, false, &dirfd, &err) != 0) {
                dir_errnum = err.kind == ERR_SYSTEM && err.errnum ? err.errnum : ENOENT;
                dirfd = -1;
            }
            err_release(&err);
            dir = item->dir;
        }
        item->errnum = dir_errnum ? dir_errnum : EBUSY;
        for (int tries = 0; item->errnum == EBUSY && tries < MAX_TRIES; tries++)
            item->errnum = hash_once(batch, dirfd, item, tries == 0);
    }
    if (dirfd >= 0)
        close(dirfd);
    hasher_free(batch->hasher);
}

void worktree_stop(struct worktree *tree)
{
    atomic_store(&tree->stop, true);
}

void worktree_batch_work(struct worktree_batch *batch)
{
    vec_each (struct look_item, look, &batch->looks)
        worktree_look_work(batch, look);
    if (batch->items.n && batch->git)
        worktree_git_hash(batch);
    else if (batch->items.n)
        hash(batch);
}

/* The node's directory must be looked at again, all the way from the root: something on the way is
 * not what it was. */
static void doubt(struct worktree *tree, uint32_t id)
{
    worktree_unsettle(tree, worktree_node(tree, id)->parent);
    for (uint32_t at = id; at != 0; at = worktree_node(tree, at)->parent) {
        struct node *node = worktree_node(tree, at);
        node->flags &= (uint16_t)~N_FRESH;
        if (at == id)
            node->flags |= N_MARKED;
        struct dir *parent = worktree_node(tree, node->parent)->dir;
        if (parent)
            parent->must_read = true;
    }
}

static void take(struct worktree *tree, const struct hash_item *item)
{
    tree->linked |= item->linked;
    struct node *node = worktree_node(tree, item->node);
    if (node->kind == NODE_FREE || node->serial != item->serial)
        return;
    node->flags &= (uint16_t)~N_QUEUED;
    if (node->kind != NODE_FILE)
        return;
    bool as_seen =
        item->errnum == 0 && (node->flags & N_FRESH) && same_content(&node->stamp, &item->stamp);
    node->misses = as_seen ? 0 : (uint8_t)(node->misses + 1);
    if (node->misses > MAX_MISSES) {
        node->misses = 0;
        node->errnum = EBUSY;
        return;
    }
    if (item->errnum == ENOENT) {
        doubt(tree, item->node);
        return;
    }
    if (item->errnum) {
        node->errnum = item->errnum;
        worktree_note_trouble(tree, item->node, item->errnum);
        return;
    }
    tree->counts.hashed_files++;
    tree->counts.hashed_bytes += item->digest.size;
    tree->cache_stale = true;
    node->recorded_ns = item->recorded_ns;
    if (item->recorded_ns == NEVER_SETTLED)
        vec_push(&tree->unsure, item->node);
    node->digest = item->digest;
    node->flags |= N_STAT | N_DIGEST;
    if (tree->git)
        worktree_git_learn(tree, node, item->node);
    if (!as_seen) {
        node->stamp = item->stamp;
        doubt(tree, item->node); /* which of the two is newer, a stat tells */
    }
}

void worktree_batch_done(struct worktree *tree, struct worktree_batch *batch)
{
    if (!batch)
        return;
    vec_each (struct hash_item, item, &batch->items)
        take(tree, item);
    vec_each (struct look_item, look, &batch->looks)
        worktree_look_done(tree, look);
    worktree_top_drop(batch->top);
    vec_release(&batch->items);
    vec_release(&batch->looks);
    arena_release(&batch->arena);
    free(batch);
}
