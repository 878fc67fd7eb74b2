/*
 * nest_enter.c - carrying out a nest's operations, in the warden's child: nothing here allocates or
 * takes a lock, and ids are changed by the bare system calls, because libc's would have all
 * "threads" of the memory follow, which is the warden's.
 */
#include "runners/nest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written == 0 ? EIO : errno;
        bytes += written;
        n -= (size_t)written;
    }
    return 0;
}

static int write_file(const char *path, const char *bytes, size_t n, int flags, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, mode);
    if (fd < 0)
        return errno;
    int errnum = write_all(fd, bytes, n);
    if (close(fd) != 0 && !errnum)
        errnum = errno;
    return errnum;
}

/* In place of veil, an empty directory in which nothing but the way to anchor is. */
static int lift(int tree, const char *anchor, const char *veil)
{
    char path[PATH_MAX];
    size_t n = strlen(anchor);
    if (n >= sizeof path)
        return ENAMETOOLONG;
    if (mount("tmpfs", veil, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64k") != 0)
        return errno;
    memcpy(path, anchor, n + 1);
    for (size_t at = strlen(veil) + 1; at <= n; at++) {
        if (at < n && path[at] != '/')
            continue;
        path[at] = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return errno;
        if (at < n)
            path[at] = '/';
    }
    return move_mount(tree, "", AT_FDCWD, anchor, MOVE_MOUNT_F_EMPTY_PATH) == 0 ? 0 : errno;
}

int nest_enter_user(int user, gid_t group, const char *anchor, const char *veil)
{
    int tree = -1;
    if (setns(user, CLONE_NEWUSER) != 0)
        return errno;
    /* What the caller is in besides is not for a step, as far as that can be laid down: with the
     * single mapping it cannot (EPERM), and says so in docs/isolation.md. */
    if (syscall(SYS_setgroups, (size_t)1, &group) != 0 && errno != EPERM)
        return errno;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return errno;
    /* While this is who the caller was, whom veil lets through. */
    if (veil)
        tree = open_tree(AT_FDCWD, anchor, OPEN_TREE_CLONE | AT_RECURSIVE | OPEN_TREE_CLOEXEC);
    if ((veil && tree < 0) || syscall(SYS_setresgid, 0, 0, 0) != 0 ||
        syscall(SYS_setresuid, 0, 0, 0) != 0)
        return errno;
    umask(022);
    return veil ? lift(tree, anchor, veil) : 0;
}

/* mount_setattr(2) reaches all that is mounted below, and takes nothing away. */
static int bind(const struct nest_op *op, const char *source, const char *path)
{
    struct mount_attr attr = {.attr_set =
                                  op->flags | (op->read_only ? (uint64_t)MOUNT_ATTR_RDONLY : 0)};
    if (mount(source, path, NULL, MS_BIND | MS_REC, NULL) != 0)
        return errno;
    if (attr.attr_set && mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &attr, sizeof attr) != 0)
        return errno;
    return 0;
}

static int carry_out(const struct nest_op *op, const char *strings, int user)
{
    const char *path = strings + op->path, *source = strings + op->source;
    const char *content = strings + op->content;
    switch ((enum nest_kind)op->kind) {
    case NEST_WRITE: return write_file(path, content, op->n, 0, 0);
    case NEST_ENTER:
        return nest_enter_user(user, op->mode, op->path ? path : NULL, op->source ? source : NULL);
    case NEST_CHDIR: return chdir(path) == 0 ? 0 : errno;
    case NEST_MKDIR:
        if (mkdir(path, op->mode) != 0)
            return errno == EEXIST ? 0 : errno;
        /* What mkdir(2) leaves away, with this umask. */
        return !(op->mode & ~0755U) || chmod(path, op->mode) == 0 ? 0 : errno;
    case NEST_FILE: return write_file(path, content, op->n, O_CREAT | O_EXCL, op->mode);
    case NEST_SYMLINK: return symlink(source, path) == 0 ? 0 : errno;
    case NEST_HIDE: return mknod(path, S_IFCHR, makedev(0, 0)) == 0 ? 0 : errno;
    case NEST_REMOVE: return remove(path) == 0 ? 0 : errno;
    case NEST_MOUNT: {
        const char *type = strings + op->type;
        return mount(type, path, type, op->flags, op->content ? content : NULL) == 0 ? 0 : errno;
    }
    case NEST_BIND: return bind(op, source, path);
    }
    return EBADMSG;
}

int nest_enter(const void *block, int user, size_t *failed)
{
    const struct nest_head *head = block;
    const struct nest_op *ops = (const struct nest_op *)(head + 1);
    const char *strings = (const char *)(ops + head->n_ops);
    for (size_t i = 0; i < head->n_ops; i++) {
        int errnum = carry_out(&ops[i], strings, user);
        if (errnum && !(ops[i].optional && errnum == ENOENT)) {
            *failed = i;
            return errnum;
        }
    }
    return 0;
}
