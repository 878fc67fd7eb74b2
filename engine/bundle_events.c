/*
 * bundle_events.c - the events of a run from elsewhere, written anew as those of a run of this
 * project.
 *
 * A line is parsed as an event and written as one, so nothing of it is left but what an event has.
 * The run has another id and was triggered by "imported"; the project's folder is the one here; a
 * log lies in the run's own directory or is none; directories that were kept for a look are not
 * here.
 */
#include "engine/bundle_private.h"

#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_BYTES ((size_t)256 * 1024)

static int refuse(const struct bundle_events *events, struct err *err, const char *what)
{
    return err_set(err, ERR_CONFIG, "line %" PRIu64 " of its events %s", events->n, what);
}

/* Names are shown, and part of commands that are proposed. */
static bool is_name(const char *text)
{
    for (; text && *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    }
    return text != NULL;
}

static bool is_log(const char *log)
{
    char *path = log ? mem_printf("run/%s", log) : NULL;
    bool fits = !log || !strcmp(log, EVENT_NO_LOG) || bundle_kind_of(path) == BUNDLE_LOG;
    free(path);
    return fits;
}

static int put_event(struct bundle_events *events, struct event *event, struct err *err)
{
    if (event->run)
        event->run = events->id;
    if (event->step && !is_name(event->step))
        return refuse(events, err, "names a step that can't be");
    switch (event->type) {
    case EVENT_RUN_STARTED:
        event->u.run_started.trigger = "imported";
        event->u.run_started.root = events->root;
        events->started = true;
        break;
    case EVENT_PIPELINE_LOADED:
        event->u.pipeline.root = events->root;
        for (size_t i = 0; i < event->u.pipeline.n_steps; i++) {
            if (!is_name(event->u.pipeline.steps[i].name))
                return refuse(events, err, "names a step that can't be");
        }
        break;
    case EVENT_STEP_STARTED:
        if (!is_log(event->u.started.log))
            return refuse(events, err, "names a log that is not in the run's directory");
        break;
    case EVENT_STEP_LOG:
        if (!is_log(event->u.log.log))
            return refuse(events, err, "names a log that is not in the run's directory");
        break;
    case EVENT_STEP_FINISHED: event->u.finished.box = NULL; break;
    case EVENT_STEP_PAUSED: event->u.paused.box = NULL; break;
    case EVENT_RUN_FINISHED: events->finished = true; break;
    default: break;
    }
    event_json(event, NULL, &events->out);
    return 0;
}

static int flush(struct bundle_events *events, struct err *err)
{
    int rc = 0;
    if (events->out.len && file_write_all(events->fd, events->out.data, events->out.len) < 0)
        rc = err_sys(err, errno, "cannot write the run's events");
    buf_reset(&events->out);
    return rc;
}

static int put_line(struct bundle_events *events, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct event event;
    events->n++;
    int rc = event_parse(events->line.data, events->line.len, &arena, &event, NULL) < 0
                 ? refuse(events, err, "is no event")
                 : put_event(events, &event, err);
    arena_release(&arena);
    buf_reset(&events->line);
    return rc == 0 && events->out.len >= FLUSH_BYTES ? flush(events, err) : rc;
}

int bundle_events_add(struct bundle_events *events, const void *bytes, size_t n, struct err *err)
{
    const char *at = bytes, *end = at + n;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        if (events->line.len + length > BUNDLE_LINE_MAX) {
            events->n++;
            return refuse(events, err, "is longer than kiln makes them");
        }
        buf_add(&events->line, at, length);
        at += length + (newline != NULL);
        if (newline && put_line(events, err) < 0)
            return -(int)err->kind;
    }
    return 0;
}

int bundle_events_end(struct bundle_events *events, struct err *err)
{
    if (events->line.len) {
        events->n++;
        return refuse(events, err, "has no end");
    }
    if (!events->started || !events->finished)
        return err_set(err, ERR_CONFIG, "its events are not those of a run from begin to end");
    return flush(events, err);
}

void bundle_events_release(struct bundle_events *events)
{
    buf_release(&events->line);
    buf_release(&events->out);
}
