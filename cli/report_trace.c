/*
 * report_trace.c - a run as a trace: an array of events in Chrome's format, times in microseconds
 * from the run's beginning.
 *
 * Each execution is a complete event ("X") on the first lane that is free, so that there are as
 * many lanes as steps ran at once; cached steps are instants ("i") on a lane of their own; arrows
 * ("s", "f") lead from what a step needs to it.
 */
#include "cli/report.h"

#include "base/text.h"
#include "base/vec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CACHED_LANE = 0 };

struct span {
    const struct seen_step *step;
    const struct seen_execution *execution;
    uint64_t from, to; /* microseconds */
    size_t lane;
    bool last; /* of its step */
};

struct tracing {
    const struct seen *seen;
    struct buf *out;
    VEC(struct span) spans;
    VEC(uint64_t) lanes;    /* when each is free again */
    struct map first, last; /* step -> place + 1 of its first and last span */
};

static uint64_t since_start(const struct tracing *t, uint64_t ns)
{
    return ns > t->seen->start_ns ? (ns - t->seen->start_ns) / 1000 : 0;
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return strcmp(x->step->name, y->step->name);
}

static void collect(struct tracing *t)
{
    for (size_t i = 0; i < t->seen->steps.n; i++) {
        const struct seen_step *step = &t->seen->steps.v[i];
        for (size_t k = 0; k < step->executions.n; k++) {
            const struct seen_execution *e = &step->executions.v[k];
            uint64_t end = e->end_ns ? e->end_ns : t->seen->end_ns;
            uint64_t from = since_start(t, e->start_ns), to = since_start(t, end);
            vec_push(&t->spans, (struct span){.step = step,
                                              .execution = e,
                                              .from = from,
                                              .to = to > from ? to : from + 1,
                                              .last = k + 1 == step->executions.n});
        }
    }
    if (t->spans.n)
        qsort(t->spans.v, t->spans.n, sizeof *t->spans.v, by_start);
    for (size_t i = 0; i < t->spans.n; i++) {
        struct span *span = &t->spans.v[i];
        size_t lane = 0;
        while (lane < t->lanes.n && t->lanes.v[lane] > span->from)
            lane++;
        if (lane == t->lanes.n)
            vec_push(&t->lanes, 0);
        t->lanes.v[lane] = span->to;
        span->lane = lane + 1;
        if (!map_get_str(&t->first, span->step->name))
            map_put_str(&t->first, span->step->name, (void *)(uintptr_t)(i + 1));
        map_put_str(&t->last, span->step->name, (void *)(uintptr_t)(i + 1));
    }
}

static void begin(struct tracing *t, const char *phase, const char *name)
{
    buf_addf(t->out, ",\n{\"ph\":\"%s\",\"pid\":1,\"name\":", phase);
    buf_add_json_str(t->out, name);
}

static void name_lane(struct tracing *t, size_t lane, const char *name)
{
    begin(t, "M", "thread_name");
    buf_addf(t->out, ",\"tid\":%zu,\"args\":{\"name\":", lane);
    buf_add_json_str(t->out, name);
    buf_addf(t->out, "}}");
    begin(t, "M", "thread_sort_index");
    buf_addf(t->out, ",\"tid\":%zu,\"args\":{\"sort_index\":%zu}}", lane, lane);
}

static const char *status_of(const struct seen_step *step)
{
    return step->status < 0 ? "unfinished" : step_status_name((enum step_status)step->status);
}

static void add_text(struct tracing *t, const char *field, const char *text)
{
    if (!text || !*text)
        return;
    buf_addf(t->out, ",\"%s\":", field);
    buf_add_json_str(t->out, text);
}

static void add_number(struct tracing *t, const char *field, uint64_t number)
{
    if (number)
        buf_addf(t->out, ",\"%s\":%" PRIu64, field, number);
}

/* Colours are from the names that viewers of the format have. */
static void add_span(struct tracing *t, const struct span *span)
{
    const struct seen_step *step = span->step;
    uint64_t queued = step->queued_ns ? since_start(t, step->queued_ns) : 0;
    begin(t, "X", step->name);
    buf_addf(t->out,
             ",\"cat\":\"step\",\"tid\":%zu,\"ts\":%" PRIu64 ",\"dur\":%" PRIu64
             ",\"args\":{\"status\":\"%s\",\"attempt\":%" PRIu32,
             span->lane, span->from, span->to - span->from,
             span->last ? status_of(step) : "tried again", span->execution->attempt);
    add_text(t, "reasons", span->execution->reasons);
    add_text(t, "command", step->command);
    if (step->queued_ns && queued < span->from && span->execution == step->executions.v)
        add_number(t, "waited_ms", (span->from - queued) / 1000);
    if (span->last) {
        add_text(t, "key", step->key);
        add_text(t, "runner", step->runner);
        add_text(t, "error", step->error);
        if (step->status == STEP_FAILED)
            buf_addf(t->out, ",\"exit_code\":%d", step->exit_code);
        add_number(t, "signal", (uint64_t)step->signal);
        add_number(t, "cpu_ms", step->cpu_ms);
        add_number(t, "memory_bytes", step->memory_bytes);
    }
    buf_addc(t->out, '}');
    if (span->last && step->status == STEP_FAILED)
        buf_adds(t->out, ",\"cname\":\"terrible\"");
    buf_addc(t->out, '}');
}

static void add_cached(struct tracing *t, const struct seen_step *step)
{
    begin(t, "i", step->name);
    buf_addf(t->out,
             ",\"cat\":\"cached\",\"s\":\"t\",\"tid\":%d,\"ts\":%" PRIu64
             ",\"args\":{\"status\":\"cached\"",
             CACHED_LANE, since_start(t, step->finished_ns));
    add_text(t, "key", step->key);
    add_text(t, "source", step->source);
    add_number(t, "saved_ms", step->saved_ms);
    buf_adds(t->out, "}}");
}

/* An arrow begins and ends within what it joins. */
static void add_arrows(struct tracing *t, const struct seen_step *step, size_t *n)
{
    size_t to = (size_t)(uintptr_t)map_get_str(&t->first, step->name);
    for (size_t i = 0; to && i < step->n_needs; i++) {
        size_t from = (size_t)(uintptr_t)map_get_str(&t->last, step->needs[i]);
        if (!from)
            continue;
        const struct span *a = &t->spans.v[from - 1], *b = &t->spans.v[to - 1];
        ++*n;
        begin(t, "s", "needs");
        buf_addf(t->out, ",\"cat\":\"needs\",\"id\":%zu,\"tid\":%zu,\"ts\":%" PRIu64 "}", *n,
                 a->lane, a->to - 1);
        begin(t, "f", "needs");
        buf_addf(t->out,
                 ",\"cat\":\"needs\",\"id\":%zu,\"bp\":\"e\",\"tid\":%zu,\"ts\":%" PRIu64 "}", *n,
                 b->lane, b->from);
    }
}

void report_trace(const struct seen *seen, struct buf *out)
{
    struct tracing t = {.seen = seen, .out = out};
    size_t arrows = 0;
    bool cached = false;
    collect(&t);
    buf_adds(out, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"tool\":\"kiln\"");
    add_text(&t, "version", seen->version);
    add_text(&t, "run", seen->run);
    add_text(&t, "trigger", seen->trigger);
    char time[32];
    add_text(&t, "started", text_time(seen->start_ns, time));
    add_text(&t, "status",
             seen->status < 0 ? "unfinished" : run_status_name((enum run_status)seen->status));
    buf_adds(out, "},\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\","
                  "\"args\":{\"name\":");
    buf_add_json_str(out, seen->pipeline ? seen->pipeline : "kiln");
    buf_adds(out, "}}");
    for (size_t i = 0; i < seen->steps.n; i++)
        cached = cached || seen->steps.v[i].status == STEP_CACHED;
    if (cached)
        name_lane(&t, CACHED_LANE, "cached");
    for (size_t i = 0; i < t.lanes.n; i++) {
        char name[32];
        snprintf(name, sizeof name, "steps %zu", i + 1);
        name_lane(&t, i + 1, name);
    }
    vec_each (struct span, span, &t.spans)
        add_span(&t, span);
    for (size_t i = 0; i < seen->steps.n; i++) {
        if (seen->steps.v[i].status == STEP_CACHED)
            add_cached(&t, &seen->steps.v[i]);
        add_arrows(&t, &seen->steps.v[i], &arrows);
    }
    buf_adds(out, "\n]}\n");
    vec_release(&t.spans);
    vec_release(&t.lanes);
    map_release(&t.first);
    map_release(&t.last);
}
