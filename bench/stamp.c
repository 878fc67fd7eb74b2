/*
 * stamp.c - what a step runs to tell when it was started: writes CLOCK_MONOTONIC in nanoseconds,
 * taken as its first act, to the file named, by renaming, so that a reader never sees half of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    struct timespec t;
    char path[4096];

    clock_gettime(CLOCK_MONOTONIC, &t);
    if (argc != 2 || snprintf(path, sizeof path, "%s.new", argv[1]) >= (int)sizeof path)
        return 2;
    FILE *file = fopen(path, "w");
    if (!file || fprintf(file, "%lld%09ld\n", (long long)t.tv_sec, t.tv_nsec) < 0 ||
        fclose(file) != 0 || rename(path, argv[1]) < 0) {
        perror(path);
        return 1;
    }
    return 0;
}
