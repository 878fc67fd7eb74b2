/*
 * snapshot.h - directory trees as directories on the disk that never change, kept by digest: what
 * an isolated step sees of its project.
 *
 *     <cache>/v1/snap/<boot>/       of one boot of the system (see snapshot_place.c)
 *         pool/xx/<sha256>-<place>  a file's content, for one path, 0644; with .x: the same, 0755
 *         tree/<sha256>/            the tree with that digest (of its root Directory)
 *             root/                 what is presented
 *             meta                  what it is (see snapshot_meta.c); its lock and last use
 *         last/<sha256>             a link whose target is the digest presented last to a name
 *
 * root/ is either the whole tree, its files hard links into the pool, or a delta: what differs from
 * another tree that is there (its base), as an overlay's layer, with whiteouts for what is gone. So
 * a tree is presented as a list of directories, to be an overlay's lower ones, and one like another
 * costs what differs. Pool files are inodes of their own, copied once and verified while copied:
 * from the working tree's file at the same path where that still holds it, else from the content
 * that the cache stores. Every file and directory has one fixed modification time
 * (SNAPSHOT_MTIME), because what a step does must not depend on when its snapshot was made.
 *
 * Whoever has a struct snapshot holds a lock on each of its directories, so gc and clear, of any
 * process, leave them alone; a killed process holds nothing. A half-made one is never seen.
 *
 * Threads: snapshot_find() and snapshot_request_new() are for the loop thread, snapshot_make() for
 * a worker, the rest for any, one at a time for each object. Any number of requests may be under
 * way; but for two trees that are much alike it is a good deal faster to begin the second when the
 * first one is made, since it is then a delta.
 */
#ifndef KILN_CACHE_SNAPSHOT_H
#define KILN_CACHE_SNAPSHOT_H

#include "cache/cache.h"
#include "cache/tree.h"

#include <stdatomic.h>
#include <sys/types.h>

/* 2000-01-01T00:00:00Z */
#define SNAPSHOT_MTIME ((time_t)946684800)

struct snapshot;
struct snapshot_request;

/* Counts up while one is made, for a view; read at any time from any thread. */
struct snapshot_progress {
    atomic_uint_fast64_t files, all_files; /* put into place; to be put, once that is known */
    atomic_uint_fast64_t bytes;            /* copied into the pool */
};

struct snapshot_options {
    const char *root; /* absolute: the project's working tree; NULL: stored content alone */
    /* Who asks, among all that ask for that root (a step's name): what was presented to it last is
     * what this one is likely to be near to. NULL: nobody in particular. */
    const char *name;
    /* Whom files and directories belong to: what uid 0 of the nest is outside. Made ours
     * (geteuid()) where these are the same, which needs no privilege. */
    uid_t owner;
    gid_t group;
    struct snapshot_progress *progress; /* NULL, or outlives the request */
    const atomic_bool *stop;            /* NULL, or outlives the request: once true, gives up */
};

/* The snapshot of that tree when it is there, held; else NULL. A few system calls whatever the size
 * of the tree. One that was made for another owner does not count. */
struct snapshot *snapshot_find(struct cache *cache, const struct digest *root,
                               const struct snapshot_options *options);

/* All that a worker needs to make it: Directory messages are copied, but for those that a snapshot
 * near to it has already. ERR_CORRUPT when a Directory is not in the store. */
int snapshot_request_new(struct cache *cache, const struct trees *trees, const struct digest *root,
                         const struct snapshot_options *options, struct snapshot_request **out,
                         struct err *err) MUST_CHECK;
void snapshot_request_free(struct snapshot_request *request);

enum snapshot_answer {
    SNAPSHOT_READY,
    /* The content of a file is neither stored nor what the working tree has at its path (any more):
     * snapshot_request_changed() names it. Take the inputs' digests again; where that gives the
     * same digest, it was an output of another step that was removed from the cache. */
    SNAPSHOT_CHANGED,
    /* What another snapshot was to contribute is damaged; that one is gone now. Make the request
     * anew. Never twice in a row but for a disk that fails. */
    SNAPSHOT_AGAIN,
};

/* Makes the snapshot, or finds it made meanwhile; on SNAPSHOT_READY *out is the caller's.
 * ERR_SYSTEM when it can't be written; ERR_CANCELLED when told to stop (by the options, or
 * cache_give_up()). */
int snapshot_make(struct snapshot_request *request, enum snapshot_answer *answer,
                  struct snapshot **out, struct err *err) MUST_CHECK;
/* After SNAPSHOT_CHANGED: the path, below the root; the request's. */
const char *snapshot_request_changed(const struct snapshot_request *request);

/* The directories to lay over one another, absolute, the lowest first; *n is at least 1 and at most
 * SNAPSHOT_LAYERS_MAX. Live as long as the snapshot. To be mounted with "userxattr". */
#define SNAPSHOT_LAYERS_MAX 5
const char *const *snapshot_dirs(const struct snapshot *snapshot, size_t *n);
const struct digest *snapshot_digest(const struct snapshot *snapshot);
/* Nothing uses its directories any more. NULL is fine. */
void snapshot_release(struct snapshot *snapshot);

#endif
