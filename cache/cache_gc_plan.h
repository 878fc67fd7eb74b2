/*
 * cache_gc_plan.h - what is in the cache, in the order in which it would go.
 *
 * Private to cache_gc.c and cache_gc_plan.c. Everything in the plan is the plan's.
 */
#ifndef KILN_CACHE_GC_PLAN_H
#define KILN_CACHE_GC_PLAN_H

#include "cache/cache_derived.h"
#include "cache/cache_gc.h"
#include "cache/cache_private.h"

struct gc_entry {
    int64_t
        used_ns;    /* a blob: of its own stamp and those of the results that name it, the latest */
    uint32_t index; /* into results, blobs or derived */
    enum gc_kind kind;
};

struct gc_plan {
    struct arena arena;
    cache_files results, blobs;
    struct derived_list derived;
    uint64_t loose; /* bytes of what snapshots shared and none has any more */
    struct gc_origin {
        const char *step, *root; /* NULL: unknown */
    } * origins;                 /* a result */
    struct gc_blob {
        int64_t used_ns;
        uint32_t owner; /* the result used latest of those that name it; UINT32_MAX: none */
        bool opened;    /* it is a Tree, and what it names was seen to */
        bool spared;
    } * marks;       /* a blob */
    uint32_t *slots; /* blobs by hash: index + 1 */
    size_t n_slots;
    VEC(struct gc_entry) order; /* the least recently used first; results before their blobs */
    struct cache_stats stats;
};

/* Lists what there is; neither order nor owners yet. */
int gc_plan_count(struct gc_plan *plan, struct cache *cache, struct err *err) MUST_CHECK;
/* Reads all results and finds the order. */
void gc_plan_order(struct gc_plan *plan, struct cache *cache);
/* A result turned out to be in use: marks what it names as spared. */
void gc_plan_spare(struct gc_plan *plan, struct cache *cache, uint32_t result);
void gc_plan_release(struct gc_plan *plan);

#endif
