/*
 * commit.h - the worker's part of a commit: outputs and logs into the cache, inputs looked at once
 * more.
 *
 * A commit is self-contained while the worker has it: it reads the exec (immutable, in the graph)
 * and the flight's spool and chunks, which nobody touches after the command ended. done is called
 * on the loop; the receiver frees it with commit_free(). As long as it lives the cache is marked as
 * in use.
 */
#ifndef KILN_ENGINE_COMMIT_H
#define KILN_ENGINE_COMMIT_H

#include "engine/private.h"

struct commit {
    uv_work_t work;
    struct engine *engine;
    struct flight *flight;
    struct cache *cache;
    const char *root;  /* the project's folder */
    const char *upper; /* boxed: where the outputs are; NULL: in the project */
    const struct op_exec *exec;
    bool store;    /* the result may go into the cache */
    bool outdated; /* it must not: the system that its key tells of became another meanwhile */
    bool capture;  /* take outputs and logs: the first of two jobs, or the only one */
    struct worktree_check *check; /* the flight's: look at the inputs; NULL: don't */
    struct value value;           /* what it gave; its arena holds the strings */
    struct digest stamp;          /* of its outputs, when they were taken ... */
    int64_t stamp_ns;             /* ... and when that was */
    char *leak;                   /* an output with one of its secrets in it, or NULL */
    int rc;
    struct err err;    /* rc < 0 */
    struct err stored; /* the cache could not take it; the result itself is good */
    void (*done)(struct commit *commit);
};

/* Has a worker do it; a commit with nothing to read or write is done at once, before this returns.
 */
void commit_queue(uv_loop_t *loop, struct commit *commit);
void commit_free(struct commit *commit);

#endif
