/* take_write.c - what is to come, complete, beside the file that it takes the place of. */
#include "cache/take_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"
#include "cache/exchange.h"
#include "cache/unfinished.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)

/* -- directories ------------------------------------------------------------------------------- */

static int make_dir(struct take *take, const char *path, struct err *err)
{
    const char *name;
    int fd = -1, rc = beneath_open_parent(take->root_fd, path, false, &fd, &name, err);
    if (rc != 0)
        return rc;
    if (mkdirat(fd, name, 0777) == 0)
        vec_push(&take->made, mem_strdup(path));
    else if (errno != EEXIST)
        rc = err_sys(err, errno, "cannot make the directory %s", path);
    close(fd);
    return rc;
}

static int make_parents(struct take *take, const char *path, struct err *err)
{
    int rc = 0;
    for (const char *slash = strchr(path, '/'); slash && rc == 0; slash = strchr(slash + 1, '/')) {
        char *parent = mem_strndup(path, (size_t)(slash - path));
        rc = make_dir(take, parent, err);
        free(parent);
    }
    return rc;
}

/* -- files ------------------------------------------------------------------------------------- */

static int cannot_write(int errnum, struct err *err)
{
    return err_sys(err, errnum, "cannot write it");
}

static int write_bytes(int fd, const void *bytes, size_t n, struct err *err)
{
    return file_write_all(fd, bytes, n) == 0 ? 0 : cannot_write(errno, err);
}

/* What is copied has to be what was planned with. */
static int copy(struct take *take, int from_fd, const char *path, const struct digest *digest,
                int to, struct err *err)
{
    int rc = 0, from = take_open(from_fd, path, err);
    if (from < 0)
        return from;
    char *block = mem_alloc(BLOCK);
    ssize_t n = 0;
    hasher_start(take->hasher);
    while (rc == 0 && ((n = read(from, block, BLOCK)) > 0 || (n < 0 && errno == EINTR))) {
        if (n <= 0)
            continue;
        hasher_add(take->hasher, block, (size_t)n);
        rc = write_bytes(to, block, (size_t)n, err);
    }
    if (rc == 0 && n < 0)
        rc = err_sys(err, errno, "cannot read it");
    struct digest is = hasher_end(take->hasher);
    if (rc == 0 && !digest_eq(&is, digest))
        rc = err_set(err, ERR_CORRUPT, "it changed while it was read: something writes to it");
    free(block);
    close(from);
    return rc;
}

static int write_content(struct take *take, const struct taking *todo, int fd, struct err *err)
{
    const struct take_item *item = todo->item;
    switch (item->plan.action) {
    case TAKE_MERGE: return write_bytes(fd, todo->merged.data, todo->merged.len, err);
    case TAKE_MODE: return copy(take, take->root_fd, item->path, &item->now.digest, fd, err);
    default: return copy(take, take->request->from_fd, item->path, &item->is.digest, fd, err);
    }
}

static int write_file(struct take *take, struct taking *todo, int dirfd, struct err *err)
{
    bool instead = todo->item->now.kind == FILE_REGULAR;
    mode_t mode = instead ? 0600 : todo->item->plan.executable ? 0777 : 0666;
    int fd =
        openat(dirfd, todo->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        int rc = cannot_write(errno, err);
        *todo->beside = '\0';
        return rc;
    }
    int rc = write_content(take, todo, fd, err);
    /* Whose it is stays, where that can be; before its mode, which a change of owner cuts. */
    if (rc == 0 && instead && fchown(fd, todo->st.st_uid, todo->st.st_gid) != 0 &&
        fchown(fd, (uid_t)-1, todo->st.st_gid) != 0) {
        /* then it is ours, as what an editor writes */
    }
    if (rc == 0 && instead &&
        fchmod(fd, exchange_mode(&todo->st, todo->item->plan.executable)) != 0)
        rc = cannot_write(errno, err);
    if (close(fd) != 0 && rc == 0)
        rc = cannot_write(errno, err);
    return rc;
}

int take_write(struct take *take, struct taking *todo, struct err *err)
{
    const struct take_item *item = todo->item;
    struct take_request *request = take->request;
    const char *name;
    int fd = -1, rc = make_parents(take, item->path, err);
    if (rc == 0)
        rc = beneath_open_parent(take->root_fd, item->path, false, &fd, &name, err);
    if (rc != 0)
        return rc;
    char *folder = mem_strndup(item->path, (size_t)(name - item->path));
    size_t n = strlen(folder);
    if (n)
        folder[n - 1] = '\0';
    unfinished_note(request->cache, request->root, folder);
    free(folder);
    /* What is removed goes by that name, too. */
    cache_unique_name(request->cache, ".kiln", todo->beside);
    if (item->plan.action == TAKE_REMOVE) {
        if (faccessat(fd, ".", W_OK, AT_EACCESS) != 0)
            rc = cannot_write(errno, err);
    } else if (item->is.kind == FILE_LINK) {
        if (symlinkat(item->is.target, fd, todo->beside) != 0)
            rc = cannot_write(errno, err);
    } else {
        rc = write_file(take, todo, fd, err);
    }
    close(fd);
    return rc;
}

/* -- taking away ------------------------------------------------------------------------------- */

static void drop_dir(struct take *take, const char *path)
{
    const char *name;
    int fd = -1;
    if (beneath_open_parent(take->root_fd, path, false, &fd, &name, NULL) != 0)
        return;
    bool gone = unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTDIR;
    if (!gone && errno != ENOTEMPTY && errno != EEXIST) /* else it is needed */
        take->request->left = arena_strdup(take->request->arena, path);
    close(fd);
}

/* A directory whose last file was removed goes, too: git knows none that is empty. */
static void drop_parents(struct take *take, const char *path)
{
    char *parent = mem_strdup(path);
    for (char *slash; (slash = strrchr(parent, '/'));) {
        *slash = '\0';
        drop_dir(take, parent);
    }
    free(parent);
}

void take_drop(struct take *take, bool placed)
{
    struct take_request *request = take->request;
    vec_each (struct taking, todo, &take->todo) {
        const char *name;
        int fd = -1;
        if (!*todo->beside ||
            beneath_open_parent(take->root_fd, todo->item->path, false, &fd, &name, NULL) != 0)
            continue;
        if (unlinkat(fd, todo->beside, 0) != 0 && errno != ENOENT)
            request->left = arena_printf(request->arena, "%.*s%s", (int)(name - todo->item->path),
                                         todo->item->path, todo->beside);
        close(fd);
    }
    for (size_t i = take->made.n; i-- > 0;)
        drop_dir(take, take->made.v[i]);
    /* Also of what was removed by one that was killed then. */
    for (size_t i = 0; placed && i < request->n; i++) {
        if (request->items[i].is.kind == FILE_ABSENT)
            drop_parents(take, request->items[i].path);
    }
}
