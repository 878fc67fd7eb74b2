#include "tui/guard.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTORE_MAX 256
#define STACK_BYTES (64 * 1024)

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
#define N_FATAL (sizeof fatal_signals / sizeof *fatal_signals)

/* What the pipe to the guardian carries. */
enum { SAY_HELD = 'h', SAY_FREE = 'f', SAY_BYE = 'b' };

struct nets {
    int fd;
    pid_t group;
    struct termios sane, raw;
    char restore[RESTORE_MAX];
    size_t n;
};

struct guard {
    struct nets nets;
    pid_t pid;
    int pipe;
    void *stack;
    struct sigaction before[N_FATAL];
    volatile sig_atomic_t held;
};

/* See guard.h: what the handlers of fatal signals can reach. Null while there is no guard. */
static struct guard *volatile current;

static bool same_modes(const struct termios *a, const struct termios *b)
{
    return a->c_lflag == b->c_lflag && a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag;
}

/* Async-signal-safe. Waits for a terminal that does not read, but not for ever. */
static void put_back(const struct nets *nets, int patience_ms)
{
    const char *bytes = nets->restore;
    size_t n = nets->n;
    while (n > 0) {
        ssize_t written = write(nets->fd, bytes, n);
        if (written > 0) {
            bytes += written;
            n -= (size_t)written;
            continue;
        }
        if (written < 0 && errno == EINTR)
            continue;
        struct pollfd ready = {.fd = nets->fd, .events = POLLOUT};
        if (written == 0 || errno != EAGAIN || poll(&ready, 1, patience_ms) <= 0)
            break;
    }
    struct termios now;
    if (tcgetattr(nets->fd, &now) == 0 && same_modes(&now, &nets->raw))
        tcsetattr(nets->fd, TCSANOW, &nets->sane);
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
    (void)context;
    struct guard *guard = current;
    int saved = errno;
    current = NULL;
    if (guard && guard->held)
        put_back(&guard->nets, 200);
    signal(number, SIG_DFL);
    for (size_t i = 0; guard && i < N_FATAL; i++)
        sigaction(fatal_signals[i], &guard->before[i], NULL);
    errno = saved;
    /* A fault happens again on return, with its own context; one that was sent must be sent again.
     */
    if (info->si_code <= 0)
        raise(number);
}

/* True when nobody else has taken the terminal since: its foreground is kiln's group, the shell's,
 * or gone. */
static bool still_ours(const struct nets *nets)
{
    pid_t foreground = tcgetpgrp(nets->fd);
    if (foreground <= 0 || foreground == nets->group)
        return true;
    if (foreground == getpgid(getsid(0)))
        return true;
    return kill(-foreground, 0) != 0 && errno == ESRCH;
}

/* The whole life of the guardian. Only async-signal-safe calls: the parent may have had threads. */
static _Noreturn void guardian(const struct nets *nets, int from)
{
    static const int ignored[] = {SIGINT,  SIGQUIT, SIGTERM, SIGHUP,  SIGTSTP,
                                  SIGTTOU, SIGTTIN, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < N_FATAL; i++)
        signal(fatal_signals[i], SIG_DFL);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "kiln-guard");
    /* Nothing of kiln's may stay open through this process: locks, pipes, other people's ends. */
    struct nets mine = *nets;
    if (dup2(from, 0) < 0 || dup2(nets->fd, 1) < 0)
        _exit(1);
    close_range(2, ~0U, 0);
    mine.fd = 1;
    bool held = false;
    for (;;) {
        char said;
        ssize_t n = read(0, &said, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (said == SAY_BYE)
            _exit(0);
        held = said == SAY_HELD;
    }
    if (held && still_ours(&mine))
        put_back(&mine, 5000);
    _exit(0);
}

static int start_guardian(struct guard *guard, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_sys(err, errno, "starting the terminal's guardian: pipe");
    /* A signal between fork and the child's own settings must not run the parent's handlers there.
     */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t pid = fork();
    int errnum = errno;
    if (pid == 0) {
        struct nets nets = guard->nets;
        int from = ends[0];
        for (int number = 1; number < NSIG; number++)
            signal(number, SIG_DFL);
        sigset_t none;
        sigemptyset(&none);
        /* dup2 below would run over ends that are 0 or 1. */
        if (from < 3)
            from = fcntl(from, F_DUPFD, 3);
        if (nets.fd < 3)
            nets.fd = fcntl(nets.fd, F_DUPFD, 3);
        sigaddset(&none, SIGTTOU);
        sigaddset(&none, SIGTSTP);
        sigaddset(&none, SIGHUP);
        sigaddset(&none, SIGINT);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        guardian(&nets, from);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return err_sys(err, errnum, "starting the terminal's guardian: fork");
    }
    guard->pid = pid;
    guard->pipe = ends[1];
    setpgid(pid, pid); /* both sides do it: whoever comes first */
    return 0;
}

int guard_new(const struct guard_terms *terms, struct guard **out, struct err *err)
{
    struct guard *guard = mem_zalloc(1, sizeof *guard);
    guard->nets.fd = terms->fd;
    guard->nets.group = getpgrp();
    guard->nets.sane = terms->sane;
    guard->nets.raw = terms->raw;
    guard->nets.n = terms->n < RESTORE_MAX ? terms->n : RESTORE_MAX;
    if (guard->nets.n > 0)
        memcpy(guard->nets.restore, terms->restore, guard->nets.n);
    int code = start_guardian(guard, err);
    if (code != 0) {
        free(guard);
        return code;
    }
    /* A stack that overflowed cannot run a handler. */
    stack_t stack = {0};
    if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE)) {
        guard->stack = mem_alloc(STACK_BYTES);
        stack = (stack_t){.ss_sp = guard->stack, .ss_size = STACK_BYTES};
        sigaltstack(&stack, NULL);
    }
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < N_FATAL; i++)
        sigaction(fatal_signals[i], &action, &guard->before[i]);
    current = guard;
    *out = guard;
    return 0;
}

static void say(struct guard *guard, char what)
{
    ssize_t n;
    do
        n = write(guard->pipe, &what, 1);
    while (n < 0 && errno == EINTR);
}

void guard_hold(struct guard *guard, bool held)
{
    /* Each is told early rather than late: putting back twice does no harm, once too few does. */
    if (held)
        guard->held = 1;
    say(guard, held ? SAY_HELD : SAY_FREE);
    if (!held)
        guard->held = 0;
}

pid_t guard_pid(const struct guard *guard)
{
    return guard ? guard->pid : 0;
}

void guard_free(struct guard *guard)
{
    if (!guard)
        return;
    current = NULL;
    for (size_t i = 0; i < N_FATAL; i++)
        sigaction(fatal_signals[i], &guard->before[i], NULL);
    if (guard->stack) {
        stack_t off = {.ss_flags = SS_DISABLE};
        sigaltstack(&off, NULL);
        free(guard->stack);
    }
    say(guard, SAY_BYE);
    close(guard->pipe);
    /* Somebody else may have waited for it already. */
    while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    free(guard);
}
