/*
 * From the disk into nodes. A directory is opened below the root without following any link, the
 * hook that puts a watch on it having been called; entries are stat'ed relative to it. What is
 * found again keeps its node, so that digests survive.
 */
#include "cache/beneath.h"
#include "cache/worktree_private.h"

#include "base/text.h"
#include "cache/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void worktree_reader_close(struct reader *reader)
{
    if (reader->stream)
        closedir(reader->stream);
    else if (reader->fd >= 0)
        close(reader->fd);
    *reader = (struct reader){NULL, -1};
}

int worktree_reader_open(struct worktree *tree, struct dir *dir, struct reader *reader)
{
    if (reader->fd >= 0)
        return 0;
    struct err err = ERR_INIT;
    int errnum = 0;
    if (beneath_open(tree->top->fd, buf_str(&tree->path), false, &reader->fd, &err) != 0)
        errnum = err.kind == ERR_SYSTEM && err.errnum ? err.errnum : ENOENT;
    err_release(&err);
    struct stat st;
    if (errnum == 0 && dir->must_read) {
        /* Taken before the names are read, so that what comes later differs from it. */
        dir->read_ns = (int64_t)clock_realtime_ns();
        if (fstat(reader->fd, &st) == 0)
            dir->stamp = stamp_of(&st);
        else
            errnum = errno;
    }
    if (errnum)
        worktree_reader_close(reader);
    return errnum;
}

static enum node_kind kind_of_type(unsigned char type)
{
    switch (type) {
    case DT_REG: return NODE_FILE;
    case DT_DIR: return NODE_DIR;
    case DT_LNK: return NODE_LINK;
    case DT_UNKNOWN: return NODE_UNKNOWN;
    default: return NODE_OTHER;
    }
}

static enum node_kind kind_of_mode(mode_t mode)
{
    if (S_ISREG(mode))
        return NODE_FILE;
    if (S_ISDIR(mode))
        return NODE_DIR;
    return S_ISLNK(mode) ? NODE_LINK : NODE_OTHER;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

/* The node may be of another kind, or another directory, than it was: what it knew is void. */
static void become(struct worktree *tree, uint32_t id, enum node_kind kind)
{
    struct node *node = worktree_node(tree, id);
    worktree_find_gone(tree, node);
    worktree_dir_drop(tree, id);
    if ((node->kind == NODE_DIR) != (kind == NODE_DIR))
        node->flags &= (uint16_t)~N_VERDICTS;
    tree->counts.files += (uint64_t)(kind == NODE_FILE);
    tree->counts.files -= (uint64_t)(node->kind == NODE_FILE);
    node->kind = (uint8_t)kind;
    node->flags &= (uint16_t) ~(N_STAT | N_FRESH | N_DIGEST);
    node->errnum = 0;
    free(node->target);
    node->target = NULL;
}

/* Both lists are sorted: entries of the stat cache are found by going along. */
static void join_records(struct worktree *tree, struct dir *dir)
{
    if (!dir->has_record)
        return;
    uint32_t at = dir->record.first, end = dir->record.first + dir->record.n;
    for (size_t i = 0; i < dir->n_children; i++) {
        struct node *node = worktree_node(tree, dir->children[i]);
        size_t len;
        int order = -1;
        while (at < end && (order = strcmp(statcache_name(tree->cache, at, &len), node->name)) < 0)
            at++;
        node->record = at < end && order == 0 ? at : WORKTREE_NONE;
    }
}

void worktree_flag_outputs(struct worktree *tree, struct dir *dir, const char *path)
{
    const struct output_names *outputs =
        tree->outputs_in.count ? map_get_str(&tree->outputs_in, path) : NULL;
    for (size_t i = 0; outputs && i < outputs->names.n; i++) {
        uint32_t child = worktree_child(tree, dir, outputs->names.v[i], NULL);
        if (child != WORKTREE_NONE)
            worktree_node(tree, child)->flags |= N_OUTPUT;
    }
}

/* The node is gone from the disk. */
static void forget(struct worktree *tree, uint32_t id)
{
    worktree_find_gone(tree, worktree_node(tree, id));
    worktree_node_drop(tree, id);
}

void worktree_merge(struct worktree *tree, struct dir *dir, struct found *found, size_t n)
{
    if (n)
        qsort(found, n, sizeof(*found), by_name);
    uint32_t *children = mem_alloc((n ? n : 1) * sizeof(*children));
    size_t old = 0;
    bool changed = false;
    for (size_t i = 0; i < n; i++) {
        int order = 1;
        while (old < dir->n_children &&
               (order = strcmp(worktree_node(tree, dir->children[old])->name, found[i].name)) < 0) {
            forget(tree, dir->children[old++]);
            changed = true;
        }
        if (old < dir->n_children && order == 0) {
            children[i] = dir->children[old++];
            struct node *node = worktree_node(tree, children[i]);
            if (found[i].kind != NODE_UNKNOWN && found[i].kind != node->kind) {
                become(tree, children[i], found[i].kind);
                changed = true;
            }
            continue;
        }
        children[i] =
            worktree_node_add(tree, dir->node, found[i].name, found[i].len, found[i].kind);
        tree->counts.files += (uint64_t)(found[i].kind == NODE_FILE);
        changed = true;
    }
    for (; old < dir->n_children; old++) {
        forget(tree, dir->children[old]);
        changed = true;
    }
    free(dir->children);
    dir->children = children;
    dir->n_children = n;
    dir->cap_children = n;
    if (changed && dir->was_read)
        worktree_unsettle(tree, dir->node);
    dir->was_read = true;
}

/* Whether the stat cache would tell the names as well the next time. */
static bool is_recorded(const struct worktree *tree, const struct dir *dir)
{
    const struct statcache_dir *record = &dir->record;
    if (!dir->has_record)
        return false;
    if (!tree->keeps_times || !stamp_settled(&dir->stamp, dir->read_ns))
        return true; /* as little as now */
    return record->names && stamp_eq(&record->stamp, &dir->stamp) &&
           stamp_settled(&record->stamp, record->read_ns);
}

/* Whether the directory at tree->path lies so deep that nothing could be made of its digest. */
static bool is_too_deep(const struct worktree *tree)
{
    size_t depth = 1;
    if (tree->path.len < (size_t)2 * TREE_DEPTH_MAX)
        return false;
    for (const char *at = buf_str(&tree->path); (at = strchr(at, '/')); at++)
        depth++;
    return depth > TREE_DEPTH_MAX;
}

int worktree_read_names(struct worktree *tree, struct dir *dir, struct reader *reader)
{
    if (!dir->must_read)
        return dir->errnum;
    if (is_too_deep(tree))
        return dir->errnum = ERRNUM_TOO_DEEP;
    if (tree->git)
        return worktree_git_read(tree, dir);
    if ((!dir->opened || dir->reopen) && tree->dir_opened)
        tree->dir_opened(tree->ctx, dir->node, buf_str(&tree->path));
    dir->opened = true;
    dir->reopen = false;
    if (worktree_assume(tree, dir))
        return 0;
    worktree_reader_close(reader);
    dir->errnum = worktree_reader_open(tree, dir, reader);
    if (dir->errnum == 0 && !(reader->stream = fdopendir(reader->fd)))
        dir->errnum = errno;
    struct arena names = ARENA_INIT;
    VEC(struct found) found = VEC_INIT;
    for (struct dirent *entry; dir->errnum == 0;) {
        errno = 0;
        entry = readdir(reader->stream);
        if (!entry) {
            dir->errnum = errno;
            break;
        }
        const char *name = entry->d_name;
        if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
            continue;
        size_t len = strlen(name);
        if (len > UINT8_MAX) { /* some file systems of FUSE have them; a node has no room */
            dir->errnum = ENAMETOOLONG;
            break;
        }
        vec_push(&found, (struct found){arena_strndup(&names, name, len), len,
                                        kind_of_type(entry->d_type)});
    }
    if (dir->errnum == 0) {
        worktree_merge(tree, dir, found.v, found.n);
        if (!dir->has_record)
            dir->has_record =
                statcache_find(tree->cache, buf_str(&tree->path), tree->path.len, &dir->record);
        tree->cache_stale |= !is_recorded(tree, dir);
        join_records(tree, dir);
        worktree_flag_outputs(tree, dir, buf_str(&tree->path));
        dir->must_read = false;
    }
    vec_release(&found);
    arena_release(&names);
    worktree_note_trouble(tree, dir->node, dir->errnum);
    return dir->errnum;
}

static void recall_digest(struct worktree *tree, struct node *node)
{
    struct statcache_entry entry;
    if (node->record == WORKTREE_NONE)
        return;
    statcache_get(tree->cache, node->record, &entry);
    if (!(entry.flags & STATCACHE_DIGEST) || !stamp_eq(&entry.stamp, &node->stamp) ||
        !stamp_settled(&entry.stamp, entry.recorded_ns))
        return;
    node->digest = entry.digest;
    node->recorded_ns = entry.recorded_ns;
    node->flags |= N_DIGEST;
}

/* The whole subtree is read again, and the hooks called again: it may have been moved away and
 * back, unseen meanwhile. */
static void reopen_below(struct worktree *tree, struct dir *dir)
{
    if (dir->opened && tree->dir_closed)
        tree->dir_closed(tree->ctx, dir->node);
    dir->opened = false;
    dir->must_read = true;
    worktree_doubt_sleeper(tree, dir);
    for (int i = 0; i < FLAVOURS; i++)
        dir->whole[i].ready = dir->whole[i].composed = false;
    vec_each (struct consumer, c, &dir->consumers)
        c->memo.ready = c->memo.composed = false;
    for (size_t i = 0; i < dir->n_children; i++) {
        struct node *node = worktree_node(tree, dir->children[i]);
        if (node->dir)
            reopen_below(tree, node->dir);
        node->flags &= (uint16_t)~N_FRESH;
    }
}

static int read_target(struct node *node, int dirfd)
{
    char target[4096];
    ssize_t n = readlinkat(dirfd, node->name, target, sizeof(target));
    if (n < 0)
        return errno;
    if ((size_t)n == sizeof(target))
        return ENAMETOOLONG; /* Linux has none that long */
    free(node->target);
    node->target = mem_strndup(target, (size_t)n);
    return 0;
}

static void take_file(struct worktree *tree, struct node *node, const struct stamp *stamp)
{
    bool same = (node->flags & N_STAT) && stamp_eq(stamp, &node->stamp);
    node->stamp = *stamp;
    if (!(node->flags & N_DIGEST)) {
        recall_digest(tree, node);
    } else if (!same || !stamp_settled(stamp, node->recorded_ns)) {
        node->flags &= (uint16_t)~N_DIGEST;
        recall_digest(tree, node);
        worktree_unsettle(tree, node->parent);
    }
}

int worktree_stat_child(struct worktree *tree, struct dir *dir, struct node *node,
                        struct reader *reader)
{
    struct stat st;
    int64_t begun = node->kind == NODE_FILE ? 0 : (int64_t)clock_realtime_ns();
    int errnum = worktree_reader_open(tree, dir, reader);
    if (errnum == 0 && fstatat(reader->fd, node->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        errnum = errno;
    tree->counts.stats++;
    if (errnum == ENOENT)
        return ENOENT;
    bool marked = node->flags & N_MARKED;
    node->errnum = errnum;
    node->flags &= (uint16_t)~N_MARKED;
    node->flags |= N_FRESH;
    if (errnum) {
        worktree_note_trouble(tree, worktree_child(tree, dir, node->name, NULL), errnum);
        return errnum;
    }
    enum node_kind kind = kind_of_mode(st.st_mode);
    struct stamp stamp = stamp_of(&st);
    bool known = node->flags & N_STAT;
    if (node->kind != kind ||
        (node->dir && (node->dir->stamp.ino != stamp.ino || node->dir->stamp.dev != stamp.dev))) {
        uint32_t id = worktree_child(tree, dir, node->name, NULL);
        become(tree, id, kind);
        worktree_unsettle(tree, dir->node);
    } else if (known && !stamp_eq(&stamp, &node->stamp)) {
        worktree_unsettle(tree, dir->node);
    }
    if (kind == NODE_FILE) {
        tree->linked |= st.st_nlink > 1;
        take_file(tree, node, &stamp);
    } else {
        if (kind == NODE_DIR && node->dir && marked) {
            reopen_below(tree, node->dir);
            worktree_unsettle(tree, dir->node);
        }
        node->stamp = stamp;
        node->recorded_ns = begun;
        if (kind == NODE_LINK)
            node->errnum = read_target(node, reader->fd);
        if (node->errnum == ENOENT || node->errnum == EINVAL)
            return node->errnum = 0, ENOENT; /* replaced just now: what follows tells */
    }
    node->flags |= N_STAT | N_FRESH;
    return 0;
}

void worktree_remove_child(struct worktree *tree, struct dir *dir, uint32_t child)
{
    size_t at;
    if (worktree_child(tree, dir, worktree_node(tree, child)->name, &at) != child)
        return;
    memmove(&dir->children[at], &dir->children[at + 1],
            (dir->n_children - at - 1) * sizeof(*dir->children));
    dir->n_children--;
    forget(tree, child);
    worktree_unsettle(tree, dir->node);
}
