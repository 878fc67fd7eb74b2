/*
 * snapshot.c - finding snapshots, holding them, and what the loop thread prepares for making one.
 *
 * The lock is a shared flock on meta; who removes a snapshot needs it for itself, and moves the
 * directory away before letting go. So who has got the lock looks whether meta still is where it
 * was. Whoever uses a delta holds what it is based on too, and notes its use: no base is older than
 * what is based on it.
 */
#include "cache/snapshot_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* -- holding ----------------------------------------------------------------------------------- */

int snapshot_lock(int dirfd, const char *rel, int how, struct stat *st)
{
    struct stat now;
    char *meta = mem_printf("%s/meta", rel);
    int fd = openat(dirfd, meta, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && (cache_flock(fd, how) != 0 || fstat(fd, st) != 0 || !S_ISREG(st->st_mode) ||
                    fstatat(dirfd, meta, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
                    st->st_ino != now.st_ino || st->st_dev != now.st_dev)) {
        close(fd);
        fd = -1;
    }
    free(meta);
    return fd;
}

static void release_layer(struct snapshot_layer *layer)
{
    if (layer->fd >= 0)
        close(layer->fd);
    free(layer->index);
}

static bool is_whole(const struct snapshot_header *header)
{
    static const uint8_t none[DIGEST_BYTES];
    return memcmp(header->base, none, DIGEST_BYTES) == 0;
}

static bool hold_layer(struct cache *cache, const char *hex, uid_t owner, gid_t group, bool used,
                       struct snapshot_layer *out)
{
    char rel[SNAPSHOT_REL_SIZE];
    struct stat st;
    int place = snapshot_place(cache, false);
    *out = (struct snapshot_layer){.fd = -1};
    if (place < 0)
        return false;
    snprintf(out->hex, sizeof(out->hex), "%s", hex);
    snprintf(rel, sizeof(rel), SNAPSHOT_TREES "/%s", hex);
    /* Who has it for himself is about to remove it. */
    out->fd = snapshot_lock(place, rel, LOCK_SH | LOCK_NB, &st);
    if (out->fd >= 0 && snapshot_meta_read(out->fd, hex, &out->header) &&
        out->header.uid == owner && out->header.gid == group) {
        if (used)
            cache_touch(cache, out->fd, &st);
        return true;
    }
    release_layer(out);
    return false;
}

static struct snapshot *hold(struct cache *cache, const char *hex, uid_t owner, gid_t group,
                             bool used)
{
    struct snapshot_layer layers[SNAPSHOT_LAYERS_MAX]; /* the highest first */
    char base[DIGEST_HEX + 1];
    struct digest digest = {0};
    size_t n = 0;
    bool whole = false;
    snprintf(base, sizeof(base), "%s", hex);
    while (!whole && n < SNAPSHOT_LAYERS_MAX &&
           hold_layer(cache, base, owner, group, used, &layers[n])) {
        whole = is_whole(&layers[n].header);
        memcpy(digest.hash, layers[n++].header.base, DIGEST_BYTES);
        digest_hex(&digest, base);
    }
    struct snapshot *snapshot = NULL;
    for (size_t i = n; i-- > 0;) {
        if (whole)
            snapshot = snapshot_stack(cache, snapshot, &layers[i]);
        else
            release_layer(&layers[i]);
    }
    return snapshot;
}

struct snapshot *snapshot_hold(struct cache *cache, const char *hex, uid_t owner, gid_t group)
{
    return hold(cache, hex, owner, group, true);
}

struct snapshot *snapshot_peek(struct cache *cache, const char *hex, uid_t owner, gid_t group)
{
    return hold(cache, hex, owner, group, false);
}

struct snapshot *snapshot_stack(struct cache *cache, struct snapshot *base,
                                const struct snapshot_layer *layer)
{
    struct snapshot *snapshot = base ? base : mem_zalloc(1, sizeof(*snapshot));
    snapshot->cache = cache;
    memcpy(snapshot->digest.hash, layer->header.root, DIGEST_BYTES);
    snapshot->digest.size = layer->header.root_size;
    snapshot->dirs[snapshot->n] = mem_printf("%s/v1/snap/%s/" SNAPSHOT_TREES "/%s/root",
                                             cache->path, cache->boot, layer->hex);
    snapshot->layers[snapshot->n++] = *layer;
    return snapshot;
}

void snapshot_release(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    while (snapshot->n-- > 0) {
        release_layer(&snapshot->layers[snapshot->n]);
        free(snapshot->dirs[snapshot->n]);
    }
    free(snapshot);
}

const char *const *snapshot_dirs(const struct snapshot *snapshot, size_t *n)
{
    *n = snapshot->n;
    return (const char *const *)snapshot->dirs;
}

const struct digest *snapshot_digest(const struct snapshot *snapshot)
{
    return &snapshot->digest;
}

struct snapshot *snapshot_find(struct cache *cache, const struct digest *root,
                               const struct snapshot_options *options)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(root, hex);
    struct snapshot *snapshot = snapshot_hold(cache, hex, options->owner, options->group);
    if (snapshot && !digest_eq(&snapshot->digest, root)) {
        snapshot_release(snapshot);
        snapshot = NULL;
    }
    return snapshot;
}

bool snapshot_keeps(const struct snapshot *near, size_t n, const uint8_t hash[DIGEST_BYTES])
{
    for (size_t i = n; i-- > 0;)
        if (snapshot_meta_find(&near->layers[i], hash))
            return true;
    return false;
}

/* -- requests ---------------------------------------------------------------------------------- */

/* The link that says what was presented last to that name, among all that ask for that root. */
static char *hint(const char *root, const char *name)
{
    char hex[DIGEST_HEX + 1];
    struct buf key = BUF_INIT;
    buf_add(&key, root, strlen(root) + 1);
    buf_adds(&key, name);
    struct digest digest = digest_of(key.data, key.len);
    digest_hex(&digest, hex);
    buf_release(&key);
    return mem_printf(SNAPSHOT_LAST "/%s", hex);
}

static struct snapshot *hold_near(const struct snapshot_request *request)
{
    char hex[DIGEST_HEX + 1];
    int place = snapshot_place(request->cache, false);
    for (size_t i = 0; i < 2; i++) {
        ssize_t n = place < 0 ? -1 : readlinkat(place, request->hints[i], hex, sizeof(hex));
        if (n != DIGEST_HEX)
            continue;
        hex[DIGEST_HEX] = '\0';
        struct snapshot *near = snapshot_hold(request->cache, hex, request->owner, request->group);
        for (size_t l = 0; near && l < near->n; l++) {
            if (snapshot_meta_index(&near->layers[l]))
                continue;
            snapshot_release(near);
            near = NULL;
        }
        if (near)
            return near;
    }
    return NULL;
}

/* A request's messages are being gathered. */
struct gathering {
    struct snapshot_request *request;
    VEC(struct digest) todo;
};

static void gather_child(void *ctx, const struct digest *digest)
{
    struct gathering *gathering = ctx;
    const struct snapshot_request *request = gathering->request;
    if (!map_get(&request->messages, digest->hash, DIGEST_BYTES) &&
        !(request->near && snapshot_keeps(request->near, request->near->n, digest->hash)))
        vec_push(&gathering->todo, *digest);
}

static int gather(struct snapshot_request *request, const struct trees *trees, struct err *err)
{
    struct gathering gathering = {.request = request};
    int rc = 0;
    gather_child(&gathering, &request->root);
    while (rc == 0 && gathering.todo.n > 0) {
        struct digest digest = vec_pop(&gathering.todo);
        size_t n;
        if (map_get(&request->messages, digest.hash, DIGEST_BYTES))
            continue; /* it stood there twice */
        const void *bytes = trees_get(trees, &digest, &n);
        struct snapshot_message *message = arena_alloc(&request->arena, sizeof(*message));
        *message = (struct snapshot_message){.digest = digest};
        if (bytes)
            message->bytes = arena_memdup(&request->arena, bytes, n);
        map_put(&request->messages, digest.hash, DIGEST_BYTES, message, NULL);
        if (!bytes || !tree_each_child(bytes, n, gather_child, &gathering)) {
            char hex[DIGEST_HEX + 1];
            digest_hex(&digest, hex);
            rc = err_set(err, ERR_CORRUPT, "the directory %s is not known", hex);
        }
    }
    vec_release(&gathering.todo);
    return rc;
}

int snapshot_request_new(struct cache *cache, const struct trees *trees, const struct digest *root,
                         const struct snapshot_options *options, struct snapshot_request **out,
                         struct err *err)
{
    struct snapshot_request *request = mem_zalloc(1, sizeof(*request));
    const char *dir = options->root ? options->root : "";
    request->cache = cache;
    request->root = *root;
    request->dir = options->root ? mem_strdup(options->root) : NULL;
    request->hints[0] = hint(dir, options->name ? options->name : "");
    request->hints[1] = hint(dir, "");
    request->owner = options->owner;
    request->group = options->group;
    request->ours = options->owner == geteuid() && options->group == getegid();
    request->progress = options->progress;
    request->stop = options->stop;
    request->near = hold_near(request);
    int rc = gather(request, trees, err);
    *out = rc == 0 ? request : NULL;
    if (rc != 0)
        snapshot_request_free(request);
    return rc;
}

void snapshot_request_free(struct snapshot_request *request)
{
    if (!request)
        return;
    snapshot_release(request->near);
    map_release(&request->messages);
    arena_release(&request->arena);
    free(request->dir);
    free(request->hints[0]);
    free(request->hints[1]);
    free(request->changed);
    free(request);
}

const char *snapshot_request_changed(const struct snapshot_request *request)
{
    return request->changed;
}

const void *snapshot_request_message(struct snapshot_request *request, const struct digest *digest,
                                     struct arena *arena)
{
    void **place = map_get(&request->messages, digest->hash, DIGEST_BYTES);
    if (place) {
        const struct snapshot_message *message = *place;
        return message->digest.size == digest->size ? message->bytes : NULL;
    }
    for (size_t i = request->near ? request->near->n : 0; i-- > 0;) {
        const struct snapshot_layer *layer = &request->near->layers[i];
        const struct snapshot_index *at = snapshot_meta_find(layer, digest->hash);
        if (at && at->size == digest->size)
            return snapshot_meta_message(layer, at, arena);
    }
    return NULL;
}
