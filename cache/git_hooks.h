/*
 * git_hooks.h - where git looks for the hooks of a working tree.
 *
 * Ownership: the struct is the caller's, git_hooks_release(). Stateless; any thread.
 */
#ifndef KILN_CACHE_GIT_HOOKS_H
#define KILN_CACHE_GIT_HOOKS_H

#include "base/err.h"
#include "cache/git_place.h"

struct git_hooks {
    char *folder; /* absolute; it need not be there */
    char *set_in; /* the file (or "command line:") that sets core.hooksPath; NULL: nothing does */
    bool others;  /* by a setting of the user or the system: other repositories have the same */
};

/* As "git rev-parse --git-path hooks" has it. */
int git_hooks_find(const struct git_place *place, struct git_hooks *out,
                   struct err *err) MUST_CHECK;
void git_hooks_release(struct git_hooks *hooks);

#endif
