#include "cache/mirror.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/stamp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK     ((size_t)128 * 1024)
#define TRIES     3
#define DEPTH_MAX 200

struct mirror {
    const struct mirror_times *last;
    char *block;
    bool no_clone;
    struct buf path; /* of what is being copied, for messages */
    struct err *err;
};

typedef VEC(char *) names;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int trouble(struct mirror *m, const char *what)
{
    return err_sys(m->err, errno, "cannot %s %s", what, buf_str(&m->path));
}

/* -- one file ---------------------------------------------------------------------------------- */

/* What of a mode a copy has: it is never another user's. */
static mode_t mode_of(const struct stat *st)
{
    return st->st_mode & 0777;
}

static bool stands(const struct mirror *m, const struct stat *original, const struct stat *copy)
{
    struct stamp from = stamp_of(original), to = stamp_of(copy);
    return S_ISREG(copy->st_mode) && from.size == to.size && from.mtime_ns == to.mtime_ns &&
           mode_of(original) == mode_of(copy) && from.ctime_ns < m->last->begun_ns &&
           to.ctime_ns < m->last->ended_ns;
}

static bool copy_blocks(struct mirror *m, int from, int to)
{
    for (;;) {
        ssize_t n = read(from, m->block, BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (file_write_all(to, m->block, (size_t)n) != 0)
            return false;
    }
}

static bool copy_content(struct mirror *m, int from, int to)
{
    if (!m->no_clone && ioctl(to, FICLONE, from) == 0)
        return true;
    m->no_clone = true;
    return copy_blocks(m, from, to);
}

static bool same(const struct stat *a, const struct stat *b)
{
    struct stamp x = stamp_of(a), y = stamp_of(b);
    return stamp_eq(&x, &y);
}

/* One try; 1: the original changed meanwhile, or is gone. */
static int try_file(struct mirror *m, int from_dir, int to_dir, const char *from_name,
                    const char *to_name)
{
    struct stat before, after;
    int rc = 1;
    int from = openat(from_dir, from_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0)
        return errno == ENOENT ? 1 : trouble(m, "read");
    int to = openat(to_dir, to_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0)
        rc = trouble(m, "copy");
    else if (fstat(from, &before) != 0 || !copy_content(m, from, to) || fstat(from, &after) != 0)
        rc = trouble(m, "copy");
    else if (same(&before, &after) && S_ISREG(before.st_mode)) {
        const struct timespec times[2] = {before.st_mtim, before.st_mtim};
        rc = fchmod(to, mode_of(&before)) == 0 && futimens(to, times) == 0 ? 0 : trouble(m, "copy");
    }
    if (to >= 0)
        close(to);
    close(from);
    if (rc != 0)
        (void)unlinkat(to_dir, to_name, 0);
    return rc;
}

static int put_file(struct mirror *m, int from_dir, int to_dir, const char *from_name,
                    const char *to_name, const struct stat *st)
{
    struct stat is;
    if (fstatat(to_dir, to_name, &is, AT_SYMLINK_NOFOLLOW) == 0) {
        if (stands(m, st, &is))
            return 0;
        if (file_remove_tree(to_dir, to_name, m->err) != 0)
            return -(int)m->err->kind;
    }
    int rc = 1;
    for (int i = 0; rc == 1 && i < TRIES; i++)
        rc = try_file(m, from_dir, to_dir, from_name, to_name);
    if (rc == 1 && faccessat(from_dir, from_name, F_OK, 0) != 0)
        return 0; /* gone meanwhile, and so is the copy */
    if (rc == 1)
        return err_set(m->err, ERR_SYSTEM,
                       "%s changes while it is copied; try again when it is at "
                       "rest",
                       buf_str(&m->path));
    return rc;
}

/* -- links ------------------------------------------------------------------------------------- */

static ssize_t target_of(int dir, const char *name, char target[PATH_MAX])
{
    ssize_t n = readlinkat(dir, name, target, PATH_MAX - 1);
    if (n >= 0)
        target[n] = '\0';
    return n;
}

static int put_link(struct mirror *m, int from_dir, int to_dir, const char *name)
{
    char target[PATH_MAX], is[PATH_MAX];
    if (target_of(from_dir, name, target) < 0)
        return errno == ENOENT || errno == EINVAL ? 0 : trouble(m, "read");
    if (target_of(to_dir, name, is) >= 0 && !strcmp(is, target))
        return 0;
    if (file_remove_tree(to_dir, name, m->err) != 0)
        return -(int)m->err->kind;
    return symlinkat(target, to_dir, name) == 0 ? 0 : trouble(m, "copy");
}

/* -- directories ------------------------------------------------------------------------------- */

static bool list(int dir, names *out)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(stream)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            vec_push(out, mem_strdup(entry->d_name));
    bool whole = errno == 0;
    closedir(stream);
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_name);
    return whole;
}

static void names_release(names *list)
{
    vec_each (char *, name, list)
        free(*name);
    vec_release(list);
}

static int put_dir(struct mirror *m, int from, int to, unsigned depth);

static int put_below(struct mirror *m, int from_dir, int to_dir, const char *from_name,
                     const char *to_name, const struct stat *st, unsigned depth)
{
    struct stat is;
    int rc = 0;
    bool there = fstatat(to_dir, to_name, &is, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !S_ISDIR(is.st_mode)) {
        rc = file_remove_tree(to_dir, to_name, m->err);
        there = false;
    }
    if (rc == 0 && !there && mkdirat(to_dir, to_name, 0700) != 0)
        rc = trouble(m, "copy");
    if (rc == 0 && there && (is.st_mode & 0700) != 0700 && fchmodat(to_dir, to_name, 0700, 0) != 0)
        rc = trouble(m, "copy");
    int from = rc == 0 ? openat(from_dir, from_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int to =
        rc == 0 ? openat(to_dir, to_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (rc == 0 && (from < 0 || to < 0))
        rc = trouble(m, from < 0 ? "read" : "copy");
    if (rc == 0)
        rc = put_dir(m, from, to, depth + 1);
    if (rc == 0 && fchmod(to, mode_of(st) | 0700) != 0)
        rc = trouble(m, "copy");
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc;
}

static int put(struct mirror *m, int from_dir, int to_dir, const char *name, unsigned depth)
{
    struct stat st;
    if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? file_remove_tree(to_dir, name, m->err) : trouble(m, "look at");
    if (S_ISREG(st.st_mode))
        return put_file(m, from_dir, to_dir, name, name, &st);
    if (S_ISLNK(st.st_mode))
        return put_link(m, from_dir, to_dir, name);
    if (S_ISDIR(st.st_mode))
        return put_below(m, from_dir, to_dir, name, name, &st, depth);
    return file_remove_tree(to_dir, name, m->err);
}

static int put_dir(struct mirror *m, int from, int to, unsigned depth)
{
    names have = VEC_INIT, old = VEC_INIT;
    size_t at = 0, len = m->path.len;
    int rc = 0;
    if (depth > DEPTH_MAX)
        rc = err_set(m->err, ERR_SYSTEM, "%s lies too deep to be copied", buf_str(&m->path));
    else if (!list(from, &have))
        rc = trouble(m, "read");
    else if (!list(to, &old))
        rc = trouble(m, "copy");
    for (size_t i = 0; rc == 0 && i < old.n; i++) {
        while (at < have.n && strcmp(have.v[at], old.v[i]) < 0)
            at++;
        if (at == have.n || strcmp(have.v[at], old.v[i]) != 0)
            rc = file_remove_tree(to, old.v[i], m->err);
    }
    for (size_t i = 0; rc == 0 && i < have.n; i++) {
        buf_addf(&m->path, "/%s", have.v[i]);
        rc = put(m, from, to, have.v[i], depth);
        buf_truncate(&m->path, len);
    }
    names_release(&have);
    names_release(&old);
    return rc;
}

/* -- all of it --------------------------------------------------------------------------------- */

int mirror_make(const char *from, const char *to, const struct mirror_times *last, struct err *err)
{
    struct mirror m = {.last = last, .block = mem_alloc(BLOCK), .err = err};
    const char *slash = strrchr(to, '/');
    char *parent = mem_strndup(to, (size_t)(slash - to));
    struct stat st;
    int dir = -1;
    buf_adds(&m.path, from);
    int rc = file_mkdirs(parent, 0700, err);
    if (rc == 0 && (dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = err_sys(err, errno, "cannot open %s", parent);
    if (rc == 0 && stat(from, &st) != 0)
        rc = trouble(&m, "look at");
    if (rc == 0 && S_ISDIR(st.st_mode))
        rc = put_below(&m, AT_FDCWD, dir, from, slash + 1, &st, 0);
    else if (rc == 0 && S_ISREG(st.st_mode))
        rc = put_file(&m, AT_FDCWD, dir, from, slash + 1, &st);
    else if (rc == 0)
        rc = err_set(err, ERR_CONFIG, "%s is neither a directory nor a file", from);
    if (dir >= 0)
        close(dir);
    buf_release(&m.path);
    free(parent);
    free(m.block);
    return rc;
}

int mirror_clock(const char *path, const char *text, int64_t *now_ns, struct err *err)
{
    struct stat st;
    int rc = file_write_atomic(path, text, strlen(text), 0600, err);
    *now_ns = 0;
    if (rc == 0 && stat(path, &st) != 0)
        rc = err_sys(err, errno, "cannot look at %s", path);
    if (rc == 0)
        *now_ns = stamp_of(&st).mtime_ns;
    return rc;
}
