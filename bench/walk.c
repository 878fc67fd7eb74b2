/*
 * walk.c - the floor under looking at a tree: reads the directories d* of the current one and stats
 * all in them, with two threads; nothing is compared, sorted or remembered.
 *
 *     walk
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
    atomic_uint next_step;
    atomic_ulong seen;
};

static void walk(struct tree *tree, int in, const char *name)
{
    int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct statx st;

    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type == DT_DIR)
            walk(tree, fd, entry->d_name);
        else if (statx(fd, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) == 0)
            tree->seen++;
    }
    if (dir)
        closedir(dir);
}

static void *steps(void *argument)
{
    struct tree *tree = argument;
    char name[16];

    for (;;) {
        snprintf(name, sizeof name, "d%05u", tree->next_step++);
        if (access(name, F_OK) < 0)
            return NULL;
        walk(tree, AT_FDCWD, name);
    }
}

int main(void)
{
    struct tree tree = {0};
    pthread_t other;

    if (pthread_create(&other, NULL, steps, &tree))
        return 1;
    steps(&tree);
    pthread_join(other, NULL);
    printf("%lu files\n", tree.seen);
    return tree.seen == 0;
}
