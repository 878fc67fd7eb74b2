/* report.c - which reports are wanted, and when they are written (see report.h). */
#include "cli/report.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/otlp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report {
    const struct options *options;
    struct seen seen;
    struct otlp *otlp; /* or NULL */
};

struct report *report_new(const struct options *options)
{
    struct otlp *otlp = strcmp(options->command, "run") == 0 ? otlp_new() : NULL;
    if (!options->junit && !options->trace && !otlp)
        return NULL;
    struct report *report = mem_zalloc(1, sizeof *report);
    report->options = options;
    report->otlp = otlp;
    seen_init(&report->seen);
    return report;
}

void report_event(void *ctx, const struct event *event)
{
    struct report *report = ctx;
    seen_event(&report->seen, event);
}

void report_nothing(struct report *report, const char *pipeline)
{
    uint64_t now = clock_realtime_ns();
    struct event started = {.type = EVENT_RUN_STARTED, .time_ns = now};
    struct event finished = {.type = EVENT_RUN_FINISHED, .time_ns = now};
    if (!report)
        return;
    started.u.run_started.version = KILN_VERSION;
    started.u.run_started.pipeline = pipeline;
    finished.u.run_finished.status = RUN_PASSED;
    seen_event(&report->seen, &started);
    seen_event(&report->seen, &finished);
}

const char *report_trace_id(const struct report *report)
{
    return report && report->otlp ? otlp_trace(report->otlp) : NULL;
}

static int make_parent(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return 0;
    char *parent = mem_strndup(path, (size_t)(slash - path));
    int rc = file_mkdirs(parent, 0777, err);
    free(parent);
    return rc;
}

static int write_one(const struct options *options, const char *path, const struct seen *seen,
                     void (*make)(const struct seen *seen, struct buf *out), int code)
{
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    if (!path)
        return code;
    make(seen, &text);
    fflush(stdout); /* the place may be /dev/stdout */
    if (make_parent(path, &err) < 0 ||
        file_write_named(path, buf_str(&text), text.len, 0644, &err) < 0) {
        complain(options, err_text(&err));
        code = code ? code : EXIT_KILN;
    }
    err_release(&err);
    buf_release(&text);
    return code;
}

static int write_all(const struct options *options, const struct seen *seen, int code)
{
    code = write_one(options, options->junit, seen, report_junit, code);
    return write_one(options, options->trace, seen, report_trace, code);
}

int report_write(struct report *report, int code)
{
    /* Without a run there is nothing to tell: its exit code says why. */
    if (!report || !report->seen.begun)
        return code;
    struct err err = ERR_INIT;
    code = write_all(report->options, &report->seen, code);
    if (report->otlp && otlp_send(report->otlp, &report->seen, &err) < 0)
        warn(report->options, err_text(&err));
    err_release(&err);
    return code;
}

void report_free(struct report *report)
{
    if (!report)
        return;
    seen_release(&report->seen);
    otlp_free(report->otlp);
    free(report);
}

int report_past(const struct options *options, struct records *records, const char *id)
{
    struct err err = ERR_INIT;
    struct seen seen;
    int code;
    if (seen_read_record(records, id, &seen, &err) < 0) {
        code = err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_KILN;
        complain(options, err_text(&err));
    } else {
        code = write_all(options, &seen, EXIT_OK);
    }
    err_release(&err);
    seen_release(&seen);
    return code;
}
