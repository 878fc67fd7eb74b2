/*
 * snapshot_make.c - making a snapshot: planned, filled in tmp/ under its lock, and moved into place
 * by one rename.
 *
 * While it is made it is tmp/snap-<unique>/, with a meta that its maker holds the lock of; so what
 * a killed kiln leaves is told from what is being made (snapshot_sweep()).
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

struct making {
    struct snapshot_request *request;
    struct cache *cache;
    struct snapshot_plan plan;
    struct snapshot_layer layer;
    char name[CACHE_NAME_SIZE]; /* in tmp/ */
    int root_fd;
    bool begun;
};

/* Begins a directory in tmp/, with its lock. */
static int begin(struct making *m, struct err *err)
{
    struct cache *cache = m->cache;
    m->layer.fd = m->root_fd = -1;
    for (int tries = 0; tries < 8; tries++) {
        char meta[CACHE_NAME_SIZE + sizeof("/meta")], root[CACHE_NAME_SIZE + sizeof("/root")];
        struct stat st;
        cache_unique_name(cache, "snap", m->name);
        snprintf(meta, sizeof(meta), "%s/meta", m->name);
        snprintf(root, sizeof(root), "%s/root", m->name);
        if (mkdirat(cache->tmp_fd, m->name, 0700) != 0)
            break;
        m->begun = true;
        m->layer.fd =
            openat(cache->tmp_fd, meta, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (m->layer.fd < 0 && errno != ENOENT)
            break;
        /* Who sweeps may have been faster than the lock. */
        if (m->layer.fd >= 0 && cache_flock(m->layer.fd, LOCK_SH) == 0 &&
            fstat(m->layer.fd, &st) == 0 && st.st_nlink > 0 &&
            mkdirat(cache->tmp_fd, root, 0755) == 0) {
            m->root_fd = openat(cache->tmp_fd, root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (m->root_fd >= 0)
                return 0;
            break;
        }
        if (m->layer.fd >= 0)
            close(m->layer.fd);
        m->layer.fd = -1;
    }
    return cache_put_failed(cache, errno, err);
}

static void abandon(struct making *m)
{
    if (m->root_fd >= 0)
        close(m->root_fd);
    if (m->begun && file_remove_tree(m->cache->tmp_fd, m->name, NULL) != 0) {
        /* gc tries again */
    }
    if (m->layer.fd >= 0)
        close(m->layer.fd);
    m->layer.fd = m->root_fd = -1;
    m->begun = false;
}

static int describe(struct making *m, struct err *err)
{
    struct snapshot_request *request = m->request;
    struct snapshot_header *header = &m->layer.header;
    struct stat st;
    *header = (struct snapshot_header){.uid = request->owner, .gid = request->group};
    memcpy(header->root, request->root.hash, DIGEST_BYTES);
    header->root_size = request->root.size;
    header->dirs = m->plan.dirs.n;
    header->entries = m->plan.entries.n + m->plan.dirs.n;
    header->tree = header->entries;
    if (m->plan.layers > 0) {
        const struct snapshot_header *base = &request->near->layers[m->plan.layers - 1].header;
        memcpy(header->base, base->root, DIGEST_BYTES);
        header->tree = base->tree;
    }
    int rc = snapshot_meta_write(m->layer.fd, header, &m->plan.messages, err);
    if (rc == 0 && fstat(m->layer.fd, &st) == 0)
        cache_size_add(m->cache, (uint64_t)st.st_size + header->dirs * 4096);
    return rc;
}

/* Moves it into place; false when another one stands there, which is *snapshot if it is good. */
static int publish(struct making *m, bool *done, struct snapshot **snapshot, struct err *err)
{
    const struct snapshot_request *request = m->request;
    struct cache *cache = m->cache;
    char rel[SNAPSHOT_REL_SIZE];
    *done = false;
    for (int tries = 0; tries < 8; tries++) {
        snprintf(rel, sizeof(rel), SNAPSHOT_TREES "/%s", m->layer.hex);
        if (renameat(cache->tmp_fd, m->name, snapshot_place(cache, true), rel) == 0) {
            m->begun = false;
            *done = true;
            return 0;
        }
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
            break;
        *snapshot = snapshot_hold(cache, m->layer.hex, request->owner, request->group);
        if (*snapshot)
            return 0;
        /* What stands there is no use: damaged, based on nothing, or another owner's. */
        (void)snapshot_condemn(cache, m->layer.hex);
    }
    return cache_put_failed(cache, errno, err);
}

/* What of near the plan lies on becomes the base; the rest is let go. */
static struct snapshot *take_base(struct making *m)
{
    struct snapshot *near = m->request->near;
    if (m->plan.layers == 0)
        return NULL;
    m->request->near = NULL;
    while (near->n > m->plan.layers) {
        near->n--;
        close(near->layers[near->n].fd);
        free(near->layers[near->n].index);
        free(near->dirs[near->n]);
    }
    return near;
}

static void remember(const struct snapshot_request *request, const char *hex)
{
    struct cache *cache = request->cache;
    for (size_t i = 0; i < 2; i++) {
        char tmp[CACHE_NAME_SIZE];
        cache_unique_name(cache, "last", tmp);
        if (symlinkat(hex, cache->tmp_fd, tmp) == 0 &&
            renameat(cache->tmp_fd, tmp, snapshot_place(cache, true), request->hints[i]) != 0)
            (void)unlinkat(cache->tmp_fd, tmp, 0);
    }
}

static int make(struct making *m, bool whole, enum snapshot_answer *answer, bool *no_whiteouts,
                struct snapshot **out, struct err *err)
{
    enum plan_answer planned;
    enum fill_answer filled = FILL_DONE;
    bool done = false;
    int rc = snapshot_plan_make(&m->plan, m->request, whole, &planned, err);
    if (rc == 0 && planned == PLAN_DAMAGED) {
        *answer = SNAPSHOT_AGAIN;
        return 0;
    }
    if (rc == 0)
        rc = begin(m, err);
    if (rc == 0)
        rc = snapshot_fill(&m->plan, m->request, m->root_fd, &filled, err);
    *no_whiteouts = filled == FILL_NO_WHITEOUTS;
    if (rc == 0 && filled == FILL_CHANGED)
        *answer = SNAPSHOT_CHANGED;
    if (rc != 0 || filled != FILL_DONE)
        return rc;
    rc = describe(m, err);
    if (rc == 0)
        rc = publish(m, &done, out, err);
    if (rc == 0 && done) {
        struct snapshot_layer layer = m->layer;
        m->layer.fd = -1; /* the snapshot's now */
        *out = snapshot_stack(m->cache, take_base(m), &layer);
    }
    return rc;
}

/* Lets go of near, and takes it away, whichever of its layers it was. */
static void condemn(struct snapshot_request *request)
{
    struct snapshot *near = request->near;
    for (size_t i = near->n; i-- > 0;)
        (void)snapshot_condemn(request->cache, near->layers[i].hex);
    snapshot_release(near);
    request->near = NULL;
}

static bool is_full(const struct err *err)
{
    return err->errnum == ENOSPC || err->errnum == EDQUOT;
}

int snapshot_make(struct snapshot_request *request, enum snapshot_answer *answer,
                  struct snapshot **out, struct err *err)
{
    struct cache *cache = request->cache;
    struct making m = {.request = request, .cache = cache, .layer.fd = -1, .root_fd = -1};
    struct err why = ERR_INIT;
    bool whole = false, no_whiteouts = false, had_room = false;
    int rc;
    *out = NULL;
    *answer = SNAPSHOT_READY;
    if (cache->read_only || cache->root_fd < 0)
        return cache_put_failed(cache, EROFS, err);
    digest_hex(&request->root, m.layer.hex);
    *out = snapshot_hold(cache, m.layer.hex, request->owner, request->group);
    if (*out)
        return 0;
    snapshot_sweep(cache);
    snapshot_sweep_places(cache);
    if (snapshot_place(cache, true) < 0)
        return cache_put_failed(cache, errno, err);
    for (;;) {
        rc = make(&m, whole, answer, &no_whiteouts, out, &why);
        abandon(&m);
        snapshot_plan_release(&m.plan);
        if (rc == 0 && no_whiteouts && !whole)
            whole = true;
        else if (rc != 0 && is_full(&why) && !had_room && cache_make_room(cache, 1 << 20))
            had_room = true;
        else
            break;
        err_release(&why);
    }
    if (rc == 0 && *answer == SNAPSHOT_AGAIN)
        condemn(request);
    if (rc == 0 && *answer == SNAPSHOT_READY)
        remember(request, m.layer.hex);
    if (rc != 0)
        rc = err_move(err, &why);
    return rc;
}
