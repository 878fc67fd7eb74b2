/*
 * system_tree.h - the outline of a directory of software that no package manager knows of: cheap
 * enough to be made each time, and another one when something was installed there.
 *
 * Stateless; any thread.
 */
#ifndef KILN_ENGINE_SYSTEM_TREE_H
#define KILN_ENGINE_SYSTEM_TREE_H

#include "base/buf.h"

/* How many entries are worth their time: about two milliseconds'. */
#define SYSTEM_TREE_MAX   1200
#define SYSTEM_TREE_DEPTH 3

/* Adds, in bytes to be hashed, each entry of path (below root) and of its directories to
 * SYSTEM_TREE_DEPTH: names, where links lead, sizes of files, times. A directory's time stands for
 * what is in one at that depth, on another file system, or of very many entries, and in those that
 * come when *left (SYSTEM_TREE_MAX at first) is used up. Nothing when path is not there. */
void system_tree_outline(const char *root, const char *path, size_t *left, struct buf *out);

#endif
