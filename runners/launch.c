#include "runners/launch.h"

#include "runners/nest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child leaves its stack by exec, without returning: marks that instrumentation put there would
 * never be taken off. */
#define ON_CHILD_STACK __attribute__((no_sanitize("address"), noinline))

/* Returns the string at *at and moves *at behind it; NULL when it does not end before end. */
static char *next_string(char **at, char *end)
{
    char *string = *at;
    char *nul = string < end ? memchr(string, 0, (size_t)(end - string)) : NULL;
    if (!nul)
        return NULL;
    *at = nul + 1;
    return string;
}

int launch_read(struct launch *launch, void *payload, size_t size)
{
    struct warden_payload *head = payload;
    if (size < sizeof *head || head->strings < sizeof *head || head->strings > head->scratch ||
        head->scratch > size || head->argc == 0)
        return -1;
    launch->head = head;
    launch->nest = NULL;
    if (head->nest) {
        if (head->nest < head->scratch || head->nest > size || head->nest % 8 ||
            !nest_check((char *)payload + head->nest, size - head->nest))
            return -1;
        launch->nest = (char *)payload + head->nest;
        size = head->nest;
    }
    size_t words = (size_t)head->argc + head->envc + 3;
    if (words > (head->strings - sizeof *head) / sizeof(char *))
        return -1;
    char *at = (char *)payload + head->strings;
    char *end = (char *)payload + head->scratch;
    launch->argv = (char **)((char *)payload + sizeof *head) + 1;
    launch->envp = launch->argv + head->argc + 1;
    launch->scratch = end;
    launch->path = WARDEN_DEFAULT_PATH;
    launch->cwd = next_string(&at, end);
    if (!launch->cwd)
        return -1;
    for (uint32_t i = 0; i < head->argc; i++) {
        launch->argv[i] = next_string(&at, end);
        if (!launch->argv[i])
            return -1;
    }
    bool found = false;
    for (uint32_t i = 0; i < head->envc; i++) {
        launch->envp[i] = next_string(&at, end);
        if (!launch->envp[i])
            return -1;
        if (!found && strncmp(launch->envp[i], "PATH=", 5) == 0) {
            launch->path = launch->envp[i] + 5;
            found = true;
        }
    }
    size_t room = strlen(launch->path) + strlen(launch->argv[0]) + 2;
    return size - head->scratch < room ? -1 : 0;
}

/* Execs the file; a text without #! goes to the shell, as execvp(3) does. Returns errno. */
ON_CHILD_STACK static int exec_file(struct launch *launch, char *file)
{
    execve(file, launch->argv, launch->envp);
    if (errno != ENOEXEC)
        return errno;
    char *name = launch->argv[0];
    launch->argv[-1] = (char *)"/bin/sh";
    launch->argv[0] = file;
    execve("/bin/sh", launch->argv - 1, launch->envp);
    launch->argv[0] = name;
    return ENOEXEC;
}

/* Looks argv[0] up as execvpe(3) does, but in the step's own PATH. Returns the errno worth telling.
 */
ON_CHILD_STACK static int exec_search(struct launch *launch)
{
    char *name = launch->argv[0];
    if (strchr(name, '/'))
        return exec_file(launch, name);
    size_t name_len = strlen(name);
    if (name_len == 0)
        return ENOENT;
    int result = ENOENT;
    for (const char *dir = launch->path;;) {
        size_t n = strcspn(dir, ":");
        memcpy(launch->scratch, dir, n);
        launch->scratch[n] = '/';
        memcpy(launch->scratch + n + 1, name, name_len + 1);
        /* An empty entry is the current directory. */
        int errnum = exec_file(launch, n ? launch->scratch : name);
        switch (errnum) {
        case EACCES: result = EACCES; break;
        case ENOENT:
        case ENOTDIR:
        case ENODEV:
        case ELOOP:
        case ESTALE:
        case ETIMEDOUT: break;
        default: return errnum;
        }
        if (!dir[n])
            return result;
        dir += n + 1;
    }
}

_Noreturn ON_CHILD_STACK static void give_up(struct launch *launch, int stage, int errnum)
{
    launch->head->stage = stage;
    launch->head->errnum = errnum;
    _exit(127);
}

ON_CHILD_STACK static int child(void *arg)
{
    struct launch *launch = arg;
    sigset_t none;
    size_t at = 0;
    setsid();
    if (dup2(launch->out, 1) < 0 || dup2(launch->err, 2) < 0 ||
        (launch->in >= 0 && dup2(launch->in, 0) < 0))
        give_up(launch, WARDEN_STAGE_WARDEN, errno);
    if (launch->in >= 0) /* a terminal: interrupts and its size are for this session */
        (void)ioctl(0, TIOCSCTTY, 0);
    int errnum = launch->nest ? nest_enter(launch->nest, launch->user, &at) : 0;
    launch->head->at = (uint32_t)at;
    if (errnum)
        give_up(launch, WARDEN_STAGE_NEST, errnum);
    /* Should the warden be killed, the main processes go with it. Not before the nest: who becomes
     * somebody else loses this. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->warden)
        _exit(127);
    if (chdir(launch->cwd) != 0)
        give_up(launch, WARDEN_STAGE_CHDIR, errno);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (launch->file >= 0)
        syscall(SYS_execveat, launch->file, "", launch->argv, launch->envp, AT_EMPTY_PATH);
    give_up(launch, WARDEN_STAGE_EXEC, exec_search(launch));
}

pid_t launch_start(struct launch *launch, char *stack)
{
    launch->head->stage = launch->head->errnum = 0;
    launch->stage = WARDEN_STAGE_WARDEN;
    launch->warden = getpid();
    pid_t pid = clone(child, stack + LAUNCH_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
    launch->errnum = pid < 0 ? errno : launch->head->errnum;
    /* Who becomes somebody else makes the memory, which is ours too, one that nobody may look at:
     * then we could not read our own /proc files. */
    if (launch->nest)
        prctl(PR_SET_DUMPABLE, 1);
    if (pid < 0)
        return -1;
    if (launch->errnum == 0)
        return pid;
    launch->stage = launch->head->stage;
    launch->at = launch->head->at;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return -1;
}
