#include "watch/private.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define SELF_GONE (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)

/* The kernel has ended the watch: its inode is gone. */
static void forget(struct watch *watch, int wd)
{
    uint32_t slot;
    while ((slot = wd_table_get(&watch->wds, wd)) != SLOT_NONE)
        watch_unlink(watch, slot);
}

static void parent_event(struct watch *watch, const struct inotify_event *event)
{
    if (event->len && !strcmp(event->name, strrchr(watch->root, '/') + 1))
        watch_check_root(watch);
}

static void dir_event(struct watch *watch, uint32_t slot, const struct inotify_event *event)
{
    if (slot == watch->root_slot && (event->mask & SELF_GONE)) {
        watch_check_root(watch);
        return;
    }
    if (event->mask & IN_UNMOUNT) /* the rescan that is due tells */
        return;
    const char *name = event->len ? event->name : NULL;
    enum watch_what what = !name || (event->mask & IN_ISDIR)              ? WATCH_DIRECTORY
                           : event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO) ? WATCH_WRITTEN
                                                                          : WATCH_CHANGED;
    watch->callbacks.entry(watch->ctx, slot - SLOT_FIRST, name, what, watch->clock.tick);
}

static void dispatch(struct watch *watch, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        watch_begin_epoch(watch, "queue overflow");
        return;
    }
    uint32_t first = wd_table_get(&watch->wds, event->wd);
    if (event->mask & IN_IGNORED) {
        forget(watch, event->wd);
        return;
    }
    if (first == SLOT_NONE)
        return;
    if (event->mask & IN_UNMOUNT)
        watch_begin_epoch(watch, "unmounted");
    bool ticked = false;
    watch->cursor = first;
    while (watch->cursor != SLOT_NONE && !watch->closing) {
        uint32_t slot = watch->cursor;
        watch->cursor = watch->slots.v[slot].next; /* watch_unlink() moves it on if that leaves */
        if (slot == SLOT_PARENT) {
            parent_event(watch, event);
            continue;
        }
        if (!ticked) {
            ticked = true;
            watch->clock.tick++;
            watch->events++;
        }
        dir_event(watch, slot, event);
    }
}

void watch_read_events(struct watch *watch, size_t bytes)
{
    for (size_t done = 0; done < bytes && !watch->closing;) {
        ssize_t n = read(watch->fd, watch->buffer, sizeof(watch->buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
        const char *at = watch->buffer, *end = watch->buffer + n;
        while (at < end && !watch->closing) {
            const struct inotify_event *event = (const void *)at;
            at += sizeof(*event) + event->len;
            dispatch(watch, event);
        }
        /* A short read means an empty queue: one event never fills what was left. */
        if ((size_t)n + sizeof(struct inotify_event) + NAME_MAX + 1 <= sizeof(watch->buffer))
            break;
    }
    watch_tell_rescan(watch);
}
