#include "cache/worktree_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct node *worktree_node(const struct worktree *tree, uint32_t id)
{
    return &tree->chunks[id / CHUNK_NODES][id % CHUNK_NODES];
}

/* Names come from an arena and go to lists by size, so that a watch of weeks does not grow with
 * every temporary file. */
static size_t name_size(size_t len)
{
    return (len + 1 + 15) / 16;
}

static const char *take_name(struct worktree *tree, const char *name, size_t len)
{
    size_t size = name_size(len);
    void *place = tree->free_names[size];
    if (place)
        memcpy(&tree->free_names[size], place, sizeof(void *));
    else
        place = arena_alloc(&tree->names, size * 16);
    memcpy(place, name, len);
    ((char *)place)[len] = '\0';
    return place;
}

static void give_name(struct worktree *tree, const char *name, size_t len)
{
    size_t size = name_size(len);
    void *place = (void *)(uintptr_t)name;
    memcpy(place, &tree->free_names[size], sizeof(void *));
    tree->free_names[size] = place;
}

uint32_t worktree_node_add(struct worktree *tree, uint32_t parent, const char *name, size_t len,
                           enum node_kind kind)
{
    uint32_t id;
    if (tree->free_nodes.n) {
        id = vec_pop(&tree->free_nodes);
    } else {
        id = tree->n_nodes++;
        if (id / CHUNK_NODES >= tree->n_chunks) {
            tree->chunks = mem_realloc(tree->chunks, tree->n_chunks + 1, sizeof(*tree->chunks));
            tree->chunks[tree->n_chunks++] = mem_alloc(CHUNK_NODES * sizeof(struct node));
        }
    }
    *worktree_node(tree, id) = (struct node){
        .name = take_name(tree, name, len),
        .name_len = (uint8_t)len,
        .kind = (uint8_t)kind,
        .parent = parent,
        .record = WORKTREE_NONE,
        .serial = ++tree->serial,
    };
    return id;
}

void worktree_dir_drop(struct worktree *tree, uint32_t id)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    if (!dir)
        return;
    for (size_t i = 0; i < dir->n_children; i++)
        worktree_node_drop(tree, dir->children[i]);
    if (dir->opened && tree->dir_closed)
        tree->dir_closed(tree->ctx, id);
    worktree_node(tree, id)->dir = NULL;
    tree->counts.dirs--;
    worktree_sleep_end(tree, dir);
    free(dir->children);
    vec_release(&dir->consumers);
    ignore_rules_free(dir->rules);
    free(dir->git);
    free(dir);
}

void worktree_node_drop(struct worktree *tree, uint32_t id)
{
    worktree_dir_drop(tree, id);
    struct node *node = worktree_node(tree, id);
    if (node->kind == NODE_FILE)
        tree->counts.files--;
    give_name(tree, node->name, node->name_len);
    free(node->target);
    *node = (struct node){.kind = NODE_FREE};
    vec_push(&tree->free_nodes, id);
}

struct dir *worktree_dir(struct worktree *tree, uint32_t id)
{
    struct node *node = worktree_node(tree, id);
    if (!node->dir) {
        node->dir = mem_zalloc(1, sizeof(*node->dir));
        node->dir->node = id;
        node->dir->must_read = true;
        node->flags |= N_FRESH;
        tree->counts.dirs++;
    }
    return node->dir;
}

uint32_t worktree_child(const struct worktree *tree, const struct dir *dir, const char *name,
                        size_t *at)
{
    size_t low = 0, high = dir->n_children;
    uint32_t found = WORKTREE_NONE;
    while (low < high && found == WORKTREE_NONE) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, worktree_node(tree, dir->children[middle])->name);
        if (order == 0) {
            found = dir->children[middle];
            low = middle;
        } else if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (at)
        *at = low;
    return found;
}

bool worktree_ignores(struct worktree *tree, const char *path)
{
    char name[256];
    uint32_t id = 0;
    while (*path && id != WORKTREE_NONE && !(worktree_node(tree, id)->flags & N_IGNORED)) {
        size_t n = strcspn(path, "/");
        struct dir *dir = worktree_node(tree, id)->dir;
        enum node_kind kind;
        if (n >= sizeof(name) || !dir)
            return false;
        memcpy(name, path, n);
        name[n] = '\0';
        id = worktree_child(tree, dir, name, NULL);
        if (id == WORKTREE_NONE && worktree_hidden(tree, dir, name, &kind)) {
            worktree_wake(tree, dir);
            id = worktree_child(tree, dir, name, NULL);
        }
        path += n;
        path += *path == '/';
    }
    return id != WORKTREE_NONE && worktree_node(tree, id)->flags & N_IGNORED;
}

size_t worktree_path_push(struct buf *path, const char *name, size_t len)
{
    size_t before = path->len;
    if (before)
        buf_addc(path, '/');
    buf_add(path, name, len);
    return before;
}

void worktree_path(const struct worktree *tree, uint32_t id, struct buf *out)
{
    size_t len = 0;
    for (uint32_t at = id; at != 0; at = worktree_node(tree, at)->parent)
        len += worktree_node(tree, at)->name_len + (size_t)1;
    buf_reset(out);
    buf_reserve(out, len);
    if (!len)
        return;
    /* Filled from its end, where the climb begins. */
    out->len = len - 1;
    out->data[out->len] = '\0';
    char *end = out->data + out->len;
    for (uint32_t at = id; at != 0;) {
        const struct node *node = worktree_node(tree, at);
        end -= node->name_len;
        memcpy(end, node->name, node->name_len);
        at = node->parent;
        if (at != 0)
            *--end = '/';
    }
}

static int order_of(const struct consumer *consumer, uint32_t view, enum flavour flavour,
                    bool whole)
{
    if (consumer->view != view)
        return consumer->view < view ? -1 : 1;
    if (consumer->flavour != flavour)
        return consumer->flavour < flavour ? -1 : 1;
    return consumer->whole - whole;
}

struct consumer *worktree_consumer(struct dir *dir, uint32_t view, enum flavour flavour, bool whole)
{
    size_t low = 0, high = dir->consumers.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = order_of(&dir->consumers.v[middle], view, flavour, whole);
        if (order == 0)
            return &dir->consumers.v[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    vec_push(&dir->consumers, (struct consumer){.view = view});
    struct consumer *place = &dir->consumers.v[low];
    memmove(place + 1, place, (dir->consumers.n - 1 - low) * sizeof(*place));
    *place = (struct consumer){.view = view, .flavour = (uint8_t)flavour, .whole = whole};
    return place;
}

void worktree_unsettle(struct worktree *tree, uint32_t id)
{
    for (;;) {
        struct node *node = worktree_node(tree, id);
        if (node->dir) {
            for (int i = 0; i < FLAVOURS; i++)
                node->dir->whole[i].ready = node->dir->whole[i].composed = false;
            vec_each (struct consumer, c, &node->dir->consumers)
                c->memo.ready = c->memo.composed = false;
        }
        if (id == 0)
            return;
        id = node->parent;
    }
}

bool worktree_may_pass(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == EIO;
}

void worktree_note_trouble(struct worktree *tree, uint32_t id, int errnum)
{
    if (worktree_may_pass(errnum))
        vec_push(&tree->unsure, id);
}
