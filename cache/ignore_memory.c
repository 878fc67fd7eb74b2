/*
 * What is remembered, in the order in which it is written: version, the variables that paths come
 * from, the settings, and all files with their stamps. Strings have their length before them.
 * Whoever keeps it guards it against damage; a cursor that runs out makes it worthless all the
 * same.
 */
#include "cache/ignore_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_VERSION UINT32_C(1)

struct cursor {
    const char *at;
    size_t left;
    bool bad;
};

static void remember_string(struct buf *out, const char *s)
{
    uint32_t len = s ? (uint32_t)strlen(s) : 0;
    buf_add(out, &len, sizeof(len));
    buf_add(out, s ? s : "", len);
}

static void recall_bytes(struct cursor *cursor, void *to, size_t n)
{
    cursor->bad |= n > cursor->left;
    if (cursor->bad) {
        memset(to, 0, n);
        return;
    }
    memcpy(to, cursor->at, n);
    cursor->at += n;
    cursor->left -= n;
}

static char *recall_string(struct cursor *cursor)
{
    uint32_t len;
    recall_bytes(cursor, &len, sizeof(len));
    cursor->bad |= len > cursor->left;
    char *s = mem_strndup(cursor->bad ? "" : cursor->at, cursor->bad ? 0 : len);
    if (!cursor->bad) {
        cursor->at += len;
        cursor->left -= len;
    }
    return s;
}

static void remember_source(struct buf *out, const struct source *source)
{
    remember_string(out, source->path);
    remember_string(out, source->base);
    uint8_t presence = source->presence;
    buf_add(out, &presence, 1);
    uint64_t parts[] = {source->stamp.dev,
                        source->stamp.ino,
                        source->stamp.size,
                        (uint64_t)source->stamp.mtime_ns,
                        (uint64_t)source->stamp.ctime_ns,
                        source->stamp.mode,
                        (uint64_t)source->read_ns};
    buf_add(out, parts, sizeof(parts));
}

static struct source recall_source(struct cursor *cursor)
{
    struct source source = {.path = recall_string(cursor), .base = recall_string(cursor)};
    uint8_t presence;
    uint64_t parts[7];
    recall_bytes(cursor, &presence, 1);
    recall_bytes(cursor, parts, sizeof(parts));
    source.presence = presence;
    source.stamp = (struct stamp){.dev = parts[0],
                                  .ino = parts[1],
                                  .size = parts[2],
                                  .mtime_ns = (int64_t)parts[3],
                                  .ctime_ns = (int64_t)parts[4],
                                  .mode = (uint32_t)parts[5]};
    source.read_ns = (int64_t)parts[6];
    return source;
}

bool ignore_remember(const struct ignore *ignore, struct buf *out)
{
    if (!ignore->memorable)
        return false;
    uint32_t version = MEMORY_VERSION, n_sources = (uint32_t)ignore->sources.n,
             n_watched = (uint32_t)ignore->watched.n;
    buf_add(out, &version, sizeof(version));
    remember_string(out, getenv("HOME"));
    remember_string(out, getenv("XDG_CONFIG_HOME"));
    buf_add(out, &ignore->fingerprint, sizeof(ignore->fingerprint));
    uint8_t flags = (uint8_t)(ignore->fold | (ignore->index_path != NULL) << 1);
    buf_add(out, &flags, 1);
    remember_string(out, ignore->prefix);
    remember_string(out, ignore->index_path);
    buf_add(out, &n_sources, sizeof(n_sources));
    buf_add(out, &n_watched, sizeof(n_watched));
    vec_each (const struct source, s, &ignore->sources)
        remember_source(out, s);
    vec_each (const struct source, w, &ignore->watched)
        remember_source(out, w);
    return true;
}

static bool recall_variable(struct cursor *cursor, const char *name)
{
    const char *now = getenv(name);
    char *then = recall_string(cursor);
    bool same = strcmp(then, now ? now : "") == 0;
    free(then);
    return same;
}

bool ignore_recall(struct ignore *ignore, const void *memory, size_t n)
{
    struct cursor cursor = {memory, n, false};
    uint32_t version, n_sources, n_watched;
    uint8_t flags;
    ignore_close(ignore);
    recall_bytes(&cursor, &version, sizeof(version));
    if (version != MEMORY_VERSION || !recall_variable(&cursor, "HOME") ||
        !recall_variable(&cursor, "XDG_CONFIG_HOME"))
        return false;
    recall_bytes(&cursor, &ignore->fingerprint, sizeof(ignore->fingerprint));
    recall_bytes(&cursor, &flags, 1);
    free(ignore->prefix);
    ignore->prefix = recall_string(&cursor);
    ignore->index_path = recall_string(&cursor);
    recall_bytes(&cursor, &n_sources, sizeof(n_sources));
    recall_bytes(&cursor, &n_watched, sizeof(n_watched));
    for (uint32_t i = 0; i < n_sources && !cursor.bad; i++)
        vec_push(&ignore->sources, recall_source(&cursor));
    for (uint32_t i = 0; i < n_watched && !cursor.bad; i++)
        vec_push(&ignore->watched, recall_source(&cursor));
    if (cursor.bad || cursor.left || ignore_any_changed(ignore))
        return false;
    ignore->fold = flags & 1;
    if (!(flags & 2)) {
        free(ignore->index_path);
        ignore->index_path = NULL;
    } else {
        ignore_stamp_index(ignore);
    }
    ignore->asleep = ignore->memorable = true;
    return true;
}
