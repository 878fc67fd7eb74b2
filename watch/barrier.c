/*
 * A barrier empties the queue. The kernel queues an event within the system call that makes the
 * change, so whatever was finished before the queue's length is asked for lies within that length;
 * what comes meanwhile stands behind it, and so cannot keep a barrier waiting.
 */
#include "watch/private.h"

#include <stdlib.h>
#include <sys/ioctl.h>

static void group_free(struct barrier_group *group)
{
    vec_release(&group->waiters);
    free(group);
}

void watch_barrier(struct watch *watch, watch_barrier_cb *cb, void *ctx)
{
    if (watch->closing)
        return;
    if (!watch->asked)
        watch->asked = mem_zalloc(1, sizeof(*watch->asked));
    vec_push(&watch->asked->waiters, (struct waiter){cb, ctx});
    watch_wake(watch);
}

void watch_barrier_issue(struct watch *watch)
{
    struct barrier_group *group = watch->asked;
    if (!group || watch->closing)
        return;
    watch->asked = NULL;
    *watch->flight_end = group;
    watch->flight_end = &group->next;
    if (watch->polled.n)
        group->pass = watch_poll_request(watch);
    watch_mounts_check(watch);
    int n = 0;
    if (watch->fd >= 0 && ioctl(watch->fd, FIONREAD, &n) == 0 && n > 0)
        watch_read_events(watch, (size_t)n);
}

void watch_barrier_answer(struct watch *watch)
{
    while (!watch->closing && watch->flight && watch->flight->pass <= watch->passes_done) {
        watch_tell_rescan(watch);
        if (watch->closing)
            return;
        struct barrier_group *group = watch->flight;
        watch->flight = group->next;
        if (!watch->flight)
            watch->flight_end = &watch->flight;
        for (size_t i = 0; i < group->waiters.n && !watch->closing; i++)
            group->waiters.v[i].cb(group->waiters.v[i].ctx, watch->clock);
        group_free(group);
    }
}

void watch_barrier_release(struct watch *watch)
{
    if (watch->asked)
        group_free(watch->asked);
    watch->asked = NULL;
    while (watch->flight) {
        struct barrier_group *group = watch->flight;
        watch->flight = group->next;
        group_free(group);
    }
    watch->flight_end = &watch->flight;
}
