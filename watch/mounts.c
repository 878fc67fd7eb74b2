/*
 * mounts.c - file systems mounted and unmounted in the tree, or above it.
 *
 * A mount hides what lay under it without any event of inotify, and one that is unmounted while its
 * file system is mounted elsewhere as well (a bind mount) ends without one. /proc/self/mountinfo
 * becomes ready when the table of mounts changes; of its lines only those that concern the root
 * count, so other people's mounts cost one look at the table.
 */
#include "watch/private.h"

#include "base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define MAX_TABLE ((size_t)64 << 20)

/* Mount points are written with \040 for a space and the like. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        unsigned value = 0;
        int digits = 0;
        while (*from == '\\' && digits < 3 && from[1 + digits] >= '0' && from[1 + digits] <= '7')
            value = value * 8 + (unsigned)(from[1 + digits++] - '0');
        *to = digits == 3 ? (char)value : *from;
        from += digits == 3 ? 4 : 1;
    }
    *to = '\0';
}

/* Whether the line's mount lies in the root, or the root in it. */
static bool concerns(const char *root, const char *line, size_t len, struct buf *scratch)
{
    const char *at = line, *end = line + len;
    for (int field = 0; field < 4 && at; field++) {
        at = memchr(at, ' ', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    const char *stop = at ? memchr(at, ' ', (size_t)(end - at)) : NULL;
    if (!stop)
        return true; /* a format that nobody knows */
    buf_reset(scratch);
    buf_add(scratch, at, (size_t)(stop - at));
    buf_str(scratch);
    unescape(scratch->data);
    return path_is_below(scratch->data, root) || path_is_below(root, scratch->data);
}

/* Digest of the lines that count; false when they can't be read. */
static bool read_table(const struct watch *watch, struct digest *out)
{
    struct buf table = BUF_INIT, ours = BUF_INIT, scratch = BUF_INIT;
    bool ok = lseek(watch->mounts_fd, 0, SEEK_SET) == 0 &&
              file_read_fd(watch->mounts_fd, "/proc/self/mountinfo", MAX_TABLE, &table, NULL) == 0;
    for (size_t at = 0; ok && at < table.len;) {
        const char *line = table.data + at;
        const char *end = memchr(line, '\n', table.len - at);
        size_t len = end ? (size_t)(end - line) + 1 : table.len - at;
        if (concerns(watch->root, line, len, &scratch))
            buf_add(&ours, line, len);
        at += len;
    }
    if (ok)
        *out = digest_of(buf_str(&ours), ours.len);
    buf_release(&scratch);
    buf_release(&ours);
    buf_release(&table);
    return ok;
}

static void on_mounts(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    (void)events;
    if (status < 0)
        uv_poll_stop(poll);
    struct digest now;
    if (!read_table(watch, &now) || digest_eq(&now, &watch->mounts))
        return;
    watch->mounts = now;
    watch_begin_epoch(watch, "mounted or unmounted");
}

void watch_mounts_check(struct watch *watch)
{
    struct pollfd ready = {.fd = watch->mounts_fd, .events = POLLPRI};
    if (watch->mounts_fd >= 0 && poll(&ready, 1, 0) > 0)
        on_mounts(&watch->mounts_poll, 0, 0);
}

void watch_mounts_open(struct watch *watch)
{
    watch->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (watch->mounts_fd < 0)
        return;
    if (read_table(watch, &watch->mounts) &&
        uv_poll_init(watch->loop, &watch->mounts_poll, watch->mounts_fd) == 0) {
        watch->mounts_poll.data = watch;
        watch->n_open++;
        (void)uv_poll_start(&watch->mounts_poll, UV_PRIORITIZED, on_mounts);
        return;
    }
    close(watch->mounts_fd);
    watch->mounts_fd = -1;
}
