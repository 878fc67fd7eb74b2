/*
 * event_parse.c - reads one line that event_json() wrote (event.c describes them).
 *
 * Lines may come from a later kiln or a damaged file: unknown fields and reasons are passed over,
 * absent fields get their empty value, and a field of the wrong type makes the line no event.
 * Everything is copied into the arena, so that the JSON tree dies here.
 */
#include "engine/event.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct parse {
    struct arena *arena;
    bool bad; /* a known field has a wrong type or value */
};

/* -- fields ------------------------------------------------------------------------------------ */

/* A string of the arena; NULL for null and when absent. */
static const char *get_string(struct parse *parse, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value))
        return NULL;
    if (!json_is_string(value)) {
        parse->bad = true;
        return NULL;
    }
    return arena_strndup(parse->arena, json_string_value(value), json_string_length(value));
}

/* The same, for what is never NULL in an event. */
static const char *get_text(struct parse *parse, const json_t *object, const char *name)
{
    const char *string = get_string(parse, object, name);
    return string ? string : "";
}

static int64_t get_number(struct parse *parse, const json_t *object, const char *name,
                          int64_t least, int64_t most, int64_t absent)
{
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value))
        return absent;
    if (!json_is_integer(value) || json_integer_value(value) < least ||
        json_integer_value(value) > most) {
        parse->bad = true;
        return absent;
    }
    return json_integer_value(value);
}

static uint64_t get_u64(struct parse *parse, const json_t *object, const char *name)
{
    return (uint64_t)get_number(parse, object, name, 0, INT64_MAX, 0);
}

static uint32_t get_u32(struct parse *parse, const json_t *object, const char *name)
{
    return (uint32_t)get_number(parse, object, name, 0, UINT32_MAX, 0);
}

static bool get_bool(struct parse *parse, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (value && !json_is_null(value) && !json_is_boolean(value))
        parse->bad = true;
    return json_is_true(value);
}

/* An array, or NULL; *n is its length. */
static const json_t *get_array(struct parse *parse, const json_t *object, const char *name,
                               size_t *n)
{
    const json_t *value = json_object_get(object, name);
    *n = 0;
    if (!value || json_is_null(value))
        return NULL;
    if (!json_is_array(value)) {
        parse->bad = true;
        return NULL;
    }
    *n = json_array_size(value);
    return value;
}

static const char *const *get_strings(struct parse *parse, const json_t *object, const char *name,
                                      size_t *n)
{
    const json_t *array = get_array(parse, object, name, n);
    const char **strings = arena_zalloc(parse->arena, *n, sizeof(*strings));
    for (size_t i = 0; i < *n; i++) {
        const json_t *item = json_array_get(array, i);
        const char *text = json_string_value(item);
        if (!text)
            parse->bad = true;
        strings[i] = arena_strndup(parse->arena, text ? text : "", json_string_length(item));
    }
    return strings;
}

/* The index of the named string field in names, or -1. */
static int get_name(const json_t *object, const char *name, const char *(*name_of)(int), int n)
{
    const char *text = json_string_value(json_object_get(object, name));
    for (int i = 0; text && i < n; i++)
        if (!strcmp(text, name_of(i)))
            return i;
    return -1;
}

static const char *type_name_of(int i)
{
    return event_type_name((enum event_type)i);
}

static const char *kind_name_of(int i)
{
    return reason_kind_name((enum reason_kind)i);
}

static const char *step_status_of(int i)
{
    return step_status_name((enum step_status)i);
}

static const char *run_status_of(int i)
{
    return run_status_name((enum run_status)i);
}

/* Reads exactly n digits. */
static bool take_digits(const char **at, size_t n, int *number)
{
    *number = 0;
    for (size_t i = 0; i < n; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9')
            return false;
        *number = *number * 10 + ((*at)[i] - '0');
    }
    *at += n;
    return true;
}

static bool take_char(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

/* Reads what text_time() writes. */
static bool parse_time(const char *text, uint64_t *ns)
{
    struct tm tm = {0};
    int fraction;
    bool ok = take_digits(&text, 4, &tm.tm_year) && take_char(&text, '-') &&
              take_digits(&text, 2, &tm.tm_mon) && take_char(&text, '-') &&
              take_digits(&text, 2, &tm.tm_mday) && take_char(&text, 'T') &&
              take_digits(&text, 2, &tm.tm_hour) && take_char(&text, ':') &&
              take_digits(&text, 2, &tm.tm_min) && take_char(&text, ':') &&
              take_digits(&text, 2, &tm.tm_sec) && take_char(&text, '.') &&
              take_digits(&text, 9, &fraction) && take_char(&text, 'Z') && !*text;
    /* What 64 bits of nanoseconds can hold. */
    if (!ok || tm.tm_year < 1970 || tm.tm_year > 2553)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 59)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ns = (uint64_t)timegm(&tm) * 1000000000u + (uint64_t)fraction;
    return true;
}

static int get_signal(struct parse *parse, const json_t *object)
{
    const json_t *value = json_object_get(object, "signal");
    if (!value || json_is_null(value) || json_is_integer(value))
        return (int)get_number(parse, object, "signal", 0, INT32_MAX, 0);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
    const char *text = json_string_value(value);
    if (text && !strncmp(text, "SIG", 3)) {
        for (int i = 1; i < NSIG; i++) {
            const char *name = sigabbrev_np(i);
            if (name && !strcmp(name, text + 3))
                return i;
        }
    }
#endif
    parse->bad = true;
    return 0;
}

/* -- events ------------------------------------------------------------------------------------ */

static void parse_run_started(struct parse *parse, const json_t *object, struct event *out)
{
    out->u.run_started.version = get_text(parse, object, "version");
    out->u.run_started.pipeline = get_text(parse, object, "pipeline");
    out->u.run_started.root = get_text(parse, object, "root");
    out->u.run_started.steps = get_strings(parse, object, "steps", &out->u.run_started.n_steps);
    out->u.run_started.jobs = get_u32(parse, object, "jobs");
    out->u.run_started.trigger = get_text(parse, object, "trigger");
    out->u.run_started.watcher = get_bool(parse, object, "watcher");
}

static void parse_started(struct parse *parse, const json_t *object, struct event *out)
{
    out->u.started.key = get_string(parse, object, "key");
    out->u.started.runner = get_text(parse, object, "runner");
    out->u.started.attempt = get_u32(parse, object, "attempt");
    out->u.started.pid = get_number(parse, object, "pid", INT64_MIN, INT64_MAX, 0);
    out->u.started.log = get_string(parse, object, "log");
    out->u.started.mount = get_string(parse, object, "mount");

    size_t n;
    const json_t *array = get_array(parse, object, "reasons", &n);
    struct reason *reasons = arena_zalloc(parse->arena, n, sizeof(*reasons));
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        int kind = get_name(item, "kind", kind_name_of, REASON_N);
        if (kind < 0)
            continue;
        struct reason *reason = &reasons[kept++];
        reason->kind = (enum reason_kind)kind;
        reason->subject = get_string(parse, item, "subject");
        reason->step = get_string(parse, item, "step");
        reason->old = get_string(parse, item, "old");
        reason->now = get_string(parse, item, "new");
        reason->note = get_string(parse, item, "note");
    }
    out->u.started.reasons = reasons;
    out->u.started.n_reasons = kept;
    uint64_t all = get_u64(parse, object, "reasons_total");
    out->u.started.all_reasons = all > kept ? (size_t)all : kept;
}

static void parse_progress(struct parse *parse, const json_t *object, struct event *out)
{
    out->u.progress.phase = get_text(parse, object, "phase");
    out->u.progress.text = get_text(parse, object, "text");
    out->u.progress.done = get_u64(parse, object, "done");
    out->u.progress.total = get_u64(parse, object, "total");
    out->u.progress.unit = get_text(parse, object, "unit");
    out->u.progress.rate = get_u64(parse, object, "rate");
}

static void parse_log(struct parse *parse, const json_t *object, struct event *out)
{
    const char *stream = get_text(parse, object, "stream");
    if (strcmp(stream, "stdout") != 0 && strcmp(stream, "stderr") != 0)
        parse->bad = true;
    out->u.log.stream = !strcmp(stream, "stderr") ? 2 : 1;
    out->u.log.offset = get_u64(parse, object, "offset");
    const json_t *data = json_object_get(object, "data");
    out->u.log.n = data ? json_string_length(data) : get_u64(parse, object, "bytes");
    out->u.log.log = get_string(parse, object, "log");
}

static void parse_finished(struct parse *parse, const json_t *object, struct event *out)
{
    int status = get_name(object, "status", step_status_of, STEP_STATUS_N);
    if (status < 0) {
        parse->bad = true;
        return;
    }
    out->u.finished.status = (enum step_status)status;
    out->u.finished.exit_code = (int)get_number(parse, object, "exit_code", -1, INT32_MAX, -1);
    out->u.finished.signal = get_signal(parse, object);
    out->u.finished.timed_out = get_bool(parse, object, "timed_out");
    out->u.finished.tainted = get_bool(parse, object, "tainted");
    out->u.finished.duration_ms = get_u64(parse, object, "duration_ms");
    out->u.finished.key = get_string(parse, object, "key");
    out->u.finished.source = get_string(parse, object, "source");
    out->u.finished.error = get_string(parse, object, "error");
    out->u.finished.saved_ms = get_u64(parse, object, "saved_ms");
    out->u.finished.cpu_ms = get_u64(parse, object, "cpu_ms");
    out->u.finished.memory_bytes = get_u64(parse, object, "memory_bytes");
    out->u.finished.hints = get_strings(parse, object, "hints", &out->u.finished.n_hints);
    out->u.finished.box = get_string(parse, object, "box");

    size_t n;
    const json_t *array = get_array(parse, object, "outputs", &n);
    struct event_output *outputs = arena_zalloc(parse->arena, n, sizeof(*outputs));
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        outputs[i].path = get_text(parse, item, "path");
        outputs[i].digest = get_text(parse, item, "digest");
        outputs[i].bytes = get_u64(parse, item, "bytes");
    }
    out->u.finished.outputs = outputs;
    out->u.finished.n_outputs = n;
}

static void parse_paused(struct parse *parse, const json_t *object, struct event *out)
{
    out->u.paused.rule = get_string(parse, object, "rule");
    out->u.paused.reason = get_string(parse, object, "reason");
    out->u.paused.key = get_string(parse, object, "key");
    out->u.paused.failed = get_bool(parse, object, "failed");
    out->u.paused.passed = get_bool(parse, object, "passed");
    out->u.paused.exit_code = (int)get_number(parse, object, "exit_code", -1, INT32_MAX, -1);
    out->u.paused.signal = get_signal(parse, object);
    out->u.paused.timed_out = get_bool(parse, object, "timed_out");
    out->u.paused.duration_ms = get_u64(parse, object, "duration_ms");
    out->u.paused.error = get_string(parse, object, "error");
    out->u.paused.box = get_string(parse, object, "box");
}

static void parse_run_finished(struct parse *parse, const json_t *object, struct event *out)
{
    int status = get_name(object, "status", run_status_of, RUN_STATUS_N);
    if (status < 0) {
        parse->bad = true;
        return;
    }
    out->u.run_finished.status = (enum run_status)status;
    out->u.run_finished.duration_ms = get_u64(parse, object, "duration_ms");
    out->u.run_finished.passed = get_u32(parse, object, "passed");
    out->u.run_finished.cached = get_u32(parse, object, "cached");
    out->u.run_finished.failed = get_u32(parse, object, "failed");
    out->u.run_finished.skipped = get_u32(parse, object, "skipped");
    out->u.run_finished.cancelled = get_u32(parse, object, "cancelled");
    out->u.run_finished.saved_ms = get_u64(parse, object, "saved_ms");
}

static void parse_changed(struct parse *parse, const json_t *object, struct event *out)
{
    out->u.changed.paths = get_strings(parse, object, "paths", &out->u.changed.n_paths);
    out->u.changed.count = get_u64(parse, object, "count");
    const json_t *clock = json_object_get(object, "clock");
    out->u.changed.epoch = get_u64(parse, clock, "epoch");
    out->u.changed.tick = get_u64(parse, clock, "tick");
}

static void parse_pipeline(struct parse *parse, const json_t *object, struct event *out)
{
    out->u.pipeline.name = get_text(parse, object, "pipeline");
    out->u.pipeline.root = get_text(parse, object, "root");
    out->u.pipeline.watching = get_bool(parse, object, "watching");

    size_t n;
    const json_t *array = get_array(parse, object, "steps", &n);
    struct event_step_info *steps = arena_zalloc(parse->arena, n, sizeof(*steps));
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        steps[i].name = get_text(parse, item, "step");
        steps[i].description = get_string(parse, item, "description");
        steps[i].command = get_text(parse, item, "command");
        steps[i].needs = get_strings(parse, item, "needs", &steps[i].n_needs);
        steps[i].last_ms = get_u64(parse, item, "last_ms");
        steps[i].cwd = get_string(parse, item, "cwd");
        steps[i].interactive = get_bool(parse, item, "interactive");
    }
    out->u.pipeline.steps = steps;
    out->u.pipeline.n_steps = n;
}

static void parse_body(struct parse *parse, const json_t *object, struct event *out)
{
    switch (out->type) {
    case EVENT_RUN_STARTED: parse_run_started(parse, object, out); break;
    case EVENT_STEP_PROGRESS: parse_progress(parse, object, out); break;
    case EVENT_STEP_STARTED: parse_started(parse, object, out); break;
    case EVENT_STEP_LOG: parse_log(parse, object, out); break;
    case EVENT_STEP_FINISHED: parse_finished(parse, object, out); break;
    case EVENT_STEP_PAUSED: parse_paused(parse, object, out); break;
    case EVENT_RUN_FINISHED: parse_run_finished(parse, object, out); break;
    case EVENT_WATCH_CHANGED: parse_changed(parse, object, out); break;
    case EVENT_WATCH_DEGRADED: out->u.degraded.reason = get_text(parse, object, "reason"); break;
    case EVENT_PIPELINE_LOADED: parse_pipeline(parse, object, out); break;
    case EVENT_BREAKPOINT:
        out->step = get_string(parse, object, "step");
        out->u.breakpoint.set = get_bool(parse, object, "set");
        out->u.breakpoint.rule = get_string(parse, object, "rule");
        break;
    case EVENT_WATCH_TREE:
        out->u.tree.branch = get_string(parse, object, "branch");
        out->u.tree.dirty = get_u64(parse, object, "dirty");
        break;
    case EVENT_NOTICE:
        out->u.notice.level = get_text(parse, object, "level");
        out->u.notice.text = get_text(parse, object, "text");
        break;
    case EVENT_STEP_QUEUED:
    case EVENT_STEP_RESUMED:
    case EVENT_WATCH_IDLE:
    case EVENT_N: break;
    }
}

static bool has_step(enum event_type type)
{
    return type == EVENT_STEP_QUEUED || type == EVENT_STEP_PROGRESS || type == EVENT_STEP_STARTED ||
           type == EVENT_STEP_LOG || type == EVENT_STEP_FINISHED || type == EVENT_STEP_PAUSED ||
           type == EVENT_STEP_RESUMED;
}

int event_parse(const char *line, size_t n, struct arena *arena, struct event *out, struct err *err)
{
    *out = (struct event){0};
    json_error_t error;
    json_t *object = json_loadb(line, n, JSON_ALLOW_NUL, &error);
    if (!object)
        return err_set(err, ERR_CORRUPT, "not an event: %s", error.text);

    struct parse parse = {.arena = arena};
    int type = get_name(object, "type", type_name_of, EVENT_N);
    if (type < 0) {
        json_decref(object);
        return err_set(err, ERR_CORRUPT, "not an event: its type is missing or unknown");
    }
    out->type = (enum event_type)type;
    out->seq = get_u64(&parse, object, "seq");
    if (!parse_time(get_text(&parse, object, "time"), &out->time_ns))
        parse.bad = true;
    out->run = get_string(&parse, object, "run");
    if (has_step(out->type)) {
        out->step = get_string(&parse, object, "step");
        if (!out->step)
            parse.bad = true;
    }
    parse_body(&parse, object, out);
    json_decref(object);
    if (parse.bad)
        return err_set(err, ERR_CORRUPT, "not an event: a field of %s has a wrong value",
                       event_type_name(out->type));
    return 0;
}
