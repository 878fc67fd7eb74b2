#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The path again, by other ways. In a box the place is not there, or is the box's own: the driver
 * looks at the real one. So what succeeds here is no harm by itself and not told as such. */
static void try_write(const char *way, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0 && write(fd, "hostile\n", 8) != 8)
        fd = -1;
    printf("tried: %s %s: %s\n", way, path, fd >= 0 ? "written to in here" : strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void make_parents(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(copy, 0755);
        *slash = '/';
    }
}

void group_write(int argc, char **argv)
{
    char path[PATH_MAX], name[64];
    for (int i = 0; i < argc; i++) {
        const char *target = argv[i];
        try_write("by its path", target);
        snprintf(path, sizeof path, "../../../../../../../../..%s", target);
        try_write("by ..", path);
        snprintf(path, sizeof path, "/proc/self/root%s", target);
        try_write("by /proc/self/root", path);
        snprintf(path, sizeof path, "/proc/1/root%s", target);
        try_write("by /proc/1/root", path);
        snprintf(path, sizeof path, "/proc/1/cwd/../../../../../../../..%s", target);
        try_write("by /proc/1/cwd", path);
        snprintf(name, sizeof name, "link-%d", i);
        unlink(name);
        if (symlink(target, name) == 0)
            try_write("by a link", name);
        snprintf(name, sizeof name, "hard-%d", i);
        if (link(target, name) == 0)
            try_write("by a hard link", name);
        make_parents(target);
        try_write("after making the way", target);
        for (int fd = 0; fd < 64; fd++) {
            snprintf(path, sizeof path, "/proc/self/fd/%d/../../../../../../../..%s", fd, target);
            if (access(path, F_OK) == 0)
                try_write("by a descriptor", path);
        }
    }
}

void group_read(int argc, char **argv)
{
    char byte, link[PATH_MAX];
    for (int i = 0; i < argc; i++) {
        struct stat st;
        int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
        /* A directory that is there and empty, a file without a byte: nothing was had. */
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read(fd, &byte, 1) != 1) {
            close(fd);
            errno = ENODATA;
            fd = -1;
        }
        told(fd, "reading %s", argv[i]);
        if (fd >= 0)
            close(fd);
        snprintf(link, sizeof link, "/proc/1/root%s", argv[i]);
        fd = open(link, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read(fd, &byte, 1) != 1) {
            close(fd);
            errno = ENODATA;
            fd = -1;
        }
        told(fd, "reading %s", link);
        if (fd >= 0)
            close(fd);
    }
}

static void look_at_descriptor(const char *pid, int fd)
{
    struct stat st;
    char path[64], where[PATH_MAX] = "";
    snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, fd);
    ssize_t n = readlink(path, where, sizeof where - 1);
    if (n < 0)
        return;
    where[n] = '\0';
    if (stat(path, &st) < 0)
        st.st_mode = 0;
    if (fd > 2)
        tell(true, "descriptor %d of %s was passed: %s", fd, pid, where);
    else
        tell(S_ISSOCK(st.st_mode) || S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) ||
                 S_ISBLK(st.st_mode),
             "descriptor %d of %s is more than a pipe, a terminal or nothing: %s", fd, pid, where);
}

/* Its own, and those of the first process here, whose directory it may look into. */
void group_descriptors(int argc, char **argv)
{
    char path[64];
    (void)argc;
    (void)argv;
    for (int fd = 0; fd < 4096; fd++) {
        look_at_descriptor("self", fd);
        look_at_descriptor("1", fd);
    }
    /* A directory that the first process stands in, or runs from. */
    static const char *const links[] = {"cwd", "root"};
    struct stat here, there;
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/1/%s", links[i]);
        bool same = stat("/", &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev;
        if (i == 1)
            tell(stat(path, &there) == 0 && !same, "another root by %s", path);
    }
    int fd = open("/proc/1/exe", O_WRONLY | O_CLOEXEC);
    told(fd, "writing to the first process' program");
}

/* The way out of a chroot that isn't a mount namespace: keep a directory, chroot below, climb. */
void group_root(int argc, char **argv)
{
    if (argc < 1)
        return;
    mkdir("cage", 0755);
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (before < 0 || chroot("cage") < 0) {
        told(-1, "chroot and out of it");
        return;
    }
    (void)!fchdir(before);
    for (int i = 0; i < 64; i++)
        (void)!chdir("..");
    (void)!chroot(".");
    told(access(argv[0], F_OK), "%s, out of a chroot", argv[0]);
}

void group_readonly(int argc, char **argv)
{
    char path[PATH_MAX];
    for (int i = 0; i < argc; i++) {
        struct stat st;
        if (lstat(argv[i], &st) < 0)
            continue;
        snprintf(path, sizeof path, "%s/hostile", argv[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        told(fd, "making %s", path);
        told(chmod(argv[i], 0777), "chmod of %s", argv[i]);
        told(rename(argv[i], "/src/moved"), "moving %s away", argv[i]);
        if (fd >= 0)
            close(fd);
    }
}
