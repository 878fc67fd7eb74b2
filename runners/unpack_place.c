/*
 * Where a path of a layer leads, with the layers below in sight.
 *
 * The walk holds one open directory of this layer and goes on by one component without following
 * links; a link's target is put in front of what remains of the path, an absolute one begins again
 * at the root, ".." goes up in the resolved path and never above the root. Lower layers are looked
 * at as overlayfs does: from the top, directories merge until one is opaque or something that is no
 * directory is met.
 */
#include "runners/unpack_private.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DIR_FLAGS  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MOST_LINKS 40 /* followed for one path, as in Linux */

bool unpack_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

char *unpack_child(const char *resolved, const char *name)
{
    return *resolved ? mem_printf("%s/%s", resolved, name) : mem_strdup(name);
}

static int refuse(struct err *err, const char *path, const char *why)
{
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, path, strlen(path));
    int rc = err_set(err, ERR_CONFIG, "\"%s\" %s", buf_str(&shown), why);
    buf_release(&shown);
    return rc;
}

static int broken(struct err *err, const char *path)
{
    int errnum = errno;
    struct buf shown = BUF_INIT;
    if (errnum == ENAMETOOLONG)
        return refuse(err, path, "has a name that is too long for this file system");
    buf_add_shown(&shown, path, strlen(path));
    int rc = err_sys(err, errnum, "\"%s\"", buf_str(&shown));
    buf_release(&shown);
    return rc;
}

/* --- lower layers --- */

/* Whether this layer lets lower ones show at the path, as far as directories above it go. */
static bool lower_shows(const struct unpacker *u, const char *resolved)
{
    if (u->root_opaque)
        return false;
    if (!u->opaque.count)
        return true;
    for (size_t i = 0;; i++) {
        if ((resolved[i] == '/' || !resolved[i]) && map_get(&u->opaque, resolved, i))
            return false;
        if (!resolved[i])
            return true;
    }
}

static bool is_opaque(int fd)
{
    char value[8];
    return fgetxattr(fd, UNPACK_OPAQUE_XATTR, value, sizeof value) == 1 && value[0] == 'y';
}

/* From the directories in dirs (top first) to those of that name in them; *n becomes 0 where there
 * is none. Takes the old descriptors. */
static int descend(int *dirs, size_t *n, const char *name, struct err *err)
{
    size_t kept = 0;
    bool end = false;
    int rc = 0;
    for (size_t i = 0; i < *n; i++) {
        int sub = -1;
        if (!end) {
            sub = openat(dirs[i], name, DIR_FLAGS);
            /* Something that is no directory hides what lies below. */
            end = sub < 0 && errno != ENOENT;
            if (end && errno != ENOTDIR && errno != ELOOP)
                rc = broken(err, name);
        }
        close(dirs[i]);
        if (sub >= 0) {
            dirs[kept++] = sub;
            end = is_opaque(sub);
        }
    }
    *n = kept;
    return rc;
}

int unpack_look_lower(struct unpacker *u, const char *resolved, struct unpack_lower *out,
                      struct err *err)
{
    const char *slash = strrchr(resolved, '/');
    int rc = 0;
    *out = (struct unpack_lower){.dir_fd = -1, .name = slash ? slash + 1 : resolved};
    char *parent = slash ? mem_strndup(resolved, (size_t)(slash - resolved)) : mem_strdup("");
    if (!u->n_lowers || !*resolved || !lower_shows(u, parent)) {
        free(parent);
        return 0;
    }
    int *dirs = mem_alloc(u->n_lowers * sizeof *dirs);
    size_t n = 0;
    for (size_t i = u->n_lowers; i-- > 0 && rc == 0;) {
        int fd = fcntl(u->lowers[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            rc = broken(err, resolved);
        else
            dirs[n++] = fd;
    }
    for (char *name = parent; *name && n && rc == 0;) {
        size_t length = strcspn(name, "/");
        bool more = name[length];
        name[length] = '\0';
        rc = descend(dirs, &n, name, err);
        name += length + more;
    }
    for (size_t i = 0; i < n && rc == 0 && out->dir_fd < 0; i++) {
        if (fstatat(dirs[i], out->name, &out->st, AT_SYMLINK_NOFOLLOW) == 0) {
            out->there = !unpack_is_whiteout(&out->st);
            if (!out->there)
                break;
            out->dir_fd = dirs[i];
            dirs[i] = -1;
        } else if (errno != ENOENT) {
            rc = broken(err, resolved);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (dirs[i] >= 0)
            close(dirs[i]);
    }
    free(dirs);
    free(parent);
    return rc;
}

int unpack_make_opaque(struct unpacker *u, const char *resolved, int fd, struct err *err)
{
    if (!u->n_lowers)
        return 0;
    if (!*resolved) {
        u->root_opaque = true; /* overlayfs does not ask the root: unpack_tree() sees to it */
        return 0;
    }
    if (map_get(&u->opaque, resolved, strlen(resolved)))
        return 0;
    map_put_str(&u->opaque, resolved, u);
    if (fsetxattr(fd, UNPACK_OPAQUE_XATTR, "y", 1, 0) < 0)
        return err_sys(err, errno,
                       "cannot set the attribute %s, which overlayfs needs; put the cache onto a "
                       "file system with user attributes (KILN_CACHE_DIR)",
                       UNPACK_OPAQUE_XATTR);
    /* Nothing is left to hide one by one; and in a directory that does not merge they would show.
     */
    int listed = openat(fd, ".", DIR_FLAGS);
    DIR *dir = listed < 0 ? NULL : fdopendir(listed);
    if (!dir) {
        int rc = broken(err, resolved);
        if (listed >= 0)
            close(listed);
        return rc;
    }
    struct stat st;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_type == DT_CHR && fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            unpack_is_whiteout(&st))
            unlinkat(fd, entry->d_name, 0);
    }
    closedir(dir);
    return 0;
}

/* --- walking --- */

struct walk {
    struct unpacker *u;
    const char *path; /* for messages */
    struct buf done;  /* the resolved path of fd */
    struct buf todo;  /* what remains */
    int fd;
    unsigned links;
};

/* Opens the resolved path, which is there. */
static int reopen(struct walk *w, struct err *err)
{
    int fd = openat(w->u->root, ".", DIR_FLAGS);
    char *names = mem_strdup(buf_str(&w->done));
    for (char *name = names; *name && fd >= 0;) {
        size_t length = strcspn(name, "/");
        bool more = name[length];
        name[length] = '\0';
        int sub = openat(fd, name, DIR_FLAGS);
        int errnum = errno;
        close(fd);
        fd = sub;
        errno = errnum;
        name += length + more;
    }
    free(names);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = fd;
    return fd < 0 ? broken(err, w->path) : 0;
}

/* Puts the link's target in front of what remains. */
static int follow(struct walk *w, int dir_fd, const char *name, struct err *err)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir_fd, name, target, sizeof target - 1);
    if (n < 0)
        return broken(err, w->path);
    if (++w->links > MOST_LINKS)
        return refuse(err, w->path, "leads through too many symbolic links");
    target[n] = '\0';
    struct buf todo = BUF_INIT;
    buf_addf(&todo, "%s/%s", target, buf_str(&w->todo));
    buf_release(&w->todo);
    w->todo = todo;
    if (target[0] != '/')
        return 0;
    buf_reset(&w->done);
    return reopen(w, err);
}

static int enter(struct walk *w, const char *name, int sub, struct err *err)
{
    close(w->fd);
    w->fd = sub;
    if (w->done.len)
        buf_addc(&w->done, '/');
    buf_adds(&w->done, name);
    return w->done.len < PATH_MAX ? 0 : refuse(err, w->path, "is too long");
}

/* Makes a directory that no entry has named yet, as lower layers have it, or as usual. */
static int make_dir(struct walk *w, const char *name, const struct unpack_lower *lower,
                    struct err *err)
{
    struct unpack_dir dir = {.mode = 0755};
    if (mkdirat(w->fd, name, 0700) < 0)
        return broken(err, w->path);
    int sub = openat(w->fd, name, DIR_FLAGS);
    if (sub < 0)
        return broken(err, w->path);
    if (lower->there && S_ISDIR(lower->st.st_mode))
        dir = (struct unpack_dir){.mode = lower->st.st_mode & 07777,
                                  .uid = lower->st.st_uid,
                                  .gid = lower->st.st_gid,
                                  .mtime = lower->st.st_mtim};
    int rc = enter(w, name, sub, err);
    if (rc == 0)
        unpack_note_dir(w->u, buf_str(&w->done), &dir);
    return rc;
}

/* Not in this layer. */
static int step_lower(struct walk *w, const char *name, struct err *err)
{
    struct unpack_lower lower;
    char *path = unpack_child(buf_str(&w->done), name);
    int rc = unpack_look_lower(w->u, path, &lower, err);
    free(path);
    if (rc < 0)
        return rc;
    if (lower.there && S_ISLNK(lower.st.st_mode))
        rc = follow(w, lower.dir_fd, name, err);
    else
        rc = make_dir(w, name, &lower, err);
    if (lower.dir_fd >= 0)
        close(lower.dir_fd);
    return rc;
}

static int step(struct walk *w, const char *name, struct err *err)
{
    struct stat st;
    if (strcmp(name, "..") == 0) {
        const char *slash = w->done.len ? strrchr(w->done.data, '/') : NULL;
        buf_truncate(&w->done, slash ? (size_t)(slash - w->done.data) : 0);
        return reopen(w, err);
    }
    int sub = openat(w->fd, name, DIR_FLAGS);
    if (sub >= 0)
        return enter(w, name, sub, err);
    if (errno == ENOENT)
        return step_lower(w, name, err);
    if ((errno != ENOTDIR && errno != ELOOP) || fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return broken(err, w->path);
    if (S_ISLNK(st.st_mode))
        return follow(w, w->fd, name, err);
    if (!unpack_is_whiteout(&st))
        return refuse(err, w->path, "lies in something that is no directory");
    struct unpack_lower none = {.dir_fd = -1};
    if (unlinkat(w->fd, name, 0) < 0)
        return broken(err, w->path);
    int rc = make_dir(w, name, &none, err);
    return rc < 0 ? rc : unpack_make_opaque(w->u, buf_str(&w->done), w->fd, err);
}

int unpack_walk(struct unpacker *u, const char *path, int *fd, const char **resolved,
                struct err *err)
{
    if (u->last_fd < 0 || u->last_stale || strcmp(path, buf_str(&u->last_path)) != 0) {
        struct walk w = {.u = u, .path = path, .fd = -1};
        buf_adds(&w.todo, path);
        int rc = reopen(&w, err);
        while (rc == 0 && w.todo.len) {
            size_t length = strcspn(w.todo.data, "/");
            bool more = w.todo.data[length];
            char *name = mem_strndup(w.todo.data, length);
            memmove(w.todo.data, w.todo.data + length + more, w.todo.len - length - more + 1);
            w.todo.len -= length + more;
            if (*name && strcmp(name, ".") != 0)
                rc = step(&w, name, err);
            free(name);
        }
        buf_release(&w.todo);
        if (u->last_fd >= 0)
            close(u->last_fd);
        u->last_fd = -1;
        u->last_stale = false;
        if (rc < 0) {
            if (w.fd >= 0)
                close(w.fd);
            buf_release(&w.done);
            return rc;
        }
        buf_reset(&u->last_path);
        buf_adds(&u->last_path, path);
        buf_release(&u->last_resolved);
        u->last_resolved = w.done;
        u->last_fd = w.fd;
    }
    *fd = u->last_fd;
    *resolved = buf_str(&u->last_resolved);
    return 0;
}
