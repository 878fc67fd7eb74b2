/*
 * command.h - the narrow way back from views to the engine.
 *
 * A view gets a struct control and sends commands through it, or asks; it never sees the engine.
 * What takes time is a question: a worker finds the answer, which comes later. Nothing here blocks.
 * Loop thread only, but for what a question says of itself.
 */
#ifndef KILN_ENGINE_COMMAND_H
#define KILN_ENGINE_COMMAND_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/chunks.h"
#include "base/digest.h"
#include "base/err.h"
#include "engine/event.h"

#include <stdbool.h>
#include <stdint.h>

enum command_type {
    COMMAND_RETRY,     /* step (and what depends on it) again, even when nothing changed */
    COMMAND_RUN_STALE, /* every step whose result is not current */
    COMMAND_CANCEL,    /* step; NULL: everything that runs */
    COMMAND_PAUSE,     /* changes are noted but start nothing */
    COMMAND_RESUME,
    COMMAND_QUIT,    /* cancel everything and end */
    COMMAND_INIT,    /* where there is no pipeline: write a first one */
    COMMAND_FORCE,   /* step and all that depends on it, NULL: every step; whatever the cache has */
    COMMAND_BREAK,   /* hold what the rule says, or step before it starts; a bad rule is told by a
                        notice */
    COMMAND_UNBREAK, /* do not; what is held stays so */
    COMMAND_CONTINUE, /* held step, NULL: all of them: it starts, or ends as it did. RETRY runs one
                         that has ended again. */
    COMMAND_STEP,     /* the same, and what starts then is held before: one step after the other */
    COMMAND_SKIP,     /* held step, which has not passed, counts as skipped in this run */
    COMMAND_ABORT,    /* held step is cancelled, one that has ended ends so; NULL: everything is
                         cancelled */
    COMMAND_INPUT,    /* step, which is interactive and runs, reads these bytes; what it has no room
                         for is dropped, and told by a notice */
    COMMAND_TERMINAL, /* the terminals of interactive steps are of that size from now on */
};

struct command {
    enum command_type type;
    const char *step;    /* name, or NULL where it is not needed; borrowed */
    const char *rule;    /* BREAK, UNBREAK: as break_rules.h has them; NULL: step counts */
    const char *bytes;   /* INPUT; borrowed */
    size_t n;            /* at most COMMAND_INPUT_MAX */
    uint16_t rows, cols; /* TERMINAL */
};
/* More is to be sent in pieces. */
#define COMMAND_INPUT_MAX ((size_t)16 * 1024)

/* What a step reads: of a window of it, path by path. */
struct input_file {
    const char *path;
    const char *target; /* a link's; else NULL */
    uint64_t bytes;
    bool executable;
    enum { INPUT_SAME, INPUT_CHANGED, INPUT_ADDED, INPUT_REMOVED } change; /* since its result */
};

struct inputs_page {
    struct arena arena; /* of all strings; the caller's to release */
    bool known;         /* what it reads can be told at all */
    bool counting;      /* a piece was counted: ask again soon */
    bool current;       /* as the tree was last looked at; else: as it was for its last result */
    bool compared;      /* with an earlier result: changes are known */
    bool unread;        /* files have changed that nobody has read yet */
    uint64_t files, bytes;
    uint64_t changed; /* how many differ; they come first in the window, at most INPUTS_CHANGED */
    struct input_file *v;
    size_t n;
};
#define INPUTS_CHANGED 1000

/* How the cache is, and what a gc would do now. */
struct cache_facts {
    const char *path;
    uint64_t results, blobs, snapshots, images;
    uint64_t disk_bytes, limit_bytes; /* 0: no limit */
    uint64_t snapshot_bytes, image_bytes, box_bytes, mount_bytes;
    uint64_t gc_bytes, gc_results; /* what would go; 0: nothing */
    uint64_t oldest_ns;            /* when what goes first was last used; 0: nothing goes */
};

/* What a step uses while it runs. */
struct usage_facts {
    uint64_t cpu_us; /* so far; 0 and 0: it is gone */
    uint64_t memory; /* now, in bytes */
};

/* A run on record. */
struct run_facts {
    const char *id, *trigger;
    uint64_t time_ns, duration_ms;
    int status; /* enum run_status; -1: it never finished, or has not yet */
    uint32_t passed, cached, failed, skipped, cancelled;
    uint64_t saved_ms; /* by its hits */
};

enum question_kind {
    QUESTION_RUNS,  /* the runs on record, newest first */
    QUESTION_RUN,   /* the events of one of them */
    QUESTION_CACHE, /* its facts */
    QUESTION_DIFF,  /* a file's content before and now */
    QUESTION_LOG,   /* of a result, by its key */
    QUESTION_USAGE, /* what steps that run use */
    QUESTION_BOX,   /* what was changed in the box that a step's last failure left */
    QUESTION_TAKE,  /* the same, to be taken into the working tree */
    QUESTION_KINDS,
};

#define QUESTION_PIDS 32

/* Asked by whoever has set the first part, answered in the second. It is the asker's, and has to
 * stay until done has been called, which happens exactly once, later, on the loop thread. */
struct question {
    enum question_kind kind;
    const char *run;             /* RUN: its id; NULL: the newest */
    event_cb *event;             /* RUN: gets them, on a thread of its own */
    const char *path;            /* DIFF: relative to the project */
    struct digest old;           /* DIFF: sizes do not matter; null: it was not there */
    struct digest now;           /* ... is not there any more */
    const char *key;             /* LOG: 64 hex digits */
    const char *step;            /* LOG: whose result it is, or was; BOX, TAKE */
    int64_t pids[QUESTION_PIDS]; /* USAGE: as step.started has them */
    size_t n_pids;
    void *ctx; /* the asker's, for event and done */
    void (*done)(struct question *question);

    struct arena arena; /* of what follows; to be released by the asker */
    bool found;         /* there is an answer; else error says why not */
    const char *error;
    struct run_facts *runs; /* RUNS */
    size_t n_runs;
    struct cache_facts cache;
    struct usage_facts *usage; /* USAGE: of each of them ... */
    uint64_t usage_ns;         /* ... at that wall-clock time, ... */
    uint64_t usage_took_ns;    /* ... and how long looking took */
    /* DIFF: lines that begin with '-', '+', ' ', '@' (where), '#' (a remark). BOX: besides '=' (a
     * word and a file; what follows is about it), and '\\' (no newline at the end). TAKE: in words
     * what came of it, found or not. */
    const char *text;
    size_t changed;       /* BOX: inputs; TAKE: files that were written or removed */
    const char *log;      /* LOG: a file that has it; NULL: nothing was written */
    struct chunks chunks; /* LOG: of it, as far as that is known; the asker's to release */
    uint64_t start_ns;    /* LOG: when what wrote it started */
};

/* Where a step is defined. */
struct step_place {
    const char *file;      /* absolute; the callee's, for the moment */
    uint32_t line, column; /* from 1; 0: that can't be told */
};

/* What a step runs as, and how that differs from its last pass. */
struct step_facts {
    struct arena arena;                         /* of all strings; the caller's to release */
    const char *command, *cwd, *runner, *image; /* image: or NULL */
    const char *const *env;                     /* "NAME=value"; a secret's value is "***" */
    size_t n_env;
    bool keyed; /* the rest is known: it has been looked at in this run */
    char key[DIGEST_HEX + 1], input_root[DIGEST_HEX + 1];
    bool passed;       /* it is held after it passed: the rest says nothing */
    const char *since; /* the run in which it last passed; NULL: it has not */
    const struct reason *reasons;
    size_t n_reasons, all_reasons;
};

struct control {
    void *ctx;
    /* Carries it out now, or soon; what comes of it arrives as events. Unknown steps are ignored.
     */
    void (*send)(void *ctx, const struct command *command);
    /* The path of a file with the log of the step's latest execution; the string is the caller's.
     * NULL when it has none. (QUESTION_LOG has the log of a result that came from the cache.) */
    char *(*log_path)(void *ctx, const char *step);
    /* The rest may be NULL: then nobody knows. */
    /* The key that the step has now, as 64 hex digits; false when that can't be told. */
    bool (*key_now)(void *ctx, const char *step, char hex[DIGEST_HEX + 1]);
    /* Where the step is defined; false when there is no such step now, or nobody knows. */
    bool (*place)(void *ctx, const char *step, struct step_place *out);
    /* What the step reads: the n files from that place on, in page->v. A bounded piece of work. */
    void (*inputs)(void *ctx, const char *step, uint64_t from, size_t n, struct inputs_page *page);
    void (*ask)(void *ctx, struct question *question);
    /* False when there is no such step; then there is nothing to release. */
    bool (*facts)(void *ctx, const char *step, struct step_facts *out);
};

#endif
