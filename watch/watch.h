/*
 * watch.h - what changed below a set of directories, with a clock: raw inotify(7) on a libuv loop.
 *
 * The clock is (epoch, tick), never time. Each event moves the tick, which never goes back; losing
 * events (queue overflow, a mount, an unmount, the root replaced) moves it too and begins a new
 * epoch, after which the owner must look at everything again. A barrier reads what the kernel has
 * queued by then: events are queued within the system calls that make the changes, so when it is
 * answered, every change that was finished before the barrier was asked for has been reported.
 *
 * The watch knows directories by the ids of its owner (dense small integers; tables are indexed by
 * them). It reports names, not meanings: the owner decides what to stat. Where the kernel refuses a
 * watch (fs.inotify.max_user_watches), the directory is polled instead and that is announced once.
 * Of a polled directory only "something in it" is reported (name NULL), and once after its first
 * look in any case; what happens in its subdirectories is not.
 *
 * A directory moved away keeps its watch and goes on being reported under its id until the owner
 * removes that; the move itself is reported as an event of the entry in its parent and of itself.
 * One inode under several ids is reported under each.
 *
 * Ownership: opaque; watch_close() closes its handles on the loop and frees it after its callback.
 * Loop thread only. Every function but watch_new() may be called from every callback.
 *
 * Invariants: no callback after watch_close() but its own. Callbacks come from the loop only, never
 * from inside a call of one of these functions. A rescan is told before a barrier is answered with
 * its epoch.
 */
#ifndef KILN_WATCH_WATCH_H
#define KILN_WATCH_WATCH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct watch;

struct watch_clock {
    uint64_t epoch, tick;
};

enum watch_what {
    WATCH_CHANGED,   /* in whatever way; there may be more to come */
    WATCH_WRITTEN,   /* somebody who wrote to it has closed it, or it was moved here */
    WATCH_DIRECTORY, /* it is a directory, as the kernel says */
};

struct watch_callbacks {
    /* Something happened to entry name of directory dir (created, removed, moved, written,
     * attributes). name NULL: to the directory itself or to an unknown part of it. name is valid
     * during the call. */
    void (*entry)(void *ctx, uint32_t dir, const char *name, enum watch_what what, uint64_t tick);
    /* Events were lost: a new epoch has begun and everything must be looked at again, which begins
     * with watch_add() of every directory. reason: "queue overflow", "root replaced", "unmounted"
     * ... Called once for a burst of losses. */
    void (*rescan)(void *ctx, const char *reason, struct watch_clock clock);
    /* Said once per kind (no watches left, no inotify at all, another refusal): n directories so
     * far can't be watched and are polled; reason has the limit and the remedy. */
    void (*degraded)(void *ctx, const char *reason);
    /* The root directory itself was removed or moved away; a new epoch has begun. Should a
     * directory appear there again, a rescan ("root replaced") tells, unless the owner has removed
     * the root. */
    void (*root_gone)(void *ctx);
};

struct watch_options {
    const char *root;   /* absolute; ids' paths are relative to it; the id with path "" is it */
    uint64_t poll_ms;   /* interval for polled directories; 0 = 1000 */
    size_t max_watches; /* 0 = no limit but the kernel's; for tests of polling */
};

/* Makes a watch that watches nothing yet; options are copied. Fails with ERR_SYSTEM when the root
 * can't be resolved or the loop refuses. Inotify being refused is no failure: everything is polled.
 */
int watch_new(uv_loop_t *loop, const struct watch_options *options,
              const struct watch_callbacks *callbacks, void *ctx, struct watch **out,
              struct err *err) MUST_CHECK;
/* Closes at any moment, also from a callback and with a look at polled directories under way.
 * Barriers that were not answered are dropped without a call. closed (may be NULL) is called on the
 * loop when the watch has been freed. */
void watch_close(struct watch *watch, void (*closed)(void *ctx), void *ctx);

/* Watches (or polls) the directory; call it before reading the directory. Calling it again for an
 * id renews the watch at that path. A directory that is already gone, or can't be read, is no error
 * and is not watched: the entry callback for its parent tells. */
void watch_add(struct watch *watch, uint32_t dir, const char *path);
/* Ends the watch of the id; nothing is reported under it any more. An unknown id is fine. */
void watch_remove(struct watch *watch, uint32_t dir);

typedef void watch_barrier_cb(void *ctx, struct watch_clock clock);
/* Calls back on the loop once everything that happened before this call has been reported; with
 * polled directories that takes a whole look at all of them. Barriers are answered in the order
 * they were asked for. */
void watch_barrier(struct watch *watch, watch_barrier_cb *cb, void *ctx);
/* What watch_barrier() would answer if nothing was under way; moves with each report. */
struct watch_clock watch_clock_now(const struct watch *watch);

struct watch_counts {
    uint64_t watched, polled; /* ids */
    uint64_t events;          /* that moved the tick */
};
struct watch_counts watch_counts(const struct watch *watch);

#endif
