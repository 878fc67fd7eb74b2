/*
 * runner.h - running one command somewhere: one interface, several back ends (host now; container
 * and remote later).
 *
 * A runner starts executions. An execution reports on the loop thread: started (left out when it
 * could not be started), output (already in the spool file), exited - in this order, exited exactly
 * once and last; after it, no process of the execution is left and the handle is gone. Nothing is
 * reported from within runner_start(). Callbacks may call any function of the runner.
 *
 * Output: both streams go to a spool file of the caller's as they come, in order of arrival; the
 * output callback says which stream the next bytes belong to. Nobody parses them. The file is asked
 * for by the spool callback when there is something to write, so silence costs no file.
 *
 * Ownership: runner_close() kills what still runs, waits for it and frees the runner. Requests are
 * copied. Loop thread only.
 */
#ifndef KILN_RUNNERS_RUNNER_H
#define KILN_RUNNERS_RUNNER_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <uv.h>

struct runner;
struct runner_box;
struct runner_exec;

/* What tells in the log of an interactive execution how large its terminal is from there on: it
 * begins like this, ends with ESC \, and has at most so many bytes (pty.h). */
#define RUNNER_SIZE_MARK_BEGIN "\x1b]5546;"
#define RUNNER_SIZE_MARK       40

/* An open terminal that shall be a command's input and output. */
struct runner_terminal {
    int fd; /* the caller's */
    /* The command has another one instead, which was made where it runs; before started, if at all.
     * leader is that one's other end, the callee's from now on, and does not block. */
    void (*replaced)(void *ctx, int leader);
    void *ctx;
};

struct runner_request {
    /* NULL terminated; argv[0] is looked up in the request's PATH when it has no slash. */
    const char *const *argv;
    const char *const *envp; /* NULL terminated NAME=value: the whole environment */
    const char *root;        /* absolute path of the project's folder */
    const char *cwd;         /* relative to root, "" = root; in a box: to its mount, or absolute */
    /* For the box back end alone: what the step sees (box.h). NULL: the command runs on the host's
     * own files, in the nest and as its root; the ids inside that own what kiln makes are these. */
    const struct runner_box *box;
    uint32_t nest_uid, nest_gid;
    const struct runner_terminal *terminal; /* then there is no spool; NULL: input is empty */
    /* Not NULL: the command's input and output are a terminal of its own, of that size, which kiln
     * makes: what it writes goes to the spool as stream 1, what it reads is given to
     * runner_input(). Not with terminal. */
    const struct winsize *pty;
    bool secret;           /* argv, envp or box hold secrets: wiped from kiln's own copies */
    uint64_t spool_offset; /* where in the spool file the output begins */
    /* Bytes of output kept; what is over is read and dropped, and said in runner_exit. 0 = no
     * limit. */
    uint64_t spool_limit;
    /* Not at once, but in the place of an execution that ends: of one that ends well by itself at
     * once, without asking anybody; after any other when runner_go_on() is called. Those started
     * ahead go in order. */
    bool ahead;
    uint64_t timeout_ms; /* 0 = none; counts from runner_start(), or from when it starts */
    uint64_t grace_ms;   /* between TERM and KILL; 0 = KILL at once */
};

struct runner_exit {
    /* -1 when ended by a signal; 126/127 as a shell has them when it could not be started (the
     * reason is in the spool, on stderr). */
    int exit_code;
    int signal; /* 0, or the signal that ended it */
    bool timed_out, cancelled;
    bool withdrawn;    /* it was to start later, and never did */
    bool counted;      /* its place is for one started ahead already */
    bool truncated;    /* output over spool_limit was dropped */
    int spool_errno;   /* making or writing the spool failed (disk full): the step was killed */
    int cause;         /* enum box_cause: the limit that it met, as far as that is known */
    uint64_t start_ns; /* CLOCK_REALTIME */
    uint64_t end_ns;
    /* Processor time of all that it was (but for what nobody could tell whose it is), and the most
     * memory that one process of it had, in bytes; 0: so little that it can't be told. */
    uint64_t cpu_us, memory;
    /* Not NULL: the runner itself failed (its helper died ...), exit_code is -1; words for a
     * message, gone after the callback. */
    const char *lost;
};

struct runner_callbacks {
    void (*started)(void *ctx, pid_t pid);
    /* Before the first output: returns the spool file, or -1 with errno. It stays the caller's,
     * open until exited. Not with O_APPEND, unless spool_offset is its end. */
    int (*spool)(void *ctx);
    /* stream 1 or 2; offset in the spool, where each piece follows the one before. */
    void (*output)(void *ctx, int stream, uint64_t offset, uint64_t n);
    void (*exited)(void *ctx, const struct runner_exit *exit);
    /* NULL: output goes to the spool as it is. Else it is read, and what this adds to out goes
     * there: of the n bytes that the stream (1 or 2) brought, and of what was not added before. n
     * 0: the stream is over. */
    void (*filter)(void *ctx, int stream, const char *bytes, size_t n, struct buf *out);
};

/* The table a back end fills in. */
struct runner_ops {
    const char *name; /* "host", as kiln.json has it, and part of every key */
    /* Reads and writes the working tree itself: inputs can change under it, outputs lie in the
     * project. */
    bool in_tree;
    int (*start)(struct runner *runner, const struct runner_request *request,
                 const struct runner_callbacks *callbacks, void *ctx, struct runner_exec **out,
                 struct err *err);
    void (*cancel)(struct runner_exec *exec);
    void (*withdraw)(struct runner_exec *exec);
    bool (*input)(struct runner_exec *exec, const char *bytes, size_t n);
    void (*resize)(struct runner_exec *exec, const struct winsize *size);
    void (*go_on)(struct runner *runner);
    bool (*works)(const struct runner *runner);
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
 * start is gone when they end, also what escaped by setsid, and also when kiln is killed. Forks its
 * helper process, so it is best made early. Fails when the machine refuses (ERR_SYSTEM). */
int runner_host_new(uv_loop_t *loop, struct runner **out, struct err *err) MUST_CHECK;

/* Starts the request, which is copied; *out is valid until exited. Fails when argv is empty
 * (ERR_USAGE) or the machine refuses (ERR_SYSTEM): then no callback comes. A program that cannot be
 * run is no failure of this function: it exits with 126 or 127. */
int runner_start(struct runner *runner, const struct runner_request *request,
                 const struct runner_callbacks *callbacks, void *ctx, struct runner_exec **out,
                 struct err *err) MUST_CHECK;
/* TERM now and KILL after the grace period, to all it started; exited follows with cancelled set.
 * Called again during the grace period (also a timeout's): KILL at once. */
void runner_cancel(struct runner_exec *exec);
/* What has been started ahead and does not run yet shall not: exited follows with withdrawn set.
 * One that has started meanwhile goes on. Until either is known, start nothing ahead. */
void runner_withdraw(struct runner_exec *exec);
/* Types into the execution's own terminal (request.pty); what it does not read yet waits, without
 * making anybody else wait. False, and nothing typed, when there is no room for all of it, or was
 * not for what came before and some still waits, or there is no such terminal. */
bool runner_input(struct runner_exec *exec, const char *bytes, size_t n);
/* That terminal has another size from now on. */
void runner_resize(struct runner_exec *exec, const struct winsize *size);
/* The first of those started ahead may take the place of one whose exited was not counted. */
void runner_go_on(struct runner *runner);
/* False when nothing can be started any more: its helper is gone. */
bool runner_works(const struct runner *runner);
/* Kills what still runs (their exited follow), then frees the runner and calls closed (may be NULL)
 * from the loop. */
void runner_close(struct runner *runner, void (*closed)(void *ctx), void *ctx);

#endif
