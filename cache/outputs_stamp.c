/*
 * outputs_stamp.c - whether outputs have been touched since: one digest over the stats of all that
 * lies at and below them.
 */
#include "cache/outputs.h"

#include "base/file.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 256 /* outputs deeper than that are not told apart below it */

struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    mode_t mode;
    struct timespec mtime, ctime;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_entry(struct hasher *hasher, int dirfd, const char *name, int depth);

static void add_directory(struct hasher *hasher, int dirfd, const char *name, int depth)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    VEC(char *) names = VEC_INIT;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        hasher_add(hasher, "unreadable", 10);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            vec_push(&names, mem_strdup(entry->d_name));
    }
    if (names.n)
        qsort(names.v, names.n, sizeof *names.v, by_name);
    vec_each (char *, one, &names) {
        add_entry(hasher, fd, *one, depth + 1);
        free(*one);
    }
    vec_release(&names);
    closedir(dir);
}

static void add_entry(struct hasher *hasher, int dirfd, const char *name, int depth)
{
    struct stat st;
    struct stamp stamp;
    memset(&stamp, 0, sizeof stamp); /* padding is hashed too */
    hasher_add(hasher, name, strlen(name) + 1);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        hasher_add(hasher, "absent", 6);
        return;
    }
    stamp.dev = st.st_dev;
    stamp.ino = st.st_ino;
    stamp.size = st.st_size;
    stamp.mode = st.st_mode;
    stamp.mtime = st.st_mtim;
    stamp.ctime = st.st_ctim;
    hasher_add(hasher, &stamp, sizeof stamp);
    if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH)
        add_directory(hasher, dirfd, name, depth);
}

struct digest outputs_stamp(const char *root, const char *const *paths, size_t n)
{
    struct hasher *hasher = hasher_new();
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    hasher_start(hasher);
    for (size_t i = 0; i < n && fd >= 0; i++)
        add_entry(hasher, fd, paths[i], 0);
    struct digest stamp = hasher_end(hasher);
    hasher_free(hasher);
    if (fd >= 0)
        close(fd);
    return stamp;
}
