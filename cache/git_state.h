/*
 * git_state.h - which branch a working tree is on, and how much of it is not committed: for people
 * to see, nothing is decided by it.
 *
 * Reads the whole repository's status, which can take a while in a big one. Any thread.
 */
#ifndef KILN_CACHE_GIT_STATE_H
#define KILN_CACHE_GIT_STATE_H

#include <stdint.h>

struct git_state {
    char *branch;   /* or a commit's first seven digits; NULL: there is no repository */
    char *git_dir;  /* with HEAD and the index; NULL then, too */
    uint64_t dirty; /* files that are not as they were committed, new ones among them */
};

/* Of the repository that the directory lies in. */
void git_state_read(const char *root, struct git_state *out);
void git_state_release(struct git_state *state);

#endif
