/*
 * snapshot_pool.c - files of snapshots: made once, verified while they are copied, and linked from
 * the pool from then on.
 *
 * A file is made under its own name in the tree that is being made, which nobody else sees, and the
 * pool gets a link to it. What is in the pool is linked as it is when its size, times, mode and
 * owner are what they were made to be; else, and where the file system allows an inode no further
 * link, it is made anew and takes the place in the pool. Where links can't be had at all each tree
 * has its own copies.
 *
 * A file of the pool is <sha256>-<place>, executable ones <sha256>-<place>.x, where <place> is the
 * beginning of the SHA-256 of its path in the tree. So trees share what they have at the same path,
 * and no tree has an inode twice: two files that happen to be equal must not be one to a step, to
 * which cp would say that they are the same file, and tar that one is a link to the other.
 */
#include "cache/snapshot_private.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

void pool_rel(const char *folder, const struct plan_entry *entry, char rel[POOL_REL_SIZE])
{
    char hex[DIGEST_HEX + 1];
    char *path = path_join(folder, entry->name);
    struct digest place = digest_of(path, strlen(path));
    size_t n;
    free(path);
    digest_hex(&place, hex);
    cache_rel(&entry->digest, rel);
    n = strlen(rel);
    snprintf(rel + n, POOL_REL_SIZE - n, "-%.*s%s", POOL_PLACE_HEX, hex,
             entry->kind == PLAN_EXECUTABLE ? ".x" : "");
}

bool pool_parse(const char *name, struct digest *digest, bool *executable)
{
    char hex[DIGEST_HEX + 1];
    size_t n = strlen(name), plain = DIGEST_HEX + 1 + POOL_PLACE_HEX;
    *executable = n == plain + 2 && strcmp(name + plain, ".x") == 0;
    if (n != plain + (*executable ? 2 : 0) || name[DIGEST_HEX] != '-' ||
        strspn(name + DIGEST_HEX + 1, "0123456789abcdef") != POOL_PLACE_HEX)
        return false;
    memcpy(hex, name, DIGEST_HEX);
    hex[DIGEST_HEX] = '\0';
    return digest_parse(hex, 0, digest);
}

bool snapshot_stopped(const struct snapshot_request *request)
{
    return atomic_load_explicit(&request->cache->giving_up, memory_order_relaxed) ||
           (request->stop && atomic_load_explicit(request->stop, memory_order_relaxed));
}

static const struct timespec TIMES[2] = {{.tv_sec = SNAPSHOT_MTIME}, {.tv_sec = SNAPSHOT_MTIME}};

int snapshot_settle(const struct snapshot_request *request, int dirfd, const char *name)
{
    if (!request->ours &&
        fchownat(dirfd, name, request->owner, request->group, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    return utimensat(dirfd, name, TIMES, AT_SYMLINK_NOFOLLOW) != 0 ? errno : 0;
}

/* -- making ------------------------------------------------------------------------------------ */

enum copied { COPIED, DIFFERS, UNREADABLE, STOPPED, FAILED }; /* the last with errno */

static enum copied copy_blocks(struct pool_hand *hand, int from, int to, struct digest *actual)
{
    struct hasher *hasher = hand->hand.hasher;
    uint64_t offset = 0;
    hasher_start(hasher);
    for (;;) {
        ssize_t got = cache_read(from, hand->hand.block, CACHE_BLOCK, offset);
        if (got <= 0) {
            *actual = hasher_end(hasher);
            return got < 0 ? UNREADABLE : COPIED;
        }
        hasher_add(hasher, hand->hand.block, (size_t)got);
        if (file_write_all(to, hand->hand.block, (size_t)got) != 0)
            return FAILED;
        offset += (uint64_t)got;
        if (snapshot_stopped(hand->request))
            return STOPPED;
    }
}

/* Shares the blocks of the file where the file system can, and reads them to make sure; else copies
 * them. */
static enum copied copy_large(struct pool_hand *hand, int from, bool stored, int to,
                              struct digest *actual)
{
    if (!hand->no_clone[stored]) {
        if (ioctl(to, FICLONE, from) == 0) {
            hasher_heed(hand->hand.hasher, hand->request->stop);
            int rc = digest_of_fd(hand->hand.hasher, to, actual, NULL);
            hasher_heed(hand->hand.hasher, NULL);
            return rc == 0 ? COPIED : snapshot_stopped(hand->request) ? STOPPED : UNREADABLE;
        }
        hand->no_clone[stored] = true;
    }
    return copy_blocks(hand, from, to, actual);
}

/* Makes the file from what another one holds, if it holds that. */
static enum copied copy(struct pool_hand *hand, int from, bool stored, const struct digest *digest,
                        int dirfd, const char *name, mode_t mode)
{
    const struct snapshot_request *request = hand->request;
    struct digest actual;
    bool small = digest->size < CACHE_BLOCK;
    size_t n = (size_t)digest->size;
    if (small) {
        ssize_t got = cache_read(from, hand->hand.block, n + 1, 0);
        if (got < 0)
            return UNREADABLE;
        actual = digest_of(hand->hand.block, (size_t)got);
        if (!digest_eq(&actual, digest))
            return DIFFERS;
    }
    int to = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0)
        return FAILED;
    enum copied copied;
    if (small)
        copied = file_write_all(to, hand->hand.block, n) == 0 ? COPIED : FAILED;
    else
        copied = copy_large(hand, from, stored, to, &actual);
    if (copied == COPIED && !small && !digest_eq(&actual, digest))
        copied = DIFFERS;
    if (copied == COPIED && ((!request->ours && fchown(to, request->owner, request->group)) ||
                             fchmod(to, mode) != 0 || futimens(to, TIMES) != 0))
        copied = FAILED;
    int errnum = errno;
    if (close(to) != 0 && errno != EINTR && copied == COPIED) {
        copied = FAILED;
        errnum = errno;
    }
    if (copied != COPIED)
        (void)unlinkat(dirfd, name, 0);
    errno = errnum;
    return copied;
}

static enum copied copy_from_tree(struct pool_hand *hand, int source_fd,
                                  const struct digest *digest, int dirfd, const char *name,
                                  mode_t mode)
{
    struct stat st;
    int from = source_fd < 0 ? -1 : openat(source_fd, name, READ_FLAGS);
    if (from < 0) {
        bool gone = source_fd < 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
                    errno == ENXIO;
        return gone ? DIFFERS : UNREADABLE;
    }
    enum copied copied = DIFFERS;
    if (fstat(from, &st) != 0)
        copied = UNREADABLE;
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == digest->size)
        copied = copy(hand, from, false, digest, dirfd, name, mode);
    int errnum = errno;
    close(from);
    errno = errnum;
    return copied;
}

static enum copied copy_from_store(struct pool_hand *hand, const struct digest *digest, int dirfd,
                                   const char *name, mode_t mode)
{
    struct cache *cache = hand->request->cache;
    struct stat st;
    struct err err = ERR_INIT;
    char rel[CACHE_REL_SIZE];
    int from;
    cache_rel(digest, rel);
    if (cache_open_stored(cache, cache->cas_fd, rel, "cas", &from, &st, &err) != 0) {
        errno = err.errnum;
        err_release(&err);
        return UNREADABLE;
    }
    if (from < 0)
        return DIFFERS;
    cache_touch(cache, from, &st);
    enum copied copied = DIFFERS;
    if ((uint64_t)st.st_size == digest->size)
        copied = copy(hand, from, true, digest, dirfd, name, mode);
    int errnum = errno;
    close(from);
    if (copied == DIFFERS)
        (void)cache_quarantine(cache, cache->cas_fd, rel, "cas", NULL);
    errno = errnum;
    return copied;
}

static int make(struct pool_hand *hand, int dirfd, const char *name, const struct digest *digest,
                bool executable, int source_fd, bool *changed, struct err *err)
{
    struct snapshot_request *request = hand->request;
    mode_t mode = executable ? 0755 : 0644;
    enum copied copied = copy_from_tree(hand, source_fd, digest, dirfd, name, mode);
    int errnum = errno;
    if (copied == DIFFERS || copied == UNREADABLE) {
        enum copied stored = copy_from_store(hand, digest, dirfd, name, mode);
        if (stored != DIFFERS) {
            copied = stored;
            errnum = errno;
        }
    }
    switch (copied) {
    case COPIED:
        cache_size_add(request->cache, digest->size);
        if (request->progress)
            atomic_fetch_add_explicit(&request->progress->bytes, digest->size,
                                      memory_order_relaxed);
        return 0;
    case DIFFERS: *changed = true; return 0;
    case UNREADABLE: return err_sys(err, errnum, "cannot read it");
    case STOPPED: return err_set(err, ERR_CANCELLED, "told to stop");
    case FAILED: break;
    }
    return cache_put_failed(request->cache, errnum, err);
}

/* -- sharing ----------------------------------------------------------------------------------- */

enum found { LINKED, MISSING, UNFIT, NO_LINKS, REFUSED };

static enum found link_from_pool(struct pool_hand *hand, const char *rel, int dirfd,
                                 const char *name, const struct digest *digest, bool executable)
{
    const struct snapshot_request *request = hand->request;
    struct stat st;
    if (linkat(hand->pool_fd, rel, dirfd, name, 0) != 0) {
        switch (errno) {
        case ENOENT: return MISSING;
        case EMLINK: return UNFIT;
        case EPERM:
        case EXDEV:
        case ENOSYS:
        case EOPNOTSUPP: return NO_LINKS;
        default: return REFUSED;
        }
    }
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_mode == (S_IFREG | (executable ? 0755U : 0644U)) &&
        (uint64_t)st.st_size == digest->size && st.st_mtim.tv_sec == SNAPSHOT_MTIME &&
        st.st_mtim.tv_nsec == 0 && st.st_uid == request->owner && st.st_gid == request->group)
        return LINKED;
    return unlinkat(dirfd, name, 0) == 0 ? UNFIT : REFUSED;
}

/* Gives the pool a link. Where it can't have one the next tree makes the file again. */
static void publish(struct pool_hand *hand, int dirfd, const char *name, const char *rel,
                    bool replace)
{
    struct cache *cache = hand->request->cache;
    if (!replace) {
        const char sub[3] = {rel[0], rel[1], '\0'};
        if (linkat(dirfd, name, hand->pool_fd, rel, 0) != 0 && errno == ENOENT &&
            (mkdirat(hand->pool_fd, sub, 0700) == 0 || errno == EEXIST))
            (void)linkat(dirfd, name, hand->pool_fd, rel, 0);
        return;
    }
    char tmp[CACHE_NAME_SIZE];
    cache_unique_name(cache, "pool", tmp);
    if (linkat(dirfd, name, cache->tmp_fd, tmp, 0) == 0 &&
        renameat(cache->tmp_fd, tmp, hand->pool_fd, rel) != 0)
        (void)unlinkat(cache->tmp_fd, tmp, 0);
}

int pool_put(struct pool_hand *hand, int dirfd, const char *folder, const struct plan_entry *entry,
             int source_fd, bool *changed, struct err *err)
{
    const char *name = entry->name;
    const struct digest *digest = &entry->digest;
    bool executable = entry->kind == PLAN_EXECUTABLE;
    char rel[POOL_REL_SIZE];
    pool_rel(folder, entry, rel);
    enum found found = link_from_pool(hand, rel, dirfd, name, digest, executable);
    *changed = false;
    if (found == LINKED)
        return 0;
    if (found == REFUSED)
        return cache_put_failed(hand->request->cache, errno, err);
    int rc = make(hand, dirfd, name, digest, executable, source_fd, changed, err);
    if (rc == 0 && !*changed && found != NO_LINKS)
        publish(hand, dirfd, name, rel, found == UNFIT);
    return rc;
}
