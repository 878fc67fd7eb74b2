/*
 * runs.c - times whole processes, several commands in turn (A B C A B C ...), so that whatever else
 * the machine does meets each of them alike.
 *
 *     runs N SPEC [-- SPEC]...      SPEC: NAME [-n N] [-d DIRECTORY] [-p SHELL] COMMAND
 * [ARGUMENT...]
 *
 * Runs each command N times, or only the first -n of these rounds, in DIRECTORY, its standard
 * output thrown away, each time after what -p gives to /bin/sh, which is not timed. Prints a line
 * for each:
 *
 *     NAME n median min max cpu rss     wall times and the median of user + system time in ms, the
 *                                       largest resident set in KiB; separated by tabs
 *     NAME failed WHY                   it did not exit with 0; it is left out of the later rounds
 *
 * CPU time and memory are those of the command and of what it waited for: a daemon's are not seen.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_COMMANDS 16

struct command {
    const char *name, *directory;
    char *before, **argv;
    size_t n, done;
    double *wall, *cpu; /* ms */
    long rss;           /* KiB */
    int status;         /* of the last run */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static int run(char **argv, const char *directory, struct rusage *usage)
{
    int status;
    pid_t pid = fork();

    if (pid < 0) {
        perror("runs: fork");
        exit(1);
    }
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        if (directory && chdir(directory) < 0) {
            perror(directory);
            _exit(127);
        }
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    if (wait4(pid, &status, 0, usage) < 0) {
        perror("runs: wait4");
        exit(1);
    }
    return status;
}

static void once(struct command *c)
{
    struct rusage usage;

    if (c->before) {
        char path[] = "/bin/sh", option[] = "-ec";
        char *shell[] = {path, option, c->before, NULL};
        c->status = run(shell, c->directory, &usage);
        if (c->status)
            return;
    }
    double begun = now();
    c->status = run(c->argv, c->directory, &usage);
    c->wall[c->done] = now() - begun;
    c->cpu[c->done] = ms(usage.ru_utime) + ms(usage.ru_stime);
    if (usage.ru_maxrss > c->rss)
        c->rss = usage.ru_maxrss;
    c->done++;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Sorts them. */
static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static void usage(void)
{
    fprintf(stderr, "usage: runs N NAME [-n N] [-d DIRECTORY] [-p SHELL] COMMAND [ARGUMENT...] "
                    "[-- NAME ...]...\n");
    exit(2);
}

static struct command parse(char **argv, size_t n)
{
    struct command c = {.name = *argv++, .n = n};

    for (; argv[0] && argv[0][0] == '-' && argv[1]; argv += 2) {
        if (!strcmp(argv[0], "-n")) {
            size_t own = strtoul(argv[1], NULL, 10);
            c.n = own < n ? own : n;
        } else if (!strcmp(argv[0], "-d")) {
            c.directory = argv[1];
        } else if (!strcmp(argv[0], "-p")) {
            c.before = argv[1];
        } else {
            usage();
        }
    }
    c.argv = argv;
    c.wall = calloc(c.n, sizeof *c.wall);
    c.cpu = calloc(c.n, sizeof *c.cpu);
    if (!argv[0] || !c.n || !c.wall || !c.cpu)
        usage();
    return c;
}

int main(int argc, char **argv)
{
    struct command commands[MAX_COMMANDS];
    size_t count = 0;
    size_t n = argc > 3 ? strtoul(argv[1], NULL, 10) : 0;

    if (!n)
        usage();
    for (int i = 2; i < argc; i++) {
        char **spec = argv + i;
        while (i < argc && strcmp(argv[i], "--") != 0)
            i++;
        argv[i] = NULL; /* argv[argc] is that already */
        if (count == MAX_COMMANDS || !spec[0])
            usage();
        commands[count++] = parse(spec, n);
    }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < count; i++)
            if (k < commands[i].n && !commands[i].status)
                once(&commands[i]);
    for (size_t i = 0; i < count; i++) {
        struct command *c = &commands[i];
        if (c->status) {
            if (WIFSIGNALED(c->status))
                printf("%s\tfailed\tended by signal %d\n", c->name, WTERMSIG(c->status));
            else
                printf("%s\tfailed\texit code %d\n", c->name, WEXITSTATUS(c->status));
            continue;
        }
        double middle = median(c->wall, c->n);
        printf("%s\t%zu\t%.3f\t%.3f\t%.3f\t%.3f\t%ld\n", c->name, c->n, middle, c->wall[0],
               c->wall[c->n - 1], median(c->cpu, c->n), c->rss);
    }
    return 0;
}
