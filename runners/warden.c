/* The warden's loop: it starts what kiln asks for, and tells. See warden.h, warden_private.h. */
#include "runners/warden_private.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* --- reports --- */

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

void warden_tell(struct warden *w, const struct warden_report *message)
{
    if (w->n_reports == WARDEN_REPORTS)
        send_reports(w);
    w->reports[w->n_reports++] = *message;
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
    warden_tell(w, &message);
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
        warden_tell(w, &message);
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
        bool ended = warden_any_ended(w);
        send_reports(w);
        if (poll(fds, 3, w->restless ? 0 : ended ? RECHECK_MS : -1) < 0 && errno != EINTR)
            break;
        /* There is at most one: it stands for all that have ended. */
        struct signalfd_siginfo info;
        if (fds[0].revents)
            (void)!read(w->signals, &info, sizeof info);
        if (ended || w->restless || fds[0].revents)
            warden_settle(w);
        if (fds[2].revents)
            break;
        start_held(w);
        if (fds[1].revents)
            for (int i = 0; i < 16 && (served = serve(w)) == 1; i++)
                continue;
    }
    warden_end_all(w);
    _exit(0);
}
