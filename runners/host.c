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
#include "runners/spool.h"
#include "runners/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of one stream in one turn of the loop: a flood must not starve the others. */
#define TURN_BYTES   (1024 * 1024)
#define TURN_REPORTS 64
/* A stream that fills its pipe gets a larger one. Not all do: a user's pipes share one budget. */
#define LARGE_PIPE (1024 * 1024)
#define FULL_PIPE  65536

struct host_exec;

struct stream {
    uv_poll_t poll;
    struct host_exec *exec;
    int number;  /* 1, 2 */
    int fd;      /* -1 once closed */
    bool polled; /* the handle is there, and has to be closed */
    bool large;
};

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
    bool done; /* exited has been told: only its handles are left */
    int handles;
    struct spool spool;
    struct stream streams[2];
    uv_timer_t timer; /* the timeout, then the grace period */
    uint64_t grace_ms;
    struct runner_exit exit;
    char *lost;             /* owns exit.lost */
    char *program, *folder; /* for the message when it could not be started */
};

struct host {
    struct runner base;
    uv_loop_t *loop;
    uv_poll_t poll;
    int sock;
    int null_fd;
    pid_t warden; /* 0 once it has ended */
    struct host_exec *execs;
    uint64_t last_id;
    VEC(struct wire_message) queue; /* what the socket had no room for */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void on_socket(uv_poll_t *poll, int status, int events);
static void on_output(uv_poll_t *poll, int status, int events);
static void shut(struct host *host);

static struct host *host_of(const struct host_exec *exec)
{
    return (struct host *)exec->base.runner;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- sending --- */

/* Sends, or keeps it for later; takes the descriptors. Failing for good means that the warden is
 * gone, and on_socket learns that too. */
static void post(struct host *host, struct wire_message out)
{
    int errnum = host->queue.n ? EAGAIN : wire_send(host->sock, &out);
    if (errnum == EAGAIN) {
        vec_push(&host->queue, out);
        uv_poll_start(&host->poll, UV_READABLE | UV_WRITABLE, on_socket);
        return;
    }
    wire_drop(&out);
}

static void flush(struct host *host)
{
    size_t n = 0;
    while (n < host->queue.n && wire_send(host->sock, &host->queue.v[n]) != EAGAIN)
        wire_drop(&host->queue.v[n++]);
    if (n == 0)
        return;
    host->queue.n -= n;
    memmove(host->queue.v, host->queue.v + n, host->queue.n * sizeof host->queue.v[0]);
    if (host->queue.n == 0)
        uv_poll_start(&host->poll, UV_READABLE, on_socket);
}

static void post_kind(struct host_exec *exec, enum warden_request_kind kind)
{
    struct wire_message out = {{.kind = kind, .id = exec->id}, {-1, -1, -1}};
    if (host_of(exec)->warden)
        post(host_of(exec), out);
}

/* --- ending --- */

static void on_grace_over(uv_timer_t *timer);

static void force_kill(struct host_exec *exec)
{
    if (exec->done || exec->force == FORCE_KILL)
        return;
    exec->force = FORCE_KILL;
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
    post_kind(exec, WARDEN_TERM);
    uv_update_time(host_of(exec)->loop);
    uv_timer_start(&exec->timer, on_grace_over, exec->grace_ms, 0);
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

static void on_handle_closed(uv_handle_t *handle)
{
    struct host_exec *exec = handle->data;
    if (--exec->handles > 0)
        return;
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

static void close_stream(struct stream *stream)
{
    /* In this order: libuv must let go of the descriptor before its number can become another
     * file's. */
    if (stream->polled)
        uv_close((uv_handle_t *)&stream->poll, on_handle_closed);
    stream->polled = false;
    close_fd(&stream->fd);
}

/* Afterwards the execution is freed as soon as libuv allows. */
static void close_handles(struct host_exec *exec)
{
    exec->done = true;
    close_stream(&exec->streams[0]);
    close_stream(&exec->streams[1]);
    uv_close((uv_handle_t *)&exec->timer, on_handle_closed);
}

/* Moves what the stream holds, at most max bytes. */
static void pump(struct host_exec *exec, struct stream *stream, size_t max)
{
    uint64_t kept, offset = exec->spool.offset;
    if (stream->fd < 0)
        return;
    enum spool_result result = spool_take(&exec->spool, stream->fd, max, &kept);
    if (exec->spool.errnum)
        force_kill(exec);
    if (!stream->large && kept >= FULL_PIPE) {
        stream->large = true;
        fcntl(stream->fd, F_SETPIPE_SZ, LARGE_PIPE);
    }
    if (result == SPOOL_END)
        close_stream(stream);
    if (kept)
        exec->callbacks.output(exec->ctx, stream->number, offset, kept);
}

static void on_output(uv_poll_t *poll, int status, int events)
{
    struct stream *stream = (struct stream *)(void *)((char *)poll - offsetof(struct stream, poll));
    (void)status;
    (void)events;
    pump(stream->exec, stream, TURN_BYTES);
}

/* No writer is left but what nobody could kill, so what the pipes hold now is all there is. */
static void finish(struct host_exec *exec)
{
    for (int i = 0; i < 2; i++)
        pump(exec, &exec->streams[i], 2 * LARGE_PIPE);
    exec->exit.truncated = exec->spool.truncated;
    exec->exit.spool_errno = exec->spool.errnum;
    exec->exit.lost = exec->lost;
    close_handles(exec);
    exec->callbacks.exited(exec->ctx, &exec->exit);
}

/* --- what the warden says --- */

static void on_started(struct host_exec *exec, const struct warden_report *report)
{
    exec->pid = report->pid;
    exec->exit.start_ns = report->time_ns;
    for (int i = 0; i < 2; i++) /* not before: started comes first */
        uv_poll_start(&exec->streams[i].poll, UV_READABLE, on_output);
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
    buf_addc(&line, '\n');
    uint64_t offset = exec->spool.offset;
    size_t n = spool_add(&exec->spool, line.data, line.len);
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
    finish(exec);
}

static void on_report(struct host *host, const struct warden_report *report)
{
    struct host_exec *exec = host->execs;
    while (exec && (exec->id != report->id || exec->done))
        exec = exec->next;
    if (!exec)
        return;
    switch (report->kind) {
    case WARDEN_STARTED: on_started(exec, report); break;
    case WARDEN_FAILED: on_failed(exec, report); break;
    default: on_exited(exec, report); break;
    }
}

/* The end of the socket: the warden has ended, because we wanted it to or because somebody killed
 * it. */
static void on_warden_gone(struct host *host)
{
    pid_t warden = host->warden;
    if (!warden)
        return;
    host->warden = 0;
    uv_poll_stop(&host->poll);
    vec_each (struct wire_message, out, &host->queue)
        wire_drop(out);
    vec_clear(&host->queue);
    /* At most a moment: its descriptors are closed on its way out. */
    while (waitpid(warden, NULL, 0) < 0 && errno == EINTR)
        continue;
    for (struct host_exec *exec = host->execs; exec; exec = exec->next) {
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

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct host *host = poll->data;
    if (events & UV_WRITABLE)
        flush(host);
    for (int i = 0; i < TURN_REPORTS && host->warden; i++) {
        struct warden_report report;
        ssize_t n = recv(host->sock, &report, sizeof report, MSG_DONTWAIT);
        if (n == (ssize_t)sizeof report) {
            on_report(host, &report);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && status >= 0)
            return;
        on_warden_gone(host);
    }
}

/* --- starting --- */

/* Makes the pipe of a stream; only our end does not block, the step's own must. */
static int open_stream(struct host *host, struct stream *stream, int *write_end, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_sys(err, errno, "cannot make a pipe for a step's output");
    stream->fd = fds[0];
    *write_end = fds[1];
    int status = uv_poll_init(host->loop, &stream->poll, stream->fd); /* makes it non-blocking */
    if (status != 0)
        return err_sys(err, -status, "cannot watch the pipe of a step's output");
    stream->poll.data = stream->exec;
    stream->polled = true;
    stream->exec->handles++;
    return 0;
}

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
    exec->spool = (struct spool){
        .fd = request->spool_fd,
        .null_fd = host->null_fd,
        .offset = request->spool_offset,
        .left = request->spool_limit ? request->spool_limit : UINT64_MAX,
    };
    for (int i = 0; i < 2; i++)
        exec->streams[i] = (struct stream){.exec = exec, .number = i + 1, .fd = -1};
    uv_timer_init(host->loop, &exec->timer);
    exec->timer.data = exec;
    exec->handles = 1;
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
    if (!host->warden || host->closing)
        return err_set(err, ERR_SYSTEM,
                       "cannot start '%s': kiln's helper process (kiln-warden) has ended; "
                       "start kiln again",
                       request->argv[0]);
    struct host_exec *exec = make_exec(host, request, callbacks, ctx);
    struct wire_message out = {{.kind = WARDEN_START, .id = exec->id}, {-1, -1, -1}};
    int status = 0;
    for (int i = 0; i < 2 && status == 0; i++)
        status = open_stream(host, &exec->streams[i], &out.fds[i + 1], err);
    if (status == 0) {
        out.fds[0] = wire_pack(request, exec->folder, &out.request.size);
        if (out.fds[0] < 0)
            status = err_sys(err, errno, "cannot hand over the command '%s'", request->argv[0]);
    }
    if (status != 0) {
        wire_drop(&out);
        close_handles(exec);
        return status;
    }
    post(host, out);
    if (request->timeout_ms) {
        uv_update_time(host->loop);
        uv_timer_start(&exec->timer, on_timeout, request->timeout_ms, 0);
    }
    *result = &exec->base;
    return 0;
}

/* --- the runner --- */

static void on_host_closed(uv_handle_t *handle)
{
    struct host *host = handle->data;
    void (*closed)(void *ctx) = host->closed;
    void *ctx = host->closed_ctx;
    close_fd(&host->sock);
    close_fd(&host->null_fd);
    vec_release(&host->queue);
    free(host);
    if (closed)
        closed(ctx);
}

/* The next step of closing: executions, then the warden, then our own handle. */
static void shut(struct host *host)
{
    if (host->execs)
        return;
    if (host->warden)
        shutdown(host->sock, SHUT_WR); /* it ends, and on_warden_gone comes back here */
    else if (!uv_is_closing((uv_handle_t *)&host->poll))
        uv_close((uv_handle_t *)&host->poll, on_host_closed);
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

static const struct runner_ops host_ops = {
    .name = "host",
    .in_tree = true,
    .start = host_start,
    .cancel = host_cancel,
    .close = host_close,
};

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
    host->sock = -1;
    int status = 0;
    host->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (host->null_fd < 0) {
        status = err_sys(err, errno, "opening /dev/null");
    } else if ((host->warden = wire_open(&host->sock)) < 0) {
        status = err_sys(err, errno, "cannot start kiln's helper process");
    } else {
        int uv = uv_poll_init(loop, &host->poll, host->sock);
        host->poll.data = host;
        if (uv != 0)
            status = err_sys(err, -uv, "cannot watch kiln's helper process");
        else
            uv_poll_start(&host->poll, UV_READABLE, on_socket);
    }
    if (status != 0) {
        close_fd(&host->null_fd);
        close_fd(&host->sock); /* the warden ends with it */
        if (host->warden > 0)
            waitpid(host->warden, NULL, 0);
        free(host);
        return status;
    }
    *out = &host->base;
    return 0;
}
