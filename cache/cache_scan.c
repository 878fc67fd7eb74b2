/*
 * cache_scan.c - listing what the disk cache holds.
 */
#include "cache/cache.h"

#include "cache/cache_derived.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int64_t cache_mtime_ns(const struct stat *st)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)st->st_mtim.tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)st->st_mtim.tv_nsec, &ns))
        return st->st_mtim.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

struct list {
    cache_files *files;
    const char *sub;
};

static int list_file_cb(void *ctx, int dirfd, const char *name)
{
    struct list *list = ctx;
    struct cache_file file;
    struct stat st;
    if (strncmp(name, list->sub, 2) != 0 || !digest_parse(name, 0, &file.digest) ||
        fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return 0;
    file.digest.size = (uint64_t)st.st_size;
    file.mtime_ns = cache_mtime_ns(&st);
    vec_push(list->files, file);
    return 0;
}

static int list_dir_cb(void *ctx, int dirfd, const char *name)
{
    struct list *list = ctx;
    if (strlen(name) != 2)
        return 0;
    list->sub = name;
    /* Gone meanwhile, or a stray file: nothing to list. */
    if (cache_each_name(dirfd, name, list_file_cb, ctx) != 0 && errno != ENOENT && errno != ENOTDIR)
        return -1;
    return 0;
}

int cache_list(const struct cache *cache, int dirfd, cache_files *out, struct err *err)
{
    struct list list = {.files = out};
    if (dirfd >= 0 && cache_each_name(dirfd, ".", list_dir_cb, &list) != 0)
        return err_sys(err, errno, "cannot read the cache directory %s", cache->path);
    return 0;
}

static void add_files(struct cache_stats *stats, const cache_files *files)
{
    vec_each (struct cache_file, file, files) {
        stats->bytes += file->digest.size;
        stats->disk_bytes += cache_on_disk(file->digest.size);
    }
}

int cache_stats(struct cache *cache, struct cache_stats *out, struct err *err)
{
    cache_files cas = VEC_INIT, ac = VEC_INIT;
    struct derived_list derived;
    *out = (struct cache_stats){0};
    int rc = cache_list(cache, cache->cas_fd, &cas, err);
    if (rc == 0)
        rc = cache_list(cache, cache->ac_fd, &ac, err);
    out->blobs = cas.n;
    out->actions = ac.n;
    add_files(out, &cas);
    add_files(out, &ac);
    derived_count(&derived, cache);
    derived_add_stats(&derived, out);
    if (cache->root_fd >= 0) {
        out->box_bytes = derived_disk_usage(cache, "box");
        out->mount_bytes = derived_disk_usage(cache, "mounts");
    }
    derived_release(&derived);
    vec_release(&cas);
    vec_release(&ac);
    return rc;
}
