/*
 * outputs_restore.c - putting stored outputs back into place.
 *
 * Looks before it writes, so that what is right keeps its inode and time stamp. Each file and link
 * comes by rename: an interruption leaves the old one or the new one.
 */
#include "cache/outputs.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/beneath.h"
#include "cache/cache_private.h"
#include "cache/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The Tree message of a million files is about 100 MiB. */
#define TREE_MAX ((size_t)1 << 30)

struct restore {
    struct cache *cache;
    int root_fd;
    struct hasher *hasher;
    enum cache_answer answer;
    struct err *err;
};

/* Whether the file that stands there (st) already has that content. An unreadable one has not. */
static bool content_is(struct restore *r, int dirfd, const char *name, const struct stat *st,
                       const struct digest *digest)
{
    struct digest actual;
    if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != digest->size)
        return false;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool same = digest_of_fd(r->hasher, fd, &actual, NULL) == 0 && digest_eq(&actual, digest);
    close(fd);
    return same;
}

/* Gives the file the executable bits that go with its readable ones, or takes all. */
static bool fix_executable(int dirfd, const char *name, const struct stat *st, bool executable)
{
    if (((st->st_mode & S_IXUSR) != 0) == executable)
        return true;
    if (st->st_nlink > 1)
        return false; /* another name of it would change too: a new file is made */
    mode_t mode = st->st_mode & 07777;
    mode = executable ? mode | S_IXUSR | ((mode & 0444) >> 2) : mode & ~(mode_t)0111;
    return fchmodat(dirfd, name, mode, 0) == 0;
}

static int restore_file(struct restore *r, int dirfd, const char *name, const struct digest *digest,
                        bool executable)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (content_is(r, dirfd, name, &st, digest) && fix_executable(dirfd, name, &st, executable))
            return 0;
        if (S_ISDIR(st.st_mode)) {
            int rc = file_remove_tree(dirfd, name, r->err);
            if (rc != 0)
                return rc;
        }
    }
    return cache_copy_out(r->cache, digest, dirfd, name, executable, &r->answer, r->err);
}

static bool link_is(int dirfd, const char *name, const char *target)
{
    char text[PATH_MAX + 1];
    ssize_t n = readlinkat(dirfd, name, text, sizeof(text));
    return n >= 0 && (size_t)n == strlen(target) && memcmp(text, target, (size_t)n) == 0;
}

static int restore_link(struct restore *r, int dirfd, const char *name, const char *target)
{
    struct stat st;
    char tmp[CACHE_NAME_SIZE];
    if (link_is(dirfd, name, target))
        return 0;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
        int rc = file_remove_tree(dirfd, name, r->err);
        if (rc != 0)
            return rc;
    }
    cache_unique_name(r->cache, ".kiln", tmp);
    if (symlinkat(target, dirfd, tmp) != 0)
        return err_sys(r->err, errno, "cannot make the symbolic link");
    if (renameat(dirfd, tmp, dirfd, name) != 0) {
        int errnum = errno;
        (void)unlinkat(dirfd, tmp, 0);
        return err_sys(r->err, errnum, "cannot make the symbolic link");
    }
    return 0;
}

/* Makes name a directory, whatever else it was. */
static int restore_mkdir(struct restore *r, int dirfd, const char *name)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        if (unlinkat(dirfd, name, 0) != 0 && errno != ENOENT)
            return err_sys(r->err, errno, "cannot remove what stands in the way");
    }
    if (mkdirat(dirfd, name, 0777) != 0 && errno != EEXIST)
        return err_sys(r->err, errno, "cannot make the directory");
    return 0;
}

static bool dir_has(const struct tree_dir *dir, const char *name)
{
    size_t low = 0, high = dir->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(dir->entries[mid].name, name);
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* Removes what the directory holds and dir does not name. */
static int remove_extras(struct restore *r, int dirfd, const struct tree_dir *dir)
{
    VEC(char *) extras = VEC_INIT;
    int rc = 0;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        rc = err_sys(r->err, errno, "cannot read the directory");
        if (fd >= 0)
            close(fd);
        return rc;
    }
    struct dirent *entry;
    while ((errno = 0, entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !dir_has(dir, entry->d_name))
            vec_push(&extras, mem_strdup(entry->d_name));
    if (errno != 0)
        rc = err_sys(r->err, errno, "cannot read the directory");
    closedir(stream);
    vec_each (char *, name, &extras) {
        if (rc == 0)
            rc = file_remove_tree(dirfd, *name, r->err);
        free(*name);
    }
    vec_release(&extras);
    return rc;
}

static int wrap_path(struct restore *r, const char *path)
{
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, path, strlen(path));
    int rc = err_wrap(r->err, "restoring \"%s\"", buf_str(&shown));
    buf_release(&shown);
    return rc;
}

/* Everything of one directory but what its directories hold; these are made. */
static int fill_dir(struct restore *r, struct buf *path, const struct tree_dir *dir)
{
    int fd;
    int rc = beneath_open(r->root_fd, buf_str(path), false, &fd, r->err);
    if (rc == 0) {
        rc = remove_extras(r, fd, dir);
        if (rc != 0)
            close(fd);
    }
    if (rc != 0) {
        wrap_path(r, buf_str(path));
        return rc;
    }
    for (size_t i = 0; rc == 0 && r->answer == CACHE_HIT && i < dir->n; i++) {
        const struct tree_entry *entry = &dir->entries[i];
        switch (entry->kind) {
        case TREE_FILE:
            rc = restore_file(r, fd, entry->name, &entry->digest, entry->executable);
            break;
        case TREE_SYMLINK: rc = restore_link(r, fd, entry->name, entry->target); break;
        case TREE_DIR: rc = restore_mkdir(r, fd, entry->name); break;
        }
        if (rc != 0) {
            size_t cut = path->len;
            buf_addf(path, "/%s", entry->name);
            wrap_path(r, buf_str(path));
            buf_truncate(path, cut);
        }
    }
    close(fd);
    return rc;
}

static int restore_dir(struct restore *r, const struct trees *trees, const struct digest *digest,
                       struct buf *path, unsigned depth)
{
    struct arena arena = ARENA_INIT;
    struct tree_dir dir;
    if (depth > TREE_DEPTH_MAX)
        return err_set(r->err, ERR_CORRUPT, "a stored output is nested deeper than %d directories",
                       TREE_DEPTH_MAX);
    int rc = trees_open(trees, digest, &arena, &dir, r->err);
    if (rc == 0)
        rc = fill_dir(r, path, &dir);
    for (size_t i = 0; rc == 0 && r->answer == CACHE_HIT && i < dir.n; i++) {
        if (dir.entries[i].kind != TREE_DIR)
            continue;
        size_t cut = path->len;
        buf_addf(path, "/%s", dir.entries[i].name);
        rc = restore_dir(r, trees, &dir.entries[i].digest, path, depth + 1);
        buf_truncate(path, cut);
    }
    arena_release(&arena);
    return rc;
}

/* A Tree that does not decode, or is not of the root that the result names, counts as absent. */
static int restore_tree(struct restore *r, int dirfd, const char *name,
                        const struct action_output *output)
{
    struct trees *trees = trees_new();
    struct buf message = BUF_INIT, path = BUF_INIT;
    struct digest root;
    int rc = cache_get(r->cache, &output->digest, TREE_MAX, &message, &r->answer, r->err);
    if (rc == 0 && r->answer == CACHE_HIT &&
        (trees_decode_tree(trees, buf_str(&message), message.len, &root, NULL) != 0 ||
         !digest_eq(&root, &output->root)))
        r->answer = CACHE_MISS;
    if (rc == 0 && r->answer == CACHE_HIT)
        rc = restore_mkdir(r, dirfd, name);
    if (rc != 0) {
        wrap_path(r, output->path);
    } else if (r->answer == CACHE_HIT) {
        buf_adds(&path, output->path);
        rc = restore_dir(r, trees, &root, &path, 0);
    }
    buf_release(&message);
    buf_release(&path);
    trees_free(trees);
    return rc;
}

static int restore_output(struct restore *r, const struct action_output *output)
{
    int fd;
    const char *name;
    int rc = beneath_open_parent(r->root_fd, output->path, true, &fd, &name, r->err);
    if (rc != 0) {
        wrap_path(r, output->path);
        return rc;
    }
    if (output->kind == OUTPUT_DIR) {
        rc = restore_tree(r, fd, name, output);
    } else {
        if (output->kind == OUTPUT_FILE)
            rc = restore_file(r, fd, name, &output->digest, output->executable);
        else
            rc = restore_link(r, fd, name, output->target);
        if (rc != 0)
            wrap_path(r, output->path);
    }
    close(fd);
    return rc;
}

int outputs_restore(struct cache *cache, const char *root, const struct action_output *outputs,
                    size_t n, enum cache_answer *answer, struct err *err)
{
    struct err own = ERR_INIT; /* the kind passes through it, also when nobody wants the words */
    struct restore r = {.cache = cache, .answer = CACHE_HIT, .err = err ? err : &own};
    int rc = 0;
    *answer = CACHE_MISS;
    r.root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.root_fd < 0)
        return err_sys(err, errno, "cannot open the directory %s", root);
    r.hasher = hasher_new();
    for (size_t i = 0; rc == 0 && r.answer == CACHE_HIT && i < n; i++)
        rc = restore_output(&r, &outputs[i]);
    hasher_free(r.hasher);
    close(r.root_fd);
    err_release(&own);
    if (rc == 0)
        *answer = r.answer;
    return rc;
}
