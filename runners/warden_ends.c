/*
 * What has ended, from the end of its main process to the moment when nothing of it is left. Who
 * belongs to what: kin.h.
 */
#include "runners/warden_private.h"

#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Passes over the children in one turn; a family that forks as fast as it dies must not keep the
 * socket waiting. */
#define MAX_PASSES 64

#define FLOOR_SLACK_KIB 1024

bool warden_any_ended(const struct warden *w)
{
    for (size_t i = 0; i < w->kin.n_jobs; i++)
        if (w->kin.jobs[i].state == JOB_ENDED)
            return true;
    return false;
}

static bool is_zombie(pid_t pid)
{
    siginfo_t info;
    info.si_pid = 0;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static bool reap(pid_t pid, struct rusage *usage)
{
    pid_t got;
    memset(usage, 0, sizeof *usage);
    do
        got = wait4(pid, NULL, WNOHANG, usage);
    while (got < 0 && errno == EINTR);
    return got != 0;
}

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* What a process used, and all whose end it has waited for. */
static void add_usage(struct job *job, const struct rusage *usage)
{
    uint64_t kib = (uint64_t)usage->ru_maxrss;
    job->cpu_us += microseconds(&usage->ru_utime) + microseconds(&usage->ru_stime);
    job->memory_kib = kib > job->memory_kib ? kib : job->memory_kib;
}

/* Memory in bytes. A process begins with the warden's, which is thus the least that is counted; the
 * kernel counts a little roughly. */
static uint64_t memory_used(struct warden *w, uint64_t kib)
{
    struct rusage own;
    if (kib > w->floor_kib && getrusage(RUSAGE_SELF, &own) == 0)
        w->floor_kib = (uint64_t)own.ru_maxrss + FLOOR_SLACK_KIB;
    return kib > w->floor_kib ? kib * 1024 : 0;
}

/* Whose the child is that shall be reaped, if that can be told: NULL when not. */
static struct job *job_of_stray(struct warden *w, pid_t pid)
{
    const struct stray *stray = kin_find_stray(&w->kin, pid);
    struct job *job = stray && stray->owner ? kin_find_job(&w->kin, stray->owner) : NULL;
    if (!job)
        job = kin_job_of_main(&w->kin, getsid(pid));
    return job || w->kin.n_jobs != 1 ? job : &w->kin.jobs[0];
}

/* Main processes that have ended take their group with them. */
static void notice_ended(struct warden *w)
{
    for (size_t i = 0; i < w->kin.n_jobs; i++) {
        struct job *job = &w->kin.jobs[i];
        if (job->state != JOB_RUNNING || !is_zombie(job->pid))
            continue;
        job->state = JOB_ENDED;
        job->ended_ns = clock_realtime_ns();
        if (!job->lenient)
            kill(-job->pid, SIGKILL);
    }
}

static void kill_stray(struct stray *stray)
{
    pid_t group = getpgid(stray->pid);
    if (group > 1 && group != getpgrp())
        kill(-group, SIGKILL);
    stray->immune = kill(stray->pid, SIGKILL) != 0 && errno == EPERM;
    stray->killed = true;
}

/* Reaps what is dead; tells whether there is a child that nobody knows yet. Returns whether it
 * reaped: then there may be new orphans. */
static bool reap_strays(struct warden *w, bool *unknown)
{
    bool reaped = false;
    *unknown = false;
    for (size_t i = 0; i < w->kin.n_children; i++) {
        pid_t pid = w->kin.children[i];
        struct rusage usage;
        if (kin_job_of_main(&w->kin, pid))
            continue;
        struct job *job = job_of_stray(w, pid);
        if (reap(pid, &usage)) {
            if (job)
                add_usage(job, &usage);
            kin_drop_stray(&w->kin, pid);
            reaped = true;
        } else if (!kin_find_stray(&w->kin, pid)) {
            *unknown = true;
        }
    }
    return reaped;
}

static void kill_condemned(struct warden *w)
{
    for (size_t i = 0; i < w->kin.n_strays; i++)
        if (!w->kin.strays[i].killed && kin_condemned(&w->kin, &w->kin.strays[i]))
            kill_stray(&w->kin.strays[i]);
}

static bool is_over(struct warden *w, const struct job *job)
{
    for (size_t i = 0; i < w->kin.n_strays; i++) {
        const struct stray *stray = &w->kin.strays[i];
        if (stray->immune)
            continue;
        if (stray->owner == job->id)
            return false;
        if (!stray->owner && stray->newest >= job->id && kin_condemned(&w->kin, stray))
            return false;
    }
    return true;
}

static void report_over(struct warden *w)
{
    for (size_t i = 0; i < w->kin.n_jobs; i++) {
        struct job *job = &w->kin.jobs[i];
        if (job->state != JOB_ENDED || !is_over(w, job))
            continue;
        int status = 0;
        struct rusage usage = {0};
        while (wait4(job->pid, &status, 0, &usage) < 0 && errno == EINTR)
            continue;
        add_usage(job, &usage);
        struct warden_report message = {
            .kind = WARDEN_EXITED,
            .id = job->id,
            .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
            .time_ns = job->ended_ns,
            .counted = status == 0 && !job->hurried,
            .cpu_us = job->cpu_us,
            .memory = memory_used(w, job->memory_kib),
        };
        w->counted += message.counted != 0;
        job->state = JOB_FREE;
        warden_tell(w, &message);
    }
    while (w->kin.n_jobs > 0 && w->kin.jobs[w->kin.n_jobs - 1].state == JOB_FREE)
        w->kin.n_jobs--;
}

/*
 * Brings everything to where it should be. The order matters: an ended process hands its children
 * over to us before it is seen as ended, so a list of children that is read after the last zombie
 * was seen misses none of them.
 */
void warden_settle(struct warden *w)
{
    for (int pass = 0; pass < MAX_PASSES; pass++) {
        bool unknown;
        notice_ended(w);
        w->kin.n_children = survey_children(&w->kin.survey, w->kin.children, KIN_CHILDREN);
        if (reap_strays(w, &unknown))
            continue;
        if (unknown)
            kin_attribute(&w->kin);
        kin_narrow(&w->kin);
        kill_condemned(w);
        if (w->kin.n_children < KIN_CHILDREN)
            report_over(w);
        w->restless = false;
        return;
    }
    w->restless = true;
}

void warden_end_all(struct warden *w)
{
    for (size_t i = 0; i < w->kin.n_jobs; i++)
        if (w->kin.jobs[i].state != JOB_FREE)
            kill(-w->kin.jobs[i].pid, SIGKILL);
    for (;;) {
        bool reaped = false, waiting = false;
        w->kin.n_children = survey_children(&w->kin.survey, w->kin.children, KIN_CHILDREN);
        for (size_t i = 0; i < w->kin.n_children; i++) {
            struct stray stray = {.pid = w->kin.children[i]};
            struct rusage usage;
            if (reap(stray.pid, &usage)) {
                reaped = true;
                continue;
            }
            kill_stray(&stray);
            waiting = waiting || !stray.immune;
        }
        if (reaped)
            continue;
        if (!waiting)
            return;
        struct signalfd_siginfo info;
        struct pollfd wait = {.fd = w->signals, .events = POLLIN};
        if (poll(&wait, 1, RECHECK_MS) > 0 && read(w->signals, &info, sizeof info) < 0)
            continue;
    }
}
