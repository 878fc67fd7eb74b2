/*
 * statcache_check.c - whether what a stat cache says of files is so. Nobody else asks: a stamp that
 * holds is what makes the cache worth having. So this is for who checks everything.
 */
#include "cache/statcache.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool still(int dirfd, const struct statcache_entry *entry)
{
    struct stat st;
    if (fstatat(dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    struct stamp now = stamp_of(&st);
    return stamp_eq(&now, &entry->stamp);
}

/* Whether a file whose stamp holds has another content. One that somebody is writing has none that
 * could be told. */
static bool lies_about_file(struct hasher *hasher, int dirfd, const struct statcache_entry *entry)
{
    struct stat st;
    struct digest digest;
    int fd = openat(dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    bool lies = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                !file_has_writer(fd, st.st_ctim.tv_sec) &&
                digest_of_fd(hasher, fd, &digest, NULL) == 0 &&
                !digest_eq(&digest, &entry->digest) && still(dirfd, entry);
    if (fd >= 0)
        close(fd);
    return lies;
}

static bool lies_about_link(int dirfd, const struct statcache_entry *entry)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(dirfd, entry->name, text, sizeof(text));
    size_t len = strlen(entry->target);
    return n >= 0 && ((size_t)n != len || memcmp(text, entry->target, len) != 0) &&
           still(dirfd, entry);
}

static bool lies(struct hasher *hasher, int dirfd, const struct statcache_entry *entry)
{
    if (!(entry->flags & STATCACHE_STAMPED) || !stamp_settled(&entry->stamp, entry->recorded_ns) ||
        !still(dirfd, entry))
        return false;
    return entry->flags & STATCACHE_DIGEST ? lies_about_file(hasher, dirfd, entry)
                                           : lies_about_link(dirfd, entry);
}

char *statcache_find_lie(const struct statcache *cache, const char *root)
{
    int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct hasher *hasher = hasher_new();
    char *path = NULL;
    for (uint32_t i = 0; root_fd >= 0 && !path && i < statcache_n_dirs(cache); i++) {
        struct statcache_dir dir;
        int fd;
        statcache_dir(cache, i, &dir);
        if (beneath_open(root_fd, dir.path, false, &fd, NULL) != 0)
            continue;
        for (uint32_t k = dir.first; k - dir.first < dir.n && !path; k++) {
            struct statcache_entry entry;
            statcache_get(cache, k, &entry);
            if (lies(hasher, fd, &entry))
                path = path_join(dir.path, entry.name);
        }
        close(fd);
    }
    hasher_free(hasher);
    if (root_fd >= 0)
        close(root_fd);
    return path;
}
