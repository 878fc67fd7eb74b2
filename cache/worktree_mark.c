/*
 * Marks: from an entry that changed to the views it concerns. A mark climbs from the entry's
 * directory to the root; in each directory the list of consumers says who looks at it, and in which
 * flavour. What a flavour leaves out (ignored entries, outputs, .git) does not reach its views.
 */
#include "cache/worktree_private.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_CHANGED 10000

/* The entry that a mark names. */
struct entry {
    uint32_t dir;
    const struct node *node; /* NULL: not known yet */
    const char *path;
    bool looked; /* the next three hold */
    bool directory, linked;
    int errnum; /* ENOENT: it is gone */
};

/* Whom the change of an entry concerns, as it climbs. */
struct reach {
    bool flavours[FLAVOURS];
    bool hit; /* some view of inputs */
};

static void touch_view(struct worktree *tree, uint32_t id, uint64_t tick, struct reach *reach)
{
    struct view *view = &tree->views.v[id];
    view->has_digest = false;
    if (tick > view->tick)
        view->tick = tick;
    if (!view->dirty)
        vec_push(&tree->dirty, id);
    view->dirty = true;
    reach->hit |= view->kind == WORKTREE_INPUTS;
}

static void look(const struct worktree *tree, struct entry *entry)
{
    struct stat st;
    if (entry->looked)
        return;
    entry->looked = true;
    entry->errnum = fstatat(tree->top->fd, entry->path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    entry->directory = entry->errnum == 0 && S_ISDIR(st.st_mode);
    entry->linked = entry->errnum == 0 && S_ISREG(st.st_mode) && st.st_nlink > 1;
}

/* Whether a view may take something below the entry. */
static bool may_hold_some(const struct worktree *tree, const struct consumer *consumer,
                          struct entry *entry)
{
    if (worktree_view_reach(&tree->views.v[consumer->view], entry->path) == GLOB_NONE)
        return false;
    /* Another view's reading may have found already that it is no directory any more. */
    if (!consumer->memo.ready || (entry->node && entry->node->kind == NODE_DIR))
        return true;
    look(tree, entry);
    return entry->directory || (entry->errnum && entry->errnum != ENOENT);
}

/* Whether a view that selects in the entry's directory takes the entry. */
static bool selects(const struct worktree *tree, const struct consumer *consumer,
                    const struct reach *reach, struct entry *entry)
{
    const struct view *view = &tree->views.v[consumer->view];
    if (!entry)
        return true;
    if (reach->flavours[consumer->flavour])
        return worktree_view_has(view, entry->path) ||
               worktree_view_names_below(view, entry->path) || may_hold_some(tree, consumer, entry);
    /* Ignored, but it or something below may be named outright. */
    return consumer->flavour == PLAIN && reach->flavours[FORCED] &&
           (worktree_view_names(view, entry->path) || worktree_view_names_below(view, entry->path));
}

/* entry: NULL when all entries of the directory are meant. */
static void climb(struct worktree *tree, uint32_t id, struct entry *entry, uint64_t tick,
                  struct reach *reach)
{
    for (bool first = true;; first = false) {
        const struct node *node = worktree_node(tree, id);
        struct dir *dir = node->dir;
        vec_each (struct consumer, consumer, &dir->consumers) {
            if (consumer->whole) {
                if (reach->flavours[consumer->flavour])
                    touch_view(tree, consumer->view, tick, reach);
                continue;
            }
            if (first) {
                if (!selects(tree, consumer, reach, entry))
                    continue;
                touch_view(tree, consumer->view, tick, reach);
            }
            consumer->memo.ready = consumer->memo.composed = false;
        }
        for (int i = 0; i < FLAVOURS; i++)
            if (reach->flavours[i])
                dir->whole[i].ready = dir->whole[i].composed = false;
        if (id == 0)
            return;
        if (node->flags & N_OUTPUT || strcmp(node->name, ".git") == 0)
            reach->flavours[PLAIN] = reach->flavours[FORCED] = false;
        if ((node->flags & N_IGNORED) && !(node->flags & N_TRACKED))
            reach->flavours[PLAIN] = false;
        id = node->parent;
    }
}

/* All views that look at the directory or below, in whatever way ignore rules matter to. */
static void touch_below(struct worktree *tree, struct dir *dir, uint64_t tick, struct reach *reach)
{
    vec_each (struct consumer, consumer, &dir->consumers) {
        if (consumer->flavour == ALL)
            continue;
        consumer->memo.ready = consumer->memo.composed = false;
        touch_view(tree, consumer->view, tick, reach);
    }
    dir->whole[PLAIN].ready = dir->whole[PLAIN].composed = false;
    for (size_t i = 0; i < dir->n_children; i++) {
        struct dir *sub = worktree_node(tree, dir->children[i])->dir;
        if (sub)
            touch_below(tree, sub, tick, reach);
    }
}

/* Whether verdicts can be given in that directory now: it was reached through directories that have
 * one. */
static bool can_judge(const struct worktree *tree, uint32_t id)
{
    if (!tree->ignore)
        return false;
    for (;; id = worktree_node(tree, id)->parent) {
        const struct node *node = worktree_node(tree, id);
        if (!node->dir || !node->dir->has_print || !(node->flags & N_VERDICT))
            return false;
        if (id == 0)
            return true;
    }
}

/*
 * Whether a plain view would leave the entry out. What is known and not ignored is not. What is not
 * known yet, and what is ignored and may have become a directory, or be none any more, is looked at
 * here: builds in the source tree make ignored files all the time, and these must not taint the
 * step that makes them.
 */
static bool is_left_out(struct worktree *tree, struct entry *entry)
{
    const struct node *node = entry->node;
    unsigned known = node ? node->flags & N_VERDICTS : 0;
    bool was_directory = node && node->kind == NODE_DIR;
    if (node && (!(known & N_IGNORED) || (known & N_TRACKED)))
        return false;
    if (!can_judge(tree, entry->dir))
        return node && !was_directory;
    look(tree, entry);
    if (entry->errnum && entry->errnum != ENOENT)
        return false;
    if (node && (entry->errnum || entry->directory == was_directory))
        return true;
    /* Gone again: a directory would have left nothing, so it counts as the file that it was in all
     * likelihood (vim's 4913). */
    unsigned verdict = worktree_judge(tree, entry->dir, entry->path, entry->directory);
    return (verdict & N_IGNORED) && !(verdict & N_TRACKED);
}

static void note_changed(struct worktree *tree, const char *path)
{
    if (tree->changed.count < MAX_CHANGED)
        map_put_str(&tree->changed, path, NULL);
}

static void mark_all_of(struct worktree *tree, uint32_t id, uint64_t tick)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    struct reach reach = {{true, true, true}, false};
    dir->must_read = true;
    for (size_t i = 0; i < dir->n_children; i++)
        worktree_node(tree, dir->children[i])->flags &= (uint16_t)~N_FRESH;
    if (worktree_child(tree, dir, RULES_NAME, NULL) != WORKTREE_NONE)
        touch_below(tree, dir, tick, &reach);
    climb(tree, id, NULL, tick, &reach);
    if (reach.hit) {
        worktree_path(tree, id, &tree->mark_path);
        note_changed(tree, buf_str(&tree->mark_path));
    }
}

void worktree_find_gone(struct worktree *tree, const struct node *node)
{
    struct reach reach = {{true, true, true}, false};
    worktree_path(tree, node->parent, &tree->mark_path);
    worktree_path_push(&tree->mark_path, node->name, node->name_len);
    struct entry entry = {.dir = node->parent, .node = node, .path = buf_str(&tree->mark_path)};
    if ((node->flags & N_OUTPUT) || strcmp(node->name, ".git") == 0)
        reach.flavours[PLAIN] = reach.flavours[FORCED] = false;
    if ((node->flags & N_IGNORED) && !(node->flags & N_TRACKED))
        reach.flavours[PLAIN] = false;
    climb(tree, node->parent, &entry, 0, &reach);
}

/* quiet: nobody is told that it changed; that is found out. */
static bool mark_entry(struct worktree *tree, uint32_t id, const char *name, uint64_t tick,
                       bool quiet)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    struct reach reach = {{true, true, true}, false};
    worktree_path(tree, id, &tree->mark_path);
    worktree_path_push(&tree->mark_path, name, strlen(name));
    uint32_t child = worktree_child(tree, dir, name, NULL);
    struct node *node = child == WORKTREE_NONE ? NULL : worktree_node(tree, child);
    struct entry entry = {.dir = id, .node = node, .path = buf_str(&tree->mark_path)};
    if (node) {
        node->flags = (uint16_t)((node->flags & ~N_FRESH) | N_MARKED);
        node->errnum = 0;
        node->misses = 0;
    } else {
        dir->must_read = true;
    }
    bool output = node ? node->flags & N_OUTPUT : worktree_at_output(tree, entry.path);
    if (output || strcmp(name, ".git") == 0)
        reach.flavours[PLAIN] = reach.flavours[FORCED] = false;
    else if (strcmp(name, RULES_NAME) == 0)
        touch_below(tree, dir, tick, &reach); /* it counts even where it ignores itself */
    else if (is_left_out(tree, &entry))
        reach.flavours[PLAIN] = false;
    climb(tree, id, &entry, tick, &reach);
    tree->linked |= entry.linked; /* the other name may be an input's */
    if (reach.hit && !quiet)
        note_changed(tree, entry.path);
    return reach.hit && node && node->kind == NODE_FILE && (node->flags & N_DIGEST);
}

/* Takes the child's stat anew and marks it if something about it is new. */
static void compare_child(struct worktree *tree, uint32_t id, struct node *node,
                          struct reader *reader, uint64_t tick)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    bool changed;
    if (node->kind == NODE_DIR) {
        struct stat st;
        changed =
            fstatat(reader->fd, node->name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(st.st_mode) ||
            (node->dir && (node->dir->stamp.ino != st.st_ino || node->dir->stamp.dev != st.st_dev));
    } else {
        struct stamp before = node->stamp;
        bool known = node->flags & N_STAT, hashed = node->flags & N_DIGEST;
        enum node_kind kind = node->kind;
        changed = worktree_stat_child(tree, dir, node, reader) != 0 || node->kind != kind ||
                  !known || !stamp_eq(&before, &node->stamp);
        if (!changed && (!hashed || (node->flags & N_DIGEST)))
            return;
    }
    /* One that is merely too young to trust its stat is hashed again, which tells. */
    if (changed || node->kind != NODE_DIR)
        mark_entry(tree, id, node->name, changed ? tick : 0, !changed);
}

/*
 * Something in the directory changed, nobody knows what (it is polled): looks what it was, because
 * a mark on all of it would taint every step that reads there. False when that can't be told.
 */
static bool mark_what_differs(struct worktree *tree, uint32_t id, uint64_t tick)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    struct reader reader = {NULL, -1};
    struct stat st;
    if (!dir->was_read || dir->errnum)
        return false;
    worktree_path(tree, id, &tree->path);
    struct stamp was = dir->stamp;
    int64_t read_ns = dir->read_ns;
    int errnum = worktree_reader_open(tree, dir, &reader);
    dir->stamp = was; /* they belong to the names that are known, which stay as they are */
    dir->read_ns = read_ns;
    if (errnum)
        return false;
    if (fstat(reader.fd, &st) != 0 || st.st_ino != was.ino || st.st_dev != was.dev ||
        !(reader.stream = fdopendir(reader.fd))) {
        worktree_reader_close(&reader);
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(reader.stream))) {
        const char *name = entry->d_name;
        if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
            continue;
        if (worktree_child(tree, dir, name, NULL) == WORKTREE_NONE)
            mark_entry(tree, id, name, tick, false);
    }
    for (size_t i = 0; i < dir->n_children; i++)
        compare_child(tree, id, worktree_node(tree, dir->children[i]), &reader, tick);
    worktree_reader_close(&reader);
    return true;
}

void worktree_doubt_open(struct worktree *tree)
{
    VEC(uint32_t) unsure = VEC_INIT;
    memcpy(&unsure, &tree->unsure, sizeof(unsure));
    memset(&tree->unsure, 0, sizeof(tree->unsure));
    vec_each (uint32_t, id, &unsure) {
        const struct node *node = worktree_node(tree, *id);
        if (node->kind == NODE_DIR && node->dir && node->dir->errnum)
            mark_all_of(tree, *id, 0);
        else if (node->kind != NODE_FREE && *id != 0 &&
                 (node->errnum || (node->kind == NODE_FILE && node->recorded_ns == NEVER_SETTLED)))
            mark_entry(tree, node->parent, node->name, 0, true);
    }
    vec_release(&unsure);
}

bool worktree_mark(struct worktree *tree, uint32_t id, const char *name, uint64_t tick)
{
    if (id >= tree->n_nodes || !worktree_node(tree, id)->dir)
        return false;
    worktree_wake(tree, worktree_node(tree, id)->dir);
    if (name)
        return mark_entry(tree, id, name, tick, false);
    if (!mark_what_differs(tree, id, tick))
        mark_all_of(tree, id, tick);
    return false;
}

/* Another directory may stand where the root was. */
static void reopen_root(struct worktree *tree)
{
    int fd = open(tree->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    worktree_top_drop(tree->top);
    tree->top = worktree_top_new(fd);
}

void worktree_mark_all(struct worktree *tree, uint64_t tick)
{
    struct reach reach = {.hit = false};
    worktree_forget_ahead(tree);
    reopen_root(tree);
    for (uint32_t id = 0; id < tree->n_nodes; id++) {
        struct node *node = worktree_node(tree, id);
        if (node->kind == NODE_FREE)
            continue;
        node->flags &= (uint16_t)~N_FRESH;
        node->errnum = 0;
        struct dir *dir = node->dir;
        if (!dir)
            continue;
        dir->must_read = true;
        dir->reopen = true; /* its watch may be gone */
        worktree_doubt_sleeper(tree, dir);
        for (int i = 0; i < FLAVOURS; i++)
            dir->whole[i].ready = dir->whole[i].composed = false;
        vec_each (struct consumer, c, &dir->consumers)
            c->memo.ready = c->memo.composed = false;
    }
    for (uint32_t i = 0; i < tree->views.n; i++)
        touch_view(tree, i, tick, &reach);
}

size_t worktree_take_dirty(struct worktree *tree, const uint32_t **views)
{
    vec_each (uint32_t, id, &tree->dirty)
        tree->views.v[*id].dirty = false;
    vec_clear(&tree->taken);
    vec_each (uint32_t, taken, &tree->dirty)
        vec_push(&tree->taken, *taken);
    vec_clear(&tree->dirty);
    *views = tree->taken.v;
    return tree->taken.n;
}

bool worktree_linked(const struct worktree *tree)
{
    return tree->linked;
}

uint64_t worktree_view_tick(const struct worktree *tree, uint32_t view)
{
    return tree->views.v[view].tick;
}

size_t worktree_take_changed(struct worktree *tree, char **paths, size_t max, size_t *n_paths)
{
    size_t all = tree->changed.count;
    *n_paths = 0;
    map_each (entry, &tree->changed) {
        if (*n_paths == max)
            break;
        paths[(*n_paths)++] = mem_strndup(entry->key, entry->key_len);
    }
    map_release(&tree->changed);
    tree->changed = (struct map)MAP_INIT;
    return all;
}
