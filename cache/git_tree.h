/*
 * git_tree.h - trees of git: which one is being committed, and a directory that holds one.
 *
 * A tree is called by its object id in hexadecimal, as git writes it: 40 characters, or 64 where
 * the repository says so. Nothing here touches the working tree, the index or HEAD; objects may be
 * added to the repository, which git collects in time.
 *
 * Stateless; any thread. Every call may take as long as git does.
 */
#ifndef KILN_CACHE_GIT_TREE_H
#define KILN_CACHE_GIT_TREE_H

#include "base/err.h"
#include "cache/git_place.h"

#include <stdbool.h>
#include <stddef.h>

#define GIT_TREE_HEX 64

/* The tree that a commit of place->index would have now. scratch: a directory for small files. What
 * stands in the index itself is taken where it holds (right after "git commit" has prepared it);
 * else git makes the tree from a copy. ERR_CONFIG: files are not merged yet, or git says no, in its
 * words. */
int git_tree_of_index(const struct git_place *place, const char *scratch,
                      char hex[GIT_TREE_HEX + 1], struct err *err) MUST_CHECK;

/* The tree of a commit, by its id or what git resolves. ERR_CONFIG: there is no such commit. */
int git_tree_of_commit(const struct git_place *place, const char *name, char hex[GIT_TREE_HEX + 1],
                       struct err *err) MUST_CHECK;

/* Whether the tree has something at path, which is relative to the repository's top. */
int git_tree_has(const struct git_place *place, const char *hex, const char *path, bool *has,
                 struct err *err) MUST_CHECK;

/* Makes the directory dir hold the files of the tree, and nothing else but what keep names, as a
 * checkout of it would write them (filters too). Both, and the directory that index lies in, are
 * the caller's own and outside of the working tree; missing ones are made. index is a file that
 * tells the next call what is there already, so that only what differs is written; losing it costs
 * time alone. keep: gitignore(5) patterns relative to dir. Submodules are empty directories. Only
 * one call at a time for one dir: the caller's lock. When it fails, or is killed, the next call
 * mends it. */
int git_tree_checkout(const struct git_place *place, const char *hex, const char *dir,
                      const char *index, const char *const *keep, size_t n_keep,
                      struct err *err) MUST_CHECK;

#endif
