/*
 * snapshot_place.c - where the snapshots of this boot lie.
 *
 * A snapshot is used without being read, and nothing waits for the disk when it is made; so a power
 * cut can leave one whose files are empty. That is why it counts only as long as the system runs:
 * all of them lie below a name that comes of the boot's id. Each kiln that uses them holds a shared
 * flock on <place>/lock; those of other boots (and of other machines that share the cache) are
 * removed by whoever gets theirs for itself.
 */
#include "cache/snapshot_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* One without a lock has just been begun, unless it is older than this. */
#define BEGUN_S 60

#define LOCK_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

static void find_boot(struct cache *cache)
{
    char id[BOOT_ID_SIZE];
    size_t n = 0;
    file_boot_id(id);
    for (const char *at = id; *at && n < SNAPSHOT_BOOT_SIZE - 1; at++)
        if ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'))
            cache->boot[n++] = *at;
    if (n < SNAPSHOT_BOOT_SIZE - 1)
        snprintf(cache->boot, sizeof(cache->boot), "unknown");
}

/* Whether the file is at rel still. */
static bool stands(const struct cache *cache, int fd, const char *rel)
{
    struct stat st, now;
    return fstat(fd, &st) == 0 && fstatat(cache->root_fd, rel, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_ino == now.st_ino && st.st_dev == now.st_dev;
}

static bool open_place(struct cache *cache, bool make)
{
    static const char *const parts[] = {"pool", "tree", "last"};
    char place[64], rel[80];
    snprintf(place, sizeof(place), "snap/%s", cache->boot);
    snprintf(rel, sizeof(rel), "%s/lock", place);
    if (make && ((mkdirat(cache->root_fd, "snap", 0700) != 0 && errno != EEXIST) ||
                 (mkdirat(cache->root_fd, place, 0700) != 0 && errno != EEXIST)))
        return false;
    int lock = openat(cache->root_fd, rel, LOCK_FLAGS | (make ? O_CREAT : 0), 0600);
    if (lock < 0 && !make)
        lock = openat(cache->root_fd, rel, (LOCK_FLAGS & ~O_RDWR) | O_RDONLY);
    if (lock < 0)
        return false;
    int fd = -1;
    if (cache_flock(lock, LOCK_SH) == 0 && stands(cache, lock, rel))
        fd = openat(cache->root_fd, place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < 3; i++) {
        /* Somebody may have been killed between two of them. */
        if (make ? mkdirat(fd, parts[i], 0700) == 0 || errno == EEXIST
                 : faccessat(fd, parts[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        int errnum = errno;
        close(fd);
        fd = -1;
        errno = errnum;
    }
    if (fd < 0) {
        int errnum = errno;
        close(lock);
        errno = errnum;
        return false;
    }
    cache->snap_lock_fd = lock;
    cache->snap_fd = fd;
    return true;
}

int snapshot_place(struct cache *cache, bool make)
{
    if (cache->root_fd < 0)
        return -1;
    pthread_mutex_lock(&cache->use_mutex);
    if (!*cache->boot)
        find_boot(cache);
    /* Who sweeps may be faster than the lock; then with the next try it is not. */
    for (int tries = 0; cache->snap_fd < 0 && tries < (make ? 4 : 1); tries++)
        (void)open_place(cache, make);
    int fd = cache->snap_fd;
    pthread_mutex_unlock(&cache->use_mutex);
    return fd;
}

void snapshot_leave(struct cache *cache)
{
    if (cache->snap_fd >= 0)
        close(cache->snap_fd);
    if (cache->snap_lock_fd >= 0)
        close(cache->snap_lock_fd);
    cache->snap_fd = cache->snap_lock_fd = -1;
}

static int sweep_cb(void *ctx, int dirfd, const char *name)
{
    struct cache *cache = ctx;
    struct stat st;
    if (strcmp(name, cache->boot) == 0)
        return 0;
    char *place = mem_printf("snap/%s", name), *rel = mem_printf("%s/lock", place);
    int lock = openat(cache->root_fd, rel, LOCK_FLAGS);
    bool dead = lock >= 0
                    ? cache_flock(lock, LOCK_EX | LOCK_NB) == 0 && stands(cache, lock, rel)
                    : errno == ENOENT && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                          st.st_mtime < time(NULL) - BEGUN_S;
    if (dead)
        (void)cache_drop(cache, place);
    if (lock >= 0)
        close(lock);
    free(rel);
    free(place);
    return 0;
}

void snapshot_sweep_places(struct cache *cache)
{
    (void)snapshot_place(cache, false);
    (void)cache_each_name(cache->root_fd, "snap", sweep_cb, cache);
}
