/*
 * The commit check: a copy of what was known about all that some views take, to be compared with
 * the disk by a worker.
 *
 * Files and links are compared by stamp; those too young for that are hashed again. In directories,
 * names that have come are collected; whether the views would take them is found out afterwards, by
 * marking them and asking for the views' digests again.
 */
#include "cache/beneath.h"
#include "cache/worktree_private.h"

#include "base/crew.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HAND_ENTRIES 1024 /* that are worth another thread */

struct check_dir {
    const char *path;
    uint32_t node, serial;
    struct stamp stamp;
    int64_t read_ns;
    const char *
        *names; /* all that were known, sorted; of a limited one those that were not there */
    size_t n_names;
    bool limited;    /* no other names concern the views */
    size_t first, n; /* its entries */
};

struct check_entry {
    const char *name;
    const char *target; /* links */
    struct stamp stamp;
    int64_t recorded_ns;
    struct digest digest;
};

struct new_name {
    size_t dir;
    const char *name;
};

struct check_view {
    uint32_t view;
    bool known;
    struct digest digest;
};

/* What one of the threads has found. */
struct finding {
    struct arena arena;
    VEC(struct new_name) names;
    bool linked; /* a file has another name */
    const char *changed;
    const struct check_entry *entry; /* the one that changed, if it is one, */
    size_t dir;                      /* and where it lies */
};

struct worktree_check {
    struct worktree *tree; /* for worktree_check_changed() alone */
    struct arena arena;
    const char *root;
    int root_fd;
    VEC(struct check_dir) dirs;
    VEC(struct check_entry) entries;
    VEC(struct check_view) views;
    VEC(struct finding) findings;
    atomic_size_t next, end; /* the directory that nobody has taken yet; the first that changed */
    struct finding found;    /* by all of them */
};

static void collect(struct worktree *tree, const struct scope *scope, uint32_t id,
                    struct worktree_check *check)
{
    const struct node *node = worktree_node(tree, id);
    struct dir *dir = node->dir;
    if (!dir)
        return;
    worktree_wake(tree, dir);
    struct arena *arena = &check->arena;
    struct check_dir copy = {
        .path = arena_strndup(arena, buf_str(&tree->path), tree->path.len),
        .node = id,
        .serial = node->serial,
        .stamp = dir->stamp,
        .read_ns = dir->read_ns,
        .first = check->entries.n,
    };
    worktree_places few = VEC_INIT;
    worktree_names absent = VEC_INIT;
    copy.limited = worktree_few_children(tree, scope, dir, &few, &absent, arena);
    /* The rules decide about the others. */
    if (copy.limited && worktree_child(tree, dir, RULES_NAME, NULL) == WORKTREE_NONE)
        vec_push(&absent, RULES_NAME);
    size_t n = copy.limited ? few.n : dir->n_children;
    copy.n_names = copy.limited ? absent.n : n;
    copy.names = arena_alloc(arena, copy.n_names * sizeof(*copy.names));
    if (absent.n && copy.limited)
        memcpy(copy.names, absent.v, absent.n * sizeof(*copy.names));
    VEC(struct scope) scopes = VEC_INIT;
    VEC(uint32_t) below = VEC_INIT;
    for (size_t i = 0; i < n; i++) {
        uint32_t id_below = dir->children[copy.limited ? few.v[i] : i];
        struct node *child = worktree_node(tree, id_below);
        const char *name = arena_strndup(arena, child->name, child->name_len);
        if (!copy.limited)
            copy.names[i] = name;
        struct scope sub;
        size_t before = worktree_path_push(&tree->path, child->name, child->name_len);
        enum pick pick = worktree_pick(tree, scope, child, buf_str(&tree->path), &sub);
        buf_truncate(&tree->path, before);
        if (pick == PICK_BELOW) {
            vec_push(&scopes, sub);
            vec_push(&below, id_below);
        } else if (pick == PICK_ENTRY) {
            struct check_entry entry = {
                .name = name,
                .target = child->kind == NODE_LINK
                              ? arena_strdup(arena, child->target ? child->target : "")
                              : NULL,
                .stamp = child->stamp,
                .recorded_ns = child->recorded_ns,
                .digest = child->digest,
            };
            vec_push(&check->entries, entry);
            copy.n++;
        }
    }
    vec_release(&few);
    vec_release(&absent);
    vec_push(&check->dirs, copy);
    for (size_t i = 0; i < below.n; i++) {
        const struct node *child = worktree_node(tree, below.v[i]);
        size_t before = worktree_path_push(&tree->path, child->name, child->name_len);
        collect(tree, &scopes.v[i], below.v[i], check);
        buf_truncate(&tree->path, before);
    }
    vec_release(&scopes);
    vec_release(&below);
}

struct worktree_check *worktree_check_new(struct worktree *tree, const uint32_t *views, size_t n)
{
    struct worktree_check *check = mem_zalloc(1, sizeof(*check));
    check->tree = tree;
    check->root = arena_strdup(&check->arena, tree->root);
    check->root_fd = fcntl(tree->top->fd, F_DUPFD_CLOEXEC, 0);
    for (size_t i = 0; i < n; i++) {
        const struct view *view = &tree->views.v[views[i]];
        struct check_view copy = {
            .view = views[i], .known = view->has_digest, .digest = view->digest};
        vec_push(&check->views, copy);
        if (!view->has_digest) {
            check->found.changed = "."; /* marked since, or never asked for */
            continue;
        }
        struct scope scope = worktree_view_scope(tree, views[i]);
        buf_reset(&tree->path);
        collect(tree, &scope, 0, check);
    }
    return check;
}

static bool same_content(struct hasher *hasher, int dirfd, const struct check_entry *entry)
{
    int fd = openat(dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    struct digest digest;
    bool same = digest_of_fd(hasher, fd, &digest, NULL) == 0 && digest_eq(&digest, &entry->digest);
    close(fd);
    return same;
}

static bool same_target(int dirfd, const struct check_entry *entry)
{
    char target[4096];
    ssize_t n = readlinkat(dirfd, entry->name, target, sizeof(target));
    return n >= 0 && (size_t)n == strlen(entry->target) &&
           !memcmp(target, entry->target, (size_t)n);
}

static bool same_entry(struct finding *found, struct hasher *hasher, int dirfd,
                       const struct check_entry *entry)
{
    struct stat st;
    if (fstatat(dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    found->linked |= S_ISREG(st.st_mode) && st.st_nlink > 1;
    struct stamp stamp = stamp_of(&st);
    if (!stamp_eq(&stamp, &entry->stamp))
        return false;
    if (entry->target)
        return same_target(dirfd, entry);
    return stamp_settled(&stamp, entry->recorded_ns) || same_content(hasher, dirfd, entry);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Collects names that were not known. Takes the descriptor over. */
static bool list_new(const struct worktree_check *check, struct finding *found, size_t index,
                     int fd)
{
    DIR *stream = fdopendir(fd);
    if (!stream) {
        close(fd);
        return false;
    }
    const struct check_dir *dir = &check->dirs.v[index];
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(stream))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (!dir->n_names ||
            !bsearch(&name, dir->names, dir->n_names, sizeof(*dir->names), by_name))
            vec_push(&found->names, (struct new_name){index, arena_strdup(&found->arena, name)});
        errno = 0;
    }
    bool complete = errno == 0;
    closedir(stream);
    return complete;
}

/* Collects those of the names that are there now. */
static void look_for(const struct worktree_check *check, struct finding *found, size_t index,
                     int fd)
{
    const struct check_dir *dir = &check->dirs.v[index];
    struct stat st;
    for (size_t i = 0; i < dir->n_names; i++)
        if (fstatat(fd, dir->names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            vec_push(&found->names, (struct new_name){index, dir->names[i]});
    close(fd);
}

static void note_changed(struct finding *found, const char *dir, const char *name)
{
    found->changed =
        *dir ? arena_printf(&found->arena, "%s/%s", dir, name) : arena_strdup(&found->arena, name);
}

static void check_dir(const struct worktree_check *check, struct finding *found, size_t index,
                      struct hasher *hasher)
{
    const struct check_dir *dir = &check->dirs.v[index];
    struct stat st;
    int fd;
    found->dir = index;
    if (beneath_open(check->root_fd, dir->path, false, &fd, NULL) != 0) {
        found->changed = *dir->path ? dir->path : ".";
        return;
    }
    for (size_t i = dir->first; i < dir->first + dir->n && !found->changed; i++)
        if (!same_entry(found, hasher, fd, &check->entries.v[i])) {
            found->entry = &check->entries.v[i];
            note_changed(found, dir->path, found->entry->name);
        }
    bool listed = fstat(fd, &st) == 0;
    struct stamp stamp = listed ? stamp_of(&st) : (struct stamp){.dev = 0};
    if (found->changed ||
        (listed && stamp_eq(&stamp, &dir->stamp) && stamp_settled(&stamp, dir->read_ns)))
        close(fd);
    else if (dir->limited)
        look_for(check, found, index, fd);
    else if (!list_new(check, found, index, fd))
        found->changed = *dir->path ? dir->path : ".";
}

/* Whether the root's path still leads to the directory that was read: the step was started there by
 * path. */
static bool same_root(const struct worktree_check *check)
{
    struct stat named, opened;
    return stat(check->root, &named) == 0 && fstat(check->root_fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* Takes one directory after the other, until none is left before the first that changed. */
static void work(void *ctx, size_t hand)
{
    struct worktree_check *check = ctx;
    struct finding *found = &check->findings.v[hand];
    struct hasher *hasher = hasher_new();
    for (size_t i; !found->changed && (i = atomic_fetch_add(&check->next, 1)) < check->dirs.n &&
                   i < atomic_load(&check->end);)
        check_dir(check, found, i, hasher);
    size_t end = atomic_load(&check->end);
    while (found->changed && found->dir < end &&
           !atomic_compare_exchange_weak(&check->end, &end, found->dir))
        ;
    hasher_free(hasher);
}

static int by_dir(const void *a, const void *b)
{
    const struct new_name *x = a, *y = b;
    return x->dir != y->dir ? (x->dir > y->dir) - (x->dir < y->dir) : strcmp(x->name, y->name);
}

void worktree_check_work(struct worktree_check *check)
{
    struct finding *all = &check->found;
    if (!all->changed && !same_root(check))
        all->changed = ".";
    if (all->changed)
        return;
    size_t n = check->entries.n / HAND_ENTRIES + 1, hands = crew_size();
    atomic_store(&check->end, check->dirs.n);
    for (size_t i = 0; i < hands && i < n; i++)
        vec_push(&check->findings, (struct finding){.arena = ARENA_INIT});
    crew_run(check->findings.n, work, check);
    vec_each (struct finding, found, &check->findings) {
        all->linked |= found->linked;
        vec_each (struct new_name, name, &found->names)
            vec_push(&all->names, *name);
        if (found->changed && (!all->changed || found->dir < all->dir)) {
            all->changed = found->changed;
            all->entry = found->entry;
            all->dir = found->dir;
        }
    }
    if (all->names.n)
        qsort(all->names.v, all->names.n, sizeof(*all->names.v), by_dir);
}

/* Of the new names, the one to tell: the first that ignore rules and outputs do not leave out. */
static void tell_new(struct worktree_check *check)
{
    struct worktree *tree = check->tree;
    const struct new_name *told = &check->found.names.v[0];
    vec_each (struct new_name, name, &check->found.names) {
        const struct check_dir *dir = &check->dirs.v[name->dir];
        const struct node *node = worktree_node(tree, dir->node);
        uint32_t child = node->serial == dir->serial && node->dir
                             ? worktree_child(tree, node->dir, name->name, NULL)
                             : WORKTREE_NONE;
        if (child == WORKTREE_NONE || (worktree_node(tree, child)->flags & (N_IGNORED | N_OUTPUT)))
            continue;
        told = name;
        break;
    }
    note_changed(&check->found, check->dirs.v[told->dir].path, told->name);
}

/* What nothing has told of yet may have caused no event, as a write through a link that lies
 * outside of the tree. */
static void mark_unseen(const struct worktree_check *check)
{
    struct worktree *tree = check->tree;
    const struct check_dir *dir = &check->dirs.v[check->found.dir];
    const struct node *node = worktree_node(tree, dir->node);
    if (node->kind != NODE_DIR || node->serial != dir->serial || !node->dir)
        return;
    worktree_wake(tree, node->dir);
    uint32_t id = worktree_child(tree, node->dir, check->found.entry->name, NULL);
    const struct node *child = id == WORKTREE_NONE ? NULL : worktree_node(tree, id);
    if (child && (child->flags & N_FRESH) && stamp_eq(&child->stamp, &check->found.entry->stamp))
        worktree_mark(tree, dir->node, check->found.entry->name, 0);
}

const char *worktree_check_changed(struct worktree_check *check)
{
    check->tree->linked |= check->found.linked;
    if (check->found.entry)
        mark_unseen(check);
    if (check->found.changed || !check->found.names.n)
        return check->found.changed;
    struct worktree *tree = check->tree;
    bool same = true;
    vec_each (struct new_name, name, &check->found.names) {
        const struct check_dir *dir = &check->dirs.v[name->dir];
        const struct node *node = worktree_node(tree, dir->node);
        if (node->kind == NODE_FREE || node->serial != dir->serial)
            same = false;
        else
            worktree_mark(tree, dir->node, name->name, 0);
    }
    for (size_t i = 0; i < check->views.n && same; i++) {
        const struct check_view *view = &check->views.v[i];
        struct digest digest;
        struct err err = ERR_INIT;
        worktree_prepare_now(tree, &view->view, 1);
        same = worktree_digest(tree, view->view, &digest, NULL, &err) == WORKTREE_READY &&
               digest_eq(&digest, &view->digest);
        err_release(&err);
    }
    if (!same)
        tell_new(check);
    vec_clear(&check->found.names);
    return check->found.changed;
}

void worktree_check_free(struct worktree_check *check)
{
    if (!check)
        return;
    if (check->root_fd >= 0)
        close(check->root_fd);
    vec_release(&check->dirs);
    vec_release(&check->entries);
    vec_each (struct finding, found, &check->findings) {
        vec_release(&found->names);
        arena_release(&found->arena);
    }
    vec_release(&check->findings);
    vec_release(&check->found.names);
    arena_release(&check->found.arena);
    vec_release(&check->views);
    arena_release(&check->arena);
    free(check);
}
