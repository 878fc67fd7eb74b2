/* mounts.c - taking cache directories (see mounts.h); cache_mounts.c tells and removes them. */
#include "cache/mounts.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAX_COPIES 1000
#define ID_HEX     12

struct mount {
    char *dir;
    int lock_fd;
};

const char *mount_dir(const struct mount *mount)
{
    return mount->dir;
}

void mount_close(struct mount *mount)
{
    if (!mount)
        return;
    close(mount->lock_fd);
    free(mount->dir);
    free(mount);
}

/* Opens and locks the file that stands for it; 0, or an errno: EWOULDBLOCK when somebody has it.
 * One that was removed meanwhile is made again. */
static int lock(struct cache *cache, const char *used, bool alone, int *fd)
{
    struct stat st, now;
    for (int tries = 0; tries < 100; tries++) {
        *fd = openat(cache->root_fd, used, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                     0600);
        if (*fd < 0)
            return errno;
        int errnum = cache_flock(*fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 ? errno : 0;
        if (errnum == 0 && fstat(*fd, &st) == 0 &&
            fstatat(cache->root_fd, used, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_ino == now.st_ino && st.st_dev == now.st_dev)
            return 0;
        close(*fd);
        *fd = -1;
        if (errnum)
            return errnum;
    }
    return EWOULDBLOCK;
}

/* Makes the directory what it has to be, also when an earlier kiln was interrupted. One that has
 * been given away already is its owner's, or whoever's he made it. */
static int make(struct cache *cache, const char *rel, mode_t mode,
                const struct mount_request *request)
{
    struct stat st;
    if (mkdirat(cache->root_fd, rel, mode) != 0 && errno != EEXIST)
        return errno;
    if (fstatat(cache->root_fd, rel, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    if (st.st_uid != geteuid())
        return 0;
    int fd = openat(cache->root_fd, rel, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    bool ours = request->owner == geteuid() && request->group == getegid();
    int errnum = 0;
    if (((st.st_mode & 07777) != mode && fchmod(fd, mode) != 0) ||
        (!ours && fchown(fd, request->owner, request->group) != 0))
        errnum = errno;
    close(fd);
    return errnum;
}

/* When it was used last, and for which project. */
static void note(int fd, const struct mount_request *request)
{
    size_t n = strlen(request->root);
    struct stat st;
    if (fstat(fd, &st) == 0 && (size_t)st.st_size != n)
        (void)!(ftruncate(fd, 0) == 0 && pwrite(fd, request->root, n, 0) == (ssize_t)n);
    (void)futimens(fd, NULL);
}

static int take(struct cache *cache, const struct mount_request *request, const char *name,
                struct mount **out)
{
    char *rel = mem_printf("mounts/%s", name), *used = mem_printf("%s.used", rel);
    char *data = mem_printf("%s/data", rel);
    int fd = -1;
    int errnum = lock(cache, used, request->sharing != MOUNT_SHARED, &fd);
    if (errnum == 0)
        errnum = make(cache, rel, 0700, request);
    if (errnum == 0)
        errnum = make(cache, data, 0777, request);
    if (errnum == 0) {
        note(fd, request);
        *out = mem_zalloc(1, sizeof(**out));
        (*out)->lock_fd = fd;
        (*out)->dir = mem_printf("%s/v1/%s", cache->path, data);
    } else if (fd >= 0) {
        close(fd);
    }
    free(rel);
    free(used);
    free(data);
    return errnum;
}

int mount_open(struct cache *cache, const struct mount_request *request, struct mount **out,
               struct err *err)
{
    struct digest id = digest_of(request->root, strlen(request->root));
    char hex[DIGEST_HEX + 1];
    int errnum = EROFS, copies = request->sharing == MOUNT_PRIVATE ? MAX_COPIES : 1;
    *out = NULL;
    digest_hex(&id, hex);
    hex[ID_HEX] = '\0';
    if (cache->root_fd >= 0 && !cache->read_only)
        errnum =
            mkdirat(cache->root_fd, "mounts", 0700) != 0 && errno != EEXIST ? errno : EWOULDBLOCK;
    for (int i = 0; errnum == EWOULDBLOCK && i < copies; i++) {
        char *name = i ? mem_printf("%s~%s~%d", request->name, hex, i)
                       : mem_printf("%s~%s", request->name, hex);
        errnum = take(cache, request, name, out);
        free(name);
    }
    return errnum == 0 || errnum == EWOULDBLOCK
               ? 0
               : err_sys(err, errnum, "cannot make the cache directory \"%s\" in %s", request->name,
                         cache->path);
}
