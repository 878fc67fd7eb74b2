/*
 * cache_mounts.c - the cache directories of steps: told and removed, by name.
 */
#include "cache/cache_gc.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_derived.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MOUNTS "mounts"

struct each {
    struct cache *cache;
    cache_mount_cb *cb;
    void *ctx;
};

/* The path that mounts.c noted. */
static void read_project(int dirfd, const char *used, struct buf *out)
{
    struct err err = ERR_INIT;
    int fd = openat(dirfd, used, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && file_read_fd(fd, used, 4096, out, &err) < 0)
        buf_reset(out);
    err_release(&err);
    if (fd >= 0)
        close(fd);
}

static int mount_cb(void *ctx, int dirfd, const char *name)
{
    const struct each *each = ctx;
    struct cache_mount mount = {.name = name};
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    char *rel = mem_printf(MOUNTS "/%s", name), *used = mem_printf("%s.used", name);
    mount.used_ns = cache_mtime_ns(&st);
    if (fstatat(dirfd, used, &st, AT_SYMLINK_NOFOLLOW) == 0 && cache_mtime_ns(&st) > mount.used_ns)
        mount.used_ns = cache_mtime_ns(&st);
    mount.bytes = derived_disk_usage(each->cache, rel);
    struct buf project = BUF_INIT;
    char *label = mem_strndup(name, strcspn(name, "~"));
    read_project(dirfd, used, &project);
    mount.label = label;
    mount.project = buf_str(&project);
    each->cb(each->ctx, &mount);
    buf_release(&project);
    free(label);
    free(rel);
    free(used);
    return 0;
}

void cache_each_mount(struct cache *cache, cache_mount_cb *cb, void *ctx)
{
    struct each each = {.cache = cache, .cb = cb, .ctx = ctx};
    if (cache->root_fd >= 0)
        (void)cache_each_name(cache->root_fd, MOUNTS, mount_cb, &each); /* it may not be there */
}

int cache_clear_mount(struct cache *cache, const char *name, bool *found, struct err *err)
{
    struct stat st;
    *found = false;
    if (cache->root_fd < 0 || !*name || strchr(name, '/') || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return 0;
    char *rel = mem_printf(MOUNTS "/%s", name), *used = mem_printf("%s.used", rel);
    int rc = 0, lock = -1;
    *found = fstatat(cache->root_fd, rel, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    if (*found) {
        lock = openat(cache->root_fd, used, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (lock >= 0 && cache_flock(lock, LOCK_EX | LOCK_NB) != 0)
            rc = err_sys(err, errno, "the cache directory \"%s\" is in use by a step", name);
        else if (!cache_drop(cache, rel))
            rc = err_sys(err, errno, "cannot remove the cache directory \"%s\"", name);
        else
            (void)unlinkat(cache->root_fd, used, 0);
    }
    if (lock >= 0)
        close(lock);
    free(rel);
    free(used);
    return rc;
}
