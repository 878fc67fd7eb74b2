/*
 * tree.c - makes files to measure on.
 *
 *     tree DIRECTORY STEPS FOLDERS FILES BYTES
 *
 * DIRECTORY/d00000 ... one directory a step, in it FILES files f0.c ... of BYTES each; with more
 * than one of FOLDERS they lie in that many directories s00 ... of it, FILES in each. Every content
 * is another one. The files are an hour old, as those of a real tree mostly are. What is there
 * already is written anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "tree: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int folder(int in, const char *name)
{
    if (mkdirat(in, name, 0777) < 0 && errno != EEXIST)
        fail(name);
    int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fail(name);
    return fd;
}

/* Numbers that do not compress and are the same every time (xorshift). */
static void fill(uint64_t *words, size_t n, uint64_t *state)
{
    for (size_t i = 0; i < n; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        words[i] = *state;
    }
}

static void file(int in, const char *name, uint64_t bytes, uint64_t number,
                 const struct timespec *times)
{
    uint64_t block[8192];
    uint64_t state = (number + 1) * 0x9e3779b97f4a7c15u;
    int fd = openat(in, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        fail(name);
    while (bytes > 0) {
        size_t n = bytes < sizeof block ? (size_t)bytes : sizeof block;
        fill(block, (n + 7) / 8, &state);
        if (write(fd, block, n) != (ssize_t)n)
            fail(name);
        bytes -= n;
    }
    if (futimens(fd, times) < 0 || close(fd) < 0)
        fail(name);
}

int main(int argc, char **argv)
{
    uint64_t v[4] = {0}, number = 0;
    struct timespec times[2];
    char name[32];

    for (int i = 0; i < 4 && argc == 6; i++)
        v[i] = strtoull(argv[i + 2], NULL, 10);
    uint64_t steps = v[0], folders = v[1], files = v[2], bytes = v[3];
    if (!steps || !folders || !files) {
        fprintf(stderr, "usage: tree DIRECTORY STEPS FOLDERS FILES BYTES\n");
        return 2;
    }
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= 3600;
    times[1] = times[0];
    int root = folder(AT_FDCWD, argv[1]);
    for (uint64_t i = 0; i < steps; i++) {
        snprintf(name, sizeof name, "d%05llu", (unsigned long long)i);
        int step = folder(root, name);
        for (uint64_t j = 0; j < folders; j++) {
            snprintf(name, sizeof name, "s%02llu", (unsigned long long)j);
            int in = folders > 1 ? folder(step, name) : step;
            for (uint64_t k = 0; k < files; k++) {
                snprintf(name, sizeof name, "f%llu.c", (unsigned long long)k);
                file(in, name, bytes, number++, times);
            }
            if (in != step)
                close(in);
        }
        close(step);
    }
    return 0;
}
