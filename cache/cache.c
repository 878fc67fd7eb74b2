/*
 * cache.c - opening the disk cache: its directories, its lock, and the sweep of what was left in
 * tmp/.
 */
#include "cache/cache.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/snapshot_private.h"
#include "cache/unfinished.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define DIR_FLAGS    (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define ORPHAN_AGE_S 3600

char *cache_default_path(void)
{
    const char *set = getenv("KILN_CACHE_DIR");
    if (!set || !*set)
        return path_xdg("XDG_CACHE_HOME", ".cache");
    /* As others need it who work elsewhere: what is given to isolated steps lies in it. */
    char *cwd = *set == '/' ? NULL : getcwd(NULL, 0);
    char *full = cwd ? path_join(cwd, set) : mem_strdup(set);
    free(cwd);
    return full;
}

void cache_unique_name(struct cache *cache, const char *stem, char name[CACHE_NAME_SIZE])
{
    snprintf(name, CACHE_NAME_SIZE, "%s-%lx-%08" PRIx32 "-%" PRIx64, stem, (unsigned long)getpid(),
             cache->random,
             (uint64_t)atomic_fetch_add_explicit(&cache->counter, 1, memory_order_relaxed));
}

void cache_give_up(struct cache *cache, bool on)
{
    atomic_store(&cache->giving_up, on);
}

void cache_set_remover(struct cache *cache, cache_remove_fn *remove, void *ctx)
{
    cache->remove = remove;
    cache->remove_ctx = ctx;
}

int cache_remove(const struct cache *cache, const char *rel, struct err *err)
{
    if (!cache->remove)
        return file_remove_tree(cache->root_fd, rel, err);
    char *path = mem_printf("%s/v1/%s", cache->path, rel);
    int rc = cache->remove(cache->remove_ctx, path, err);
    free(path);
    return rc;
}

int cache_each_name(int dirfd, const char *sub, cache_name_cb *cb, void *ctx)
{
    int fd = openat(dirfd, sub, DIR_FLAGS | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -1;
    }
    int rc = 0;
    struct dirent *entry;
    while (rc == 0 && (errno = 0, entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = cb(ctx, fd, entry->d_name);
    if (rc == 0 && errno != 0)
        rc = -1;
    int errnum = errno;
    closedir(dir);
    errno = errnum;
    return rc;
}

/* -- opening ----------------------------------------------------------------------------------- */

int cache_flock(int fd, int how)
{
    int rc;
    do
        rc = flock(fd, how);
    while (rc != 0 && errno == EINTR);
    return rc;
}

static int sweep_cb(void *ctx, int dirfd, const char *name)
{
    const struct cache *cache = ctx;
    struct stat st;
    if (unfinished_is_note(name) && unfinished_collect(cache, name))
        return 0;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_mtime < time(NULL) - ORPHAN_AGE_S)
        (void)unlinkat(dirfd, name, 0);
    return 0;
}

/* Opens v1 itself, making it when it is missing. What cannot be made leaves -1 and the reason in
 * *why. */
static int open_root(struct cache *cache, struct err *why, struct err *err)
{
    char *root = path_join(cache->path, "v1");
    int rc = 0;
    cache->root_fd = open(root, DIR_FLAGS);
    if (cache->root_fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        if (file_mkdirs(root, 0700, why) != 0)
            goto out;
        cache->root_fd = open(root, DIR_FLAGS);
    }
    if (cache->root_fd < 0)
        rc = err_sys(err, errno,
                     "cannot read the cache directory %s (give it to yourself, or set "
                     "KILN_CACHE_DIR to another one)",
                     root);
out:
    free(root);
    return rc;
}

static int open_sub(struct cache *cache, const char *name, int *fd, struct err *why,
                    struct err *err)
{
    *fd = openat(cache->root_fd, name, DIR_FLAGS);
    if (*fd < 0 && errno == ENOENT) {
        if (mkdirat(cache->root_fd, name, 0700) != 0 && errno != EEXIST) {
            err_sys(why, errno, "cannot make the directory %s/v1/%s", cache->path, name);
            return 0;
        }
        *fd = openat(cache->root_fd, name, DIR_FLAGS);
    }
    if (*fd < 0)
        return err_sys(err, errno,
                       "cannot read the cache directory %s/v1/%s (give it to yourself, or set "
                       "KILN_CACHE_DIR to another one)",
                       cache->path, name);
    return 0;
}

static void open_lock(struct cache *cache)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    cache->lock_fd = openat(cache->root_fd, "lock", O_RDWR | O_CREAT | flags, 0644);
    if (cache->lock_fd < 0)
        cache->lock_fd = openat(cache->root_fd, "lock", O_RDONLY | flags);
    if (cache->lock_fd < 0)
        return; /* read-only, or about to be found so */
    if (flock(cache->lock_fd, LOCK_SH | LOCK_NB) == 0)
        return;
    /* Somebody clears it and will be done soon. A file system without locks must not stop us. */
    if (errno != EWOULDBLOCK || cache_flock(cache->lock_fd, LOCK_SH) != 0) {
        close(cache->lock_fd);
        cache->lock_fd = -1;
    }
}

static int open_all(struct cache *cache, struct err *why, struct err *err)
{
    int rc = open_root(cache, why, err);
    if (rc != 0 || cache->root_fd < 0)
        return rc;
    open_lock(cache);
    if ((rc = open_sub(cache, "cas", &cache->cas_fd, why, err)) != 0 ||
        (rc = open_sub(cache, "ac", &cache->ac_fd, why, err)) != 0 ||
        (rc = open_sub(cache, "tmp", &cache->tmp_fd, why, err)) != 0)
        return rc;
    if (why->kind == ERR_NONE && faccessat(cache->tmp_fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        err_sys(why, errno, "cannot write to %s/v1/tmp", cache->path);
    return 0;
}

int cache_open(const char *path, struct cache **out, bool *read_only, struct err *err)
{
    struct err why = ERR_INIT;
    struct cache *cache = mem_zalloc(1, sizeof(*cache));
    cache->path = mem_strdup(path);
    cache->root_fd = cache->cas_fd = cache->ac_fd = cache->tmp_fd = cache->lock_fd = -1;
    cache->note_fd = -1;
    pthread_mutex_init(&cache->note_lock, NULL);
    cache->use_fd = cache->snap_fd = cache->snap_lock_fd = -1;
    pthread_mutex_init(&cache->use_mutex, NULL);
    if (getrandom(&cache->random, sizeof(cache->random), GRND_NONBLOCK) < 0)
        cache->random = (uint32_t)time(NULL);

    *out = NULL;
    int rc = open_all(cache, &why, err);
    if (rc != 0) {
        cache_close(cache);
        err_release(&why);
        return rc;
    }
    cache->read_only = why.kind != ERR_NONE;
    if (cache->read_only) {
        err_wrap(&why,
                 "the cache is used for reading only, results will not be kept (make it writable, "
                 "or set KILN_CACHE_DIR to another directory)");
        err_move(err, &why);
    } else {
        (void)cache_each_name(cache->tmp_fd, ".", sweep_cb, cache);
    }
    *read_only = cache->read_only;
    *out = cache;
    return 0;
}

void cache_close(struct cache *cache)
{
    if (!cache)
        return;
    unfinished_close(cache);
    snapshot_leave(cache);
    pthread_mutex_destroy(&cache->note_lock);
    if (cache->root_fd >= 0)
        cache_size_flush(cache);
    int fds[] = {cache->cas_fd,  cache->ac_fd,  cache->tmp_fd,
                 cache->lock_fd, cache->use_fd, cache->root_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&cache->use_mutex);
    free(cache->path);
    free(cache);
}

const char *cache_path(const struct cache *cache)
{
    return cache->path;
}
