#include "engine/content.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache.h"
#include "cache/changes.h"
#include "cache/snapshot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool content_read(const char *root, const char *path, size_t max, struct buf *out)
{
    char *full = path_join(root, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    struct stat st;
    bool read = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                file_read_fd(fd, full, max, out, NULL) == 0;
    if (fd >= 0)
        close(fd);
    free(full);
    return read;
}

static bool from_tree(const char *root, const char *path, const struct digest *digest, size_t max,
                      struct buf *out)
{
    if (content_read(root, path, max, out)) {
        struct digest is = digest_of(buf_str(out), out->len);
        if (memcmp(is.hash, digest->hash, sizeof is.hash) == 0)
            return true;
    }
    buf_reset(out);
    return false;
}

/* Of its layers the one that has it. */
static bool from_snapshot(const struct snapshot *snapshot, const char *path,
                          const struct digest *digest, size_t max, struct buf *out)
{
    size_t n = 0;
    const char *const *dirs = snapshot ? snapshot_dirs(snapshot, &n) : NULL;
    while (n > 0) {
        if (from_tree(dirs[--n], path, digest, max, out))
            return true;
    }
    return false;
}

/* The size is not known, so the blob is asked for it. */
static bool from_cache(struct cache *cache, struct digest digest, size_t max, struct buf *out)
{
    char hex[DIGEST_HEX + 1];
    enum cache_answer answer = CACHE_MISS;
    struct stat st;
    if (!cache)
        return false;
    digest_hex(&digest, hex);
    char *path = mem_printf("%s/v1/cas/%.2s/%s", cache_path(cache), hex, hex);
    bool there = stat(path, &st) == 0 && (size_t)st.st_size <= max;
    free(path);
    digest.size = there ? (uint64_t)st.st_size : 0;
    return there && cache_get(cache, &digest, max, out, &answer, NULL) == 0 && answer == CACHE_HIT;
}

bool content_find(const char *root, struct cache *cache, const struct snapshot *snapshot,
                  const char *path, const struct digest *digest, size_t max, struct buf *out)
{
    return from_cache(cache, *digest, max, out) ||
           from_snapshot(snapshot, path, digest, max, out) ||
           from_tree(root, path, digest, max, out) ||
           changes_from_git(root, path, digest, max, out);
}
