/*
 * git_apply.h - the parts of git_fixes_apply(): the working tree's files (git_apply.c), the indexes
 * (git_apply_index.c).
 *
 * Private to cache/. All that is new is made ready beside what it will replace; only then names are
 * exchanged, one after the other, so that what stood there is at hand until all is done.
 */
#ifndef KILN_CACHE_GIT_APPLY_H
#define KILN_CACHE_GIT_APPLY_H

#include "cache/git_fixes.h"

#include <sys/stat.h>

/* What ours and theirs made of base. *clash: 0, and out has both; or the line of ours at which they
 * meet for the first time: no merge. What is not text has one line. */
int git_apply_merge(const struct buf *base, const struct buf *ours, const struct buf *theirs,
                    struct buf *out, size_t *clash, struct err *err) MUST_CHECK;

/* An index, and the one that is to replace it. */
struct git_next_index {
    char *path, *staged;
    struct stat was; /* what was read of it */
    bool swapped;
};

/* "git commit PATH" commits an index of its own (place->index), and leaves behind another one. */
struct git_next_indexes {
    struct git_next_index v[2]; /* the one that is committed is the last */
    size_t n;
};

/* Makes them ready; git_next_indexes_release() also when that fails, which ERR_CONFIG says why. */
int git_next_indexes_make(const struct git_place *place, const struct git_fixes *fixes,
                          struct git_next_indexes *out, struct err *err) MUST_CHECK;
/* Puts them in place, or, when it fails, none. */
int git_next_indexes_swap(const struct git_place *place, struct git_next_indexes *indexes,
                          struct err *err) MUST_CHECK;
/* Removes what is beside them. */
void git_next_indexes_release(struct git_next_indexes *indexes);

#endif
