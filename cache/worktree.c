/*
 * Making and freeing, views, and the way from nodes into the stat cache.
 */
#include "cache/worktree_private.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_output(struct worktree *tree, const char *path)
{
    size_t len = strlen(path);
    map_put(&tree->output_paths, path, len, (void *)(uintptr_t)OUTPUT_ITSELF, NULL);
    while (len > 0) {
        if (path[--len] == '/' && !map_get(&tree->output_paths, path, len))
            map_put(&tree->output_paths, path, len, (void *)(uintptr_t)OUTPUT_ABOVE, NULL);
    }
    const char *slash = strrchr(path, '/');
    len = slash ? (size_t)(slash - path) : 0;
    void **known = map_get(&tree->outputs_in, path, len);
    struct output_names *names = known ? *known : mem_zalloc(1, sizeof(*names));
    if (!known)
        map_put(&tree->outputs_in, path, len, names, NULL);
    vec_push(&names->names, arena_strdup(&tree->names, slash ? slash + 1 : path));
}

int worktree_new(const struct worktree_options *options, struct worktree **out, struct err *err)
{
    int fd = open(options->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot open the project's folder %s", options->root);
    struct worktree *tree = mem_zalloc(1, sizeof(*tree));
    tree->root = mem_strdup(options->root);
    tree->stat_path = options->stat_path ? mem_strdup(options->stat_path) : NULL;
    tree->root_fd = fd;
    tree->trees = options->trees;
    tree->dir_opened = options->dir_opened;
    tree->dir_closed = options->dir_closed;
    tree->ctx = options->ctx;
    for (size_t i = 0; i < options->n_outputs; i++)
        add_output(tree, options->outputs[i]);
    tree->cache = statcache_load(tree->stat_path, tree->root);
    worktree_node_add(tree, WORKTREE_NONE, "", 0, NODE_DIR);
    *out = tree;
    return 0;
}

static void release_view(struct view *view)
{
    glob_set_free(view->set);
    for (size_t i = 0; i < view->n_literals; i++)
        free(view->literals[i]);
    free(view->literals);
    free(view->literal_index);
}

void worktree_free(struct worktree *tree)
{
    if (!tree)
        return;
    tree->dir_closed = NULL; /* who frees the tree knows */
    worktree_dir_drop(tree, 0);
    for (uint32_t id = 0; id < tree->n_nodes; id++)
        free(worktree_node(tree, id)->target);
    for (size_t i = 0; i < tree->n_chunks; i++)
        free(tree->chunks[i]);
    free(tree->chunks);
    vec_release(&tree->free_nodes);
    arena_release(&tree->names);
    map_each (entry, &tree->outputs_in) {
        struct output_names *names = entry->value;
        vec_release(&names->names);
        free(names);
    }
    map_release(&tree->outputs_in);
    map_release(&tree->output_paths);
    vec_each (struct view, view, &tree->views)
        release_view(view);
    vec_release(&tree->views);
    map_release(&tree->view_ids);
    vec_release(&tree->dirty);
    vec_release(&tree->taken);
    map_release(&tree->changed);
    vec_release(&tree->queue);
    ignore_free(tree->ignore);
    statcache_free(tree->cache);
    buf_release(&tree->path);
    buf_release(&tree->mark_path);
    close(tree->root_fd);
    free(tree->stat_path);
    free(tree->root);
    free(tree);
}

static int compile_view(struct view *view, const char *const *patterns, size_t n, size_t *bad,
                        struct err *err)
{
    view->literals = mem_zalloc(n + 1, sizeof(*view->literals));
    view->literal_index = mem_zalloc(n + 1, sizeof(*view->literal_index));
    bool inputs = view->kind == WORKTREE_INPUTS;
    if (inputs && glob_set_new(patterns, n, &view->set, bad, err) != 0)
        return -(int)ERR_CONFIG;
    for (size_t i = 0; i < n; i++) {
        if (inputs && (patterns[i][0] == '!' || glob_is_wild(patterns[i])))
            continue;
        char *path = path_normalize(patterns[i]);
        if (!path) {
            *bad = i;
            return err_set(err, ERR_CONFIG,
                           "\"%s\" leads out of the project; name a path inside it", patterns[i]);
        }
        view->literals[view->n_literals] = path;
        view->literal_index[view->n_literals++] = i;
    }
    return 0;
}

int worktree_view(struct worktree *tree, enum worktree_view_kind kind, const char *const *patterns,
                  size_t n, uint32_t *id, size_t *bad, struct err *err)
{
    size_t unused;
    bad = bad ? bad : &unused;
    *bad = SIZE_MAX;
    struct buf key = BUF_INIT;
    buf_addc(&key, kind == WORKTREE_INPUTS ? 'i' : 'o');
    for (size_t i = 0; i < n; i++)
        buf_add(&key, patterns[i], strlen(patterns[i]) + 1);
    void **known = map_get(&tree->view_ids, key.data, key.len);
    int code = 0;
    if (known) {
        *id = (uint32_t)((uintptr_t)*known - 1);
    } else {
        struct view view = {.kind = kind};
        code = compile_view(&view, patterns, n, bad, err);
        if (code == 0) {
            *id = (uint32_t)tree->views.n;
            vec_push(&tree->views, view);
            map_put(&tree->view_ids, key.data, key.len, (void *)((uintptr_t)*id + 1), NULL);
        } else {
            release_view(&view);
        }
    }
    buf_release(&key);
    return code;
}

struct worktree_counts worktree_counts(const struct worktree *tree)
{
    return tree->counts;
}

/* --- into the stat cache --- */

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
            entry.flags &= STATCACHE_DIGEST;
    }
    entry.name = node->name;
    entry.len = node->name_len;
    if ((node->flags & N_DIGEST) && (node->flags & N_STAT)) {
        entry.flags |= STATCACHE_DIGEST;
        entry.stamp = node->stamp;
        entry.recorded_ns = node->recorded_ns;
        entry.digest = node->digest;
    }
    if (dir->has_print && (node->flags & N_VERDICT)) {
        entry.flags &= STATCACHE_DIGEST;
        entry.flags |= STATCACHE_VERDICT;
        entry.flags |= node->flags & N_IGNORED ? (uint32_t)STATCACHE_IGNORED : 0;
        entry.flags |= node->flags & N_TRACKED ? (uint32_t)STATCACHE_TRACKED : 0;
        entry.flags |= node->flags & N_BY_INDEX ? (uint32_t)STATCACHE_BY_INDEX : 0;
        entry.directory = node->kind == NODE_DIR;
    }
    return entry;
}

static void save_dirs(struct worktree *tree, struct statcache_writer *writer)
{
    struct buf path = BUF_INIT;
    for (uint32_t id = 0; id < tree->n_nodes; id++) {
        const struct node *node = worktree_node(tree, id);
        const struct dir *dir = node->kind == NODE_DIR ? node->dir : NULL;
        if (!dir || !dir->opened)
            continue;
        worktree_path(tree, id, &path);
        struct statcache_dir record = {
            .path = buf_str(&path),
            .len = path.len,
            .rules = dir->has_print ? dir->rules_print : dir->record.rules,
            .index = tree->index_print,
        };
        statcache_writer_dir(writer, &record);
        for (size_t i = 0; i < dir->n_children; i++) {
            struct statcache_entry entry =
                describe(tree, dir, worktree_node(tree, dir->children[i]));
            if (entry.flags)
                statcache_writer_add(writer, &entry);
        }
    }
    buf_release(&path);
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

static void save_unvisited(struct worktree *tree, struct statcache_writer *writer)
{
    for (uint32_t i = 0; i < statcache_n_dirs(tree->cache); i++) {
        struct statcache_dir dir;
        statcache_dir(tree->cache, i, &dir);
        if (!may_stand(tree, dir.path))
            continue;
        statcache_writer_dir(writer, &dir);
        for (uint32_t k = 0; k < dir.n; k++) {
            struct statcache_entry entry;
            statcache_get(tree->cache, dir.first + k, &entry);
            statcache_writer_add(writer, &entry);
        }
    }
}

int worktree_save(struct worktree *tree, struct err *err)
{
    if (!tree->stat_path || !tree->cache_stale)
        return 0;
    struct statcache_writer *writer = statcache_writer_new(tree->root);
    struct buf memory = BUF_INIT;
    if (tree->ignore && ignore_remember(tree->ignore, &memory))
        statcache_writer_memory(writer, buf_str(&memory), memory.len);
    buf_release(&memory);
    save_dirs(tree, writer);
    save_unvisited(tree, writer);
    int code = statcache_writer_save(writer, tree->stat_path, err);
    statcache_writer_free(writer);
    if (code == 0)
        tree->cache_stale = false;
    return code;
}
