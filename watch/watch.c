#include "watch/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As much as a queue of the usual length has at the most; what is left comes next turn. */
#define BYTES_A_TURN ((size_t)1 << 20)

static void on_turn_end(uv_idle_t *idle);

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    watch_read_events(poll->data, BYTES_A_TURN);
}

/* --- making and closing -------------------------------------------------------------------- */

/* Deleting the root is seen by its parent only, while any process has its working directory there
 * (kiln itself, as a rule). A watch that can't be had is no loss: the barrier looks as well. */
static void watch_parent(struct watch *watch)
{
    const char *name = strrchr(watch->root, '/');
    if (watch->fd < 0 || !name[1])
        return;
    size_t n = (size_t)(name - watch->root);
    buf_reset(&watch->scratch);
    buf_add(&watch->scratch, n ? watch->root : "/", n ? n : 1);
    watch_link(watch, SLOT_PARENT, buf_str(&watch->scratch),
               IN_DELETE | IN_MOVED_FROM | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
}

static void release(struct watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    if (watch->mounts_fd >= 0)
        close(watch->mounts_fd);
    watch_barrier_release(watch);
    watch_poll_release(watch);
    wd_table_release(&watch->wds);
    vec_release(&watch->slots);
    buf_release(&watch->scratch);
    free(watch->root);
    free(watch);
}

int watch_new(uv_loop_t *loop, const struct watch_options *options,
              const struct watch_callbacks *callbacks, void *ctx, struct watch **out,
              struct err *err)
{
    *out = NULL;
    /* A link as the last part of the root would be refused by IN_DONT_FOLLOW. */
    char *root = realpath(options->root, NULL);
    if (!root)
        return err_sys(err, errno, "cannot watch %s", options->root);

    struct watch *watch = mem_zalloc(1, sizeof(*watch));
    watch->loop = loop;
    watch->callbacks = *callbacks;
    watch->ctx = ctx;
    watch->root = root;
    watch->poll_ms = options->poll_ms ? options->poll_ms : 1000;
    watch->max_watches = options->max_watches;
    watch->clock.epoch = 1;
    watch->cursor = SLOT_NONE;
    watch->root_slot = SLOT_NONE;
    watch->flight_end = &watch->flight;
    for (int i = 0; i < SLOT_FIRST; i++)
        vec_push(&watch->slots, (struct slot){.wd = -1, .next = SLOT_NONE});

    watch->mounts_fd = -1;
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0) {
        watch->fd_errno = errno;
    } else {
        int status = uv_poll_init(loop, &watch->poll, watch->fd);
        if (status) {
            release(watch);
            return err_sys(err, -status, "cannot wait for changes of files");
        }
        watch->poll.data = watch;
        watch->n_open++;
    }
    uv_idle_init(loop, &watch->idle);
    uv_timer_init(loop, &watch->poll_timer);
    watch->idle.data = watch->poll_timer.data = watch;
    watch->n_open += 2;

    if (watch->fd >= 0) {
        int status = uv_poll_start(&watch->poll, UV_READABLE, on_readable);
        if (status) {
            watch_close(watch, NULL, NULL);
            return err_sys(err, -status, "cannot wait for changes of files");
        }
    }
    watch_mounts_open(watch);
    *out = watch;
    return 0;
}

void watch_part_closed(struct watch *watch)
{
    if (--watch->n_open)
        return;
    void (*closed)(void *) = watch->closed;
    void *ctx = watch->closed_ctx;
    release(watch);
    if (closed)
        closed(ctx);
}

static void on_handle_closed(uv_handle_t *handle)
{
    watch_part_closed(handle->data);
}

void watch_close(struct watch *watch, void (*closed)(void *ctx), void *ctx)
{
    if (watch->closing)
        return;
    watch->closing = true;
    watch->closed = closed;
    watch->closed_ctx = ctx;
    watch_barrier_release(watch);
    watch_poll_stop(watch);
    if (watch->fd >= 0)
        uv_close((uv_handle_t *)&watch->poll, on_handle_closed);
    if (watch->mounts_fd >= 0)
        uv_close((uv_handle_t *)&watch->mounts_poll, on_handle_closed);
    uv_close((uv_handle_t *)&watch->idle, on_handle_closed);
    uv_close((uv_handle_t *)&watch->poll_timer, on_handle_closed);
}

/* --- the epoch and the root ---------------------------------------------------------------- */

void watch_begin_epoch(struct watch *watch, const char *format, ...)
{
    if (!watch->rescan_due) { /* else nobody has been told of that epoch yet: it serves for both */
        watch->clock.epoch++;
        watch->clock.tick++; /* what the owner marks for it must be younger than all before */
    }
    watch->rescan_due = true;
    va_list args;
    va_start(args, format);
    vsnprintf(watch->rescan_reason, sizeof(watch->rescan_reason), format, args);
    va_end(args);
    watch_wake(watch);
}

void watch_tell_rescan(struct watch *watch)
{
    if (!watch->rescan_due || watch->closing)
        return;
    watch->rescan_due = false;
    char reason[sizeof(watch->rescan_reason)];
    memcpy(reason, watch->rescan_reason, sizeof(reason));
    watch->callbacks.rescan(watch->ctx, reason, watch->clock);
}

void watch_check_root(struct watch *watch)
{
    if (watch->root_slot == SLOT_NONE || watch->closing)
        return;
    struct stat st;
    bool there = !lstat(watch->root, &st);
    if (!there && errno != ENOENT && errno != ENOTDIR)
        return;
    if (!there || !S_ISDIR(st.st_mode)) {
        if (watch->root_lost)
            return;
        watch->root_lost = true;
        watch->clock.epoch++;
        watch->callbacks.root_gone(watch->ctx);
        return;
    }
    bool same = watch->root_known && st.st_dev == watch->root_dev && st.st_ino == watch->root_ino;
    if (same && !watch->root_lost)
        return;
    watch->root_lost = false;
    watch->root_known = true;
    watch->root_dev = st.st_dev;
    watch->root_ino = st.st_ino;
    watch_begin_epoch(watch, "root replaced");
}

/* The owner has just added the root: from here on this inode is it. */
static void remember_root(struct watch *watch, uint32_t slot)
{
    watch->root_slot = slot;
    watch_parent(watch);
    struct stat st;
    if (lstat(watch->root, &st) || !S_ISDIR(st.st_mode)) {
        watch_wake(watch); /* no parent is there to tell that it is gone: the end of the turn is */
        return;
    }
    if (watch->root_known && !watch->root_lost &&
        (st.st_dev != watch->root_dev || st.st_ino != watch->root_ino))
        watch_begin_epoch(watch, "root replaced");
    watch->root_known = true;
    watch->root_lost = false;
    watch->root_dev = st.st_dev;
    watch->root_ino = st.st_ino;
}

/* --- directories --------------------------------------------------------------------------- */

void watch_unlink(struct watch *watch, uint32_t at)
{
    struct slot *slot = &watch->slots.v[at];
    if (slot->wd < 0)
        return;
    if (watch->cursor == at)
        watch->cursor = slot->next;
    uint32_t first = wd_table_get(&watch->wds, slot->wd);
    if (first != at) {
        uint32_t before = first;
        while (watch->slots.v[before].next != at)
            before = watch->slots.v[before].next;
        watch->slots.v[before].next = slot->next;
    } else if (slot->next != SLOT_NONE) {
        wd_table_put(&watch->wds, slot->wd, slot->next);
    } else {
        wd_table_del(&watch->wds, slot->wd);
        /* Fails when the kernel has ended it already; events still queued find no slot. */
        inotify_rm_watch(watch->fd, slot->wd);
    }
    slot->wd = -1;
    slot->next = SLOT_NONE;
    if (at >= SLOT_FIRST)
        watch->n_watched--;
}

int watch_link(struct watch *watch, uint32_t at, const char *path, uint32_t mask)
{
    int wd = inotify_add_watch(watch->fd, path, mask | IN_MASK_ADD);
    if (wd < 0) {
        int errnum = errno;
        watch_unlink(watch, at);
        return errnum;
    }
    if (watch->slots.v[at].wd == wd)
        return 0;
    watch_unlink(watch, at);
    struct slot *slot = &watch->slots.v[at];
    slot->wd = wd;
    slot->next = wd_table_get(&watch->wds, wd);
    wd_table_put(&watch->wds, wd, at);
    if (at >= SLOT_FIRST)
        watch->n_watched++;
    return 0;
}

static uint32_t slot_of(struct watch *watch, uint32_t dir)
{
    size_t slot = (size_t)dir + SLOT_FIRST;
    vec_reserve(&watch->slots, slot + 1);
    while (watch->slots.n <= slot)
        watch->slots.v[watch->slots.n++] = (struct slot){.wd = -1, .next = SLOT_NONE};
    return (uint32_t)slot;
}

static void degrade(struct watch *watch, enum degraded_kind kind, int errnum)
{
    if (watch->degraded[kind].said || watch->degraded[kind].due)
        return;
    watch->degraded[kind].due = true;
    watch->degraded[kind].errnum = errnum;
    watch_wake(watch);
}

/* Watches path, or finds out that it must be polled. Returns whether it must. */
static bool try_watch(struct watch *watch, uint32_t slot, const char *path)
{
    if (watch->fd < 0) {
        degrade(watch, DEGRADED_INSTANCES, watch->fd_errno);
        return true;
    }
    if (watch->max_watches && watch->slots.v[slot].wd < 0 &&
        watch->n_watched >= watch->max_watches) {
        degrade(watch, DEGRADED_LIMIT, 0);
        return true;
    }
    int errnum = watch_link(watch, slot, path, DIR_MASK);
    switch (errnum) {
    case 0: return false;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EACCES: /* polling can't read it either; its parent tells when its mode changes */
        return false;
    case ENOSPC:
    case ENOMEM: degrade(watch, DEGRADED_LIMIT, errnum); return true;
    default: degrade(watch, DEGRADED_OTHER, errnum); return true;
    }
}

void watch_add(struct watch *watch, uint32_t dir, const char *path)
{
    if (watch->closing)
        return;
    uint32_t slot = slot_of(watch, dir);
    buf_reset(&watch->scratch);
    buf_adds(&watch->scratch, watch->root);
    if (*path) {
        if (strcmp(watch->root, "/") != 0)
            buf_addc(&watch->scratch, '/');
        buf_adds(&watch->scratch, path);
    }
    if (try_watch(watch, slot, buf_str(&watch->scratch)))
        watch_poll_add(watch, slot, path);
    else
        watch_poll_remove(watch, slot);
    if (!*path)
        remember_root(watch, slot);
}

void watch_remove(struct watch *watch, uint32_t dir)
{
    size_t slot = (size_t)dir + SLOT_FIRST;
    if (watch->closing || slot >= watch->slots.n)
        return;
    watch_unlink(watch, (uint32_t)slot);
    watch_poll_remove(watch, (uint32_t)slot);
    if (watch->root_slot == slot)
        watch->root_slot = SLOT_NONE;
}

/* --- the end of a turn --------------------------------------------------------------------- */

/* An idle handle keeps the loop from sleeping, so what is due is done before it waits again,
 * wherever in the turn it became due. */
void watch_wake(struct watch *watch)
{
    if (!watch->closing)
        uv_idle_start(&watch->idle, on_turn_end);
}

static uint64_t read_limit(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", name);
    uint64_t limit = 0;
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%" SCNu64, &limit) != 1)
            limit = 0;
        fclose(file);
    }
    return limit;
}

static void say_degraded(struct watch *watch, enum degraded_kind kind)
{
    int errnum = watch->degraded[kind].errnum;
    struct buf text = BUF_INIT;
    buf_addf(&text, "%zu director%s cannot be watched and %s looked at every %" PRIu64 " ms: ",
             watch->polled.n, watch->polled.n == 1 ? "y" : "ies",
             watch->polled.n == 1 ? "is" : "are", watch->poll_ms);
    uint64_t limit;
    switch (kind) {
    case DEGRADED_LIMIT:
        limit = read_limit("max_user_watches");
        if (!errnum)
            buf_addf(&text, "kiln was told to watch no more than %zu; ", watch->max_watches);
        else if (errnum == ENOMEM)
            buf_adds(&text, "the kernel is out of memory for watches; ");
        buf_addf(&text,
                 "the limit fs.inotify.max_user_watches is %" PRIu64
                 "; raise it with: sudo sysctl fs.inotify.max_user_watches=%" PRIu64,
                 limit, limit * 2 > 524288 ? limit * 2 : 524288);
        break;
    case DEGRADED_INSTANCES:
        limit = read_limit("max_user_instances");
        buf_addf(&text,
                 "inotify is refused (%s); the limit fs.inotify.max_user_instances is %" PRIu64
                 "; raise it with: sudo sysctl fs.inotify.max_user_instances=%" PRIu64,
                 strerror(errnum), limit, limit * 2 > 1024 ? limit * 2 : 1024);
        if (errnum == EMFILE)
            buf_adds(&text, " (or raise the limit of open files, ulimit -n)");
        break;
    default: buf_addf(&text, "the kernel says: %s", strerror(errnum)); break;
    }
    watch->callbacks.degraded(watch->ctx, buf_str(&text));
    buf_release(&text);
}

static void on_turn_end(uv_idle_t *idle)
{
    struct watch *watch = idle->data;
    uv_idle_stop(idle);
    for (int kind = 0; kind < DEGRADED_KINDS && !watch->closing; kind++) {
        if (!watch->degraded[kind].due)
            continue;
        watch->degraded[kind].due = false;
        watch->degraded[kind].said = true;
        say_degraded(watch, (enum degraded_kind)kind);
    }
    watch_barrier_issue(watch);
    watch_check_root(watch);
    watch_tell_rescan(watch);
    watch_barrier_answer(watch);
}

struct watch_clock watch_clock_now(const struct watch *watch)
{
    return watch->clock;
}

struct watch_counts watch_counts(const struct watch *watch)
{
    return (struct watch_counts){
        .watched = watch->n_watched, .polled = watch->polled.n, .events = watch->events};
}
