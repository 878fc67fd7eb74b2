/*
 * outputs.c - taking declared outputs into the cache; putting them back is in outputs_restore.c.
 *
 * The directories are listed first, then several hands take all files, then the directories are
 * looked at again: who has made or removed something meanwhile is seen. They are opened one at a
 * time by their path, so depth costs no descriptors.
 */
#include "cache/outputs_private.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory, as it was when it was listed. */
struct listed {
    const char *path; /* below the root */
    unsigned depth;   /* below the output */
    struct stat st;
    struct tree_entry *entries;
    size_t n;
    struct digest *digest; /* where its own goes: in its parent's entry, or in the output */
};

/* What comes of an output, once all files are taken. */
struct pending {
    struct action_output *output;
    struct tree_entry *file; /* of the output itself, or NULL */
    size_t dirs, n_dirs;     /* a part of capture.dirs, parents before their children */
};

struct capture {
    struct cache *cache; /* NULL: digests only */
    struct arena *arena; /* the caller's: what is returned */
    int root_fd;
    struct arena held; /* the listings */
    VEC(struct listed) dirs;
    VEC(struct pending) pending;
    struct batch batch;
    uint64_t bytes;
    struct err *err;
};

/* Names what the error is about; path is bytes of any kind. */
static int at_path(struct err *err, const char *path)
{
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, path, strlen(path));
    int rc = err_wrap(err, "output \"%s\"", buf_str(&shown));
    buf_release(&shown);
    return rc;
}

static int at_name(struct err *err, const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    int rc = at_path(err, path);
    free(path);
    return rc;
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int changed(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "it changed while it was read; something still writes to it");
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

/* -- files ------------------------------------------------------------------------------------- */

static int take_file(const struct capture *c, struct hand *hand, int dirfd,
                     struct tree_entry *entry)
{
    struct stat before, after;
    struct err *err = &hand->err;
    int fd = openat(dirfd, entry->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ELOOP || errno == ENOENT || errno == ENXIO))
        return changed(err); /* it was a file a moment ago */
    if (fd < 0)
        return err_sys(err, errno, "cannot read it");
    int rc = 0;
    if (fstat(fd, &before) != 0)
        rc = err_sys(err, errno, "cannot read it");
    else if (!S_ISREG(before.st_mode))
        rc = changed(err);
    else if (c->cache)
        rc =
            cache_put_by(c->cache, &hand->tools, fd, (uint64_t)before.st_size, &entry->digest, err);
    else
        rc = digest_of_fd(hand->tools.hasher, fd, &entry->digest, err);
    if (rc == 0 && (fstat(fd, &after) != 0 || !same_stat(&before, &after)))
        rc = changed(err);
    close(fd);
    entry->executable = rc == 0 && (before.st_mode & S_IXUSR) != 0;
    return rc;
}

static void take_task(void *ctx, struct hand *hand, const struct task *task)
{
    const struct capture *c = ctx;
    int fd;
    hand->rc = beneath_open(c->root_fd, task->at, false, &fd, &hand->err);
    if (hand->rc != 0) {
        at_path(&hand->err, task->path);
        return;
    }
    for (size_t i = 0; hand->rc == 0 && i < task->n; i++) {
        struct tree_entry *entry = &task->entries[i];
        if (entry->kind != TREE_FILE)
            continue;
        hand->rc = take_file(c, hand, fd, entry);
        if (hand->rc != 0)
            at_name(&hand->err, task->path, entry->name);
    }
    close(fd);
}

/* -- directories ------------------------------------------------------------------------------- */

static int capture_link(struct capture *c, int dirfd, const char *name, struct arena *arena,
                        const char **target)
{
    char text[PATH_MAX + 1];
    ssize_t n = readlinkat(dirfd, name, text, sizeof(text));
    if (n < 0 && (errno == EINVAL || errno == ENOENT))
        return changed(c->err);
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

typedef VEC(struct tree_entry) entries;

static int list_entry(struct capture *c, int dirfd, const char *name, entries *list)
{
    struct stat st;
    struct tree_entry entry = {.name = arena_strdup(&c->held, name)};
    if (!utf8_valid(name, strlen(name)))
        return err_set(c->err, ERR_CONFIG,
                       "its name is not valid UTF-8, so it cannot be stored; give it another name");
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? changed(c->err) : err_sys(c->err, errno, "cannot look at it");
    int rc = 0;
    if (S_ISDIR(st.st_mode)) {
        entry.kind = TREE_DIR; /* listed later */
    } else if (S_ISLNK(st.st_mode)) {
        entry.kind = TREE_SYMLINK;
        rc = capture_link(c, dirfd, name, &c->held, &entry.target);
    } else if (S_ISREG(st.st_mode)) {
        entry.kind = TREE_FILE;
        entry.digest.size = (uint64_t)st.st_size; /* until it is taken */
    } else {
        rc = refuse_kind(c, st.st_mode);
    }
    if (rc == 0)
        vec_push(list, entry);
    return rc;
}

/* Lists what the open directory holds; closes it. */
static int list_open(struct capture *c, struct listed *dir, int fd, entries *list)
{
    struct stat after;
    DIR *stream = fstat(fd, &dir->st) == 0 ? fdopendir(fd) : NULL;
    int rc = 0;
    if (!stream) {
        err_sys(c->err, errno, "cannot read the directory");
        close(fd);
        return at_path(c->err, dir->path);
    }
    struct dirent *entry;
    while (rc == 0 && (errno = 0, entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        rc = list_entry(c, fd, entry->d_name, list);
        if (rc != 0)
            rc = at_name(c->err, dir->path, entry->d_name);
        errno = 0;
    }
    if (rc == 0 && errno != 0) {
        err_sys(c->err, errno, "cannot read the directory");
        rc = at_path(c->err, dir->path);
    }
    if (rc == 0 && (fstat(fd, &after) != 0 || !same_stat(&dir->st, &after))) {
        changed(c->err);
        rc = at_path(c->err, dir->path);
    }
    closedir(stream);
    return rc;
}

/* Lists one directory; its files are gathered, its directories come behind all others. */
static int list_dir(struct capture *c, size_t index)
{
    struct listed *dir = &c->dirs.v[index];
    entries list = VEC_INIT;
    int fd;
    if (dir->depth > TREE_DEPTH_MAX) {
        err_set(c->err, ERR_CONFIG, "it is nested deeper than %d directories", TREE_DEPTH_MAX);
        return at_path(c->err, dir->path);
    }
    int rc = beneath_open(c->root_fd, dir->path, false, &fd, c->err);
    rc = rc == 0 ? list_open(c, dir, fd, &list) : at_path(c->err, dir->path);
    if (rc == 0 && list.n > 0) {
        qsort(list.v, list.n, sizeof(*list.v), entry_cmp);
        dir->entries = arena_memdup(&c->held, list.v, list.n * sizeof(*list.v));
        dir->n = list.n;
        batch_add(&c->batch, dir->path, dir->path, false, dir->entries, dir->n);
    }
    vec_release(&list);
    const struct listed parent = *dir; /* the vector may move */
    for (size_t i = 0; rc == 0 && i < parent.n; i++) {
        struct tree_entry *entry = &parent.entries[i];
        if (entry->kind != TREE_DIR)
            continue;
        char *path = path_join(parent.path, entry->name);
        vec_push(&c->dirs, (struct listed){.path = arena_strdup(&c->held, path),
                                           .depth = parent.depth + 1,
                                           .digest = &entry->digest});
        free(path);
    }
    return rc;
}

static int list_tree(struct capture *c, struct action_output *output)
{
    struct pending pending = {.output = output, .dirs = c->dirs.n};
    int rc = 0;
    vec_push(&c->dirs, (struct listed){.path = output->path, .digest = &output->root});
    for (size_t i = pending.dirs; rc == 0 && i < c->dirs.n; i++)
        rc = list_dir(c, i);
    pending.n_dirs = c->dirs.n - pending.dirs;
    vec_push(&c->pending, pending);
    return rc;
}

/* Whether each directory is still what was listed, now that the files are taken. */
static int look_again(struct capture *c)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->dirs.n; i++) {
        const struct listed *dir = &c->dirs.v[i];
        struct stat st;
        int fd;
        rc = beneath_open(c->root_fd, dir->path, false, &fd, c->err);
        bool same = rc == 0 && fstat(fd, &st) == 0 && st.st_dev == dir->st.st_dev &&
                    st.st_ino == dir->st.st_ino && same_stat(&dir->st, &st);
        if (rc == 0)
            close(fd);
        if (!same && rc != -(int)ERR_SYSTEM)
            rc = changed(c->err);
        if (rc != 0)
            rc = at_path(c->err, dir->path);
    }
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

static int finish_tree(struct capture *c, const struct pending *pending)
{
    struct action_output *output = pending->output;
    struct trees *trees = trees_new();
    struct buf message = BUF_INIT;
    for (size_t i = pending->dirs + pending->n_dirs; i-- > pending->dirs;) {
        const struct listed *dir = &c->dirs.v[i];
        *dir->digest = trees_put(trees, dir->entries, dir->n);
        for (size_t k = 0; k < dir->n; k++)
            c->bytes += dir->entries[k].kind == TREE_FILE ? dir->entries[k].digest.size : 0;
    }
    int rc = trees_encode_tree(trees, &output->root, &message, c->err);
    if (rc == 0 && c->cache)
        rc = put_listing(c, &message, &output->digest);
    else if (rc == 0)
        output->digest = digest_of(buf_str(&message), message.len);
    if (rc != 0)
        at_path(c->err, output->path);
    trees_free(trees);
    buf_release(&message);
    return rc;
}

static int finish(struct capture *c, const struct pending *pending)
{
    if (!pending->file)
        return finish_tree(c, pending);
    pending->output->digest = pending->file->digest;
    pending->output->executable = pending->file->executable;
    c->bytes += pending->file->digest.size;
    return 0;
}

/* -- outputs ----------------------------------------------------------------------------------- */

/* A single file is gathered like those of the directory that it lies in. */
static void gather_file(struct capture *c, struct action_output *output, const char *name,
                        uint64_t size)
{
    struct pending pending = {.output = output,
                              .file = arena_zalloc(&c->held, 1, sizeof(*pending.file))};
    size_t n = (size_t)(name - output->path);
    const char *dir = arena_strndup(&c->held, output->path, n > 0 ? n - 1 : 0);
    *pending.file = (struct tree_entry){.kind = TREE_FILE, .name = name, .digest = {.size = size}};
    batch_add(&c->batch, dir, dir, false, pending.file, 1);
    vec_push(&c->pending, pending);
}

static int capture_at(struct capture *c, int dirfd, const char *name, struct action_output *output)
{
    struct stat st;
    int rc;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            rc = err_set(c->err, ERR_CONFIG,
                         "the step did not make it; make it, or take it out of the outputs");
        else if (errno == ENAMETOOLONG)
            rc = err_set(c->err, ERR_CONFIG,
                         "no file can have so long a name; give it a shorter one");
        else
            rc = err_sys(c->err, errno, "cannot look at it");
    } else if (S_ISDIR(st.st_mode)) {
        output->kind = OUTPUT_DIR;
        return list_tree(c, output);
    } else if (S_ISLNK(st.st_mode)) {
        output->kind = OUTPUT_SYMLINK;
        rc = capture_link(c, dirfd, name, c->arena, &output->target);
    } else if (S_ISREG(st.st_mode)) {
        output->kind = OUTPUT_FILE;
        gather_file(c, output, name, (uint64_t)st.st_size);
        rc = 0;
    } else {
        rc = refuse_kind(c, st.st_mode);
    }
    if (rc != 0)
        at_path(c->err, output->path);
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
        rc = beneath_open_parent(c->root_fd, output->path, false, &fd, &name, c->err);
    if (rc != 0) {
        at_path(c->err, path);
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
    enum cache_answer answer = CACHE_HIT;
    int rc = 0;
    c.root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c.root_fd < 0)
        return err_sys(err, errno, "cannot open the directory %s", root);
    c.batch.work = take_task;
    c.batch.ctx = &c;
    *outputs = arena_zalloc(arena, n, sizeof(**outputs));
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = capture_output(&c, paths[i], &(*outputs)[i]);
    if (rc == 0)
        rc = batch_run(&c.batch, &answer, c.err);
    if (rc == 0)
        rc = look_again(&c);
    for (size_t i = 0; rc == 0 && i < c.pending.n; i++)
        rc = finish(&c, &c.pending.v[i]);
    batch_release(&c.batch);
    vec_release(&c.pending);
    vec_release(&c.dirs);
    arena_release(&c.held);
    close(c.root_fd);
    err_release(&own);
    if (rc != 0)
        return rc;
    if (n > 0)
        qsort(*outputs, n, sizeof(**outputs), output_cmp);
    if (bytes)
        *bytes = c.bytes;
    return 0;
}
