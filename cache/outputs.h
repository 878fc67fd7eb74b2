/*
 * outputs.h - taking a step's declared outputs into the cache, and putting them back byte for byte.
 *
 * Both are self-contained jobs for a worker thread: they touch the file system and the cache,
 * nothing else. Files, directories (empty ones too), symbolic links (never followed) and the
 * executable bit are kept; modes otherwise follow the umask.
 */
#ifndef KILN_CACHE_OUTPUTS_H
#define KILN_CACHE_OUTPUTS_H

#include "base/arena.h"
#include "cache/action.h"
#include "cache/cache.h"

/* Takes the n paths below the directory root into the cache; *outputs (in the arena, sorted by
 * path) describes them. An output that is not there, or is or holds a FIFO, socket or device or a
 * name that is not UTF-8, or lies behind a symbolic link in one of its parents: ERR_CONFIG naming
 * it. A file or directory that changes while it is read: ERR_CORRUPT. bytes is the sum of sizes
 * (may be NULL). A NULL cache: only digests are taken, nothing is stored. */
int outputs_capture(struct cache *cache, const char *root, const char *const *paths, size_t n,
                    struct arena *arena, struct action_output **outputs, uint64_t *bytes,
                    struct err *err) MUST_CHECK;

/* Puts the n outputs into place below root: what is already equal is left alone (mtime kept), what
 * stands in the way or is not part of a directory output is removed, parents are made. Never writes
 * through a symbolic link. CACHE_MISS when a blob is absent or damaged: then something may already
 * have been restored, but each file is whole, old or new. A parent that is a symbolic link or a
 * file is not kiln's to remove: ERR_CONFIG naming it. */
int outputs_restore(struct cache *cache, const char *root, const struct action_output *outputs,
                    size_t n, enum cache_answer *answer, struct err *err) MUST_CHECK;

/* Makes the directories below root that the n paths are to lie in, and none for the paths
 * themselves. Where that cannot be, because a symbolic link or a file stands there, say, all is
 * left to who wants to write there. Any thread. */
void outputs_make_parents(const char *root, const char *const *paths, size_t n);

/* One digest over the stats of the n paths below root and of all that lies below them: another one
 * says that somebody touched them in between. as_of_ns is when the first of those that are compared
 * was begun (CLOCK_REALTIME): of files that were too young then to be told apart by stats the
 * content counts. Any thread. */
struct digest outputs_stamp(const char *root, const char *const *paths, size_t n, int64_t as_of_ns);

#endif
