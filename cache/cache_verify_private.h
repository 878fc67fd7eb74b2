/*
 * cache_verify_private.h - what the two files that check the disk cache share.
 *
 * Private to cache_verify.c and cache_verify_snapshots.c.
 */
#ifndef KILN_CACHE_VERIFY_PRIVATE_H
#define KILN_CACHE_VERIFY_PRIVATE_H

#include "base/map.h"
#include "cache/cache_private.h"
#include "cache/cache_verify.h"

#define VERIFY_ASIDE   "set aside"
#define VERIFY_REMOVED "removed"
#define VERIFY_LEFT    "left as it is: the cache can't be written"

/* A file of the snapshots' pool. */
struct verify_pool_file {
    char *rel; /* below v1 */
    uint64_t size;
};

struct verify {
    struct cache *cache;
    struct verify_report *report;
    pthread_mutex_t mutex; /* guards the report and the arena while there are threads */
    cache_files blobs, results;
    VEC(struct verify_pool_file) pool;
    verify_progress_cb *progress;
    void *ctx;
    atomic_size_t next;
    atomic_uint_fast64_t done;
    uint64_t all;
    struct map trees; /* digest and size -> whether it names only what is there */
};

/* Notes a finding about <sub>/<name> below v1. Any thread. */
void verify_found(struct verify *v, const char *sub, const char *name, const char *problem,
                  const char *done);

/* Lists the pool's files; removes what is none. */
void verify_list_pool(struct verify *v);
/* Checks one by its content. Any thread. */
void verify_pool_file(struct verify *v, struct hasher *hasher, const struct verify_pool_file *file);
/* Checks that snapshots are the trees that they claim to be; after the pool. */
void verify_snapshots(struct verify *v);

#endif
