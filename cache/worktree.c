/*
 * Making and freeing, and views.
 */
#include "cache/worktree_private.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Those that the system's headers may lack. */
#ifndef BCACHEFS_MAGIC
#define BCACHEFS_MAGIC 0xca451a4eUL
#endif
#ifndef ZFS_MAGIC
#define ZFS_MAGIC 0x2fc12fc1UL
#endif

/* Raise it when what a view takes, or how it is written, changes. */
#define MEMO_VERSION UINT64_C(1)

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

/* Filesystems of which it is known that a directory's times change whenever a name in it comes or
 * goes, and that tell the same times to everyone at once. */
static bool keeps_times(int fd)
{
    static const unsigned long known[] = {
        EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
        OVERLAYFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, ZFS_MAGIC,         BCACHEFS_MAGIC};
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if ((unsigned long)fs.f_type == known[i])
            return true;
    return false;
}

/* All that the digest of a directory depends on besides its entries and ignore rules. */
static void prepare_memos(struct worktree *tree, const struct worktree_options *options)
{
    struct stat st;
    uint64_t version = MEMO_VERSION;
    tree->memo_print = ignore_mix(0, &version, sizeof(version));
    for (size_t i = 0; i < options->n_outputs; i++)
        tree->memo_print =
            ignore_mix(tree->memo_print, options->outputs[i], strlen(options->outputs[i]));
    tree->keeps_times = !tree->git && keeps_times(tree->top->fd) && fstat(tree->top->fd, &st) == 0;
    tree->root_dev = tree->keeps_times ? st.st_dev : 0;
    for (uint32_t i = 0; i < statcache_n_views(tree->cache); i++) {
        size_t n;
        const void *key = statcache_view(tree->cache, i, &n);
        map_put(&tree->stored_views, key, n, (void *)((uintptr_t)i + 1), NULL);
    }
    trees_ask(tree->trees, tree->git ? worktree_git_make_message : worktree_make_message, tree);
}

struct worktree_top *worktree_top_new(int fd)
{
    struct worktree_top *top = mem_zalloc(1, sizeof(*top));
    top->fd = fd;
    top->holders = 1;
    return top;
}

void worktree_top_drop(struct worktree_top *top)
{
    if (--top->holders > 0)
        return;
    close(top->fd);
    free(top);
}

int worktree_new(const struct worktree_options *options, struct worktree **out, struct err *err)
{
    int fd = open(options->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot open the project's folder %s", options->root);
    struct worktree *tree = mem_zalloc(1, sizeof(*tree));
    tree->root = mem_strdup(options->root);
    tree->git = options->git;
    tree->stat_path = options->stat_path && !options->git ? mem_strdup(options->stat_path) : NULL;
    tree->top = worktree_top_new(fd);
    tree->trees = options->trees;
    tree->dir_opened = options->dir_opened;
    tree->dir_closed = options->dir_closed;
    tree->files_queued = options->files_queued;
    tree->ctx = options->ctx;
    for (size_t i = 0; i < options->n_outputs; i++)
        add_output(tree, options->outputs[i]);
    tree->cache =
        tree->git ? NULL : worktree_ahead_take(options->stat_ahead, tree->stat_path, tree->root);
    if (tree->cache)
        tree->ahead = options->stat_ahead;
    else
        tree->cache = statcache_load(tree->stat_path, tree->root);
    prepare_memos(tree, options);
    worktree_node_add(tree, WORKTREE_NONE, "", 0, NODE_DIR);
    *out = tree;
    return 0;
}

static void release_view(struct view *view)
{
    buf_release(&view->key);
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
    worktree_ahead_stop(tree->ahead);
    tree->dir_closed = NULL; /* who frees the tree knows */
    trees_ask_no_more(tree->trees, tree);
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
    vec_release(&tree->looks);
    vec_release(&tree->recalled);
    vec_release(&tree->git_ids);
    map_release(&tree->recalled_by);
    map_release(&tree->stored_views);
    vec_release(&tree->unsure);
    ignore_free(tree->ignore);
    statcache_free(tree->cache);
    buf_release(&tree->path);
    buf_release(&tree->mark_path);
    worktree_top_drop(tree->top);
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
            void **stored = map_get(&tree->stored_views, key.data, key.len);
            view.stored = stored ? (uint32_t)((uintptr_t)*stored - 1) : WORKTREE_NONE;
            buf_add(&view.key, key.data, key.len);
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

void worktree_keep_trees(const struct worktree *tree)
{
    for (uint32_t id = 0; id < tree->n_nodes; id++) {
        const struct dir *dir = worktree_node(tree, id)->dir;
        if (!dir)
            continue;
        for (int i = 0; i < FLAVOURS; i++)
            if (dir->whole[i].composed)
                trees_keep(tree->trees, &dir->whole[i].digest);
        vec_each (struct consumer, c, &dir->consumers)
            if (c->memo.composed)
                trees_keep(tree->trees, &c->memo.digest);
    }
}
