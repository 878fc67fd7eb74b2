/*
 * outputs_stamp.c - whether outputs have been touched since: one digest over the stats of all that
 * lies at and below them.
 *
 * Where the clock of files moves in ticks, a file that is written twice within one has the same
 * stats both times: the content of files that were as young as that counts too. Newer kernels give
 * a file whose times somebody has looked at another time with its next change, in a few file
 * systems.
 */
#include "cache/outputs.h"

#include "base/file.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/beneath.h"
#include "cache/statcache.h"
#include "cache/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

struct stamping {
    struct hasher *hasher;
    int root_fd;
    bool fine; /* no two changes have the same time, on this device: */
    dev_t dev;
    int64_t as_of_ns; /* what was young then */
    struct buf path;  /* of the directory that is being read */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_fine_clock(int fd, dev_t *dev)
{
    struct utsname system;
    struct statfs fs;
    struct stat st;
    int major, minor;
    if (uname(&system) != 0 || sscanf(system.release, "%d.%d", &major, &minor) != 2 || major < 6 ||
        (major == 6 && minor < 13) || fstatfs(fd, &fs) != 0 || fstat(fd, &st) != 0)
        return false;
    *dev = st.st_dev;
    return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
           fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC;
}

/* What can't be looked at is never what it was. */
static void add_unknown(struct stamping *s)
{
    uint64_t now = clock_monotonic_ns();
    hasher_add(s->hasher, &now, sizeof now);
}

static void add_content(struct stamping *s, int dirfd, const char *name)
{
    struct digest digest;
    struct hasher *hasher = hasher_new();
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && digest_of_fd(hasher, fd, &digest, NULL) == 0)
        hasher_add(s->hasher, digest.hash, sizeof digest.hash);
    else
        add_unknown(s);
    hasher_free(hasher);
    if (fd >= 0)
        close(fd);
}

/* Whether it is a directory, whose entries are still to be added. */
static bool add_entry(struct stamping *s, int dirfd, const char *name)
{
    struct stat st;
    hasher_add(s->hasher, name, strlen(name) + 1);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            hasher_add(s->hasher, "absent", 6);
        else
            add_unknown(s);
        return false;
    }
    struct stamp stamp, seen = stamp_of(&st);
    memset(&stamp, 0, sizeof stamp); /* padding is hashed too */
    stamp.dev = seen.dev;
    stamp.ino = seen.ino;
    stamp.size = seen.size;
    stamp.mtime_ns = seen.mtime_ns;
    stamp.ctime_ns = seen.ctime_ns;
    stamp.mode = seen.mode;
    hasher_add(s->hasher, &stamp, sizeof stamp);
    bool fine = s->fine && st.st_dev == s->dev;
    if (S_ISREG(st.st_mode) && !fine && !stamp_settled(&seen, s->as_of_ns))
        add_content(s, dirfd, name);
    return S_ISDIR(st.st_mode);
}

static void add_directory(struct stamping *s, unsigned depth)
{
    VEC(char *) names = VEC_INIT;
    size_t n_dirs = 0;
    int fd = -1;
    bool open = depth <= TREE_DEPTH_MAX &&
                beneath_open(s->root_fd, buf_str(&s->path), false, &fd, NULL) == 0;
    DIR *dir = open ? fdopendir(fd) : NULL;
    if (!dir) {
        if (open)
            close(fd);
        add_unknown(s);
        return;
    }
    for (struct dirent *entry; (errno = 0, entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            vec_push(&names, mem_strdup(entry->d_name));
    }
    if (errno)
        add_unknown(s);
    if (names.n)
        qsort(names.v, names.n, sizeof *names.v, by_name);
    for (size_t i = 0; i < names.n; i++) {
        char *name = names.v[i];
        if (add_entry(s, fd, name))
            names.v[n_dirs++] = name;
        else
            free(name);
    }
    closedir(dir); /* before those below are opened: there may be as many levels as descriptors */
    for (size_t i = 0; i < n_dirs; i++) {
        size_t cut = s->path.len;
        buf_addf(&s->path, "/%s", names.v[i]);
        add_directory(s, depth + 1);
        buf_truncate(&s->path, cut);
        free(names.v[i]);
    }
    vec_release(&names);
}

struct digest outputs_stamp(const char *root, const char *const *paths, size_t n, int64_t as_of_ns)
{
    struct stamping s = {.hasher = hasher_new(), .as_of_ns = as_of_ns, .path = BUF_INIT};
    s.root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s.fine = s.root_fd >= 0 && has_fine_clock(s.root_fd, &s.dev);
    hasher_start(s.hasher);
    if (s.root_fd < 0)
        add_unknown(&s);
    for (size_t i = 0; i < n && s.root_fd >= 0; i++) {
        if (!add_entry(&s, s.root_fd, paths[i]))
            continue;
        buf_reset(&s.path);
        buf_adds(&s.path, paths[i]);
        add_directory(&s, 0);
    }
    struct digest stamp = hasher_end(s.hasher);
    hasher_free(s.hasher);
    buf_release(&s.path);
    if (s.root_fd >= 0)
        close(s.root_fd);
    return stamp;
}
