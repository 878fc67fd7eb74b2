/*
 * statcache_format.h - how the stat cache lies in its file; shared by statcache.c, which reads it,
 * and statcache_write.c.
 *
 * All numbers are in the machine's own byte order (it never leaves the machine;
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
 */
#ifndef KILN_CACHE_STATCACHE_FORMAT_H
#define KILN_CACHE_STATCACHE_FORMAT_H

#include "cache/statcache.h"

#include <stddef.h>

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

/* Of all of the file that follows the checksum. */
uint64_t statcache_checksum(const char *file, size_t n);

#endif
