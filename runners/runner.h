/*
 * runner.h - running one command somewhere: one interface, several back ends (host now; container
 * and remote later).
 *
 * A runner starts executions. An execution reports on the loop thread: started, output (already in
 * the spool file), exited - in this order, exited exactly once and last; after it, no process of
 * the execution is left and the handle is gone.
 *
 * Output: both streams go to the request's spool file as they come, in order of arrival; the output
 * callback says which stream the next bytes belong to. Nobody parses them.
 *
 * Ownership: runner_close() kills what still runs, waits for it and frees the runner. Requests are
 * copied. Loop thread only.
 */
#ifndef KILN_RUNNERS_RUNNER_H
#define KILN_RUNNERS_RUNNER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct runner;
struct runner_exec;

struct runner_request {
    const char *const *
        argv; /* NULL terminated; argv[0] is looked up in the request's PATH when it has no slash */
    const char *const *envp; /* NULL terminated NAME=value: the whole environment */
    const char *root;        /* absolute path of the project's folder */
    const char *cwd;         /* relative to root, "" = root */
    int spool_fd; /* written from spool_offset on; stays the caller's, open until exited */
    uint64_t spool_offset;
    uint64_t spool_limit; /* bytes of output kept; what is over is read and dropped, and said in
                             runner_exit. 0 = no limit */
    uint64_t timeout_ms;  /* 0 = none */
    uint64_t grace_ms;    /* between TERM and KILL */
};

struct runner_exit {
    int exit_code; /* -1 when ended by a signal; 126/127 as a shell has them when it could not be
                      started (the reason is in the spool, on stderr) */
    int signal;    /* 0, or the signal that ended it */
    bool timed_out, cancelled;
    bool truncated;    /* output over spool_limit was dropped */
    int spool_errno;   /* writing the spool failed (disk full): the step was killed */
    uint64_t start_ns; /* CLOCK_REALTIME */
    uint64_t end_ns;
    const char
        *lost; /* not NULL: the runner itself failed (its helper died ...); words for a message */
};

struct runner_callbacks {
    void (*started)(void *ctx, pid_t pid);
    void (*output)(void *ctx, int stream, uint64_t offset,
                   uint64_t n); /* stream 1 or 2; offset in the spool */
    void (*exited)(void *ctx, const struct runner_exit *exit);
};

/* The table a back end fills in. */
struct runner_ops {
    const char *name; /* "host": what INTERFACES calls it, and part of every key */
    bool in_tree; /* reads and writes the working tree itself: inputs can change under it, outputs
                     lie in the project */
    int (*start)(struct runner *runner, const struct runner_request *request,
                 const struct runner_callbacks *callbacks, void *ctx, struct runner_exec **out,
                 struct err *err);
    /* TERM now, KILL after the grace period, to all it started; exited follows with cancelled set.
     */
    void (*cancel)(struct runner_exec *exec);
    void (*close)(struct runner *runner, void (*closed)(void *ctx), void *ctx);
};

/* Every back end's struct begins with this. */
struct runner {
    const struct runner_ops *ops;
};

/* Every back end's struct of an execution begins with this. */
struct runner_exec {
    struct runner *runner;
};

/* The host back end: processes in their own session in the working tree itself. Everything they
 * start is gone when they end, also what escaped by setsid, and also when kiln is killed. */
int runner_host_new(uv_loop_t *loop, struct runner **out, struct err *err) MUST_CHECK;

int runner_start(struct runner *runner, const struct runner_request *request,
                 const struct runner_callbacks *callbacks, void *ctx, struct runner_exec **out,
                 struct err *err) MUST_CHECK;
void runner_cancel(struct runner_exec *exec);
void runner_close(struct runner *runner, void (*closed)(void *ctx), void *ctx);

#endif
