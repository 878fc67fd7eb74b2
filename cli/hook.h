/*
 * hook.h - the tree that is being committed, and whether the steps of the hook passed on it
 * already.
 *
 * hook_answer.c looks and runs nothing: the answer is mostly yes, and then nothing was written
 * anywhere but what was learned about objects of git. Where it is no, the steps must run, on a
 * checkout of the tree.
 *
 * Ownership: struct hook_commit is the caller's, hook_commit_release(). Loop thread.
 */
#ifndef KILN_CLI_HOOK_H
#define KILN_CLI_HOOK_H

#include "cache/git_tree.h"
#include "cli/cli.h"

struct hook_commit {
    char *config, *root; /* kiln.json's path and the project's folder, in the working tree */
    struct git_place place;
    char tree[GIT_TREE_HEX + 1];
};

/* The project that the options name, and the tree that a commit would have now. Fails as
 * app_find(), git_place_find() and git_tree_of_index() do. */
int hook_commit_find(const struct options *options, struct hook_commit *out,
                     struct err *err) MUST_CHECK;
void hook_commit_release(struct hook_commit *commit);

struct hook_answer {
    bool all_cached;
    size_t n_steps, n_run; /* (0 where a watcher told) of the hook, with all they need; that would
                              run or wait */
    char *first;           /* all_cached false: one of them, or NULL, and */
    char *why;             /* why it is not cached, or why that can't be told here */
};

/* Whether every step passed on that tree. What can't be told without running something
 * (a generated pipeline, images that kiln.lock does not have) is a no. Fails where a run would: the
 * kiln.json of the tree is wrong, there is no cache. */
int hook_ask(const struct options *options, const struct hook_commit *commit,
             struct hook_answer *out, struct err *err) MUST_CHECK;
void hook_answer_release(struct hook_answer *answer);

/* The tree, with the memo of its repository. */
struct git_source;
int hook_source(const struct hook_commit *commit, struct git_source **out,
                struct err *err) MUST_CHECK;
/* Whether the tree has the pipeline that config was read from, and, where images have a say, the
 * kiln.lock that lies at lock_path. */
bool hook_same_pipeline(struct git_source *source, const struct hook_commit *commit,
                        const struct config *config, const char *lock_path);

/* The names of the pipeline's steps that are part of the hook; n 0: every step. The array is the
 * caller's, the names are the config's. */
const char **hook_steps(const struct config *config, size_t *n);

#endif
