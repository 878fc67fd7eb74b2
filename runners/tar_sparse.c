/*
 * Sparse files: in the archive are only the parts of them that hold something.
 *
 * Which these are is told in one of two ways, what GNU tar and bsdtar write; the older ones of pax
 * (0.0, 0.1) nobody writes any more:
 *
 * - type "S" (GNU): pairs of numbers (offset, length, 12 bytes each) in the header, 4 at byte 386,
 *   and if byte 482 says so in blocks behind it, 21 in each, whose byte 504 says whether one more
 *   follows. The real size is at byte 483 of the header.
 * - pax 1.0: records GNU.sparse.major, minor, name and realsize; the content begins with lines of
 *   one number each (how many parts; offset and length of each), filled up to a whole block.
 *
 * What such a map says must be true of the content that follows, to the byte. A hole costs nothing,
 * however large: what is counted is what is written.
 */
#include "runners/tar_private.h"

#include <string.h>

#define GNU_MAGIC    "ustar  "
#define GNU_MAP      386
#define GNU_EXTENDED 482
#define GNU_SIZE     483, 12
#define IN_HEADER    4
#define IN_BLOCK     21
#define MORE         504
#define PAIR         24
#define MOST_EXTENTS (TAR_MOST_EXTRA / PAIR)

static const char bad_map[] = "the map of a sparse file is malformed";

static int next_block(struct tar *tar, char block[TAR_UNIT], struct err *err)
{
    size_t got;
    int rc = tar_take(tar, block, TAR_UNIT, &got, err);
    if (rc == 0 && got < TAR_UNIT)
        rc = tar_malformed(err, "it ends in the middle of the map of a sparse file");
    return rc;
}

static int add_pairs(struct tar *tar, const char *block, size_t at, size_t n, struct err *err)
{
    for (; n-- > 0 && block[at]; at += PAIR) {
        int64_t offset, length;
        if (!tar_number(block, at, PAIR / 2, &offset) ||
            !tar_number(block, at + PAIR / 2, PAIR / 2, &length) || offset < 0 || length < 0 ||
            tar->extents.n == MOST_EXTENTS)
            return tar_malformed(err, bad_map);
        vec_push(&tar->extents, (struct tar_extent){(uint64_t)offset, (uint64_t)length});
    }
    return 0;
}

static int read_gnu(struct tar *tar, struct err *err)
{
    char block[TAR_UNIT];
    int64_t size;
    if (memcmp(tar->header + 257, GNU_MAGIC, sizeof GNU_MAGIC) != 0 ||
        !tar_number(tar->header, GNU_SIZE, &size) || size < 0)
        return tar_malformed(err, bad_map);
    tar->entry.size = (uint64_t)size;
    int rc = add_pairs(tar, tar->header, GNU_MAP, IN_HEADER, err);
    bool more = tar->header[GNU_EXTENDED];
    for (uint64_t read = 0; rc == 0 && more; read += TAR_UNIT) {
        rc = read < TAR_MOST_EXTRA ? next_block(tar, block, err) : tar_malformed(err, bad_map);
        if (rc == 0)
            rc = add_pairs(tar, block, 0, IN_BLOCK, err);
        more = block[MORE];
    }
    return rc;
}

/* What is read of the lines before the content. */
struct lines {
    char block[TAR_UNIT];
    size_t at;
    uint64_t read;
};

static int next_number(struct tar *tar, struct lines *lines, uint64_t *out, struct err *err)
{
    bool any = false;
    *out = 0;
    for (;; lines->at++) {
        if (lines->at == TAR_UNIT) {
            if (tar->left < TAR_UNIT || lines->read >= TAR_MOST_EXTRA)
                return tar_malformed(err, bad_map);
            int rc = next_block(tar, lines->block, err);
            if (rc < 0)
                return rc;
            tar->left -= TAR_UNIT;
            lines->read += TAR_UNIT;
            lines->at = 0;
        }
        char c = lines->block[lines->at];
        if (c == '\n' && any)
            break;
        if (c < '0' || c > '9' || *out >> 58)
            return tar_malformed(err, bad_map);
        *out = *out * 10 + (uint64_t)(c - '0');
        any = true;
    }
    lines->at++;
    return 0;
}

static int read_pax(struct tar *tar, struct err *err)
{
    struct lines lines = {.at = TAR_UNIT};
    struct tar_extent extent;
    uint64_t n;
    if (tar_record_name(tar, "GNU.sparse.name", &tar->path, err) < 0 ||
        tar_record_number(tar, "GNU.sparse.size", &tar->entry.size, err) < 0 ||
        tar_record_number(tar, "GNU.sparse.realsize", &tar->entry.size, err) < 0)
        return -ERR_CONFIG;
    int rc = next_number(tar, &lines, &n, err);
    while (rc == 0 && n-- > 0) {
        rc = next_number(tar, &lines, &extent.offset, err);
        if (rc == 0)
            rc = next_number(tar, &lines, &extent.n, err);
        if (rc == 0)
            vec_push(&tar->extents, extent);
    }
    return rc;
}

/* In order, within the file, and together what follows. */
static bool map_holds(const struct tar *tar)
{
    uint64_t end = 0, sum = 0;
    vec_each (const struct tar_extent, extent, &tar->extents) {
        if (extent->offset < end || extent->offset > tar->entry.size ||
            extent->n > tar->entry.size - extent->offset)
            return false;
        end = extent->offset + extent->n;
        sum += extent->n;
    }
    return sum == tar->left;
}

int tar_read_extents(struct tar *tar, struct err *err)
{
    uint64_t major = 0, minor = 0;
    bool any = false;
    int rc;
    vec_clear(&tar->extents);
    tar->extent = 0;
    vec_each (const struct tar_record, record, &tar->records)
        any |= strncmp(tar->extra.data + record->key, "GNU.sparse.", 11) == 0;
    if (tar->header[TAR_TYPE] == 'S') {
        rc = read_gnu(tar, err);
    } else if (any) {
        if (tar_record_number(tar, "GNU.sparse.major", &major, err) < 0 ||
            tar_record_number(tar, "GNU.sparse.minor", &minor, err) < 0)
            return -ERR_CONFIG;
        if (major != 1 || minor != 0)
            return tar_malformed(err, "it has a sparse file of a kind that kiln does not know; "
                                      "make the layer without (tar without --sparse)");
        if (tar->entry.type != TAR_FILE)
            return tar_malformed(err, "something that is no file is sparse");
        rc = read_pax(tar, err);
    } else {
        vec_push(&tar->extents, (struct tar_extent){0, tar->entry.size});
        return 0;
    }
    return rc == 0 && !map_holds(tar) ? tar_malformed(err, bad_map) : rc;
}
