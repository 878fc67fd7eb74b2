/*
 * snapshot_care.c - taking away what is no snapshot (any more).
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

bool snapshot_condemn(struct cache *cache, const char *hex)
{
    char gone[CACHE_NAME_SIZE];
    char *rel = mem_printf(SNAPSHOT_TREES "/%s", hex);
    cache_unique_name(cache, "gone", gone);
    int place = snapshot_place(cache, false);
    bool done = !cache->read_only && place >= 0 && renameat(place, rel, cache->tmp_fd, gone) == 0;
    free(rel);
    return done;
}

/* One without meta has just been begun, unless it is older than this. */
#define BEGUN_S 60

static int sweep_cb(void *ctx, int dirfd, const char *name)
{
    struct stat st;
    (void)ctx;
    if (strncmp(name, "snap-", 5) != 0 && strncmp(name, "gone-", 5) != 0)
        return 0;
    char *meta = mem_printf("%s/meta", name);
    int lock = snapshot_lock(dirfd, name, LOCK_EX | LOCK_NB, &st);
    bool dead =
        lock >= 0 ||
        (fstatat(dirfd, meta, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT &&
         fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < time(NULL) - BEGUN_S);
    if (dead && file_remove_tree(dirfd, name, NULL) != 0) {
        /* another one is at it, or the next sweep */
    }
    if (lock >= 0)
        close(lock);
    free(meta);
    return 0;
}

void snapshot_sweep(struct cache *cache)
{
    (void)cache_each_name(cache->tmp_fd, ".", sweep_cb, cache);
}
