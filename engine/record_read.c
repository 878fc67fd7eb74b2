/*
 * record_read.c - run records as lists, as streams of events, and as logs. Runs may be pruned or
 * still be written meanwhile: what is not there, or not whole, is passed over.
 */
#include "engine/record.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/record_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_BYTES ((size_t)64 * 1024) /* of a record, read for its summary */

/* -- summaries --------------------------------------------------------------------------------- */

/* Whether the line is an event of that type: kiln writes the type first, so most lines need no
 * parser. */
static bool line_is(const char *line, size_t n, enum event_type type)
{
    static const char start[] = "{\"type\":\"";
    const char *name = event_type_name(type);
    size_t n_start = sizeof(start) - 1, n_name = strlen(name);
    return n > n_start + n_name && !memcmp(line, start, n_start) &&
           !memcmp(line + n_start, name, n_name) && line[n_start + n_name] == '"';
}

/* Reads n bytes at offset; returns how many there were. */
static size_t read_part(int fd, uint64_t offset, size_t n, struct buf *out)
{
    buf_reset(out);
    char *to = buf_reserve(out, n);
    while (out->len < n) {
        ssize_t got = pread(fd, to + out->len, n - out->len, (off_t)(offset + out->len));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        out->len += (size_t)got;
    }
    to[out->len] = '\0';
    return out->len;
}

/* Looks for the run's beginning; reads more as long as its line is not whole. */
static bool find_started(int fd, struct buf *buf, struct arena *arena, struct event *event)
{
    for (size_t want = END_BYTES;; want *= 4) {
        size_t got = read_part(fd, 0, want, buf);
        const char *data = buf_str(buf), *newline;
        size_t at = 0;
        for (; (newline = memchr(data + at, '\n', got - at)); at = (size_t)(newline - data) + 1) {
            size_t n = (size_t)(newline - data) - at;
            if (line_is(data + at, n, EVENT_RUN_STARTED) &&
                event_parse(data + at, n, arena, event, NULL) == 0)
                return true;
            if (line_is(data + at, n, EVENT_RUN_FINISHED))
                return false;
        }
        if (got < want)
            return false;
    }
}

/* Where the line begins whose newline is the last of these bytes. */
static size_t line_start(const char *data, size_t end)
{
    size_t at = end - 1;
    while (at && data[at - 1] != '\n')
        at--;
    return at;
}

/* Looks for the run's end, which stands among the last lines. */
static bool find_finished(int fd, struct buf *buf, struct arena *arena, struct event *event)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return false;
    uint64_t size = (uint64_t)st.st_size;
    size_t want = size < END_BYTES ? (size_t)size : END_BYTES;
    size_t end = read_part(fd, size - want, want, buf);
    const char *data = buf_str(buf);
    while (end && data[end - 1] != '\n')
        end--;
    while (end) {
        size_t at = line_start(data, end);
        if (line_is(data + at, end - 1 - at, EVENT_RUN_FINISHED) &&
            event_parse(data + at, end - 1 - at, arena, event, NULL) == 0)
            return true;
        end = at;
    }
    return false;
}

/* Opens a run's events; -1 when there are none. What is no regular file would be read for ever. */
static int open_events(const char *run_dir)
{
    char *path = path_join(run_dir, "events.ndjson");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    struct stat st;
    free(path);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Where the run came from; NULL: it ran here. */
static char *read_origin(const char *run_dir)
{
    struct buf text = BUF_INIT;
    char *path = path_join(run_dir, "imported");
    if (file_read(path, 4096, &text, NULL) < 0)
        buf_release(&text);
    free(path);
    if (text.len && text.data[text.len - 1] == '\n')
        text.data[--text.len] = '\0';
    if (text.len)
        return buf_detach(&text);
    buf_release(&text);
    return NULL;
}

/* False when the run has no events (yet). */
static bool summarize(const char *runs, uint64_t id, struct record_summary *out)
{
    char *dir = mem_printf("%s/%" PRIu64, runs, id);
    int fd = open_events(dir);
    if (fd < 0) {
        free(dir);
        return false;
    }
    struct buf buf = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct event event;
    bool ok = find_started(fd, &buf, &arena, &event);
    if (ok) {
        *out = (struct record_summary){
            .id = mem_printf("%" PRIu64, id),
            .time_ns = event.time_ns,
            .trigger = mem_strdup(event.u.run_started.trigger),
            .status = -1,
        };
        if (!strcmp(out->trigger, "imported"))
            out->imported = read_origin(dir);
        if (find_finished(fd, &buf, &arena, &event)) {
            out->status = (int)event.u.run_finished.status;
            out->duration_ms = event.u.run_finished.duration_ms;
            out->passed = event.u.run_finished.passed;
            out->cached = event.u.run_finished.cached;
            out->failed = event.u.run_finished.failed;
            out->skipped = event.u.run_finished.skipped;
            out->cancelled = event.u.run_finished.cancelled;
            out->saved_ms = event.u.run_finished.saved_ms;
        }
    }
    arena_release(&arena);
    buf_release(&buf);
    close(fd);
    free(dir);
    return ok;
}

int records_list(struct records *records, size_t max, struct record_summary **out, size_t *n,
                 struct err *err)
{
    VEC(struct record_summary) list = VEC_INIT;
    run_ids ids = VEC_INIT;
    int code = record_ids(records->runs, &ids, err);
    for (size_t i = ids.n; code == 0 && i > 0 && list.n < max; i--) {
        struct record_summary summary;
        if (summarize(records->runs, ids.v[i - 1], &summary))
            vec_push(&list, summary);
    }
    vec_release(&ids);
    *out = list.v;
    *n = list.n;
    return code;
}

void records_free_list(struct record_summary *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].id);
        free(list[i].trigger);
        free(list[i].imported);
    }
    free(list);
}

/* -- events ------------------------------------------------------------------------------------ */

/* The events of a run as a stream; NULL when it has none. */
static FILE *stream_events(const char *run_dir)
{
    int fd = open_events(run_dir);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

static const char *absolute(struct arena *arena, const char *run_dir, const char *path)
{
    if (!path || *path == '/')
        return path;
    return arena_printf(arena, "%s/%s", run_dir, path);
}

/* Parses a line of a run's record; false when it is no event. */
static bool read_event(const char *run_dir, const char *line, size_t n, struct arena *arena,
                       struct event *out)
{
    if (event_parse(line, n, arena, out, NULL) < 0)
        return false;
    if (out->type == EVENT_STEP_STARTED)
        out->u.started.log = absolute(arena, run_dir, out->u.started.log);
    else if (out->type == EVENT_STEP_LOG)
        out->u.log.log = absolute(arena, run_dir, out->u.log.log);
    return true;
}

/* What came from elsewhere is looked at only where it is named. */
static void drop_imported(const struct records *records, run_ids *ids)
{
    size_t kept = 0;
    for (size_t i = 0; i < ids->n; i++) {
        char *path = mem_printf("%s/%" PRIu64 "/imported", records->runs, ids->v[i]);
        if (access(path, F_OK) < 0)
            ids->v[kept++] = ids->v[i];
        free(path);
    }
    ids->n = kept;
}

/* The runs to look through, as numbers: the one named, or all. An id that is none gives no run. */
static int wanted_runs(const struct records *records, const char *id, run_ids *out, struct err *err)
{
    int code = record_ids(records->runs, out, err);
    if (code < 0)
        return code;
    if (!id) {
        drop_imported(records, out);
        return 0;
    }
    for (size_t i = 0; i < out->n; i++) {
        char name[24];
        snprintf(name, sizeof(name), "%" PRIu64, out->v[i]);
        if (!strcmp(name, id)) {
            out->v[0] = out->v[i];
            out->n = 1;
            return 0;
        }
    }
    vec_clear(out);
    return 0;
}

/* A view is told of the pipeline before the run, as it was told live; the record has the run's
 * beginning first, where a summary finds it at once. */
struct replay {
    event_cb *cb;
    void *ctx;
    struct arena arena; /* of started */
    struct event started;
    bool held; /* started is yet to be told */
};

static void tell_started(struct replay *replay)
{
    if (replay->held)
        replay->cb(replay->ctx, &replay->started);
    replay->held = false;
    arena_release(&replay->arena);
}

/* Takes the arena over. */
static void tell(struct replay *replay, struct event *event, struct arena *arena)
{
    if (event->type == EVENT_RUN_STARTED && !replay->held) {
        replay->arena = *arena;
        replay->started = *event;
        replay->held = true;
        return;
    }
    if (event->type == EVENT_PIPELINE_LOADED && replay->held) {
        uint64_t seq = event->seq;
        event->seq = replay->started.seq;
        replay->started.seq = seq;
    } else {
        tell_started(replay);
    }
    replay->cb(replay->ctx, event);
    arena_release(arena);
}

static int replay(const char *run_dir, FILE *file, event_cb *cb, void *ctx, struct err *err)
{
    struct replay replay = {.cb = cb, .ctx = ctx};
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    errno = 0;
    while ((n = getline(&line, &cap, file)) > 0) {
        struct arena arena = ARENA_INIT;
        struct event event;
        if (read_event(run_dir, line, (size_t)n, &arena, &event))
            tell(&replay, &event, &arena);
        else
            arena_release(&arena);
        errno = 0;
    }
    int errnum = ferror(file) ? errno : 0;
    tell_started(&replay);
    free(line);
    return errnum ? err_sys(err, errnum, "cannot read the events of %s", run_dir) : 0;
}

int records_replay(struct records *records, const char *id, event_cb *cb, void *ctx, bool *found,
                   struct err *err)
{
    run_ids ids = VEC_INIT;
    *found = false;
    int code = wanted_runs(records, id, &ids, err);
    for (size_t i = ids.n; code == 0 && !*found && i > 0; i--) {
        char *dir = mem_printf("%s/%" PRIu64, records->runs, ids.v[i - 1]);
        FILE *file = stream_events(dir);
        if (file) {
            *found = true;
            code = replay(dir, file, cb, ctx, err);
            fclose(file);
        }
        free(dir);
    }
    vec_release(&ids);
    return code;
}

/* The log of the step's last start in that run, when the file is there: the one that its first
 * output named, or what stands for none. */
static char *find_log(const char *run_dir, const char *step)
{
    FILE *file = stream_events(run_dir);
    if (!file)
        return NULL;
    struct buf name = BUF_INIT; /* as it stands in the line */
    buf_adds(&name, "\"step\":");
    buf_add_json_str(&name, step);
    char *line = NULL, *log = NULL;
    bool silent = false;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, file)) > 0) {
        bool starts = line_is(line, (size_t)n, EVENT_STEP_STARTED);
        bool first = silent && line_is(line, (size_t)n, EVENT_STEP_LOG);
        if (!(starts || first) || !memmem(line, (size_t)n, name.data, name.len))
            continue;
        struct arena arena = ARENA_INIT;
        struct event event;
        if (read_event(run_dir, line, (size_t)n, &arena, &event) && !strcmp(event.step, step)) {
            const char *path = starts ? event.u.started.log : event.u.log.log;
            silent = starts && path && !strcmp(path, EVENT_NO_LOG);
            if (path && access(path, R_OK) == 0) {
                free(log);
                log = mem_strdup(path);
            } else if (first) { /* it did write */
                free(log);
                log = NULL;
            }
        }
        arena_release(&arena);
    }
    free(line);
    buf_release(&name);
    fclose(file);
    return log;
}

/* Whether a shell had the step's place in that run. */
static bool was_shell(const char *run_dir, const char *step)
{
    int fd = open_events(run_dir);
    struct buf buf = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct event event;
    bool shell = fd >= 0 && find_started(fd, &buf, &arena, &event) &&
                 !strcmp(event.u.run_started.trigger, EVENT_TRIGGER_SHELL) &&
                 event.u.run_started.n_steps > 0 &&
                 !strcmp(event.u.run_started.steps[event.u.run_started.n_steps - 1], step);
    arena_release(&arena);
    buf_release(&buf);
    if (fd >= 0)
        close(fd);
    return shell;
}

/* The newest log among the runs; *run is which one, if anybody wants to know. */
static char *newest_log(struct records *records, const char *id, const char *step, char **run)
{
    run_ids ids = VEC_INIT;
    char *log = NULL;
    if (wanted_runs(records, id, &ids, NULL) == 0) {
        for (size_t i = ids.n; !log && i > 0; i--) {
            char *dir = mem_printf("%s/%" PRIu64, records->runs, ids.v[i - 1]);
            if (id || !was_shell(dir, step))
                log = find_log(dir, step);
            if (log && run)
                *run = mem_printf("%" PRIu64, ids.v[i - 1]);
            free(dir);
        }
    }
    vec_release(&ids);
    return log;
}

char *records_log_path(struct records *records, const char *id, const char *step)
{
    return newest_log(records, id, step, NULL);
}

char *records_log_run(struct records *records, const char *step)
{
    char *run = NULL;
    free(newest_log(records, NULL, step, &run));
    return run;
}

char *records_run_dir(struct records *records, const char *id)
{
    run_ids ids = VEC_INIT;
    char *dir = NULL;
    if (wanted_runs(records, id, &ids, NULL) == 0 && ids.n == 1)
        dir = mem_printf("%s/%" PRIu64, records->runs, ids.v[0]);
    vec_release(&ids);
    return dir;
}

char *records_imported(struct records *records, const char *id)
{
    char *dir = records_run_dir(records, id);
    char *text = dir ? read_origin(dir) : NULL;
    free(dir);
    return text;
}
