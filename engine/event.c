/*
 * event.c - events as lines of JSON and as words; event_parse.c reads them back.
 *
 * A line is one object without white space, its fields in the order written here. What is absent is
 * null, or an empty list. Beyond the names of event.h:
 *
 *     run.started     "watcher": true when a kiln that watches does it for a command
 *     step.started    "reasons_total": how many reasons there were, when the list is cut;
 *                     "log": the spool file; "mount": where the project is for it, where that is
 *                     not where it is for everybody
 *     step.progress   "phase", "text", "done", "total", "unit", "rate"
 *     step.finished   "error", "saved_ms"; "hints" and "box" where there are any; "cpu_ms" and
 *                     "memory_bytes" where they are not 0
 *     run.finished    "saved_ms"
 *     step.paused     "rule" (null: stepping), "reason", "key", "failed", "passed" (both false: it
 *                     has not started yet); else "exit_code", "signal", "timed_out",
 *                     "duration_ms", "error", "box" as in step.finished
 *     breakpoint      "step" (that is held before it starts, or null), "set", "rule"
 *     watch.tree      "branch" (null: no repository), "dirty"
 *     watch.changed   "clock": {"epoch", "tick"}
 *     pipeline.loaded "pipeline", "root", "watching", "steps" [{"step", "description", "command",
 *                     "needs", "last_ms"; "cwd" where it has one}]
 *     notice          "level", "text"
 *
 * Run records have "bytes" and "log" in step.log instead of "data".
 */
#include "engine/event.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[EVENT_N] = {
    [EVENT_RUN_STARTED] = "run.started",
    [EVENT_STEP_QUEUED] = "step.queued",
    [EVENT_STEP_PROGRESS] = "step.progress",
    [EVENT_STEP_STARTED] = "step.started",
    [EVENT_STEP_LOG] = "step.log",
    [EVENT_STEP_FINISHED] = "step.finished",
    [EVENT_STEP_PAUSED] = "step.paused",
    [EVENT_STEP_RESUMED] = "step.resumed",
    [EVENT_RUN_FINISHED] = "run.finished",
    [EVENT_WATCH_CHANGED] = "watch.changed",
    [EVENT_WATCH_IDLE] = "watch.idle",
    [EVENT_WATCH_DEGRADED] = "watch.degraded",
    [EVENT_PIPELINE_LOADED] = "pipeline.loaded",
    [EVENT_BREAKPOINT] = "breakpoint",
    [EVENT_WATCH_TREE] = "watch.tree",
    [EVENT_NOTICE] = "notice",
};

static const char *const step_names[STEP_STATUS_N] = {
    [STEP_PASSED] = "passed",   [STEP_CACHED] = "cached",       [STEP_FAILED] = "failed",
    [STEP_SKIPPED] = "skipped", [STEP_CANCELLED] = "cancelled",
};

static const char *const run_names[RUN_STATUS_N] = {
    [RUN_PASSED] = "passed",
    [RUN_FAILED] = "failed",
    [RUN_CANCELLED] = "cancelled",
};

const char *event_type_name(enum event_type type)
{
    return type_names[type];
}

const char *step_status_name(enum step_status status)
{
    return step_names[status];
}

const char *run_status_name(enum run_status status)
{
    return run_names[status];
}

/* -- fields ------------------------------------------------------------------------------------ */

static void add_number(struct buf *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    buf_add(out, digits + at, sizeof(digits) - at);
}

/* Begins a field that is not the object's first. */
static void add_name(struct buf *out, const char *name)
{
    buf_add(out, ",\"", 2);
    buf_adds(out, name);
    buf_add(out, "\":", 2);
}

static void field_str(struct buf *out, const char *name, const char *string)
{
    add_name(out, name);
    buf_add_json_str(out, string);
}

static void field_u64(struct buf *out, const char *name, uint64_t number)
{
    add_name(out, name);
    add_number(out, number);
}

static void field_i64(struct buf *out, const char *name, int64_t number)
{
    add_name(out, name);
    if (number < 0)
        buf_addc(out, '-');
    add_number(out, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

static void field_bool(struct buf *out, const char *name, bool value)
{
    add_name(out, name);
    buf_adds(out, value ? "true" : "false");
}

static void field_strings(struct buf *out, const char *name, const char *const *strings, size_t n)
{
    add_name(out, name);
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, ',');
        buf_add_json_str(out, strings[i]);
    }
    buf_addc(out, ']');
}

/* The fields every event has; the first of a stream tells the schema. */
static void add_head(struct buf *out, const struct event *event)
{
    char time[32];
    buf_adds(out, "{\"type\":\"");
    buf_adds(out, type_names[event->type]);
    buf_adds(out, "\",\"seq\":");
    add_number(out, event->seq);
    field_str(out, "time", text_time(event->time_ns, time));
    field_str(out, "run", event->run);
    if (event->seq == 1)
        field_u64(out, "schema", EVENT_SCHEMA);
}

/* -- events ------------------------------------------------------------------------------------ */

static void add_run_started(struct buf *out, const struct event *event)
{
    field_str(out, "version", event->u.run_started.version);
    field_str(out, "pipeline", event->u.run_started.pipeline);
    field_str(out, "root", event->u.run_started.root);
    field_strings(out, "steps", event->u.run_started.steps, event->u.run_started.n_steps);
    field_u64(out, "jobs", event->u.run_started.jobs);
    field_str(out, "trigger", event->u.run_started.trigger);
    if (event->u.run_started.watcher)
        field_bool(out, "watcher", true);
}

static void add_reasons(struct buf *out, const struct reason *reasons, size_t n)
{
    add_name(out, "reasons");
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i ? ",{\"kind\":\"" : "{\"kind\":\"");
        buf_adds(out, reason_kind_name(reasons[i].kind));
        buf_addc(out, '"');
        field_str(out, "subject", reasons[i].subject);
        if (reasons[i].step)
            field_str(out, "step", reasons[i].step);
        field_str(out, "old", reasons[i].old);
        field_str(out, "new", reasons[i].now);
        if (reasons[i].note)
            field_str(out, "note", reasons[i].note);
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

static void add_started(struct buf *out, const struct event *event)
{
    field_str(out, "step", event->step);
    field_str(out, "key", event->u.started.key);
    field_str(out, "runner", event->u.started.runner);
    field_u64(out, "attempt", event->u.started.attempt);
    if (event->u.started.pid > 0) {
        field_i64(out, "pid", event->u.started.pid);
    } else { /* it could not be started */
        add_name(out, "pid");
        buf_adds(out, "null");
    }
    add_reasons(out, event->u.started.reasons, event->u.started.n_reasons);
    field_u64(out, "reasons_total", event->u.started.all_reasons);
    field_str(out, "log", event->u.started.log);
    if (event->u.started.mount)
        field_str(out, "mount", event->u.started.mount);
}

static void add_progress(struct buf *out, const struct event *event)
{
    field_str(out, "step", event->step);
    field_str(out, "phase", event->u.progress.phase);
    field_str(out, "text", event->u.progress.text);
    field_u64(out, "done", event->u.progress.done);
    field_u64(out, "total", event->u.progress.total);
    field_str(out, "unit", event->u.progress.unit);
    field_u64(out, "rate", event->u.progress.rate);
}

void event_progress_text(const struct event *event, struct buf *out)
{
    uint64_t done = event->u.progress.done, total = event->u.progress.total;
    char text[16];
    buf_adds(out, event->u.progress.text);
    if (!total)
        return;
    if (!event->u.progress.unit || strcmp(event->u.progress.unit, "bytes") != 0) {
        buf_addf(out, " %" PRIu64 " of %" PRIu64, done, total);
        return;
    }
    buf_addf(out, " %s", text_size(done, text));
    buf_addf(out, " of %s", text_size(total, text));
    if (event->u.progress.rate)
        buf_addf(out, ", %s/s", text_size(event->u.progress.rate, text));
}

static void add_log(struct buf *out, const struct event *event, const char *data)
{
    field_str(out, "step", event->step);
    field_str(out, "stream", event->u.log.stream == 2 ? "stderr" : "stdout");
    if (data) {
        add_name(out, "data");
        buf_add_json(out, data, (size_t)event->u.log.n);
    }
    field_u64(out, "offset", event->u.log.offset);
    if (!data) {
        field_u64(out, "bytes", event->u.log.n);
        field_str(out, "log", event->u.log.log);
    }
}

static void add_signal(struct buf *out, int number)
{
    add_name(out, "signal");
    if (!number) {
        buf_adds(out, "null");
        return;
    }
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
    const char *name = sigabbrev_np(number);
    if (name) {
        buf_adds(out, "\"SIG");
        buf_adds(out, name);
        buf_addc(out, '"');
        return;
    }
#endif
    buf_addf(out, "%d", number);
}

static void add_exit(struct buf *out, int exit_code, int signal)
{
    if (exit_code >= 0)
        field_i64(out, "exit_code", exit_code);
    else
        field_str(out, "exit_code", NULL);
    add_signal(out, signal);
}

static void add_finished(struct buf *out, const struct event *event)
{
    field_str(out, "step", event->step);
    field_str(out, "status", step_names[event->u.finished.status]);
    add_exit(out, event->u.finished.exit_code, event->u.finished.signal);
    field_bool(out, "timed_out", event->u.finished.timed_out);
    field_bool(out, "tainted", event->u.finished.tainted);
    field_u64(out, "duration_ms", event->u.finished.duration_ms);
    field_str(out, "key", event->u.finished.key);
    field_str(out, "source", event->u.finished.source);
    add_name(out, "outputs");
    buf_addc(out, '[');
    for (size_t i = 0; i < event->u.finished.n_outputs; i++) {
        const struct event_output *output = &event->u.finished.outputs[i];
        buf_adds(out, i ? ",{\"path\":" : "{\"path\":");
        buf_add_json_str(out, output->path);
        field_str(out, "digest", output->digest);
        field_u64(out, "bytes", output->bytes);
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
    field_str(out, "error", event->u.finished.error);
    field_u64(out, "saved_ms", event->u.finished.saved_ms);
    if (event->u.finished.cpu_ms)
        field_u64(out, "cpu_ms", event->u.finished.cpu_ms);
    if (event->u.finished.memory_bytes)
        field_u64(out, "memory_bytes", event->u.finished.memory_bytes);
    if (event->u.finished.n_hints)
        field_strings(out, "hints", event->u.finished.hints, event->u.finished.n_hints);
    if (event->u.finished.box)
        field_str(out, "box", event->u.finished.box);
}

static void add_paused(struct buf *out, const struct event *event)
{
    field_str(out, "step", event->step);
    field_str(out, "rule", event->u.paused.rule);
    field_str(out, "reason", event->u.paused.reason);
    field_str(out, "key", event->u.paused.key);
    field_bool(out, "failed", event->u.paused.failed);
    field_bool(out, "passed", event->u.paused.passed);
    if (!event->u.paused.failed && !event->u.paused.passed)
        return;
    add_exit(out, event->u.paused.exit_code, event->u.paused.signal);
    field_bool(out, "timed_out", event->u.paused.timed_out);
    field_u64(out, "duration_ms", event->u.paused.duration_ms);
    field_str(out, "error", event->u.paused.error);
    if (event->u.paused.box)
        field_str(out, "box", event->u.paused.box);
}

static void add_run_finished(struct buf *out, const struct event *event)
{
    field_str(out, "status", run_names[event->u.run_finished.status]);
    field_u64(out, "duration_ms", event->u.run_finished.duration_ms);
    field_u64(out, "passed", event->u.run_finished.passed);
    field_u64(out, "cached", event->u.run_finished.cached);
    field_u64(out, "failed", event->u.run_finished.failed);
    field_u64(out, "skipped", event->u.run_finished.skipped);
    field_u64(out, "cancelled", event->u.run_finished.cancelled);
    field_u64(out, "saved_ms", event->u.run_finished.saved_ms);
}

static void add_changed(struct buf *out, const struct event *event)
{
    field_strings(out, "paths", event->u.changed.paths, event->u.changed.n_paths);
    field_u64(out, "count", event->u.changed.count);
    buf_adds(out, ",\"clock\":{\"epoch\":");
    add_number(out, event->u.changed.epoch);
    field_u64(out, "tick", event->u.changed.tick);
    buf_addc(out, '}');
}

static void add_pipeline(struct buf *out, const struct event *event)
{
    field_str(out, "pipeline", event->u.pipeline.name);
    field_str(out, "root", event->u.pipeline.root);
    field_bool(out, "watching", event->u.pipeline.watching);
    add_name(out, "steps");
    buf_addc(out, '[');
    for (size_t i = 0; i < event->u.pipeline.n_steps; i++) {
        const struct event_step_info *step = &event->u.pipeline.steps[i];
        buf_adds(out, i ? ",{\"step\":" : "{\"step\":");
        buf_add_json_str(out, step->name);
        field_str(out, "description", step->description);
        field_str(out, "command", step->command);
        field_strings(out, "needs", step->needs, step->n_needs);
        field_u64(out, "last_ms", step->last_ms);
        if (step->cwd)
            field_str(out, "cwd", step->cwd);
        if (step->interactive)
            field_bool(out, "interactive", true);
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

void event_json(const struct event *event, const char *data, struct buf *out)
{
    add_head(out, event);
    switch (event->type) {
    case EVENT_RUN_STARTED: add_run_started(out, event); break;
    case EVENT_STEP_QUEUED:
    case EVENT_STEP_RESUMED: field_str(out, "step", event->step); break;
    case EVENT_STEP_PROGRESS: add_progress(out, event); break;
    case EVENT_STEP_STARTED: add_started(out, event); break;
    case EVENT_STEP_LOG: add_log(out, event, data); break;
    case EVENT_STEP_FINISHED: add_finished(out, event); break;
    case EVENT_STEP_PAUSED: add_paused(out, event); break;
    case EVENT_RUN_FINISHED: add_run_finished(out, event); break;
    case EVENT_WATCH_CHANGED: add_changed(out, event); break;
    case EVENT_WATCH_DEGRADED: field_str(out, "reason", event->u.degraded.reason); break;
    case EVENT_PIPELINE_LOADED: add_pipeline(out, event); break;
    case EVENT_BREAKPOINT:
        field_str(out, "step", event->step);
        field_bool(out, "set", event->u.breakpoint.set);
        field_str(out, "rule", event->u.breakpoint.rule);
        break;
    case EVENT_WATCH_TREE:
        field_str(out, "branch", event->u.tree.branch);
        field_u64(out, "dirty", event->u.tree.dirty);
        break;
    case EVENT_NOTICE:
        field_str(out, "level", event->u.notice.level);
        field_str(out, "text", event->u.notice.text);
        break;
    case EVENT_WATCH_IDLE:
    case EVENT_N: break;
    }
    buf_add(out, "}\n", 2);
}

char *event_path_outside(const char *root, const char *mount, const char *path)
{
    if (!mount)
        return mem_strdup(path);
    if (!path_is_below(path, mount))
        return NULL;
    path += strlen(mount);
    return path_join(root, path + strspn(path, "/"));
}
