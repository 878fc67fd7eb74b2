/*
 * model.h - what the event stream adds up to: steps, the run, the watch. No terminal in it.
 *
 * model_fold() takes one event after the other; the same events give the same model, so a recorded
 * run can be shown again. Everything kept is a copy.
 *
 * Ownership: the struct is the caller's, model_init() to model_release(); pointers into it die at
 * the next fold.
 */
#ifndef KILN_TUI_MODEL_H
#define KILN_TUI_MODEL_H

#include "base/bits.h"
#include "base/chunks.h"
#include "base/map.h"
#include "base/vec.h"
#include "engine/event.h"

#include <stdbool.h>
#include <stdint.h>

enum step_state {
    STATE_IDLE,    /* nothing known yet */
    STATE_WAITING, /* in the run, not yet ready */
    STATE_QUEUED,  /* ready, waits for a place */
    STATE_RUNNING,
    STATE_PAUSED, /* held for a person: before it starts, or when it has ended */
    STATE_PASSED,
    STATE_CACHED,
    STATE_FAILED,
    STATE_SKIPPED,
    STATE_CANCELLED,
    STATE_N,
};

struct model_step {
    char *name;
    char *description; /* or NULL */
    char *command;     /* or NULL */
    char *cwd;         /* where it runs, from the project's folder; NULL: there */
    VEC(size_t) needs; /* indices */
    uint32_t place;    /* of all steps: who waits starts in this order */
    enum step_state state;
    size_t before, after; /* of those in that state; SIZE_MAX: none */
    uint64_t state_no;    /* the higher, the later it came there */
    uint32_t attempt;
    int64_t pid;
    uint64_t started_ns;  /* the event's time */
    uint64_t duration_ms; /* of the result */
    uint64_t last_ms; /* how long it took when it last really ran before this time; 0: not known */
    uint64_t ran_ms;  /* how long it took when it last really ran, at least 1; 0: not known */
    uint64_t run_no;  /* model.runs when it was last part of a run; 0: never */
    uint64_t queued_ns, ended_ns; /* of that run, the events' times; 0: not yet */
    uint64_t saved_ms;
    uint64_t cpu_ms, memory_bytes;       /* of the result, as event.h has them */
    char *key, *source, *error, *runner; /* or NULL */
    char *mount;                         /* where the project is for it, as event.h has it */
    int exit_code, signal;
    bool timed_out, tainted;
    struct reason *reasons; /* of the last start, deep copies */
    size_t n_reasons, all_reasons;
    bool has_started;           /* in this session: reasons are known */
    char *log;                  /* path of the latest spool, or NULL */
    uint64_t log_bytes, log_ns; /* how much it has written in it, and when last */
    struct chunks chunks;       /* of that log, when its pieces came */
    char *doing;                /* before it starts: what is being made ready for it; or NULL */
    int doing_percent;          /* with that: how far it is; -1: that is not known */
    char **hints;               /* what may help against its failure */
    size_t n_hints;
    uint64_t starts;               /* counts starts: a new one is a new log */
    bool breakpoint;               /* it is to be held before it starts */
    bool held_failed, held_passed; /* PAUSED: when it had ended so */
    char *held_why, *held_rule;    /* PAUSED: why in words, and the rule; or NULL */
    char *box;                     /* where what it wrote when it last failed is kept; or NULL */
    bool interactive;              /* it has a terminal, and takes what is typed */
};

enum run_state { RUN_NONE, RUN_ACTIVE, RUN_ENDED };

struct model {
    VEC(struct model_step) steps; /* topological */
    struct map index;             /* name -> index + 1 */
    uint64_t structure;           /* changes with the steps and their needs ... */
    uint64_t state;               /* ... and with their states and durations */
    char *name, *root;            /* of the pipeline, or NULL */
    bool loaded;                  /* a pipeline or a run has been seen */
    bool watching, paused;
    char *degraded; /* why, or NULL */

    /* What is edited while steps run makes another run beside: all that overlap count as one. */
    enum run_state run_state;
    uint64_t runs;      /* begun so far */
    uint64_t ends;      /* ... and ended */
    uint64_t first_run; /* of those that overlap, as model_step.run_no has it */
    VEC(struct model_run {
        char *id; /* or NULL */
        uint64_t no;
    })
    under_way;
    char *run_id;       /* of the latest, or NULL */
    uint64_t last_ns;   /* time of the last event */
    uint32_t jobs;      /* how many steps may run at a time; 0: not known */
    struct bits queue;  /* the places of the steps that are queued */
    bool timed;         /* of some step it is known how long it takes */
    VEC(char *) breaks; /* the rules by which steps are held (engine/break_rules.h) */
    uint64_t run_started_ns, run_ms;
    enum run_status run_status; /* RUN_ENDED; till then of those that have */
    size_t counts[STATE_N];     /* steps by state ... */
    struct {
        size_t first, last;
    } by_state[STATE_N]; /* ... and which, as they came there, where there are any */

    uint64_t changed; /* files changed since the tree was last settled */
    bool settled;     /* the next change starts counting anew */

    char *notice; /* the sentence to show, or NULL */
    enum { NOTICE_INFO, NOTICE_WARNING, NOTICE_ERROR } notice_level;
    size_t latest; /* index of the step that last started or failed; steps.n: none */

    char *branch;   /* of the repository that the project lies in, or NULL */
    uint64_t dirty; /* then: files that are not as they were committed */
};

void model_init(struct model *model);
void model_release(struct model *model);
void model_fold(struct model *model, const struct event *event);
/* The file outside that the step's log calls by that path, absolute or from the project's folder; a
 * new string, or NULL when there is none. */
char *model_file(const struct model *model, const struct model_step *step, const char *path);
/* The step's index, or steps.n when there is none of that name. */
size_t model_find(const struct model *model, const char *name);
/* Milliseconds since the step started, at that wall-clock time. */
uint64_t model_elapsed_ms(const struct model_step *step, uint64_t now_ns);
/* The same of the run; of an ended one, how long it took. */
uint64_t model_run_ms(const struct model *model, uint64_t now_ns);
/* Somebody has read the notice: it goes, unless it tells of what is still wrong. */
void model_notice_read(struct model *model);
/* model_breaks.c: whether there is that rule; the one about whichever step fails. */
bool model_has_break(const struct model *model, const char *rule);
bool model_holds_failures(const struct model *model);
/* Whether that run is under way. */
bool model_is_under_way(const struct model *model, const char *run_id);
/* Whether the step belongs to what runs, or ran last. */
bool model_in_run(const struct model *model, const struct model_step *step);
/* How many queued steps start before this one, which is queued. */
size_t model_before(const struct model *model, const struct model_step *step);
/* Of the steps in that state, the one that came there first, or last; steps.n: there is none. */
size_t model_first(const struct model *model, enum step_state state);
size_t model_last(const struct model *model, enum step_state state);
/* The first need that has no good result yet, or steps.n. */
size_t model_blocker(const struct model *model, const struct model_step *step);

#endif
