/* answer_diff.c - what a changed file held before, and holds now. */
#include "engine/answers.h"

#include "cache/cache.h"
#include "cache/changes.h"
#include "engine/content.h"

#define MAX_BYTES ((size_t)512 << 10)
#define MAX_LINES 20

static bool find(const char *root, struct cache *cache, const char *path,
                 const struct digest *digest, struct buf *out)
{
    return digest_is_null(digest) || content_find(root, cache, NULL, path, digest, MAX_BYTES, out);
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
    if (content_read(root, path, MAX_BYTES, &text))
        keep(cache, &text);
    buf_release(&text);
}
