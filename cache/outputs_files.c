/*
 * outputs_files.c - putting a file of a stored output into place, which any of several hands does.
 *
 * In a directory that stands a file is looked at first, and comes by rename from a name that is
 * noted (unfinished.h); into one that nobody has seen yet it is written at once.
 */
#include "cache/outputs_private.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"
#include "cache/unfinished.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int restore_wrap(struct err *err, const char *dir, const char *name)
{
    struct buf shown = BUF_INIT;
    char *path = path_join(dir, name);
    buf_add_shown(&shown, path, strlen(path));
    int rc = err_wrap(err, "restoring \"%s\"", buf_str(&shown));
    buf_release(&shown);
    free(path);
    return rc;
}

int restore_clear(int dirfd, const char *name, struct err *err)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return file_remove_tree(dirfd, name, err);
    return 0;
}

/* -- files ------------------------------------------------------------------------------------- */

/* Whether the file that stands there (st) already has that content. An unreadable one has not. */
static bool content_is(struct hasher *hasher, int dirfd, const char *name, const struct stat *st,
                       const struct digest *digest)
{
    struct digest actual;
    if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != digest->size)
        return false;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool same = digest_of_fd(hasher, fd, &actual, NULL) == 0 && digest_eq(&actual, digest);
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

static int restore_file(struct restore *r, struct hand *hand, const struct task *task, int dirfd,
                        const struct tree_entry *entry, bool *noted)
{
    struct stat st;
    if (!task->fresh && fstatat(dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (content_is(hand->tools.hasher, dirfd, entry->name, &st, &entry->digest) &&
            fix_executable(dirfd, entry->name, &st, entry->executable))
            return 0;
        int rc = restore_clear(dirfd, entry->name, &hand->err);
        if (rc != 0)
            return rc;
    }
    if (!task->fresh && !*noted) {
        unfinished_note(r->cache, r->root, task->at);
        *noted = true;
    }
    return cache_copy_by(r->cache, &hand->tools, &entry->digest, dirfd, entry->name,
                         entry->executable, task->fresh, &hand->answer, &hand->err);
}

void restore_task(void *ctx, struct hand *hand, const struct task *task)
{
    struct restore *r = ctx;
    int fd;
    bool noted = false;
    hand->rc = beneath_open(r->root_fd, task->at, false, &fd, &hand->err);
    if (hand->rc != 0) {
        restore_wrap(&hand->err, task->path, "");
        return;
    }
    for (size_t i = 0; hand->rc == 0 && hand->answer == CACHE_HIT && i < task->n; i++) {
        const struct tree_entry *entry = &task->entries[i];
        if (entry->kind != TREE_FILE)
            continue;
        hand->rc = restore_file(r, hand, task, fd, entry, &noted);
        if (hand->rc != 0)
            restore_wrap(&hand->err, task->path, entry->name);
    }
    close(fd);
}
