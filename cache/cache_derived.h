/*
 * cache_derived.h - what the disk cache holds besides content and results, as far as it is
 * collected: snapshots, image layers, images.
 *
 * Private to cache/. A layer or image is the directory v1/layers/<name> or v1/images/<name>, with
 * an empty file <name>.used beside it: its time is when it was used last, and whoever uses it holds
 * a shared flock on that and looks, with the lock, whether the directory is there.
 */
#ifndef KILN_CACHE_DERIVED_H
#define KILN_CACHE_DERIVED_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "cache/cache_gc.h"
#include "cache/cache_private.h"

struct derived {
    enum gc_kind kind; /* GC_SNAPSHOT, GC_LAYER, GC_IMAGE */
    const char *name;  /* below v1 */
    int64_t used_ns;   /* of its own stamp and those of what is based on it, the latest */
    int64_t mtime_ns;  /* of its own stamp */
    uint64_t bytes;    /* that go with it, in blocks */
    size_t base;       /* of a snapshot: the item it is based on, or SIZE_MAX */
    unsigned depth;    /* of a snapshot: on how many others it lies */
    bool useless;      /* it can't be presented */
};

struct derived_list {
    struct arena arena;
    VEC(struct derived) items;
    uint64_t pool_bytes; /* of files that snapshots share, in blocks */
};

/* Lists what there is; of snapshots' bytes only those that are not shared. */
void derived_count(struct derived_list *list, struct cache *cache);
/* Adds what it found. */
void derived_add_stats(const struct derived_list *list, struct cache_stats *stats);
/* Adds to each snapshot's bytes the files that no other one has that was used later. Returns the
 * bytes of the files that none has. */
uint64_t derived_share_out(struct derived_list *list, struct cache *cache);
/* Takes it away; false when it is in use, or was used since. */
bool derived_take(struct cache *cache, const struct derived *item);
/* Removes from the pool what no snapshot has, unless it became so within the last age_s. */
void derived_sweep_pool(struct cache *cache, int64_t age_s);
/* Removes what tells of snapshots that are gone, and what killed kilns left. */
void derived_tidy(struct cache *cache);
/* What lies in a directory below v1, in blocks, as far as it can be read. */
uint64_t derived_disk_usage(const struct cache *cache, const char *rel);
void derived_release(struct derived_list *list);

#endif
