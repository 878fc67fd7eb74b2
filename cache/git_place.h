/*
 * git_place.h - where git keeps the things of the repository that a project lies in, found without
 * asking libgit2: whoever only wants to know which tree is being committed has no time for loading
 * it.
 *
 * As git finds them: GIT_DIR, GIT_WORK_TREE, GIT_COMMON_DIR and GIT_INDEX_FILE first (a hook has
 * them), else the nearest ".git" at or above the project, which may be a file that names another
 * place (linked worktrees, submodules).
 *
 * Ownership: the struct is the caller's, git_place_release(). Any thread; reads the environment.
 */
#ifndef KILN_CACHE_GIT_PLACE_H
#define KILN_CACHE_GIT_PLACE_H

#include "base/err.h"

#include <stdbool.h>

struct git_place {
    char *git_dir;   /* of this working tree: HEAD and the index lie there */
    char *common;    /* of the repository: objects and refs; the same, but in linked worktrees */
    char *work_tree; /* its top */
    char *index;     /* the one that is being committed */
    char *prefix;    /* of the project in the work tree: "" or ending in '/' */
};

/* For the project in root (absolute, existing). All paths found are absolute. ERR_CONFIG when it
 * lies in no working tree of git's. */
int git_place_find(const char *root, struct git_place *out, struct err *err) MUST_CHECK;
void git_place_release(struct git_place *place);

#endif
