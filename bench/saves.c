/*
 * saves.c - saves a file again and again while something watches it, and measures how long it is
 * from each save until the process that the watcher starts for it runs.
 *
 *     saves N PAUSE_MS FILE STAMP
 *
 * A save writes the file in place with content that it never had before; its time is taken before
 * the file is opened. The watcher runs `stamp STAMP` (stamp.c). Before each save lies a pause of
 * PAUSE_MS to 1.5 times that, at random, as no person saves in step with a timer; watchers that
 * drop what happens while their command runs need it as well.
 *
 * The first save tells that the watcher is up: it is made again after one, two, four
 * ... seconds until something is started for it, and not counted. Prints the times in ms, one a
 * line.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 60000

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "saves: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void pause_ms(double ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms * 1e6) % 1000000000};
    nanosleep(&t, NULL);
}

static uint64_t save(const char *path, size_t k)
{
    char text[256];
    int n = snprintf(text, sizeof text, "/* save %zu of process %ld at %llu */\n", k,
                     (long)getpid(), (unsigned long long)now());
    uint64_t begun = now();
    int fd = open(path, O_WRONLY | O_TRUNC);

    if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) < 0)
        fail(path);
    return begun;
}

/* The time in the stamp once it is newer than since; 0 if that is not so within the time. */
static uint64_t stamp(int inotify, const char *path, uint64_t since, int within_ms)
{
    uint64_t given_up = now() + (uint64_t)within_ms * 1000000;

    for (;;) {
        unsigned long long at = 0;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%llu", &at) != 1)
                at = 0;
            fclose(file);
        }
        if (at > since)
            return at;
        struct pollfd ready = {inotify, POLLIN, 0};
        char events[4096];
        if (now() > given_up || poll(&ready, 1, within_ms) == 0)
            return 0;
        if (read(inotify, events, sizeof events) < 0 && errno != EINTR)
            fail("inotify");
    }
}

static void give_up(void)
{
    fprintf(stderr, "saves: nothing was started within %d s of a save\n", DEADLINE_MS / 1000);
    exit(1);
}

int main(int argc, char **argv)
{
    size_t n = argc == 5 ? strtoul(argv[1], NULL, 10) : 0;
    double pause = argc == 5 ? strtod(argv[2], NULL) : 0;

    if (!n) {
        fprintf(stderr, "usage: saves N PAUSE_MS FILE STAMP\n");
        return 2;
    }
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", argv[4]);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    int inotify = inotify_init1(IN_CLOEXEC);
    if (inotify < 0 || inotify_add_watch(inotify, slash ? folder : ".", IN_MOVED_TO) < 0)
        fail(folder);
    srand((unsigned)now());

    int patience = 1000;
    while (!stamp(inotify, argv[4], save(argv[3], 0), patience))
        if ((patience *= 2) > DEADLINE_MS)
            give_up();
    /* What the earlier of these saves cause must not be taken for the answer to a later one. */
    while (stamp(inotify, argv[4], now(), patience))
        ;
    for (size_t k = 1; k <= n; k++) {
        pause_ms(pause * (1 + 0.5 * rand() / RAND_MAX));
        uint64_t begun = save(argv[3], k);
        uint64_t started = stamp(inotify, argv[4], begun, DEADLINE_MS);
        if (!started)
            give_up();
        printf("%.3f\n", (double)(started - begun) / 1e6);
    }
    return 0;
}
