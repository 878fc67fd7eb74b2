/*
 * engine.h - evaluates a graph: what must run, runs it, commits what is true, tells what happened.
 *
 * An engine has one graph at a time and works in rounds. A round brings the digests of the inputs
 * up to date and starts a run of the steps concerned; watching is a round whenever inputs changed.
 * Everything that happens is an event to every subscriber; orders come in through engine_control().
 *
 * Ownership: opaque. The engine owns its graph, worktree and watch; cache, runner, records, history
 * and loop are the caller's and outlive it. engine_close() ends everything asynchronously. Loop
 * thread only.
 */
#ifndef KILN_ENGINE_ENGINE_H
#define KILN_ENGINE_ENGINE_H

#include "base/digest.h"
#include "base/err.h"
#include "cache/cache.h"
#include "engine/break_rules.h"
#include "engine/command.h"
#include "engine/event.h"
#include "engine/graph.h"
#include "engine/history.h"
#include "engine/record.h"
#include "runners/box.h"
#include "runners/image.h"
#include "runners/runner.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct engine;
struct git_source;
struct worktree_ahead;

enum engine_mode {
    ENGINE_RUN,   /* one run, then done */
    ENGINE_PLAN,  /* says what would run; runs and writes nothing */
    ENGINE_WATCH, /* runs, and again whenever inputs change */
};

enum plan_state { PLAN_CACHED, PLAN_RUN, PLAN_PENDING };

struct plan_step {
    const char *name;
    enum plan_state state;
    const char *key; /* 64 hex, or NULL while pending */
    const struct reason *reasons;
    size_t n_reasons, all_reasons;
    const char *error; /* it cannot run: why; else NULL */
    /* Where it would run: the result that the reasons compare with; since_run NULL: none. */
    const char *since_run, *since_status; /* "passed", "failed", "tainted" */
    uint64_t since_ns;
    /* Where it is cached: who made the result ("run 3, step build"; NULL: not known), when, and how
     * long that took. */
    const char *made_by;
    uint64_t made_ns, made_ms;
    const char *image; /* PENDING: that nobody knows yet what it means; NULL: for its needs */
};

/* What isolated steps (runners/box.h) need; the caller's, outlives the engine. */
struct engine_boxes {
    struct runner *runner;
    struct image_store *images; /* NULL: there are none */
    struct box_owner owner;     /* of what a box may change */
};

/* Instead of a step's own command another one, exactly where the step would run, after all that it
 * needs. It always runs, in no other's place, and gives no result: its step.finished has its exit
 * code. */
struct engine_shell {
    const char *step;
    const char *const *argv;                /* NULL terminated */
    const struct runner_terminal *terminal; /* NULL: no input, and a log as steps have it */
    bool failed;                            /* where the step's last failure left things (kept.h) */
};

/* Who types to interactive steps. */
enum engine_typing {
    ENGINE_TYPING_NOBODY, /* their input is empty, like that of others */
    ENGINE_TYPING_ONE,    /* a person at one terminal: one such step runs at a time */
    ENGINE_TYPING_ANY,    /* each has what is sent to it */
};

struct engine_options {
    uv_loop_t *loop;
    enum engine_mode mode;
    enum engine_typing typing;
    const char *root; /* the project's folder, absolute */
    /* The folder that results which hand nothing out are known by (decision 0018): steps of the
     * host without outputs. NULL: root. */
    const char *known_root;
    /* The project whose cache directories isolated steps have (cache/mounts.h). NULL: root. */
    const char *caches_root;
    const char *stat_path;             /* the stat cache's file; NULL: none */
    struct worktree_ahead *stat_ahead; /* its reading, begun before: for the first graph; or NULL */
    /* ENGINE_PLAN: the steps' inputs are those of this tree of git (cache/git_source.h), not the
     * folder's, and nobody asks for outputs to be put anywhere. NULL: the folder's. */
    struct git_source *git;
    const char *scratch_path; /* a directory kiln may write small things to; outside of the tree */
    const char *version;
    const char *trigger; /* of the first run: "command", "hook" */
    const char *trace;   /* each step is told by TRACEPARENT which span of it it is (trace.h); its
                            key is not: or NULL. Outlives the engine */
    struct cache *cache;
    struct runner *runner; /* host */
    /* For isolated steps: called once, when the first must run, or an image's meaning is to be
     * found out. Fails with the reason and what to do. NULL: there are none. */
    int (*boxes)(void *ctx, struct engine_boxes *out, struct err *err);
    const struct engine_shell *shell; /* ENGINE_RUN: or NULL */
    const char *lock_path;            /* kiln.lock's, absolute; NULL: images are not pinned */
    bool update_images;               /* the first round asks anew what images mean */
    struct records *records;          /* NULL: no record is kept */
    struct history *history;          /* NULL: every reason is "new" */
    bool cache_read_only;             /* said already: no word about what can't be stored */
    uint32_t jobs;                    /* 0 = processors */
    bool awaited;                     /* ENGINE_RUN: somebody waits for the end: what the next run
                                         can do as well is left to it */
    bool keep_going;                  /* start what does not depend on a failed step */
    bool no_cache;                    /* neither look results up nor store them */
    bool force;                       /* run even what is cached */
    const char *const *force_steps;
    size_t n_force_steps;
    /* Which steps are held for a person; outlives the engine, which adds and removes as it is told,
     * and counts. NULL: none to begin with. */
    struct break_rules *breaks;
    /* Files below the root that are no inputs although they lie there: kiln's own standard output.
     */
    const char *const *own_files;
    size_t n_own_files;
    size_t max_reasons; /* 0 = 20 */
    bool unexplained;   /* ENGINE_PLAN: nobody asks for reasons, whose finding may take longer */
    /* Watching: files (relative to root) whose change calls reload; what the pipeline itself is
     * made from. */
    void (*reload)(void *ctx);
    /* ENGINE_RUN: a step of the host has passed; whether that may be put into the cache (as this
     * action, cache_put_action()) the caller finds out later. NULL: it is put at once. */
    void (*passed)(void *ctx, const struct digest *key, const struct buf *action);
    /* ENGINE_RUN and ENGINE_PLAN: all is done. ENGINE_WATCH: a quit command was carried out. Called
     * once. */
    void (*done)(void *ctx);
    void (*plan)(void *ctx,
                 const struct plan_step *step); /* ENGINE_PLAN: each step, in topological order */
    void *ctx;
};

int engine_new(const struct engine_options *options, struct engine **out,
               struct err *err) MUST_CHECK;
/* Ends everything that runs and frees the engine; closed is called when nothing of it is left on
 * the loop. */
void engine_close(struct engine *engine, void (*closed)(void *ctx), void *ctx);

/* While closing: no more grace for what still runs. */
void engine_kill(struct engine *engine);

/* Subscribes to every event; before engine_start, or missed ones are missed. */
void engine_subscribe(struct engine *engine, event_cb *cb, void *ctx);
struct control engine_control(struct engine *engine);
/* Emits a notice through the stream. */
void engine_notice(struct engine *engine, const char *level, const char *text);

/* Takes the graph (owned by the engine from here, also on failure) and selects steps (and all they
 * need); n == 0 selects every step but fixers. sources: the files that the graph was made from
 * (reload is called when one of them changes; watching only). Replacing a graph ends what runs
 * first. Fails with ERR_USAGE for an unknown step (with the nearest name). */
int engine_load(struct engine *engine, struct graph *graph, const char *const *steps, size_t n,
                const char *const *sources, size_t n_sources, struct err *err) MUST_CHECK;
/* What reload was called for came to nothing, after engine_load() too: the last graph goes on. Each
 * call of reload is answered once, by this or by engine_load(). */
void engine_reload_failed(struct engine *engine);
/* Watching: the sources are other than those that the graph was made from: asks for a reload soon.
 */
void engine_look_at_sources(struct engine *engine);
/* Begins the first round. */
void engine_start(struct engine *engine);

/* Watching: somebody else's wish for a run of these steps and all that they need (none: of every
 * step), with trigger "command", as a process of its own would do it now. */
struct engine_ask {
    const char *const *steps;
    size_t n_steps;
    bool keep_going;
    /* Or NULL: then no run is wanted, but whether all of them passed already on that tree of git,
     * done with 0, as far as the last round tells, else with -1. Outlives the ask. */
    struct git_source *git;
    /* pipeline.loaded with the steps wanted, then every event of the run, and every notice. */
    event_cb *event;
    /* Once, at the end, with the run's exit code; or with -1: it can't be told by this engine any
     * more, which was nobody's fault. */
    void (*done)(void *ctx, int exit_code);
    void *ctx;
};
struct ask;
/* Takes the wish on: after a barrier and a round everything done before this call has been seen.
 * What the last rounds found to be current is told at once, what others run already is waited for.
 * NULL when this engine can't speak for such a run now: paused, a step is not being watched, the
 * pipeline is about to be replaced, directories are polled ... The steps are borrowed during the
 * call; callbacks come later. */
struct ask *engine_ask(struct engine *engine, const struct engine_ask *options);
/* Ends it before its time: what nobody else waits for is cancelled. gone: no more callbacks, the
 * ask is gone with this call; else done is still called. */
void engine_ask_end(struct engine *engine, struct ask *ask, bool gone);

/* What the finished run came to: the exit code of INTERFACES (0, 1, 2, 3). */
int engine_exit_code(const struct engine *engine);
/* Whether something of a run is still to be done. */
bool engine_busy(const struct engine *engine);
/* Reads what a passed or cached step wrote to standard output. */
int engine_stdout(struct engine *engine, const char *step, size_t max, struct buf *out,
                  struct err *err) MUST_CHECK;

#endif
