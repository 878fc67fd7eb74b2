/*
 * host.c - kiln's side of the host runner: pipes, timers and the conversation with the warden
 * (warden.h).
 *
 * kiln has no child but the warden, so nothing here depends on what else the program does with
 * SIGCHLD. That the warden has ended is told by the end of the socket.
 */
#include "runners/runner.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "runners/streams.h"
#include "runners/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of one stream in one turn of the loop: a flood must not starve the others. */
#define TURN_BYTES    ((size_t)1024 * 1024)
#define TURN_EVENTS   64
#define TURN_MESSAGES 8

/* How far its ending has come; it only ever goes on. */
enum force { FORCE_NONE = 0, FORCE_TERM, FORCE_KILL };

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
    uv_timer_t timer; /* the timeout, then the grace period */
    bool timed;       /* the timer is there, and has to be closed */
    uint64_t grace_ms;
    uint64_t late_timeout_ms; /* started ahead: from when it starts; or 0 */
    bool ahead;               /* no place has been counted for it yet */
    bool withdrawing;
    struct runner_exit exit;
    char *lost;             /* owns exit.lost */
    char *program, *folder; /* for the message when it could not be started */
};

struct host {
    struct runner base;
    uv_loop_t *loop;
    struct wire wire;
    uv_poll_t socket; /* the wire's */
    int epoll;        /* of all streams ... */
    uv_poll_t output; /* ... which the loop sees as one */
    int n_handles;    /* of these two, not closed yet */
    int null_fd;
    struct host_exec *execs;
    uint64_t last_id;
    uint64_t counted; /* as the warden counts, as far as is known */
    uint64_t n_ahead; /* executions with ahead set */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void shut(struct host *host);

static struct host *host_of(const struct host_exec *exec)
{
    return (struct host *)exec->base.runner;
}

/* The one that is not over yet, or NULL. */
static struct host_exec *find_exec(const struct host *host, uint64_t id)
{
    struct host_exec *exec = host->execs;
    while (exec && (exec->id != id || exec->done))
        exec = exec->next;
    return exec;
}

/* --- sending --- */

static void on_socket(uv_poll_t *poll, int status, int events);

/* Has the socket watched, also for room when something waits for it. */
static void watch_socket(struct host *host)
{
    uv_poll_start(&host->socket, UV_READABLE | (host->wire.full ? UV_WRITABLE : 0), on_socket);
}

static void post(struct host *host, struct wire_message message)
{
    bool was_full = host->wire.full;
    wire_post(&host->wire, &message);
    if (host->wire.full != was_full)
        watch_socket(host);
}

static void flush(struct host *host)
{
    bool was_full = host->wire.full;
    wire_flush(&host->wire);
    if (host->wire.full != was_full)
        watch_socket(host);
}

static void post_kind(struct host_exec *exec, enum warden_request_kind kind)
{
    if (host_of(exec)->wire.warden)
        post(host_of(exec), (struct wire_message){.request = {.kind = kind, .id = exec->id}});
}

/* --- ending --- */

static void on_grace_over(uv_timer_t *timer);

static void start_timer(struct host_exec *exec, uv_timer_cb cb, uint64_t ms)
{
    uv_loop_t *loop = host_of(exec)->loop;
    if (!exec->timed)
        uv_timer_init(loop, &exec->timer);
    exec->timed = true;
    exec->timer.data = exec;
    uv_update_time(loop);
    uv_timer_start(&exec->timer, cb, ms, 0);
}

static void force_kill(struct host_exec *exec)
{
    if (exec->done || exec->force == FORCE_KILL)
        return;
    exec->force = FORCE_KILL;
    exec->withdrawing = true;
    if (exec->timed)
        uv_timer_stop(&exec->timer);
    post_kind(exec, WARDEN_KILL);
}

/* The first time TERM and a grace period, the second time KILL. */
static void force_more(struct host_exec *exec)
{
    if (exec->force != FORCE_NONE || exec->grace_ms == 0) {
        force_kill(exec);
        return;
    }
    exec->force = FORCE_TERM;
    exec->withdrawing = true;
    post_kind(exec, WARDEN_TERM);
    start_timer(exec, on_grace_over, exec->grace_ms);
}

static void on_grace_over(uv_timer_t *timer)
{
    force_kill(timer->data);
}

static void on_timeout(uv_timer_t *timer)
{
    struct host_exec *exec = timer->data;
    exec->exit.timed_out = true;
    force_more(exec);
}

static void host_cancel(struct runner_exec *base)
{
    struct host_exec *exec = (struct host_exec *)base;
    if (exec->done)
        return;
    if (!exec->exit.timed_out)
        exec->exit.cancelled = true;
    force_more(exec);
}

static void host_withdraw(struct runner_exec *base)
{
    struct host_exec *exec = (struct host_exec *)base;
    if (exec->done || exec->withdrawing)
        return;
    exec->withdrawing = true;
    post_kind(exec, WARDEN_WITHDRAW);
}

static void free_exec(struct host_exec *exec)
{
    struct host *host = host_of(exec);
    if (exec->prev)
        exec->prev->next = exec->next;
    else
        host->execs = exec->next;
    if (exec->next)
        exec->next->prev = exec->prev;
    free(exec->lost);
    free(exec->program);
    free(exec->folder);
    free(exec);
    if (host->closing)
        shut(host);
}

static void on_timer_closed(uv_handle_t *timer)
{
    free_exec(timer->data);
}

/* The execution is over, and gone as soon as libuv allows. */
static void let_go(struct host_exec *exec)
{
    if (exec->timed)
        uv_close((uv_handle_t *)&exec->timer, on_timer_closed);
    else
        free_exec(exec);
}

/* Moves what the stream holds, at most max bytes. */
static void pump(struct host_exec *exec, int stream, size_t max)
{
    uint64_t offset = exec->streams.spool.offset;
    uint64_t kept = streams_take(&exec->streams, stream, max);
    if (exec->streams.spool.errnum)
        force_kill(exec);
    if (kept)
        exec->callbacks.output(exec->ctx, stream + 1, offset, kept);
}

static void no_longer_ahead(struct host_exec *exec)
{
    host_of(exec)->n_ahead -= exec->ahead;
    exec->ahead = false;
}

/* Follows the warden's counting: a place is for the first of those started ahead. Of ours, it
 * counts behind what has been withdrawn. */
static void count(struct host *host, bool ours)
{
    struct host_exec *first = NULL;
    for (struct host_exec *exec = host->execs; exec; exec = exec->next)
        if (exec->ahead && !(ours && exec->withdrawing)) /* the oldest is the last */
            first = exec;
    host->counted++;
    if (first)
        no_longer_ahead(first);
}

/* No writer is left but what nobody could kill, so what the pipes hold now is all there is. */
static void finish(struct host_exec *exec)
{
    const struct spool *spool = &exec->streams.spool;
    for (int i = 0; i < STREAMS; i++)
        pump(exec, i, 2 * STREAM_HOLDS);
    exec->exit.truncated = spool->truncated;
    exec->exit.spool_errno = spool->errnum;
    exec->exit.lost = exec->lost;
    exec->done = true;
    no_longer_ahead(exec);
    streams_close(&exec->streams);
    exec->callbacks.exited(exec->ctx, &exec->exit);
    let_go(exec);
}

/* --- what the warden says --- */

static void on_started(struct host_exec *exec, const struct warden_report *report)
{
    exec->pid = report->pid;
    exec->exit.start_ns = report->time_ns;
    /* Not before: started comes first. What cannot be watched is taken at the end. */
    (void)streams_watch(&exec->streams, host_of(exec)->epoll, exec->id);
    if (exec->late_timeout_ms && exec->force == FORCE_NONE)
        start_timer(exec, on_timeout, exec->late_timeout_ms);
    exec->callbacks.started(exec->ctx, exec->pid);
}

/* A script whose interpreter is missing has the same errno as a missing program; its name has to be
 * told apart. */
static bool is_there(const struct host_exec *exec)
{
    if (!strchr(exec->program, '/'))
        return false;
    char *path = path_join(exec->folder, exec->program);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static void on_failed(struct host_exec *exec, const struct warden_report *report)
{
    const char *reason = strerror(report->errnum);
    exec->exit.start_ns = exec->exit.end_ns = report->time_ns;
    if (report->stage == WARDEN_STAGE_WARDEN) {
        exec->exit.exit_code = -1;
        exec->lost = mem_printf("cannot start a process for '%s': %s", exec->program, reason);
        finish(exec);
        return;
    }
    struct buf line = BUF_INIT;
    if (report->stage == WARDEN_STAGE_CHDIR)
        buf_adds(&line, "kiln: cannot enter '");
    else
        buf_adds(&line, "kiln: cannot run '");
    const char *name = report->stage == WARDEN_STAGE_CHDIR ? exec->folder : exec->program;
    buf_add_shown(&line, name, strlen(name));
    buf_addf(&line, "': %s", reason);
    if (report->stage == WARDEN_STAGE_EXEC && report->errnum == ENOENT && is_there(exec))
        buf_adds(&line, " (the file is there: what its #! line or its format asks for is not)");
    if (report->stage == WARDEN_STAGE_EXEC && report->errnum == E2BIG)
        buf_adds(&line,
                 " (an argument or a variable may have 128 KiB, all of them together about a "
                 "quarter of the stack's limit: put what is long into a file)");
    buf_addc(&line, '\n');
    struct spool *spool = &exec->streams.spool;
    uint64_t offset = spool->offset;
    size_t n = spool_add(spool, line.data, line.len);
    buf_release(&line);
    exec->exit.exit_code = report->errnum == ENOENT ? 127 : 126;
    if (n)
        exec->callbacks.output(exec->ctx, 2, offset, n);
    finish(exec);
}

static void on_exited(struct host_exec *exec, const struct warden_report *report)
{
    exec->exit.exit_code = report->exit_code;
    exec->exit.signal = report->signal;
    exec->exit.end_ns = report->time_ns;
    exec->exit.counted = report->counted != 0;
    if (report->counted)
        count(host_of(exec), false);
    finish(exec);
}

static void on_withdrawn(struct host_exec *exec, const struct warden_report *report)
{
    exec->exit.exit_code = -1;
    exec->exit.withdrawn = true;
    exec->exit.start_ns = exec->exit.end_ns = report->time_ns;
    finish(exec);
}

static void on_report(struct host *host, const struct warden_report *report)
{
    struct host_exec *exec = find_exec(host, report->id);
    if (report->kind != WARDEN_EXITED)
        wire_answered(&host->wire, report->id);
    if (exec && report->kind == WARDEN_STARTED)
        on_started(exec, report);
    else if (exec && report->kind == WARDEN_FAILED)
        on_failed(exec, report);
    else if (exec && report->kind == WARDEN_WITHDRAWN)
        on_withdrawn(exec, report);
    else if (exec)
        on_exited(exec, report);
    flush(host);
}

/* The end of the socket: the warden has ended, because we wanted it to or because somebody killed
 * it. */
static void on_warden_gone(struct host *host)
{
    pid_t warden = host->wire.warden;
    if (!warden)
        return;
    host->wire.warden = 0;
    uv_poll_stop(&host->socket);
    wire_drop(&host->wire);
    /* At most a moment: its descriptors are closed on its way out. */
    while (waitpid(warden, NULL, 0) < 0 && errno == EINTR)
        continue;
    for (struct host_exec *exec = host->execs, *next; exec; exec = next) {
        next = exec->next;
        if (exec->done)
            continue;
        /* Main processes die with the warden; this is for what is in their groups. */
        if (exec->pid)
            kill(-exec->pid, SIGKILL);
        exec->exit.exit_code = -1;
        exec->exit.end_ns = clock_realtime_ns();
        exec->lost = mem_strdup("kiln's helper process (kiln-warden) ended while this ran; "
                                "what it had started may still be running");
        finish(exec);
    }
    if (host->closing)
        shut(host);
}

/* Takes all that the warden has sent, in one call as a rule. */
static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct host *host = poll->data;
    struct warden_report reports[TURN_MESSAGES][WARDEN_REPORTS];
    struct iovec parts[TURN_MESSAGES];
    struct mmsghdr messages[TURN_MESSAGES] = {0};
    (void)status; /* reading tells */
    if (events & UV_WRITABLE)
        flush(host);
    for (int i = 0; i < TURN_MESSAGES; i++) {
        parts[i] = (struct iovec){reports[i], sizeof reports[i]};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int n = recvmmsg(host->wire.sock, messages, TURN_MESSAGES, MSG_DONTWAIT, NULL);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        on_warden_gone(host);
    for (int i = 0; i < n && host->wire.warden; i++) {
        size_t size = messages[i].msg_len;
        if (size == 0 || size % sizeof reports[i][0] != 0)
            on_warden_gone(host);
        for (size_t k = 0; k < size / sizeof reports[i][0] && host->wire.warden; k++)
            on_report(host, &reports[i][k]);
    }
}

static void on_output(uv_poll_t *poll, int status, int events)
{
    struct host *host = poll->data;
    struct epoll_event ready[TURN_EVENTS];
    (void)status;
    (void)events;
    int n = epoll_wait(host->epoll, ready, TURN_EVENTS, 0);
    for (int i = 0; i < n; i++) {
        /* A callback may have ended it since. */
        struct host_exec *exec = find_exec(host, ready[i].data.u64 / STREAMS);
        if (exec)
            pump(exec, (int)(ready[i].data.u64 % STREAMS), TURN_BYTES);
    }
}

/* --- starting --- */

static struct host_exec *make_exec(struct host *host, const struct runner_request *request,
                                   const struct runner_callbacks *callbacks, void *ctx)
{
    struct host_exec *exec = mem_zalloc(1, sizeof *exec);
    exec->base.runner = &host->base;
    exec->callbacks = *callbacks;
    exec->ctx = ctx;
    exec->id = ++host->last_id;
    exec->grace_ms = request->grace_ms;
    exec->program = mem_strdup(request->argv[0]);
    exec->folder = path_join(request->root, request->cwd ? request->cwd : "");
    exec->streams.spool = (struct spool){
        .open = callbacks->spool,
        .ctx = ctx,
        .fd = -1,
        .null_fd = host->null_fd,
        .offset = request->spool_offset,
        .left = request->spool_limit ? request->spool_limit : UINT64_MAX,
    };
    exec->next = host->execs;
    if (exec->next)
        exec->next->prev = exec;
    host->execs = exec;
    return exec;
}

static int host_start(struct runner *runner, const struct runner_request *request,
                      const struct runner_callbacks *callbacks, void *ctx,
                      struct runner_exec **result, struct err *err)
{
    struct host *host = (struct host *)runner;
    if (!host->wire.warden || host->closing)
        return err_set(err, ERR_SYSTEM,
                       "cannot start '%s': kiln's helper process (kiln-warden) has ended; "
                       "start kiln again",
                       request->argv[0]);
    struct host_exec *exec = make_exec(host, request, callbacks, ctx);
    int errnum = streams_open(&exec->streams);
    if (errnum) {
        free_exec(exec);
        return err_sys(err, errnum, "cannot make a pipe for a step's output");
    }
    struct wire_message message = wire_start(request, exec->folder, exec->id);
    for (int i = 0; i < STREAMS; i++)
        message.fds[i] = exec->streams.write[i];
    if (request->ahead) {
        message.request.after = host->counted + ++host->n_ahead;
        exec->ahead = true;
        exec->late_timeout_ms = request->timeout_ms;
    }
    post(host, message);
    if (request->timeout_ms && !request->ahead)
        start_timer(exec, on_timeout, request->timeout_ms);
    *result = &exec->base;
    return 0;
}

/* --- the runner --- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void release(struct host *host)
{
    wire_close(&host->wire);
    close_fd(&host->epoll);
    close_fd(&host->null_fd);
    free(host);
}

static void on_host_closed(uv_handle_t *handle)
{
    struct host *host = handle->data;
    if (--host->n_handles > 0)
        return;
    void (*closed)(void *ctx) = host->closed;
    void *ctx = host->closed_ctx;
    release(host);
    if (closed)
        closed(ctx);
}

static void close_handles(struct host *host)
{
    if (uv_is_closing((uv_handle_t *)&host->socket))
        return;
    uv_close((uv_handle_t *)&host->socket, on_host_closed);
    uv_close((uv_handle_t *)&host->output, on_host_closed);
}

/* The next step of closing: executions, then the warden, then our own handles. */
static void shut(struct host *host)
{
    if (host->execs)
        return;
    if (host->wire.warden)
        shutdown(host->wire.sock, SHUT_WR); /* it ends, and on_warden_gone comes back here */
    else
        close_handles(host);
}

static void host_close(struct runner *runner, void (*closed)(void *ctx), void *ctx)
{
    struct host *host = (struct host *)runner;
    host->closing = true;
    host->closed = closed;
    host->closed_ctx = ctx;
    for (struct host_exec *exec = host->execs; exec; exec = exec->next) {
        if (exec->done)
            continue;
        if (!exec->exit.timed_out)
            exec->exit.cancelled = true;
        force_kill(exec);
    }
    shut(host);
}

static void host_go_on(struct runner *runner)
{
    struct host *host = (struct host *)runner;
    if (!host->wire.warden)
        return;
    count(host, true);
    post(host, (struct wire_message){.request = {.kind = WARDEN_COUNT}});
}

static bool host_works(const struct runner *runner)
{
    const struct host *host = (const struct host *)runner;
    return host->wire.warden && !host->closing;
}

static const struct runner_ops host_ops = {
    .name = "host",
    .in_tree = true,
    .start = host_start,
    .cancel = host_cancel,
    .withdraw = host_withdraw,
    .go_on = host_go_on,
    .works = host_works,
    .close = host_close,
};

static int add_poll(struct host *host, uv_poll_t *poll, int fd, struct err *err)
{
    int rc = uv_poll_init(host->loop, poll, fd);
    if (rc < 0)
        return err_sys(err, -rc, "cannot watch kiln's helper process");
    poll->data = host;
    host->n_handles++;
    return 0;
}

static int open_host(struct host *host, struct err *err)
{
    host->epoll = epoll_create1(EPOLL_CLOEXEC);
    host->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (host->epoll < 0 || host->null_fd < 0)
        return err_sys(err, errno, "opening /dev/null");
    int errnum = wire_open(&host->wire);
    if (errnum)
        return err_sys(err, errnum, "cannot start kiln's helper process");
    int rc = add_poll(host, &host->socket, host->wire.sock, err);
    return rc == 0 ? add_poll(host, &host->output, host->epoll, err) : rc;
}

int runner_host_new(uv_loop_t *loop, struct runner **out, struct err *err)
{
    *out = NULL;
    if (access("/proc/self/stat", R_OK) != 0)
        return err_sys(
            err, errno,
            "kiln finds what a step leaves behind through /proc, and cannot read it: mount /proc");
    struct host *host = mem_zalloc(1, sizeof *host);
    host->base.ops = &host_ops;
    host->loop = loop;
    host->wire.sock = -1;
    int rc = open_host(host, err);
    if (rc == 0) {
        watch_socket(host);
        uv_poll_start(&host->output, UV_READABLE, on_output);
        *out = &host->base;
        return 0;
    }
    pid_t warden = host->wire.warden;
    wire_close(&host->wire); /* the warden ends with the socket */
    if (warden > 0)
        waitpid(warden, NULL, 0);
    if (host->n_handles > 0)
        uv_close((uv_handle_t *)&host->socket, on_host_closed);
    else
        release(host);
    return rc;
}
