/*
 * git_filters.h - whether git would write a file other than it is stored: line ends, "ident",
 * encodings and drivers, as far as something outside the tree or a .gitattributes in it may ask for
 * them.
 *
 * Private to cache/. Nothing here decides what happens to a file: git does. This tells where
 * nothing can, so that git need not be asked, and names all that has a say where something may.
 */
#ifndef KILN_CACHE_GIT_FILTERS_H
#define KILN_CACHE_GIT_FILTERS_H

#include "cache/git_memo.h"
#include "cache/git_source.h"

#define ATTRIBUTES_NAME ".gitattributes"

/* What stands outside of the tree: in git's configuration, and in attributes of the user, the
 * system and the repository. */
struct git_outer {
    uint8_t print[DIGEST_BYTES]; /* of all of it that can have a say */
    bool applies;                /* to files that no attribute of the tree names */
};

/* Asks the memo, where nothing has changed since, or git. */
int git_outer_read(const struct git_place *place, struct git_memo *memo, struct git_outer *out,
                   struct err *err) MUST_CHECK;
struct git_filters git_filters_outer(const struct git_outer *outer);
/* Adds what a directory's own .gitattributes says: id and text are that file's, dir is the
 * directory's path. */
void git_filters_add(struct git_filters *filters, const struct git_outer *outer,
                     const struct git_id *id, const char *dir, const struct buf *text);
bool git_filters_any(const struct git_filters *filters);

#endif
