/*
 * cache_derived.c - listing, counting and taking away what can be made anew.
 */
#include "cache/cache_derived.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/snapshot_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define DIR_BYTES  UINT64_C(4096)
#define USED       ".used"
#define HINT_AGE_S (30 * INT64_C(86400))

/* -- snapshots --------------------------------------------------------------------------------- */

struct counting {
    struct derived_list *list;
    struct cache *cache;
    struct map by_hash; /* of snapshots: item + 1 */
    VEC(struct snapshot_header) headers;
    const char *sub;
    enum gc_kind kind;
};

static int tree_cb(void *ctx, int dirfd, const char *name)
{
    struct counting *counting = ctx;
    struct derived item = {.kind = GC_SNAPSHOT, .base = SIZE_MAX, .useless = true};
    struct snapshot_header header = {0};
    struct digest digest;
    struct stat st = {0};
    char *meta = mem_printf("%s/meta", name);
    int fd = openat(dirfd, meta, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    item.name = arena_printf(&counting->list->arena, "snap/%s/" SNAPSHOT_TREES "/%s",
                             counting->cache->boot, name);
    if (fd >= 0 && fstat(fd, &st) == 0 && snapshot_meta_read(fd, name, &header)) {
        item.useless = false;
        item.used_ns = item.mtime_ns = cache_mtime_ns(&st);
        item.bytes = cache_on_disk((uint64_t)st.st_size) + header.dirs * DIR_BYTES;
    }
    if (fd >= 0)
        close(fd);
    free(meta);
    if (!item.useless && digest_parse(name, 0, &digest))
        map_put(&counting->by_hash, digest.hash, DIGEST_BYTES,
                (void *)(uintptr_t)(counting->list->items.n + 1), NULL);
    vec_push(&counting->list->items, item);
    vec_push(&counting->headers, header);
    return 0;
}

/* Finds what each is based on; whoever uses it uses that too. */
static void find_bases(struct counting *counting)
{
    static const uint8_t none[DIGEST_BYTES];
    struct derived_list *list = counting->list;
    for (size_t i = 0; i < list->items.n; i++) {
        const uint8_t *hash = counting->headers.v[i].base;
        if (list->items.v[i].useless || memcmp(hash, none, DIGEST_BYTES) == 0)
            continue;
        void **place = map_get(&counting->by_hash, hash, DIGEST_BYTES);
        if (place)
            list->items.v[i].base = (uintptr_t)*place - 1;
        else
            list->items.v[i].useless = true;
    }
    for (size_t i = 0; i < list->items.n; i++) {
        struct derived *item = &list->items.v[i], *below = item;
        int64_t used_ns;
        while (below->base != SIZE_MAX && item->depth < SNAPSHOT_LAYERS_MAX) {
            below = &list->items.v[below->base];
            item->depth++;
            /* A moment later, so that it goes after what lies on it. */
            if (__builtin_add_overflow(item->used_ns, (int64_t)item->depth, &used_ns))
                used_ns = INT64_MAX;
            if (below->used_ns < used_ns)
                below->used_ns = used_ns;
            item->useless = item->useless || below->useless;
        }
        if (item->useless)
            item->used_ns = 0;
    }
}

/* -- the pool ---------------------------------------------------------------------------------- */

typedef void pool_cb(void *ctx, int dirfd, const char *name, const struct stat *st);

struct pool_walk {
    pool_cb *cb;
    void *ctx;
};

static int pool_file_cb(void *ctx, int dirfd, const char *name)
{
    const struct pool_walk *walk = ctx;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        walk->cb(walk->ctx, dirfd, name, &st);
    return 0;
}

static int pool_dir_cb(void *ctx, int dirfd, const char *name)
{
    (void)cache_each_name(dirfd, name, pool_file_cb, ctx);
    return 0;
}

static void walk_pool(struct cache *cache, pool_cb *cb, void *ctx)
{
    struct pool_walk walk = {.cb = cb, .ctx = ctx};
    (void)cache_each_name(snapshot_place(cache, false), SNAPSHOT_POOL, pool_dir_cb, &walk);
}

static void add_bytes(void *ctx, int dirfd, const char *name, const struct stat *st)
{
    (void)dirfd;
    (void)name;
    *(uint64_t *)ctx += cache_on_disk((uint64_t)st->st_size);
}

struct pool_sweep {
    int64_t before_s;
};

static void sweep_file(void *ctx, int dirfd, const char *name, const struct stat *st)
{
    const struct pool_sweep *sweep = ctx;
    /* The last link that went changed it last. Who would link it just now makes it anew. */
    if (st->st_nlink == 1 && st->st_ctim.tv_sec <= sweep->before_s)
        (void)unlinkat(dirfd, name, 0);
}

void derived_sweep_pool(struct cache *cache, int64_t age_s)
{
    struct pool_sweep sweep = {.before_s = (int64_t)time(NULL) - age_s};
    walk_pool(cache, sweep_file, &sweep);
}

/* What files of the pool have in common that a Directory names: which of them it is for cannot be
 * told, nor matter much, without the paths. */
struct pool_key {
    uint8_t hash[DIGEST_BYTES];
    uint8_t executable;
};

struct sharing {
    struct map files; /* struct pool_key -> bytes of all of them + 1 */
    uint64_t loose;
};

static void know_file(void *ctx, int dirfd, const char *name, const struct stat *st)
{
    struct sharing *sharing = ctx;
    struct digest digest;
    struct pool_key key = {0};
    uint64_t bytes = cache_on_disk((uint64_t)st->st_size);
    bool executable;
    (void)dirfd;
    sharing->loose += bytes;
    if (!pool_parse(name, &digest, &executable))
        return;
    memcpy(key.hash, digest.hash, DIGEST_BYTES);
    key.executable = executable;
    void **known = map_get(&sharing->files, &key, sizeof(key));
    uintptr_t all = known ? (uintptr_t)*known : 1;
    map_put(&sharing->files, &key, sizeof(key), (void *)(all + (uintptr_t)bytes), NULL);
}

/* Gives the item all files that its Directories name and nobody has yet. */
static void take_files(struct sharing *sharing, struct derived *item, struct snapshot_layer *layer)
{
    if (!snapshot_meta_index(layer))
        return;
    for (uint64_t i = 0; i < layer->header.n_index; i++) {
        struct arena arena = ARENA_INIT;
        struct tree_dir dir;
        const struct snapshot_index *at = &layer->index[i];
        const void *bytes = snapshot_meta_message(layer, at, &arena);
        if (!bytes || tree_decode(bytes, (size_t)at->size, &arena, &dir, NULL) != 0)
            dir.n = 0;
        for (size_t e = 0; e < dir.n; e++) {
            struct pool_key key = {.executable = dir.entries[e].executable};
            memcpy(key.hash, dir.entries[e].digest.hash, DIGEST_BYTES);
            uintptr_t size = dir.entries[e].kind == TREE_FILE
                                 ? (uintptr_t)map_del(&sharing->files, &key, sizeof(key))
                                 : 0;
            item->bytes += size ? size - 1 : 0;
            sharing->loose -= size ? size - 1 : 0;
        }
        arena_release(&arena);
    }
}

static int used_last_first(const void *a, const void *b)
{
    const struct derived *x = *(struct derived *const *)a, *y = *(struct derived *const *)b;
    if (x->used_ns != y->used_ns)
        return x->used_ns < y->used_ns ? 1 : -1;
    return (x->depth > y->depth) - (x->depth < y->depth);
}

uint64_t derived_share_out(struct derived_list *list, struct cache *cache)
{
    struct sharing sharing = {0};
    VEC(struct derived *) order = VEC_INIT;
    vec_each (struct derived, item, &list->items)
        if (item->kind == GC_SNAPSHOT && !item->useless)
            vec_push(&order, item);
    if (order.n > 0)
        qsort(order.v, order.n, sizeof(*order.v), used_last_first);
    walk_pool(cache, know_file, &sharing);
    vec_each (struct derived *, item, &order) {
        char *meta = mem_printf("%s/meta", (*item)->name);
        struct snapshot_layer layer = {.fd = -1};
        layer.fd = openat(cache->root_fd, meta, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (layer.fd >= 0 &&
            snapshot_meta_read(layer.fd, strrchr((*item)->name, '/') + 1, &layer.header))
            take_files(&sharing, *item, &layer);
        if (layer.fd >= 0)
            close(layer.fd);
        free(layer.index);
        free(meta);
    }
    vec_release(&order);
    map_release(&sharing.files);
    return sharing.loose;
}

/* -- images ------------------------------------------------------------------------------------ */

static int usage_cb(void *ctx, int dirfd, const char *name)
{
    uint64_t *bytes = ctx;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    *bytes += S_ISDIR(st.st_mode) ? DIR_BYTES : (uint64_t)st.st_blocks * 512;
    if (S_ISDIR(st.st_mode))
        (void)cache_each_name(dirfd, name, usage_cb, ctx);
    return 0;
}

uint64_t derived_disk_usage(const struct cache *cache, const char *rel)
{
    uint64_t bytes = 0;
    (void)cache_each_name(cache->root_fd, rel, usage_cb, &bytes);
    return bytes;
}

static int layer_cb(void *ctx, int dirfd, const char *name)
{
    struct counting *counting = ctx;
    struct derived item = {.kind = counting->kind, .base = SIZE_MAX};
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    char *used = mem_printf("%s" USED, name);
    item.name = arena_printf(&counting->list->arena, "%s/%s", counting->sub, name);
    if (fstatat(dirfd, used, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
        fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        item.used_ns = item.mtime_ns = cache_mtime_ns(&st);
    item.bytes = derived_disk_usage(counting->cache, item.name);
    free(used);
    vec_push(&counting->list->items, item);
    return 0;
}

/* Of these, the first are of blobs. */
static const char *const image_dirs[] = {"images/blobs/sha256", "images/archives", "images"};
#define N_IMAGE_DIRS (sizeof(image_dirs) / sizeof(*image_dirs))
#define N_BLOB_DIRS  (N_IMAGE_DIRS - 1)

/* A blob is read whenever its image is used, which most file systems note once a day. */
static int blob_cb(void *ctx, int dirfd, const char *name)
{
    struct counting *counting = ctx;
    struct derived item = {.kind = counting->kind, .base = SIZE_MAX};
    struct stat st;
    if (*name == '.' || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return 0; /* with a dot: it is being written */
    item.name = arena_printf(&counting->list->arena, "%s/%s", counting->sub, name);
    item.mtime_ns = cache_mtime_ns(&st);
    item.used_ns = (int64_t)st.st_atim.tv_sec * 1000000000 + st.st_atim.tv_nsec;
    if (item.used_ns < item.mtime_ns)
        item.used_ns = item.mtime_ns;
    item.bytes = (uint64_t)st.st_blocks * 512;
    vec_push(&counting->list->items, item);
    return 0;
}

/* -- all of it --------------------------------------------------------------------------------- */

void derived_count(struct derived_list *list, struct cache *cache)
{
    struct counting counting = {.list = list, .cache = cache};
    *list = (struct derived_list){0};
    if (cache->root_fd < 0)
        return;
    (void)cache_each_name(snapshot_place(cache, false), SNAPSHOT_TREES, tree_cb, &counting);
    find_bases(&counting);
    walk_pool(cache, add_bytes, &list->pool_bytes);
    counting.kind = GC_LAYER;
    counting.sub = "layers";
    (void)cache_each_name(cache->root_fd, counting.sub, layer_cb, &counting);
    counting.kind = GC_IMAGE;
    for (size_t i = 0; i < N_BLOB_DIRS; i++) {
        counting.sub = image_dirs[i];
        (void)cache_each_name(cache->root_fd, counting.sub, blob_cb, &counting);
    }
    map_release(&counting.by_hash);
    vec_release(&counting.headers);
}

void derived_add_stats(const struct derived_list *list, struct cache_stats *stats)
{
    stats->snapshot_bytes += list->pool_bytes;
    stats->disk_bytes += list->pool_bytes;
    vec_each (struct derived, item, &list->items) {
        bool snapshot = item->kind == GC_SNAPSHOT;
        stats->snapshots += snapshot ? 1 : 0;
        stats->images += snapshot ? 0 : 1;
        *(snapshot ? &stats->snapshot_bytes : &stats->image_bytes) += item->bytes;
        stats->disk_bytes += item->bytes;
    }
}

static bool take_snapshot(struct cache *cache, const struct derived *item)
{
    char gone[CACHE_NAME_SIZE + sizeof("tmp/")] = "tmp/";
    struct stat st;
    char *meta = mem_printf("%s/meta", item->name);
    int lock = snapshot_lock(cache->root_fd, item->name, LOCK_EX | LOCK_NB, &st);
    bool idle = lock >= 0 ? item->useless || cache_mtime_ns(&st) == item->mtime_ns
                          : faccessat(cache->root_fd, meta, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
                                errno == ENOENT;
    free(meta);
    cache_unique_name(cache, "gone", gone + strlen(gone));
    bool taken = idle && (renameat(cache->root_fd, item->name, cache->root_fd, gone) == 0 ||
                          errno == ENOENT);
    if (taken && file_remove_tree(cache->root_fd, gone, NULL) != 0) {
        /* it is swept */
    }
    if (lock >= 0)
        close(lock);
    return taken;
}

static bool take_layer(struct cache *cache, const struct derived *item)
{
    struct stat st;
    char *used = mem_printf("%s" USED, item->name);
    int lock = openat(cache->root_fd, used, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool idle = lock < 0 ? errno == ENOENT
                         : cache_flock(lock, LOCK_EX | LOCK_NB) == 0 && fstat(lock, &st) == 0 &&
                               cache_mtime_ns(&st) == item->mtime_ns;
    bool taken = idle && cache_drop(cache, item->name);
    if (taken)
        (void)unlinkat(cache->root_fd, used, 0);
    if (lock >= 0)
        close(lock);
    free(used);
    return taken;
}

bool derived_take(struct cache *cache, const struct derived *item)
{
    if (item->kind == GC_IMAGE) /* who has it open keeps it */
        return unlinkat(cache->root_fd, item->name, 0) == 0 || errno == ENOENT;
    return item->kind == GC_SNAPSHOT ? take_snapshot(cache, item) : take_layer(cache, item);
}

static int hint_cb(void *ctx, int dirfd, const char *name)
{
    struct cache *cache = ctx;
    struct stat st;
    char hex[DIGEST_HEX + 1] = "";
    ssize_t n = readlinkat(dirfd, name, hex, sizeof(hex));
    hex[n >= 0 && n < DIGEST_HEX ? n : DIGEST_HEX] = '\0';
    char *tree = mem_printf(SNAPSHOT_TREES "/%s", hex);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        (st.st_mtime < time(NULL) - HINT_AGE_S ||
         faccessat(snapshot_place(cache, false), tree, F_OK, AT_SYMLINK_NOFOLLOW) != 0))
        (void)unlinkat(dirfd, name, 0);
    free(tree);
    return 0;
}

static int unfinished_cb(void *ctx, int dirfd, const char *name)
{
    struct stat st;
    (void)ctx;
    if (*name == '.' && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode) && st.st_mtime < time(NULL) - UNFINISHED_S)
        (void)unlinkat(dirfd, name, 0);
    return 0;
}

void derived_tidy(struct cache *cache)
{
    for (size_t i = 0; i < N_IMAGE_DIRS; i++)
        (void)cache_each_name(cache->root_fd, image_dirs[i], unfinished_cb, NULL);
    snapshot_sweep(cache);
    snapshot_sweep_places(cache);
    (void)cache_each_name(snapshot_place(cache, false), SNAPSHOT_LAST, hint_cb, cache);
}

void derived_release(struct derived_list *list)
{
    vec_release(&list->items);
    arena_release(&list->arena);
}
