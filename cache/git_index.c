/*
 * The file (git's Documentation/gitformat-index.txt), all numbers big-endian: "DIRC", version (2 to
 * 4), number of entries; the entries, sorted; extensions (four characters, size, bytes); the hash
 * of all that. An entry is 40 bytes of stat, an object id, 16 bits of flags, 16 more where the
 * first say so, and a name: padded with NULs to a multiple of eight, or in version 4 only what
 * differs from the name before. Extension TREE: for the root and then each directory a name and
 * NUL, how many entries lie in it (negative: nobody knows its tree), a space, how many directories,
 * a newline, and the tree's id where the count is not negative.
 *
 * The hash is zero where git was told to save the time (index.skipHash); git trusts such a file,
 * and so does this.
 */
#include "cache/git_index.h"

#include "base/digest.h"

#include <stdlib.h>
#include <string.h>

#define STAT_SIZE     ((size_t)40)
#define FLAG_EXTENDED 0x4000U
#define FLAG_STAGE    0x3000U
#define FLAG_NAME     0x0fffU
#define MODE_TREE     0040000U

struct reader {
    const unsigned char *at, *end;
    size_t id_size;
    unsigned version;
    uint32_t n_entries;
    void (*each)(void *ctx, const struct git_index_file *entry);
    void *ctx;
};

static uint32_t number(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* How many bytes of the name before go (git's varint: the most significant group first, each but
 * the last with its top bit set and one added). */
static bool take_cut(struct reader *reader, size_t *cut)
{
    size_t value = 0;
    for (int i = 0; i < 5; i++) {
        if (!left(reader))
            return false;
        unsigned char c = *reader->at++;
        value = (value << 7) | (c & 127U);
        if (!(c & 128U)) {
            *cut = value;
            return true;
        }
        value++;
    }
    return false;
}

/* name: of the entry before, then of this one, as much of it as fits; len: all of it. */
static bool take_name(struct reader *reader, const unsigned char *entry, unsigned flags, char *name,
                      size_t room, size_t *len)
{
    size_t cut = *len;
    if (reader->version == 4 && (!take_cut(reader, &cut) || cut > *len))
        return false;
    const unsigned char *nul = left(reader) ? memchr(reader->at, '\0', left(reader)) : NULL;
    if (!nul)
        return false;
    size_t kept = *len - cut, n = (size_t)(nul - reader->at);
    if (kept < room) {
        size_t fits = n < room - kept - 1 ? n : room - kept - 1;
        memcpy(name + kept, reader->at, fits);
        name[kept + fits] = '\0';
    }
    *len = kept + n;
    if (*len == 0 || (flags & FLAG_NAME) != (*len < FLAG_NAME ? *len : FLAG_NAME))
        return false;
    reader->at = nul + 1;
    if (reader->version != 4) {
        size_t size = ((size_t)(nul - entry) + 8) & ~(size_t)7;
        if (size > (size_t)(reader->end - entry))
            return false;
        reader->at = entry + size;
    }
    return true;
}

static void tell(const struct reader *reader, const unsigned char *entry, unsigned flags,
                 const char *name, size_t len)
{
    if (reader->each)
        reader->each(reader->ctx, &(struct git_index_file){
                                      .path = name,
                                      .len = len,
                                      .ctime_s = number(entry),
                                      .ctime_ns = number(entry + 4),
                                      .mtime_s = number(entry + 8),
                                      .mtime_ns = number(entry + 12),
                                      .inode = number(entry + 20),
                                      .mode = number(entry + 24),
                                      .uid = number(entry + 28),
                                      .gid = number(entry + 32),
                                      .size = number(entry + 36),
                                      .plain = !(flags & ~FLAG_NAME),
                                  });
}

static enum git_index_answer take_entries(struct reader *reader, struct git_index_tree *out)
{
    enum git_index_answer answer = GIT_INDEX_TREE;
    char name[sizeof(out->path)] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < reader->n_entries; i++) {
        const unsigned char *entry = reader->at;
        size_t fixed = STAT_SIZE + reader->id_size + 2;
        if (left(reader) < fixed + 2)
            return GIT_INDEX_STRANGE;
        unsigned flags = (unsigned)entry[fixed - 2] << 8 | entry[fixed - 1];
        if ((flags & FLAG_EXTENDED) && reader->version < 3)
            return GIT_INDEX_STRANGE;
        reader->at += fixed + (flags & FLAG_EXTENDED ? 2 : 0);
        if (!take_name(reader, entry, flags, name, sizeof(name), &len))
            return GIT_INDEX_STRANGE;
        if (number(entry + 24) == MODE_TREE) /* of a sparse index */
            return GIT_INDEX_STRANGE;
        if (reader->each && len >= sizeof(name))
            return GIT_INDEX_STRANGE;
        tell(reader, entry, flags, name, len);
        if ((flags & FLAG_STAGE) && answer != GIT_INDEX_UNMERGED) {
            answer = GIT_INDEX_UNMERGED;
            memcpy(out->path, name, sizeof(name));
        }
    }
    return answer;
}

/* The root's part of the extension TREE. */
static enum git_index_answer take_root(const struct reader *reader, const unsigned char *bytes,
                                       size_t n, struct git_index_tree *out)
{
    const unsigned char *newline = n > 1 && !bytes[0] ? memchr(bytes, '\n', n) : NULL;
    char line[32];
    if (!newline || (size_t)(newline - bytes) > sizeof(line))
        return GIT_INDEX_STRANGE;
    size_t len = (size_t)(newline - bytes) - 1;
    memcpy(line, bytes + 1, len);
    line[len] = '\0';
    char *behind;
    if (strspn(line, "-0123456789 ") != len || line[0] == ' ')
        return GIT_INDEX_STRANGE;
    long count = strtol(line, &behind, 10);
    if (*behind != ' ')
        return GIT_INDEX_STRANGE;
    if (count < 0)
        return GIT_INDEX_NONE;
    if (count != (long)reader->n_entries || (size_t)(bytes + n - newline - 1) < reader->id_size)
        return GIT_INDEX_STRANGE;
    memcpy(out->id, newline + 1, reader->id_size);
    return GIT_INDEX_TREE;
}

static enum git_index_answer take_extensions(struct reader *reader, struct git_index_tree *out)
{
    enum git_index_answer answer = GIT_INDEX_NONE;
    bool seen = false;
    while (left(reader) >= 8) {
        const unsigned char *name = reader->at;
        size_t size = number(name + 4);
        if (size > left(reader) - 8)
            return GIT_INDEX_STRANGE;
        bool tree = memcmp(name, "TREE", 4) == 0;
        /* One that begins with no capital changes what the entries mean. */
        if (name[0] < 'A' || name[0] > 'Z' || (tree && seen))
            return GIT_INDEX_STRANGE;
        if (tree) {
            answer = take_root(reader, name + 8, size, out);
            seen = true;
        }
        if (answer == GIT_INDEX_STRANGE)
            return answer;
        reader->at += 8 + size;
    }
    return left(reader) ? GIT_INDEX_STRANGE : answer;
}

static bool is_whole(const unsigned char *bytes, size_t n, size_t id_size)
{
    const unsigned char *told = bytes + n;
    uint8_t hash[GIT_ID_MAX];
    static const uint8_t none[GIT_ID_MAX];
    if (memcmp(told, none, id_size) == 0)
        return true;
    if (id_size == DIGEST_BYTES) {
        struct digest digest = digest_of(bytes, n);
        memcpy(hash, digest.hash, id_size);
    } else if (!sha1_of(bytes, n, hash)) {
        return false;
    }
    return memcmp(told, hash, id_size) == 0;
}

enum git_index_answer git_index_tree(const void *bytes, size_t n, size_t id_size,
                                     struct git_index_tree *out)
{
    return git_index_each(bytes, n, id_size, NULL, NULL, out);
}

enum git_index_answer git_index_each(const void *bytes, size_t n, size_t id_size,
                                     void (*each)(void *ctx, const struct git_index_file *entry),
                                     void *ctx, struct git_index_tree *out)
{
    const unsigned char *start = bytes;
    if ((id_size != 20 && id_size != GIT_ID_MAX) || n < 12 + id_size ||
        memcmp(start, "DIRC", 4) != 0)
        return GIT_INDEX_STRANGE;
    struct reader reader = {.at = start + 12,
                            .end = start + n - id_size,
                            .id_size = id_size,
                            .version = number(start + 4),
                            .n_entries = number(start + 8),
                            .each = each,
                            .ctx = ctx};
    if (reader.version < 2 || reader.version > 4)
        return GIT_INDEX_STRANGE;
    if (!is_whole(start, n - id_size, id_size))
        return GIT_INDEX_DAMAGED;
    enum git_index_answer answer = take_entries(&reader, out);
    return answer == GIT_INDEX_TREE ? take_extensions(&reader, out) : answer;
}
