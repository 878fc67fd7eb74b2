/*
 * spawn.c - the floor under running many processes: starts a program N times by posix_spawn, so
 * many at a time, and waits for them; nothing else.
 *
 *     spawn N AT-A-TIME PROGRAM [ARGUMENT...]
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
    long n = argc >= 4 ? atol(argv[1]) : 0, at_once = argc >= 4 ? atol(argv[2]) : 0, running = 0;

    if (n < 1 || at_once < 1) {
        fprintf(stderr, "usage: spawn N AT-A-TIME PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    while (n > 0 || running > 0) {
        if (n > 0 && running < at_once) {
            int error = posix_spawnp(&(pid_t){0}, argv[3], NULL, NULL, argv + 3, environ);
            if (error) {
                fprintf(stderr, "spawn: %s: %s\n", argv[3], strerror(error));
                return 1;
            }
            n--;
            running++;
        } else if (wait(NULL) > 0) {
            running--;
        } else {
            perror("spawn: wait");
            return 1;
        }
    }
    return 0;
}
