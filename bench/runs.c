/*
 * runs.c - times whole processes, two or more commands in turn, so that what the machine does
 * beside it meets each of them alike.
 *
 *     runs N DIRECTORY NAME COMMAND [ARGUMENT...] [-- NAME COMMAND [ARGUMENT...]]...
 *
 * Runs each command N times in DIRECTORY with its output thrown away, and prints for each the
 * shortest, the median and the longest time, and the ratio of its median to the first one's. Fails
 * when a command does.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_COMMANDS 8

struct command {
    const char *name;
    char **argv;
    uint64_t *ns;
};

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t run(const struct command *command)
{
    int status;
    uint64_t begun = now();
    pid_t pid = fork();

    if (pid < 0) {
        perror("runs: fork");
        exit(1);
    }
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        execvp(command->argv[0], command->argv);
        perror(command->argv[0]);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) < 0 || status) {
        fprintf(stderr, "runs: %s failed\n", command->name);
        exit(1);
    }
    return now() - begun;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(const uint64_t *sorted, size_t n)
{
    return (double)(sorted[(n - 1) / 2] + sorted[n / 2]) / 2e6;
}

int main(int argc, char **argv)
{
    struct command commands[MAX_COMMANDS];
    size_t n_commands = 0;
    size_t n = argc > 4 ? strtoul(argv[1], NULL, 10) : 0;

    if (!n) {
        fprintf(stderr, "usage: runs N DIRECTORY NAME COMMAND [ARGUMENT...] [-- NAME ...]\n");
        return 2;
    }
    for (int i = 3; i < argc && n_commands < MAX_COMMANDS; i++) {
        struct command *command = &commands[n_commands++];
        *command = (struct command){argv[i], argv + i + 1, calloc(n, sizeof(uint64_t))};
        while (i < argc && strcmp(argv[i], "--") != 0)
            i++;
        argv[i] = NULL; /* argv[argc] is that already */
        if (!command->argv[0] || !command->ns)
            return 2;
    }
    if (chdir(argv[2]) < 0) {
        perror(argv[2]);
        return 1;
    }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n_commands; i++)
            commands[i].ns[k] = run(&commands[i]);
    for (size_t i = 0; i < n_commands; i++) {
        qsort(commands[i].ns, n, sizeof(uint64_t), compare);
        printf("  %-12s min %8.2f   median %8.2f   max %8.2f ms", commands[i].name,
               (double)commands[i].ns[0] / 1e6, median(commands[i].ns, n),
               (double)commands[i].ns[n - 1] / 1e6);
        if (i > 0)
            printf("   %s takes %.2f times that", commands[0].name,
                   median(commands[0].ns, n) / median(commands[i].ns, n));
        printf("\n");
    }
    return 0;
}
