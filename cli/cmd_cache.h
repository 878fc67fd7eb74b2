/*
 * cmd_cache.h - what the files of kiln cache share.
 *
 * Private to cmd_cache*.c. The functions print what they found on standard output; main thread.
 */
#ifndef KILN_CLI_CMD_CACHE_H
#define KILN_CLI_CMD_CACHE_H

#include "cache/cache_gc.h"
#include "cli/cli.h"

/* "56 results, 1234 blobs, 4.1 MiB" (on the disk) */
void cache_add_amount(const struct cache_stats *stats, struct buf *out);
/* ", limit 20 GiB" */
void cache_add_limit(const struct cache_stats *stats, struct buf *out);

/* Asks on the terminal; anything but a yes is a no. */
bool cache_ask(const char *text);

/* The cache directories of steps: a line each; "mounts" and its value. */
void cache_add_mounts(struct cache *cache, struct buf *out);
void cache_add_mounts_json(struct cache *cache, struct buf *out);
/* kiln cache clear --caches */
int cache_clear_mounts(struct cache *cache, const struct options *options,
                       struct err *err) MUST_CHECK;

int cache_show_gc(struct cache *cache, const struct options *options, struct err *err) MUST_CHECK;
/* *all_right is false when something was found. */
int cache_show_verify(struct cache *cache, const struct options *options, bool *all_right,
                      struct err *err) MUST_CHECK;

#endif
