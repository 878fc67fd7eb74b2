/*
 * host.c - kiln's side of the host runner: the conversation with the warden (warden.h), opening and
 * closing.
 *
 * kiln has no child but the warden, so nothing here depends on what else the program does with
 * SIGCHLD. That the warden has ended is told by the end of the socket.
 */
#include "runners/host_private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of one stream in one turn of the loop: a flood must not starve the others. */
#define TURN_BYTES    ((size_t)1024 * 1024)
#define TURN_EVENTS   64
#define TURN_MESSAGES 8

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

void host_post(struct host *host, struct wire_message message)
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

static void on_report(struct host *host, const struct warden_report *report)
{
    struct host_exec *exec = find_exec(host, report->id);
    if (report->kind != WARDEN_EXITED)
        wire_answered(&host->wire, report->id);
    if (exec)
        host_exec_report(exec, report);
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
        if (!exec->done)
            host_exec_lost(exec);
    }
    if (host->closing)
        host_shut(host);
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
        struct host_exec *exec = find_exec(host, ready[i].data.u64 / STREAMS_WATCHED);
        int stream = (int)(ready[i].data.u64 % STREAMS_WATCHED);
        if (exec && stream < STREAMS)
            host_exec_pump(exec, stream, TURN_BYTES);
        else if (exec)
            host_exec_pump_terminal(exec, TURN_BYTES);
    }
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
    free(host->piece);
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

void host_shut(struct host *host)
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
        host_exec_kill(exec);
    }
    host_shut(host);
}

static void host_go_on(struct runner *runner)
{
    struct host *host = (struct host *)runner;
    if (!host->wire.warden)
        return;
    host_count(host, true);
    host_post(host, (struct wire_message){.request = {.kind = WARDEN_COUNT}});
}

static bool host_works(const struct runner *runner)
{
    const struct host *host = (const struct host *)runner;
    return host->wire.warden && !host->closing;
}

static const struct runner_ops host_ops = {
    .name = "host",
    .in_tree = true,
    .start = host_exec_start,
    .cancel = host_exec_cancel,
    .withdraw = host_exec_withdraw,
    .input = host_exec_input,
    .resize = host_exec_resize,
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
    host->piece = mem_alloc(SPOOL_PIECE);
    if (host->epoll < 0)
        return err_sys(err, errno, "cannot watch what steps write");
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
