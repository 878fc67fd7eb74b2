/*
 * cache_clear.c - removing everything from the disk cache.
 */
#include "cache/cache_gc.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/box_dir.h"
#include "cache/cache_derived.h"
#include "cache/cache_private.h"
#include "cache/snapshot_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>

typedef VEC(char *) names;

static int names_cb(void *ctx, int dirfd, const char *name)
{
    names *list = ctx;
    (void)dirfd;
    vec_push(list, mem_strdup(name));
    return 0;
}

/* Empties a directory and keeps it, because handles hold its descriptor. */
static int empty_dir(int dirfd, struct err *err)
{
    names list = VEC_INIT;
    int rc = 0;
    if (cache_each_name(dirfd, ".", names_cb, &list) != 0)
        rc = err_sys(err, errno, "cannot read a directory");
    vec_each (char *, name, &list) {
        if (rc == 0)
            rc = file_remove_tree(dirfd, *name, err);
        free(*name);
    }
    vec_release(&list);
    return rc;
}

/* With the lock for itself: whatever is there, stray files too. */
static int clear_alone(struct cache *cache, struct cache_stats *removed, struct err *err)
{
    int rc = cache_stats(cache, removed, err);
    /* Results first: what is left when this is interrupted must not name what is gone. */
    if (rc == 0)
        rc = empty_dir(cache->ac_fd, err);
    if (rc == 0)
        rc = empty_dir(cache->cas_fd, err);
    snapshot_leave(cache);
    static const char *const others[] = {"snap", "layers", "images", "box", "hook"};
    for (size_t i = 0; rc == 0 && i < 5; i++)
        if (!cache_drop(cache, others[i]))
            rc = err_sys(err, errno, "cannot remove %s", others[i]);
    if (rc == 0)
        box_dir_sweep(cache, 0);
    if (rc == 0)
        rc = empty_dir(cache->tmp_fd, err);
    if (rc == 0)
        rc = file_remove_tree(cache->root_fd, "bad", err);
    if (rc == 0)
        cache_size_set(cache, 0);
    return rc;
}

/* Others are at work: as gc would, down to nothing. */
static int clear_around(struct cache *cache, struct cache_stats *removed, struct cache_stats *left,
                        struct err *err)
{
    struct gc_options options = {.size = 0};
    struct gc_report report;
    uint64_t boxes = derived_disk_usage(cache, "box");
    int rc = cache_gc(cache, &options, &report, err);
    *removed = report.removed;
    gc_report_release(&report);
    if (rc == 0)
        box_dir_sweep(cache, 0);
    if (rc == 0)
        rc = cache_stats(cache, left, err);
    /* Those of steps that run grow meanwhile. */
    removed->box_bytes = boxes > left->box_bytes ? boxes - left->box_bytes : 0;
    return rc;
}

int cache_clear(struct cache *cache, struct cache_stats *removed, struct cache_stats *left,
                struct err *err)
{
    *removed = *left = (struct cache_stats){0};
    if (cache->root_fd < 0)
        return 0; /* there is nothing, and nothing could make it */
    if (cache->read_only)
        return err_sys(err, EROFS, "cannot clear the cache at %s", cache->path);
    int rc;
    if (cache->lock_fd >= 0 && cache_flock(cache->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        rc = clear_alone(cache, removed, err);
        (void)cache_flock(cache->lock_fd, LOCK_SH);
    } else {
        if (cache->lock_fd >= 0)
            (void)cache_flock(cache->lock_fd, LOCK_SH); /* a failed upgrade may have dropped it */
        rc = clear_around(cache, removed, left, err);
    }
    if (rc != 0)
        err_wrap(err, "clearing the cache at %s", cache->path);
    return rc;
}
