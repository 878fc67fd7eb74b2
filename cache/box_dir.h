/*
 * box_dir.h - the directories for what an isolated step writes.
 *
 *     <cache>/v1/box/<name>        flock: its owner lives
 *     <cache>/v1/box/<name>/upper  what it wrote to its project
 *     <cache>/v1/box/<name>/...    what the runner needs besides (runners/box_root.c)
 *     <cache>/v1/box/<name>/kept   is there: kept for a look when it is not locked
 *
 * One whose owner is gone is swept by gc, at once or, kept ones, after BOX_DIR_KEPT_S. What is in
 * them may belong to users that only a nest can remove for: cache_set_remover().
 *
 * Any thread; each object by one at a time.
 */
#ifndef KILN_CACHE_BOX_DIR_H
#define KILN_CACHE_BOX_DIR_H

#include "cache/cache.h"

#define BOX_DIR_KEPT_S ((int64_t)7 * 86400)

struct box_dir;

/* Makes one, locked; its directories belong to the owner. ERR_SYSTEM when it can't be made. */
int box_dir_new(struct cache *cache, uid_t owner, gid_t group, struct box_dir **out,
                struct err *err) MUST_CHECK;
/* Takes up one that was kept, by its absolute path, so that it is not removed meanwhile. ERR_SYSTEM
 * when it is gone, or in use (EWOULDBLOCK). */
int box_dir_open(struct cache *cache, const char *path, struct box_dir **out,
                 struct err *err) MUST_CHECK;
/* Absolute. */
const char *box_dir_path(const struct box_dir *box);
/* Makes the directory at path, normalised and relative, in upper, and its parents: as if a snapshot
 * had them. Only in one of box_dir_new(), and before anybody writes there. ERR_SYSTEM when it can't
 * be made. */
int box_dir_make(const struct box_dir *box, const char *path, struct err *err) MUST_CHECK;
/* From now on it outlives its owner, for a look, by BOX_DIR_KEPT_S. False: it could not be marked,
 * and goes with its owner. */
bool box_dir_keep(struct box_dir *box);
/* Removes and frees it: it is out of the way at once, emptying it may take a while. What can't be
 * removed is left to gc. */
void box_dir_drop(struct box_dir *box);
/* Lets go of it, as if its owner had died. NULL is fine. */
void box_dir_free(struct box_dir *box);

/* Removes those whose owner died, but for kept ones that are younger than kept_s (0: all, whatever
 * the clock says), and what could not be removed before. A worker's job, once after cache_open();
 * gc does it too. */
void box_dir_sweep(struct cache *cache, int64_t kept_s);

#endif
