/*
 * cache.h - the disk cache: content by digest, action results by key, in Bazel's layout below a
 * versioned root.
 *
 *     <path>/v1/cas/xx/<sha256>   content, 0444 (executable is the tree's bit, not the blob's)
 *     <path>/v1/ac/xx/<sha256>    encoded ActionResult of the Action with that digest, sealed
 *                                 (see cache_result.c)
 *     <path>/v1/tmp/              being written; whatever is old here is an orphan and is swept
 *     <path>/v1/bad/              what did not hold what it claimed, moved aside for a look
 *     <path>/v1/lock              flock: shared by every user, exclusive for a clear of all
 *     <path>/v1/use               byte locks: what is at work just now (see cache_use.c)
 *     <path>/v1/gc                flock: one gc or verify at a time
 *     <path>/v1/size              about how much all of it takes (see cache_size.c)
 *     <path>/v1/stat/             stat caches of projects (see statcache_format.h)
 *     <path>/v1/snap/             trees as directories (see snapshot.h)
 *     <path>/v1/layers/<name>/    an image's layer, unpacked; <name>.used: its last use, and flock
 *     <path>/v1/images/blobs/     blobs of images as they were fetched, likewise
 *     <path>/v1/box/              what isolated steps write (see box_dir.h)
 *     <path>/v1/hook/              what hooks have checked out (cli/hook_checkout.c)
 *     <path>/v1/mounts/<name>/    cache directories of steps: never collected
 *
 * Integrity, not durability: written to tmp with O_EXCL while hashed, then renamed, no fsync;
 * verified (size and SHA-256) on every copy out; what does not verify is moved to bad/ and counts
 * as absent. The action result is the commit: it is put after all that it names.
 *
 * All functions may be called from any thread on the same handle. A cache that cannot be written
 * (read-only, full disk) still serves reads; puts fail with ERR_SYSTEM. Removing and checking are
 * in cache_gc.h and cache_verify.h.
 */
#ifndef KILN_CACHE_CACHE_H
#define KILN_CACHE_CACHE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cache;

/* Where the cache lies, absolute: $KILN_CACHE_DIR, else $XDG_CACHE_HOME/kiln, else
 * $HOME/.cache/kiln. New string, or NULL. */
char *cache_default_path(void);

/* Opens (and makes, when missing) the cache at path and takes the shared lock. A cache that can't
 * be made or written is opened read-only with *read_only set (the reason is then in err's text with
 * return 0, so that the caller can say it once and release it); one that can't even be read is an
 * error. Waits while another kiln clears the cache. */
int cache_open(const char *path, struct cache **out, bool *read_only, struct err *err) MUST_CHECK;
void cache_close(struct cache *cache);
const char *cache_path(const struct cache *cache);

enum cache_answer { CACHE_MISS, CACHE_HIT };

/* Stores bytes / what the descriptor holds from offset 0 for size bytes, or to its end for
 * UINT64_MAX; *out is its digest. Already there = done (and touched). ERR_SYSTEM when it cannot be
 * written, or read; ERR_CORRUPT when the file ends before size. */
int cache_put(struct cache *cache, const void *bytes, size_t n, struct digest *out,
              struct err *err) MUST_CHECK;
int cache_put_fd(struct cache *cache, int fd, uint64_t size, struct digest *out,
                 struct err *err) MUST_CHECK;
bool cache_has(const struct cache *cache, const struct digest *digest);
/* Reads a blob into buf, verified; more than max bytes is an error. */
int cache_get(struct cache *cache, const struct digest *digest, size_t max, struct buf *buf,
              enum cache_answer *answer, struct err *err) MUST_CHECK;
/* Opens a blob for reading, verified; *fd is the caller's, at its beginning. For logs. */
int cache_open_blob(struct cache *cache, const struct digest *digest, int *fd,
                    enum cache_answer *answer, struct err *err) MUST_CHECK;
/* Makes the file name in the directory dirfd with the blob's content, verified while copying: a
 * temporary name beside it, then rename over what is there. A copy, never a link into the cache. */
int cache_copy_out(struct cache *cache, const struct digest *digest, int dirfd, const char *name,
                   bool executable, enum cache_answer *answer, struct err *err) MUST_CHECK;

/* Adds the encoded ActionResult stored under that key to buf. What is damaged, or was stored under
 * another key, is quarantined and counts as a miss; so on a hit action_result_decode() succeeds. */
int cache_get_action(struct cache *cache, const struct digest *key, struct buf *buf,
                     enum cache_answer *answer, struct err *err) MUST_CHECK;
/* Whether something is stored under that key (and touches it); it is not read. */
bool cache_has_action(const struct cache *cache, const struct digest *key);
int cache_put_action(struct cache *cache, const struct digest *key, const void *bytes, size_t n,
                     struct err *err) MUST_CHECK;

/* Brackets a commit (from its first put to the action result) or a restore: what is touched
 * meanwhile is not collected by any process. Nests; counted a handle. */
void cache_use_begin(struct cache *cache);
void cache_use_end(struct cache *cache);

/* While on, whoever copies a large file into the cache or out of it gives up with ECANCELED, and
 * nothing half-made stays: what it is for is being ended. Any thread. */
void cache_give_up(struct cache *cache, bool on);

/* Removes what is at an absolute path, whatever it is, as file_remove_tree() does. Image layers and
 * what boxes wrote may belong in part to users for whom only a nest can do that; so who has one
 * says so right after cache_open(). Called by whatever thread removes. */
typedef int cache_remove_fn(void *ctx, const char *path, struct err *err);
void cache_set_remover(struct cache *cache, cache_remove_fn *remove, void *ctx);

struct cache_stats {
    uint64_t blobs, bytes, actions; /* bytes: of content */
    uint64_t snapshots, images;     /* images: their blobs and layers */
    /* What each takes, in blocks; disk_bytes: all of the above, which is what is limited. */
    uint64_t snapshot_bytes, image_bytes, disk_bytes;
    uint64_t limit_bytes;            /* for disk_bytes; 0 = no limit */
    uint64_t box_bytes, mount_bytes; /* what steps wrote and was kept; their cache directories */
};
int cache_stats(struct cache *cache, struct cache_stats *out, struct err *err) MUST_CHECK;

/* How much the cache may take on its disk. */
struct cache_limits {
    uint64_t limit;   /* 0 = no limit: $KILN_CACHE_SIZE, else a tenth of the disk, at most 20 GiB */
    uint64_t missing; /* for 5 % of the disk to be free */
    uint64_t floor;   /* the cache is not made smaller than this because of what is missing: what
                         others fill must not cost all of it */
};
/* ERR_USAGE when KILN_CACHE_SIZE is no size; *out then has the default. */
int cache_limits(struct cache *cache, struct cache_limits *out, struct err *err) MUST_CHECK;

#endif
