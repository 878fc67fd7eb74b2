/* Making what a layer has: contents first, then owner, mode (which a change of owner takes bits
 * from), attributes, times. */
#include "runners/unpack_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LOOK_EVERY ((uint64_t)64 << 20) /* bytes: at what is free on the disk */
#define COPY_BYTES ((size_t)256 * 1024)
#define XATTR_MOST ((size_t)64 * 1024)

static int broken(struct err *err, const char *name)
{
    int errnum = errno;
    struct buf shown = BUF_INIT;
    int rc;
    buf_add_shown(&shown, name, strlen(name));
    if (errnum == ENAMETOOLONG)
        rc = err_set(err, ERR_CONFIG, "\"%s\" has a name that is too long for this file system",
                     buf_str(&shown));
    else if (errnum == EFBIG)
        rc = err_set(err, ERR_CONFIG, "\"%s\" is larger than a file can be on this file system",
                     buf_str(&shown));
    else
        rc = err_sys(err, errnum, "\"%s\"", buf_str(&shown));
    buf_release(&shown);
    return rc;
}

int unpack_spend(struct unpacker *u, uint64_t bytes, struct err *err)
{
    const struct unpack_limits *limits = u->limits;
    struct unpack_counts *counts = u->counts;
    if (bytes > UINT64_MAX - counts->bytes)
        bytes = UINT64_MAX - counts->bytes;
    counts->bytes += bytes;
    if (counts->bytes > limits->bytes) {
        uint64_t in = u->bytes_in ? u->bytes_in(u->pull_ctx) : 1;
        if (counts->bytes / (in ? in : 1) > limits->ratio)
            return err_set(err, ERR_CONFIG,
                           "it holds more than %llu times its own size, as a bomb does",
                           (unsigned long long)limits->ratio);
    }
    if (counts->bytes - u->checked >= LOOK_EVERY || u->checked == 0) {
        struct statvfs disk;
        u->checked = counts->bytes;
        if (fstatvfs(u->root, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < limits->free)
            return err_sys(err, ENOSPC,
                           "less than %llu MiB would be free on the cache's disk; make room there "
                           "(kiln cache gc), or put the cache elsewhere (KILN_CACHE_DIR)",
                           (unsigned long long)(limits->free >> 20));
    }
    return 0;
}

/* --- attributes --- */

/* Ids that the nest does not have give EINVAL, and without a mapping of several EPERM. */
static int set_owner(struct unpacker *u, int dir_fd, const char *name, uint64_t uid, uint64_t gid,
                     struct err *err)
{
    if (uid == u->uid && gid == u->gid)
        return 0;
    if (uid >= UINT32_MAX || gid >= UINT32_MAX) {
        u->counts->owners++;
        return 0;
    }
    int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
    if (fchownat(dir_fd, name, (uid_t)uid, (gid_t)gid, flags) == 0)
        return 0;
    if (errno != EINVAL && errno != EPERM)
        return broken(err, name);
    u->counts->owners++;
    return 0;
}

static int set_times(int dir_fd, const char *name, struct timespec mtime, struct err *err)
{
    const struct timespec times[2] = {mtime, mtime};
    int done =
        *name ? utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) : futimens(dir_fd, times);
    return done == 0 || errno == EINVAL ? 0 : broken(err, name);
}

static struct timespec entry_time(const struct tar_entry *entry)
{
    return (struct timespec){.tv_sec = entry->mtime, .tv_nsec = (long)entry->mtime_ns};
}

static bool xattr_allowed(const char *name)
{
    if (strncmp(name, "user.", 5) == 0)
        return strncmp(name, UNPACK_RESERVED_XATTRS, strlen(UNPACK_RESERVED_XATTRS)) != 0;
    return strcmp(name, "security.capability") == 0;
}

void unpack_set_xattrs(struct unpacker *u, int fd, const struct tar_entry *entry)
{
    for (size_t i = 0; i < entry->n_xattrs; i++) {
        const struct tar_xattr *xattr = &entry->xattrs[i];
        if (!xattr_allowed(xattr->name) ||
            fsetxattr(fd, xattr->name, xattr->value, xattr->n, 0) < 0)
            u->counts->xattrs++;
    }
}

static void copy_xattrs(struct unpacker *u, int from, int to)
{
    char *names = mem_alloc(XATTR_MOST), *value = mem_alloc(XATTR_MOST);
    ssize_t n = flistxattr(from, names, XATTR_MOST);
    for (char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        if (!xattr_allowed(name))
            continue;
        ssize_t size = fgetxattr(from, name, value, XATTR_MOST);
        if (size < 0 || fsetxattr(to, name, value, (size_t)size, 0) < 0)
            u->counts->xattrs++;
    }
    free(names);
    free(value);
}

/* --- files and the like --- */

static int finish_file(struct unpacker *u, int fd, const char *name, const struct tar_entry *entry,
                       int like_fd, struct err *err)
{
    int rc = set_owner(u, fd, "", entry->uid, entry->gid, err);
    if (rc == 0 && fchmod(fd, entry->mode) < 0)
        rc = broken(err, name);
    if (rc == 0 && like_fd >= 0)
        copy_xattrs(u, like_fd, fd);
    if (rc == 0)
        unpack_set_xattrs(u, fd, entry);
    return rc < 0 ? rc : set_times(fd, "", entry_time(entry), err);
}

static int create(int dir_fd, const char *name, struct err *err)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? broken(err, name) : fd;
}

/* The file goes on at offset. */
static int make_hole(int fd, uint64_t offset)
{
    return ftruncate(fd, (off_t)offset) < 0 || lseek(fd, (off_t)offset, SEEK_SET) < 0 ? -1 : 0;
}

int unpack_make_file(struct unpacker *u, int dir_fd, const char *name,
                     const struct tar_entry *entry, struct tar *tar, struct err *err)
{
    int fd = create(dir_fd, name, err);
    if (fd < 0)
        return fd;
    int rc = 0;
    uint64_t end = 0, offset;
    for (;;) {
        const void *bytes;
        size_t n;
        rc = tar_data(tar, &bytes, &n, &offset, err);
        if (rc < 0)
            break;
        if (offset != end && make_hole(fd, offset) < 0) {
            rc = broken(err, name);
            break;
        }
        if (!n)
            break;
        end = offset + n;
        rc = unpack_spend(u, n, err);
        if (rc < 0)
            break;
        if (file_write_all(fd, bytes, n) < 0) {
            rc = broken(err, name);
            break;
        }
    }
    if (rc == 0)
        rc = finish_file(u, fd, name, entry, -1, err);
    close(fd);
    return rc;
}

int unpack_make_symlink(struct unpacker *u, int dir_fd, const char *name,
                        const struct tar_entry *entry, struct err *err)
{
    if (!*entry->link || strlen(entry->link) >= PATH_MAX) {
        struct buf shown = BUF_INIT;
        buf_add_shown(&shown, name, strlen(name));
        int rc = err_set(err, ERR_CONFIG, "the symbolic link \"%s\" has %s target", buf_str(&shown),
                         *entry->link ? "too long a" : "no");
        buf_release(&shown);
        return rc;
    }
    if (symlinkat(entry->link, dir_fd, name) < 0)
        return broken(err, name);
    int rc = set_owner(u, dir_fd, name, entry->uid, entry->gid, err);
    return rc < 0 ? rc : set_times(dir_fd, name, entry_time(entry), err);
}

int unpack_make_fifo(struct unpacker *u, int dir_fd, const char *name,
                     const struct tar_entry *entry, struct err *err)
{
    if (mknodat(dir_fd, name, S_IFIFO | 0600, 0) < 0)
        return broken(err, name);
    int rc = set_owner(u, dir_fd, name, entry->uid, entry->gid, err);
    /* Nobody else is here who could have put a link in its place. */
    if (rc == 0 && fchmodat(dir_fd, name, entry->mode, 0) < 0)
        rc = broken(err, name);
    return rc < 0 ? rc : set_times(dir_fd, name, entry_time(entry), err);
}

/* Holes stay holes. */
static int copy_bytes(struct unpacker *u, int from, int to, const char *name, off_t size,
                      struct err *err)
{
    char *bytes = mem_alloc(COPY_BYTES);
    int rc = 0;
    for (off_t at = 0, end = 0; rc == 0 && at < size;) {
        if (at == end) {
            at = lseek(from, at, SEEK_DATA);
            end = at < 0 ? at : lseek(from, at, SEEK_HOLE);
            if (end < 0 && errno == ENXIO)
                break;
            if (end < 0 || make_hole(to, (uint64_t)at) < 0)
                rc = broken(err, name);
            continue;
        }
        size_t most = end - at < (off_t)COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        ssize_t n = pread(from, bytes, most, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            rc = broken(err, name);
        if (rc == 0)
            rc = unpack_spend(u, (uint64_t)n, err);
        if (rc == 0 && file_write_all(to, bytes, (size_t)n) < 0)
            rc = broken(err, name);
        at += n;
    }
    if (rc == 0 && ftruncate(to, size) < 0)
        rc = broken(err, name);
    free(bytes);
    return rc;
}

int unpack_copy_up(struct unpacker *u, const struct unpack_lower *lower, int dir_fd,
                   const char *name, struct err *err)
{
    struct tar_entry like = {.mode = lower->st.st_mode & 07777,
                             .uid = lower->st.st_uid,
                             .gid = lower->st.st_gid,
                             .mtime = lower->st.st_mtim.tv_sec,
                             .mtime_ns = (uint32_t)lower->st.st_mtim.tv_nsec};
    if (S_ISLNK(lower->st.st_mode)) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(lower->dir_fd, lower->name, target, sizeof target - 1);
        if (n < 0)
            return broken(err, name);
        target[n] = '\0';
        like.link = target;
        return unpack_make_symlink(u, dir_fd, name, &like, err);
    }
    if (S_ISFIFO(lower->st.st_mode))
        return unpack_make_fifo(u, dir_fd, name, &like, err);
    if (!S_ISREG(lower->st.st_mode))
        return err_set(err, ERR_CONFIG, "a hard link leads to something that can have none");
    int from = openat(lower->dir_fd, lower->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return broken(err, name);
    int to = create(dir_fd, name, err),
        rc = to < 0 ? to : copy_bytes(u, from, to, name, lower->st.st_size, err);
    if (rc == 0)
        rc = finish_file(u, to, name, &like, from, err);
    if (to >= 0)
        close(to);
    close(from);
    return rc;
}

int unpack_clear(struct unpacker *u, int dir_fd, const char *name, struct err *err)
{
    struct stat st;
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return broken(err, name);
    u->last_stale = true;
    return file_remove_tree(dir_fd, name, err);
}

/* --- directories --- */

void unpack_note_dir(struct unpacker *u, const char *resolved, const struct unpack_dir *dir)
{
    void **place = map_get(&u->dirs, resolved, strlen(resolved));
    if (!place)
        place = map_put(&u->dirs, resolved, strlen(resolved), mem_alloc(sizeof(struct unpack_dir)),
                        NULL);
    *(struct unpack_dir *)*place = *dir;
}

static int by_path_downwards(const void *a, const void *b)
{
    const struct map_entry *const *left = a, *const *right = b;
    return strcmp((*right)->key, (*left)->key);
}

/* Opens a resolved path from the root, without following links; -1 where it is no longer there. */
static int open_dir(struct unpacker *u, const char *resolved)
{
    int fd = openat(u->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *names = mem_strdup(resolved);
    for (char *name = names; *name && fd >= 0;) {
        size_t length = strcspn(name, "/");
        bool more = name[length];
        name[length] = '\0';
        int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int errnum = errno;
        close(fd);
        fd = sub;
        errno = errnum;
        name += length + more;
    }
    free(names);
    return fd;
}

int unpack_settle(struct unpacker *u, struct err *err)
{
    VEC(const struct map_entry *) order = VEC_INIT;
    int rc = 0;
    map_each (entry, &u->dirs)
        vec_push(&order, entry);
    if (order.n)
        qsort(order.v, order.n, sizeof *order.v, by_path_downwards);
    for (size_t i = 0; i < order.n && rc == 0; i++) {
        const char *path = order.v[i]->key;
        const struct unpack_dir *dir = order.v[i]->value;
        int fd = open_dir(u, path);
        if (fd < 0) {
            if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
                rc = broken(err, path);
            continue; /* something else took its place */
        }
        rc = set_owner(u, fd, "", dir->uid, dir->gid, err);
        if (rc == 0 && fchmod(fd, dir->mode) < 0)
            rc = broken(err, path);
        if (rc == 0)
            rc = set_times(fd, "", dir->mtime, err);
        close(fd);
    }
    vec_release(&order);
    return rc;
}
