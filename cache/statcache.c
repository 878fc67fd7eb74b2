/*
 * The stat cache's file, all numbers in the machine's own byte order (it never leaves the machine;
 * a foreign order fails the magic):
 *
 *     header    struct header: magic and version, checksum of all that follows it, counts
 *     dirs      header.n_dirs times struct dir_record, sorted by path
 *     entries   header.n_entries times struct entry_record; those of one directory are consecutive
 *               and sorted by name
 *     memos     header.n_memos times struct memo_record; those of one directory are consecutive
 *     views     header.n_views times struct span: what memos' views are numbered by
 *     strings   names, paths and targets of links, each with a NUL behind it; the first is the
 *               root's absolute path; and the bytes of views and of the memory
 *
 * The file is read into memory as a whole, and every count and offset is checked once when it is
 * loaded, so that later accesses need no checks. It is read and not mapped: a mapping would end in
 * SIGBUS when somebody cuts the file short under us.
 *
 * The racy rule. A file that is written twice within one tick of the filesystem's clock has the
 * same stamp both times. So a digest is trusted by its stamp only when mtime and ctime lie clearly
 * before the moment hashing began: no later write can have left that stamp. RACY_NS is well above
 * the coarsest tick of Linux' own clock (10 ms at HZ=100); a stamp that has whole seconds in both
 * times may come from a filesystem that keeps no more (FAT even rounds to two), and must be older
 * than COARSE_NS. A time in the future, or a clock that was set back, is never clearly before.
 */
#include "cache/statcache.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RACY_NS   (20 * INT64_C(1000000))
#define COARSE_NS (2 * SECOND_NS + RACY_NS)
#define SECOND_NS INT64_C(1000000000)

#define MAGIC     UINT64_C(0x323074536e6c694b) /* "KilnSt02" */
#define MAX_BYTES ((uint64_t)UINT32_MAX)

/* A piece of the strings. */
struct span {
    uint32_t at, len;
};

struct header {
    uint64_t magic;
    uint64_t checksum;
    uint64_t bytes; /* of the whole file */
    uint64_t memo_print;
    uint32_t n_dirs, n_entries, n_memos, n_views;
    uint32_t strings; /* bytes of them */
    uint32_t root_len;
    struct span memory; /* see statcache_memory() */
};

struct dir_record {
    struct span path;
    uint32_t first, n;
    uint32_t first_memo, n_memos;
    uint32_t n_files;
    uint32_t flags; /* of enum dir_flags */
    uint64_t rules, index;
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns, read_ns;
    uint64_t mode;
};

enum dir_flags { DIR_NAMES = 1, DIR_HAS_DIRS = 2, DIR_HAS_RULES = 4, DIR_BY_INDEX = 8 };

struct entry_record {
    struct span name;
    uint32_t flags; /* of enum statcache_flags, FLAG_DIRECTORY, and the kind above KIND_SHIFT */
    uint32_t mode;
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns, recorded_ns;
    union {
        uint8_t hash[DIGEST_BYTES];
        struct span target;
    } u;
};

struct memo_record {
    uint32_t view, flavour;
    uint64_t size;
    uint8_t hash[DIGEST_BYTES];
};

#define FLAG_DIRECTORY (UINT32_C(1) << 31)
#define KIND_SHIFT     24
#define KIND_MASK      UINT32_C(0x7)
#define FLAGS_MASK     UINT32_C(0xff)

/* All are written as they lie in memory. */
_Static_assert(sizeof(struct header) == 64, "the header has padding");
_Static_assert(sizeof(struct dir_record) == 104, "the record has padding");
_Static_assert(sizeof(struct entry_record) == 96, "the record has padding");
_Static_assert(sizeof(struct memo_record) == 48, "the record has padding");

struct statcache {
    struct buf file;
    const struct dir_record *dirs;
    const struct entry_record *entries;
    const struct memo_record *memos;
    const struct span *views;
    const char *strings;
    uint32_t n_dirs, n_entries, n_views;
    uint64_t memo_print;
    const char *memory;
    size_t memory_len;
};

struct statcache_writer {
    VEC(struct dir_record) dirs;
    VEC(struct entry_record) entries;
    VEC(struct memo_record) memos;
    VEC(struct span) views;
    struct buf strings;
    size_t root_len;
    uint64_t memo_print;
    struct span memory;
};

static int64_t ns_of(const struct timespec *t)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)t->tv_sec, SECOND_NS, &ns) ||
        __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
        return INT64_MAX; /* far in the future: never trusted */
    return ns;
}

struct stamp stamp_of(const struct stat *st)
{
    return (struct stamp){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = ns_of(&st->st_mtim),
        .ctime_ns = ns_of(&st->st_ctim),
        .mode = st->st_mode,
    };
}

bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->mode == b->mode;
}

bool stamp_settled(const struct stamp *stamp, int64_t recorded_ns)
{
    bool coarse = stamp->mtime_ns % SECOND_NS == 0 && stamp->ctime_ns % SECOND_NS == 0;
    int64_t limit;
    if (__builtin_sub_overflow(recorded_ns, coarse ? COARSE_NS : RACY_NS, &limit))
        return false;
    return stamp->mtime_ns < limit && stamp->ctime_ns < limit;
}

/* Four lanes of multiply and rotate over words of 8 bytes: guards against damage, not against
 * malice, at memory speed. */
static uint64_t checksum(const unsigned char *bytes, size_t n)
{
    static const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t lane[4] = {1, 2, 3, n};
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        uint64_t word[4];
        memcpy(word, bytes + i, sizeof(word));
        for (int k = 0; k < 4; k++) {
            lane[k] = (lane[k] ^ word[k]) * odd;
            lane[k] = lane[k] << 29 | lane[k] >> 35;
        }
    }
    for (; i < n; i++) {
        lane[i & 3] = (lane[i & 3] ^ bytes[i]) * odd;
        lane[i & 3] ^= lane[i & 3] >> 31;
    }
    uint64_t sum = 0;
    for (int k = 0; k < 4; k++) {
        sum = (sum ^ lane[k]) * odd;
        sum ^= sum >> 29;
    }
    return sum;
}

static uint64_t checksum_file(const struct buf *file)
{
    size_t from = offsetof(struct header, bytes);
    return checksum((const unsigned char *)file->data + from, file->len - from);
}

static bool span_fits(const struct header *header, struct span span)
{
    return span.at <= header->strings && span.len <= header->strings - span.at;
}

static bool string_fits(const char *strings, const struct header *header, struct span span)
{
    return span.at < header->strings && span.len < header->strings - span.at &&
           strings[span.at + span.len] == '\0' && !memchr(strings + span.at, 0, span.len);
}

static bool range_fits(uint32_t first, uint32_t n, uint32_t all)
{
    return first <= all && n <= all - first;
}

/* Whether all that the tables name is there. */
static bool tables_fit(const struct statcache *cache, const struct header *header)
{
    for (uint32_t i = 0; i < header->n_dirs; i++) {
        const struct dir_record *dir = &cache->dirs[i];
        if (!string_fits(cache->strings, header, dir->path) ||
            !range_fits(dir->first, dir->n, header->n_entries) ||
            !range_fits(dir->first_memo, dir->n_memos, header->n_memos))
            return false;
    }
    for (uint32_t i = 0; i < header->n_entries; i++) {
        const struct entry_record *entry = &cache->entries[i];
        if (!string_fits(cache->strings, header, entry->name) ||
            ((entry->flags & STATCACHE_TARGET) &&
             !string_fits(cache->strings, header, entry->u.target)))
            return false;
    }
    for (uint32_t i = 0; i < header->n_memos; i++) {
        uint32_t view = cache->memos[i].view;
        if (view != STATCACHE_WHOLE && view >= header->n_views)
            return false;
    }
    for (uint32_t i = 0; i < header->n_views; i++)
        if (!span_fits(header, cache->views[i]))
            return false;
    return true;
}

/* root: it must be of that one; NULL: of any. */
static bool parse(struct statcache *cache, const char *root)
{
    struct header header;
    if (cache->file.len < sizeof(header))
        return false;
    memcpy(&header, cache->file.data, sizeof(header));
    if (header.magic != MAGIC || header.bytes != cache->file.len || header.bytes > MAX_BYTES ||
        header.checksum != checksum_file(&cache->file))
        return false;
    uint64_t dirs_at = sizeof(header);
    uint64_t entries_at = dirs_at + (uint64_t)header.n_dirs * sizeof(struct dir_record);
    uint64_t memos_at = entries_at + (uint64_t)header.n_entries * sizeof(struct entry_record);
    uint64_t views_at = memos_at + (uint64_t)header.n_memos * sizeof(struct memo_record);
    uint64_t strings_at = views_at + (uint64_t)header.n_views * sizeof(struct span);
    if (strings_at + header.strings != header.bytes)
        return false;
    const char *bytes = cache->file.data;
    cache->dirs = (const struct dir_record *)(const void *)(bytes + dirs_at);
    cache->entries = (const struct entry_record *)(const void *)(bytes + entries_at);
    cache->memos = (const struct memo_record *)(const void *)(bytes + memos_at);
    cache->views = (const struct span *)(const void *)(bytes + views_at);
    cache->strings = bytes + strings_at;
    if (!string_fits(cache->strings, &header, (struct span){0, header.root_len}) ||
        (root && strcmp(cache->strings, root) != 0) || !span_fits(&header, header.memory) ||
        !tables_fit(cache, &header))
        return false;
    cache->memory = cache->strings + header.memory.at;
    cache->memory_len = header.memory.len;
    cache->memo_print = header.memo_print;
    cache->n_dirs = header.n_dirs;
    cache->n_entries = header.n_entries;
    cache->n_views = header.n_views;
    return true;
}

static bool read_whole(int dirfd, const char *path, struct buf *file)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct stat st;
    bool fine = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
                (uint64_t)st.st_size <= MAX_BYTES;
    if (fine) {
        buf_reserve(file, (size_t)st.st_size + 2); /* one for its end, one for a NUL */
        fine = file_read_fd(fd, path, (size_t)st.st_size, file, NULL) == 0;
    }
    close(fd);
    return fine;
}

struct statcache *statcache_load(const char *path, const char *root)
{
    struct statcache *cache = mem_zalloc(1, sizeof(*cache));
    if (path && !(read_whole(AT_FDCWD, path, &cache->file) && parse(cache, root)))
        buf_release(&cache->file);
    return cache;
}

bool statcache_check(int dirfd, const char *name, char **root)
{
    struct statcache cache = {0};
    bool ok = read_whole(dirfd, name, &cache.file) && parse(&cache, NULL);
    *root = ok ? mem_strdup(cache.strings) : NULL;
    buf_release(&cache.file);
    return ok;
}

void statcache_free(struct statcache *cache)
{
    if (!cache)
        return;
    buf_release(&cache->file);
    free(cache);
}

uint32_t statcache_n_dirs(const struct statcache *cache)
{
    return cache->n_dirs;
}

void statcache_dir(const struct statcache *cache, uint32_t i, struct statcache_dir *out)
{
    const struct dir_record *dir = &cache->dirs[i];
    *out = (struct statcache_dir){
        .path = cache->strings + dir->path.at,
        .len = dir->path.len,
        .number = i,
        .rules = dir->rules,
        .index = dir->index,
        .first = dir->first,
        .n = dir->n,
        .first_memo = dir->first_memo,
        .n_memos = dir->n_memos,
        .names = dir->flags & DIR_NAMES,
        .stamp = {.dev = dir->dev,
                  .ino = dir->ino,
                  .size = dir->size,
                  .mtime_ns = dir->mtime_ns,
                  .ctime_ns = dir->ctime_ns,
                  .mode = (uint32_t)dir->mode},
        .read_ns = dir->read_ns,
        .n_files = dir->n_files,
        .has_dirs = dir->flags & DIR_HAS_DIRS,
        .has_rules = dir->flags & DIR_HAS_RULES,
        .by_index = dir->flags & DIR_BY_INDEX,
    };
}

bool statcache_find(const struct statcache *cache, const char *path, size_t len,
                    struct statcache_dir *out)
{
    uint32_t low = 0, high = cache->n_dirs;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct span found = cache->dirs[middle].path;
        int order = memcmp(path, cache->strings + found.at, len < found.len ? len : found.len);
        if (order == 0)
            order = (len > found.len) - (len < found.len);
        if (order == 0) {
            statcache_dir(cache, middle, out);
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

const char *statcache_name(const struct statcache *cache, uint32_t i, size_t *len)
{
    *len = cache->entries[i].name.len;
    return cache->strings + cache->entries[i].name.at;
}

uint32_t statcache_stamp(const struct statcache *cache, uint32_t i, struct stamp *stamp,
                         int64_t *recorded_ns)
{
    const struct entry_record *entry = &cache->entries[i];
    *stamp = (struct stamp){.dev = entry->dev,
                            .ino = entry->ino,
                            .size = entry->size,
                            .mtime_ns = entry->mtime_ns,
                            .ctime_ns = entry->ctime_ns,
                            .mode = entry->mode};
    *recorded_ns = entry->recorded_ns;
    return entry->flags & FLAGS_MASK;
}

bool statcache_find_entry(const struct statcache *cache, const struct statcache_dir *dir,
                          const char *name, uint32_t *i)
{
    uint32_t low = dir->first, high = dir->first + dir->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(name, cache->strings + cache->entries[middle].name.at);
        if (order == 0) {
            *i = middle;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

void statcache_get(const struct statcache *cache, uint32_t i, struct statcache_entry *out)
{
    const struct entry_record *entry = &cache->entries[i];
    *out = (struct statcache_entry){
        .name = cache->strings + entry->name.at,
        .len = entry->name.len,
        .kind = (enum statcache_kind)(entry->flags >> KIND_SHIFT & KIND_MASK),
        .directory = entry->flags & FLAG_DIRECTORY,
    };
    out->flags = statcache_stamp(cache, i, &out->stamp, &out->recorded_ns);
    if (out->flags & STATCACHE_TARGET) {
        out->target = cache->strings + entry->u.target.at;
    } else {
        out->digest.size = entry->size;
        memcpy(out->digest.hash, entry->u.hash, DIGEST_BYTES);
    }
}

void statcache_memo(const struct statcache *cache, uint32_t i, struct statcache_memo *out)
{
    const struct memo_record *memo = &cache->memos[i];
    *out = (struct statcache_memo){
        .view = memo->view, .flavour = memo->flavour, .digest = {.size = memo->size}};
    memcpy(out->digest.hash, memo->hash, DIGEST_BYTES);
}

uint32_t statcache_n_views(const struct statcache *cache)
{
    return cache->n_views;
}

const void *statcache_view(const struct statcache *cache, uint32_t i, size_t *n)
{
    *n = cache->views[i].len;
    return cache->strings + cache->views[i].at;
}

uint64_t statcache_memo_print(const struct statcache *cache)
{
    return cache->memo_print;
}

const void *statcache_memory(const struct statcache *cache, size_t *n)
{
    *n = cache->memory_len;
    return cache->memory;
}

static struct span add_string(struct statcache_writer *writer, const char *s, size_t len)
{
    /* Too much wraps round here and is found by its sum in statcache_writer_save(). */
    struct span span = {(uint32_t)writer->strings.len, (uint32_t)len};
    buf_add(&writer->strings, s, len);
    buf_addc(&writer->strings, '\0');
    return span;
}

struct statcache_writer *statcache_writer_new(const char *root)
{
    struct statcache_writer *writer = mem_zalloc(1, sizeof(*writer));
    writer->root_len = strlen(root);
    add_string(writer, root, writer->root_len);
    return writer;
}

void statcache_writer_free(struct statcache_writer *writer)
{
    if (!writer)
        return;
    vec_release(&writer->dirs);
    vec_release(&writer->entries);
    vec_release(&writer->memos);
    vec_release(&writer->views);
    buf_release(&writer->strings);
    free(writer);
}

void statcache_writer_memory(struct statcache_writer *writer, const void *bytes, size_t n)
{
    writer->memory = add_string(writer, bytes, n);
}

void statcache_writer_memo_print(struct statcache_writer *writer, uint64_t print)
{
    writer->memo_print = print;
}

void statcache_writer_view(struct statcache_writer *writer, const void *bytes, size_t n)
{
    vec_push(&writer->views, add_string(writer, bytes, n));
}

void statcache_writer_dir(struct statcache_writer *writer, const struct statcache_dir *dir)
{
    struct dir_record record = {
        .path = add_string(writer, dir->path, dir->len),
        .first = (uint32_t)writer->entries.n,
        .first_memo = (uint32_t)writer->memos.n,
        .flags = dir->names ? DIR_NAMES : 0,
        .rules = dir->rules,
        .index = dir->index,
        .dev = dir->stamp.dev,
        .ino = dir->stamp.ino,
        .size = dir->stamp.size,
        .mtime_ns = dir->stamp.mtime_ns,
        .ctime_ns = dir->stamp.ctime_ns,
        .read_ns = dir->read_ns,
        .mode = dir->stamp.mode,
    };
    vec_push(&writer->dirs, record);
}

void statcache_writer_add(struct statcache_writer *writer, const struct statcache_entry *entry)
{
    struct dir_record *dir = &vec_last(&writer->dirs);
    struct entry_record record = {
        .name = add_string(writer, entry->name, entry->len),
        .flags = (entry->flags & FLAGS_MASK) | (uint32_t)entry->kind << KIND_SHIFT |
                 (entry->directory ? FLAG_DIRECTORY : 0),
    };
    if (entry->flags & STATCACHE_STAMPED) {
        record.mode = entry->stamp.mode;
        record.dev = entry->stamp.dev;
        record.ino = entry->stamp.ino;
        record.size = entry->stamp.size;
        record.mtime_ns = entry->stamp.mtime_ns;
        record.ctime_ns = entry->stamp.ctime_ns;
        record.recorded_ns = entry->recorded_ns;
    }
    if (entry->flags & STATCACHE_TARGET)
        record.u.target = add_string(writer, entry->target, strlen(entry->target));
    else if (entry->flags & STATCACHE_DIGEST)
        memcpy(record.u.hash, entry->digest.hash, DIGEST_BYTES);
    vec_push(&writer->entries, record);
    dir->n++;
    dir->n_files += entry->kind == STATCACHE_FILE;
    dir->flags |= entry->kind == STATCACHE_DIR ? DIR_HAS_DIRS : 0;
    dir->flags |= strcmp(entry->name, ".gitignore") == 0 ? DIR_HAS_RULES : 0;
    dir->flags |= entry->flags & STATCACHE_BY_INDEX ? DIR_BY_INDEX : 0;
}

void statcache_writer_memo(struct statcache_writer *writer, const struct statcache_memo *memo)
{
    struct memo_record record = {
        .view = memo->view, .flavour = memo->flavour, .size = memo->digest.size};
    memcpy(record.hash, memo->digest.hash, DIGEST_BYTES);
    vec_push(&writer->memos, record);
    vec_last(&writer->dirs).n_memos++;
}

static int by_path(const void *a, const void *b, void *strings)
{
    const struct dir_record *x = a, *y = b;
    const char *base = strings;
    return strcmp(base + x->path.at, base + y->path.at);
}

int statcache_writer_save(struct statcache_writer *writer, const char *path, struct err *err)
{
    uint64_t bytes = sizeof(struct header) + (uint64_t)writer->dirs.n * sizeof(struct dir_record) +
                     (uint64_t)writer->entries.n * sizeof(struct entry_record) +
                     (uint64_t)writer->memos.n * sizeof(struct memo_record) +
                     (uint64_t)writer->views.n * sizeof(struct span) + writer->strings.len;
    if (bytes > MAX_BYTES)
        return err_set(err, ERR_SYSTEM,
                       "the stat cache %s would be over 4 GiB; it was left as it is", path);
    if (writer->dirs.n)
        qsort_r(writer->dirs.v, writer->dirs.n, sizeof(*writer->dirs.v), by_path,
                writer->strings.data);
    struct header header = {
        .magic = MAGIC,
        .bytes = bytes,
        .n_dirs = (uint32_t)writer->dirs.n,
        .memo_print = writer->memo_print,
        .n_entries = (uint32_t)writer->entries.n,
        .n_memos = (uint32_t)writer->memos.n,
        .n_views = (uint32_t)writer->views.n,
        .strings = (uint32_t)writer->strings.len,
        .root_len = (uint32_t)writer->root_len,
        .memory = writer->memory,
    };
    struct buf file = BUF_INIT;
    buf_reserve(&file, bytes);
    buf_add(&file, &header, sizeof(header));
    buf_add(&file, writer->dirs.v, writer->dirs.n * sizeof(*writer->dirs.v));
    buf_add(&file, writer->entries.v, writer->entries.n * sizeof(*writer->entries.v));
    buf_add(&file, writer->memos.v, writer->memos.n * sizeof(*writer->memos.v));
    buf_add(&file, writer->views.v, writer->views.n * sizeof(*writer->views.v));
    buf_add(&file, writer->strings.data, writer->strings.len);
    header.checksum = checksum_file(&file);
    memcpy(file.data, &header, sizeof(header));

    const char *slash = strrchr(path, '/');
    int code = 0;
    if (slash && slash != path) {
        char *parent = mem_strndup(path, (size_t)(slash - path));
        code = file_mkdirs(parent, 0777, err);
        free(parent);
    }
    if (code == 0)
        code = file_write_atomic(path, file.data, file.len, 0666, err);
    buf_release(&file);
    return code;
}
