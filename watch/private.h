/*
 * private.h - what the files of watch/ share; nothing outside this folder includes it.
 *
 *     watch.c        making, closing, adding and removing directories, the epoch, the root
 *     events.c       reading inotify and handing events out
 *     barrier.c      barriers
 *     mounts.c       file systems that come and go in the tree
 *     poll.c         directories that could not be watched (loop side)
 *     fingerprint.c  the same, the part that runs on a worker thread
 *     wd_table.c     watch descriptor -> slot
 *
 * Ownership: struct watch owns everything below it; it dies when all its handles are closed and no
 * pass of polling is under way. Thread: the loop's, except for fingerprint_work().
 *
 * Invariants: a slot is watched (wd >= 0), polled (polled > 0), or neither, never both. Every call
 * into the owner may add, remove, ask for a barrier or close: nothing here holds a pointer into a
 * growing table across one, and everything looks at closing after one.
 */
#ifndef KILN_WATCH_PRIVATE_H
#define KILN_WATCH_PRIVATE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/vec.h"
#include "watch/watch.h"
#include "watch/wd_table.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/stat.h>

/* The first slot is the watch's own; directory id n of the owner has slot n + SLOT_FIRST. */
enum { SLOT_PARENT = 0, SLOT_FIRST = 1 };
#define SLOT_NONE WD_TABLE_NONE

/* What a watch on a directory of the owner reports. */
#define DIR_MASK                                                                        \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_MODIFY | \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)

struct slot {
    int wd;          /* -1 = not watched */
    uint32_t next;   /* the next slot with the same wd (one inode under several names) */
    uint32_t polled; /* index + 1 into the polled directories, 0 = not polled */
};

/* --- polling ------------------------------------------------------------------------------- */

/* What one look at a directory found. */
struct fingerprint {
    uint64_t sum; /* of its entries, in any order */
    bool gone;    /* there is no such directory, or it can't be read */
    bool racy;    /* something in it changed so lately that a further change might look equal */
};

struct polled {
    uint32_t slot;
    uint64_t serial; /* tells this entry from an earlier one of the same slot */
    char *path;
    bool known; /* last holds what the last pass found */
    struct fingerprint last;
};

/* One look at all polled directories: self-contained, so that the worker touches nothing else. */
struct poll_pass {
    uv_work_t work;
    struct watch *watch; /* for the loop side only */
    uint64_t number;
    atomic_bool stop;
    char *root;
    struct poll_item {
        uint32_t slot;
        uint64_t serial;
        size_t path; /* offset into paths */
        struct fingerprint found;
    } * items;
    size_t n_items;
    struct buf paths; /* NUL-terminated strings */
};

/* Fills in found of every item; runs on a worker thread. Stops early when stop is set. */
void fingerprint_work(struct poll_pass *pass);

/* --- barriers ------------------------------------------------------------------------------ */

struct waiter {
    watch_barrier_cb *cb;
    void *ctx;
};

/* The barriers asked for in one turn of the loop. */
struct barrier_group {
    struct barrier_group *next;
    uint64_t pass; /* the pass of polling that must have ended, 0 = none */
    VEC(struct waiter) waiters;
};

enum degraded_kind { DEGRADED_LIMIT, DEGRADED_INSTANCES, DEGRADED_OTHER, DEGRADED_KINDS };

struct watch {
    uv_loop_t *loop;
    struct watch_callbacks callbacks;
    void *ctx;
    char *root;
    uint64_t poll_ms;
    size_t max_watches;

    int fd;       /* -1: no inotify, everything is polled */
    int fd_errno; /* why fd is -1 */
    uv_poll_t poll;
    uv_idle_t idle; /* runs once in a turn that has something left for its end */
    uv_timer_t poll_timer;
    unsigned n_open; /* handles, and the pass under way, that closing waits for */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;

    struct watch_clock clock;
    uint64_t events;
    bool rescan_due;
    char rescan_reason[256];
    struct {
        bool due, said;
        int errnum;
    } degraded[DEGRADED_KINDS];

    struct wd_table wds; /* -> the first slot of a list */
    VEC(struct slot) slots;
    uint32_t cursor; /* the slot that gets the present event next */
    size_t n_watched;
    struct buf scratch; /* for paths */

    int mounts_fd; /* -1: no table of mounts to be had */
    uv_poll_t mounts_poll;
    struct digest mounts; /* of its lines that concern the root */

    uint32_t root_slot;
    bool root_known, root_lost;
    dev_t root_dev;
    ino_t root_ino;

    struct barrier_group *asked;                /* in this turn */
    struct barrier_group *flight, **flight_end; /* wait for polling at the most */

    VEC(struct polled) polled;
    uint64_t next_serial;
    struct poll_pass *pass; /* under way */
    uint64_t passes_begun, passes_done;

    alignas(struct inotify_event) char buffer[64 * 1024];
};

/* watch.c */
/* Makes the kernel watch path for the slot, adding to what its inode may be watched for already;
 * returns 0 or errno. The slot keeps nothing of an earlier watch either way. */
int watch_link(struct watch *watch, uint32_t slot, const char *path, uint32_t mask);
/* Takes the slot off its watch, which ends with its last slot. */
void watch_unlink(struct watch *watch, uint32_t slot);
/* Begins a new epoch; the rescan is told once, before the next barrier is answered. */
void watch_begin_epoch(struct watch *watch, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Calls the rescan callback if one is due. */
void watch_tell_rescan(struct watch *watch);
/* Looks whether the root is still the directory that it was. */
void watch_check_root(struct watch *watch);
/* To be called when a handle or a pass has ended after watch_close(). */
void watch_part_closed(struct watch *watch);
/* Has the end of the turn do what is due. */
void watch_wake(struct watch *watch);

/* events.c */
/* Reads and hands out events until there are none, or so many bytes of them were read. */
void watch_read_events(struct watch *watch, size_t bytes);

/* barrier.c */
/* Reports all that happened before now, for the barriers asked for; those that are ready are left
 * to be answered. */
void watch_barrier_issue(struct watch *watch);
/* Answers all barriers that have what they wait for. */
void watch_barrier_answer(struct watch *watch);
/* Drops all barriers without a call. */
void watch_barrier_release(struct watch *watch);

/* mounts.c */
/* Begins to follow the table of mounts. One that can't be had is no failure. */
void watch_mounts_open(struct watch *watch);
/* Looks whether it has changed. */
void watch_mounts_check(struct watch *watch);

/* poll.c */
void watch_poll_add(struct watch *watch, uint32_t slot, const char *path);
void watch_poll_remove(struct watch *watch, uint32_t slot);
/* Asks for a pass that begins after now; returns its number. */
uint64_t watch_poll_request(struct watch *watch);
void watch_poll_timeout(uv_timer_t *timer);
/* The polled directories changed in number: starts or stops the timer. */
void watch_poll_schedule(struct watch *watch);
/* Tells the pass under way, if any, to end soon. */
void watch_poll_stop(struct watch *watch);
void watch_poll_release(struct watch *watch);

#endif
