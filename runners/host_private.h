/*
 * host_private.h - the host runner's two halves, for runners/host*.c alone.
 *
 *     host.c       the conversation with the warden (warden.h), opening and closing
 *     host_exec.c  an execution, from its start to its end
 *
 * All on the loop thread.
 */
#ifndef KILN_RUNNERS_HOST_PRIVATE_H
#define KILN_RUNNERS_HOST_PRIVATE_H

#include "runners/pty.h"
#include "runners/runner.h"
#include "runners/streams.h"
#include "runners/wire.h"

#include <uv.h>

/* How far its ending has come; it only ever goes on. */
enum force { FORCE_NONE = 0, FORCE_TERM, FORCE_KILL };

/* What the box runner adds to an execution. */
struct host_extra {
    const struct buf *nest; /* packed; copied */
    int user;               /* the nest's user namespace */
    int file;               /* the program; or -1 */
    bool pty_later;         /* the request's is made in the box: host_exec_adopt() */
    /* All is over: may change exit, and add a line to the output; or NULL. */
    void (*ending)(void *ctx, struct runner_exit *exit, struct buf *line);
};

struct host_exec {
    struct runner_exec base;
    struct host_exec *prev, *next;
    struct runner_callbacks callbacks;
    void *ctx;
    uint64_t id;
    pid_t pid; /* 0 until started */
    enum force force;
    bool done; /* exited has been told: only its timer is left */
    struct streams streams;
    struct pty *pty;  /* its terminal; NULL: it has none of its own */
    bool pty_full;    /* the loop tells when it takes more */
    uv_timer_t timer; /* the timeout, then the grace period */
    bool timed;       /* the timer is there, and has to be closed */
    uint64_t grace_ms;
    uint64_t late_timeout_ms; /* started ahead: from when it starts; or 0 */
    bool ahead;               /* no place has been counted for it yet */
    bool withdrawing;
    struct runner_exit exit;
    char *lost;             /* owns exit.lost */
    char *program, *folder; /* for the message when it could not be started */
    struct buf nest;        /* for the same, until it is started */
    void (*ending)(void *ctx, struct runner_exit *exit, struct buf *line);
};

struct host {
    struct runner base;
    uv_loop_t *loop;
    struct wire wire;
    uv_poll_t socket; /* the wire's */
    int epoll;        /* of all streams ... */
    uv_poll_t output; /* ... which the loop sees as one */
    int n_handles;    /* of these two, not closed yet */
    char *piece;      /* of all spools */
    struct host_exec *execs;
    uint64_t last_id;
    uint64_t counted; /* as the warden counts, as far as is known */
    uint64_t n_ahead; /* executions with ahead set */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* host.c */
/* Sends it when the wire takes it; may be called while there is a warden. */
void host_post(struct host *host, struct wire_message message);
/* The next step of closing: executions, then the warden, then our own handles. */
void host_shut(struct host *host);

/* host_exec.c */
/* Starts the request, in a nest when there is extra. */
int host_exec_start_extra(struct runner *runner, const struct runner_request *request,
                          const struct host_extra *extra, const struct runner_callbacks *callbacks,
                          void *ctx, struct runner_exec **result, struct err *err) MUST_CHECK;
/* The start, cancel and withdraw of struct runner_ops. */
int host_exec_start(struct runner *runner, const struct runner_request *request,
                    const struct runner_callbacks *callbacks, void *ctx,
                    struct runner_exec **result, struct err *err) MUST_CHECK;
void host_exec_cancel(struct runner_exec *base);
void host_exec_withdraw(struct runner_exec *base);
bool host_exec_input(struct runner_exec *base, const char *bytes, size_t n);
void host_exec_resize(struct runner_exec *base, const struct winsize *size);
/* The terminal that was to come (pty_later) is there: its leader, owned from here on. */
void host_exec_adopt(struct runner_exec *base, int leader);
/* Ends it without grace; nothing when it is over, or being killed. */
void host_exec_kill(struct host_exec *exec);
/* Moves what the stream holds, at most max bytes. */
void host_exec_pump(struct host_exec *exec, int stream, size_t max);
/* The last kept bytes of the spool are new, of that stream (1 or 2). */
void host_exec_tell(struct host_exec *exec, int stream, uint64_t kept);
/* host_pty.c: begins to watch its terminal. */
void host_pty_watch(struct host_exec *exec);
/* As host_exec_pump(), of its terminal, which also takes what waits for it. */
void host_exec_pump_terminal(struct host_exec *exec, size_t max);
/* What the warden says of it. */
void host_exec_report(struct host_exec *exec, const struct warden_report *report);
/* The warden is gone, and with it whatever it knew. */
void host_exec_lost(struct host_exec *exec);
/* Follows the warden's counting: a place is for the first of those started ahead. Of ours, it
 * counts behind what has been withdrawn. */
void host_count(struct host *host, bool ours);

#endif
