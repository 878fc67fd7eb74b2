/*
 * ignore.h - what git knows about a project from outside its directories: the repository it lies
 * in, ignore rules of the user and of the repository, and which paths are tracked.
 *
 * Private to cache/. The .gitignore files inside the project are the working tree's
 * (ignore_rules.h); this holds those above it, info/exclude, and core.excludesFile. A project in no
 * repository, in one that is broken or bare, or in one that ignores the project's own folder and
 * tracks nothing in it, has none of them and nothing tracked. git's index is read when somebody
 * first asks for a path.
 *
 * Ownership: opaque, ignore_free(). Belongs to one thread at a time.
 */
#ifndef KILN_CACHE_IGNORE_H
#define KILN_CACHE_IGNORE_H

#include "base/buf.h"
#include "cache/ignore_rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ignore;

/* root: absolute path of the project's folder. memory: what ignore_remember() gave in an earlier
 * process (n may be 0): when nothing it came from has changed since, libgit2 is not even
 * initialised until something is asked that was not remembered. Never fails. */
struct ignore *ignore_new(const char *root, const void *memory, size_t n);
/* Adds what a later ignore_new() takes; false when it can't be remembered (files are involved that
 * can't be watched). */
bool ignore_remember(const struct ignore *ignore, struct buf *out);
/* Whether the memory still held, and has sufficed so far. */
bool ignore_was_remembered(const struct ignore *ignore);
void ignore_free(struct ignore *ignore);

enum ignore_news {
    IGNORE_SAME = 0,
    IGNORE_NEW_RULES = 1, /* everything must be decided again */
    IGNORE_NEW_INDEX = 2, /* what depends on tracked paths must be */
};

/* Looks at the files behind it again (a few stats); returns a set of enum ignore_news. */
unsigned ignore_refresh(struct ignore *ignore);
/* Changes whenever the rules held here, or how they apply, do; equal in different processes. */
uint64_t ignore_rules_fingerprint(const struct ignore *ignore);
/* Changes whenever the set of tracked paths may have. */
uint64_t ignore_index_fingerprint(const struct ignore *ignore);
/* core.ignoreCase */
bool ignore_folds_case(const struct ignore *ignore);
/* The rules from outside, nearest first; path is relative to the project's root. */
enum ignore_match ignore_outer(struct ignore *ignore, const char *path, bool directory);
/* Whether the project's own folder is ignored by its repository (and holds tracked files: else the
 * repository is not used). */
bool ignore_root_ignored(const struct ignore *ignore);

enum ignore_tracked {
    IGNORE_UNTRACKED,
    IGNORE_TRACKED, /* the path itself: a file or link, or for a directory: a submodule */
    IGNORE_ABOVE,   /* a directory that holds tracked files */
};

enum ignore_tracked ignore_tracked(struct ignore *ignore, const char *path, bool directory);

/* Mixes n bytes into a fingerprint. */
uint64_t ignore_mix(uint64_t fingerprint, const void *bytes, size_t n);

#endif
