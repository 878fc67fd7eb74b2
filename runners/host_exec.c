/*
 * host_exec.c - an execution on the host: its pipes, its timers, and what the warden says of it.
 */
#include "runners/host_private.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "runners/nest.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct host *host_of(const struct host_exec *exec)
{
    return (struct host *)exec->base.runner;
}

static void post_kind(struct host_exec *exec, enum warden_request_kind kind)
{
    if (host_of(exec)->wire.warden)
        host_post(host_of(exec), (struct wire_message){.request = {.kind = kind, .id = exec->id}});
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

void host_exec_kill(struct host_exec *exec)
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
        host_exec_kill(exec);
        return;
    }
    exec->force = FORCE_TERM;
    exec->withdrawing = true;
    post_kind(exec, WARDEN_TERM);
    start_timer(exec, on_grace_over, exec->grace_ms);
}

static void on_grace_over(uv_timer_t *timer)
{
    host_exec_kill(timer->data);
}

static void on_timeout(uv_timer_t *timer)
{
    struct host_exec *exec = timer->data;
    exec->exit.timed_out = true;
    force_more(exec);
}

void host_exec_cancel(struct runner_exec *base)
{
    struct host_exec *exec = (struct host_exec *)base;
    if (exec->done)
        return;
    if (!exec->exit.timed_out)
        exec->exit.cancelled = true;
    force_more(exec);
}

void host_exec_withdraw(struct runner_exec *base)
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
    free(exec->pty);
    buf_release(&exec->nest);
    free(exec);
    if (host->closing)
        host_shut(host);
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

void host_exec_tell(struct host_exec *exec, int stream, uint64_t kept)
{
    if (exec->streams.spool.errnum)
        host_exec_kill(exec);
    if (kept)
        exec->callbacks.output(exec->ctx, stream, exec->streams.spool.offset - kept, kept);
}

void host_exec_pump(struct host_exec *exec, int stream, size_t max)
{
    host_exec_tell(exec, stream + 1, streams_take(&exec->streams, stream, max));
}

static void no_longer_ahead(struct host_exec *exec)
{
    host_of(exec)->n_ahead -= exec->ahead;
    exec->ahead = false;
}

void host_count(struct host *host, bool ours)
{
    struct host_exec *first = NULL;
    for (struct host_exec *exec = host->execs; exec; exec = exec->next)
        if (exec->ahead && !(ours && exec->withdrawing)) /* the oldest is the last */
            first = exec;
    host->counted++;
    if (first)
        no_longer_ahead(first);
}

/* A line of kiln's own behind what the command wrote. */
static void add_line(struct host_exec *exec, const struct buf *line)
{
    struct spool *spool = &exec->streams.spool;
    uint64_t offset = spool->offset;
    size_t n = line->len ? spool_add(spool, line->data, line->len) : 0;
    if (n)
        exec->callbacks.output(exec->ctx, 2, offset, n);
}

/* No writer is left but what nobody could kill, so what the pipes hold now is all there is. */
static void finish(struct host_exec *exec)
{
    const struct spool *spool = &exec->streams.spool;
    for (int i = 0; i < STREAMS; i++) {
        host_exec_pump(exec, i, 2 * STREAM_HOLDS);
        if (exec->pty && i == 0)
            host_exec_pump_terminal(exec, SIZE_MAX);
        host_exec_tell(exec, i + 1, streams_end(&exec->streams, i));
    }
    if (exec->ending) {
        struct buf line = BUF_INIT;
        exec->exit.lost = exec->lost;
        exec->ending(exec->ctx, &exec->exit, &line);
        if (exec->exit.lost != exec->lost)
            exec->lost = exec->exit.lost ? mem_strdup(exec->exit.lost) : NULL;
        add_line(exec, &line);
        buf_release(&line);
    }
    exec->exit.truncated = spool->truncated;
    exec->exit.spool_errno = spool->errnum;
    exec->exit.lost = exec->lost;
    exec->done = true;
    no_longer_ahead(exec);
    streams_close(&exec->streams);
    if (exec->pty)
        pty_close(exec->pty);
    exec->callbacks.exited(exec->ctx, &exec->exit);
    let_go(exec);
}

/* --- what the warden says --- */

static void on_started(struct host_exec *exec, const struct warden_report *report)
{
    buf_release(&exec->nest);
    exec->pid = report->pid;
    exec->exit.start_ns = report->time_ns;
    /* Not before: started comes first. What cannot be watched is taken at the end. */
    (void)streams_watch(&exec->streams, host_of(exec)->epoll, exec->id);
    if (exec->pty)
        host_pty_watch(exec);
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
    if (report->stage == WARDEN_STAGE_NEST) {
        struct buf what = BUF_INIT;
        nest_describe(exec->nest.data, exec->nest.len, report->at, &what);
        exec->exit.exit_code = -1;
        exec->lost = mem_printf("cannot set up its box: %s: %s", buf_str(&what), reason);
        buf_release(&what);
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
    add_line(exec, &line);
    buf_release(&line);
    exec->exit.exit_code = report->errnum == ENOENT ? 127 : 126;
    finish(exec);
}

static void on_exited(struct host_exec *exec, const struct warden_report *report)
{
    exec->exit.exit_code = report->exit_code;
    exec->exit.signal = report->signal;
    exec->exit.end_ns = report->time_ns;
    exec->exit.counted = report->counted != 0;
    exec->exit.cpu_us = report->cpu_us;
    exec->exit.memory = report->memory;
    if (report->counted)
        host_count(host_of(exec), false);
    finish(exec);
}

static void on_withdrawn(struct host_exec *exec, const struct warden_report *report)
{
    exec->exit.exit_code = -1;
    exec->exit.withdrawn = true;
    exec->exit.start_ns = exec->exit.end_ns = report->time_ns;
    finish(exec);
}

void host_exec_report(struct host_exec *exec, const struct warden_report *report)
{
    if (report->kind == WARDEN_STARTED)
        on_started(exec, report);
    else if (report->kind == WARDEN_FAILED)
        on_failed(exec, report);
    else if (report->kind == WARDEN_WITHDRAWN)
        on_withdrawn(exec, report);
    else
        on_exited(exec, report);
}

void host_exec_lost(struct host_exec *exec)
{
    /* Main processes die with the warden; this is for what is in their groups. */
    if (exec->pid)
        kill(-exec->pid, SIGKILL);
    exec->exit.exit_code = -1;
    exec->exit.end_ns = clock_realtime_ns();
    exec->lost = mem_strdup("kiln's helper process (kiln-warden) ended while this ran; "
                            "what it had started may still be running");
    finish(exec);
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
        .filter = callbacks->filter,
        .ctx = ctx,
        .piece = host->piece,
        .fd = -1,
        .offset = request->spool_offset,
        .left = request->spool_limit ? request->spool_limit : UINT64_MAX,
    };
    exec->next = host->execs;
    if (exec->next)
        exec->next->prev = exec;
    host->execs = exec;
    return exec;
}

/* The command's standard streams: the pipes, or a terminal for all of them. */
static void set_streams(struct host_exec *exec, const struct runner_request *request,
                        const struct host_extra *extra, struct wire_message *message)
{
    int n = 0, terminal = request->terminal ? request->terminal->fd
                          : exec->pty       ? exec->pty->terminal
                                            : -1;
    for (int i = 0; i < STREAMS; i++)
        message->fds[n++] = terminal >= 0 ? terminal : exec->streams.write[i];
    if (extra) {
        message->request.has |= WARDEN_HAS_NEST;
        message->fds[n++] = extra->user;
    }
    if (terminal >= 0) {
        message->request.has |= WARDEN_HAS_INPUT;
        message->fds[n++] = terminal;
    }
    if (extra && extra->file >= 0) {
        message->request.has |= WARDEN_HAS_FILE;
        message->fds[n++] = extra->file;
    }
}

int host_exec_start_extra(struct runner *runner, const struct runner_request *request,
                          const struct host_extra *extra, const struct runner_callbacks *callbacks,
                          void *ctx, struct runner_exec **result, struct err *err)
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
    if (request->pty) {
        exec->pty = mem_alloc(sizeof *exec->pty);
        *exec->pty = (struct pty)PTY_INIT;
        exec->pty->size = *request->pty;
        errnum = extra && extra->pty_later ? 0 : pty_open(exec->pty);
    }
    if (errnum) {
        streams_close(&exec->streams);
        free_exec(exec);
        return err_sys(err, errnum, "cannot make a terminal for a step");
    }
    struct wire_message message =
        wire_start(request, exec->folder, extra ? extra->nest : NULL, exec->id);
    set_streams(exec, request, extra, &message);
    if (extra) {
        exec->ending = extra->ending;
        buf_add(&exec->nest, extra->nest->data, extra->nest->len);
        nest_blank(exec->nest.data, exec->nest.len);
    }
    if (request->ahead) {
        message.request.after = host->counted + ++host->n_ahead;
        exec->ahead = true;
        exec->late_timeout_ms = request->timeout_ms;
    }
    host_post(host, message);
    if (request->timeout_ms && !request->ahead)
        start_timer(exec, on_timeout, request->timeout_ms);
    *result = &exec->base;
    return 0;
}

int host_exec_start(struct runner *runner, const struct runner_request *request,
                    const struct runner_callbacks *callbacks, void *ctx,
                    struct runner_exec **result, struct err *err)
{
    return host_exec_start_extra(runner, request, NULL, callbacks, ctx, result, err);
}
