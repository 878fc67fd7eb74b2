/*
 * view_json.c - events as NDJSON on a stream, one object a line.
 *
 * Lines are numbered here, from 1: a long step.log becomes several. Its bytes are read from the
 * spool file, whose descriptor is kept while the step runs. The last bytes of a piece that may be
 * the beginning of a UTF-8 sequence wait for what follows them, until another stream's turn or the
 * step's end.
 */
#include "cli/cli.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

struct spooled {
    char *path;
    int fd; /* -1 = could not be opened */
    int stream;
    uint64_t offset, n; /* not yet written */
};

struct view_json {
    FILE *out;
    uint64_t seq;
    struct map logs; /* step -> struct spooled */
    struct buf line;
    char *piece;
};

struct view_json *view_json_new(FILE *out)
{
    struct view_json *view = mem_zalloc(1, sizeof *view);
    view->out = out;
    view->piece = mem_alloc(PIECE);
    return view;
}

static void put(struct view_json *view, struct event *event, const char *data)
{
    event->seq = ++view->seq;
    buf_reset(&view->line);
    event_json(event, data, &view->line);
    fwrite(view->line.data, 1, view->line.len, view->out);
}

/* -- logs -------------------------------------------------------------------------------------- */

static size_t read_at(int fd, uint64_t offset, size_t n, char *to)
{
    size_t done = 0;
    while (fd >= 0 && done < n) {
        ssize_t got = pread(fd, to + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* How many bytes at the end may be the beginning of a UTF-8 sequence. */
static size_t unfinished(const char *bytes, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)bytes[n - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t want = c >= 0xf0 && c <= 0xf4  ? 4
                      : c >= 0xe0 && c < 0xf0 ? 3
                      : c >= 0xc2 && c < 0xe0 ? 2
                                              : 1;
        return want > back ? back : 0;
    }
    return 0;
}

/* Writes what waits; all of it, or (all false) without an unfinished sequence at its end. */
static void put_log(struct view_json *view, const struct event *like, struct spooled *log, bool all)
{
    while (log->n && !ferror(view->out)) {
        size_t want = log->n < PIECE ? (size_t)log->n : PIECE;
        size_t got = read_at(log->fd, log->offset, want, view->piece);
        struct event event = {.type = EVENT_STEP_LOG,
                              .time_ns = like->time_ns,
                              .run = like->run,
                              .step = like->step,
                              .u.log = {log->stream, log->offset, got, log->path}};
        if (!got) { /* not there, or cut: tell where it should have been */
            event.u.log.n = log->n;
            put(view, &event, NULL);
            log->n = 0;
            return;
        }
        size_t rest = got == log->n && all ? 0 : unfinished(view->piece, got);
        if (got == log->n && rest == got)
            return;
        if (rest < got)
            event.u.log.n = got - rest;
        put(view, &event, view->piece);
        log->offset += event.u.log.n;
        log->n -= event.u.log.n;
    }
}

static void close_log(struct spooled *log)
{
    if (log->fd >= 0)
        close(log->fd);
    free(log->path);
    free(log);
}

static void end_log(struct view_json *view, const struct event *event)
{
    struct spooled *log = map_get_str(&view->logs, event->step);
    if (!log)
        return;
    put_log(view, event, log, true);
    map_del_str(&view->logs, event->step);
    close_log(log);
}

static void on_log(struct view_json *view, const struct event *event)
{
    const char *path = event->u.log.log ? event->u.log.log : "";
    struct spooled *log = map_get_str(&view->logs, event->step);
    if (log && strcmp(log->path, path) != 0) {
        end_log(view, event);
        log = NULL;
    }
    if (!log) {
        log = mem_zalloc(1, sizeof *log);
        log->path = mem_strdup(path);
        log->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        map_put_str(&view->logs, event->step, log);
    }
    if (log->n &&
        (log->stream != event->u.log.stream || log->offset + log->n != event->u.log.offset))
        put_log(view, event, log, true);
    if (!log->n)
        log->offset = event->u.log.offset;
    log->stream = event->u.log.stream;
    log->n += event->u.log.n;
    put_log(view, event, log, false);
}

/* -- the stream -------------------------------------------------------------------------------- */

/* Those that come by the thousand, with others right behind them, need not go out alone. */
static bool can_wait(const struct event *event)
{
    return event->type == EVENT_STEP_QUEUED ||
           (event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_CACHED);
}

void view_json_event(void *ctx, const struct event *event)
{
    struct view_json *view = ctx;
    if (ferror(view->out))
        return;
    if (event->type == EVENT_STEP_LOG) {
        on_log(view, event);
    } else {
        struct event copy = *event;
        if (event->type == EVENT_STEP_STARTED || event->type == EVENT_STEP_FINISHED)
            end_log(view, event);
        put(view, &copy, NULL);
    }
    if (!can_wait(event))
        fflush(view->out);
}

void view_json_free(struct view_json *view)
{
    if (!view)
        return;
    fflush(view->out);
    map_each (entry, &view->logs)
        close_log(entry->value);
    map_release(&view->logs);
    buf_release(&view->line);
    free(view->piece);
    free(view);
}
