/*
 * cache_gc_plan.c - the order in which gc would take things.
 *
 * Everything is sorted by when it was used last, and a blob counts as used when a result that names
 * it was. So one walk from the old end takes each result before the blobs that only it names, and
 * never a blob of a result that is kept. Results are read from the newest to the oldest: the first
 * to name a blob decides, and a Tree is opened once.
 */
#include "cache/cache_gc_plan.h"

#include "base/mem.h"
#include "cache/action.h"
#include "cache/tree.h"

#include <stdlib.h>
#include <string.h>

#define TREE_MAX ((size_t)1 << 30)

static int newest_first(const void *a, const void *b)
{
    int64_t x = ((const struct cache_file *)a)->mtime_ns;
    int64_t y = ((const struct cache_file *)b)->mtime_ns;
    return (x < y) - (x > y);
}

static int oldest_first(const void *a, const void *b)
{
    const struct gc_entry *x = a, *y = b;
    if (x->used_ns != y->used_ns)
        return x->used_ns < y->used_ns ? -1 : 1;
    if (x->kind != y->kind)
        return (x->kind > y->kind) - (x->kind < y->kind);
    return (x->index > y->index) - (x->index < y->index);
}

static void add_stats(struct cache_stats *stats, const struct cache_file *file)
{
    stats->bytes += file->digest.size;
    stats->disk_bytes += cache_on_disk(file->digest.size);
}

int gc_plan_count(struct gc_plan *plan, struct cache *cache, struct err *err)
{
    int rc = cache_list(cache, cache->cas_fd, &plan->blobs, err);
    if (rc == 0)
        rc = cache_list(cache, cache->ac_fd, &plan->results, err);
    if (rc == 0 && (plan->blobs.n >= UINT32_MAX / 4 || plan->results.n >= UINT32_MAX / 4))
        rc = err_set(err, ERR_SYSTEM, "the cache at %s holds more than a billion files",
                     cache->path);
    if (rc != 0)
        return rc;
    vec_each (struct cache_file, file, &plan->blobs)
        add_stats(&plan->stats, file);
    vec_each (struct cache_file, file, &plan->results)
        add_stats(&plan->stats, file);
    plan->stats.blobs = plan->blobs.n;
    plan->stats.actions = plan->results.n;
    derived_count(&plan->derived, cache);
    derived_add_stats(&plan->derived, &plan->stats);
    return 0;
}

static size_t slot_of(const struct gc_plan *plan, const struct digest *digest)
{
    uint64_t hash;
    memcpy(&hash, digest->hash, sizeof(hash));
    size_t at = (size_t)hash & (plan->n_slots - 1);
    while (plan->slots[at] &&
           memcmp(plan->blobs.v[plan->slots[at] - 1].digest.hash, digest->hash, DIGEST_BYTES) != 0)
        at = (at + 1) & (plan->n_slots - 1);
    return at;
}

static void index_blobs(struct gc_plan *plan)
{
    for (plan->n_slots = 16; plan->n_slots < plan->blobs.n * 2;)
        plan->n_slots *= 2;
    plan->slots = mem_zalloc(plan->n_slots, sizeof(*plan->slots));
    plan->marks = mem_zalloc(plan->blobs.n + 1, sizeof(*plan->marks));
    for (size_t i = 0; i < plan->blobs.n; i++) {
        plan->slots[slot_of(plan, &plan->blobs.v[i].digest)] = (uint32_t)i + 1;
        plan->marks[i].used_ns = plan->blobs.v[i].mtime_ns;
        plan->marks[i].owner = UINT32_MAX;
    }
}

/* One result's blobs are being gone through. */
struct naming {
    struct gc_plan *plan;
    struct cache *cache;
    uint32_t result;
    bool sparing;
};

static struct gc_blob *name_blob(const struct naming *naming, const struct digest *digest)
{
    struct gc_plan *plan = naming->plan;
    uint32_t index = plan->slots[slot_of(plan, digest)];
    if (index == 0)
        return NULL; /* not there: the result is a miss when it comes to that */
    struct gc_blob *mark = &plan->marks[index - 1];
    int64_t used_ns = plan->results.v[naming->result].mtime_ns;
    if (naming->sparing)
        mark->spared = true;
    if (mark->owner == UINT32_MAX)
        mark->owner = naming->result;
    if (mark->used_ns < used_ns)
        mark->used_ns = used_ns;
    return mark;
}

static void name_files(void *ctx, const void *bytes, size_t n, const struct tree_dir *dir)
{
    (void)bytes;
    (void)n;
    for (size_t i = 0; i < dir->n; i++)
        if (dir->entries[i].kind == TREE_FILE)
            (void)name_blob(ctx, &dir->entries[i].digest);
}

static void name_tree(struct naming *naming, const struct digest *digest)
{
    struct buf message = BUF_INIT;
    struct gc_blob *mark = name_blob(naming, digest);
    if (!mark || (mark->opened && !naming->sparing))
        return;
    mark->opened = true;
    if (cache_peek(naming->cache, digest, TREE_MAX, &message) &&
        tree_each(buf_str(&message), message.len, name_files, naming, NULL) != 0) {
        /* Malformed: a miss, so whatever it names is not kept for its sake. */
    }
    buf_release(&message);
}

static void name_all(struct naming *naming, struct gc_origin *origin)
{
    struct arena arena = ARENA_INIT;
    struct action_result result;
    struct buf message = BUF_INIT;
    const struct cache_file *file = &naming->plan->results.v[naming->result];
    if (cache_peek_result(naming->cache, &file->digest, &message) &&
        action_result_decode(message.data, message.len, &arena, &result, NULL) == 0) {
        for (size_t i = 0; i < result.n_outputs; i++) {
            if (result.outputs[i].kind == OUTPUT_FILE)
                (void)name_blob(naming, &result.outputs[i].digest);
            else if (result.outputs[i].kind == OUTPUT_DIR)
                name_tree(naming, &result.outputs[i].digest);
        }
        if (!digest_is_null(&result.stdout_digest))
            (void)name_blob(naming, &result.stdout_digest);
        if (!digest_is_null(&result.stderr_digest))
            (void)name_blob(naming, &result.stderr_digest);
        if (origin && result.step) {
            origin->step = arena_strdup(&naming->plan->arena, result.step);
            origin->root = arena_strdup(&naming->plan->arena, result.root);
        }
    }
    arena_release(&arena);
    buf_release(&message);
}

void gc_plan_order(struct gc_plan *plan, struct cache *cache)
{
    if (plan->results.n > 0)
        qsort(plan->results.v, plan->results.n, sizeof(*plan->results.v), newest_first);
    index_blobs(plan);
    plan->origins = mem_zalloc(plan->results.n + 1, sizeof(*plan->origins));
    vec_reserve(&plan->order, plan->results.n + plan->blobs.n);
    for (uint32_t i = 0; i < plan->results.n; i++) {
        struct naming naming = {.plan = plan, .cache = cache, .result = i};
        name_all(&naming, &plan->origins[i]);
        vec_push(&plan->order, (struct gc_entry){.used_ns = plan->results.v[i].mtime_ns,
                                                 .index = i,
                                                 .kind = GC_RESULT});
    }
    for (uint32_t i = 0; i < plan->blobs.n; i++)
        vec_push(&plan->order,
                 (struct gc_entry){.used_ns = plan->marks[i].used_ns, .index = i, .kind = GC_BLOB});
    plan->loose = derived_share_out(&plan->derived, cache);
    for (uint32_t i = 0; i < plan->derived.items.n; i++)
        vec_push(&plan->order, (struct gc_entry){.used_ns = plan->derived.items.v[i].used_ns,
                                                 .index = i,
                                                 .kind = plan->derived.items.v[i].kind});
    if (plan->order.n > 0)
        qsort(plan->order.v, plan->order.n, sizeof(*plan->order.v), oldest_first);
}

void gc_plan_spare(struct gc_plan *plan, struct cache *cache, uint32_t result)
{
    struct naming naming = {.plan = plan, .cache = cache, .result = result, .sparing = true};
    name_all(&naming, NULL);
}

void gc_plan_release(struct gc_plan *plan)
{
    vec_release(&plan->results);
    vec_release(&plan->blobs);
    vec_release(&plan->order);
    derived_release(&plan->derived);
    free(plan->origins);
    free(plan->marks);
    free(plan->slots);
    arena_release(&plan->arena);
}
