/*
 * answer_log.c - the log of a result that came from the cache: woven together again out of it, or
 * where the run that made it has left it.
 *
 * Taken out of the cache it lies in <records>/logs/<key>-<end of its execution>, and stays there
 * until nobody has looked at it for a week.
 */
#include "engine/answers.h"

#include "base/file.h"
#include "base/mem.h"
#include "cache/action.h"
#include "cache/cache.h"
#include "engine/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEEP_S          (7 * 24 * 3600)
#define RUNS_TO_LOOK_AT 50

#define NS_PER_MS UINT64_C(1000000)

/* -- what was written -------------------------------------------------------------------------- */

static int copy(int in, int out, uint64_t left, struct err *err)
{
    char buffer[1 << 16];
    while (left > 0) {
        ssize_t n = read(in, buffer, left < sizeof buffer ? (size_t)left : sizeof buffer);
        if (n <= 0 || file_write_all(out, buffer, (size_t)n) < 0)
            return err_sys(err, n == 0 ? EIO : errno, "copying the log out of the cache");
        left -= (uint64_t)n;
    }
    return 0;
}

/* Weaves both streams together again in the order in which they came. *whole is false when the
 * cache does not have all of it. */
static int weave(struct cache *cache, const struct action_result *result, int out, bool *whole,
                 struct err *err)
{
    const struct digest *streams[] = {NULL, &result->stdout_digest, &result->stderr_digest};
    int in[] = {-1, -1, -1}, rc = 0;
    *whole = true;
    for (int i = 1; i <= 2 && rc == 0 && *whole; i++) {
        enum cache_answer answer = CACHE_HIT;
        if (!digest_is_null(streams[i]))
            rc = cache_open_blob(cache, streams[i], &in[i], &answer, err);
        *whole = answer == CACHE_HIT;
    }
    for (size_t i = 0; i < result->n_chunks && rc == 0 && *whole; i++)
        rc = copy(in[result->chunks[i].stream], out, result->chunks[i].bytes, err);
    for (int i = 1; i <= 2 && rc == 0 && *whole && result->n_chunks == 0; i++)
        rc = copy(in[i], out, in[i] >= 0 ? streams[i]->size : 0, err);
    for (int i = 1; i <= 2; i++)
        if (in[i] >= 0)
            close(in[i]);
    return rc;
}

/* Takes logs away that nobody has looked at for long. */
static void sweep(const char *dir)
{
    DIR *stream = opendir(dir);
    const struct dirent *entry;
    struct stat st;
    while (stream && (entry = readdir(stream)))
        if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtime + KEEP_S < time(NULL))
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream)
        closedir(stream);
}

/* Makes the file, unless it is there. */
static int take_out(struct cache *cache, const struct action_result *result, const char *dir,
                    const char *path, bool *whole, struct err *err)
{
    *whole = true;
    if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return 0;
    int rc = file_mkdirs(dir, 0700, err);
    if (rc < 0)
        return rc;
    sweep(dir);
    char *tmp = mem_printf("%s.XXXXXX", path);
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0) {
        rc = err_sys(err, errno, "cannot make %s", tmp);
    } else {
        rc = weave(cache, result, fd, whole, err);
        close(fd);
        if (rc == 0 && *whole && rename(tmp, path) != 0)
            rc = err_sys(err, errno, "cannot make %s", path);
        if (rc != 0 || !*whole)
            unlink(tmp);
    }
    free(tmp);
    return rc;
}

/* -- which of it is from where, and when it came ----------------------------------------------- */

/* One list tells the streams, the other the times, each of pieces of its own. */
static void find_chunks(const struct action_result *result, struct chunks *out)
{
    const struct action_chunk only = {
        digest_is_null(&result->stdout_digest) ? 2 : 1,
        result->stdout_digest.size + result->stderr_digest.size,
    };
    const struct action_chunk *order = result->n_chunks ? result->chunks : &only;
    size_t n = result->n_chunks ? result->n_chunks : 1, at = 0;
    bool timed = true;
    uint64_t offset = 0, time_ns = result->start_ns, left = 0, ms;
    for (size_t i = 0; i < n; i++) {
        for (uint64_t rest = order[i].bytes; rest > 0;) {
            if (left == 0 && timed) {
                timed = action_times_next(result, &at, &left, &ms);
                if (timed && ms < UINT64_MAX / NS_PER_MS / 2)
                    time_ns += ms * NS_PER_MS;
                if (timed && left == 0)
                    continue;
            }
            uint64_t piece = timed && left < rest ? left : rest;
            chunks_add(out, offset, piece, order[i].stream, at > 0 ? time_ns : 0);
            offset += piece;
            rest -= piece;
            left -= timed ? piece : 0;
        }
    }
}

/* -- the run that made it ---------------------------------------------------------------------- */

struct looking {
    const char *step, *key;
    char *log;
    struct chunks chunks;
    uint64_t start_ns;
    bool wrote, found;
};

static void look(void *ctx, const struct event *event)
{
    struct looking *l = ctx;
    if (l->found || !event->step || strcmp(event->step, l->step) != 0)
        return;
    if (event->type == EVENT_STEP_STARTED) {
        l->start_ns = event->time_ns;
        l->wrote = false;
        chunks_clear(&l->chunks);
    } else if (event->type == EVENT_STEP_LOG && event->u.log.log) {
        free(l->log);
        l->log = mem_strdup(event->u.log.log);
        l->wrote = true;
        chunks_add(&l->chunks, event->u.log.offset, event->u.log.n, event->u.log.stream,
                   event->time_ns);
    } else if (event->type == EVENT_STEP_FINISHED && l->start_ns > 0) {
        l->found = event->u.finished.status == STEP_PASSED && !event->u.finished.tainted &&
                   event->u.finished.key && strcmp(event->u.finished.key, l->key) == 0 &&
                   (!l->wrote || access(l->log, R_OK) == 0);
    }
}

/* Looks whether one of the newest runs on record has made that result. */
static bool look_in_records(struct records *records, struct question *q)
{
    struct record_summary *list = NULL;
    size_t n = 0;
    struct looking l = {.step = q->step, .key = q->key};
    if (!q->step || records_list(records, RUNS_TO_LOOK_AT, &list, &n, NULL) < 0)
        return false;
    for (size_t i = 0; i < n && !l.found; i++) {
        bool there;
        l.start_ns = 0;
        if (list[i].passed > 0 || list[i].status < 0)
            (void)!records_replay(records, list[i].id, look, &l, &there, NULL);
    }
    if (l.found) {
        q->log = l.wrote ? arena_strdup(&q->arena, l.log) : NULL;
        q->start_ns = l.start_ns;
        q->chunks = l.chunks;
        l.chunks = (struct chunks){0};
    }
    chunks_release(&l.chunks);
    free(l.log);
    records_free_list(list, n);
    return l.found;
}

/* -- the answer -------------------------------------------------------------------------------- */

/* What the cache has; false with *why, when it is not all there. */
static bool look_in_cache(struct cache *cache, struct records *records, const struct digest *key,
                          struct question *q, const char **why)
{
    struct buf bytes = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct action_result result = {0};
    struct err err = ERR_INIT;
    enum cache_answer answer = CACHE_MISS;
    bool whole = false;
    *why = "the cache no longer has its result: it was collected or cleared";
    cache_use_begin(cache);
    int rc = cache_get_action(cache, key, &bytes, &answer, &err);
    if (rc == 0 && answer == CACHE_HIT)
        rc = action_result_decode(bytes.data, bytes.len, &arena, &result, &err);
    if (rc == 0 && answer == CACHE_HIT) {
        uint64_t size = result.stdout_digest.size + result.stderr_digest.size;
        char *dir = path_join(records_dir(records), "logs");
        q->log = arena_printf(&q->arena, "%s/%s-%" PRIx64, dir, q->key, result.end_ns);
        q->start_ns = result.start_ns;
        whole = size == 0;
        if (!whole)
            rc = take_out(cache, &result, dir, q->log, &whole, &err);
        if (whole && size > 0)
            find_chunks(&result, &q->chunks);
        if (!whole || size == 0)
            q->log = NULL;
        *why = "the cache no longer has it, though it has the result";
        free(dir);
    }
    cache_use_end(cache);
    if (rc < 0)
        *why = arena_strdup(&q->arena, err_text(&err));
    err_release(&err);
    arena_release(&arena);
    buf_release(&bytes);
    return rc == 0 && whole;
}

void answer_log(struct cache *cache, struct records *records, struct question *q)
{
    struct digest key;
    q->error = "it is not known which result it is of";
    if (!q->key || !digest_parse(q->key, 0, &key))
        return;
    q->error = "no runs are recorded";
    if (!records)
        return;
    q->error = "there is no cache";
    q->found = cache && look_in_cache(cache, records, &key, q, &q->error);
    if (!q->found)
        q->found = look_in_records(records, q);
}
