/*
 * box_reach.c - where kiln is root: how the nest's root, who is nobody outside, gets to what lies
 * in root's own directories (/root/.cache).
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *box_veil(const char *dir)
{
    struct stat st;
    if (!dir || geteuid() != 0)
        return NULL;
    char *path = mem_strdup(dir);
    char *found = NULL;
    for (char *slash = strchr(path + 1, '/'); slash && !found; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(path, &st) == 0 && !(st.st_mode & S_IXOTH))
            found = mem_strdup(path);
        *slash = '/';
    }
    free(path);
    return found;
}

/* Lets the group, or where nobody but root gets there everybody, do with it what bits say. */
static int let(const char *path, mode_t type, const struct box_reach *reach, mode_t bits)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), errnum = 0;
    if (fd < 0)
        return errno;
    mode_t group = bits & S_IRWXG, others = bits & S_IRWXO;
    /* Behind a veil there are no others, and a runtime may have other ids of the nest. */
    mode_t want = reach->veil ? group | others : group;
    bool has = fstat(fd, &st) != 0 || st.st_uid != 0 || (st.st_mode & others) ||
               (st.st_gid == reach->group && (st.st_mode & want) == want);
    if (!has && (st.st_mode & S_IFMT) != type)
        errnum = ENOTDIR;
    else if (!has && (fchown(fd, (uid_t)-1, reach->group) != 0 ||
                      fchmod(fd, (st.st_mode & 07707) | want) != 0))
        errnum = errno;
    close(fd);
    return errnum;
}

static bool applies(const struct box_reach *reach, const char *path)
{
    return geteuid() == 0 && reach->dir && path_is_below(path, reach->dir);
}

int box_let_through(const struct box_reach *reach, const char *path, struct err *err)
{
    int errnum = 0;
    if (!applies(reach, path))
        return 0;
    char *part = mem_strdup(path);
    for (char *at = part + strlen(reach->dir); at && !errnum; at = strchr(at + 1, '/')) {
        char was = *at;
        *at = '\0';
        errnum = let(part, S_IFDIR, reach, S_IXGRP | S_IXOTH);
        *at = was;
        if (!was)
            break;
    }
    free(part);
    return errnum ? err_sys(err, errnum, "cannot let isolated steps through to %s", path) : 0;
}

int box_let_read(const struct box_reach *reach, const char *path, struct err *err)
{
    int rc = box_let_through(reach, path, err);
    /* What it can't read all the same is told by whom it is for. */
    if (rc == 0 && applies(reach, path))
        (void)let(path, S_IFREG, reach, S_IRGRP | S_IROTH);
    return rc;
}
