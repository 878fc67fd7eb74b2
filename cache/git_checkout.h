/*
 * git_checkout.h - a directory that holds a tree of git, as a fresh clone would.
 *
 * It has a repository of its own, which borrows the objects of the other: what is tracked and
 * ignored is as in a clone, and git commands of steps find a repository in which nothing can be
 * spoiled.
 *
 *     <dir>/                 the files of the tree (git_tree_checkout())
 *     <dir>/.git/            HEAD as in the repository; objects/info/alternates names its objects
 *     <dir>/.git/index       of the files: what the next call goes by
 *     <dir>/.git/written-by  the print of what outside of the tree had a say in what git wrote
 *                            (settings, attributes): where that changes, all is written anew
 *
 * Stateless; any thread, one call at a time for one directory: the caller's lock.
 */
#ifndef KILN_CACHE_GIT_CHECKOUT_H
#define KILN_CACHE_GIT_CHECKOUT_H

#include "base/buf.h"
#include "cache/git_stamps.h"
#include "cache/git_tree.h"

/* Makes dir, which need not be there, hold the tree; keep as git_tree_checkout() has it. Fails as
 * that does; the next call mends what was left half done. *out is what the files are known by from
 * now on, the caller's; NULL where that can't be told, or it fails. */
int git_checkout(const struct git_place *place, const char *hex, const char *dir,
                 const char *const *keep, size_t n_keep, struct git_stamps **out,
                 struct err *err) MUST_CHECK;

/* The files of the tree hex that are not as they were checked out, each with a zero byte behind it,
 * are added to out; paths are relative to dir. */
int git_checkout_changed(const struct git_place *place, const char *hex, const char *dir,
                         const struct git_stamps *stamps, struct buf *out,
                         struct err *err) MUST_CHECK;

/* What its files that belong to the tree hex are by now becomes a tree of the repository (as "git
 * add -u" would have it: with filters, without new files), and the files are taken away that are
 * other than before: git_checkout() of that tree writes them as a checkout of it would. ERR_CONFIG:
 * git says no, in its words. */
int git_checkout_take(const struct git_place *place, const char *hex, const char *dir,
                      char now[GIT_TREE_HEX + 1], struct err *err) MUST_CHECK;

#endif
