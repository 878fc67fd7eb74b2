/*
 * warden_private.h - between the files of the warden: warden.c starts what kiln asks for,
 * warden_ends.c cleans up behind what has ended.
 *
 * Nothing in them allocates, uses stdio or takes a lock: the process was forked from one that may
 * have had threads. Every table is part of one mapping made before the fork, of which only what is
 * used ever becomes real memory.
 */
#ifndef KILN_RUNNERS_WARDEN_PRIVATE_H
#define KILN_RUNNERS_WARDEN_PRIVATE_H

#include "runners/kin.h"
#include "runners/launch.h"
#include "runners/warden.h"

/* While something has yet to go away: how long to wait at most before looking again. */
#define RECHECK_MS 20

/* A START that waits for its place. */
struct held {
    struct warden_request request;
    int fds[WARDEN_FDS];
};

struct warden {
    struct held held[WARDEN_HELD]; /* in the order they came */
    size_t n_held;
    uint64_t counted;
    char *shared;
    int sock, parent, signals;
    struct warden_report reports[WARDEN_REPORTS]; /* not sent yet */
    size_t n_reports;
    bool restless;      /* settle again without waiting */
    uint64_t floor_kib; /* of memory, as last looked at: what a process has that has used none */
    struct kin kin;
    char stack[LAUNCH_STACK] __attribute__((aligned(64)));
};

/* Tells kiln, once the warden would wait: what takes the place of something that has ended is
 * started before kiln is woken, and that once for both. */
void warden_tell(struct warden *w, const struct warden_report *message);

/* warden_ends.c: whether something has ended that has yet to go away. */
bool warden_any_ended(const struct warden *w);
/* Notices what has ended, kills what it left behind, reaps, and reports what is over. */
void warden_settle(struct warden *w);
/* kiln is gone, or wants no more: returns when nothing is left below us that can be killed. */
void warden_end_all(struct warden *w);

#endif
