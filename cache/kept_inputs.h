/*
 * kept_inputs.h - whole input trees in the cache, so that a failure can be made again later.
 *
 *     cas/   the tree's Tree message, and the content of each of its files
 *     ac/    an action result that names the Tree as its only output, "inputs"
 *
 * The result's key is the digest of an Action with that input root, no command, and the salt
 * "kiln/inputs", so it is nobody's who runs something. To gc and verify it is a result like any
 * other: what it names stays as long as it does, and it goes when it was used least lately. Nothing
 * is pinned: a record of a failure must not be able to keep a cache above its limit.
 *
 * Each function is a self-contained job for any thread.
 */
#ifndef KILN_CACHE_KEPT_INPUTS_H
#define KILN_CACHE_KEPT_INPUTS_H

#include "cache/cache.h"

#include <stdatomic.h>

struct kept_inputs_options {
    const char *step, *root;   /* whose they are, for people; root: the project */
    const char *const *places; /* absolute directories in which the files lie, maybe not all */
    size_t n_places;
    size_t max_files;   /* of the tree */
    uint64_t max_bytes; /* that the cache does not have yet */
    /* CLOCK_MONOTONIC ns from when on to give up; 0: never. May be set while it is at work. */
    const atomic_uint_fast64_t *until;
};

enum kept_inputs_answer {
    KEPT_INPUTS_WHOLE,
    KEPT_INPUTS_CHANGED,  /* a file is not (any more) what the tree says: path */
    KEPT_INPUTS_TOO_MUCH, /* more than the limits; nothing was stored */
    KEPT_INPUTS_LATE,     /* it was time to give up */
};

struct kept_inputs_report {
    enum kept_inputs_answer answer;
    size_t files;   /* of the tree */
    uint64_t bytes; /* of the tree, each content once */
    char *path;     /* the caller's; or NULL */
};

/* Stores the tree of n bytes of a Tree message: content that the cache does not have is taken from
 * the first place where it is. What is stored is what the tree says, or nothing is. ERR_SYSTEM when
 * it can't be written; ERR_CORRUPT when the message is malformed. */
int kept_inputs_put(struct cache *cache, const void *tree, size_t n,
                    const struct kept_inputs_options *options, struct kept_inputs_report *out,
                    struct err *err) MUST_CHECK;

/* Reads the Tree message of that root, and marks it used, so that within cache_use_begin() and
 * _end() it stays; *found is false when it, or some of its content, is not there, or no more. */
int kept_inputs_tree(struct cache *cache, const struct digest *root, struct buf *tree, bool *found,
                     struct err *err) MUST_CHECK;
/* Makes the directory name in dir with all that the tree holds, verified; *found is false when it,
 * or some of its content, is no more: then something may be there. */
int kept_inputs_restore(struct cache *cache, const struct digest *root, const char *dir,
                        const char *name, bool *found, struct err *err) MUST_CHECK;
/* Calls cb for the content of each distinct file of a Tree message, in the order of their digests.
 * Not 0 from it ends that, and is returned. ERR_CORRUPT when the message is malformed. */
typedef int kept_inputs_cb(void *ctx, const struct digest *digest, struct err *err);
int kept_inputs_each(const void *tree, size_t n, kept_inputs_cb *cb, void *ctx,
                     struct err *err) MUST_CHECK;
/* Notes that the tree, whose message and content are stored already, is kept. */
int kept_inputs_note(struct cache *cache, const void *tree, size_t n, const char *step,
                     const char *root, struct err *err) MUST_CHECK;

#endif
