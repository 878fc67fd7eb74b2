/*
 * From nodes into the stat cache. What was not visited, and what is asleep, is taken over from the
 * last one; memos only where nothing below was written anew, as they rest on the memos below.
 */
#include "cache/worktree_private.h"

#include <stdlib.h>
#include <string.h>

struct saving {
    struct worktree *tree;
    struct statcache_writer *writer;
    uint32_t *view_of; /* number in the old stat cache -> in the new one, or WORKTREE_NONE */
    VEC(struct statcache_memo) memos;
    struct buf path;
};

static enum statcache_kind kind_of(uint8_t kind)
{
    switch (kind) {
    case NODE_FILE: return STATCACHE_FILE;
    case NODE_DIR: return STATCACHE_DIR;
    case NODE_LINK: return STATCACHE_LINK;
    case NODE_OTHER: return STATCACHE_OTHER;
    default: return STATCACHE_UNKNOWN;
    }
}

static struct statcache_entry describe(const struct worktree *tree, const struct dir *dir,
                                       const struct node *node)
{
    struct statcache_entry entry = {.flags = 0};
    if (node->record != WORKTREE_NONE) {
        statcache_get(tree->cache, node->record, &entry);
        /* Verdicts of other rules, or of a directory where none were asked for, are worth nothing
         * now. */
        bool same = dir->has_print ? dir->record.rules == dir->rules_print : true;
        if (!same || ((entry.flags & STATCACHE_BY_INDEX) && dir->record.index != tree->index_print))
            entry.flags &= STATCACHE_STAMPED;
        if (kind_of(node->kind) != entry.kind)
            entry.flags &= ~(uint32_t)STATCACHE_STAMPED;
    }
    entry.name = node->name;
    entry.len = node->name_len;
    entry.kind = kind_of(node->kind);
    if ((node->flags & N_DIGEST) && (node->flags & N_STAT)) {
        entry.flags |= STATCACHE_DIGEST;
        entry.stamp = node->stamp;
        entry.recorded_ns = node->recorded_ns;
        entry.digest = node->digest;
    } else if (node->kind == NODE_LINK && (node->flags & N_STAT) && node->target) {
        entry.flags |= STATCACHE_TARGET;
        entry.stamp = node->stamp;
        entry.recorded_ns = node->recorded_ns;
        entry.target = node->target;
    }
    if (dir->has_print && (node->flags & N_VERDICT)) {
        entry.flags &= STATCACHE_STAMPED;
        entry.flags |= STATCACHE_VERDICT;
        entry.flags |= node->flags & N_IGNORED ? (uint32_t)STATCACHE_IGNORED : 0;
        entry.flags |= node->flags & N_TRACKED ? (uint32_t)STATCACHE_TRACKED : 0;
        entry.flags |= node->flags & N_BY_INDEX ? (uint32_t)STATCACHE_BY_INDEX : 0;
        entry.directory = node->kind == NODE_DIR;
    }
    return entry;
}

static void add_memo(struct saving *saving, const struct memo *memo, uint32_t view,
                     enum flavour flavour)
{
    if (memo->ready && memo->composed)
        vec_push(&saving->memos, (struct statcache_memo){view, flavour, memo->digest});
}

/* The memos that hold now. */
static void add_live(struct saving *saving, const struct dir *dir)
{
    vec_each (const struct consumer, c, &dir->consumers)
        if (!c->whole)
            add_memo(saving, &c->memo, c->view, c->flavour);
    for (int i = 0; i < FLAVOURS; i++)
        add_memo(saving, &dir->whole[i], STATCACHE_WHOLE, (enum flavour)i);
}

/* Those of the record; views that are none any more are forgotten. */
static void add_recorded(struct saving *saving, const struct statcache_dir *record)
{
    const struct worktree *tree = saving->tree;
    if (statcache_memo_print(tree->cache) != tree->memo_print)
        return;
    for (uint32_t i = record->first_memo; i < record->first_memo + record->n_memos; i++) {
        struct statcache_memo memo;
        statcache_memo(tree->cache, i, &memo);
        bool whole = memo.view == STATCACHE_WHOLE;
        memo.view = whole ? STATCACHE_WHOLE : saving->view_of[memo.view];
        if (whole || memo.view != WORKTREE_NONE)
            vec_push(&saving->memos, memo);
    }
}

static int by_scope(const void *a, const void *b)
{
    const struct statcache_memo *x = a, *y = b;
    if (x->view != y->view)
        return x->view < y->view ? -1 : 1;
    return (x->flavour > y->flavour) - (x->flavour < y->flavour);
}

static void write_memos(struct saving *saving)
{
    if (saving->memos.n > 1)
        qsort(saving->memos.v, saving->memos.n, sizeof(*saving->memos.v), by_scope);
    for (size_t i = 0; i < saving->memos.n; i++)
        if (i == 0 || by_scope(&saving->memos.v[i - 1], &saving->memos.v[i]) != 0)
            statcache_writer_memo(saving->writer, &saving->memos.v[i]);
    vec_clear(&saving->memos);
}

/* As it was. */
static void copy_record(struct saving *saving, const struct statcache_dir *record)
{
    statcache_writer_dir(saving->writer, record);
    for (uint32_t i = 0; i < record->n; i++) {
        struct statcache_entry entry;
        statcache_get(saving->tree->cache, record->first + i, &entry);
        statcache_writer_add(saving->writer, &entry);
    }
}

static void write_awake(struct saving *saving, const struct dir *dir)
{
    const struct worktree *tree = saving->tree;
    bool names = dir->was_read && !dir->must_read && !dir->errnum;
    for (size_t i = 0; i < dir->n_children && names; i++)
        names = worktree_node(tree, dir->children[i])->kind != NODE_UNKNOWN;
    worktree_path(tree, dir->node, &saving->path);
    struct statcache_dir record = {
        .path = buf_str(&saving->path),
        .len = saving->path.len,
        .rules = dir->has_print ? dir->rules_print : dir->record.rules,
        .index = tree->index_print,
        .names = names,
        .stamp = dir->stamp,
        .read_ns = dir->read_ns,
    };
    statcache_writer_dir(saving->writer, &record);
    for (size_t i = 0; i < dir->n_children; i++) {
        struct statcache_entry entry = describe(tree, dir, worktree_node(tree, dir->children[i]));
        if (entry.flags || names)
            statcache_writer_add(saving->writer, &entry);
    }
    if (names)
        add_live(saving, dir);
}

/* Writes the directory and all below that was visited; whether all of it is as the last stat cache
 * has it. */
static bool write_visited(struct saving *saving, uint32_t id)
{
    const struct dir *dir = worktree_node(saving->tree, id)->dir;
    if (!dir || !dir->opened)
        return true;
    bool intact = dir->state != DIR_AWAKE;
    for (size_t i = 0; i < dir->n_children; i++)
        intact &= write_visited(saving, dir->children[i]);
    if (dir->state == DIR_AWAKE) {
        write_awake(saving, dir);
    } else {
        copy_record(saving, &dir->record);
        add_live(saving, dir);
        if (intact)
            add_recorded(saving, &dir->record);
    }
    write_memos(saving);
    return intact;
}

/* Whether an old record is still worth keeping: its directory was not visited, and may be there. */
static bool may_stand(const struct worktree *tree, const char *path)
{
    char name[256];
    uint32_t id = 0;
    for (;;) {
        const struct node *node = worktree_node(tree, id);
        if (node->kind != NODE_DIR)
            return false;
        if (!node->dir || !node->dir->opened)
            return true;
        if (!*path)
            return false; /* visited: written from the nodes */
        size_t n = strcspn(path, "/");
        if (n >= sizeof(name))
            return false;
        memcpy(name, path, n);
        name[n] = '\0';
        id = worktree_child(tree, node->dir, name, NULL);
        if (id == WORKTREE_NONE)
            return false;
        path += n;
        path += *path == '/';
    }
}

static void write_unvisited(struct saving *saving)
{
    for (uint32_t i = 0; i < statcache_n_dirs(saving->tree->cache); i++) {
        struct statcache_dir dir;
        statcache_dir(saving->tree->cache, i, &dir);
        if (!may_stand(saving->tree, dir.path))
            continue;
        copy_record(saving, &dir);
        add_recorded(saving, &dir);
        write_memos(saving);
    }
}

static void write_views(struct saving *saving)
{
    const struct worktree *tree = saving->tree;
    uint32_t n = statcache_n_views(tree->cache);
    saving->view_of = mem_alloc((n + (size_t)1) * sizeof(*saving->view_of));
    memset(saving->view_of, 0xff, n * sizeof(*saving->view_of));
    statcache_writer_memo_print(saving->writer, tree->memo_print);
    for (uint32_t i = 0; i < tree->views.n; i++) {
        const struct view *view = &tree->views.v[i];
        statcache_writer_view(saving->writer, view->key.data, view->key.len);
        if (view->stored != WORKTREE_NONE)
            saving->view_of[view->stored] = i;
    }
}

int worktree_save(struct worktree *tree, struct err *err)
{
    if (!tree->stat_path || !tree->cache_stale || tree->rules_torn)
        return 0;
    struct saving saving = {.tree = tree, .writer = statcache_writer_new(tree->root)};
    struct buf memory = BUF_INIT;
    if (tree->ignore && ignore_remember(tree->ignore, &memory))
        statcache_writer_memory(saving.writer, buf_str(&memory), memory.len);
    buf_release(&memory);
    write_views(&saving);
    write_visited(&saving, 0);
    write_unvisited(&saving);
    int code = statcache_writer_save(saving.writer, tree->stat_path, err);
    statcache_writer_free(saving.writer);
    free(saving.view_of);
    vec_release(&saving.memos);
    buf_release(&saving.path);
    if (code == 0)
        tree->cache_stale = false;
    return code;
}
