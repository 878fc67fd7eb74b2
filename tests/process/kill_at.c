/*
 * kill_at.c - runs a command and kills it instead of its n-th system call, as strace's injection
 * does, but counted over all threads and processes of it up to where a process executes something
 * else: so every call has its number, whoever makes it.
 *
 *     kill_at N COUNT COMMAND…
 *
 * N: which one, from 1 on; 0 only counts. COUNT: a file that gets the number of calls. The process
 * that makes the call is killed, with all of its threads; the others go on. Exits as the command
 * does, with 137 when that was killed, with 125 when it can't be traced.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#define OPTIONS                                                                               \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
     PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

static long tell(enum __ptrace_request request, pid_t pid, void *addr, long data)
{
    return ptrace(request, pid, addr, (void *)data);
}

static int begin(char **command)
{
    int go[2];
    char byte;
    if (pipe(go) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        if (read(go[0], &byte, 1) != 1)
            _exit(125);
        close(go[0]);
        execvp(*command, command);
        _exit(127);
    }
    close(go[0]);
    if (pid < 0 || tell(PTRACE_SEIZE, pid, NULL, OPTIONS) != 0 ||
        tell(PTRACE_INTERRUPT, pid, NULL, 0) != 0) {
        perror("kill_at");
        return -1;
    }
    if (write(go[1], "", 1) != 1)
        return -1;
    close(go[1]);
    return pid;
}

static int process_of(pid_t tid)
{
    char path[64], line[256];
    int pid = tid;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", tid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file) && sscanf(line, "Tgid: %d", &pid) != 1)
        ;
    if (file)
        fclose(file);
    return pid;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 125;
    unsigned long kill_at = strtoul(argv[1], NULL, 10), n = 0;
    bool executed = false;
    int first = begin(argv + 3), code = 125, status;
    if (first < 0)
        return 125;
    for (pid_t tid; (tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (tid < 0)
            continue;
        if (!WIFSTOPPED(status)) {
            if (tid == first)
                code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int sig = WSTOPSIG(status), event = status >> 16;
        long pass = 0;
        if (event == PTRACE_EVENT_EXEC && executed) {
            (void)tell(PTRACE_DETACH, tid, NULL, 0);
            continue;
        }
        if (event == PTRACE_EVENT_EXEC)
            executed = true;
        if (sig == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            if (executed &&
                tell(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), (long)&info) > 0 &&
                info.op == PTRACE_SYSCALL_INFO_ENTRY && ++n == kill_at)
                (void)kill(process_of(tid), SIGKILL);
        } else if (event == 0) {
            pass = sig;
        }
        (void)tell(PTRACE_SYSCALL, tid, NULL, pass);
    }
    FILE *count = fopen(argv[2], "we");
    if (!count || fprintf(count, "%lu\n", n) < 0 || fclose(count) != 0)
        return 125;
    return code;
}
