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

static int let_pass(const char *path, gid_t group, mode_t bits)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), errnum = 0;
    if (fd < 0)
        return errno;
    bool has = fstat(fd, &st) != 0 || st.st_uid != 0 || (st.st_mode & S_IXOTH) ||
               (st.st_gid == group && (st.st_mode & bits) == bits);
    if (!has && (fchown(fd, (uid_t)-1, group) != 0 || fchmod(fd, (st.st_mode & 07707) | bits) != 0))
        errnum = errno;
    close(fd);
    return errnum;
}

int box_let_through(const struct box_reach *reach, const char *path, struct err *err)
{
    int errnum = 0;
    if (geteuid() != 0 || !reach->dir || !path_is_below(path, reach->dir))
        return 0;
    char *part = mem_strdup(path);
    /* Behind a veil there are no others, and a runtime may have other ids of the nest. */
    mode_t bits = reach->veil ? S_IXGRP | S_IXOTH : S_IXGRP;
    for (char *at = part + strlen(reach->dir); at && !errnum; at = strchr(at + 1, '/')) {
        char was = *at;
        *at = '\0';
        errnum = let_pass(part, reach->group, bits);
        *at = was;
        if (!was)
            break;
    }
    free(part);
    return errnum ? err_sys(err, errnum, "cannot let isolated steps through to %s", path) : 0;
}
