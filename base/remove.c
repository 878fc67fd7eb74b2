/*
 * file_remove_tree() of file.h.
 *
 * One loop with its own stack, so depth costs heap and nothing else. Every step is relative to a
 * directory that is open, so that nothing renamed or replaced by a link meanwhile leads elsewhere.
 * The descriptors of the upper directories are kept only while they are few: a deeper one is found
 * again through "..", and is taken only when it still is the same directory.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_OPEN   32 /* descriptors at most */
#define RESCANS     64 /* of one directory that others fill while it is emptied */
#define LIST_BYTES  ((size_t)32 * 1024)
#define SHOWN_DEPTH 64 /* components of a path in a message */
#define DIR_FLAGS   (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

struct level {
    char *name;        /* in the directory above */
    int fd;            /* -1: closed for now */
    uint64_t dev, ino; /* which directory it is */
    size_t first_sub;  /* of remover.subs: those from here on are its own */
    unsigned rescans;
};

struct remover {
    int top_fd; /* the caller's; the first level lies in it */
    VEC(struct level) levels;
    VEC(char *) subs; /* names of directories not entered yet */
    char *list;       /* LIST_BYTES for getdents64() */
};

static int fail(struct remover *remover, int errnum, const char *name, struct err *err)
{
    struct buf path = BUF_INIT;
    for (size_t i = 0; i < remover->levels.n && i < SHOWN_DEPTH; i++) {
        buf_adds(&path, remover->levels.v[i].name);
        buf_addc(&path, '/');
    }
    if (remover->levels.n > SHOWN_DEPTH)
        buf_adds(&path, "[…]/");
    buf_adds(&path, name);
    if (!*name && path.len)
        buf_truncate(&path, path.len - 1);
    int code = err_sys(err, errnum, "cannot remove %s", buf_str(&path));
    buf_release(&path);
    return code;
}

/* Closes the descriptors of all levels but the last. */
static bool close_upper(struct remover *remover)
{
    bool closed = false;
    for (size_t i = 0; i + 1 < remover->levels.n; i++) {
        struct level *level = &remover->levels.v[i];
        if (level->fd >= 0) {
            close(level->fd);
            level->fd = -1;
            closed = true;
        }
    }
    return closed;
}

static int open_dir(struct remover *remover, int at, const char *name, int flags)
{
    int fd = openat(at, name, flags);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        int errnum = errno;
        if (close_upper(remover))
            fd = openat(at, name, flags);
        else
            errno = errnum;
    }
    return fd;
}

/* Gives the owner of a directory that cannot be opened the right to; by /proc, for chmod itself
 * would follow a link. */
static void unlock_dir(struct remover *remover, int at, const char *name)
{
    int fd = open_dir(remover, at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid()) {
        char self[64];
        snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        (void)chmod(self, (st.st_mode & 07777) | S_IRWXU);
    }
    close(fd);
}

/* Removes what is no directory. Returns 0, EISDIR, or an errno; absent is 0. */
static int remove_file(int at, const char *name)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    int errnum = errno;
    struct stat st;
    if (errnum == EPERM && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return EISDIR; /* what POSIX has for it */
    return errnum;
}

/* Lists the directory: files go at once, the names of directories are kept. Returns 0 or an errno,
 * then with *name (owned) saying for what. */
static int empty_level(struct remover *remover, char **name)
{
    int fd = vec_last(&remover->levels).fd;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return errno;
    for (;;) {
        ssize_t n = getdents64(fd, remover->list, LIST_BYTES);
        if (n < 0 && errno == ENOENT)
            return 0; /* somebody else removed it */
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const void *)(remover->list + at);
            at += entry->d_reclen;
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                continue;
            int errnum = entry->d_type == DT_DIR ? EISDIR : remove_file(fd, entry->d_name);
            if (errnum == EISDIR) {
                vec_push(&remover->subs, mem_strdup(entry->d_name));
            } else if (errnum) {
                *name = mem_strdup(entry->d_name);
                return errnum;
            }
        }
    }
}

/* Which directory fd is. EBUSY for the root of a mount: it cannot be removed, so what it holds must
 * not be either. */
static int identify(int fd, struct level *level)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0)
        return errno;
    if (st.stx_attributes & st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
        return EBUSY;
    level->dev = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
    level->ino = st.stx_ino;
    if ((st.stx_mode & S_IRWXU) != S_IRWXU && st.stx_uid == geteuid())
        (void)fchmod(fd, (st.stx_mode & 07777) | S_IRWXU);
    return 0;
}

/* Goes into the directory name (owned from here on) below at and empties it of files. */
static int enter(struct remover *remover, int at, char *name, struct err *err)
{
    struct level level = {.name = name, .first_sub = remover->subs.n};
    level.fd = open_dir(remover, at, name, DIR_FLAGS);
    if (level.fd < 0 && errno == EACCES) {
        unlock_dir(remover, at, name);
        level.fd = open_dir(remover, at, name, DIR_FLAGS);
    }
    int errnum = level.fd < 0 ? errno : identify(level.fd, &level);
    if (level.fd < 0 && (errnum == ENOTDIR || errnum == ELOOP))
        errnum = remove_file(at, name); /* it has become something else */
    else if (level.fd < 0 && errnum == ENOENT)
        errnum = 0;
    if (level.fd < 0 || errnum) {
        int code = errnum ? fail(remover, errnum, name, err) : 0;
        if (level.fd >= 0)
            close(level.fd);
        free(name);
        return code;
    }
    vec_push(&remover->levels, level);
    if (remover->levels.n > KEPT_OPEN) {
        struct level *upper = &remover->levels.v[remover->levels.n - 2];
        if (upper->fd >= 0)
            close(upper->fd);
        upper->fd = -1;
    }
    char *at_name = NULL;
    errnum = empty_level(remover, &at_name);
    int code = errnum ? fail(remover, errnum, at_name ? at_name : "", err) : 0;
    free(at_name);
    return code;
}

/* Opens the level above the last again. */
static int reopen_upper(struct remover *remover)
{
    struct level *upper = &remover->levels.v[remover->levels.n - 2];
    int fd = openat(vec_last(&remover->levels).fd, "..", DIR_FLAGS);
    if (fd < 0)
        return errno;
    struct level found = {0};
    int errnum = identify(fd, &found);
    if (!errnum && (found.dev != upper->dev || found.ino != upper->ino))
        errnum = ESTALE; /* moved elsewhere under our hands: that place is none of ours */
    if (errnum)
        close(fd);
    else
        upper->fd = fd;
    return errnum;
}

/* Removes the last level, which is empty, and goes up; lists it again when it is not empty after
 * all. */
static int leave(struct remover *remover, struct err *err)
{
    struct level *level = &vec_last(&remover->levels);
    int at = remover->top_fd;
    if (remover->levels.n > 1) {
        struct level *upper = level - 1;
        int errnum = upper->fd < 0 ? reopen_upper(remover) : 0;
        if (errnum)
            return fail(remover, errnum, "", err);
        at = upper->fd;
    }
    if (unlinkat(at, level->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        int errnum = errno;
        if ((errnum != ENOTEMPTY && errnum != EEXIST) || level->rescans++ == RESCANS)
            return fail(remover, errnum, "", err);
        char *name = NULL;
        errnum = empty_level(remover, &name);
        int code = errnum ? fail(remover, errnum, name ? name : "", err) : 0;
        free(name);
        return code;
    }
    close(level->fd);
    free(level->name);
    remover->levels.n--;
    return 0;
}

static int remove_dir(struct remover *remover, char *name, struct err *err)
{
    int code = enter(remover, remover->top_fd, name, err);
    while (!code && remover->levels.n) {
        struct level *level = &vec_last(&remover->levels);
        if (remover->subs.n > level->first_sub) {
            char *sub = vec_pop(&remover->subs);
            code = enter(remover, level->fd, sub, err);
        } else {
            code = leave(remover, err);
        }
    }
    vec_each (struct level, level, &remover->levels) {
        if (level->fd >= 0)
            close(level->fd);
        free(level->name);
    }
    vec_each (char *, sub, &remover->subs)
        free(*sub);
    vec_release(&remover->levels);
    vec_release(&remover->subs);
    return code;
}

int file_remove_tree(int dirfd, const char *name, struct err *err)
{
    /* A slash at the end would follow a link. */
    size_t n = strlen(name);
    while (n && name[n - 1] == '/')
        n--;
    char *plain = mem_strndup(name, n);
    const char *slash = strrchr(plain, '/');
    const char *last = slash ? slash + 1 : plain;
    int errnum;
    if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
        errnum = EINVAL;
    else
        errnum = remove_file(dirfd, plain);
    if (errnum != EISDIR) {
        free(plain);
        return errnum ? err_sys(err, errnum, "cannot remove %s", name) : 0;
    }
    struct remover remover = {.top_fd = dirfd, .list = mem_alloc(LIST_BYTES)};
    int code = remove_dir(&remover, plain, err);
    free(remover.list);
    return code;
}
