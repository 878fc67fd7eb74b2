/*
 * hook.h - the tree that is being committed, and whether the steps of the hook passed on it
 * already.
 *
 * hook_answer.c looks and runs nothing: the answer is mostly yes, and then nothing was written
 * anywhere but what was learned about objects of git. Where it is no, the tree is checked out
 * (hook_checkout.c) and the steps run there (hook_run.c).
 *
 * Ownership: struct hook_commit is the caller's, hook_commit_release(). Loop thread.
 */
#ifndef KILN_CLI_HOOK_H
#define KILN_CLI_HOOK_H

#include "base/vec.h"
#include "cache/git_fixes.h"
#include "cache/git_tree.h"
#include "cli/cli.h"

struct hook_commit {
    char *config, *root; /* kiln.json's path and the project's folder, in the working tree */
    struct git_place place;
    char tree[GIT_TREE_HEX + 1];
};

/* The project that the options name; the tree is still to be told. Fails as app_find() and
 * git_place_find() do. */
int hook_commit_find(const struct options *options, struct hook_commit *out,
                     struct err *err) MUST_CHECK;
/* Takes the tree that a commit would have now. Fails as git_tree_of_index() does. */
int hook_commit_index(struct hook_commit *commit, struct err *err) MUST_CHECK;
void hook_commit_release(struct hook_commit *commit);

struct hook_answer {
    bool all_cached;
    bool fixers; /* all_cached false: some step that may fix files is not cached, as far as known */
    size_t n_steps, n_run; /* (0 where a watcher told) of the hook, with all they need; that would
                              run or wait */
    char *first;           /* all_cached false: one of them, or NULL, and */
    char *why;             /* why it is not cached, or why that can't be told here */
    struct config *config; /* the pipeline of the tree; NULL where a watcher told */
};

/* Whether every step passed on that tree. What can't be told without running something
 * (a generated pipeline, images that kiln.lock does not have) is a no. Fails where a run would: the
 * kiln.json of the tree is wrong, there is no cache. */
int hook_ask(const struct options *options, const struct hook_commit *commit,
             struct hook_answer *out, struct err *err) MUST_CHECK;
void hook_answer_release(struct hook_answer *answer);

/* Where the tree is checked out: a directory of kiln's own, with a repository that borrows the
 * objects of the other. */
struct hook_checkout {
    char *dir, *root; /* its top, and the project's folder in it */
    char *passed;     /* the file of struct hook_passes */
    struct cache *cache;
    int lock;
    struct git_stamps *stamps; /* of its files; or NULL */
};
/* The project's folder in it, whether it is there or not; a new string, or NULL. */
char *hook_checkout_root(const struct hook_commit *commit);
/* Makes it hold the tree, but for outputs of the config's steps that are there, and copies of what
 * the config's "bind" names; waits for another hook of the same working tree.
 * hook_checkout_release() also when it fails. */
int hook_checkout_make(const struct options *options, const struct hook_commit *commit,
                       const struct config *config, struct hook_checkout *out,
                       struct err *err) MUST_CHECK;
/* Makes it hold the tree that the commit has by now. */
int hook_checkout_again(const struct hook_commit *commit, const struct config *config,
                        struct hook_checkout *checkout, struct err *err) MUST_CHECK;
void hook_checkout_release(struct hook_checkout *checkout);

/* What has passed in the checkout while it is not known yet that all files are as they were, in
 * memory and in a file for the hook after one that was killed (hook_passes.c). The caller's,
 * hook_passes_release(). */
struct hook_pass {
    struct digest key;
    struct buf result;
};
struct hook_passes {
    VEC(struct hook_pass) list;
    struct buf head;
    int fd; /* of the file; -1: there is none */
};
/* In a run on that tree. path NULL: without a file, as where it can't be written. */
void hook_passes_begin(struct hook_passes *passes, const char *path, const char *tree);
void hook_passes_add(struct hook_passes *passes, const struct digest *key,
                     const struct buf *result);
/* They count. */
int hook_passes_put(const struct hook_passes *passes, struct cache *cache,
                    struct err *err) MUST_CHECK;
void hook_passes_release(struct hook_passes *passes);
/* Those that a killed hook has left count if the files are as they were in it; then nothing is
 * left. To be called before the files are touched. */
int hook_passes_recover(const struct hook_commit *commit, const struct hook_checkout *checkout,
                        struct err *err) MUST_CHECK;

enum hook_part {
    HOOK_STEPS,  /* all steps of the hook; they change no file that is committed */
    HOOK_FIXERS, /* those that may, one after the other, with what they need */
    HOOK_OTHERS, /* the steps without fixers, which have come to rest */
};
#define HOOK_NONE (-1)
/* Runs that part there, and says what went wrong and what to do: git is the command that can go
 * without ("commit"). left: HOOK_FIXERS: the tree that they left, which checkout holds but for the
 * files that they changed; else NULL. Returns kiln's exit code; HOOK_NONE: there are no such steps.
 */
int hook_run(const struct options *options, const struct hook_commit *commit,
             const struct hook_checkout *checkout, enum hook_part part, const char *git,
             char *left);

/* What fixers made of the tree (hook_fix.c). */
struct hook_fixing {
    const struct options *options;
    const char *git;
    bool may_apply; /* git takes over what is done to the index and the working tree */
    bool rested;    /* the fixers have run on the very tree, and left it as it was */
    struct git_fixes fixes;
};
/* Runs the fixers until they find nothing more to do; commit->tree is the fixed tree then, checkout
 * holds it, and answer is about it. *code: 0, or with what kiln ends, having said why. Fails as
 * what it does fails, and where fixers do not come to rest, or do what is no fix. */
int hook_fix(struct hook_fixing *fixing, struct hook_commit *commit, struct hook_checkout *checkout,
             struct hook_answer *answer, int *code, struct err *err) MUST_CHECK;
/* The steps have passed (or not): index and working tree get the fixes (or not); says so. */
int hook_fix_end(struct hook_fixing *fixing, const struct hook_commit *commit,
                 const struct hook_checkout *checkout, bool passed, struct err *err) MUST_CHECK;
void hook_fixing_release(struct hook_fixing *fixing);

/* The tree, with the memo of its repository. */
struct git_source;
int hook_source(const struct hook_commit *commit, struct git_source **out,
                struct err *err) MUST_CHECK;
/* Whether the tree has the pipeline that config was read from, and, where images have a say, the
 * kiln.lock that lies at lock_path. */
bool hook_same_pipeline(struct git_source *source, const struct hook_commit *commit,
                        const struct config *config, const char *lock_path);

/* The hooks that kiln can be, the one it is by default first; ends with NULL. */
extern const char *const hook_names[];
bool hook_is_name(const char *name);
/* kiln hook install, uninstall, status. */
int hook_command_place(const struct options *options);
int hook_exit_code(const struct err *err);

/* The names of the pipeline's steps that are part of the hook; n 0: every step, and none is a
 * fixer. The array is the caller's, the names are the config's. */
const char **hook_steps(const struct config *config, size_t *n);

#endif
