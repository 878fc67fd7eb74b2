/*
 * tree.c - the Directory and Tree messages on the wire, and the store of directories.
 *
 * Directory is encoded for every folder of a project each time something below it changes, so it is
 * written and read by hand; tests hold it byte for byte against protoc and protobuf-c.
 * The format (RE API v2, proto3 wire format; lengths and numbers are minimal varints):
 *
 *     Directory      0a <FileNode>*  12 <DirectoryNode>*  1a <SymlinkNode>*
 *     FileNode       0a <name>  12 <Digest>  [20 01 when executable]
 *     DirectoryNode  0a <name>  12 <Digest>
 *     SymlinkNode    0a <name>  12 <target>
 *     Digest         0a 40 <64 hexadecimal characters>  [10 <size> unless 0]
 *     Tree           0a <Directory: root>  12 <Directory: child>*
 *
 * Each list is sorted by name. Reading takes exactly what writing makes and nothing else: what is
 * decoded encodes to the same bytes.
 */
#include "cache/tree.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

enum {
    TAG_1 = 0x0a, /* field 1, length-delimited */
    TAG_2 = 0x12,
    TAG_3 = 0x1a,
    TAG_DIGEST_SIZE = 0x10,
    TAG_EXECUTABLE = 0x20,
};

/* An expanded tree with more entries than this is taken for an attack: few messages can name each
 * other many times. */
#define TREE_ENTRIES_MAX ((uint64_t)1 << 24)

struct stored {
    size_t n;
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

/* -- writing ----------------------------------------------------------------------------------- */

static size_t varint_len(uint64_t value)
{
    size_t n = 1;
    while (value >>= 7)
        n++;
    return n;
}

static char *put_varint(char *p, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *p++ = (char)(value | 0x80);
    *p++ = (char)value;
    return p;
}

static char *put_bytes(char *p, int tag, const char *bytes, size_t n)
{
    *p++ = (char)tag;
    p = put_varint(p, n);
    memcpy(p, bytes, n);
    return p + n;
}

static size_t digest_len(const struct digest *digest)
{
    return 2 + DIGEST_HEX + (digest->size ? 1 + varint_len(digest->size) : 0);
}

static char *put_digest(char *p, const struct digest *digest)
{
    *p++ = TAG_2;
    *p++ = (char)digest_len(digest);
    *p++ = TAG_1;
    *p++ = DIGEST_HEX;
    digest_hex(digest, p);
    p += DIGEST_HEX;
    if (digest->size) {
        *p++ = TAG_DIGEST_SIZE;
        p = put_varint(p, digest->size);
    }
    return p;
}

static void encode_entry(const struct tree_entry *entry, struct buf *out)
{
    static const char tags[] = {[TREE_FILE] = TAG_1, [TREE_DIR] = TAG_2, [TREE_SYMLINK] = TAG_3};
    size_t name = strlen(entry->name);
    size_t target = entry->kind == TREE_SYMLINK ? strlen(entry->target) : 0;
    size_t body = 1 + varint_len(name) + name;
    if (entry->kind == TREE_SYMLINK)
        body += target ? 1 + varint_len(target) + target : 0;
    else
        body += 2 + digest_len(&entry->digest) +
                (entry->kind == TREE_FILE && entry->executable ? 2 : 0);

    char *p = buf_reserve(out, 1 + varint_len(body) + body);
    *p++ = tags[entry->kind];
    p = put_varint(p, body);
    p = put_bytes(p, TAG_1, entry->name, name);
    if (entry->kind == TREE_SYMLINK) {
        if (target)
            p = put_bytes(p, TAG_2, entry->target, target);
    } else {
        p = put_digest(p, &entry->digest);
        if (entry->kind == TREE_FILE && entry->executable) {
            *p++ = TAG_EXECUTABLE;
            *p++ = 1;
        }
    }
    *p = '\0';
    out->len = (size_t)(p - out->data);
}

void tree_encode(const struct tree_entry *entries, size_t n, struct buf *out)
{
    for (enum tree_kind kind = TREE_FILE; kind <= TREE_SYMLINK; kind++)
        for (size_t i = 0; i < n; i++)
            if (entries[i].kind == kind)
                encode_entry(&entries[i], out);
}

/* -- reading ----------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *p, *end;
};

static bool read_varint(struct reader *r, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        unsigned char byte = *r->p++;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return byte != 0 || shift == 0; /* a zero at the end is not minimal */
    }
    return false;
}

/* Reads a length and hands out that many bytes as *sub. */
static bool read_sub(struct reader *r, struct reader *sub)
{
    uint64_t n;
    if (!read_varint(r, &n) || n > (size_t)(r->end - r->p))
        return false;
    *sub = (struct reader){r->p, r->p + n};
    r->p += n;
    return true;
}

static bool read_tag(struct reader *r, int tag)
{
    if (r->p == r->end || *r->p != tag)
        return false;
    r->p++;
    return true;
}

static bool read_digest(struct reader *r, struct digest *out)
{
    struct reader sub, hex;
    char text[DIGEST_HEX + 1];
    uint64_t size = 0;
    if (!read_tag(r, TAG_2) || !read_sub(r, &sub) || !read_tag(&sub, TAG_1) ||
        !read_sub(&sub, &hex) || hex.end - hex.p != DIGEST_HEX)
        return false;
    memcpy(text, hex.p, DIGEST_HEX);
    text[DIGEST_HEX] = '\0';
    if (sub.p < sub.end && (!read_tag(&sub, TAG_DIGEST_SIZE) || !read_varint(&sub, &size) ||
                            size == 0 || size > INT64_MAX))
        return false;
    return sub.p == sub.end && digest_parse(text, size, out);
}

static bool text_ok(const struct reader *r)
{
    size_t n = (size_t)(r->end - r->p);
    return n > 0 && !memchr(r->p, '\0', n) && utf8_valid((const char *)r->p, n);
}

static bool name_ok(const struct reader *r)
{
    size_t n = (size_t)(r->end - r->p);
    if (!text_ok(r) || memchr(r->p, '/', n))
        return false;
    return !(r->p[0] == '.' && (n == 1 || (n == 2 && r->p[1] == '.')));
}

static char *keep(struct arena *arena, const struct reader *r)
{
    return arena_strndup(arena, (const char *)r->p, (size_t)(r->end - r->p));
}

/* Reads one node without its outer tag. */
static bool read_entry(struct reader *list, enum tree_kind kind, struct arena *arena,
                       struct tree_entry *out)
{
    struct reader node, name, target;
    *out = (struct tree_entry){.kind = kind};
    if (!read_sub(list, &node) || !read_tag(&node, TAG_1) || !read_sub(&node, &name) ||
        !name_ok(&name))
        return false;
    if (kind == TREE_SYMLINK) {
        if (!read_tag(&node, TAG_2) || !read_sub(&node, &target) || !text_ok(&target))
            return false;
        out->target = keep(arena, &target);
    } else {
        if (!read_digest(&node, &out->digest))
            return false;
        if (kind == TREE_FILE && read_tag(&node, TAG_EXECUTABLE)) {
            if (!read_tag(&node, 1))
                return false;
            out->executable = true;
        }
    }
    out->name = keep(arena, &name);
    return node.p == node.end;
}

/* The part of a Directory that lists one kind, and its next entry. */
struct list {
    struct reader r;
    struct tree_entry head;
    bool has_head;
};

static bool list_next(struct list *list, enum tree_kind kind, struct arena *arena)
{
    list->has_head = false;
    if (list->r.p == list->r.end)
        return true;
    list->r.p++; /* the tag: split_lists() saw it */
    list->has_head = true;
    return read_entry(&list->r, kind, arena, &list->head);
}

/* Finds where the three lists begin and end; they must come one after the other. Returns false when
 * they do not. */
static bool split_lists(struct reader r, struct list lists[3], size_t *n)
{
    static const int tags[3] = {TAG_1, TAG_2, TAG_3};
    *n = 0;
    for (int kind = 0; kind < 3; kind++) {
        lists[kind].r.p = r.p;
        while (read_tag(&r, tags[kind])) {
            struct reader sub;
            if (!read_sub(&r, &sub))
                return false;
            ++*n;
        }
        lists[kind].r.end = r.p;
    }
    return r.p == r.end;
}

int tree_decode(const void *bytes, size_t n, struct arena *arena, struct tree_dir *out,
                struct err *err)
{
    struct list lists[3];
    size_t count;
    *out = (struct tree_dir){NULL, 0};
    if (n == 0)
        return 0;
    if (!split_lists((struct reader){bytes, (const unsigned char *)bytes + n}, lists, &count))
        return err_set(err, ERR_CORRUPT, "a directory message of %zu bytes is malformed", n);

    bool ok = true;
    struct tree_entry *entries = arena_zalloc(arena, count, sizeof(*entries));
    for (int kind = 0; kind < 3; kind++)
        ok = ok && list_next(&lists[kind], (enum tree_kind)kind, arena);
    for (size_t i = 0; ok && i < count; i++) {
        int first = -1;
        for (int kind = 0; kind < 3; kind++)
            if (lists[kind].has_head &&
                (first < 0 || strcmp(lists[kind].head.name, lists[first].head.name) < 0))
                first = kind;
        entries[i] = lists[first].head;
        if (i > 0 && strcmp(entries[i - 1].name, entries[i].name) >= 0)
            return err_set(err, ERR_CORRUPT, "a directory message is not sorted by name");
        ok = list_next(&lists[first], (enum tree_kind)first, arena);
    }
    if (!ok)
        return err_set(err, ERR_CORRUPT,
                       "a directory message of %zu bytes has an entry that is malformed", n);
    *out = (struct tree_dir){entries, count};
    return 0;
}

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

static const struct stored *find(const struct trees *trees, const struct digest *digest)
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
        if (stored && stored->n)
            store(trees, entry->key, stored->bytes, stored->n);
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
    return digest_of("", 0);
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
        char *start = buf_reserve(out, 1 + varint_len(n) + n);
        char *p = put_bytes(start, i + 1 == visit.order.n ? TAG_1 : TAG_2, bytes, n);
        *p = '\0';
        out->len += (size_t)(p - start);
    }
    visit_release(&visit);
    return rc;
}

int tree_each(const void *bytes, size_t n, tree_each_cb *cb, void *ctx, struct err *err)
{
    struct reader r = {bytes, n ? (const unsigned char *)bytes + n : bytes};
    struct arena arena = ARENA_INIT;
    int rc = 0, tag = TAG_1;
    if (n == 0)
        return err_set(err, ERR_CORRUPT, "a tree message has no root");
    while (rc == 0 && r.p < r.end) {
        struct reader sub;
        struct tree_dir dir;
        if (!read_tag(&r, tag) || !read_sub(&r, &sub)) {
            rc = err_set(err, ERR_CORRUPT, "a tree message is malformed");
            break;
        }
        size_t n_sub = (size_t)(sub.end - sub.p);
        rc = tree_decode(sub.p, n_sub, &arena, &dir, err);
        if (rc == 0)
            cb(ctx, sub.p, n_sub, &dir);
        arena_release(&arena);
        tag = TAG_2;
    }
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
