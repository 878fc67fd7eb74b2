/*
 * cache_size.c - how much the disk cache may take, and about how much it takes.
 *
 * v1/size is the ledger, numbers of 8 bytes in the machine's own order: the second of
 * CLOCK_REALTIME when gc counted last, how many bytes it found on the disk, and then how many each
 * kiln stored since. These are appended in one write each, so there is no lock; gc replaces the
 * file, and what is appended to the old one in that moment is lost, as is what a killed kiln had
 * not written down yet (at most FLUSH_BYTES). So it is an estimate: too low for a while at worst,
 * and right again after each gc. A ledger that is no whole number of records, has an absurd sum or
 * is old says nothing, and makes the next gc count.
 */
#include "cache/cache.h"

#include "base/file.h"
#include "base/text.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES UINT64_C(4096)
#define FLUSH_BYTES (UINT64_C(64) << 20)
#define LEDGER_MAX  ((size_t)1 << 20)

#define LEDGER_AGE_S (INT64_C(7) * 86400)
#define LEDGER_HEAD  2

#define LIMIT_MOST  (UINT64_C(20) << 30)
#define LIMIT_LEAST (UINT64_C(64) << 20)

uint64_t cache_on_disk(uint64_t size)
{
    return (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* -- the ledger -------------------------------------------------------------------------------- */

void cache_size_flush(struct cache *cache)
{
    int64_t record = (int64_t)atomic_exchange(&cache->added, 0);
    if (record == 0 || cache->read_only)
        return;
    int fd = openat(cache->root_fd, "size", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return; /* nobody has counted yet */
    ssize_t put = write(fd, &record, sizeof(record));
    (void)put; /* a torn record makes the next gc count */
    close(fd);
}

void cache_size_add(struct cache *cache, uint64_t size)
{
    uint64_t bytes = cache_on_disk(size);
    atomic_store(&cache->stored, true);
    if (atomic_fetch_add(&cache->added, bytes) + bytes >= FLUSH_BYTES)
        cache_size_flush(cache);
}

bool cache_size_estimate(struct cache *cache, uint64_t *bytes)
{
    struct buf buf = BUF_INIT;
    int64_t sum = 0, record = 0, now = (int64_t)time(NULL);
    int fd = openat(cache->root_fd, "size", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool ok = fd >= 0 && file_read_fd(fd, "size", LEDGER_MAX, &buf, NULL) == 0 &&
              buf.len >= LEDGER_HEAD * sizeof(record) && buf.len % sizeof(record) == 0;
    for (size_t at = 0; ok && at < buf.len; at += sizeof(record)) {
        memcpy(&record, buf.data + at, sizeof(record));
        if (at == 0)
            ok = record <= now && record > now - LEDGER_AGE_S;
        else
            ok = record >= 0 && !__builtin_add_overflow(sum, record, &sum);
    }
    if (fd >= 0)
        close(fd);
    buf_release(&buf);
    *bytes = (uint64_t)sum;
    return ok;
}

void cache_size_set(struct cache *cache, uint64_t bytes)
{
    char name[CACHE_NAME_SIZE];
    int64_t records[LEDGER_HEAD] = {(int64_t)time(NULL), (int64_t)bytes};
    atomic_store(&cache->added, 0);
    cache_unique_name(cache, "size", name);
    int fd = openat(cache->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool ok = file_write_all(fd, records, sizeof(records)) == 0;
    ok = close(fd) == 0 && ok;
    if (!ok || renameat(cache->tmp_fd, name, cache->root_fd, "size") != 0)
        (void)unlinkat(cache->tmp_fd, name, 0);
}

/* -- the limit --------------------------------------------------------------------------------- */

int cache_limits(struct cache *cache, struct cache_limits *out, struct err *err)
{
    struct statvfs fs;
    const char *set = getenv("KILN_CACHE_SIZE");
    *out = (struct cache_limits){.limit = LIMIT_MOST};
    if (cache->root_fd >= 0 && fstatvfs(cache->root_fd, &fs) == 0) {
        uint64_t disk = (uint64_t)fs.f_blocks * fs.f_frsize;
        uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
        uint64_t tenth = disk / 10 > LIMIT_LEAST ? disk / 10 : LIMIT_LEAST;
        out->limit = tenth < LIMIT_MOST ? tenth : LIMIT_MOST;
        out->missing = disk / 20 > left ? disk / 20 - left : 0;
    }
    out->floor = out->limit / 10;
    if (!set || !*set)
        return 0;
    uint64_t bytes;
    if (!text_parse_size(set, &bytes))
        return err_set(err, ERR_USAGE,
                       "KILN_CACHE_SIZE is \"%s\", which is no size; write it as 20GiB or 500MB, "
                       "or 0 for no limit",
                       set);
    out->limit = bytes;
    if (bytes > 0 && bytes / 10 < out->floor)
        out->floor = bytes / 10;
    return 0;
}
