/*
 * Any bytes as the stat cache's file: it loads, perhaps empty, and all it has can be asked for;
 * what it has is written, and read back the same.
 *
 * The first byte chooses: the file as it is, or with a head that is put right, as no mutation hits
 * a checksum. The second and third byte then say how many directories and entries there are.
 */
#include "cache/statcache_format.h"

#include "base/buf.h"
#include "base/file.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOT "/r"

static void make_file(struct input input, struct buf *out)
{
    struct header header = {.magic = MAGIC, .root_len = strlen(ROOT)};
    header.n_dirs = input_byte(&input) % 8;
    header.n_entries = input_byte(&input) % 8;
    header.memory.at = input_byte(&input);
    header.memory.len = input_byte(&input);
    header.n_memos = input_byte(&input) % 4;
    header.n_views = input_byte(&input) % 4;
    uint64_t tables = (uint64_t)header.n_dirs * sizeof(struct dir_record) +
                      (uint64_t)header.n_entries * sizeof(struct entry_record) +
                      (uint64_t)header.n_memos * sizeof(struct memo_record) +
                      (uint64_t)header.n_views * sizeof(struct span);
    buf_add(out, &header, sizeof(header));
    buf_add(out, input.at, input.left < tables ? input.left : (size_t)tables);
    while (out->len < sizeof(header) + tables)
        buf_addc(out, '\0');
    /* Numbers of a byte each are what hits places in so short a file. */
    for (size_t i = sizeof(header); i + 4 <= out->len; i += 4)
        if (out->data[i + 3] & 1)
            out->data[i + 1] = out->data[i + 2] = out->data[i + 3] = 0;
    size_t strings = out->len;
    buf_add(out, ROOT, sizeof(ROOT));
    if (input.left > tables)
        buf_add(out, input.at + tables, input.left - (size_t)tables);
    buf_addc(out, '\0');
    header.strings = (uint32_t)(out->len - strings);
    header.bytes = out->len;
    memcpy(out->data, &header, sizeof(header));
    header.checksum = statcache_checksum(out->data, out->len);
    memcpy(out->data, &header, sizeof(header));
}

static struct statcache *load(const struct buf *file)
{
    char path[40];
    int fd = memfd_create("statcache", MFD_CLOEXEC);
    CLAIM(fd >= 0 && file_write_all(fd, buf_str(file), file->len) == 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct statcache *cache = statcache_load(path, ROOT);
    close(fd);
    return cache;
}

static bool ask(const struct statcache *cache)
{
    bool sorted = true;
    struct statcache_dir dir, before = {.path = NULL};
    for (uint32_t i = 0; i < statcache_n_dirs(cache); before = dir, i++) {
        statcache_dir(cache, i, &dir);
        CLAIM(strlen(dir.path) == dir.len);
        struct statcache_dir found;
        bool known = statcache_find(cache, dir.path, dir.len, &found);
        sorted = sorted && (!before.path || strcmp(before.path, dir.path) < 0);
        CLAIM(!known || strcmp(found.path, dir.path) == 0);
        CLAIM(known || !sorted || i + 1 < statcache_n_dirs(cache));
        for (uint32_t k = dir.first; k < dir.first + dir.n; k++) {
            struct statcache_entry entry;
            size_t len;
            statcache_get(cache, k, &entry);
            CLAIM(strlen(entry.name) == entry.len);
            CLAIM(statcache_name(cache, k, &len) == entry.name && len == entry.len);
            CLAIM(!entry.target || strlen(entry.target) < UINT32_MAX);
            (void)stamp_settled(&entry.stamp, entry.recorded_ns);
            uint32_t place;
            if (statcache_find_entry(cache, &dir, entry.name, &place))
                CLAIM(strcmp(statcache_name(cache, place, &len), entry.name) == 0);
        }
        for (uint32_t k = dir.first_memo; k < dir.first_memo + dir.n_memos; k++) {
            struct statcache_memo memo;
            statcache_memo(cache, k, &memo);
            CLAIM(memo.view == STATCACHE_WHOLE || memo.view < statcache_n_views(cache));
        }
    }
    for (uint32_t i = 0; i < statcache_n_views(cache); i++) {
        size_t n;
        const char *view = statcache_view(cache, i, &n);
        CLAIM(!n || memchr(view, view[n - 1], n));
    }
    size_t n;
    const char *memory = statcache_memory(cache, &n);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (unsigned char)memory[i];
    CLAIM(sum <= 255 * n);
    return sorted;
}

static void rewrite(const struct statcache *cache)
{
    char path[64];
    struct statcache_dir dir, now;
    struct statcache_entry entry, same;
    struct statcache_writer *writer = statcache_writer_new(ROOT);
    for (uint32_t i = 0; i < statcache_n_views(cache); i++) {
        size_t n;
        const void *view = statcache_view(cache, i, &n);
        statcache_writer_view(writer, view, n);
    }
    for (uint32_t i = 0; i < statcache_n_dirs(cache); i++) {
        statcache_dir(cache, i, &dir);
        statcache_writer_dir(writer, &dir);
        for (uint32_t k = dir.first; k < dir.first + dir.n; k++) {
            statcache_get(cache, k, &entry);
            statcache_writer_add(writer, &entry);
        }
        for (uint32_t k = dir.first_memo; k < dir.first_memo + dir.n_memos; k++) {
            struct statcache_memo memo;
            statcache_memo(cache, k, &memo);
            statcache_writer_memo(writer, &memo);
        }
    }
    snprintf(path, sizeof(path), "/tmp/kiln-fuzz-%ld.statcache", (long)getpid());
    CLAIM(statcache_writer_save(writer, path, NULL) == 0);
    statcache_writer_free(writer);
    struct statcache *again = statcache_load(path, ROOT);
    unlink(path);
    CLAIM(statcache_n_dirs(again) == statcache_n_dirs(cache));
    for (uint32_t i = 0; i < statcache_n_dirs(cache); i++) {
        statcache_dir(cache, i, &dir);
        CLAIM(statcache_find(again, dir.path, dir.len, &now));
        CLAIM(now.n == dir.n && now.rules == dir.rules && now.index == dir.index);
        CLAIM(now.names == dir.names && stamp_eq(&now.stamp, &dir.stamp));
        CLAIM(now.n_memos == dir.n_memos);
        for (uint32_t k = 0; k < dir.n_memos; k++) {
            struct statcache_memo memo, kept;
            statcache_memo(cache, dir.first_memo + k, &memo);
            statcache_memo(again, now.first_memo + k, &kept);
            CLAIM(memo.view == kept.view && memo.flavour == kept.flavour &&
                  digest_eq(&memo.digest, &kept.digest));
        }
        for (uint32_t k = 0; k < dir.n; k++) {
            statcache_get(cache, dir.first + k, &entry);
            statcache_get(again, now.first + k, &same);
            CLAIM(strcmp(entry.name, same.name) == 0 && entry.flags == same.flags &&
                  entry.directory == same.directory && entry.kind == same.kind);
            CLAIM(!entry.target == !same.target);
            CLAIM(!entry.target || strcmp(entry.target, same.target) == 0);
            if ((entry.flags & STATCACHE_STAMPED) == STATCACHE_DIGEST)
                CLAIM(stamp_eq(&entry.stamp, &same.stamp) &&
                      digest_eq(&entry.digest, &same.digest));
        }
    }
    statcache_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct buf file = BUF_INIT;
    if (data[0] % 4 == 0)
        buf_add(&file, data + 1, size - 1);
    else
        make_file((struct input){data + 1, size - 1}, &file);
    struct statcache *cache = load(&file);
    if (ask(cache) && statcache_n_dirs(cache) && size % 8 == 0)
        rewrite(cache);
    statcache_free(cache);
    buf_release(&file);
    return 0;
}
