/*
 * warden.c - the warden's loop: start, watch, and clean up behind what has ended. See warden.h, and
 * kin.h for what belongs to whom.
 *
 * Nothing here allocates, uses stdio or takes a lock: the process was forked from one that may have
 * had threads. Every table is part of one mapping made before the fork, of which only what is used
 * ever becomes real memory.
 */
#include "runners/warden.h"

#include "base/text.h"
#include "runners/kin.h"
#include "runners/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* While something has yet to go away: how long to wait at most before looking again. */
#define RECHECK_MS 20
/* Passes over the children in one turn; a family that forks as fast as it dies must not keep the
 * socket waiting. */
#define MAX_PASSES 64

#define FLOOR_SLACK_KIB 1024

/* A START that waits for its place. */
struct held {
    struct warden_request request;
    int fds[WARDEN_FDS];
};

struct warden {
    struct held held[WARDEN_HELD]; /* in the order they came */
    size_t n_held;
    uint64_t counted;
    char *shared;
    int sock, parent, signals;
    struct warden_report reports[WARDEN_REPORTS]; /* not sent yet */
    size_t n_reports;
    bool restless;      /* settle again without waiting */
    uint64_t floor_kib; /* of memory, as last looked at: what a process has that has used none */
    struct kin kin;
    char stack[LAUNCH_STACK] __attribute__((aligned(64)));
};

struct warden *warden_reserve(void)
{
    void *p = mmap(NULL, sizeof(struct warden), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void warden_unreserve(struct warden *warden)
{
    munmap(warden, sizeof *warden);
}

/* --- ending --- */

static void send_reports(struct warden *w)
{
    /* Blocking: kiln never blocks on us. A failure means that kiln is gone, and poll says that too.
     */
    while (w->n_reports > 0 &&
           send(w->sock, w->reports, w->n_reports * sizeof w->reports[0], MSG_NOSIGNAL) < 0 &&
           errno == EINTR)
        continue;
    w->n_reports = 0;
}

/* Kept until we would wait: what takes the place of something that has ended is started before kiln
 * is woken, and that once for both. */
static void report(struct warden *w, const struct warden_report *message)
{
    if (w->n_reports == WARDEN_REPORTS)
        send_reports(w);
    w->reports[w->n_reports++] = *message;
}

static bool any_ended(const struct warden *w)
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
        report(w, &message);
    }
    while (w->kin.n_jobs > 0 && w->kin.jobs[w->kin.n_jobs - 1].state == JOB_FREE)
        w->kin.n_jobs--;
}

/*
 * Brings everything to where it should be. The order matters: an ended process hands its children
 * over to us before it is seen as ended, so a list of children that is read after the last zombie
 * was seen misses none of them.
 */
static void settle(struct warden *w)
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

/* kiln is gone, or wants no more: nothing below us may stay. */
static void end_all(struct warden *w)
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

/* --- requests --- */

static void close_all(int fds[WARDEN_FDS])
{
    for (int i = 0; i < WARDEN_FDS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static struct survey_file file_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return (struct survey_file){UINT64_MAX, UINT64_MAX};
    return (struct survey_file){st.st_dev, st.st_ino};
}

static void start(struct warden *w, const struct warden_request *request, int fds[WARDEN_FDS])
{
    struct warden_report message = {
        .kind = WARDEN_FAILED, .id = request->id, .stage = WARDEN_STAGE_WARDEN};
    int more = 2;
    struct launch launch = {
        .out = fds[0],
        .err = fds[1],
        .user = -1,
        .in = -1,
        .file = -1,
    };
    if (request->has & WARDEN_HAS_NEST)
        launch.user = fds[more++];
    if (request->has & WARDEN_HAS_INPUT)
        launch.in = fds[more++];
    if (request->has & WARDEN_HAS_FILE)
        launch.file = fds[more++];
    struct job *job = kin_free_job(&w->kin);
    message.time_ns = clock_realtime_ns();
    if (fds[0] < 0 || fds[1] < 0 || (more > 2 && fds[more - 1] < 0)) {
        message.errnum = EMFILE; /* the kernel drops descriptors that there is no room for */
    } else if (!job) {
        message.errnum = EAGAIN;
    } else if (request->size == 0) {
        message.stage = WARDEN_STAGE_EXEC;
        message.errnum = E2BIG;
    } else if (request->at > WARDEN_SHARED || request->size > WARDEN_SHARED - request->at ||
               launch_read(&launch, w->shared + request->at, request->size) != 0) {
        message.errnum = EBADMSG;
    } else {
        message.pid = launch_start(&launch, w->stack);
        message.stage = launch.stage;
        message.errnum = launch.errnum;
        message.at = launch.at;
    }
    if (message.pid > 0) {
        message.kind = WARDEN_STARTED;
        *job = (struct job){
            .state = JOB_RUNNING,
            .id = request->id,
            .pid = message.pid,
            .terminal = launch.in >= 0,
            .streams = {file_of(fds[0]), file_of(fds[1])},
        };
    }
    report(w, &message);
    close_all(fds);
}

/* The place of what has ended is for the next that is held. */
static void start_held(struct warden *w)
{
    while (w->n_held > 0 && w->held[0].request.after <= w->counted) {
        struct held first = w->held[0];
        w->n_held--;
        memmove(&w->held[0], &w->held[1], w->n_held * sizeof w->held[0]);
        start(w, &first.request, first.fds);
    }
}

static void hold(struct warden *w, const struct warden_request *request, int fds[WARDEN_FDS])
{
    if (w->n_held == WARDEN_HELD) { /* kiln does not send so many */
        start(w, request, fds);
        return;
    }
    struct held *held = &w->held[w->n_held++];
    held->request = *request;
    memcpy(held->fds, fds, sizeof held->fds);
    start_held(w);
}

static void withdraw(struct warden *w, uint64_t id)
{
    for (size_t i = 0; i < w->n_held; i++) {
        if (w->held[i].request.id != id)
            continue;
        struct warden_report message = {
            .kind = WARDEN_WITHDRAWN, .id = id, .time_ns = clock_realtime_ns()};
        close_all(w->held[i].fds);
        w->n_held--;
        memmove(&w->held[i], &w->held[i + 1], (w->n_held - i) * sizeof w->held[0]);
        for (; i < w->n_held; i++)
            w->held[i].request.after--;
        report(w, &message);
    }
}

static void end_group(const struct job *job, pid_t group)
{
    kill(-group, SIGTERM);
    if (job->terminal)
        kill(-group, SIGHUP);
    kill(-group, SIGCONT);
}

/* Every group once: also those that have left the session of the main process, or its group. */
static void terminate(struct warden *w, struct job *job)
{
    job->lenient = job->hurried = true;
    kin_attribute(&w->kin); /* before the first signal tears the family apart */
    end_group(job, job->pid);
    for (size_t i = 0; i < w->kin.survey.n; i++) {
        const struct survey_process *process = &w->kin.survey.v[i];
        pid_t group = process->pgid;
        if (process->owner != job->id || group <= 1 || group == job->pid || group == getpgrp())
            continue;
        end_group(job, group);
        for (size_t k = i; k < w->kin.survey.n; k++)
            if (w->kin.survey.v[k].pgid == group)
                w->kin.survey.v[k].owner = 0;
    }
}

/* Handles one message. Returns 1, 0 when there is none, or -1 at the end. */
static int serve(struct warden *w)
{
    struct warden_request request;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(WARDEN_FDS * sizeof(int))];
    } control;
    struct iovec iov = {&request, sizeof request};
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    int fds[WARDEN_FDS] = {-1, -1, -1, -1, -1};
    ssize_t n = recvmsg(w->sock, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n != (ssize_t)sizeof request)
        return -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    if (request.kind == WARDEN_START) {
        if (request.after > w->counted)
            hold(w, &request, fds);
        else
            start(w, &request, fds);
        return 1;
    }
    if (request.kind == WARDEN_COUNT) {
        w->counted++;
        start_held(w);
        return 1;
    }
    withdraw(w, request.id);
    w->restless = true;
    struct job *job = kin_find_job(&w->kin, request.id);
    if (job && request.kind == WARDEN_TERM)
        terminate(w, job);
    if (job && request.kind == WARDEN_KILL) {
        job->lenient = false;
        job->hurried = true;
        kin_attribute(&w->kin); /* what has left the group is known while its parents live */
        kill(-job->pid, SIGKILL);
    }
    return 1;
}

/* --- the process --- */

static void close_range_or_each(unsigned from, unsigned to)
{
    if (from > to || syscall(SYS_close_range, from, to, 0) == 0)
        return;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 65536)
        limit.rlim_cur = 65536;
    for (unsigned fd = from; fd <= to && fd < limit.rlim_cur; fd++)
        close((int)fd);
}

static void set_up_files(int sock, int parent)
{
    int low = sock < parent ? sock : parent, high = sock < parent ? parent : sock;
    if (low < 0)
        low = high;
    close_range_or_each(0, (unsigned)low - 1);
    close_range_or_each((unsigned)low + 1, (unsigned)high - 1);
    close_range_or_each((unsigned)high + 1, ~0U);
    /* The steps' standard input, and no descriptor of ours is ever 0, 1 or 2. */
    for (int i = 0; i < 3; i++)
        if (open("/dev/null", O_RDWR) != i)
            _exit(1);
}

/* All that can be are blocked, not ignored: a step begins with their defaults then, and has only
 * the mask to empty. */
static int set_up_signals(void)
{
    struct sigaction action;
    sigset_t all, child;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &action, NULL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

_Noreturn void warden_run(struct warden *w, char *shared, int sock, int parent)
{
    setsid();
    set_up_files(sock, parent);
    prctl(PR_SET_NAME, "kiln-warden");
    w->shared = shared;
    w->sock = sock;
    w->parent = parent;
    w->signals = set_up_signals();
    if (w->signals < 0 || chdir("/") != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 ||
        survey_init(&w->kin.survey) != 0)
        _exit(1);
    for (int served = 1; served >= 0;) {
        struct pollfd fds[] = {
            {.fd = w->signals, .events = POLLIN},
            {.fd = w->sock, .events = POLLIN},
            {.fd = w->parent, .events = POLLIN},
        };
        bool ended = any_ended(w);
        send_reports(w);
        if (poll(fds, 3, w->restless ? 0 : ended ? RECHECK_MS : -1) < 0 && errno != EINTR)
            break;
        /* There is at most one: it stands for all that have ended. */
        struct signalfd_siginfo info;
        if (fds[0].revents)
            (void)!read(w->signals, &info, sizeof info);
        if (ended || w->restless || fds[0].revents)
            settle(w);
        if (fds[2].revents)
            break;
        start_held(w);
        if (fds[1].revents)
            for (int i = 0; i < 16 && (served = serve(w)) == 1; i++)
                continue;
    }
    end_all(w);
    _exit(0);
}
