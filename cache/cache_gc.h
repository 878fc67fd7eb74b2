/*
 * cache_gc.h - making the disk cache smaller: what was used least lately goes, and why is told.
 *
 * An action result goes before the blobs that only it names; a blob that a kept result names is
 * kept. Snapshots, image layers and images go in the same order of use. What is in use just now
 * stays (cache_use_begin()), so it is safe while others work; what goes all the same while somebody
 * wants it is a miss to them and made again. One gc at a time, any thread.
 */
#ifndef KILN_CACHE_GC_H
#define KILN_CACHE_GC_H

#include "base/arena.h"
#include "base/vec.h"
#include "cache/cache.h"

#define GC_TO_LIMIT UINT64_MAX

struct gc_options {
    uint64_t
        size;     /* bring it down to that many bytes on the disk; GC_TO_LIMIT: as cache_limits() */
    bool dry_run; /* only tell */
};

enum gc_kind {
    GC_RESULT,
    GC_BLOB,
    GC_BAD,  /* was set aside in bad/ */
    GC_TMP,  /* a file that somebody began and never finished */
    GC_STAT, /* the stat cache of a project that is gone */
    GC_GIT,  /* what was known of a repository's objects, long ago */
    GC_SNAPSHOT,
    GC_LAYER, /* of an image, unpacked */
    GC_IMAGE, /* a blob of one, as it came */
    GC_KINDS,
};

struct gc_item {
    enum gc_kind kind;
    struct digest digest;    /* of a result (its key) or blob */
    const char *name;        /* of the others: below v1 */
    int64_t used_ns;         /* CLOCK_REALTIME */
    uint64_t bytes;          /* on the disk */
    const char *step, *root; /* of a result: what made it; NULL: unknown */
    size_t result;           /* of a blob: the item that was the last to name it, or SIZE_MAX */
};

struct gc_report {
    struct arena arena;
    VEC(struct gc_item) items; /* in the order they go */
    struct cache_stats before; /* with the limit */
    struct cache_stats removed;
    uint64_t others_bytes; /* removed besides: what before does not count */
    uint64_t over_limit;   /* how much it was too large; 0: it was not */
    uint64_t disk_missing; /* how much had to go because the disk is nearly full */
    uint64_t target;       /* what it was to come down to; before.disk_bytes: nothing to do */
    bool in_use;           /* it could not come down so far: the rest is in use */
};

/* Waits while another one is at it. ERR_SYSTEM when the cache can't be read or written. Release the
 * report in any case. */
int cache_gc(struct cache *cache, const struct gc_options *options, struct gc_report *report,
             struct err *err) MUST_CHECK;
void gc_report_release(struct gc_report *report);

/* After a run: when it stored something and the cache is then over its limit, or the disk nearly
 * full, brings it down, a bit further than it must. Costs next to nothing when there is nothing to
 * do. *did tells. */
int cache_tidy(struct cache *cache, bool *did, struct gc_report *report,
               struct err *err) MUST_CHECK;

/* Removes everything stored but the cache directories of steps; where other kilns use the cache,
 * all but what is in use just now. *removed tells what that was, *left what stayed. */
int cache_clear(struct cache *cache, struct cache_stats *removed, struct cache_stats *left,
                struct err *err) MUST_CHECK;

/* A cache directory of steps: what lies in v1/mounts. */
struct cache_mount {
    const char *name;    /* below v1/mounts (mounts.h) */
    const char *label;   /* what kiln.json calls it */
    const char *project; /* whose it is; "" when that is not known */
    int64_t used_ns;     /* the later of its own time and that of <name>.used */
    uint64_t bytes;      /* on the disk, as far as it can be read */
};
typedef void cache_mount_cb(void *ctx, const struct cache_mount *mount);
/* Calls cb for each of them, in no order. */
void cache_each_mount(struct cache *cache, cache_mount_cb *cb, void *ctx);
/* Removes that one; *found is false when there is none. ERR_SYSTEM when it can't be, EWOULDBLOCK
 * where somebody holds a flock on <name>.used. */
int cache_clear_mount(struct cache *cache, const char *name, bool *found,
                      struct err *err) MUST_CHECK;

#endif
