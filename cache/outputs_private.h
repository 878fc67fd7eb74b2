/*
 * outputs_private.h - what taking and restoring share: the calling thread goes through directories
 * and gathers the files in them, which several hands then move (outputs_batch.c).
 *
 * Private to outputs*.c. The hands read what they share, and write each its own struct hand and the
 * entries of the task that it has taken, but for the two atomics.
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
    const char *path, *at;      /* below the root: what it is called, and where it lies for now */
    bool fresh;                 /* as of struct place */
    struct tree_entry *entries; /* what is no file among them is passed over */
    size_t n;
};

struct hand {
    struct cache_hand tools;
    enum cache_answer answer;
    int rc;
    struct err err;
};

#define HANDS 4

struct batch {
    /* Does one task; what went wrong is left in the hand, and ends the batch. */
    void (*work)(void *ctx, struct hand *hand, const struct task *task);
    void *ctx;
    struct arena arena; /* what the tasks point to */
    VEC(struct task) tasks;
    size_t n_files;
    uint64_t n_bytes;
    struct hand hands[HANDS];
    atomic_size_t next; /* task to be taken */
    atomic_bool stop;   /* one of the hands can't go on */
};

struct restore {
    struct cache *cache;
    const char *root;
    int root_fd;
    struct trees *trees; /* of the output being gone through */
    VEC(struct place) places;
    VEC(struct staged) staged;
    struct batch batch;
    enum cache_answer answer;
    struct err *err;
};

/* Adds where it happened: name in dir; either may be "". */
int restore_wrap(struct err *err, const char *dir, const char *name);
/* Removes a directory of that name: files and links replace everything else. */
int restore_clear(int dirfd, const char *name, struct err *err) MUST_CHECK;
/* Does one task of a batch; ctx is the struct restore. */
void restore_task(void *ctx, struct hand *hand, const struct task *task);

/* Gathers the files among the entries, of which the digests' sizes tell how much work they are; the
 * entries live as long as the batch. */
void batch_add(struct batch *batch, const char *path, const char *at, bool fresh,
               struct tree_entry *entries, size_t n);
/* Has all that was gathered done, and forgets it. A miss leaves *answer CACHE_MISS. */
int batch_run(struct batch *batch, enum cache_answer *answer, struct err *err) MUST_CHECK;
void batch_release(struct batch *batch);

#endif
