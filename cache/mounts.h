/*
 * mounts.h - cache directories of steps: kept from run to run, outside of every key.
 *
 *     <cache>/v1/mounts/<name>~<project>[~<n>]/data    what the step finds at its path
 *     <cache>/v1/mounts/<name>~<project>[~<n>].used    its time is the last use; flock: who uses
 *                                                      it; its content the project's path
 *
 * Each project has its own, so that what one leaves behind cannot reach another: <project> is the
 * beginning of the SHA-256 of its path. <n> is a further copy, for those who want one for
 * themselves at the same time. A step may be anybody inside of its box, so data is open to all, and
 * the directory around it closed to all but its owner.
 *
 * Who uses one holds the flock, so what is being cleared is never given out. Any thread; each
 * object by one at a time.
 */
#ifndef KILN_CACHE_MOUNTS_H
#define KILN_CACHE_MOUNTS_H

#include "cache/cache.h"

enum mount_sharing {
    MOUNT_SHARED,  /* together with others who share it */
    MOUNT_PRIVATE, /* the first copy that nobody has */
    MOUNT_LOCKED,  /* alone */
};

struct mount_request {
    const char *root; /* the project's path, absolute */
    const char *name; /* letters, digits, "._-" */
    enum mount_sharing sharing;
    uid_t owner; /* whom its directories belong to: the nest's */
    gid_t group;
};

struct mount;

/* Takes it, making it when there is none. *out is NULL when somebody has it, in the way that does
 * not go with this one. ERR_SYSTEM when it can't be made. */
int mount_open(struct cache *cache, const struct mount_request *request, struct mount **out,
               struct err *err) MUST_CHECK;
/* Absolute: what to put at the step's path. */
const char *mount_dir(const struct mount *mount);
/* It is free for others. NULL is fine. */
void mount_close(struct mount *mount);

#endif
