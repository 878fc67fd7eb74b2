/*
 * outputs_restore.c - putting stored outputs back into place.
 *
 * Looks before it writes, so that what is right keeps its inode and time stamp. A directory that is
 * not there is built beside its place and comes by one rename; in one that is there each file and
 * link comes by rename: an interruption leaves the old one or the new one, and names that
 * unfinished.h collects.
 */
#include "cache/outputs_private.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"
#include "cache/unfinished.h"

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

#define BATCH_FILES 16384 /* gathered before the hands begin */

/* -- links and directories --------------------------------------------------------------------- */

static bool link_is(int dirfd, const char *name, const char *target)
{
    char text[PATH_MAX + 1];
    ssize_t n = readlinkat(dirfd, name, text, sizeof(text));
    return n >= 0 && (size_t)n == strlen(target) && memcmp(text, target, (size_t)n) == 0;
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

static int restore_link(struct restore *r, int dirfd, const struct place *place, const char *name,
                        const char *target)
{
    char tmp[CACHE_NAME_SIZE];
    if (place->fresh)
        return symlinkat(target, dirfd, name) == 0
                   ? 0
                   : err_sys(r->err, errno, "cannot make the symbolic link");
    if (link_is(dirfd, name, target))
        return 0;
    int rc = restore_clear(dirfd, name, r->err);
    if (rc != 0)
        return rc;
    unfinished_note(r->cache, r->root, place->at);
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

/* Makes sure that there is a directory for name in place, and that it is gone through. */
static int restore_dir(struct restore *r, int dirfd, const struct place *place, const char *name,
                       const struct digest *digest)
{
    struct stat st;
    struct place sub = {.digest = *digest, .depth = place->depth + 1, .fresh = true};
    struct staged staged;
    const char *at = name;
    if (sub.depth > TREE_DEPTH_MAX)
        return err_set(r->err, ERR_CORRUPT, "a stored output is nested deeper than %d directories",
                       TREE_DEPTH_MAX);
    if (!place->fresh) {
        sub.fresh = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode);
        if (sub.fresh) {
            unfinished_note(r->cache, r->root, place->at);
            cache_unique_name(r->cache, ".kiln", staged.tmp);
            at = staged.tmp;
        }
    }
    if (sub.fresh && mkdirat(dirfd, at, 0777) != 0)
        return err_sys(r->err, errno, "cannot make the directory");
    sub.path = path_join(place->path, name);
    sub.at = path_join(place->at, at);
    vec_push(&r->places, sub);
    if (sub.fresh && !place->fresh) {
        staged.path = mem_strdup(place->path);
        staged.name = mem_strdup(name);
        vec_push(&r->staged, staged);
    }
    return 0;
}

/* Everything of one directory but its files, which are gathered. */
static int fill_dir(struct restore *r, const struct place *place)
{
    int fd;
    struct tree_dir dir;
    int rc = trees_open(r->trees, &place->digest, &r->batch.arena, &dir, r->err);
    if (rc == 0)
        rc = beneath_open(r->root_fd, place->at, false, &fd, r->err);
    if (rc == 0 && !place->fresh) {
        rc = remove_extras(r, fd, &dir);
        if (rc != 0)
            close(fd);
    }
    if (rc != 0) {
        restore_wrap(r->err, place->path, "");
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < dir.n; i++) {
        const struct tree_entry *entry = &dir.entries[i];
        if (entry->kind == TREE_SYMLINK)
            rc = restore_link(r, fd, place, entry->name, entry->target);
        else if (entry->kind == TREE_DIR)
            rc = restore_dir(r, fd, place, entry->name, &entry->digest);
        if (rc != 0)
            restore_wrap(r->err, place->path, entry->name);
    }
    close(fd);
    batch_add(&r->batch, place->path, place->at, place->fresh, dir.entries, dir.n);
    return rc;
}

static void place_release(struct place *place)
{
    free(place->path);
    free(place->at);
}

static int go_through_places(struct restore *r)
{
    int rc = 0;
    while (rc == 0 && r->answer == CACHE_HIT && r->places.n) {
        struct place place = vec_pop(&r->places);
        rc = fill_dir(r, &place);
        place_release(&place);
        if (rc == 0 && r->batch.n_files >= BATCH_FILES)
            rc = batch_run(&r->batch, &r->answer, r->err);
    }
    if (rc == 0 && r->answer == CACHE_HIT)
        rc = batch_run(&r->batch, &r->answer, r->err);
    return rc;
}

static int swap_in(int fd, const struct staged *staged, struct err *err)
{
    struct stat st;
    if (fstatat(fd, staged->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
        unlinkat(fd, staged->name, 0) != 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot remove what stands in the way");
    if (renameat(fd, staged->tmp, fd, staged->name) != 0)
        return err_sys(err, errno, "cannot put the directory into its place");
    return 0;
}

/* Puts the directories that are built into their places; where rc or the answer say that they are
 * not whole they are removed. */
static int settle(struct restore *r, int rc)
{
    vec_each (struct staged, staged, &r->staged) {
        int fd = -1;
        struct err *err = rc == 0 ? r->err : NULL; /* the first reason is the one to tell */
        int code = beneath_open(r->root_fd, staged->path, false, &fd, err);
        if (code == 0 && rc == 0 && r->answer == CACHE_HIT)
            code = swap_in(fd, staged, err);
        if (code != 0 && rc == 0)
            rc = restore_wrap(r->err, staged->path, staged->name);
        if (fd >= 0 && (rc != 0 || r->answer == CACHE_MISS) &&
            file_remove_tree(fd, staged->tmp, NULL) != 0) {
            /* it stays, and is collected with what killed ones leave */
        }
        if (fd >= 0)
            close(fd);
        free(staged->path);
        free(staged->name);
    }
    vec_release(&r->staged);
    return rc;
}

/* A Tree that does not decode, or is not of the root that the result names, counts as absent. */
static int restore_tree(struct restore *r, int dirfd, const struct place *parent, const char *name,
                        const struct action_output *output)
{
    struct buf message = BUF_INIT;
    struct digest root;
    r->trees = trees_new();
    int rc = cache_get(r->cache, &output->digest, TREE_MAX, &message, &r->answer, r->err);
    if (rc == 0 && r->answer == CACHE_HIT &&
        (trees_decode_tree(r->trees, buf_str(&message), message.len, &root, NULL) != 0 ||
         !digest_eq(&root, &output->root)))
        r->answer = CACHE_MISS;
    buf_release(&message);
    if (rc == 0 && r->answer == CACHE_HIT)
        rc = restore_dir(r, dirfd, parent, name, &root);
    if (rc != 0)
        restore_wrap(r->err, output->path, "");
    else
        rc = settle(r, go_through_places(r));
    trees_free(r->trees);
    r->trees = NULL;
    return rc;
}

static int restore_output(struct restore *r, const struct action_output *output)
{
    int fd;
    const char *name;
    int rc = beneath_open_parent(r->root_fd, output->path, true, &fd, &name, r->err);
    if (rc != 0) {
        restore_wrap(r->err, output->path, "");
        return rc;
    }
    char *path =
        mem_strndup(output->path, name > output->path ? (size_t)(name - output->path) - 1 : 0);
    struct place parent = {.path = path, .at = path};
    if (output->kind == OUTPUT_DIR) {
        rc = restore_tree(r, fd, &parent, name, output);
    } else if (output->kind == OUTPUT_FILE) {
        struct tree_entry *entry = arena_zalloc(&r->batch.arena, 1, sizeof(*entry));
        *entry = (struct tree_entry){.kind = TREE_FILE,
                                     .executable = output->executable,
                                     .name = arena_strdup(&r->batch.arena, name),
                                     .digest = output->digest};
        batch_add(&r->batch, path, path, false, entry, 1);
    } else {
        rc = restore_link(r, fd, &parent, name, output->target);
        if (rc != 0)
            restore_wrap(r->err, output->path, "");
    }
    free(path);
    close(fd);
    return rc;
}

/* -- the whole --------------------------------------------------------------------------------- */

int outputs_restore(struct cache *cache, const char *root, const struct action_output *outputs,
                    size_t n, enum cache_answer *answer, struct err *err)
{
    struct err own = ERR_INIT; /* the kind passes through it, also when nobody wants the words */
    struct restore r = {.cache = cache, .root = root, .answer = CACHE_HIT, .err = err ? err : &own};
    int rc = 0;
    *answer = CACHE_MISS;
    r.batch.work = restore_task;
    r.batch.ctx = &r;
    r.root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.root_fd < 0)
        return err_sys(err, errno, "cannot open the directory %s", root);
    unfinished_begin(cache);
    for (size_t i = 0; rc == 0 && r.answer == CACHE_HIT && i < n; i++)
        rc = restore_output(&r, &outputs[i]);
    if (rc == 0 && r.answer == CACHE_HIT)
        rc = batch_run(&r.batch, &r.answer, r.err);
    unfinished_end(cache);
    vec_each (struct place, place, &r.places)
        place_release(place);
    vec_release(&r.places);
    batch_release(&r.batch);
    close(r.root_fd);
    err_release(&own);
    if (rc == 0)
        *answer = r.answer;
    return rc;
}

static size_t parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

void outputs_make_parents(const char *root, const char *const *paths, size_t n)
{
    int root_fd = -1;
    for (size_t i = 0; i < n; i++) {
        size_t length = parent_length(paths[i]);
        if (!length || (i && length == parent_length(paths[i - 1]) &&
                        memcmp(paths[i], paths[i - 1], length) == 0))
            continue;
        const char *name;
        struct err none = ERR_INIT;
        int fd;
        if (root_fd < 0)
            root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root_fd >= 0 && beneath_open_parent(root_fd, paths[i], true, &fd, &name, &none) == 0)
            close(fd);
        err_release(&none);
    }
    if (root_fd >= 0)
        close(root_fd);
}
