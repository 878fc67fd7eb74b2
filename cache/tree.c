/*
 * tree.c - the store of directories, and whole trees out of it and into it.
 *
 * tree_message.c has the messages.
 */
#include "cache/tree.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

/* An expanded tree with more entries than this is taken for an attack: few messages can name each
 * other many times. */
#define TREE_ENTRIES_MAX ((uint64_t)1 << 24)

struct stored {
    size_t n;
    bool whole; /* all below it is here as well */
    unsigned char bytes[];
};

/* Who may know a directory that is not in the store. */
struct source {
    trees_missing_cb *missing;
    void *ctx;
};

struct trees {
    struct map by_hash; /* 32 bytes -> struct stored */
    struct arena arena;
    struct hasher *hasher;
    struct buf scratch;
    VEC(struct source) sources;
    struct map kept;           /* hashes that the next sweep leaves */
    size_t bytes, bytes_swept; /* stored now, and after the last sweep */
};

/* Below this a sweep is not worth looking through all that is in use. */
#define GROWN_BYTES ((size_t)1 << 20)
/* -- the store --------------------------------------------------------------------------------- */

struct trees *trees_new(void)
{
    struct trees *trees = mem_zalloc(1, sizeof(*trees));
    trees->hasher = hasher_new();
    trees_put_encoded(trees, "", 0);
    return trees;
}

void trees_free(struct trees *trees)
{
    if (!trees)
        return;
    map_release(&trees->by_hash);
    map_release(&trees->kept);
    arena_release(&trees->arena);
    hasher_free(trees->hasher);
    vec_release(&trees->sources);
    buf_release(&trees->scratch);
    free(trees);
}

static void store(struct trees *trees, const uint8_t *hash, const void *bytes, size_t n)
{
    struct stored *stored = arena_alloc(&trees->arena, sizeof(*stored) + n);
    stored->n = n;
    stored->whole = false;
    if (n > 0)
        memcpy(stored->bytes, bytes, n);
    map_put(&trees->by_hash, hash, DIGEST_BYTES, stored, NULL);
    trees->bytes += sizeof(*stored) + n;
}

struct digest trees_put_encoded(struct trees *trees, const void *bytes, size_t n)
{
    hasher_start(trees->hasher);
    hasher_add(trees->hasher, bytes, n);
    struct digest digest = hasher_end(trees->hasher);
    if (!map_get(&trees->by_hash, digest.hash, sizeof(digest.hash)))
        store(trees, digest.hash, bytes, n);
    return digest;
}

struct digest trees_put(struct trees *trees, const struct tree_entry *entries, size_t n)
{
    buf_reset(&trees->scratch);
    tree_encode(entries, n, &trees->scratch);
    return trees_put_encoded(trees, buf_str(&trees->scratch), trees->scratch.len);
}

void trees_ask(struct trees *trees, trees_missing_cb *missing, void *ctx)
{
    vec_push(&trees->sources, (struct source){missing, ctx});
}

void trees_ask_no_more(struct trees *trees, const void *ctx)
{
    size_t kept = 0;
    for (size_t i = 0; i < trees->sources.n; i++)
        if (trees->sources.v[i].ctx != ctx)
            trees->sources.v[kept++] = trees->sources.v[i];
    trees->sources.n = kept;
}

static struct stored *find(const struct trees *trees, const struct digest *digest)
{
    void **place = map_get(&trees->by_hash, digest->hash, sizeof(digest->hash));
    return place ? *place : NULL;
}

const void *trees_get(const struct trees *trees, const struct digest *digest, size_t *n)
{
    const struct stored *stored = find(trees, digest);
    for (size_t i = 0; i < trees->sources.n && !stored; i++) {
        trees->sources.v[i].missing(trees->sources.v[i].ctx, digest);
        stored = find(trees, digest);
    }
    if (!stored || stored->n != digest->size)
        return NULL;
    *n = stored->n;
    return stored->bytes;
}

bool trees_grown(const struct trees *trees)
{
    return trees->bytes > 2 * trees->bytes_swept + GROWN_BYTES;
}

void trees_set_whole(const struct trees *trees, const struct digest *digest)
{
    struct stored *stored = find(trees, digest);
    if (stored)
        stored->whole = true;
}

bool trees_is_whole(const struct trees *trees, const struct digest *digest)
{
    const struct stored *stored = find(trees, digest);
    return stored && stored->whole;
}

size_t trees_bytes(const struct trees *trees)
{
    return trees->bytes;
}

void trees_keep(struct trees *trees, const struct digest *root)
{
    struct arena arena = ARENA_INIT;
    VEC(struct digest) todo = VEC_INIT;
    vec_push(&todo, *root);
    while (todo.n) {
        struct digest digest = vec_pop(&todo);
        const struct stored *stored = find(trees, &digest);
        struct tree_dir dir = {NULL, 0};
        bool kept = !stored;
        if (stored)
            map_put(&trees->kept, digest.hash, DIGEST_BYTES, NULL, &kept);
        if (kept || tree_decode(stored->bytes, stored->n, &arena, &dir, NULL) != 0)
            continue;
        for (size_t i = 0; i < dir.n; i++)
            if (dir.entries[i].kind == TREE_DIR)
                vec_push(&todo, dir.entries[i].digest);
        arena_release(&arena);
    }
    arena_release(&arena);
    vec_release(&todo);
}

void trees_sweep(struct trees *trees)
{
    struct map all = trees->by_hash;
    struct arena arena = trees->arena;
    trees->by_hash = (struct map)MAP_INIT;
    trees->arena = (struct arena)ARENA_INIT;
    trees->bytes = 0;
    trees_put_encoded(trees, "", 0);
    map_each (entry, &trees->kept) {
        void **place = map_get(&all, entry->key, DIGEST_BYTES);
        const struct stored *stored = place ? *place : NULL;
        if (!stored || !stored->n)
            continue;
        store(trees, entry->key, stored->bytes, stored->n);
        struct digest digest;
        memcpy(digest.hash, entry->key, DIGEST_BYTES);
        if (stored->whole) /* what is kept is kept with all below */
            trees_set_whole(trees, &digest);
    }
    map_release(&all);
    arena_release(&arena);
    map_release(&trees->kept);
    trees->bytes_swept = trees->bytes;
}

int trees_open(const struct trees *trees, const struct digest *digest, struct arena *arena,
               struct tree_dir *out, struct err *err)
{
    size_t n;
    const void *bytes = trees_get(trees, digest, &n);
    if (!bytes) {
        char hex[DIGEST_HEX + 1];
        digest_hex(digest, hex);
        return err_set(err, ERR_CORRUPT, "the directory %s is not known", hex);
    }
    return tree_decode(bytes, n, arena, out, err);
}

struct digest tree_empty(void)
{
    static const struct digest empty = {{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                         0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                                         0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
                                         0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55},
                                        0};
    return empty;
}

/* -- Tree messages ----------------------------------------------------------------------------- */

struct tree_visit {
    const struct trees *trees;
    struct arena arena;
    struct map sizes; /* hash -> how many entries it expands to, plus 1 */
    VEC(struct digest) order;
};

static void visit_release(struct tree_visit *visit)
{
    arena_release(&visit->arena);
    map_release(&visit->sizes);
    vec_release(&visit->order);
}

/* Adds the directory behind everything below it (so the reverse has parents first), each once. */
static int visit_dir(struct tree_visit *visit, const struct digest *digest, unsigned depth,
                     uint64_t *entries, struct err *err)
{
    void **known = map_get(&visit->sizes, digest->hash, sizeof(digest->hash));
    if (known) {
        *entries = (uint64_t)(uintptr_t)*known - 1;
        return 0;
    }
    if (depth > TREE_DEPTH_MAX)
        return err_set(err, ERR_CORRUPT, "a tree is nested deeper than %d directories",
                       TREE_DEPTH_MAX);
    struct tree_dir dir;
    int rc = trees_open(visit->trees, digest, &visit->arena, &dir, err);
    uint64_t sum = dir.n;
    for (size_t i = dir.n; rc == 0 && i-- > 0;) {
        uint64_t below = 0;
        if (dir.entries[i].kind == TREE_DIR)
            rc = visit_dir(visit, &dir.entries[i].digest, depth + 1, &below, err);
        sum += below;
        if (rc == 0 && sum > TREE_ENTRIES_MAX)
            rc = err_set(err, ERR_CORRUPT, "a tree has more than %llu entries",
                         (unsigned long long)TREE_ENTRIES_MAX);
    }
    if (rc != 0)
        return rc;
    map_put(&visit->sizes, digest->hash, sizeof(digest->hash), (void *)(uintptr_t)(sum + 1), NULL);
    vec_push(&visit->order, *digest);
    *entries = sum;
    return 0;
}

int trees_encode_tree(const struct trees *trees, const struct digest *root, struct buf *out,
                      struct err *err)
{
    struct tree_visit visit = {.trees = trees};
    uint64_t entries;
    int rc = visit_dir(&visit, root, 0, &entries, err);
    for (size_t i = visit.order.n; rc == 0 && i-- > 0;) {
        size_t n = 0;
        const void *bytes = trees_get(trees, &visit.order.v[i], &n);
        tree_put_directory(out, i + 1 == visit.order.n, bytes, n);
    }
    visit_release(&visit);
    return rc;
}
struct reading {
    struct trees *trees;
    struct digest root;
    bool begun;
};

/* Children that are not reachable do no harm. */
static void read_dir(void *ctx, const void *bytes, size_t n, const struct tree_dir *dir)
{
    struct reading *reading = ctx;
    (void)dir;
    struct digest digest = trees_put_encoded(reading->trees, bytes, n);
    if (!reading->begun)
        reading->root = digest;
    reading->begun = true;
}

int trees_decode_tree(struct trees *trees, const void *bytes, size_t n, struct digest *root,
                      struct err *err)
{
    struct reading reading = {.trees = trees};
    int rc = tree_each(bytes, n, read_dir, &reading, err);
    if (rc == 0) {
        struct tree_visit visit = {.trees = trees};
        uint64_t entries;
        *root = reading.root;
        rc = visit_dir(&visit, root, 0, &entries, err);
        visit_release(&visit);
    }
    return rc;
}
