#include "cache/exchange.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool by_links(int own_dir, const char *own, int dir, const char *name)
{
    char *aside = mem_printf("%s.old", own);
    unlinkat(own_dir, aside, 0);
    bool good = linkat(dir, name, own_dir, aside, 0) == 0;
    if (good && renameat(own_dir, own, dir, name) != 0) {
        int errnum = errno;
        unlinkat(own_dir, aside, 0);
        errno = errnum;
        good = false;
    }
    if (good)
        (void)!renameat(own_dir, aside, own_dir, own);
    free(aside);
    return good;
}

bool exchange_names(int own_dir, const char *own, int dir, const char *name)
{
    if (renameat2(own_dir, own, dir, name, RENAME_EXCHANGE) == 0)
        return true;
    return (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) &&
           by_links(own_dir, own, dir, name);
}

bool exchange_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

mode_t exchange_mode(const struct stat *was, bool executable)
{
    mode_t mode = was->st_mode & 07777;
    if (executable == ((mode & S_IXUSR) != 0))
        return mode;
    return executable ? mode | S_IXUSR | ((mode & 0444) >> 2) : mode & ~(mode_t)0111;
}
