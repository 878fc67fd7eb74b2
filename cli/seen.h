/*
 * seen.h - what the events of a run tell of it, folded: for those who speak of a run as a whole,
 * such as reports and comparisons.
 *
 * Where there are several runs among the events, as in those of a watch, the last word about each
 * step holds.
 *
 * Ownership: struct seen is the caller's, zeroed to begin with, seen_release(); its strings and
 * arrays lie in its arena. One thread at a time.
 */
#ifndef KILN_CLI_SEEN_H
#define KILN_CLI_SEEN_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "engine/event.h"
#include "engine/record.h"

#include <stdbool.h>
#include <stdint.h>

struct seen_execution {
    uint64_t start_ns, end_ns; /* end 0: not over */
    uint32_t attempt;
    const char *reasons; /* a line each; "" for none */
};

struct seen_step {
    const char *name, *description, *command, *cwd; /* the last three: NULL where not told */
    const char *const *needs;
    size_t n_needs;
    int status; /* enum step_status; -1: it has not finished */
    int exit_code, signal;
    bool timed_out, tainted;
    const char *key; /* 64 hex; or NULL */
    const char *error, *source, *runner, *log;
    uint64_t queued_ns, finished_ns; /* 0: not told */
    uint64_t duration_ms, saved_ms, cpu_ms, memory_bytes, last_ms;
    const struct event_output *outputs;
    size_t n_outputs;
    const char *const *hints;
    size_t n_hints;
    VEC(struct seen_execution) executions;
};

struct seen {
    struct arena arena;
    const char *run, *pipeline, *version, *trigger, *root; /* NULL: not told */
    uint64_t start_ns, end_ns;
    int status; /* enum run_status; -1 */
    bool begun; /* a run.started was among the events */
    uint64_t duration_ms;
    VEC(struct seen_step) steps; /* topological */
    struct map index;            /* name -> place + 1 */
};

void seen_init(struct seen *seen);
/* Takes an event in; as event_cb. */
void seen_event(void *seen, const struct event *event);
void seen_release(struct seen *seen);
/* NULL: the run had no such step. */
const struct seen_step *seen_find(const struct seen *seen, const char *name);
/* The name of the step of that struct seen whose output the path is, or NULL. */
const char *seen_owner(void *seen, const char *path);

/* Reads what kiln run --json wrote. ERR_USAGE where there is no run in it. */
int seen_read_file(const char *path, struct seen *out, struct err *err) MUST_CHECK;
/* Reads a run on record, or (NULL) the newest. ERR_USAGE where there is none. */
int seen_read_record(struct records *records, const char *id, struct seen *out,
                     struct err *err) MUST_CHECK;

/* "failed with exit code 2", "timed out" ...: how a failed step ended, for people. */
void seen_how(const struct seen_step *step, struct buf *out);

#endif
