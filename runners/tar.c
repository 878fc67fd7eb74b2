/*
 * tar.c - the reader of tar streams.
 *
 * A tar is blocks of 512 bytes: a header, the content in whole blocks, and so on; a block of zeros
 * (two, by the book) ends it. Before the header of an entry there may be others for it: type "x"
 * has records "LENGTH KEY=VALUE\n" (pax), "L" and "K" a long name and target (GNU). "g", records
 * for all entries that follow, is passed over, as Docker does.
 */
#include "runners/tar_private.h"

#include "base/mem.h"

#include <string.h>

#define MOST_SIZE ((uint64_t)1 << 62)

/* Where fields are in a header. */
#define NAME      0, 100
#define MODE      100, 8
#define UID       108, 8
#define GID       116, 8
#define SIZE      124, 12
#define MTIME     136, 12
#define CHECKSUM  148, 8
#define LINK      157, 100
#define MAGIC     257
#define PREFIX    345, 155
#define STAR      508 /* "tar\0": made by star, whose prefix is shorter */
#define STAR_LONG 131

struct tar *tar_new(tar_pull *pull, void *ctx)
{
    struct tar *tar = mem_zalloc(1, sizeof *tar);
    tar->pull = pull;
    tar->ctx = ctx;
    return tar;
}

void tar_free(struct tar *tar)
{
    if (!tar)
        return;
    buf_release(&tar->path);
    buf_release(&tar->link);
    buf_release(&tar->extra);
    vec_release(&tar->records);
    vec_release(&tar->xattrs);
    vec_release(&tar->extents);
    free(tar);
}

int tar_malformed(struct err *err, const char *what)
{
    return err_set(err, ERR_CONFIG, "it is not a tar that can be read: %s", what);
}

/* Has some bytes ready, unless the stream is at its end. */
static int fill(struct tar *tar, struct err *err)
{
    if (tar->n)
        return 0;
    const void *bytes = NULL;
    int rc = tar->pull(tar->ctx, &bytes, &tar->n, err);
    tar->at = bytes;
    if (rc < 0)
        tar->n = 0;
    return rc;
}

int tar_take(struct tar *tar, char *to, size_t n, size_t *got, struct err *err)
{
    *got = 0;
    while (*got < n) {
        int rc = fill(tar, err);
        if (rc < 0 || !tar->n)
            return rc;
        size_t some = tar->n < n - *got ? tar->n : n - *got;
        memcpy(to + *got, tar->at, some);
        tar->at += some;
        tar->n -= some;
        *got += some;
    }
    return 0;
}

static int skip(struct tar *tar, uint64_t n, struct err *err)
{
    while (n) {
        int rc = fill(tar, err);
        if (rc < 0)
            return rc;
        if (!tar->n)
            return tar_malformed(err, "it ends in the middle of a file");
        size_t some = tar->n < n ? tar->n : (size_t)n;
        tar->at += some;
        tar->n -= some;
        n -= some;
    }
    return 0;
}

/* --- fields --- */

static size_t text_length(const char *field, size_t n)
{
    const char *end = memchr(field, '\0', n);
    return end ? (size_t)(end - field) : n;
}

bool tar_number(const char *header, size_t offset, size_t width, int64_t *out)
{
    const unsigned char *field = (const unsigned char *)header + offset;
    uint64_t value = 0;
    if (field[0] & 0x80) {
        bool negative = field[0] & 0x40;
        for (size_t i = 0; i < width; i++) {
            unsigned byte = negative ? (unsigned char)~field[i] : field[i];
            if (i == 0)
                byte &= 0x7f;
            if (value >> 54)
                return false;
            value = value << 8 | byte;
        }
        *out = negative ? -(int64_t)value - 1 : (int64_t)value;
        return true;
    }
    size_t i = 0, end = width;
    while (i < end && (field[i] == ' ' || field[i] == '\0'))
        i++;
    while (end > i && (field[end - 1] == ' ' || field[end - 1] == '\0'))
        end--;
    for (; i < end; i++) {
        if (field[i] < '0' || field[i] > '7')
            return field[i] == '\0'; /* what lies behind a NUL does not count */
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    *out = (int64_t)value;
    return true;
}

static bool checksum_holds(const char *header)
{
    int64_t wanted, sum = 0, signed_sum = 0;
    if (!tar_number(header, CHECKSUM, &wanted))
        return false;
    for (size_t i = 0; i < TAR_UNIT; i++) {
        bool own = i >= 148 && i < 156;
        sum += own ? ' ' : (unsigned char)header[i];
        signed_sum += own ? ' ' : (signed char)header[i];
    }
    return wanted == sum || wanted == signed_sum;
}

static bool is_zero(const char *block)
{
    for (size_t i = 0; i < TAR_UNIT; i++) {
        if (block[i])
            return false;
    }
    return true;
}

static void copy_field(struct buf *out, const char *header, size_t offset, size_t width)
{
    buf_reset(out);
    buf_add(out, header + offset, text_length(header + offset, width));
}

static void read_name(struct tar *tar)
{
    const char *header = tar->header;
    copy_field(&tar->path, header, NAME);
    if (memcmp(header + MAGIC, "ustar\0", 6) != 0 || !header[345])
        return;
    struct buf whole = BUF_INIT;
    copy_field(&whole, header, PREFIX);
    if (memcmp(header + STAR, "tar\0", 4) == 0 && whole.len > STAR_LONG)
        buf_truncate(&whole, STAR_LONG);
    buf_addc(&whole, '/');
    buf_add(&whole, tar->path.data, tar->path.len);
    buf_release(&tar->path);
    tar->path = whole;
}

/* --- headers before an entry's own --- */

static int read_extra(struct tar *tar, struct buf *out, uint64_t size, struct err *err)
{
    size_t got;
    if (size > TAR_MOST_EXTRA)
        return tar_malformed(err, "a name or a header is larger than 1 MiB");
    char *to = buf_reserve(out, (size_t)size);
    int rc = tar_take(tar, to, (size_t)size, &got, err);
    if (rc < 0)
        return rc;
    if (got < size)
        return tar_malformed(err, "it ends in the middle of a header");
    out->len += got;
    out->data[out->len] = '\0';
    return skip(tar, (TAR_UNIT - size % TAR_UNIT) % TAR_UNIT, err);
}

/* Cuts the records that begin at byte from of extra into keys and values. */
static int cut_records(struct tar *tar, size_t from, struct err *err)
{
    static const char bad[] = "a pax header is malformed";
    for (size_t at = from; at < tar->extra.len;) {
        char *text = tar->extra.data;
        size_t length = 0, i = at;
        for (; i < tar->extra.len && text[i] >= '0' && text[i] <= '9' && i - at < 8; i++)
            length = length * 10 + (size_t)(text[i] - '0');
        if (i == at || i >= tar->extra.len || text[i] != ' ' || length > tar->extra.len - at ||
            at + length < i + 3 || text[at + length - 1] != '\n')
            return tar_malformed(err, bad);
        size_t key = i + 1, end = at + length - 1;
        char *equals = memchr(text + key, '=', end - key);
        if (!equals || equals == text + key ||
            memchr(text + key, '\0', (size_t)(equals - text) - key))
            return tar_malformed(err, bad);
        *equals = '\0';
        text[end] = '\0';
        size_t value = (size_t)(equals - text) + 1;
        vec_push(&tar->records, (struct tar_record){key, value, end - value});
        at += length;
    }
    return 0;
}

/* The last record of that key, unless it is empty, which means none. */
static const struct tar_record *find_record(const struct tar *tar, const char *key)
{
    for (size_t i = tar->records.n; i-- > 0;) {
        const struct tar_record *record = &tar->records.v[i];
        if (strcmp(tar->extra.data + record->key, key) == 0)
            return record->n ? record : NULL;
    }
    return NULL;
}

int tar_record_name(const struct tar *tar, const char *key, struct buf *out, struct err *err)
{
    const struct tar_record *record = find_record(tar, key);
    if (!record)
        return 0;
    if (memchr(tar->extra.data + record->value, '\0', record->n))
        return tar_malformed(err, "a name holds a NUL");
    buf_reset(out);
    buf_add(out, tar->extra.data + record->value, record->n);
    return 0;
}

int tar_record_number(const struct tar *tar, const char *key, uint64_t *out, struct err *err)
{
    const struct tar_record *record = find_record(tar, key);
    uint64_t value = 0;
    if (!record)
        return 0;
    for (size_t i = 0; i < record->n; i++) {
        char c = tar->extra.data[record->value + i];
        if (c < '0' || c > '9' || value > MOST_SIZE / 10)
            return tar_malformed(err, "a number in a pax header is none");
        value = value * 10 + (uint64_t)(c - '0');
    }
    *out = value;
    return 0;
}

/* "-12.5" */
static int record_time(const struct tar *tar, struct tar_entry *entry, struct err *err)
{
    const struct tar_record *record = find_record(tar, "mtime");
    if (!record)
        return 0;
    const char *c = tar->extra.data + record->value;
    bool negative = *c == '-', any = false;
    int64_t seconds = 0;
    uint32_t ns = 0;
    for (c += negative; *c >= '0' && *c <= '9' && seconds < INT64_MAX / 20; c++, any = true)
        seconds = seconds * 10 + (*c - '0');
    if (any && *c == '.') {
        uint32_t unit = 100000000;
        for (c++; *c >= '0' && *c <= '9'; c++, unit /= 10)
            ns += unit * (uint32_t)(*c - '0');
    }
    if (!any || c != tar->extra.data + record->value + record->n)
        return tar_malformed(err, "a time in a pax header is none");
    if (negative) {
        seconds = -seconds - (ns > 0);
        ns = ns ? 1000000000u - ns : 0;
    }
    entry->mtime = seconds;
    entry->mtime_ns = ns;
    return 0;
}

static void read_xattrs(struct tar *tar)
{
    static const char prefix[] = "SCHILY.xattr.";
    vec_clear(&tar->xattrs);
    vec_each (const struct tar_record, record, &tar->records) {
        const char *key = tar->extra.data + record->key;
        if (strncmp(key, prefix, sizeof prefix - 1) == 0 && key[sizeof prefix - 1])
            vec_push(&tar->xattrs, (struct tar_xattr){key + sizeof prefix - 1,
                                                      tar->extra.data + record->value, record->n});
    }
    tar->entry.xattrs = tar->xattrs.v;
    tar->entry.n_xattrs = tar->xattrs.n;
}

/* --- entries --- */

/* The next header block; *there is false at the archive's end. */
static int next_header(struct tar *tar, bool *there, struct err *err)
{
    size_t got;
    *there = false;
    int rc = tar_take(tar, tar->header, TAR_UNIT, &got, err);
    if (rc < 0 || got == 0)
        return rc;
    if (got < TAR_UNIT)
        return tar_malformed(err, "it ends in the middle of a header");
    if (is_zero(tar->header)) {
        rc = tar_take(tar, tar->header, TAR_UNIT, &got, err);
        if (rc < 0 || got == 0)
            return rc;
        return got == TAR_UNIT && is_zero(tar->header)
                   ? 0
                   : tar_malformed(err, "there is something behind a mark of its end");
    }
    if (!checksum_holds(tar->header))
        return tar_malformed(err, "the checksum of a header is wrong");
    *there = true;
    return 0;
}

static bool type_of(struct tar *tar, enum tar_type *type)
{
    switch (tar->header[TAR_TYPE]) {
    case '\0':
        *type =
            tar->path.len && tar->path.data[tar->path.len - 1] == '/' ? TAR_DIRECTORY : TAR_FILE;
        return true;
    case '0':
    case '7':
    case 'S': *type = TAR_FILE; return true;
    case '1': *type = TAR_HARDLINK; return true;
    case '2': *type = TAR_SYMLINK; return true;
    case '3': *type = TAR_CHAR; return true;
    case '4': *type = TAR_BLOCK; return true;
    case '5': *type = TAR_DIRECTORY; return true;
    case '6': *type = TAR_FIFO; return true;
    default: return false;
    }
}

/* The entry of the header, with what came before it. */
static int read_entry(struct tar *tar, struct err *err)
{
    struct tar_entry *entry = &tar->entry;
    int64_t mode, uid, gid, size, mtime;
    if (!tar_number(tar->header, MODE, &mode) || !tar_number(tar->header, UID, &uid) ||
        !tar_number(tar->header, GID, &gid) || !tar_number(tar->header, SIZE, &size) ||
        !tar_number(tar->header, MTIME, &mtime))
        return tar_malformed(err, "a number in a header is none");
    if (size < 0 || uid < 0 || gid < 0)
        return tar_malformed(err, "a size or an id in a header is negative");
    *entry = (struct tar_entry){.mode = (uint32_t)mode & 07777,
                                .uid = (uint64_t)uid,
                                .gid = (uint64_t)gid,
                                .size = (uint64_t)size,
                                .mtime = mtime};
    if (tar_record_name(tar, "path", &tar->path, err) < 0 ||
        tar_record_name(tar, "linkpath", &tar->link, err) < 0 ||
        tar_record_number(tar, "size", &entry->size, err) < 0 ||
        tar_record_number(tar, "uid", &entry->uid, err) < 0 ||
        tar_record_number(tar, "gid", &entry->gid, err) < 0 || record_time(tar, entry, err) < 0)
        return -ERR_CONFIG;
    if (!type_of(tar, &entry->type))
        return tar_malformed(err, "it has an entry of a type that kiln does not know");
    if (entry->type != TAR_FILE)
        entry->size = 0; /* whatever it says: nothing follows */
    if (entry->size > MOST_SIZE)
        return tar_malformed(err, "the size of a file is more than any disk holds");
    tar->left = entry->size;
    tar->pad = (TAR_UNIT - entry->size % TAR_UNIT) % TAR_UNIT;
    if (tar_read_extents(tar, err) < 0)
        return -(int)err->kind;
    entry->path = buf_str(&tar->path);
    entry->link = buf_str(&tar->link);
    read_xattrs(tar);
    return 0;
}

int tar_next(struct tar *tar, const struct tar_entry **entry, struct err *err)
{
    struct buf long_path = BUF_INIT, long_link = BUF_INIT;
    int rc = tar->ended ? 0 : skip(tar, tar->left + tar->pad, err);
    bool there = false, own = false;
    *entry = NULL;
    tar->left = tar->pad = 0;
    buf_reset(&tar->extra);
    vec_clear(&tar->records);
    for (bool before = false; rc == 0 && !tar->ended && !own; before = true) {
        int64_t size = 0;
        rc = next_header(tar, &there, err);
        if (rc == 0 && !there) {
            tar->ended = true;
            if (before && (tar->records.n || long_path.len || long_link.len))
                rc = tar_malformed(err, "it ends where an entry is expected");
            break;
        }
        if (rc < 0)
            break;
        char type = tar->header[TAR_TYPE];
        own = !strchr("xgLK", type) || type == '\0';
        if (own)
            break;
        if (!tar_number(tar->header, SIZE, &size) || size < 0) {
            rc = tar_malformed(err, "a number in a header is none");
        } else if (type == 'g') {
            rc = skip(tar, (uint64_t)size + (TAR_UNIT - (uint64_t)size % TAR_UNIT) % TAR_UNIT, err);
        } else if (type == 'x') {
            buf_reset(&tar->extra);
            vec_clear(&tar->records);
            rc = read_extra(tar, &tar->extra, (uint64_t)size, err);
            if (rc == 0)
                rc = cut_records(tar, 0, err);
        } else {
            struct buf *name = type == 'L' ? &long_path : &long_link;
            buf_reset(name);
            rc = read_extra(tar, name, (uint64_t)size, err);
            if (rc == 0)
                buf_truncate(name, text_length(buf_str(name), name->len));
        }
    }
    if (rc == 0 && own) {
        read_name(tar);
        copy_field(&tar->link, tar->header, LINK);
        if (long_path.len) {
            buf_reset(&tar->path);
            buf_add(&tar->path, long_path.data, long_path.len);
        }
        if (long_link.len) {
            buf_reset(&tar->link);
            buf_add(&tar->link, long_link.data, long_link.len);
        }
        rc = read_entry(tar, err);
        if (rc == 0)
            *entry = &tar->entry;
    }
    if (rc < 0)
        tar->ended = true;
    buf_release(&long_path);
    buf_release(&long_link);
    return rc;
}

int tar_data(struct tar *tar, const void **bytes, size_t *n, uint64_t *offset, struct err *err)
{
    *n = 0;
    *offset = tar->entry.size;
    if (!tar->left)
        return 0;
    int rc = fill(tar, err);
    if (rc < 0)
        return rc;
    if (!tar->n)
        return tar_malformed(err, "it ends in the middle of a file");
    /* What is left lies in those that are left. */
    while (!tar->extents.v[tar->extent].n)
        tar->extent++;
    struct tar_extent *extent = &tar->extents.v[tar->extent];
    *bytes = tar->at;
    *offset = extent->offset;
    *n = tar->n < extent->n ? tar->n : (size_t)extent->n;
    tar->at += *n;
    tar->n -= *n;
    tar->left -= *n;
    extent->offset += *n;
    extent->n -= *n;
    return 0;
}
