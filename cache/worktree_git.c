/*
 * A tree of git in place of the folder. Its directories never change and all that is in them is
 * tracked, so every entry is a node with a verdict as soon as it is read, and a memo holds for
 * good: it is asked first, so that of a tree of which little is new little is read.
 */
#include "cache/worktree_private.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Raise it when what a view takes, or how it is written, changes. */
#define VIEW_VERSION 1

#define MAX_TRIES 4

/* --- directories --- */

/* A list of the declared outputs at and below the directory: what they leave out is not told by the
 * tree. */
static struct digest list_outputs(const struct worktree *tree, const char *path)
{
    struct buf list = BUF_INIT;
    size_t n = strlen(path);
    if (n == 0 || map_get(&tree->output_paths, path, n)) {
        map_each (entry, &tree->output_paths) {
            const char *output = entry->key;
            if ((enum output_path)(uintptr_t)entry->value == OUTPUT_ITSELF &&
                path_is_below(output, path))
                buf_add(&list, output + n, strlen(output + n) + 1);
        }
    }
    struct digest digest = digest_of(buf_str(&list), list.len);
    buf_release(&list);
    return digest;
}

static struct git_part *part_of(struct worktree *tree, struct dir *dir)
{
    if (dir->git)
        return dir->git;
    const struct node *node = worktree_node(tree, dir->node);
    struct git_part *part = mem_zalloc(1, sizeof(*part));
    if (dir->node == 0) {
        git_source_root(tree->git, &part->id, &part->above);
    } else {
        part->id = tree->git_ids.v[node->record];
        part->above = worktree_node(tree, node->parent)->dir->git->own;
    }
    part->outputs = list_outputs(tree, buf_str(&tree->path));
    return dir->git = part;
}

static enum node_kind kind_of(enum git_source_kind kind)
{
    static const enum node_kind kinds[] = {
        [GIT_FILE] = NODE_FILE, [GIT_LINK] = NODE_LINK, [GIT_DIR] = NODE_DIR};
    return kinds[kind];
}

static int errnum_of(const struct err *err)
{
    return err->errnum ? err->errnum : EIO;
}

static void take_entry(struct worktree *tree, struct dir *dir, const struct git_source_entry *entry)
{
    uint32_t child = worktree_child(tree, dir, entry->name, NULL);
    struct node *node = worktree_node(tree, child);
    node->record = (uint32_t)tree->git_ids.n;
    vec_push(&tree->git_ids, entry->id);
    node->stamp.mode = entry->executable ? S_IFREG | 0755 : S_IFREG | 0644;
    node->recorded_ns = 1;
    node->flags |= N_STAT | N_FRESH | N_VERDICT;
}

int worktree_git_read(struct worktree *tree, struct dir *dir)
{
    struct git_part *part = part_of(tree, dir);
    struct arena names = ARENA_INIT;
    struct git_source_entry *entries;
    struct err err = ERR_INIT;
    VEC(struct found) found = VEC_INIT;
    size_t n = 0;
    part->own = part->above;
    dir->errnum = 0;
    if (git_source_dir(tree->git, &part->id, buf_str(&tree->path), &part->own, &names, &entries, &n,
                       &err) != 0)
        dir->errnum = errnum_of(&err);
    for (size_t i = 0; i < n && dir->errnum == 0; i++) {
        if (entries[i].len > UINT8_MAX)
            dir->errnum = ENAMETOOLONG;
        vec_push(&found, (struct found){entries[i].name, entries[i].len, kind_of(entries[i].kind)});
    }
    if (dir->errnum == 0) {
        worktree_merge(tree, dir, found.v, found.n);
        for (size_t i = 0; i < n; i++)
            take_entry(tree, dir, &entries[i]);
        worktree_flag_outputs(tree, dir, buf_str(&tree->path));
        dir->must_read = false;
    }
    vec_release(&found);
    arena_release(&names);
    err_release(&err);
    return dir->errnum;
}

/* --- memos --- */

/* All that the digest of what the scope takes depends on; false when it is not kept. */
static bool name_memo(struct worktree *tree, const struct scope *scope, struct dir *dir,
                      struct buf *out)
{
    static const struct git_filters none;
    const struct git_part *part = part_of(tree, dir);
    if (scope->flavour == ALL || !*part->id.hex)
        return false;
    buf_addf(out, "view %d", VIEW_VERSION);
    buf_add(out, part->id.hex, strlen(part->id.hex) + 1);
    buf_add(out, part->above.print, sizeof(part->above.print));
    buf_add(out, part->outputs.hash, sizeof(part->outputs.hash));
    if (scope->view || memcmp(&part->above, &none, sizeof(none)) != 0)
        buf_add(out, buf_str(&tree->path), tree->path.len + 1);
    if (scope->view)
        buf_add(out, scope->view->key.data, scope->view->key.len);
    return true;
}

bool worktree_git_recall(struct worktree *tree, const struct scope *scope, struct dir *dir)
{
    struct buf name = BUF_INIT;
    struct digest digest;
    bool known = !part_of(tree, dir)->no_memos && name_memo(tree, scope, dir, &name) &&
                 git_source_recall(tree->git, &name, &digest);
    buf_release(&name);
    if (!known)
        return false;
    struct memo *memo = worktree_memo(dir, scope);
    *memo = (struct memo){.ready = true,
                          .composed = true,
                          .any = digest.size > 0,
                          .recalled = true,
                          .digest = digest};
    if (!map_get(&tree->recalled_by, digest.hash, DIGEST_BYTES)) {
        vec_push(&tree->recalled, (struct recalled){dir->node, scope->flavour,
                                                    scope->view ? scope->view_id : WORKTREE_NONE});
        map_put(&tree->recalled_by, digest.hash, DIGEST_BYTES, (void *)(uintptr_t)tree->recalled.n,
                NULL);
    }
    return true;
}

void worktree_git_note(struct worktree *tree, const struct scope *scope, struct dir *dir,
                       const struct digest *digest)
{
    struct buf name = BUF_INIT;
    if (name_memo(tree, scope, dir, &name))
        git_source_note(tree->git, &name, digest);
    buf_release(&name);
}

void worktree_git_make_message(void *ctx, const struct digest *digest)
{
    struct worktree *tree = ctx;
    void **known = map_get(&tree->recalled_by, digest->hash, DIGEST_BYTES);
    if (!known)
        return;
    const struct recalled *recalled = &tree->recalled.v[(uintptr_t)*known - 1];
    uint32_t id = recalled->dir;
    struct scope scope = {recalled->view == WORKTREE_NONE ? NULL : &tree->views.v[recalled->view],
                          recalled->view, recalled->flavour};
    struct dir *dir = worktree_node(tree, id)->dir;
    struct digest made;
    bool any;
    struct buf before = tree->path;
    tree->path = (struct buf)BUF_INIT;
    worktree_path(tree, id, &tree->path);
    dir->git->no_memos = true;
    worktree_memo(dir, &scope)->ready = worktree_memo(dir, &scope)->composed = false;
    enum worktree_answer answer = WORKTREE_PENDING;
    for (int tries = 0; tries < MAX_TRIES && answer == WORKTREE_PENDING; tries++) {
        if (worktree_gather(tree, &scope, id) != 0)
            break;
        /* The digests of files are known mostly: they were needed for this one. */
        for (struct worktree_batch *batch; (batch = worktree_next_files(tree));) {
            worktree_batch_work(batch);
            worktree_batch_done(tree, batch);
        }
        answer = worktree_compose(tree, &scope, id, &made, &any, NULL);
    }
    buf_release(&tree->path);
    tree->path = before;
}

/* --- files --- */

static const struct git_part *part_above(const struct worktree *tree, const struct node *node)
{
    return worktree_node(tree, node->parent)->dir->git;
}

void worktree_git_know(struct worktree *tree, struct node *node, uint32_t id)
{
    const struct git_id *object = &tree->git_ids.v[node->record];
    struct buf target = BUF_INIT;
    struct err err = ERR_INIT;
    if (node->kind == NODE_LINK && !node->target && !node->errnum) {
        if (git_source_target(tree->git, object, &target, &err) != 0)
            node->errnum = errnum_of(&err);
        else if (target.len > 4095)
            node->errnum = ENAMETOOLONG;
        else
            node->target = mem_strdup(buf_str(&target));
    } else if (node->kind == NODE_FILE && !(node->flags & N_DIGEST)) {
        worktree_path(tree, id, &tree->mark_path);
        if (git_source_known(tree->git, object, &part_above(tree, node)->own,
                             buf_str(&tree->mark_path), &node->digest))
            node->flags |= N_DIGEST;
    }
    buf_release(&target);
    err_release(&err);
}

void worktree_git_learn(struct worktree *tree, const struct node *node, uint32_t id)
{
    worktree_path(tree, id, &tree->mark_path);
    git_source_learn(tree->git, &tree->git_ids.v[node->record], &part_above(tree, node)->own,
                     buf_str(&tree->mark_path), &node->digest);
}

struct git_source_file *worktree_git_file(const struct worktree *tree, const struct node *node,
                                          const char *dir, struct arena *arena)
{
    static const struct git_filters none;
    struct git_source_file *file = arena_zalloc(arena, 1, sizeof(*file));
    file->id = tree->git_ids.v[node->record];
    file->filtered = memcmp(&part_above(tree, node)->own, &none, sizeof(none)) != 0;
    file->path = arena_printf(arena, *dir ? "%s/%s" : "%s%s", dir, node->name);
    return file;
}

void worktree_git_hash(struct worktree_batch *batch)
{
    struct git_source_file *files = mem_alloc(batch->items.n * sizeof(*files));
    for (size_t i = 0; i < batch->items.n; i++)
        files[i] = *batch->items.v[i].git;
    git_source_hash(batch->git, files, batch->items.n, batch->stop);
    for (size_t i = 0; i < batch->items.n; i++) {
        struct hash_item *item = &batch->items.v[i];
        item->errnum = files[i].errnum;
        item->digest = files[i].digest;
        item->recorded_ns = 1;
        atomic_fetch_add_explicit(batch->bytes, item->digest.size, memory_order_relaxed);
    }
    free(files);
}
