/*
 * take_place.c - all files into place, or none.
 *
 * A file and what is to come exchange names, so that what was there can be looked at afterwards:
 * where it is not what was planned with, it goes back.
 */
#include "cache/take_private.h"

#include "cache/beneath.h"
#include "cache/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool is_planned(int dirfd, const char *name, const struct stat *st)
{
    struct stat now;
    return fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && exchange_same(&now, st);
}

static int edited(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "it was edited just now; try again");
}

static int failed(struct err *err)
{
    return err_sys(err, errno, "cannot put it into place");
}

/* It stays beside. */
static int stranded(struct taking *todo, struct err *err)
{
    int rc = err_sys(err, errno, "it was edited just now, and that could not be put back: it is %s",
                     todo->beside);
    *todo->beside = '\0';
    return rc;
}

static bool no_such_rename(void)
{
    return errno == EINVAL || errno == ENOSYS || errno == ENOTSUP;
}

static int replace(struct taking *todo, int dirfd, const char *name, struct err *err)
{
    if (!is_planned(dirfd, name, &todo->st))
        return edited(err);
    if (!exchange_names(dirfd, todo->beside, dirfd, name))
        return errno == ENOENT ? edited(err) : failed(err);
    if (is_planned(dirfd, todo->beside, &todo->st))
        return 0;
    return exchange_names(dirfd, todo->beside, dirfd, name) ? edited(err) : stranded(todo, err);
}

static int add(struct taking *todo, int dirfd, const char *name, struct err *err)
{
    if (renameat2(dirfd, todo->beside, dirfd, name, RENAME_NOREPLACE) != 0 &&
        !(no_such_rename() && linkat(dirfd, todo->beside, dirfd, name, 0) == 0))
        return errno == EEXIST ? edited(err) : failed(err);
    return 0;
}

static int remove_it(struct taking *todo, int dirfd, const char *name, struct err *err)
{
    if (renameat(dirfd, name, dirfd, todo->beside) != 0)
        return errno == ENOENT ? edited(err) : failed(err);
    if (is_planned(dirfd, todo->beside, &todo->st))
        return 0;
    return renameat2(dirfd, todo->beside, dirfd, name, RENAME_NOREPLACE) == 0 ||
                   (no_such_rename() && renameat(dirfd, todo->beside, dirfd, name) == 0)
               ? edited(err)
               : stranded(todo, err);
}

static int place(struct take *take, struct taking *todo, struct err *err)
{
    const struct take_item *item = todo->item;
    const char *name;
    int fd = -1, rc = beneath_open_parent(take->root_fd, item->path, false, &fd, &name, err);
    if (rc != 0)
        return rc;
    if (item->plan.action == TAKE_REMOVE)
        rc = remove_it(todo, fd, name, err);
    else if (item->now.kind == FILE_ABSENT)
        rc = add(todo, fd, name, err);
    else
        rc = replace(todo, fd, name, err);
    todo->placed = rc == 0;
    close(fd);
    return rc;
}

static bool put_back(struct take *take, struct taking *todo)
{
    const struct take_item *item = todo->item;
    const char *name;
    int fd = -1;
    if (beneath_open_parent(take->root_fd, item->path, false, &fd, &name, NULL) != 0)
        return false;
    bool back = item->now.kind == FILE_ABSENT ? unlinkat(fd, name, 0) == 0
                                              : renameat(fd, todo->beside, fd, name) == 0;
    close(fd);
    todo->placed = !back;
    return back;
}

int take_place(struct take *take, struct err *err)
{
    size_t n = 0;
    int rc = 0;
    for (; rc == 0 && n < take->todo.n; n++)
        rc = place(take, &take->todo.v[n], err);
    if (rc == 0)
        return 0;
    err_wrap(err, "%s", take->todo.v[--n].item->path);
    struct buf left = BUF_INIT;
    while (n-- > 0) {
        struct taking *todo = &take->todo.v[n];
        if (put_back(take, todo))
            continue;
        buf_addf(&left, "%s%s", left.len ? ", " : "", todo->item->path);
        if (todo->item->now.kind != FILE_ABSENT)
            buf_addf(&left, " (what it held is in %s beside it)", todo->beside);
        *todo->beside = '\0'; /* it stays */
    }
    if (left.len)
        err_wrap(err, "these files were taken and could not be put back: %s; then", buf_str(&left));
    buf_release(&left);
    return rc;
}
