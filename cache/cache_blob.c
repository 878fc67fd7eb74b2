/*
 * cache_blob.c - putting content and action results into the disk cache, and getting them out
 * verified.
 *
 * A blob's file is its content and nothing else. The file of an action result is the encoded
 * ActionResult and behind it 35 bytes: c2 3e 20 and the SHA-256 of key and message. To protobuf
 * that is one more field (number 1000, bytes) which every reader passes over, so the layout stays
 * Bazel's; to kiln it tells a whole result from one that was cut off, flipped or put under another
 * key, all of which may decode.
 */
#include "cache/cache.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/action.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ACTION_MAX ((size_t)64 * 1024 * 1024)

/* What was used within this time counts as new enough for the order of eviction: no write for a
 * no-op. */
#define TOUCH_AGE_S 3600

#define SEAL_HEAD  3
#define SEAL_BYTES (SEAL_HEAD + DIGEST_BYTES)
static const unsigned char seal_head[SEAL_HEAD] = {0xc2, 0x3e, DIGEST_BYTES};

void cache_rel(const struct digest *digest, char rel[CACHE_REL_SIZE])
{
    digest_hex(digest, rel + 3);
    rel[0] = rel[3];
    rel[1] = rel[4];
    rel[2] = '/';
}

static bool is_stale(const struct stat *st)
{
    return st->st_mtime < time(NULL) - TOUCH_AGE_S;
}

static void touch_fd(const struct cache *cache, int fd, const struct stat *st)
{
    if (!cache->read_only && is_stale(st))
        (void)futimens(fd, NULL);
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

/* -- putting ----------------------------------------------------------------------------------- */

static int put_failed(const struct cache *cache, int errnum, struct err *err)
{
    const char *remedy = "make it writable, or set KILN_CACHE_DIR to another directory";
    if (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG)
        remedy = "free some space there, run kiln cache clear, or set KILN_CACHE_DIR to a "
                 "directory on another disk";
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
static int incoming_commit(struct incoming *in, int dirfd, const char *rel)
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
    return errnum;
}

static int put_file(struct cache *cache, int dirfd, const char *rel, const void *bytes, size_t n,
                    struct err *err)
{
    struct incoming in;
    int errnum = incoming_open(&in, cache);
    if (errnum == 0) {
        if (file_write_all(in.fd, bytes, n) != 0) {
            errnum = errno;
            incoming_drop(&in);
        } else {
            errnum = incoming_commit(&in, dirfd, rel);
        }
    }
    return errnum ? put_failed(cache, errnum, err) : 0;
}

static bool find_blob(const struct cache *cache, const struct digest *digest, struct stat *st)
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
    return find_blob(cache, digest, &st);
}

static bool already_there(const struct cache *cache, const struct digest *digest)
{
    struct stat st;
    char rel[CACHE_REL_SIZE];
    if (!find_blob(cache, digest, &st))
        return false;
    if (is_stale(&st)) {
        cache_rel(digest, rel);
        (void)utimensat(cache->cas_fd, rel, NULL, AT_SYMLINK_NOFOLLOW);
    }
    return true;
}

/* Stores bytes whose digest is known. */
static int put_digested(struct cache *cache, const void *bytes, const struct digest *digest,
                        struct err *err)
{
    char rel[CACHE_REL_SIZE];
    if (already_there(cache, digest))
        return 0;
    cache_rel(digest, rel);
    return put_file(cache, cache->cas_fd, rel, bytes, (size_t)digest->size, err);
}

int cache_put(struct cache *cache, const void *bytes, size_t n, struct digest *out, struct err *err)
{
    *out = digest_of(bytes, n);
    if (cache->read_only)
        return put_failed(cache, EROFS, err);
    return put_digested(cache, bytes, out, err);
}

/* Fills bytes from offset on; less than n only at the end of the file. -1 with errno. */
static ssize_t read_full(int fd, void *bytes, size_t n, uint64_t offset)
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

/* Copies what follows the first n bytes, already in the hand's block, into the cache. */
static int put_stream(struct cache *cache, struct cache_hand *hand, int fd, uint64_t size, size_t n,
                      struct digest *out, struct err *err)
{
    struct incoming in;
    uint64_t total = 0;
    int rc = 0;
    int errnum = incoming_open(&in, cache);
    if (errnum != 0)
        return put_failed(cache, errnum, err);
    hasher_start(hand->hasher);
    while (n > 0) {
        hasher_add(hand->hasher, hand->block, n);
        total += n;
        if (file_write_all(in.fd, hand->block, n) != 0) {
            rc = put_failed(cache, errno, err);
            break;
        }
        size_t want = size - total < CACHE_BLOCK ? (size_t)(size - total) : CACHE_BLOCK;
        ssize_t got = read_full(fd, hand->block, want, total);
        if (got < 0) {
            rc = err_sys(err, errno, "cannot read it");
            break;
        }
        n = (size_t)got;
    }
    *out = hasher_end(hand->hasher);
    if (rc == 0 && size != UINT64_MAX && total < size)
        rc = err_set(err, ERR_CORRUPT, "it became shorter while it was read");
    if (rc != 0 || already_there(cache, out)) {
        incoming_drop(&in);
        return rc;
    }
    char rel[CACHE_REL_SIZE];
    cache_rel(out, rel);
    errnum = incoming_commit(&in, cache->cas_fd, rel);
    return errnum ? put_failed(cache, errnum, err) : 0;
}

int cache_put_by(struct cache *cache, struct cache_hand *hand, int fd, uint64_t size,
                 struct digest *out, struct err *err)
{
    if (cache->read_only)
        return put_failed(cache, EROFS, err);
    size_t want = size < CACHE_BLOCK ? (size_t)size : CACHE_BLOCK;
    ssize_t got = read_full(fd, hand->block, want, 0);
    if (got < 0)
        return err_sys(err, errno, "cannot read it");
    if ((size_t)got < want && size != UINT64_MAX)
        return err_set(err, ERR_CORRUPT, "it became shorter while it was read");
    if ((size_t)got == CACHE_BLOCK && size != CACHE_BLOCK)
        return put_stream(cache, hand, fd, size, (size_t)got, out, err);
    hasher_start(hand->hasher); /* all of it: no file if it is known */
    hasher_add(hand->hasher, hand->block, (size_t)got);
    *out = hasher_end(hand->hasher);
    return put_digested(cache, hand->block, out, err);
}

int cache_put_fd(struct cache *cache, int fd, uint64_t size, struct digest *out, struct err *err)
{
    struct cache_hand hand;
    cache_hand_init(&hand);
    int rc = cache_put_by(cache, &hand, fd, size, out, err);
    cache_hand_release(&hand);
    return rc;
}

/* -- getting ----------------------------------------------------------------------------------- */

/* Moves what does not hold what it claims out of the way. Where that is not possible it stays, and
 * stays a miss. */
static void quarantine(struct cache *cache, int dirfd, const char *rel, const char *kind)
{
    char unique[CACHE_NAME_SIZE];
    char name[sizeof("bad/") + CACHE_REL_SIZE + CACHE_NAME_SIZE];
    if (cache->read_only)
        return;
    cache_unique_name(cache, kind, unique);
    snprintf(name, sizeof(name), "bad/%s.%s", rel + 3, unique);
    if (renameat(dirfd, rel, cache->root_fd, name) != 0 && errno == ENOENT &&
        mkdirat(cache->root_fd, "bad", 0700) == 0)
        (void)renameat(dirfd, rel, cache->root_fd, name);
}

/* Opens a stored file; *fd is -1 when it is not there or is no file (then it is quarantined). */
static int open_stored(struct cache *cache, int dirfd, const char *rel, const char *kind, int *fd,
                       struct stat *st, struct err *err)
{
    *fd = -1;
    if (dirfd < 0)
        return 0;
    *fd = openat(dirfd, rel, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        int errnum = errno;
        if (errnum == ELOOP || errnum == ENXIO)
            quarantine(cache, dirfd, rel, kind);
        else if (errnum != ENOENT && errnum != ENOTDIR)
            return err_sys(err, errnum, "cannot read %s in the cache at %s", rel + 3, cache->path);
        return 0;
    }
    if (fstat(*fd, st) != 0 || !S_ISREG(st->st_mode)) {
        close(*fd);
        *fd = -1;
        quarantine(cache, dirfd, rel, kind);
    }
    return 0;
}

int cache_open_blob(struct cache *cache, const struct digest *digest, int *fd,
                    enum cache_answer *answer, struct err *err)
{
    char rel[CACHE_REL_SIZE];
    struct stat st;
    *answer = CACHE_MISS;
    cache_rel(digest, rel);
    int rc = open_stored(cache, cache->cas_fd, rel, "cas", fd, &st, err);
    if (rc != 0 || *fd < 0)
        return rc;
    if ((uint64_t)st.st_size != digest->size) {
        close(*fd);
        *fd = -1;
        quarantine(cache, cache->cas_fd, rel, "cas");
        return 0;
    }
    touch_fd(cache, *fd, &st);
    *answer = CACHE_HIT;
    return 0;
}

static int read_failed(const struct cache *cache, const struct digest *digest, int errnum,
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
    int rc = cache_open_blob(cache, digest, &fd, answer, err);
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
    ssize_t got = read_full(fd, to, n, 0);
    close(fd);
    if (got < 0) {
        *to = '\0';
        return read_failed(cache, digest, errno, err);
    }
    struct digest actual = digest_of(to, (size_t)got);
    if (!digest_eq(&actual, digest)) {
        char rel[CACHE_REL_SIZE];
        cache_rel(digest, rel);
        quarantine(cache, cache->cas_fd, rel, "cas");
        *to = '\0';
        *answer = CACHE_MISS;
        return 0;
    }
    to[n] = '\0';
    buf->len += n;
    return 0;
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
        hasher_add(hand->hasher, hand->block, n);
        if (file_write_all(to, hand->block, n) != 0) {
            rc = write_failed(name, errno, err);
            break;
        }
        offset += n;
        ssize_t got = n < CACHE_BLOCK ? 0 : read_full(from, hand->block, CACHE_BLOCK, offset);
        if (got < 0) {
            rc = read_failed(cache, digest, errno, err);
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
    int rc = cache_open_blob(cache, digest, &from, answer, err);
    if (rc != 0 || *answer == CACHE_MISS)
        return rc;
    /* A byte more than there should be would be seen. */
    size_t want = digest->size < CACHE_BLOCK ? (size_t)digest->size + 1 : CACHE_BLOCK;
    ssize_t got = read_full(from, hand->block, want, 0);
    if (got < 0)
        rc = read_failed(cache, digest, errno, err);
    else
        rc = copy_to(cache, hand, digest, from, (size_t)got, dirfd, name, executable, fresh,
                     &actual, err);
    close(from);
    if (rc == 0 && !digest_eq(&actual, digest)) {
        char rel[CACHE_REL_SIZE];
        cache_rel(digest, rel);
        quarantine(cache, cache->cas_fd, rel, "cas");
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

/* -- action results ---------------------------------------------------------------------------- */

static struct digest seal_of(const struct digest *key, const void *bytes, size_t n)
{
    struct hasher *hasher = hasher_new();
    hasher_start(hasher);
    hasher_add(hasher, key->hash, sizeof(key->hash));
    hasher_add(hasher, bytes, n);
    struct digest digest = hasher_end(hasher);
    hasher_free(hasher);
    return digest;
}

int cache_put_action(struct cache *cache, const struct digest *key, const void *bytes, size_t n,
                     struct err *err)
{
    char rel[CACHE_REL_SIZE];
    unsigned char seal[SEAL_BYTES];
    if (cache->read_only)
        return put_failed(cache, EROFS, err);
    struct digest digest = seal_of(key, bytes, n);
    memcpy(seal, seal_head, SEAL_HEAD);
    memcpy(seal + SEAL_HEAD, digest.hash, DIGEST_BYTES);
    cache_rel(key, rel);
    struct buf whole = BUF_INIT;
    buf_add(&whole, bytes, n);
    buf_add(&whole, seal, sizeof(seal));
    int rc = put_file(cache, cache->ac_fd, rel, whole.data, whole.len, err);
    buf_release(&whole);
    return rc;
}

bool cache_has_action(const struct cache *cache, const struct digest *key)
{
    char rel[CACHE_REL_SIZE];
    struct stat st;
    cache_rel(key, rel);
    if (cache->ac_fd < 0 || fstatat(cache->ac_fd, rel, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode))
        return false;
    if (!cache->read_only && is_stale(&st))
        (void)utimensat(cache->ac_fd, rel, NULL, AT_SYMLINK_NOFOLLOW);
    return true;
}

/* Whether n bytes are a sealed result that decodes; *n_message is what precedes the seal. */
static bool action_ok(const struct digest *key, const char *bytes, size_t n, size_t *n_message)
{
    struct arena arena = ARENA_INIT;
    struct action_result result;
    if (n < SEAL_BYTES)
        return false;
    *n_message = n - SEAL_BYTES;
    const char *seal = bytes + *n_message;
    struct digest digest = seal_of(key, bytes, *n_message);
    if (memcmp(seal, seal_head, SEAL_HEAD) != 0 ||
        memcmp(seal + SEAL_HEAD, digest.hash, DIGEST_BYTES) != 0)
        return false;
    bool ok = action_result_decode(bytes, *n_message, &arena, &result, NULL) == 0;
    arena_release(&arena);
    return ok;
}

int cache_get_action(struct cache *cache, const struct digest *key, struct buf *buf,
                     enum cache_answer *answer, struct err *err)
{
    char rel[CACHE_REL_SIZE];
    int fd;
    struct stat st;
    size_t n = 0;
    *answer = CACHE_MISS;
    cache_rel(key, rel);
    int rc = open_stored(cache, cache->ac_fd, rel, "ac", &fd, &st, err);
    if (rc != 0 || fd < 0)
        return rc;

    size_t before = buf->len;
    bool fits = (uint64_t)st.st_size <= ACTION_MAX;
    if (fits) {
        char *to = buf_reserve(buf, (size_t)st.st_size);
        ssize_t got = read_full(fd, to, (size_t)st.st_size, 0);
        if (got < 0)
            rc = read_failed(cache, key, errno, err);
        else if (action_ok(key, to, (size_t)got, &n))
            *answer = CACHE_HIT;
    }
    if (*answer == CACHE_HIT) {
        buf->len = before + n;
        buf->data[buf->len] = '\0';
        touch_fd(cache, fd, &st);
    } else {
        if (fits)
            buf->data[before] = '\0';
        if (rc == 0)
            quarantine(cache, cache->ac_fd, rel, "ac");
    }
    close(fd);
    return rc;
}
