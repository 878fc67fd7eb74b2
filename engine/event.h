/*
 * event.h - the one ordered event stream: what happened, as plain data. Views fold it and know
 * nothing else.
 *
 * The engine emits every event on the loop thread, in order, to each subscriber. All strings and
 * arrays of an event are borrowed and valid only during the call; a view copies what it keeps.
 * Output itself is not in the stream: step.log says which bytes of which spool file are new, and
 * who shows them reads them.
 *
 * Field names and meanings are those of INTERFACES ("NDJSON events"); event_json() writes that
 * form, event_parse() reads it back, so a recorded run can be replayed into the same views.
 */
#ifndef KILN_ENGINE_EVENT_H
#define KILN_ENGINE_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_SCHEMA 1

/* The log of a step that has written nothing: the first step.log names the one that is made then.
 */
#define EVENT_NO_LOG "/dev/null"

/* The trigger of kiln shell's runs: the last of their steps gives its place to a shell, which is no
 * execution of it. All others are what it needs. */
#define EVENT_TRIGGER_SHELL "shell"

enum event_type {
    EVENT_RUN_STARTED,
    EVENT_STEP_QUEUED,
    EVENT_STEP_PROGRESS, /* how far making what the step runs in is; only where it takes a while */
    EVENT_STEP_STARTED,
    EVENT_STEP_LOG,
    EVENT_STEP_FINISHED,
    EVENT_STEP_PAUSED,  /* it is held for a person: before it starts, or when it has ended */
    EVENT_STEP_RESUMED, /* it goes on: it is queued again, unless it is finished at once */
    EVENT_RUN_FINISHED,
    EVENT_WATCH_CHANGED,
    EVENT_WATCH_IDLE,
    EVENT_WATCH_DEGRADED,
    EVENT_PIPELINE_LOADED, /* the pipeline was (re)loaded: steps, their descriptions and needs */
    EVENT_BREAKPOINT,      /* one was set or taken away */
    EVENT_WATCH_TREE,      /* the working tree as git sees it */
    EVENT_NOTICE, /* a sentence for the person: a broken kiln.json while watching, a read-only cache
                     ... */
    EVENT_N
};

enum reason_kind {
    REASON_NEW,
    REASON_FILE,
    REASON_COMMAND,
    REASON_ENV,
    REASON_UPSTREAM,
    REASON_SETTINGS,
    REASON_FORCED,
    REASON_EVICTED,
    REASON_FAILED,
    REASON_TAINTED,
    REASON_UNCACHEABLE,
    REASON_N
};

struct reason {
    enum reason_kind kind;
    const char *subject; /* path, variable, setting; NULL where the kind says it all */
    const char *step;    /* REASON_UPSTREAM: whose output it is; else NULL */
    const char *old;     /* digest (files: 64 hex), value or text; NULL = was not there */
    const char *now;     /* NULL = is not there any more */
    const char *note;    /* what values do not tell, in words: "ignored now"; NULL = nothing */
};

enum step_status {
    STEP_PASSED,
    STEP_CACHED,
    STEP_FAILED,
    STEP_SKIPPED,
    STEP_CANCELLED,
    STEP_STATUS_N
};
enum run_status { RUN_PASSED, RUN_FAILED, RUN_CANCELLED, RUN_STATUS_N };

struct event_output {
    const char *path;
    const char *digest; /* 64 hex */
    uint64_t bytes;
};

struct event_step_info {
    const char *name;
    const char *description; /* or NULL */
    const char *command;     /* as shown to people */
    const char *cwd;         /* where it runs, from the project's folder; NULL: there */
    const char *const *needs;
    size_t n_needs;
    uint64_t last_ms; /* how long it took when it last passed, at least 1; 0: not known */
    bool interactive; /* it has a terminal, and takes what is typed */
};

struct event {
    enum event_type type;
    uint64_t seq;     /* 1, 2, ... in this stream */
    uint64_t time_ns; /* CLOCK_REALTIME */
    const char *run;  /* the run's id; NULL for events outside of any run */
    const char *step; /* step.*: its name; breakpoint: which is held before it starts, or NULL */
    union {
        struct {
            const char *version, *pipeline, *root,
                *trigger;             /* trigger: command, watch, hook, shell, api */
            const char *const *steps; /* topological */
            size_t n_steps;
            uint32_t jobs;
            bool watcher; /* a kiln that watches does it for a command */
        } run_started;
        struct {
            const char *key; /* 64 hex */
            const char *runner;
            uint32_t attempt; /* from 1 */
            int64_t pid;
            const struct reason *reasons;
            size_t n_reasons;   /* in the array */
            size_t all_reasons; /* found in all */
            const char *log;    /* path of the spool file; EVENT_NO_LOG while there is none */
            const char *mount;  /* where the project is for it; NULL: where it is for everybody */
        } started;
        struct {
            const char *phase;    /* "image", "snapshot" */
            const char *text;     /* what is being done, for people: "unpacking debian:12" */
            uint64_t done, total; /* total 0: not known */
            const char *unit;     /* "bytes", "files" */
            uint64_t rate;        /* of that in a second; 0: not known */
        } progress;
        struct {
            int stream;         /* 1 stdout, 2 stderr */
            uint64_t offset, n; /* in the spool file */
            const char *log;
        } log;
        struct {
            enum step_status status;
            int exit_code; /* -1 when there is none */
            int signal;    /* 0 when there is none */
            bool timed_out, tainted;
            uint64_t duration_ms;
            const char *key;    /* NULL when it was never known */
            const char *source; /* cached: "local", "remote"; else NULL */
            const char *error;  /* why it could not run or its result not be kept; skipped: because
                                   of whom; NULL */
            uint64_t saved_ms;  /* cached: how long it took when it ran */
            /* Processor time of all that its command was, and the memory of the largest process of
             * it; 0: too little to tell, or it did not run. */
            uint64_t cpu_ms, memory_bytes;
            const struct event_output *outputs;
            size_t n_outputs;
            const char *const *hints; /* failed: what may help, a sentence each */
            size_t n_hints;
            const char *box; /* failed: the directory with what it wrote, which is kept; or NULL */
        } finished;
        struct {
            const char *rule;    /* because of which (break_rules.h); NULL: stepping */
            const char *reason;  /* why, in words */
            const char *key;     /* 64 hex */
            bool failed, passed; /* neither: it has not started yet, and the rest is empty */
            int exit_code;       /* these as in step.finished */
            int signal;
            bool timed_out;
            uint64_t duration_ms;
            const char *error, *box;
        } paused;
        struct {
            bool set;
            const char *rule; /* as break_rules.h writes it */
        } breakpoint;
        struct {
            const char *branch; /* or a commit's first digits; NULL: there is no repository */
            uint64_t dirty;     /* files that are not as they were committed */
        } tree;
        struct {
            enum run_status status;
            uint64_t duration_ms;
            uint32_t passed, cached, failed, skipped, cancelled;
            uint64_t saved_ms; /* how long its cached steps took when they ran */
        } run_finished;
        struct {
            const char *const *paths; /* the first 100 */
            size_t n_paths;
            uint64_t count;
            uint64_t epoch, tick;
        } changed;
        struct {
            const char *reason;
        } degraded;
        struct {
            const char *name, *root;
            const struct event_step_info *steps; /* topological */
            size_t n_steps;
            bool watching;
        } pipeline;
        struct {
            const char *level; /* "info", "warning", "error" */
            const char *text;  /* may have several lines */
        } notice;
    } u;
};

typedef void event_cb(void *ctx, const struct event *event);

/* What a step calls by that absolute path, as it is called outside, where the project is at root:
 * for whoever opens a file that a log names. A new string; NULL for what only the step has. */
char *event_path_outside(const char *root, const char *mount, const char *path);

/* Of step.progress, for people: "pulling debian:12 4.1 MiB of 48 MiB, 2.0 MiB/s". */
void event_progress_text(const struct event *event, struct buf *out);

/* "run.started", "file", "passed": the names of INTERFACES. */
const char *event_type_name(enum event_type type);
const char *reason_kind_name(enum reason_kind kind);
const char *step_status_name(enum step_status status);
const char *run_status_name(enum run_status status);

/* Adds the event as one line of JSON with its newline. data: for step.log, the n bytes of output
 * read from the spool (NULL leaves "data" out and writes "bytes" and "log" instead, as run records
 * have it). */
void event_json(const struct event *event, const char *data, struct buf *out);
/* Reads one line back; strings and arrays go into the arena. A line that is no event of ours is
 * ERR_CORRUPT; unknown fields are passed over. */
int event_parse(const char *line, size_t n, struct arena *arena, struct event *out,
                struct err *err) MUST_CHECK;

/* What a kind says where there are no values to tell: "it failed the last time"; NULL for kinds
 * that have a subject. */
const char *reason_sentence(enum reason_kind kind);
/* Adds old and new as people compare them: digests cut to their beginning, texts longer than max
 * bytes to a piece around the first difference. A value that is NULL adds nothing. */
void reason_values(const struct reason *reason, size_t max, struct buf *old, struct buf *now);
/* "file src/a.c 9f2c41 -> c41d07", "env CC gcc -> clang", "command changed ...": one reason for
 * people, in one line. */
void reason_text(const struct reason *reason, struct buf *out);

#endif
