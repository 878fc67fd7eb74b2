/*
 * outputs_private.h - what the two halves of restoring share: the calling thread goes through
 * directories (outputs_restore.c) and gathers files, which several hands then put into place
 * (outputs_files.c).
 *
 * Private to outputs*.c. The hands read struct restore and write each its own struct hand, but for
 * the two atomics.
 */
#ifndef KILN_CACHE_OUTPUTS_PRIVATE_H
#define KILN_CACHE_OUTPUTS_PRIVATE_H

#include "base/vec.h"
#include "cache/cache_private.h"
#include "cache/outputs.h"
#include "cache/tree.h"

#include <stdatomic.h>

/* A directory still to be gone through. */
struct place {
    char *path, *at; /* below the root: what it is called, and where it lies for now */
    struct digest digest;
    unsigned depth;
    bool fresh; /* made by this restoring, and nobody has seen it yet */
};

/* A directory that is being built beside its place. */
struct staged {
    char *path; /* of the directory that it goes to */
    char *name;
    char tmp[CACHE_NAME_SIZE];
};

/* Files of one directory. */
struct task {
    const char *path, *at;
    bool fresh;
    const struct tree_entry *entries; /* what is no file among them is passed over */
    size_t n;
};

struct hand {
    struct cache_hand tools;
    enum cache_answer answer;
    int rc;
    struct err err;
};

#define HANDS 4

struct restore {
    struct cache *cache;
    const char *root;
    int root_fd;
    struct trees *trees; /* of the output being gone through */
    VEC(struct place) places;
    VEC(struct staged) staged;
    struct arena batch; /* what the tasks point to */
    VEC(struct task) tasks;
    size_t n_files;
    uint64_t n_bytes;
    struct hand hands[HANDS];
    atomic_size_t next; /* task to be taken */
    atomic_bool stop;   /* one of the hands can't go on */
    enum cache_answer answer;
    struct err *err;
};

/* Adds where it happened: name in dir; either may be "". */
int restore_wrap(struct err *err, const char *dir, const char *name);
/* Removes a directory of that name: files and links replace everything else. */
int restore_clear(int dirfd, const char *name, struct err *err) MUST_CHECK;
/* Gathers the files among the entries, which live as long as the batch. */
void restore_gather(struct restore *r, const char *path, const char *at, bool fresh,
                    const struct tree_entry *entries, size_t n);
/* Puts what was gathered into place. A miss is told in r->answer. */
int restore_batch(struct restore *r) MUST_CHECK;

#endif
