/*
 * box_dir.c - directories for what boxes write (see box_dir.h).
 *
 * Who removes one holds its lock, and moves it into tmp/ first: so who has got the lock looks
 * whether it still is where it was.
 */
#include "cache/box_dir.h"

#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct box_dir {
    struct cache *cache;
    char *path;
    const char *name; /* inside path */
    int fd;           /* holds the lock */
    uid_t owner;      /* of what is made in it */
    gid_t group;
};

static struct box_dir *new_at(struct cache *cache, const char *name)
{
    struct box_dir *box = mem_zalloc(1, sizeof(*box));
    box->cache = cache;
    box->path = mem_printf("%s/v1/box/%s", cache->path, name);
    box->name = strrchr(box->path, '/') + 1;
    box->fd = -1;
    return box;
}

void box_dir_free(struct box_dir *box)
{
    if (!box)
        return;
    if (box->fd >= 0)
        close(box->fd);
    free(box->path);
    free(box);
}

const char *box_dir_path(const struct box_dir *box)
{
    return box->path;
}

/* Takes the directory's lock; 0, or an errno: ENOENT when it went away meanwhile, EWOULDBLOCK when
 * it is another's. */
static int lock(const struct box_dir *box)
{
    struct stat st, now;
    if (cache_flock(box->fd, LOCK_EX | LOCK_NB) != 0)
        return errno;
    return fstat(box->fd, &st) == 0 && lstat(box->path, &now) == 0 && st.st_ino == now.st_ino &&
                   st.st_dev == now.st_dev
               ? 0
               : ENOENT;
}

/* -- making ------------------------------------------------------------------------------------ */

/* What is merged with upper shows its times and mode. */
static const struct timespec snapshot_times[2] = {{.tv_sec = SNAPSHOT_MTIME},
                                                  {.tv_sec = SNAPSHOT_MTIME}};

static int give(const struct box_dir *box, int dirfd, const char *name)
{
    bool ours = box->owner == geteuid() && box->group == getegid();
    return ours ? 0 : fchownat(dirfd, name, box->owner, box->group, AT_SYMLINK_NOFOLLOW);
}

static int make_parts(const struct box_dir *box)
{
    static const char *const parts[] = {"upper", "."};
    for (size_t i = 0; i < 2; i++) {
        bool self = i == 1;
        if ((!self && mkdirat(box->fd, parts[i], 0755) != 0) ||
            fchmodat(box->fd, parts[i], self ? 0700 : 0755, 0) != 0 ||
            give(box, box->fd, parts[i]) != 0 ||
            utimensat(box->fd, parts[i], self ? NULL : snapshot_times, 0) != 0)
            return errno;
    }
    return 0;
}

/* One directory, and its parent's times as they were. Returns it open, or -1. */
static int make_one(const struct box_dir *box, int parent, const char *name)
{
    bool made = mkdirat(parent, name, 0755) == 0;
    int fd = made || errno == EEXIST ? openat(parent, name, DIR_FLAGS) : -1;
    if (fd >= 0 && made &&
        (fchmod(fd, 0755) != 0 || give(box, parent, name) != 0 ||
         futimens(fd, snapshot_times) != 0 || futimens(parent, snapshot_times) != 0)) {
        int errnum = errno;
        close(fd);
        errno = errnum;
        fd = -1;
    }
    return fd;
}

int box_dir_make(const struct box_dir *box, const char *path, struct err *err)
{
    char *parts = mem_strdup(path), *rest = NULL;
    int fd = openat(box->fd, "upper", DIR_FLAGS), errnum = 0;
    for (char *part = strtok_r(parts, "/", &rest); part && fd >= 0;
         part = strtok_r(NULL, "/", &rest)) {
        int next = make_one(box, fd, part);
        errnum = errno;
        close(fd);
        errno = errnum;
        fd = next;
    }
    errnum = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    free(parts);
    return errnum ? err_sys(err, errnum, "cannot make %s in %s/upper", path, box->path) : 0;
}

int box_dir_new(struct cache *cache, uid_t owner, gid_t group, struct box_dir **out,
                struct err *err)
{
    int errnum = EROFS;
    *out = NULL;
    if (cache->root_fd >= 0 && !cache->read_only)
        errnum = mkdirat(cache->root_fd, "box", 0700) != 0 && errno != EEXIST ? errno : 0;
    for (int tries = 0; errnum == 0 && !*out && tries < 100; tries++) {
        char name[CACHE_NAME_SIZE], rel[CACHE_NAME_SIZE + sizeof("box/")];
        cache_unique_name(cache, "box", name);
        snprintf(rel, sizeof(rel), "box/%s", name);
        struct box_dir *box = new_at(cache, name);
        bool locked = false;
        box->owner = owner;
        box->group = group;
        if (mkdirat(cache->root_fd, rel, 0700) != 0)
            errnum = errno;
        else if ((box->fd = openat(cache->root_fd, rel, DIR_FLAGS)) < 0)
            errnum = errno == ENOENT ? 0 : errno; /* who sweeps was faster: not another time */
        else if ((locked = lock(box) == 0))       /* else the same */
            errnum = make_parts(box);
        if (locked && errnum == 0)
            *out = box;
        else if (locked)
            box_dir_drop(box);
        else
            box_dir_free(box);
    }
    return *out ? 0 : cache_put_failed(cache, errnum ? errnum : EAGAIN, err);
}

int box_dir_open(struct cache *cache, const char *path, struct box_dir **out, struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct box_dir *box = new_at(cache, slash ? slash + 1 : path);
    int errnum = strcmp(box->path, path) == 0 && cache->root_fd >= 0 ? 0 : ENOENT;
    if (errnum == 0 && (box->fd = open(path, DIR_FLAGS)) < 0)
        errnum = errno;
    if (errnum == 0)
        errnum = lock(box);
    *out = errnum == 0 ? box : NULL;
    if (errnum == 0)
        return 0;
    box_dir_free(box);
    return errnum == EWOULDBLOCK
               ? err_sys(err, errnum, "another kiln uses what the step left in %s", path)
               : err_sys(err, errnum, "what the step left in %s can't be had any more", path);
}

bool box_dir_keep(struct box_dir *box)
{
    int fd = openat(box->fd, "kept", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool kept = fd >= 0 && futimens(fd, NULL) == 0;
    if (fd >= 0)
        close(fd);
    return kept;
}

/* -- removing ---------------------------------------------------------------------------------- */

static void remove_dropped(const struct cache *cache, const char *name)
{
    char rel[CACHE_NAME_SIZE + sizeof("tmp/")];
    snprintf(rel, sizeof(rel), "tmp/%s", name);
    if (cache_remove(cache, rel, NULL) != 0) {
        /* another one is at it, or a later sweep */
    }
}

bool cache_drop(struct cache *cache, const char *rel)
{
    char name[CACHE_NAME_SIZE];
    cache_unique_name(cache, "drop", name);
    if (renameat(cache->root_fd, rel, cache->tmp_fd, name) != 0)
        return errno == ENOENT;
    remove_dropped(cache, name);
    return true;
}

bool cache_is_locked_kind(const char *name)
{
    return strncmp(name, "drop-", 5) == 0 || strncmp(name, "snap-", 5) == 0 ||
           strncmp(name, "gone-", 5) == 0;
}

void box_dir_drop(struct box_dir *box)
{
    char *rel = mem_printf("box/%s", box->name);
    (void)cache_drop(box->cache, rel); /* else it is swept */
    free(rel);
    box_dir_free(box);
}

struct sweep {
    struct cache *cache;
    int64_t kept_since;
};

static bool is_dead(const struct sweep *sweep, struct box_dir *box)
{
    struct stat st;
    if (lock(box) != 0)
        return false;
    return fstatat(box->fd, "kept", &st, AT_SYMLINK_NOFOLLOW) != 0 ||
           st.st_mtime < sweep->kept_since;
}

static int sweep_cb(void *ctx, int dirfd, const char *name)
{
    struct sweep *sweep = ctx;
    struct box_dir *box = new_at(sweep->cache, name);
    box->fd = openat(dirfd, name, DIR_FLAGS);
    if (box->fd >= 0 && is_dead(sweep, box))
        box_dir_drop(box);
    else
        box_dir_free(box);
    return 0;
}

static int dropped_cb(void *ctx, int dirfd, const char *name)
{
    (void)dirfd;
    if (strncmp(name, "drop-", 5) == 0)
        remove_dropped(ctx, name);
    return 0;
}

void box_dir_sweep(struct cache *cache, int64_t kept_s)
{
    struct sweep sweep = {.cache = cache, .kept_since = INT64_MAX};
    if (kept_s > 0)
        sweep.kept_since = (int64_t)time(NULL) - kept_s;
    if (cache->root_fd < 0 || cache->read_only)
        return;
    (void)cache_each_name(cache->root_fd, "box", sweep_cb, &sweep); /* it may not be there */
    (void)cache_each_name(cache->tmp_fd, ".", dropped_cb, cache);
}
