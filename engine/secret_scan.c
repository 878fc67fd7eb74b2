/*
 * secret_scan.c - whether a step wrote one of its secrets into an output.
 *
 * That is the step's own affair and no error, but outputs are kept in the cache and handed on, so
 * whoever did not mean it had better know. Large files are not read: nobody waits for this.
 */
#include "engine/private.h"
#include "engine/wants.h"

#include "base/crypt.h"
#include "base/mask.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE  ((off_t)8 << 20)
#define MAX_ALL   ((uint64_t)128 << 20) /* of one step */
#define MAX_DEPTH 64

struct scan {
    const struct mask *mask;
    uint64_t left;
    struct buf path; /* below the root */
};

static bool has_secret(struct scan *scan, int fd)
{
    struct mask_stream *stream = mask_stream_new(scan->mask);
    struct buf out = BUF_INIT;
    char bytes[65536];
    ssize_t n;
    while (!mask_has_hidden(stream) &&
           ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR))) {
        if (n > 0)
            mask_feed(stream, bytes, (size_t)n, &out);
        buf_reset(&out);
    }
    bool found = mask_has_hidden(stream);
    mask_stream_free(stream);
    buf_release(&out);
    crypt_wipe(bytes, sizeof bytes);
    return found;
}

static bool look_at(struct scan *scan, int dirfd, const char *name, unsigned depth);

/* Closes the descriptor. */
static bool look_into(struct scan *scan, int fd, unsigned depth)
{
    DIR *dir = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
    size_t len = scan->path.len;
    bool found = false;
    if (!dir) {
        close(fd);
        return false;
    }
    for (const struct dirent *entry; !found && (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        buf_addf(&scan->path, "/%s", entry->d_name);
        found = look_at(scan, dirfd(dir), entry->d_name, depth + 1);
        if (!found)
            buf_truncate(&scan->path, len);
    }
    closedir(dir);
    return found;
}

static bool look_at(struct scan *scan, int dirfd, const char *name, unsigned depth)
{
    struct stat st;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool found = false;
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return look_into(scan, fd, depth);
    if (S_ISREG(st.st_mode) && st.st_size <= MAX_FILE && (uint64_t)st.st_size <= scan->left) {
        scan->left -= (uint64_t)st.st_size;
        found = has_secret(scan, fd);
    }
    close(fd);
    return found;
}

char *secrets_in_outputs(const struct flight_secrets *secrets, const char *root,
                         const struct op_exec *exec)
{
    struct scan scan = {.mask = secrets_mask(secrets), .left = MAX_ALL};
    int fd = scan.mask && !mask_is_empty(scan.mask) ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                                    : -1;
    bool found = false;
    for (size_t i = 0; fd >= 0 && !found && i < exec->n_outputs; i++) {
        buf_reset(&scan.path);
        buf_adds(&scan.path, exec->outputs[i]);
        found = look_at(&scan, fd, exec->outputs[i], 0);
    }
    if (fd >= 0)
        close(fd);
    if (found)
        return buf_detach(&scan.path);
    buf_release(&scan.path);
    return NULL;
}
