/*
 * A stat cache being written: collected in tables as they lie in the file, which is replaced in one
 * step.
 */
#include "cache/statcache_format.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

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
    header.checksum = statcache_checksum(file.data, file.len);
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
