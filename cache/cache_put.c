/*
 * cache_put.c - putting content into the disk cache.
 *
 * What is there already is not written again but touched, always, and looked for once more: gc
 * takes a file away only when it is still as old as it was when gc looked, so whoever has been told
 * that a blob is stored keeps it. What can't be touched is written again.
 */
#include "cache/cache.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void cache_rel(const struct digest *digest, char rel[CACHE_REL_SIZE])
{
    digest_hex(digest, rel + 3);
    rel[0] = rel[3];
    rel[1] = rel[4];
    rel[2] = '/';
}

void cache_hand_init(struct cache_hand *hand)
{
    hand->hasher = hasher_new();
    hand->block = mem_alloc(CACHE_BLOCK);
}

void cache_hand_release(struct cache_hand *hand)
{
    hasher_free(hand->hasher);
    free(hand->block);
}

int cache_put_failed(const struct cache *cache, int errnum, struct err *err)
{
    const char *remedy = "make it writable, or set KILN_CACHE_DIR to another directory";
    if (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG)
        remedy = "free some space there, make the cache smaller with kiln cache gc --size, or set "
                 "KILN_CACHE_DIR to a directory on another disk";
    else if (errnum == ENOENT)
        remedy = "it was removed while kiln runs: start kiln again";
    return err_sys(err, errnum, "cannot store in the cache at %s (%s)", cache->path, remedy);
}

/* A file in tmp/ on its way in. */
struct incoming {
    struct cache *cache;
    int fd;
    char name[CACHE_NAME_SIZE];
};

static int incoming_open(struct incoming *in, struct cache *cache)
{
    in->cache = cache;
    cache_unique_name(cache, "put", in->name);
    in->fd =
        openat(cache->tmp_fd, in->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
    return in->fd < 0 ? errno : 0;
}

static void incoming_drop(struct incoming *in)
{
    if (in->fd >= 0)
        close(in->fd);
    (void)unlinkat(in->cache->tmp_fd, in->name, 0);
}

/* Closes it and renames it to rel below dirfd; whatever fails, nothing stays in tmp/. Returns 0 or
 * an errno. */
static int incoming_commit(struct incoming *in, int dirfd, const char *rel, uint64_t size)
{
    int tmp_fd = in->cache->tmp_fd;
    int errnum = close(in->fd) != 0 && errno != EINTR ? errno : 0;
    in->fd = -1;
    if (errnum == 0 && renameat(tmp_fd, in->name, dirfd, rel) != 0) {
        errnum = errno;
        if (errnum == ENOENT) {
            const char sub[3] = {rel[0], rel[1], '\0'};
            (void)mkdirat(dirfd, sub, 0700); /* the rename tells */
            errnum = renameat(tmp_fd, in->name, dirfd, rel) != 0 ? errno : 0;
        }
    }
    if (errnum != 0)
        incoming_drop(in);
    else
        cache_size_add(in->cache, size);
    return errnum;
}

static bool is_full(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT;
}

static int write_file(struct cache *cache, int dirfd, const char *rel, const void *bytes, size_t n)
{
    struct incoming in;
    int errnum = incoming_open(&in, cache);
    if (errnum != 0)
        return errnum;
    if (file_write_all(in.fd, bytes, n) != 0) {
        errnum = errno;
        incoming_drop(&in);
        return errnum;
    }
    return incoming_commit(&in, dirfd, rel, n);
}

int cache_put_file(struct cache *cache, int dirfd, const char *rel, const void *bytes, size_t n,
                   struct err *err)
{
    int errnum = write_file(cache, dirfd, rel, bytes, n);
    if (is_full(errnum) && cache_make_room(cache, n))
        errnum = write_file(cache, dirfd, rel, bytes, n);
    return errnum ? cache_put_failed(cache, errnum, err) : 0;
}

bool cache_find(const struct cache *cache, const struct digest *digest, struct stat *st)
{
    char rel[CACHE_REL_SIZE];
    if (cache->cas_fd < 0)
        return false;
    cache_rel(digest, rel);
    return fstatat(cache->cas_fd, rel, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode) &&
           (uint64_t)st->st_size == digest->size;
}

bool cache_has(const struct cache *cache, const struct digest *digest)
{
    struct stat st;
    return cache_find(cache, digest, &st);
}

static bool already_there(const struct cache *cache, const struct digest *digest)
{
    struct stat st;
    char rel[CACHE_REL_SIZE];
    if (!cache_find(cache, digest, &st))
        return false;
    cache_rel(digest, rel);
    /* gc may take it away just now: if it is there after the touch, gc has seen that or will. */
    return utimensat(cache->cas_fd, rel, NULL, AT_SYMLINK_NOFOLLOW) == 0 &&
           cache_find(cache, digest, &st);
}

/* Stores bytes whose digest is known. */
static int put_digested(struct cache *cache, const void *bytes, const struct digest *digest,
                        struct err *err)
{
    char rel[CACHE_REL_SIZE];
    if (already_there(cache, digest))
        return 0;
    cache_rel(digest, rel);
    return cache_put_file(cache, cache->cas_fd, rel, bytes, (size_t)digest->size, err);
}

int cache_put(struct cache *cache, const void *bytes, size_t n, struct digest *out, struct err *err)
{
    *out = digest_of(bytes, n);
    if (cache->read_only)
        return cache_put_failed(cache, EROFS, err);
    return put_digested(cache, bytes, out, err);
}

/* Copies the file into the cache; the hand's block holds its first n bytes. Reading fails with err,
 * writing with *errnum alone. */
static int put_stream(struct cache *cache, struct cache_hand *hand, int fd, uint64_t size, size_t n,
                      struct digest *out, int *errnum, struct err *err)
{
    struct incoming in;
    uint64_t total = 0;
    int rc = 0;
    *errnum = incoming_open(&in, cache);
    if (*errnum != 0)
        return 0;
    hasher_start(hand->hasher);
    while (n > 0) {
        if (atomic_load_explicit(&cache->giving_up, memory_order_relaxed)) {
            rc = err_sys(err, ECANCELED, "cannot take it");
            break;
        }
        hasher_add(hand->hasher, hand->block, n);
        total += n;
        if (file_write_all(in.fd, hand->block, n) != 0) {
            *errnum = errno;
            break;
        }
        size_t want = size - total < CACHE_BLOCK ? (size_t)(size - total) : CACHE_BLOCK;
        ssize_t got = cache_read(fd, hand->block, want, total);
        if (got < 0) {
            rc = err_sys(err, errno, "cannot read it");
            break;
        }
        n = (size_t)got;
    }
    *out = hasher_end(hand->hasher);
    if (rc == 0 && *errnum == 0 && size != UINT64_MAX && total < size)
        rc = err_set(err, ERR_CORRUPT, "it became shorter while it was read");
    if (rc != 0 || *errnum != 0 || already_there(cache, out)) {
        incoming_drop(&in);
        return rc;
    }
    char rel[CACHE_REL_SIZE];
    cache_rel(out, rel);
    *errnum = incoming_commit(&in, cache->cas_fd, rel, total);
    return 0;
}

/* What a file takes that a full disk stopped. */
static uint64_t needed(int fd, uint64_t size)
{
    struct stat st;
    if (size == UINT64_MAX)
        size = fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : CACHE_BLOCK;
    return size;
}

/* One try; *errnum is what kept it from being written. */
static int put_once(struct cache *cache, struct cache_hand *hand, int fd, uint64_t size,
                    struct digest *out, int *errnum, struct err *err)
{
    size_t want = size < CACHE_BLOCK ? (size_t)size : CACHE_BLOCK;
    ssize_t got = cache_read(fd, hand->block, want, 0);
    *errnum = 0;
    if (got < 0)
        return err_sys(err, errno, "cannot read it");
    if ((size_t)got < want && size != UINT64_MAX)
        return err_set(err, ERR_CORRUPT, "it became shorter while it was read");
    if ((size_t)got == CACHE_BLOCK && size != CACHE_BLOCK)
        return put_stream(cache, hand, fd, size, (size_t)got, out, errnum, err);
    hasher_start(hand->hasher); /* all of it: no file if it is known */
    hasher_add(hand->hasher, hand->block, (size_t)got);
    *out = hasher_end(hand->hasher);
    return put_digested(cache, hand->block, out, err);
}

int cache_put_by(struct cache *cache, struct cache_hand *hand, int fd, uint64_t size,
                 struct digest *out, struct err *err)
{
    int errnum;
    if (cache->read_only)
        return cache_put_failed(cache, EROFS, err);
    int rc = put_once(cache, hand, fd, size, out, &errnum, err);
    if (is_full(errnum) && cache_make_room(cache, needed(fd, size)))
        rc = put_once(cache, hand, fd, size, out, &errnum, err);
    return errnum ? cache_put_failed(cache, errnum, err) : rc;
}

int cache_put_fd(struct cache *cache, int fd, uint64_t size, struct digest *out, struct err *err)
{
    struct cache_hand hand;
    cache_hand_init(&hand);
    int rc = cache_put_by(cache, &hand, fd, size, out, err);
    cache_hand_release(&hand);
    return rc;
}
