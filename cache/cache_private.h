/*
 * cache_private.h - what the files of the disk cache share: the handle, and how a new file gets
 * into it.
 *
 * Private to cache*.c. The handle is immutable after cache_open() but for the counter, so any
 * thread may use it.
 */
#ifndef KILN_CACHE_PRIVATE_H
#define KILN_CACHE_PRIVATE_H

#include "cache/cache.h"

#include <stdatomic.h>

struct cache {
    char *path;                         /* as given to cache_open() */
    int root_fd, cas_fd, ac_fd, tmp_fd; /* directories; -1: not there, and nothing could make it */
    int lock_fd;                        /* -1: no lock file, or a file system without locks */
    bool read_only;
    uint32_t random; /* tells apart what uses the same pid on another host */
    atomic_uint_fast64_t counter;
};

/* "xx/<64 hexadecimal characters>" */
#define CACHE_REL_SIZE (DIGEST_HEX + 4)
void cache_rel(const struct digest *digest, char rel[CACHE_REL_SIZE]);

/* A file name that no other thread or process comes up with: <stem>-<pid>-<random>-<counter>. */
#define CACHE_NAME_SIZE 64
void cache_unique_name(struct cache *cache, const char *stem, char name[CACHE_NAME_SIZE]);

#endif
