/*
 * snapshot_meta.c - the file meta of a snapshot: what it is, and the Directory messages of its
 * tree.
 *
 * A struct snapshot_header, then n_index times struct snapshot_index sorted by hash, then the
 * messages that the index tells of; numbers in the machine's own order. The header has the digest
 * of the index and one of itself, the messages are named by theirs. A tree's messages are those of
 * its meta and of the metas of what it is based on.
 */
#include "cache/snapshot_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC     "kilnsnp2"
#define INDEX_MAX ((uint64_t)1 << 24)

static void hash_header(const struct snapshot_header *header, uint8_t out[DIGEST_BYTES])
{
    struct digest digest = digest_of(header, offsetof(struct snapshot_header, header_hash));
    memcpy(out, digest.hash, DIGEST_BYTES);
}

bool snapshot_meta_read(int fd, const char *hex, struct snapshot_header *out)
{
    uint8_t hash[DIGEST_BYTES];
    struct digest named;
    if (cache_read(fd, out, sizeof(*out), 0) != (ssize_t)sizeof(*out) ||
        memcmp(out->magic, MAGIC, sizeof(out->magic)) != 0 || !digest_parse(hex, 0, &named) ||
        memcmp(out->root, named.hash, DIGEST_BYTES) != 0 || out->n_index > INDEX_MAX)
        return false;
    hash_header(out, hash);
    return memcmp(hash, out->header_hash, DIGEST_BYTES) == 0;
}

bool snapshot_meta_index(struct snapshot_layer *layer)
{
    if (layer->index)
        return true;
    size_t n = (size_t)layer->header.n_index * sizeof(*layer->index);
    layer->index = mem_alloc(n + 1);
    ssize_t got = cache_read(layer->fd, layer->index, n, sizeof(layer->header));
    struct digest actual = digest_of(layer->index, got > 0 ? (size_t)got : 0);
    if (got == (ssize_t)n && memcmp(actual.hash, layer->header.index_hash, DIGEST_BYTES) == 0)
        return true;
    free(layer->index);
    layer->index = NULL;
    return false;
}

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_BYTES);
}

const struct snapshot_index *snapshot_meta_find(const struct snapshot_layer *layer,
                                                const uint8_t hash[DIGEST_BYTES])
{
    size_t n = (size_t)layer->header.n_index;
    return layer->index && n ? bsearch(hash, layer->index, n, sizeof(*layer->index), by_hash)
                             : NULL;
}

const void *snapshot_meta_message(const struct snapshot_layer *layer,
                                  const struct snapshot_index *at, struct arena *arena)
{
    struct stat st;
    if (fstat(layer->fd, &st) != 0 || at->size > (uint64_t)st.st_size)
        return NULL;
    size_t n = (size_t)at->size;
    void *bytes = arena_alloc(arena, n + 1);
    if (cache_read(layer->fd, bytes, n, at->offset) != (ssize_t)n)
        return NULL;
    struct digest actual = digest_of(bytes, n);
    return memcmp(actual.hash, at->hash, DIGEST_BYTES) == 0 ? bytes : NULL;
}

static int message_by_hash(const void *a, const void *b)
{
    const struct snapshot_message *x = a, *y = b;
    return memcmp(x->digest.hash, y->digest.hash, DIGEST_BYTES);
}

int snapshot_meta_write(int fd, struct snapshot_header *header, snapshot_messages *messages,
                        struct err *err)
{
    size_t n = messages->n, n_index = n * sizeof(struct snapshot_index);
    struct snapshot_index *index = mem_zalloc(n + 1, sizeof(*index));
    struct buf bytes = BUF_INIT;
    if (n > 0)
        qsort(messages->v, n, sizeof(*messages->v), message_by_hash);
    uint64_t offset = sizeof(*header) + n_index;
    for (size_t i = 0; i < n; i++) {
        const struct snapshot_message *message = &messages->v[i];
        memcpy(index[i].hash, message->digest.hash, DIGEST_BYTES);
        index[i].size = message->digest.size;
        index[i].offset = offset;
        offset += index[i].size;
        buf_add(&bytes, message->bytes, (size_t)message->digest.size);
    }
    struct digest digest = digest_of(index, n_index);
    memcpy(header->magic, MAGIC, sizeof(header->magic));
    memcpy(header->index_hash, digest.hash, DIGEST_BYTES);
    header->n_index = n;
    hash_header(header, header->header_hash);
    int rc = 0;
    if (file_write_all(fd, header, sizeof(*header)) != 0 ||
        file_write_all(fd, index, n_index) != 0 ||
        file_write_all(fd, buf_str(&bytes), bytes.len) != 0)
        rc = err_sys(err, errno, "cannot write what is known of a snapshot");
    free(index);
    buf_release(&bytes);
    return rc;
}
