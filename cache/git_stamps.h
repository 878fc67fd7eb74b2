/*
 * git_stamps.h - whether a directory's files are still those that git wrote, by the stamps that its
 * index has of them: a look at each, by several threads.
 *
 * Stricter than git: nanoseconds count, and whatever a file's entry says beside ("assume
 * unchanged") is none that holds. So yes is yes, and no means that git is to be asked.
 *
 * Opaque, git_stamps_free(). Keeps the index as it was, whatever becomes of the file.
 */
#ifndef KILN_CACHE_GIT_STAMPS_H
#define KILN_CACHE_GIT_STAMPS_H

#include "base/buf.h"
#include "base/err.h"
#include "cache/git_tree.h"

#include <stdbool.h>
#include <stdint.h>

struct git_stamps;

/* Of the index at path. NULL: there is none, or it is of a kind that can't be read here (split,
 * sparse, with conflicts or submodules, damaged). id_size: 20 or 32. */
struct git_stamps *git_stamps_read(const char *path, size_t id_size);
void git_stamps_free(struct git_stamps *stamps);

/* The tree that the index has, where it tells. */
bool git_stamps_tree(const struct git_stamps *stamps, char hex[GIT_TREE_HEX + 1]);

/* What was written so shortly before the index that a later change might show in no stamp: paths,
 * each with a zero byte behind it. */
const struct buf *git_stamps_fresh(const struct git_stamps *stamps);

/* Whether each file below dir has its stamps. */
bool git_stamps_hold(const struct git_stamps *stamps, const char *dir);

/* While git makes another tree of dir: looks at each file and folder, and keeps what it saw for
 * git_stamps_follow(). */
void git_stamps_look(struct git_stamps *stamps, const char *dir);
/* Whether each file has its stamps, and there is nothing else below dir but ".git" at the top.
 * Those that are fresh have to be changed at fresh_ns or later, by the clock of files. What was
 * seen by git_stamps_look() and is the same here is not looked at again; before NULL: there is
 * none. */
bool git_stamps_follow(const struct git_stamps *stamps, const struct git_stamps *before,
                       const char *dir, int64_t fresh_ns);

/* Whether the file at path is the index that was read. */
bool git_stamps_are(const struct git_stamps *stamps, const char *path);
/* Writes that index to path, for git to go by: with the old time, by which it tells what is fresh.
 */
int git_stamps_write(const struct git_stamps *stamps, const char *path, struct err *err) MUST_CHECK;

#endif
