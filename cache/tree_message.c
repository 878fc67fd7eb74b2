/*
 * tree_message.c - the Directory and Tree messages on the wire.
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

#include "base/text.h"

#include <string.h>

enum {
    TAG_1 = 0x0a, /* field 1, length-delimited */
    TAG_2 = 0x12,
    TAG_3 = 0x1a,
    TAG_DIGEST_SIZE = 0x10,
    TAG_EXECUTABLE = 0x20,
};

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

void tree_put_directory(struct buf *out, bool root, const void *bytes, size_t n)
{
    char *start = buf_reserve(out, 1 + varint_len(n) + n);
    char *p = put_bytes(start, root ? TAG_1 : TAG_2, bytes, n);
    *p = '\0';
    out->len += (size_t)(p - start);
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

bool tree_each_child(const void *bytes, size_t n, tree_child_cb *cb, void *ctx)
{
    struct reader r = {bytes, n ? (const unsigned char *)bytes + n : bytes};
    while (r.p < r.end) {
        struct reader node, name;
        struct digest digest;
        int tag = *r.p++;
        if (!read_sub(&r, &node))
            return false;
        if (tag != TAG_2)
            continue;
        if (!read_tag(&node, TAG_1) || !read_sub(&node, &name) || !read_digest(&node, &digest))
            return false;
        cb(ctx, &digest);
    }
    return true;
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
