/* take.c - looks at what is to be taken and at what the tree holds, and plans (see take.h). */
#include "cache/take_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"
#include "cache/changes.h"
#include "cache/merge.h"
#include "cache/unfinished.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

static bool same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* -- looking ----------------------------------------------------------------------------------- */

static int look_into(struct hasher *hasher, int dirfd, const char *name, struct stat *st,
                     struct digest *digest, struct err *err)
{
    struct stat after;
    int fd = openat(dirfd, name, FILE_FLAGS);
    if (fd < 0)
        return err_sys(err, errno, "cannot read it");
    int rc = fstat(fd, st) != 0 || !S_ISREG(st->st_mode)
                 ? err_set(err, ERR_CORRUPT, "it changed while it was read")
                 : digest_of_fd(hasher, fd, digest, err);
    if (rc == 0 && (fstat(fd, &after) != 0 || !same_stat(st, &after)))
        rc = err_set(err, ERR_CORRUPT, "it changed while it was read: something writes to it");
    close(fd);
    return rc;
}

static int look(struct hasher *hasher, int dirfd, const char *name, struct arena *arena,
                struct stat *st, struct file_state *out, struct err *err)
{
    char target[PATH_MAX];
    *out = (struct file_state){.kind = FILE_OTHER};
    if (fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW) != 0) {
        out->kind = FILE_ABSENT;
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot look at it");
    }
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dirfd, name, target, sizeof target);
        if (n < 0 || n == sizeof target)
            return err_sys(err, n < 0 ? errno : ENAMETOOLONG, "cannot read the link");
        out->kind = FILE_LINK;
        out->target = arena_strndup(arena, target, (size_t)n);
        return 0;
    }
    if (!S_ISREG(st->st_mode))
        return 0;
    int rc = look_into(hasher, dirfd, name, st, &out->digest, err);
    out->kind = FILE_REGULAR;
    out->executable = st->st_mode & S_IXUSR;
    return rc;
}

int take_look(int dirfd, const char *name, struct arena *arena, struct file_state *out,
              struct err *err)
{
    struct hasher *hasher = hasher_new();
    struct stat st;
    int rc = look(hasher, dirfd, name, arena, &st, out, err);
    hasher_free(hasher);
    return rc;
}

/* Whether a parent of the path is not there (or_file: or a file), and all above it are directories:
 * then nothing is at the path. */
static bool parent_missing(int root_fd, const char *path, bool or_file)
{
    bool missing = false, directory = true;
    for (const char *slash = strchr(path, '/'); slash && directory;
         slash = strchr(slash + 1, '/')) {
        struct stat st;
        char *parent = mem_strndup(path, (size_t)(slash - path));
        int rc = fstatat(root_fd, parent, &st, AT_SYMLINK_NOFOLLOW);
        directory = rc == 0 && S_ISDIR(st.st_mode);
        missing = rc != 0 ? errno == ENOENT : or_file && S_ISREG(st.st_mode);
        free(parent);
    }
    return missing;
}

static int look_in_tree(struct take *take, struct taking *todo, struct err *err)
{
    struct take_item *item = todo->item;
    const char *name;
    struct err why = ERR_INIT;
    int fd = -1, rc = 0;
    bool gone = item->is.kind == FILE_ABSENT; /* what is there instead is no affair of this item */
    if (beneath_open_parent(take->root_fd, item->path, false, &fd, &name, &why) == 0) {
        rc = look(take->hasher, fd, name, take->request->arena, &todo->st, &item->now, err);
        if (gone && item->now.kind == FILE_OTHER && S_ISDIR(todo->st.st_mode))
            item->now.kind = FILE_ABSENT;
        close(fd);
    } else if (parent_missing(take->root_fd, item->path, gone)) {
        item->now = (struct file_state){.kind = FILE_ABSENT};
    } else if (why.kind == ERR_CONFIG) {
        item->conflict = arena_printf(take->request->arena, "is out of reach: %s", err_text(&why));
    } else {
        rc = err_move(err, &why);
    }
    err_release(&why);
    return rc;
}

static int look_at_source(struct take *take, struct take_item *item, struct err *err)
{
    const char *name;
    struct stat st;
    int fd = -1;
    if (item->is.kind != FILE_REGULAR || !digest_is_null(&item->is.digest))
        return 0;
    int rc = beneath_open_parent(take->request->from_fd, item->path, false, &fd, &name, err);
    if (rc == 0)
        rc = look(take->hasher, fd, name, take->request->arena, &st, &item->is, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

int take_open(int fd, const char *path, struct err *err)
{
    const char *name;
    struct stat st;
    int dirfd = -1, rc = beneath_open_parent(fd, path, false, &dirfd, &name, err);
    if (rc != 0)
        return rc;
    int file = openat(dirfd, name, FILE_FLAGS);
    int errnum = file < 0 ? errno : 0;
    close(dirfd);
    if (file >= 0 && (fstat(file, &st) != 0 || !S_ISREG(st.st_mode))) {
        close(file);
        return err_set(err, ERR_CORRUPT, "%s is not a file any more", path);
    }
    return errnum ? err_sys(err, errnum, "cannot read %s", path) : file;
}

int take_read(int fd, const char *path, size_t max, struct buf *out, struct err *err)
{
    int file = take_open(fd, path, err);
    if (file < 0)
        return file;
    int rc = file_read_fd(file, path, max, out, err);
    close(file);
    return rc;
}

/* -- planning ---------------------------------------------------------------------------------- */

static bool holds(const struct buf *text, const struct digest *digest)
{
    struct digest is = digest_of(buf_str(text), text->len);
    return digest_eq(&is, digest);
}

static int merge(struct take *take, struct taking *todo, struct err *err)
{
    struct take_request *request = take->request;
    struct take_item *item = todo->item;
    struct buf was = BUF_INIT, mine = BUF_INIT, theirs = BUF_INIT;
    int rc = 0;
    if (item->is.digest.size > TAKE_MERGE_MAX || item->now.digest.size > TAKE_MERGE_MAX ||
        item->was.digest.size > TAKE_MERGE_MAX) {
        item->conflict = "was changed in both, and is too large to be merged";
    } else if (!request->was || !request->was(request->ctx, item->path, &item->was.digest, &was)) {
        item->conflict = "was changed in both, and what the step was given is not kept, so that "
                         "they can't be merged";
    } else {
        rc = take_read(request->from_fd, item->path, TAKE_MERGE_MAX, &theirs, err);
        if (rc == 0)
            rc = take_read(take->root_fd, item->path, TAKE_MERGE_MAX, &mine, err);
        if (rc == 0 && (!holds(&theirs, &item->is.digest) || !holds(&mine, &item->now.digest)))
            rc = err_set(err, ERR_CORRUPT, "it changed while it was read");
        if (rc == 0 && !(changes_is_text(buf_str(&was), was.len) &&
                         changes_is_text(buf_str(&mine), mine.len) &&
                         changes_is_text(buf_str(&theirs), theirs.len)))
            item->conflict = "was changed in both, and is no text that could be merged";
        else if (rc == 0 &&
                 merge_texts(&was, &mine, &theirs, &todo->merged, &item->line) != MERGE_CLEAN)
            item->conflict = "was changed in both, in the same lines";
    }
    if (rc == 0 && !item->conflict && holds(&todo->merged, &item->now.digest))
        item->plan.action =
            item->plan.executable == item->now.executable ? TAKE_NOTHING : TAKE_MODE;
    buf_release(&was);
    buf_release(&mine);
    buf_release(&theirs);
    return rc;
}

static int plan(struct take *take, struct take_item *item, struct err *err)
{
    struct taking todo = {.item = item, .merged = BUF_INIT};
    item->conflict = item->problem;
    int rc = item->conflict ? 0 : look_at_source(take, item, err);
    if (rc == 0 && !item->conflict)
        rc = look_in_tree(take, &todo, err);
    if (rc == 0 && !item->conflict) {
        item->plan = take_plan(&item->was, &item->is, &item->now);
        item->conflict = item->plan.why;
        if (item->plan.action == TAKE_MERGE)
            rc = merge(take, &todo, err);
    }
    if (item->conflict) {
        item->plan.action = TAKE_CONFLICT;
        take->request->conflicts++;
    }
    if (rc == 0 && !item->conflict && item->plan.action != TAKE_NOTHING)
        vec_push(&take->todo, todo);
    else
        buf_release(&todo.merged);
    return rc < 0 ? err_wrap(err, "%s", item->path) : 0;
}

int take_files(struct take_request *request, struct err *err)
{
    struct take take = {.request = request, .hasher = hasher_new()};
    int rc = 0;
    request->conflicts = request->taken = 0;
    take.root_fd = open(request->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (take.root_fd < 0)
        rc = err_sys(err, errno, "cannot open %s", request->root);
    for (size_t i = 0; rc == 0 && i < request->n; i++)
        rc = plan(&take, &request->items[i], err);
    if (rc == 0 && request->conflicts == 0) {
        unfinished_begin(request->cache);
        for (size_t i = 0; rc == 0 && i < take.todo.n; i++) {
            rc = take_write(&take, &take.todo.v[i], err);
            if (rc < 0)
                err_wrap(err, "%s", take.todo.v[i].item->path);
        }
        if (rc == 0)
            rc = take_place(&take, err);
        if (rc == 0)
            request->taken = take.todo.n;
        take_drop(&take, rc == 0);
        unfinished_end(request->cache);
    }
    vec_each (struct taking, todo, &take.todo)
        buf_release(&todo->merged);
    vec_release(&take.todo);
    vec_each (char *, path, &take.made)
        free(*path);
    vec_release(&take.made);
    if (take.root_fd >= 0)
        close(take.root_fd);
    hasher_free(take.hasher);
    return rc;
}
