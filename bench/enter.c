/*
 * enter.c - runs a command where a process is: in its user and mount namespace, as the root of
 * that user namespace. For comparing a runtime alone with what kiln runs it in.
 *
 *     enter PID COMMAND [ARGUMENT...]
 */
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int fd = argc > 2 ? (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0) : -1;
    if (fd < 0 || setns(fd, CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        perror("enter");
        return 2;
    }
    (void)!setgroups(0, NULL);
    if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) {
        perror("enter");
        return 2;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
