/*
 * changes.h - how a file's text has changed: through libgit2.
 *
 * Any thread.
 */
#ifndef KILN_CACHE_CHANGES_H
#define KILN_CACHE_CHANGES_H

#include "base/buf.h"
#include "base/digest.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether people could read it: no NUL among the first 8,000 bytes, as git judges. */
bool changes_is_text(const char *bytes, size_t n);
/* Adds the differing lines with some that surround them, each with '-', '+' or ' ' before it, and
 * "@ N" with the line's number where a stretch begins; at most max_lines, then "… and N more".
 * False when it could not be told. */
bool changes_diff(const struct buf *old, const struct buf *now, size_t max_lines, struct buf *out);
/* Adds the differing lines as a unified diff has them, from its first "@@" on: nothing where they
 * are equal. False when it could not be told. */
bool changes_patch(const struct buf *old, const struct buf *now, struct buf *out);
/* Takes from the project's git repository what it last committed, or has staged, at that path
 * (relative to root), where it has that digest. False: it has nothing like that. */
bool changes_from_git(const char *root, const char *path, const struct digest *digest, size_t max,
                      struct buf *out);

#endif
