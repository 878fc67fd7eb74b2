/*
 * git_objects.h - objects out of a repository, by a "git cat-file" that is talked to: it knows
 * loose objects, packs, alternates and promises, starts in a fraction of the time that libgit2
 * takes, and applies every filter that a checkout would.
 *
 * Private to cache/. Opaque, git_objects_free(). One thread at a time; workers have their own.
 */
#ifndef KILN_CACHE_GIT_OBJECTS_H
#define KILN_CACHE_GIT_OBJECTS_H

#include "base/buf.h"
#include "base/err.h"
#include "cache/git_place.h"

#include <stdbool.h>
#include <stddef.h>

struct git_objects;

/* attributes: for files as a checkout would write them, a directory with the .gitattributes of the
 * tree, unfiltered, and nothing else: this command of git's looks for them in the working tree
 * alone. NULL: objects as they are stored. */
int git_objects_new(const struct git_place *place, const char *attributes, struct git_objects **out,
                    struct err *err) MUST_CHECK;
/* NULL is fine. */
void git_objects_free(struct git_objects *objects);

struct git_wanted {
    const char *hex;
    const char *path; /* with attributes: from the work tree's top, without a newline */
};

/* Bytes of object i, in order, in any number of pieces; n == 0: that was all of it. False ends it
 * all. */
typedef bool git_bytes_cb(void *ctx, size_t i, const void *bytes, size_t n);

/* All n objects, in that order. ERR_CORRUPT when one is missing, or bytes said no; else what git
 * said. After an error it is only good for freeing. */
int git_objects_each(struct git_objects *objects, const struct git_wanted *wanted, size_t n,
                     git_bytes_cb *bytes, void *ctx, struct err *err) MUST_CHECK;
/* One of them, added to out. */
int git_objects_get(struct git_objects *objects, const struct git_wanted *wanted, struct buf *out,
                    struct err *err) MUST_CHECK;

#endif
