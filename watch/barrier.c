/*
 * The cookie of a barrier is an empty file made, and removed at once, in the cookie directory: that
 * it was created stays in the queue behind everything that happened before. Where no file can be
 * made (a full disk, a read-only or vanished directory) a watch on an inode of our own is begun and
 * ended instead: the kernel queues IN_IGNORED with its descriptor, which needs no disk. It is the
 * second choice because it takes a free watch every time, which may be what there is none of.
 */
#include "watch/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COOKIE_MS = 2000, READS_AT_TIMEOUT = 128 };

static int watch_cookie_dir(struct watch *watch)
{
    if (watch->slots.v[SLOT_COOKIE].wd >= 0)
        return 0;
    if (mkdir(watch->cookie_dir, 0700) && errno != EEXIST)
        return errno;
    return watch_link(watch, SLOT_COOKIE, watch->cookie_dir,
                      IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

void watch_barrier_init(struct watch *watch)
{
    watch->flight_end = &watch->flight;
    /* Other programs, also in other pid namespaces, may use the same directory. */
    snprintf(watch->cookie_prefix, sizeof(watch->cookie_prefix), "kiln-cookie-%ld-%" PRIx64 "-",
             (long)getpid(), uv_hrtime());
    /* Early, while there are watches to be had; a failure shows, and is dealt with, at a barrier.
     */
    if (watch->fd >= 0)
        (void)watch_cookie_dir(watch);
}

/* --- cookies ------------------------------------------------------------------------------- */

static int make_file(struct watch *watch, uint64_t *cookie)
{
    int errnum = 0;
    for (int attempt = 0; attempt < 3; attempt++) {
        errnum = watch_cookie_dir(watch);
        if (errnum)
            return errnum;
        *cookie = ++watch->next_cookie;
        buf_reset(&watch->scratch);
        buf_addf(&watch->scratch, "%s/%s%" PRIu64, watch->cookie_dir, watch->cookie_prefix,
                 *cookie);
        const char *path = buf_str(&watch->scratch);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0) {
            unlink(path);
            close(fd);
            return 0;
        }
        errnum = errno;
        if (errnum == ENOENT)
            watch_unlink(watch, SLOT_COOKIE); /* vanished: to be made anew */
        else if (errnum != EEXIST)
            break;
    }
    return errnum;
}

static int make_mark(struct watch *watch, int *mark)
{
    if (watch->mark_fd < 0)
        watch->mark_fd = memfd_create("kiln-barrier", MFD_CLOEXEC);
    if (watch->mark_fd < 0)
        return errno;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", watch->mark_fd);
    int wd = inotify_add_watch(watch->fd, path, IN_DELETE_SELF);
    if (wd < 0)
        return errno;
    *mark = wd;
    return inotify_rm_watch(watch->fd, wd) ? errno : 0;
}

/* --- groups -------------------------------------------------------------------------------- */

static struct barrier_group *group_new(void)
{
    struct barrier_group *group = mem_zalloc(1, sizeof(*group));
    group->mark = -1;
    return group;
}

static void group_free(struct barrier_group *group)
{
    vec_release(&group->waiters);
    free(group);
}

/* The timer runs only while a cookie is under way. */
static void arm(struct watch *watch)
{
    const struct barrier_group *group = watch->flight;
    while (group && group->seen)
        group = group->next;
    if (!group) {
        uv_timer_stop(&watch->cookie_timer);
        return;
    }
    uint64_t now = uv_now(watch->loop);
    uv_timer_start(&watch->cookie_timer, watch_barrier_timeout,
                   group->deadline > now ? group->deadline - now : 0, 0);
}

void watch_barrier(struct watch *watch, watch_barrier_cb *cb, void *ctx)
{
    if (watch->closing)
        return;
    if (!watch->asked)
        watch->asked = group_new();
    vec_push(&watch->asked->waiters, (struct waiter){cb, ctx});
    /* The cookie is made at the end of the turn: one for all barriers that the turn asks for, and
     * none of them is asked for after its cookie was made. */
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
    uv_update_time(watch->loop);
    if (!group->deadline)
        group->deadline = uv_now(watch->loop) + COOKIE_MS;
    if (!watch->n_watched) {
        group->seen = true; /* no event could come before it */
    } else {
        int errnum = make_file(watch, &group->cookie);
        if (errnum && make_mark(watch, &group->mark)) {
            watch_begin_epoch(watch, "no cookie can be made in %s: %s", watch->cookie_dir,
                              strerror(errnum));
            for (struct barrier_group *g = watch->flight; g; g = g->next)
                g->seen = true; /* the new epoch answers those before it too */
        }
    }
    if (watch->polled.n)
        group->pass = watch_poll_request(watch);
    arm(watch);
}

void watch_barrier_answer(struct watch *watch)
{
    while (!watch->closing && watch->flight && watch->flight->seen &&
           watch->flight->pass <= watch->passes_done) {
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

/* The queue is in order: this cookie seen, those before it were. */
static void seen_up_to(struct watch *watch, const struct barrier_group *last)
{
    struct barrier_group *group = watch->flight;
    while (group != last) {
        group->seen = true;
        group = group->next;
    }
    group->seen = true;
    arm(watch);
    watch_barrier_answer(watch);
}

void watch_barrier_cookie_seen(struct watch *watch, const char *name)
{
    size_t n = strlen(watch->cookie_prefix);
    if (strncmp(name, watch->cookie_prefix, n) != 0)
        return;
    uint64_t cookie = strtoull(name + n, NULL, 10);
    for (struct barrier_group *group = watch->flight; group; group = group->next) {
        if (!group->seen && group->mark < 0 && group->cookie == cookie) {
            seen_up_to(watch, group);
            return;
        }
    }
}

void watch_barrier_mark_seen(struct watch *watch, int wd)
{
    for (struct barrier_group *group = watch->flight; group; group = group->next) {
        if (!group->seen && group->mark == wd) {
            seen_up_to(watch, group);
            return;
        }
    }
}

void watch_barrier_reissue(struct watch *watch)
{
    struct barrier_group **at = &watch->flight;
    while (*at && (*at)->seen)
        at = &(*at)->next;
    struct barrier_group *lost = *at;
    if (!lost)
        return;
    *at = NULL;
    watch->flight_end = at;
    struct barrier_group *more = lost->next;
    struct barrier_group *asked = watch->asked;
    /* All of them become one, which keeps the deadline of the oldest: losing again and again ends.
     */
    while (more || asked) {
        struct barrier_group *from = more ? more : asked;
        if (more)
            more = more->next;
        else
            asked = NULL;
        vec_each (struct waiter, waiter, &from->waiters)
            vec_push(&lost->waiters, *waiter);
        group_free(from);
    }
    lost->next = NULL;
    lost->mark = -1;
    lost->pass = 0;
    watch->asked = lost;
    arm(watch);
    watch_wake(watch);
}

void watch_barrier_timeout(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    /* After a long stop of the whole program (^Z) the timer runs before the cookie is read. */
    watch_read_events(watch, READS_AT_TIMEOUT);
    if (watch->closing)
        return;
    struct barrier_group *group = watch->flight;
    while (group && group->seen)
        group = group->next;
    if (!group || group->deadline > uv_now(watch->loop)) {
        arm(watch);
        return;
    }
    watch_unlink(watch, SLOT_COOKIE); /* renewed by the next barrier */
    watch_begin_epoch(watch, "no cookie seen in %s within %d ms", watch->cookie_dir, COOKIE_MS);
    for (; group; group = group->next)
        group->seen = true;
    watch_barrier_answer(watch);
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
