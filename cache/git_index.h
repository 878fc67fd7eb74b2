/*
 * git_index.h - git's index file, as far as it tells which tree a commit of it would have, and as
 * what its files were seen last.
 *
 * Private to cache/. Reads bytes, keeps nothing; any thread.
 */
#ifndef KILN_CACHE_GIT_INDEX_H
#define KILN_CACHE_GIT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GIT_ID_MAX 32

enum git_index_answer {
    GIT_INDEX_TREE,     /* id holds */
    GIT_INDEX_NONE,     /* it is whole, but the tree is still to be made */
    GIT_INDEX_UNMERGED, /* path is in conflict */
    GIT_INDEX_DAMAGED,  /* its hash is not that of what it holds */
    GIT_INDEX_STRANGE,  /* of a kind that this does not read, or no index */
};

struct git_index_tree {
    uint8_t id[GIT_ID_MAX];
    char path[4096]; /* as much of it as there is room for */
};

/* id_size: bytes of an object id in this repository, 20 or 32. */
enum git_index_answer git_index_tree(const void *bytes, size_t n, size_t id_size,
                                     struct git_index_tree *out);

struct git_index_file {
    const char *path; /* relative to the repository's top */
    size_t len;
    uint32_t ctime_s, ctime_ns, mtime_s, mtime_ns, inode, mode, uid, gid, size; /* cut to 32 bits */
    bool plain; /* nothing was said of it: not to be looked at, only intended, not merged */
};

/* Likewise, and calls each for every entry in turn, until the first that can't be read. */
enum git_index_answer git_index_each(const void *bytes, size_t n, size_t id_size,
                                     void (*each)(void *ctx, const struct git_index_file *entry),
                                     void *ctx, struct git_index_tree *out);

#endif
