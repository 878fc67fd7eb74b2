/* The entries of a layer, one by one. */
#include "runners/unpack_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RESERVED UNPACK_WHITEOUT UNPACK_WHITEOUT /* what aufs had for itself */

const struct unpack_limits unpack_usual = {
    .entries = 2000000,
    .bytes = (uint64_t)8 << 30,
    .ratio = 200,
    .free = (uint64_t)128 << 20,
};

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
    buf_add_shown(&shown, path, strlen(path));
    int rc = err_sys(err, errnum, "\"%s\"", buf_str(&shown));
    buf_release(&shown);
    return rc;
}

/* The path by its text, with the layer as the root: "/../a/./b" is "a/b". */
static char *normal(const char *path)
{
    struct buf out = BUF_INIT;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && memcmp(path, "..", 2) == 0) {
            const char *slash = out.len ? strrchr(out.data, '/') : NULL;
            buf_truncate(&out, slash ? (size_t)(slash - out.data) : 0);
        } else if (n && !(n == 1 && *path == '.')) {
            if (out.len)
                buf_addc(&out, '/');
            buf_add(&out, path, n);
        }
        path += n + (path[n] == '/');
    }
    return out.data ? buf_detach(&out) : mem_strdup("");
}

/* --- whiteouts --- */

static int add_whiteout(struct unpacker *u, int fd, const char *resolved, const char *name,
                        struct err *err)
{
    struct unpack_lower lower;
    struct stat st;
    char *path = unpack_child(resolved, name);
    int rc = unpack_look_lower(u, path, &lower, err);
    if (rc == 0 && lower.there) {
        close(lower.dir_fd);
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno != ENOENT || mknodat(fd, name, S_IFCHR, makedev(0, 0)) < 0)
                rc = err_sys(err, errno,
                             "cannot hide \"%s\" of a lower layer by a device 0/0, which Linux "
                             "5.8 and newer allow",
                             path);
        } else if (S_ISDIR(st.st_mode)) {
            /* The layer's own one stays, and shows nothing of the other. */
            int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            rc = sub < 0 ? broken(err, path) : unpack_make_opaque(u, path, sub, err);
            if (sub >= 0)
                close(sub);
        }
    }
    free(path);
    return rc;
}

static int mark(struct unpacker *u, int fd, const char *resolved, const char *name,
                const char *path, struct err *err)
{
    const char *hidden = name + strlen(UNPACK_WHITEOUT);
    if (strcmp(name, UNPACK_OPAQUE) == 0)
        return unpack_make_opaque(u, resolved, fd, err);
    if (strncmp(name, RESERVED, strlen(RESERVED)) == 0)
        return 0;
    if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return refuse(err, path, "hides nothing that could be there");
    return u->n_lowers ? add_whiteout(u, fd, resolved, hidden, err) : 0;
}

/* overlayfs takes no notice of an opaque root: what is in lower ones is hidden name by name. */
static int hide_root(struct unpacker *u, struct err *err)
{
    int rc = 0;
    u->root_opaque = false; /* to see it */
    for (size_t i = 0; i < u->n_lowers && rc == 0; i++) {
        int fd = openat(u->lowers[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
            if (fd >= 0)
                close(fd);
            return broken(err, ".");
        }
        for (struct dirent *entry; rc == 0 && (entry = readdir(dir));) {
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                rc = add_whiteout(u, u->root, "", entry->d_name, err);
        }
        closedir(dir);
    }
    return rc;
}

/* --- entries --- */

static struct unpack_dir dir_of(const struct tar_entry *entry)
{
    return (struct unpack_dir){
        .mode = entry->mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .mtime = {.tv_sec = entry->mtime, .tv_nsec = (long)entry->mtime_ns},
    };
}

static int add_dir(struct unpacker *u, int fd, const char *path, const char *name,
                   const struct tar_entry *entry, struct err *err)
{
    struct unpack_dir dir = dir_of(entry);
    struct stat st;
    int rc = 0;
    bool replaced = false;
    if (mkdirat(fd, name, 0700) < 0) {
        if (errno != EEXIST)
            return broken(err, path);
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return broken(err, path);
        replaced = !S_ISDIR(st.st_mode);
        if (replaced && (unlinkat(fd, name, 0) < 0 || mkdirat(fd, name, 0700) < 0))
            return broken(err, path);
    }
    int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0)
        return broken(err, path);
    if (replaced) /* what was there had hidden what lies below */
        rc = unpack_make_opaque(u, path, sub, err);
    unpack_set_xattrs(u, sub, entry);
    close(sub);
    unpack_note_dir(u, path, &dir);
    return rc;
}

/* Has the target of a hard link in this layer: copied from a lower one where it is there only.
 * *there tells whether it is now. */
static int bring_target(struct unpacker *u, int fd, const char *path, const char *name,
                        struct stat *st, bool *there, struct err *err)
{
    struct unpack_lower lower;
    *there = fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0;
    if (*there)
        return 0;
    if (errno != ENOENT)
        return broken(err, path);
    int rc = unpack_look_lower(u, path, &lower, err);
    if (rc < 0 || !lower.there)
        return rc;
    rc = unpack_copy_up(u, &lower, fd, name, err);
    close(lower.dir_fd);
    *there = rc == 0 && fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0;
    return rc;
}

static int add_hardlink(struct unpacker *u, const char *parent, const char *name,
                        const struct tar_entry *entry, struct err *err)
{
    char *target = normal(entry->link), *slash = strrchr(target, '/');
    const char *base = slash ? slash + 1 : target, *resolved;
    char *path = NULL, *own = NULL;
    int fd, target_fd = -1;
    struct stat st;
    bool there = false;
    if (slash)
        *slash = '\0';
    int rc = !*base ? refuse(err, entry->path, "is a hard link to nothing")
                    : unpack_walk(u, slash ? target : "", &fd, &resolved, err);
    if (rc == 0) {
        path = unpack_child(resolved, base);
        target_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        rc = target_fd < 0 ? broken(err, path) : 0;
    }
    if (rc == 0)
        rc = bring_target(u, target_fd, path, base, &st, &there, err);
    if (rc == 0)
        rc = unpack_walk(u, parent, &fd, &resolved, err);
    if (rc == 0) {
        own = unpack_child(resolved, name);
        bool left_out = map_get(&u->left_out, path, strlen(path)) != NULL;
        if (!there && left_out)
            u->counts->devices++;
        else if (!there || S_ISDIR(st.st_mode) || unpack_is_whiteout(&st))
            rc = refuse(err, entry->path, "is a hard link to something that is not in the image");
        else if (strcmp(own, path) != 0) {
            rc = unpack_clear(u, fd, name, err);
            if (rc == 0 && linkat(target_fd, base, fd, name, 0) < 0)
                rc = broken(err, entry->path);
        }
    }
    if (target_fd >= 0)
        close(target_fd);
    free(own);
    free(path);
    free(target);
    return rc;
}

static int make(struct unpacker *u, int fd, const char *path, const char *name,
                const struct tar_entry *entry, struct tar *tar, struct err *err)
{
    int rc = entry->type == TAR_DIRECTORY || entry->type == TAR_CHAR || entry->type == TAR_BLOCK
                 ? 0
                 : unpack_clear(u, fd, name, err);
    if (rc < 0)
        return rc;
    switch (entry->type) {
    case TAR_FILE: return unpack_make_file(u, fd, name, entry, tar, err);
    case TAR_SYMLINK: return unpack_make_symlink(u, fd, name, entry, err);
    case TAR_FIFO: return unpack_make_fifo(u, fd, name, entry, err);
    case TAR_DIRECTORY: return add_dir(u, fd, path, name, entry, err);
    case TAR_CHAR:
    case TAR_BLOCK:
        u->counts->devices++;
        map_put_str(&u->left_out, path, u);
        return 0;
    case TAR_HARDLINK: break;
    }
    return 0;
}

static int add_entry(struct unpacker *u, const struct tar_entry *entry, struct tar *tar,
                     struct err *err)
{
    char *whole = normal(entry->path), *slash = strrchr(whole, '/');
    const char *name = slash ? slash + 1 : whole, *resolved;
    int fd, rc;
    if (!*whole) {
        struct unpack_dir dir = dir_of(entry);
        free(whole);
        if (entry->type != TAR_DIRECTORY)
            return refuse(err, entry->path, "would take the place of the root");
        unpack_note_dir(u, "", &dir);
        return 0;
    }
    if (slash)
        *slash = '\0';
    const char *parent = slash ? whole : "";
    if (strlen(entry->path) >= PATH_MAX) {
        rc = refuse(err, name, "has too long a path");
    } else if (entry->type == TAR_HARDLINK &&
               strncmp(name, UNPACK_WHITEOUT, strlen(UNPACK_WHITEOUT)) != 0) {
        rc = add_hardlink(u, parent, name, entry, err);
    } else {
        rc = unpack_walk(u, parent, &fd, &resolved, err);
        if (rc == 0 && strncmp(name, UNPACK_WHITEOUT, strlen(UNPACK_WHITEOUT)) == 0) {
            rc = mark(u, fd, resolved, name, entry->path, err);
        } else if (rc == 0) {
            char *path = unpack_child(resolved, name);
            rc = make(u, fd, path, name, entry, tar, err);
            free(path);
        }
    }
    free(whole);
    return rc;
}

static int add_all(struct unpacker *u, struct tar *tar, struct err *err)
{
    const struct tar_entry *entry;
    for (;;) {
        int rc = tar_next(tar, &entry, err);
        if (rc < 0 || !entry)
            return rc;
        if (++u->counts->entries > u->limits->entries)
            return err_set(err, ERR_CONFIG, "it has more than %llu entries",
                           (unsigned long long)u->limits->entries);
        rc = add_entry(u, entry, tar, err);
        if (rc < 0)
            return rc;
    }
}

int unpack_tree(int root_fd, const int *lower_fds, size_t n_lowers, tar_pull *pull, void *pull_ctx,
                uint64_t (*bytes_in)(void *pull_ctx), const struct unpack_limits *limits,
                struct unpack_counts *counts, struct err *err)
{
    struct unpacker u = {
        .root = root_fd,
        .lowers = lower_fds,
        .n_lowers = n_lowers,
        .limits = limits,
        .counts = counts,
        .pull_ctx = pull_ctx,
        .bytes_in = bytes_in,
        .uid = geteuid(),
        .gid = getegid(),
        .last_fd = -1,
    };
    struct unpack_dir root = {.mode = 0755};
    struct stat st;
    if (n_lowers && fstat(lower_fds[n_lowers - 1], &st) == 0)
        root = (struct unpack_dir){st.st_mode & 07777, st.st_uid, st.st_gid, st.st_mtim};
    unpack_note_dir(&u, "", &root);
    struct tar *tar = tar_new(pull, pull_ctx);
    int rc = add_all(&u, tar, err);
    if (rc == 0 && u.root_opaque)
        rc = hide_root(&u, err);
    if (rc == 0)
        rc = unpack_settle(&u, err);
    tar_free(tar);
    if (u.last_fd >= 0)
        close(u.last_fd);
    buf_release(&u.last_path);
    buf_release(&u.last_resolved);
    map_each (entry, &u.dirs)
        free(entry->value);
    map_release(&u.dirs);
    map_release(&u.opaque);
    map_release(&u.left_out);
    return rc;
}
