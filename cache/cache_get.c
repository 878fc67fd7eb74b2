/*
 * cache_get.c - getting content out of the disk cache, verified; what is not what it claims goes to
 * bad/ and counts as absent.
 */
#include "cache/cache.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool cache_is_stale(const struct stat *st)
{
    return st->st_mtime < time(NULL) - TOUCH_AGE_S;
}

void cache_touch(const struct cache *cache, int fd, const struct stat *st)
{
    if (!cache->read_only && cache_is_stale(st))
        (void)futimens(fd, NULL);
}

ssize_t cache_read(int fd, void *bytes, size_t n, uint64_t offset)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(fd, (char *)bytes + have, n - have, (off_t)(offset + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

bool cache_quarantine(struct cache *cache, int dirfd, const char *rel, const char *kind,
                      const struct stat *judged)
{
    struct stat now;
    char unique[CACHE_NAME_SIZE];
    char name[sizeof("bad/") + CACHE_REL_SIZE + CACHE_NAME_SIZE];
    if (cache->read_only)
        return false;
    if (judged && (fstatat(dirfd, rel, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
                   now.st_ino != judged->st_ino || now.st_dev != judged->st_dev))
        return true;
    cache_unique_name(cache, kind, unique);
    snprintf(name, sizeof(name), "bad/%s.%s", rel + 3, unique);
    if (renameat(dirfd, rel, cache->root_fd, name) == 0)
        return true;
    return errno == ENOENT && (mkdirat(cache->root_fd, "bad", 0700) == 0 || errno == EEXIST) &&
           renameat(dirfd, rel, cache->root_fd, name) == 0;
}

int cache_open_stored(struct cache *cache, int dirfd, const char *rel, const char *kind, int *fd,
                      struct stat *st, struct err *err)
{
    *fd = -1;
    if (dirfd < 0)
        return 0;
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    *fd = openat(dirfd, rel, flags);
    if (*fd < 0 && errno == ENOENT && dirfd == cache->cas_fd && cache_gate_pass(cache))
        *fd = openat(dirfd, rel, flags);
    if (*fd < 0) {
        int errnum = errno;
        if (errnum == ELOOP || errnum == ENXIO)
            (void)cache_quarantine(cache, dirfd, rel, kind, NULL);
        else if (errnum != ENOENT && errnum != ENOTDIR)
            return err_sys(err, errnum, "cannot read %s in the cache at %s", rel + 3, cache->path);
        return 0;
    }
    if (fstat(*fd, st) != 0 || !S_ISREG(st->st_mode)) {
        close(*fd);
        *fd = -1;
        (void)cache_quarantine(cache, dirfd, rel, kind, NULL);
    }
    return 0;
}

/* Opens a blob of the right size. */
static int open_blob(struct cache *cache, const struct digest *digest, int *fd,
                     enum cache_answer *answer, struct err *err)
{
    char rel[CACHE_REL_SIZE];
    struct stat st;
    *answer = CACHE_MISS;
    cache_rel(digest, rel);
    int rc = cache_open_stored(cache, cache->cas_fd, rel, "cas", fd, &st, err);
    if (rc != 0 || *fd < 0)
        return rc;
    if ((uint64_t)st.st_size != digest->size) {
        close(*fd);
        *fd = -1;
        (void)cache_quarantine(cache, cache->cas_fd, rel, "cas", NULL);
        return 0;
    }
    cache_touch(cache, *fd, &st);
    *answer = CACHE_HIT;
    return 0;
}

int cache_open_blob(struct cache *cache, const struct digest *digest, int *fd,
                    enum cache_answer *answer, struct err *err)
{
    struct digest actual;
    int rc = open_blob(cache, digest, fd, answer, err);
    if (rc != 0 || *answer == CACHE_MISS)
        return rc;
    struct hasher *hasher = hasher_new();
    rc = digest_of_fd(hasher, *fd, &actual, err);
    hasher_free(hasher);
    if (rc == 0 && digest_eq(&actual, digest))
        return 0;
    close(*fd);
    *fd = -1;
    *answer = CACHE_MISS;
    if (rc == 0) {
        char rel[CACHE_REL_SIZE];
        cache_rel(digest, rel);
        (void)cache_quarantine(cache, cache->cas_fd, rel, "cas", NULL);
    }
    return rc;
}

int cache_read_failed(const struct cache *cache, const struct digest *digest, int errnum,
                      struct err *err)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return err_sys(err, errnum, "cannot read %s in the cache at %s", hex, cache->path);
}

int cache_get(struct cache *cache, const struct digest *digest, size_t max, struct buf *buf,
              enum cache_answer *answer, struct err *err)
{
    int fd;
    int rc = open_blob(cache, digest, &fd, answer, err);
    if (rc != 0 || *answer == CACHE_MISS)
        return rc;
    if (digest->size > max) {
        close(fd);
        return err_set(err, ERR_SYSTEM,
                       "what the cache holds is too large: %" PRIu64 " bytes, at most %zu are read",
                       digest->size, max);
    }
    size_t n = (size_t)digest->size;
    char *to = buf_reserve(buf, n);
    ssize_t got = cache_read(fd, to, n, 0);
    close(fd);
    if (got < 0) {
        *to = '\0';
        return cache_read_failed(cache, digest, errno, err);
    }
    struct digest actual = digest_of(to, (size_t)got);
    if (!digest_eq(&actual, digest)) {
        char rel[CACHE_REL_SIZE];
        cache_rel(digest, rel);
        (void)cache_quarantine(cache, cache->cas_fd, rel, "cas", NULL);
        *to = '\0';
        *answer = CACHE_MISS;
        return 0;
    }
    to[n] = '\0';
    buf->len += n;
    return 0;
}

bool cache_peek(const struct cache *cache, const struct digest *digest, size_t max, struct buf *buf)
{
    char rel[CACHE_REL_SIZE];
    struct stat st;
    cache_rel(digest, rel);
    int fd = openat(cache->cas_fd, rel, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && digest->size <= max &&
              (uint64_t)st.st_size == digest->size;
    if (ok) {
        char *to = buf_reserve(buf, (size_t)digest->size);
        ssize_t got = cache_read(fd, to, (size_t)digest->size, 0);
        struct digest actual = digest_of(to, got > 0 ? (size_t)got : 0);
        ok = got >= 0 && digest_eq(&actual, digest);
        if (ok)
            buf->len += (size_t)digest->size;
        buf->data[buf->len] = '\0';
    }
    close(fd);
    return ok;
}

static int write_failed(const char *name, int errnum, struct err *err)
{
    return err_sys(err, errnum, "cannot write \"%s\"", name);
}

/* Copies and hashes what follows the first n bytes, already in the hand's block; *actual is what
 * was there. */
static int copy_hashed(const struct cache *cache, struct cache_hand *hand,
                       const struct digest *digest, int from, size_t n, int to, const char *name,
                       struct digest *actual, struct err *err)
{
    uint64_t offset = 0;
    int rc = 0;
    hasher_start(hand->hasher);
    while (n > 0) {
        if (offset > 0 && atomic_load_explicit(&cache->giving_up, memory_order_relaxed)) {
            rc = err_sys(err, ECANCELED, "cannot make \"%s\"", name);
            break;
        }
        hasher_add(hand->hasher, hand->block, n);
        if (file_write_all(to, hand->block, n) != 0) {
            rc = write_failed(name, errno, err);
            break;
        }
        offset += n;
        ssize_t got = n < CACHE_BLOCK ? 0 : cache_read(from, hand->block, CACHE_BLOCK, offset);
        if (got < 0) {
            rc = cache_read_failed(cache, digest, errno, err);
            break;
        }
        n = (size_t)got;
    }
    *actual = hasher_end(hand->hasher);
    return rc;
}

/* Makes the file from the blob, whose beginning (n bytes) is in the hand's block. */
static int copy_to(struct cache *cache, struct cache_hand *hand, const struct digest *digest,
                   int from, size_t n, int dirfd, const char *name, bool executable, bool fresh,
                   struct digest *actual, struct err *err)
{
    char tmp[CACHE_NAME_SIZE];
    if (!fresh)
        cache_unique_name(cache, ".kiln", tmp);
    int to = openat(dirfd, fresh ? name : tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    executable ? 0777 : 0666);
    if (to < 0)
        return write_failed(name, errno, err);
    int rc = copy_hashed(cache, hand, digest, from, n, to, name, actual, err);
    if (close(to) != 0 && errno != EINTR && rc == 0)
        rc = write_failed(name, errno, err);
    if (fresh)
        return rc;
    bool whole = rc == 0 && digest_eq(actual, digest);
    if (whole && renameat(dirfd, tmp, dirfd, name) != 0)
        rc = err_sys(err, errno, "cannot replace \"%s\"", name);
    if (!whole || rc != 0)
        (void)unlinkat(dirfd, tmp, 0);
    return rc;
}

int cache_copy_by(struct cache *cache, struct cache_hand *hand, const struct digest *digest,
                  int dirfd, const char *name, bool executable, bool fresh,
                  enum cache_answer *answer, struct err *err)
{
    int from;
    struct digest actual = {0};
    int rc = open_blob(cache, digest, &from, answer, err);
    if (rc != 0 || *answer == CACHE_MISS)
        return rc;
    /* A byte more than there should be would be seen. */
    size_t want = digest->size < CACHE_BLOCK ? (size_t)digest->size + 1 : CACHE_BLOCK;
    ssize_t got = cache_read(from, hand->block, want, 0);
    if (got < 0)
        rc = cache_read_failed(cache, digest, errno, err);
    else
        rc = copy_to(cache, hand, digest, from, (size_t)got, dirfd, name, executable, fresh,
                     &actual, err);
    close(from);
    if (rc == 0 && !digest_eq(&actual, digest)) {
        char rel[CACHE_REL_SIZE];
        cache_rel(digest, rel);
        (void)cache_quarantine(cache, cache->cas_fd, rel, "cas", NULL);
        *answer = CACHE_MISS;
    }
    return rc;
}

int cache_copy_out(struct cache *cache, const struct digest *digest, int dirfd, const char *name,
                   bool executable, enum cache_answer *answer, struct err *err)
{
    struct cache_hand hand;
    cache_hand_init(&hand);
    int rc = cache_copy_by(cache, &hand, digest, dirfd, name, executable, false, answer, err);
    cache_hand_release(&hand);
    return rc;
}
