/*
 * glob.h - gitignore-style patterns over paths, compiled once and matched a path at a time.
 *
 * A set is an ordered list of patterns; a leading '!' excludes what earlier patterns included; the
 * last pattern that matches decides, as in gitignore(5) with the sense turned round (a pattern
 * includes). Differences from .gitignore, because these lists name inputs: every pattern is
 * anchored at the project's root unless it starts with two stars and a slash; a pattern that names
 * a directory takes all below it; a '!' pattern that names a directory removes all below it. '*'
 * and '?' do not match '/', '**' as a whole component does, [a-z], [!a-z] and [[:alpha:]] are
 * classes, '\' takes the next character as it is; '?' and a class take one UTF-8 character. As in
 * gitignore(5), a slash at the end makes a pattern match directories only: "dir/" takes what is
 * below dir, and not a file or symbolic link of that name. "./" and "//" say nothing; "a/.." is
 * resolved by its text. Matching costs at most the pattern's length times the path's.
 *
 * Ownership: opaque, glob_set_free(). Immutable once compiled, so it may be read by any thread.
 */
#ifndef KILN_BASE_GLOB_H
#define KILN_BASE_GLOB_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct glob_set;

enum glob_reach {
    GLOB_NONE,  /* nothing at or below this directory is in the set */
    GLOB_SOME,  /* something below may be: look further */
    GLOB_WHOLE, /* the directory and everything below it is in the set */
};

/* Compiles n patterns. Fails with ERR_CONFIG for a pattern that is absolute, empty, leads out of
 * the root or is malformed; *bad (may be NULL) is its index. n == 0 is the empty set. */
int glob_set_new(const char *const *patterns, size_t n, struct glob_set **out, size_t *bad,
                 struct err *err) MUST_CHECK;
void glob_set_free(struct glob_set *set);
/* Whether the file (or symbolic link) of that normalised relative path is in the set. */
bool glob_set_has(const struct glob_set *set, const char *path);
/* What the set takes of that directory ("" is the root). GLOB_SOME is allowed where GLOB_NONE or
 * GLOB_WHOLE would hold too, but literal directory patterns must give the exact answer: walking
 * less is the purpose. */
enum glob_reach glob_set_reach(const struct glob_set *set, const char *dir);
/* Called with a name, which may come more than once; false ends it. */
typedef bool glob_name_cb(void *ctx, const char *name);
/* Tells the names outside of which the set takes nothing directly in or below dir. False, then
 * with nothing to rely on, when any name may be taken, or when name_cb ended it: so that a large
 * directory need not be gone through for a few literal patterns. */
bool glob_set_next(const struct glob_set *set, const char *dir, glob_name_cb *name_cb, void *ctx);
/* True when some pattern names this path outright: no wildcard, not negated, and equal to it. */
bool glob_set_names(const struct glob_set *set, const char *path);
/* True when the text of a pattern has a wildcard ('*', '?', '[') or a backslash; a leading '!' is
 * passed over. */
bool glob_is_wild(const char *pattern);

#endif
