/*
 * outputs.c - taking declared outputs into the cache; putting them back is in outputs_restore.c.
 *
 * Directories are opened one at a time by their path below the output, so depth costs no
 * descriptors.
 */
#include "cache/outputs.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/beneath.h"
#include "cache/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct capture {
    struct cache *cache;   /* NULL: digests only */
    struct hasher *hasher; /* then */
    struct arena *arena;   /* the caller's: what is returned */
    int root_fd;
    uint64_t bytes;
    struct err *err;
};

/* Names what the error is about; path is bytes of any kind. */
static int at_path(struct capture *c, const char *path)
{
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, path, strlen(path));
    int rc = err_wrap(c->err, "output \"%s\"", buf_str(&shown));
    buf_release(&shown);
    return rc;
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int changed(struct capture *c)
{
    return err_set(c->err, ERR_CORRUPT,
                   "it changed while it was read; something still writes to it");
}

static int refuse_kind(struct capture *c, mode_t mode)
{
    const char *kind = S_ISFIFO(mode)   ? "a FIFO"
                       : S_ISSOCK(mode) ? "a socket"
                       : S_ISCHR(mode)  ? "a character device"
                       : S_ISBLK(mode)  ? "a block device"
                                        : "of a kind unknown to kiln";
    return err_set(c->err, ERR_CONFIG,
                   "it is %s, which no cache can give back; remove it at the end of the step, or "
                   "leave it out of the outputs",
                   kind);
}

static int capture_file(struct capture *c, int dirfd, const char *name, struct digest *digest,
                        bool *executable)
{
    struct stat before, after;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ELOOP || errno == ENOENT || errno == ENXIO))
        return changed(c); /* it was a file a moment ago */
    if (fd < 0)
        return err_sys(c->err, errno, "cannot read it");
    int rc = 0;
    if (fstat(fd, &before) != 0)
        rc = err_sys(c->err, errno, "cannot read it");
    else if (!S_ISREG(before.st_mode))
        rc = changed(c);
    else if (c->cache)
        rc = cache_put_fd(c->cache, fd, (uint64_t)before.st_size, digest, c->err);
    else
        rc = digest_of_fd(c->hasher, fd, digest, c->err);
    if (rc == 0 && (fstat(fd, &after) != 0 || !same_stat(&before, &after)))
        rc = changed(c);
    close(fd);
    if (rc == 0) {
        *executable = (before.st_mode & S_IXUSR) != 0;
        c->bytes += digest->size;
    }
    return rc;
}

static int capture_link(struct capture *c, int dirfd, const char *name, struct arena *arena,
                        const char **target)
{
    char text[PATH_MAX + 1];
    ssize_t n = readlinkat(dirfd, name, text, sizeof(text));
    if (n < 0 && (errno == EINVAL || errno == ENOENT))
        return changed(c);
    if (n < 0)
        return err_sys(c->err, errno, "cannot read the symbolic link");
    if ((size_t)n == sizeof(text))
        return err_set(c->err, ERR_CONFIG, "the symbolic link's target is too long");
    if (!utf8_valid(text, (size_t)n))
        return err_set(c->err, ERR_CONFIG,
                       "the symbolic link's target is not valid UTF-8, so it cannot be stored");
    *target = arena_strndup(arena, text, (size_t)n);
    return 0;
}

static int entry_cmp(const void *a, const void *b)
{
    return strcmp(((const struct tree_entry *)a)->name, ((const struct tree_entry *)b)->name);
}

/* What one directory holds while it is read. */
struct listing {
    VEC(struct tree_entry) entries;
    struct arena arena;
};

static int list_entry(struct capture *c, int dirfd, const char *name, struct listing *list)
{
    struct stat st;
    struct tree_entry entry = {.name = arena_strdup(&list->arena, name)};
    if (!utf8_valid(name, strlen(name)))
        return err_set(c->err, ERR_CONFIG,
                       "its name is not valid UTF-8, so it cannot be stored; give it another name");
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? changed(c) : err_sys(c->err, errno, "cannot look at it");
    int rc = 0;
    if (S_ISDIR(st.st_mode)) {
        entry.kind = TREE_DIR; /* entered once this directory is closed */
    } else if (S_ISLNK(st.st_mode)) {
        entry.kind = TREE_SYMLINK;
        rc = capture_link(c, dirfd, name, &list->arena, &entry.target);
    } else if (S_ISREG(st.st_mode)) {
        entry.kind = TREE_FILE;
        rc = capture_file(c, dirfd, name, &entry.digest, &entry.executable);
    } else {
        rc = refuse_kind(c, st.st_mode);
    }
    if (rc == 0)
        vec_push(&list->entries, entry);
    return rc;
}

/* Adds a component to the path of the directory that is open; returns the length to cut back to. */
static size_t push(struct buf *path, const char *name)
{
    size_t before = path->len;
    if (before > 0)
        buf_addc(path, '/');
    buf_adds(path, name);
    return before;
}

/* Reads the directory whose path below the root is path, all but its directories. */
static int list_dir(struct capture *c, struct buf *path, struct listing *list)
{
    struct stat before, after;
    int fd;
    int rc = beneath_open(c->root_fd, buf_str(path), false, &fd, c->err);
    if (rc != 0)
        return at_path(c, buf_str(path));
    DIR *dir = fstat(fd, &before) == 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        err_sys(c->err, errno, "cannot read the directory");
        close(fd);
        return at_path(c, buf_str(path));
    }
    struct dirent *entry;
    while (rc == 0 && (errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        rc = list_entry(c, fd, entry->d_name, list);
        if (rc != 0) {
            size_t cut = push(path, entry->d_name);
            rc = at_path(c, buf_str(path));
            buf_truncate(path, cut);
        }
        errno = 0;
    }
    if (rc == 0 && errno != 0) {
        err_sys(c->err, errno, "cannot read the directory");
        rc = at_path(c, buf_str(path));
    }
    if (rc == 0 && (fstat(fd, &after) != 0 || !same_stat(&before, &after))) {
        changed(c);
        rc = at_path(c, buf_str(path));
    }
    closedir(dir);
    return rc;
}

static int capture_dir(struct capture *c, struct trees *trees, struct buf *path, unsigned depth,
                       struct digest *digest)
{
    struct listing list = {.entries = VEC_INIT};
    if (depth > TREE_DEPTH_MAX) {
        err_set(c->err, ERR_CONFIG, "it is nested deeper than %d directories", TREE_DEPTH_MAX);
        return at_path(c, buf_str(path));
    }
    int rc = list_dir(c, path, &list);
    if (rc == 0 && list.entries.n > 0)
        qsort(list.entries.v, list.entries.n, sizeof(*list.entries.v), entry_cmp);
    for (size_t i = 0; rc == 0 && i < list.entries.n; i++) {
        struct tree_entry *entry = &list.entries.v[i];
        if (entry->kind != TREE_DIR)
            continue;
        size_t cut = push(path, entry->name);
        rc = capture_dir(c, trees, path, depth + 1, &entry->digest);
        buf_truncate(path, cut);
    }
    if (rc == 0)
        *digest = trees_put(trees, list.entries.v, list.entries.n);
    vec_release(&list.entries);
    arena_release(&list.arena);
    return rc;
}

/* A listing is read back at once, so one that is there already, but damaged, is found and replaced
 * here. */
static int put_listing(struct capture *c, const struct buf *message, struct digest *digest)
{
    struct buf back = BUF_INIT;
    enum cache_answer answer = CACHE_MISS;
    int rc = cache_put(c->cache, buf_str(message), message->len, digest, c->err);
    if (rc == 0)
        rc = cache_get(c->cache, digest, message->len, &back, &answer, c->err);
    if (rc == 0 && answer == CACHE_MISS)
        rc = cache_put(c->cache, buf_str(message), message->len, digest, c->err);
    buf_release(&back);
    return rc;
}

static int capture_tree(struct capture *c, struct action_output *output)
{
    struct trees *trees = trees_new();
    struct buf path = BUF_INIT, message = BUF_INIT;
    buf_adds(&path, output->path);
    int rc = capture_dir(c, trees, &path, 0, &output->root);
    if (rc == 0) {
        rc = trees_encode_tree(trees, &output->root, &message, c->err);
        if (rc == 0 && c->cache)
            rc = put_listing(c, &message, &output->digest);
        else if (rc == 0)
            output->digest = digest_of(buf_str(&message), message.len);
        if (rc != 0)
            at_path(c, output->path);
    }
    trees_free(trees);
    buf_release(&path);
    buf_release(&message);
    return rc;
}

static int capture_at(struct capture *c, int dirfd, const char *name, struct action_output *output)
{
    struct stat st;
    int rc;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            rc = err_set(c->err, ERR_CONFIG,
                         "the step did not make it; make it, or take it out of the outputs");
        else
            rc = err_sys(c->err, errno, "cannot look at it");
    } else if (S_ISDIR(st.st_mode)) {
        output->kind = OUTPUT_DIR;
        return capture_tree(c, output);
    } else if (S_ISLNK(st.st_mode)) {
        output->kind = OUTPUT_SYMLINK;
        rc = capture_link(c, dirfd, name, c->arena, &output->target);
    } else if (S_ISREG(st.st_mode)) {
        output->kind = OUTPUT_FILE;
        rc = capture_file(c, dirfd, name, &output->digest, &output->executable);
    } else {
        rc = refuse_kind(c, st.st_mode);
    }
    if (rc != 0)
        at_path(c, output->path);
    return rc;
}

static int capture_output(struct capture *c, const char *path, struct action_output *output)
{
    int fd;
    const char *name;
    *output = (struct action_output){.path = arena_strdup(c->arena, path)};
    int rc = 0;
    if (!utf8_valid(path, strlen(path)))
        rc = err_set(c->err, ERR_CONFIG, "the name is not valid UTF-8, so it cannot be stored");
    else
        rc = beneath_open_parent(c->root_fd, path, false, &fd, &name, c->err);
    if (rc != 0) {
        at_path(c, path);
        return rc;
    }
    rc = capture_at(c, fd, name, output);
    close(fd);
    return rc;
}

static int output_cmp(const void *a, const void *b)
{
    return strcmp(((const struct action_output *)a)->path, ((const struct action_output *)b)->path);
}

int outputs_capture(struct cache *cache, const char *root, const char *const *paths, size_t n,
                    struct arena *arena, struct action_output **outputs, uint64_t *bytes,
                    struct err *err)
{
    struct err own = ERR_INIT; /* the kind passes through it, also when nobody wants the words */
    struct capture c = {.cache = cache, .arena = arena, .err = err ? err : &own};
    int rc = 0;
    c.root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c.root_fd < 0)
        return err_sys(err, errno, "cannot open the directory %s", root);
    c.hasher = cache ? NULL : hasher_new();
    *outputs = arena_zalloc(arena, n, sizeof(**outputs));
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = capture_output(&c, paths[i], &(*outputs)[i]);
    close(c.root_fd);
    hasher_free(c.hasher);
    err_release(&own);
    if (rc != 0)
        return rc;
    if (n > 0)
        qsort(*outputs, n, sizeof(**outputs), output_cmp);
    if (bytes)
        *bytes = c.bytes;
    return 0;
}
