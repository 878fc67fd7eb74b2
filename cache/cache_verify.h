/*
 * cache_verify.h - reading all of the disk cache, and mending what is wrong in it.
 *
 * Whatever is not what it claims is set aside in bad/ (a stat cache, or what is of a snapshot:
 * removed, it is made anew), so that it is a miss and made again. Others may work meanwhile, but
 * for gc, which waits.
 */
#ifndef KILN_CACHE_VERIFY_H
#define KILN_CACHE_VERIFY_H

#include "base/arena.h"
#include "base/vec.h"
#include "cache/cache.h"

struct verify_finding {
    const char *name;    /* below v1, in bytes of any kind */
    const char *problem; /* what is wrong with it */
    const char *done;    /* what was done about it */
};

struct verify_report {
    struct arena arena;
    VEC(struct verify_finding) findings; /* by name within blobs, results, snapshots, stat caches */
    struct cache_stats checked;          /* bytes: all that was read */
    uint64_t stat_caches;
    uint64_t aside; /* files that lay in bad/ before */
};

/* Called now and then from the calling thread. */
typedef void verify_progress_cb(void *ctx, uint64_t bytes, uint64_t all_bytes);

/* ERR_SYSTEM when the cache's directories can't be read. Release the report in any case. */
int cache_verify(struct cache *cache, verify_progress_cb *progress, void *ctx,
                 struct verify_report *report, struct err *err) MUST_CHECK;
void verify_report_release(struct verify_report *report);

#endif
