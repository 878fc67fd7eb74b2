/*
 * host_pty.c - the terminal of an execution: watched beside its pipes, and told of by the same
 * callbacks.
 */
#include "runners/host_private.h"

#include <sys/epoll.h>

static void watch(struct host_exec *exec, int how)
{
    struct host *host = (struct host *)exec->base.runner;
    struct epoll_event event = {.events = EPOLLIN | (exec->pty_full ? EPOLLOUT : 0U),
                                .data.u64 = exec->id * STREAMS_WATCHED + STREAMS};
    /* What cannot be watched is taken at the end. */
    if (exec->pty->leader >= 0)
        (void)epoll_ctl(host->epoll, how, exec->pty->leader, &event);
}

/* Begins or ends to wait for room. */
static void look_for_room(struct host_exec *exec)
{
    bool full = exec->pty->waiting.len > 0;
    if (full == exec->pty_full)
        return;
    exec->pty_full = full;
    if (exec->pid)
        watch(exec, EPOLL_CTL_MOD);
}

void host_pty_watch(struct host_exec *exec)
{
    exec->pty_full = exec->pty->waiting.len > 0;
    watch(exec, EPOLL_CTL_ADD);
}

void host_exec_pump_terminal(struct host_exec *exec, size_t max)
{
    struct pty *pty = exec->pty;
    struct spool *spool = &exec->streams.spool;
    char mark[RUNNER_SIZE_MARK];
    pty_flush(pty);
    look_for_room(exec);
    if (!pty_holds(pty))
        return;
    size_t n = pty_mark(pty, mark);
    host_exec_tell(exec, 1, n ? spool_add(spool, mark, n) : 0);
    host_exec_tell(exec, 1, spool_take(spool, 1, pty->leader, max));
}

bool host_exec_input(struct runner_exec *base, const char *bytes, size_t n)
{
    struct host_exec *exec = (struct host_exec *)base;
    if (exec->done || !exec->pty || !pty_type(exec->pty, bytes, n))
        return false;
    look_for_room(exec);
    return true;
}

void host_exec_resize(struct runner_exec *base, const struct winsize *size)
{
    struct host_exec *exec = (struct host_exec *)base;
    if (!exec->done && exec->pty)
        pty_resize(exec->pty, *size);
}

void host_exec_adopt(struct runner_exec *base, int leader)
{
    struct host_exec *exec = (struct host_exec *)base;
    if (pty_adopt(exec->pty, leader) == 0 && exec->pid)
        host_pty_watch(exec);
}
