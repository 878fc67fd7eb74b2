/*
 * cache_result.c - action results in the disk cache.
 *
 * The file of an action result is the encoded ActionResult and behind it 35 bytes: c2 3e 20 and the
 * SHA-256 of key and message. To protobuf that is one more field (number 1000, bytes) which every
 * reader passes over, so the layout stays Bazel's; to kiln it tells a whole result from one that
 * was cut off, flipped or put under another key, all of which may decode.
 */
#include "cache/cache.h"

#include "cache/action.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACTION_MAX ((size_t)64 * 1024 * 1024)

#define SEAL_HEAD  3
#define SEAL_BYTES (SEAL_HEAD + DIGEST_BYTES)
static const unsigned char seal_head[SEAL_HEAD] = {0xc2, 0x3e, DIGEST_BYTES};

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
        return cache_put_failed(cache, EROFS, err);
    struct digest digest = seal_of(key, bytes, n);
    memcpy(seal, seal_head, SEAL_HEAD);
    memcpy(seal + SEAL_HEAD, digest.hash, DIGEST_BYTES);
    cache_rel(key, rel);
    struct buf whole = BUF_INIT;
    buf_add(&whole, bytes, n);
    buf_add(&whole, seal, sizeof(seal));
    int rc = cache_put_file(cache, cache->ac_fd, rel, whole.data, whole.len, err);
    buf_release(&whole);
    return rc;
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

bool cache_has_action(const struct cache *cache, const struct digest *key)
{
    char rel[CACHE_REL_SIZE];
    struct stat st;
    cache_rel(key, rel);
    if (cache->ac_fd < 0 || fstatat(cache->ac_fd, rel, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode))
        return false;
    if (!cache->read_only && cache_is_stale(&st))
        (void)utimensat(cache->ac_fd, rel, NULL, AT_SYMLINK_NOFOLLOW);
    return true;
}

/* Adds the message of the open file to buf when all of it is right. False, with *errnum 0 or what
 * kept it from being read. */
static bool read_result(int fd, const struct stat *st, const struct digest *key, struct buf *buf,
                        int *errnum)
{
    size_t before = buf->len, n = 0;
    *errnum = 0;
    if ((uint64_t)st->st_size > ACTION_MAX)
        return false;
    char *to = buf_reserve(buf, (size_t)st->st_size);
    ssize_t got = cache_read(fd, to, (size_t)st->st_size, 0);
    if (got < 0)
        *errnum = errno;
    bool ok = got >= 0 && action_ok(key, to, (size_t)got, &n);
    buf->len = ok ? before + n : before;
    buf->data[buf->len] = '\0';
    return ok;
}

int cache_get_action(struct cache *cache, const struct digest *key, struct buf *buf,
                     enum cache_answer *answer, struct err *err)
{
    char rel[CACHE_REL_SIZE];
    int fd, errnum;
    struct stat st;
    *answer = CACHE_MISS;
    cache_rel(key, rel);
    int rc = cache_open_stored(cache, cache->ac_fd, rel, "ac", &fd, &st, err);
    if (rc != 0 || fd < 0)
        return rc;
    if (read_result(fd, &st, key, buf, &errnum)) {
        *answer = CACHE_HIT;
        cache_touch(cache, fd, &st);
    } else if (errnum != 0) {
        rc = cache_read_failed(cache, key, errnum, err);
    } else {
        (void)cache_quarantine(cache, cache->ac_fd, rel, "ac", &st);
    }
    close(fd);
    return rc;
}

bool cache_peek_result(const struct cache *cache, const struct digest *key, struct buf *buf)
{
    char rel[CACHE_REL_SIZE];
    struct stat st;
    int errnum;
    cache_rel(key, rel);
    int fd = openat(cache->ac_fd, rel, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read_result(fd, &st, key, buf, &errnum);
    close(fd);
    return ok;
}
