#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void group_forks(int argc, char **argv)
{
    int most = argc > 0 ? atoi(argv[0]) : 100, n = 0;
    for (; n < most; n++) {
        pid_t pid = fork();
        if (pid < 0)
            break;
        if (pid == 0) {
            setsid();
            for (;;)
                pause();
        }
    }
    printf("processes: %d%s%s\n", n, n < most ? ", then " : "", n < most ? strerror(errno) : "");
    fflush(stdout);
    /* What it could not have, it fails for; what it left goes with it. */
    exit(n < most ? 1 : 0);
}

void group_memory(int argc, char **argv)
{
    size_t mib = argc > 0 ? strtoul(argv[0], NULL, 10) : 100;
    for (size_t i = 0; i < mib; i++) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            printf("memory: %zu MiB, then %s\n", i, strerror(errno));
            exit(1);
        }
        memset(p, 'x', 1 << 20);
    }
    printf("memory: %zu MiB\n", mib);
}

void group_file_size(int argc, char **argv)
{
    static char block[1 << 20];
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    int fd = argc > 0 ? open(argv[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    for (size_t i = 0; fd >= 0 && i < mib; i++) {
        if (write(fd, block, sizeof block) != sizeof block) {
            printf("file: %zu MiB, then %s\n", i, strerror(errno));
            exit(1);
        }
    }
    printf("file: %zu MiB\n", mib);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Away from whoever started it: another session, no parent, no descriptors. */
static bool go_away(void)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    if (fork() != 0)
        return false;
    setsid();
    if (fork() != 0)
        _exit(0);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    return true;
}

static int ready[2];

static void wait_ready(void)
{
    char byte;
    close(ready[1]);
    (void)!read(ready[0], &byte, 1);
}

void group_daemon(int argc, char **argv)
{
    int fd = argc > 0 ? open(argv[0], O_RDWR | O_CREAT | O_TRUNC, 0644) : -1;
    if (fd < 3 || write(fd, "first\n", 6) != 6 || pipe(ready) < 0)
        exit(2);
    if (!go_away()) {
        wait_ready();
        return;
    }
    for (bool told_parent = false;; told_parent = true) {
        (void)!write(fd, "later\n", 6);
        int again = open(argv[0], O_WRONLY | O_APPEND | O_CREAT, 0644);
        (void)!write(again, "again\n", 6);
        close(again);
        if (!told_parent)
            (void)!write(ready[1], "", 1);
        nap();
    }
}

void group_mapping(int argc, char **argv)
{
    int fd = argc > 0 ? open(argv[0], O_RDWR | O_CREAT | O_TRUNC, 0644) : -1;
    if (fd < 3 || ftruncate(fd, 4096) < 0 || pipe(ready) < 0)
        exit(2);
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    page[0] = 'a';
    if (!go_away()) {
        wait_ready();
        return;
    }
    (void)!write(ready[1], "", 1);
    for (unsigned i = 0;; i++)
        page[1 + i % 4000] = (char)('a' + i % 26);
}

/* Each process starts its successor and ends: whoever kills what he sees is late. */
void group_swarm(int argc, char **argv)
{
    int n = argc > 0 ? atoi(argv[0]) : 10;
    for (int i = 0; i < n; i++) {
        if (fork() != 0)
            continue;
        setsid();
        for (;;) {
            pid_t pid = fork();
            if (pid > 0)
                _exit(0);
            if (pid < 0)
                nap();
        }
    }
    printf("swarm: %d\n", n);
    fflush(stdout);
    for (;;)
        pause();
}
