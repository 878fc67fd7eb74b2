/*
 * history_view.c - what one log file says, and walks through the trees that it or a store knows.
 */
#include "engine/history_private.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- what a log says --------------------------------------------------------------------------- */

void history_view_free(struct view *view)
{
    if (!view)
        return;
    map_each (entry, &view->steps) {
        struct step *step = entry->value;
        if (step->pass != step->last)
            free(step->pass);
        free(step->last);
        free(step);
    }
    map_release(&view->steps);
    map_release(&view->dir_index);
    vec_release(&view->dirs);
    if (view->fd >= 0)
        close(view->fd);
    free(view);
}

void history_view_add_step(struct view *view, struct history_record *record)
{
    struct step *step = map_get_str(&view->steps, record->step);
    if (!step) {
        step = mem_zalloc(1, sizeof(*step));
        map_put_str(&view->steps, record->step, step);
    }
    if (step->last != step->pass)
        free(step->last);
    step->last = record;
    if (record->status == HISTORY_PASSED) {
        free(step->pass);
        step->pass = record;
    }
}

struct dir *history_view_find_dir(const struct view *view, const struct digest *digest)
{
    void **place = map_get(&view->dir_index, digest->hash, DIGEST_BYTES);
    struct dir *dir = place ? &view->dirs.v[(uintptr_t)*place - 1] : NULL;
    return dir && dir->digest.size == digest->size ? dir : NULL;
}

void history_view_add_dir(struct view *view, const struct digest *digest, uint64_t offset,
                          bool pending)
{
    struct dir *known = history_view_find_dir(view, digest);
    if (known && known->pending)
        return;
    if (known) {
        known->offset = offset;
        return;
    }
    vec_push(&view->dirs, (struct dir){.digest = *digest, .offset = offset, .pending = pending});
    map_put(&view->dir_index, digest->hash, DIGEST_BYTES, (void *)(uintptr_t)view->dirs.n, NULL);
}

static void apply(void *ctx, const struct log_item *item)
{
    struct view *view = ctx;
    switch (item->type) {
    case LOG_DIR: history_view_add_dir(view, &item->dir, item->offset, false); break;
    case LOG_STEP: history_view_add_step(view, item->step); break;
    case LOG_BASE: view->base = item->base; break;
    }
}

int history_view_read(struct view *view, struct err *err)
{
    struct stat st;
    if (fstat(view->fd, &st) < 0)
        return err_sys(err, errno, "cannot look at the history");
    return history_log_scan(view->fd, view->end, (uint64_t)st.st_size, apply, view, &view->end,
                            err);
}

int history_view_new(int fd, struct view **out, struct err *err)
{
    struct view *view = mem_zalloc(1, sizeof(*view));
    view->fd = fd;
    int code = history_view_read(view, err);
    if (code < 0) {
        history_view_free(view);
        return code;
    }
    *out = view;
    return 0;
}

/* -- walking trees ----------------------------------------------------------------------------- */

void history_walk_release(struct walk *walk)
{
    map_release(&walk->seen);
    vec_release(&walk->stack);
    vec_release(&walk->order);
    buf_release(&walk->message);
}

const void *history_walk_get(struct walk *walk, const struct digest *digest)
{
    size_t n;
    const void *bytes = walk->trees ? trees_get(walk->trees, digest, &n) : NULL;
    if (bytes || !walk->history)
        return bytes;
    const struct view *view = walk->history->view;
    const struct dir *dir = history_view_find_dir(view, digest);
    if (!dir)
        return NULL;
    n = (size_t)digest->size;
    if (dir->pending)
        return walk->history->pending.data + dir->offset;
    buf_reset(&walk->message);
    char *to = buf_reserve(&walk->message, n);
    ssize_t got;
    do
        got = pread(view->fd, to, n, (off_t)dir->offset);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)n ? to : NULL;
}

static bool walk_skips(const struct walk *walk, const struct digest *digest)
{
    if (walk->known && history_view_find_dir(walk->known, digest))
        return true;
    return walk->loaded && trees_is_whole(walk->loaded, digest);
}

static bool walk_push_children(struct walk *walk, const struct digest *digest)
{
    struct arena arena = ARENA_INIT;
    struct tree_dir dir;
    const void *bytes = history_walk_get(walk, digest);
    bool ok = bytes && tree_decode(bytes, (size_t)digest->size, &arena, &dir, NULL) == 0;
    for (size_t i = 0; ok && i < dir.n; i++)
        if (dir.entries[i].kind == TREE_DIR)
            vec_push(&walk->stack, (struct visit){dir.entries[i].digest, false});
    arena_release(&arena);
    return ok;
}

bool history_walk_tree(struct walk *walk, const struct digest *root)
{
    size_t before = walk->order.n;
    vec_clear(&walk->stack);
    vec_push(&walk->stack, (struct visit){*root, false});
    while (walk->stack.n) {
        struct visit visit = vec_pop(&walk->stack);
        if (visit.leave) {
            vec_push(&walk->order, visit.digest);
            continue;
        }
        bool seen = walk_skips(walk, &visit.digest);
        if (!seen)
            map_put(&walk->seen, visit.digest.hash, DIGEST_BYTES, NULL, &seen);
        if (seen)
            continue;
        vec_push(&walk->stack, (struct visit){visit.digest, true});
        if (!walk_push_children(walk, &visit.digest)) {
            walk->order.n = before;
            map_release(&walk->seen);
            for (size_t i = 0; i < before; i++)
                map_put(&walk->seen, walk->order.v[i].hash, DIGEST_BYTES, NULL, NULL);
            return false;
        }
    }
    return true;
}
