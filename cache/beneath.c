/*
 * beneath.c - one openat2(2) where the kernel has it; else, and to find out which component is to
 * blame, a walk with O_NOFOLLOW. Both are safe against links that appear meanwhile: every step
 * starts from an open directory.
 */
#include "cache/beneath.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static bool is_name(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int not_normal(const char *path, struct err *err)
{
    return err_set(err, ERR_CONFIG, "\"%s\" is not a path inside the directory", path);
}

static int blame(int dirfd, const char *name, const char *shown, size_t n_shown, int errnum,
                 struct err *err)
{
    struct buf path = BUF_INIT;
    struct stat st;
    int rc;
    buf_add_shown(&path, shown, n_shown);
    bool there = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (errnum == ENOENT)
        rc = err_set(err, ERR_CONFIG, "the directory \"%s\" is not there", buf_str(&path));
    else if (there && S_ISLNK(st.st_mode))
        rc = err_set(err, ERR_CONFIG,
                     "\"%s\" is a symbolic link, and kiln follows none there; make it a directory, "
                     "or name the place it leads to",
                     buf_str(&path));
    else if (there && !S_ISDIR(st.st_mode))
        rc = err_set(err, ERR_CONFIG, "\"%s\" is not a directory; move it out of the way",
                     buf_str(&path));
    else
        rc = err_sys(err, errnum, "cannot open the directory \"%s\"", buf_str(&path));
    buf_release(&path);
    return rc;
}

static int walk(int root_fd, const char *path, bool make, int *fd, struct err *err)
{
    char *parts = mem_strdup(path);
    int rc = 0;
    *fd = openat(root_fd, ".", DIR_FLAGS);
    if (*fd < 0)
        rc = err_sys(err, errno, "cannot open the directory");
    for (char *part = parts; rc == 0 && *part;) {
        size_t n = strcspn(part, "/");
        char *next = part[n] ? part + n + 1 : part + n;
        part[n] = '\0';
        if (!is_name(part)) {
            rc = not_normal(path, err);
            break;
        }
        int sub = openat(*fd, part, DIR_FLAGS);
        if (sub < 0 && errno == ENOENT && make &&
            (mkdirat(*fd, part, 0777) == 0 || errno == EEXIST))
            sub = openat(*fd, part, DIR_FLAGS);
        if (sub < 0)
            rc = blame(*fd, part, path, (size_t)(part - parts) + n, errno, err);
        close(*fd);
        *fd = sub;
        part = next;
    }
    if (rc != 0 && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    free(parts);
    return rc;
}

int beneath_open(int root_fd, const char *path, bool make, int *fd, struct err *err)
{
    struct open_how how = {.flags = DIR_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    *fd = (int)syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));
    return *fd >= 0 ? 0 : walk(root_fd, path, make, fd, err);
}

int beneath_open_parent(int root_fd, const char *path, bool make, int *fd, const char **name,
                        struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup("");
    *name = slash ? slash + 1 : path;
    if (*path == '/' || !is_name(*name)) {
        free(parent);
        return not_normal(path, err);
    }
    int rc = beneath_open(root_fd, parent, make, fd, err);
    free(parent);
    return rc;
}
