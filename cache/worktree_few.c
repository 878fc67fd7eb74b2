/*
 * Which children of a directory a scope can take at all. A thousand steps that each take one of a
 * thousand directories must not each go through all of them.
 */
#include "cache/worktree_private.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

struct few {
    const struct worktree *tree;
    const struct dir *dir;
    size_t names;
    worktree_places *places;
    worktree_names *absent;
    struct arena *arena;
};

static bool add_name(void *ctx, const char *name)
{
    struct few *few = ctx;
    size_t at;
    if (++few->names > few->dir->n_children)
        return false; /* going through all is no more work */
    if (worktree_child(few->tree, few->dir, name, &at) != WORKTREE_NONE)
        vec_push(few->places, at);
    else if (few->absent)
        vec_push(few->absent, arena_strdup(few->arena, name));
    return true;
}

/* The same for outputs, whose patterns are literal paths. */
static bool next_literals(const struct view *view, const char *dir, struct few *few)
{
    size_t n = strlen(dir);
    for (size_t i = 0; i < view->n_literals; i++) {
        const char *literal = view->literals[i];
        char name[256];
        if (path_is_below(dir, literal))
            return false;
        if (!path_is_below(literal, dir))
            continue;
        literal += n ? n + 1 : 0;
        size_t len = strcspn(literal, "/");
        if (len >= sizeof(name))
            continue; /* no entry has such a name */
        memcpy(name, literal, len);
        name[len] = '\0';
        if (!add_name(few, name))
            return false;
    }
    return true;
}

static int by_place(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

bool worktree_few_children(const struct worktree *tree, const struct scope *scope,
                           const struct dir *dir, worktree_places *places, worktree_names *absent,
                           struct arena *arena)
{
    struct few few = {tree, dir, 0, places, absent, arena};
    const struct view *view = scope->view;
    const char *path = buf_str(&tree->path);
    vec_clear(places);
    if (!view || !(view->set ? glob_set_next(view->set, path, add_name, &few)
                             : next_literals(view, path, &few)))
        return false;
    if (places->n > 1)
        qsort(places->v, places->n, sizeof(*places->v), by_place);
    size_t kept = 0;
    for (size_t i = 0; i < places->n; i++)
        if (i == 0 || places->v[i] != places->v[kept - 1])
            places->v[kept++] = places->v[i];
    places->n = kept;
    return true;
}
