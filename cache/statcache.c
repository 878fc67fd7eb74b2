/*
 * A stat cache that was read: the file as it is (statcache_format.h), and accesses to its tables.
 *
 * It is read into memory as a whole, and every count and offset is checked once when it is loaded,
 * so that later accesses need no checks. It is read and not mapped: a mapping would end in SIGBUS
 * when somebody cuts the file short under us.
 */
#include "cache/statcache_format.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The whole file in memory: a mapping of its own, in big pages where the kernel has them, because
 * touching a small one for the first time costs more than filling it. */
struct image {
    char *data; /* NULL: nothing */
    size_t len;
};

struct statcache {
    struct image file;
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

uint64_t statcache_checksum(const char *file, size_t n)
{
    size_t from = offsetof(struct header, bytes);
    return checksum((const unsigned char *)file + from, n - from);
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
        header.checksum != statcache_checksum(cache->file.data, cache->file.len))
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

static void image_release(struct image *image)
{
    if (image->data)
        munmap(image->data, image->len);
    *image = (struct image){.data = NULL};
}

/* As much as there is of n bytes. */
static size_t read_bytes(int fd, char *to, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(fd, to + have, n - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    return have;
}

static bool read_whole(int dirfd, const char *path, struct image *image)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct stat st;
    bool fine = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
                (uint64_t)st.st_size <= MAX_BYTES;
    if (fine) {
        image->len = (size_t)st.st_size;
        image->data =
            mmap(NULL, image->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fine = image->data != MAP_FAILED;
        if (!fine)
            image->data = NULL;
    }
    if (fine) {
        (void)madvise(image->data, image->len, MADV_HUGEPAGE);
        fine = read_bytes(fd, image->data, image->len) == image->len;
    }
    close(fd);
    return fine;
}

struct statcache *statcache_load(const char *path, const char *root)
{
    struct statcache *cache = mem_zalloc(1, sizeof(*cache));
    if (path && !(read_whole(AT_FDCWD, path, &cache->file) && parse(cache, root)))
        image_release(&cache->file);
    return cache;
}

bool statcache_check(int dirfd, const char *name, char **root)
{
    struct statcache cache = {0};
    bool ok = read_whole(dirfd, name, &cache.file) && parse(&cache, NULL);
    *root = ok ? mem_strdup(cache.strings) : NULL;
    image_release(&cache.file);
    return ok;
}

void statcache_free(struct statcache *cache)
{
    if (!cache)
        return;
    image_release(&cache->file);
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
