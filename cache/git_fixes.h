/*
 * git_fixes.h - what fixers changed in a checkout of the tree that is being committed, and how that
 * gets into the index and the working tree.
 *
 * A fix is another content, or another executable bit, of one file. The tree with all fixes is what
 * was tested; index and working tree are brought there apart from each other: a file that somebody
 * has edited beyond what is staged keeps the edits, by a merge.
 *
 * Ownership: the structs are the caller's, *_release(). Stateless. Main thread, which holds
 * signals back while names are exchanged. Only one call at a time for one working tree: the
 * caller's lock.
 */
#ifndef KILN_CACHE_GIT_FIXES_H
#define KILN_CACHE_GIT_FIXES_H

#include "base/buf.h"
#include "cache/git_tree.h"

#include <stdbool.h>

struct git_fix {
    char *path; /* from the working tree's top */
    bool was_executable, is_executable;
    char was[GIT_TREE_HEX + 1], is[GIT_TREE_HEX + 1]; /* its blobs */
};

struct git_fixes {
    struct git_fix *v; /* sorted by path */
    size_t n;
    char from[GIT_TREE_HEX + 1], to[GIT_TREE_HEX + 1];
};

/* What is other in tree to, which git_checkout_take() made of tree from in dir. ERR_CONFIG where
 * that can't become fixes, naming the files: removed or made into something else, or kept by a
 * filter's program (LFS): what is stored of these is not what they hold. */
int git_fixes_find(const struct git_place *place, const char *dir, const char *from, const char *to,
                   struct git_fixes *out, struct err *err) MUST_CHECK;
void git_fixes_release(struct git_fixes *fixes);

struct git_applied {
    const struct git_fix **written; /* in the working tree */
    size_t n_written;
    const struct git_fix **merged; /* that have edits which are not staged */
    size_t n_merged;
};

/* Brings the working tree, and with index also place->index, to the fixes; dir holds the tree
 * fixes->to. The index then has exactly that tree. Files that are not there, or no regular files
 * any more, stay so. Either all of it is done or nothing is touched: ERR_CONFIG where edits and
 * fixes meet ("FILE:LINE: ..."), where the index is locked or has changed, where git says no. A
 * process that is killed meanwhile leaves each file and the index as it was or wholly fixed, the
 * index last, so that the next hook, finding the same, finishes it. */
int git_fixes_apply(const struct git_place *place, const char *dir, const struct git_fixes *fixes,
                    bool index, struct git_applied *out, struct err *err) MUST_CHECK;
void git_applied_release(struct git_applied *applied);

#endif
