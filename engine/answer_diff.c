/*
 * answer_diff.c - what a changed file held before, and holds now.
 *
 * Of inputs the cache has digests, not always their content. So it is looked for wherever it may
 * be: in the cache, in the working tree, in git; what has the right digest is the right content.
 */
#include "engine/answers.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache.h"
#include "cache/changes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES ((size_t)512 << 10)
#define MAX_LINES 20

/* Opens a regular file of the project; what else stands there would be waited for. */
static bool read_file(const char *root, const char *path, struct buf *out)
{
    char *full = path_join(root, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    struct stat st;
    bool read = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                file_read_fd(fd, full, MAX_BYTES, out, NULL) == 0;
    if (fd >= 0)
        close(fd);
    free(full);
    return read;
}

static bool from_tree(const char *root, const char *path, const struct digest *digest,
                      struct buf *out)
{
    if (read_file(root, path, out)) {
        struct digest is = digest_of(out->data, out->len);
        if (memcmp(is.hash, digest->hash, sizeof is.hash) == 0)
            return true;
    }
    buf_reset(out);
    return false;
}

/* The size is not known, so the blob is asked for it. */
static bool from_cache(struct cache *cache, struct digest digest, struct buf *out)
{
    char hex[DIGEST_HEX + 1];
    enum cache_answer answer = CACHE_MISS;
    struct stat st;
    if (!cache)
        return false;
    digest_hex(&digest, hex);
    char *path = mem_printf("%s/v1/cas/%.2s/%s", cache_path(cache), hex, hex);
    bool there = stat(path, &st) == 0 && (size_t)st.st_size <= MAX_BYTES;
    free(path);
    digest.size = there ? (uint64_t)st.st_size : 0;
    return there && cache_get(cache, &digest, MAX_BYTES, out, &answer, NULL) == 0 &&
           answer == CACHE_HIT;
}

static bool find(const char *root, struct cache *cache, const char *path,
                 const struct digest *digest, struct buf *out)
{
    return digest_is_null(digest) || from_cache(cache, *digest, out) ||
           from_tree(root, path, digest, out) ||
           changes_from_git(root, path, digest, MAX_BYTES, out);
}

static void keep(struct cache *cache, const struct buf *text)
{
    struct digest digest;
    if (changes_is_text(text->data, text->len)) {
        int rc = cache_put(cache, text->data, text->len, &digest, NULL);
        (void)rc; /* then it can't be shown later */
    }
}

void answer_diff(const char *root, struct cache *cache, struct question *q)
{
    struct buf old = BUF_INIT, now = BUF_INIT, text = BUF_INIT;
    bool has_old = find(root, cache, q->path, &q->old, &old);
    bool has_now = find(root, cache, q->path, &q->now, &now);
    if (!has_now)
        buf_adds(&text, has_old || digest_is_null(&q->old)
                            ? "#it is large, or has changed again since\n"
                            : "#neither of its contents is kept, or it is large\n");
    else if (!has_old)
        buf_adds(&text, "#what it held before is not kept\n");
    else if (!changes_is_text(old.data, old.len) || !changes_is_text(now.data, now.len))
        buf_addf(&text, "#binary, %zu bytes before, %zu now\n", old.len, now.len);
    else if (!changes_diff(&old, &now, MAX_LINES, &text))
        buf_adds(&text, "#it can't be compared\n");
    /* What was shown as new can be shown as old. */
    if (cache && has_now && !digest_is_null(&q->now))
        keep(cache, &now);
    q->text = arena_strdup(&q->arena, buf_str(&text));
    q->found = true;
    buf_release(&old);
    buf_release(&now);
    buf_release(&text);
}

void answer_keep(const char *root, struct cache *cache, const char *path)
{
    struct buf text = BUF_INIT;
    if (read_file(root, path, &text))
        keep(cache, &text);
    buf_release(&text);
}
