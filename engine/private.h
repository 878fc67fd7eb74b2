/*
 * private.h - the engine's own structures, shared by engine/ alone.
 *
 * node      one an exec op of the graph: what it depends on, which views it reads, its last result
 * (its value) local     one a local op: a view of the working tree and its digest as of the last
 * round run       one round of work: a set of instances, finished when none is pending instance one
 * step in one run, in exactly one state flight    one execution of a command, found by content key;
 * instances with an equal key share it
 *
 *     WAITING -> READY -> QUEUED -> RUNNING -> DONE
 *                  |-> SHARING (an equal key is in flight) -> DONE or back to READY
 *                  `-> RESTORING (a hit whose outputs are not in place) -> DONE or QUEUED
 *     FOLLOWING -> DONE, as the node's current instance ends (or it takes that one's place)
 *
 * The instances of an asked run (ask.c) are not superseded: they follow whatever the step comes to.
 *
 * All of it belongs to the loop thread. Workers get jobs that own what they need.
 */
#ifndef KILN_ENGINE_PRIVATE_H
#define KILN_ENGINE_PRIVATE_H

#include "base/file.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/action.h"
#include "cache/box_dir.h"
#include "cache/outputs.h"
#include "cache/snapshot.h"
#include "cache/worktree.h"
#include "config/lock.h"
#include "engine/engine.h"
#include "engine/system_packages.h"
#include "watch/watch.h"

#include <sys/utsname.h>

#define ENGINE_SALT                                                                                \
    "kiln/2" /* the generation of everything that shapes a result; raised when its meaning changes \
              */
#define ENGINE_GRACE_MS    5000
#define ENGINE_SPOOL_LIMIT ((uint64_t)1 << 30)
#define ENGINE_MAX_AHEAD   4
#define ENGINE_AHEAD_MS    50 /* for so long at most: the inputs are those of then */
#define ENGINE_QUICK_NS    20000000
#define ENGINE_MAX_LANDING 64 /* results on their way, beside which further steps are started */
#define ENGINE_MAX_CANCELS                                                 \
    3 /* edits in a row that restart a running step; then it is let finish \
       */
#define ENGINE_MAX_TAINTS \
    5 /* disturbed results in a row before a step is taken to disturb itself */

struct run;
struct flight;
struct flight_secrets;
struct secret_source;
struct flight_caches;
struct mask;
struct box_secret;
struct box_cache;
struct instance;
struct ask;

/* The outcome of an exec: what the cache or an execution gave. Lives in its own arena, replaced as
 * a whole. */
struct value {
    struct arena arena;
    bool known;
    struct digest key, input_root;
    struct digest tree; /* its outputs as a tree */
    struct action_result result;
    bool lost_logs; /* the cache could not take them */
};

typedef VEC(uint32_t) ids;
typedef VEC(struct instance *) instances;
typedef VEC(struct action_chunk) chunks;
typedef VEC(struct secret_source *) secret_sources;

/* What may help against a failure, a sentence each. */
struct hints {
    VEC(char *) list;
};

struct local {
    op_id op;
    uint32_t view;
    enum worktree_answer answer;
    struct digest digest; /* while answer is READY */
    uint64_t tick;        /* of the view when the digest was taken */
    struct err err;       /* while BROKEN */
    size_t bad;           /* then: the pattern to blame; SIZE_MAX: none in particular */
    ids consumers;        /* nodes that read it */
};

struct node {
    op_id op;
    const struct op_exec *exec;
    bool selected;
    ids deps, dependents; /* nodes; direct */
    ids locals;
    bool stamped;        /* not watching: its outputs were made or restored in this run ... */
    struct digest stamp; /* ... and had these stats then (outputs_stamp) */
    int64_t stamp_ns;    /* when that was */
    uint64_t out_tick;   /* of out_view when its outputs were last known to be in place */
    uint32_t rank;       /* steps on the longest way down from here: what starts first */
    uint32_t out_view;   /* or WORKTREE_NONE */
    struct buf command;  /* encoded Command; empty until it was first asked for (key_command()) */
    struct digest command_digest;
    struct value value;
    struct instance *current; /* the latest */
    instances followers;      /* of asked runs: they end as current does */
    struct flight *flight;    /* the execution of this step that is still alive; one at a time, it
                                 writes in the tree */
    bool outputs_current;     /* in place, as far as the last round saw */
    uint32_t cancels; /* times in a row that it was cancelled by an edit: then it is let finish */
    uint32_t taints;  /* times in a row that its result was disturbed: then it is left alone ... */
    bool left;        /* ... with this key, until it gets another one ... */
    struct digest left_key;
    uint64_t deaf_until; /* ... until an input changes after this tick ... */
    bool restless;       /* ... or when all is calm ... */
    uint32_t calm_tries; /* ... as often as that already */
    bool recheck;        /* its last result was disturbed: look again in the next round */
    uint64_t turn_at;    /* turn.c: the byte of its lock, once known */
    bool writing;        /* turn.c: it may write its outputs now */
    uint32_t n_readers;  /* turn.c: executions of this kiln that need it */
    bool restoring;      /* a worker is putting its outputs into place */
    uint32_t pin;        /* boxed, in an image: its place in pins + 1 */
    bool boxed;          /* it does not run in the working tree itself */
    struct hints hints;  /* of its last failure */
    char *kept;          /* boxed: the directory of its last failure, where it is kept; or NULL */
};

enum instance_state { WAITING, READY, RESTORING, QUEUED, SHARING, RUNNING, FOLLOWING, DONE };

struct instance {
    uint32_t node;
    struct run *run;
    enum instance_state state;
    bool forced, tainted_before, evicted, restored;
    bool waited;   /* for another kiln: what the worktree knows of the outputs may be old */
    bool told;     /* step.queued */
    size_t ready;  /* READY: place + 1 in the list of those; 0: in none */
    bool unwanted; /* while RESTORING: cancelled by a person */
    uint32_t blocked;
    bool has_key;
    struct digest key, input_root;
    struct flight *flight;
    struct engine *engine; /* while RESTORING */
    uint32_t attempt;
    uint32_t looks; /* times that an input was another one when its snapshot was made */
    enum step_status status;
    int code;             /* an exit code above 1, when its trouble has one */
    uint64_t start_ns;    /* monotonic */
    enum plan_state plan; /* planning */
};

enum pin_state { PIN_UNKNOWN, PIN_RESOLVING, PIN_KNOWN, PIN_FAILED };

/* An image that steps name, for one platform. */
struct pin {
    struct image_ref ref;
    char *platform;
    enum pin_state state;
    struct image_pin pin; /* KNOWN */
    char *error;          /* FAILED: why ... */
    int code;             /* ... and the exit code that belongs to it */
    struct image_task *task;
    instances waiting; /* to be checked when it is resolved; NULL: gone */
};

struct run {
    char *id;
    struct record *record;
    const char *trigger;
    instances instances; /* topological */
    size_t pending;
    uint64_t start_ns;
    uint32_t counts[STEP_STATUS_N];
    bool failed, closing;
    struct ask *ask; /* who wants it; NULL: nobody in particular, or not any more */
    int code;        /* the worst of its instances */
    bool stopping;   /* asked for without keep-going, and a step failed */
};

/* ask.c: somebody who asked for a run. */
struct ask {
    struct engine_ask opt;
    bool *wanted;    /* nodes */
    bool due;        /* the round under way answers it */
    struct run *run; /* NULL: it has not begun */
};

struct dep_stamp {
    const struct op_exec *exec;
    struct digest stamp;
    int64_t stamp_ns;
};

struct flight {
    struct engine *engine;
    struct instance *owner; /* the instance it was started for; its run lives at least as long */
    instances sharers;
    uint32_t node;
    struct digest key;
    struct runner_exec *exec; /* while the command runs */
    bool has_slot;            /* counts as one of the jobs; else it was started ahead */
    bool withdrawing;
    bool shell;   /* another command than the step's own, which gives no result */
    bool landing; /* its command has passed, its result is on its way */
    bool cancelled;
    struct flight_secrets *secrets; /* or NULL */
    struct flight_caches *caches;   /* or NULL */
    const char *cancel_why;         /* static; NULL: by order of a person */
    char *log;                      /* NULL, and ... */
    int spool;                      /* ... -1 before there was output */
    uint64_t spooled;
    bool announced; /* step.started was told for this attempt */
    pid_t pid;      /* then */
    /* What it reads was written while it ran, or is no longer what its key says: static words. */
    const char *disturbed;
    struct worktree_check *check;     /* the inputs as they were when it began; NULL: it has none */
    VEC(struct dep_stamp) dep_stamps; /* not watching: outputs of what it needs */
    VEC(uint64_t) dep_ticks;          /* of the outputs of what it needs */
    chunks chunks;
    uint64_t start_ns;   /* monotonic */
    VEC(uint64_t) ticks; /* of the node's locals, when their digests were taken */
    uint64_t epoch;
    struct runner_exit exit;
    struct boxing *box; /* boxed: what it runs in; NULL: the working tree */
};

enum round_state { ROUND_IDLE, ROUND_SETTLING, ROUND_BARRIER, ROUND_HASHING };

struct subscriber {
    event_cb *cb;
    void *ctx;
};

struct engine {
    struct engine_options opt;
    struct utsname machine;
    struct system_packages system; /* once a step in the sandbox has asked for it */
    uv_loop_t *loop;
    uint32_t jobs;
    VEC(struct subscriber) subscribers;
    uint64_t seq;

    struct graph *graph;
    struct trees *trees;
    struct worktree *worktree;
    struct watch *watch;
    struct map local_of; /* op_id -> index + 1 into locals */
    VEC(struct local) locals;
    VEC(struct node) nodes; /* the graph's execs, same order */
    uint32_t *node_of;      /* op -> node, for execs */
    struct {
        struct digest inputs, value;
        bool known;
    } * derived;              /* an op; memo of file operations */
    VEC(uint32_t) view_local; /* view -> index + 1 into locals */
    VEC(uint32_t) view_node;  /* output view -> index + 1 into nodes */
    uint32_t source_view;     /* what the pipeline itself is made from */
    size_t n_sources;
    struct digest source_digest;
    bool source_known;
    bool sources_old;  /* somebody found them changed */
    bool reload_asked; /* and not answered yet */
    bool reload_again; /* the sources changed since */
    bool asking;       /* the reload callback is being called */

    secret_sources secrets;       /* all that were ever asked for */
    VEC(struct run *) runs;       /* alive */
    VEC(struct ask *) asks;       /* alive */
    struct map flights;           /* key -> flight */
    struct map foreseen;          /* key -> struct value *, NULL once it was taken */
    bool foreseeing;              /* what workers bring is still wanted */
    VEC(struct instance *) ready; /* to be checked */
    VEC(struct instance *) queue; /* to be started, in order, from queue_head on */
    size_t queue_head;
    size_t n_running;           /* flights that hold a job slot */
    VEC(struct flight *) ahead; /* those that are to take the places of others, in order */
    size_t n_withdrawing;
    bool pace_is_quick; /* the last command took no time to speak of */
    uv_timer_t ahead_timer;
    size_t n_landing; /* those whose result is on its way */
    bool stop_starting, started, finished, closing, paused, pumping;
    int exit_code;
    bool root_gone;

    enum round_state round;
    bool round_wanted, all_wanted, stale_wanted;
    bool *affected;   /* nodes, while a round is under way */
    bool *forced;     /* nodes to run whatever the cache says, in the next run */
    ids held;         /* views of outputs touched while something ran */
    size_t n_recheck; /* nodes with recheck set */
    uv_timer_t calm;
    size_t n_restless; /* nodes with restless set */
    ids stale;         /* views whose digests must be taken anew */
    size_t n_batches;  /* out with workers */
    uv_timer_t slow;   /* says now and then how far hashing is */
    uint32_t passes;   /* of this round over files that change while they are read */
    VEC(char *) gone;  /* steps that the history knows and the graph has not ... */
    bool gone_known;   /* ... once somebody has asked */
    int turn_fd;
    uv_timer_t turn_timer;
    VEC(struct instance *) turn_waiters; /* instances that another kiln keeps waiting */
    bool turn_told, cache_told;
    struct engine_boxes boxes; /* runner NULL: nobody has needed any */
    VEC(struct pin) pins;
    struct lock lock;
    struct timespec lock_time; /* the file's, when it was read or written */
    bool images_renewed;
    instances looking;            /* those whose inputs are to be looked at again; NULL: gone */
    uv_timer_t preparing;         /* says how far what isolated steps run in is */
    VEC(struct boxing *) boxings; /* being made ready */
    bool swept;                   /* what older kilns left of boxes */
    uv_timer_t settle;            /* watching */
    bool settle_open;
    char *git_lock;          /* the file that says that git is at work here; or NULL */
    uint64_t n_settling;     /* events since things were last quiet */
    uint64_t settling_since; /* monotonic ns */
    bool was_idle;
    struct watch_clock clock;
    size_t n_jobs;               /* worker requests and barriers alive */
    struct reloading *reloading; /* the graph to come, while what runs is being ended */
    unsigned n_closing;          /* handles of its own that are being closed */
    void (*closed)(void *);
    void *closed_ctx;
    void (*drained)(struct engine *e); /* called when nothing runs and no job is alive */
    bool cache_warned, state_warned;
};

/* emit.c */
void emit(struct engine *e, struct run *run, struct event *event);
void emit_pipeline(struct engine *e);
/* Tells one who asked of the steps that he wants. */
void emit_pipeline_to(struct engine *e, const struct ask *ask);
void emit_run_started(struct engine *e, struct run *run);
void emit_run_finished(struct engine *e, struct run *run);
void emit_queued(struct engine *e, struct instance *in);
/* Tells the owner's run, and each asked run that waits for the flight. */
void emit_started(struct engine *e, struct flight *flight);
void emit_log(struct engine *e, struct flight *flight, int stream, uint64_t offset, uint64_t n);
/* Tells how far what the flight's command runs in is. */
void emit_progress(struct engine *e, struct flight *flight, struct event *event);
/* Tells the run of an instance that came to wait for the flight what was told before, if it was
 * asked for. */
void emit_so_far(struct engine *e, const struct flight *flight, struct instance *in);
void emit_finished(struct engine *e, struct instance *in, const struct runner_exit *exit,
                   bool tainted, uint64_t duration_ms, const char *error);

/* How long an execution took that gave the result. */
uint64_t result_ms(const struct action_result *result);
/* Notes the instance's result in the history. */
void note_result(struct engine *e, const struct instance *in, enum history_status status,
                 uint64_t duration_ms);

/* plan.c */
/* Tells what the instance would do, and ends it. */
void plan_emit(struct engine *e, struct instance *in, const char *error);
/* Whether its key depends on what a step that must run will give. */
bool plan_waits(const struct engine *e, const struct node *node);
/* Whether what its outputs are not yet is in the cache, whole; damage is set aside. */
bool plan_can_restore(struct engine *e, const struct node *node);

/* logs.c: struct control's log_path */
char *logs_path(void *engine, const char *step);

/* value.c: what ops are worth now */
int session_open(struct engine *e, struct err *err) MUST_CHECK;
void session_close(struct engine *e);
/* The tree an op stands for. False when a local is broken (err) or an exec has no value yet. */
bool value_of(struct engine *e, op_id op, struct digest *out, struct err *err);
/* Takes a decoded result over as the node's value. whole: false is returned when the content of a
 * directory output can't be had (evicted); else it stays known by its digest alone. */
bool value_set(struct engine *e, struct node *node, struct value *value, bool whole);
void value_release(struct value *value);
/* Lets go of directories that nothing refers to any more, when they have become many. Only while no
 * run is alive and no view is being read. */
void session_sweep(struct engine *e);
/* Asks the worktree for the local's digest; true when it changed. */
bool local_refresh(struct engine *e, struct local *local);

/* key.c */
int key_of(struct engine *e, struct instance *in, struct err *err) MUST_CHECK;
/* A round begins: other software on this machine gives steps in the sandbox other keys. */
void key_look_at_system(struct engine *e);
/* Makes the part of it that stays the same as long as the graph does. */
void key_command(struct engine *e, struct node *node);
/* secrets: the values of its secrets (secrets_values()), or NULL. */
char **key_environment(struct engine *e, const struct op_exec *exec, const char *const *secrets);
/* Wipes it, too. */
void key_environment_free(char **envp);

/* caches.c: the steps' cache directories */
/* Takes all that the exec has, without waiting; *out is NULL where it has none. False: somebody
 * else has *busy for himself. Why one could not be made is told by caches_check(). */
bool caches_take(struct engine *e, const struct op_exec *exec, struct flight_caches **out,
                 const char **busy);
int caches_check(const struct flight_caches *caches, struct err *err) MUST_CHECK;
void caches_release(struct flight_caches *caches);
/* For the box; paths are the flight's and the exec's. */
size_t caches_mounts(const struct flight_caches *caches, const struct op_exec *exec,
                     struct arena *arena, const struct box_cache **out);

/* secrets.c: the steps' secrets, fetched once a run */
/* A run begins: what was fetched for others is fetched anew when it is needed. */
void secrets_begin(struct engine *e);
/* Ends commands that fetch. */
void secrets_cancel(struct engine *e);
void secrets_close(struct engine *e);
/* Fetches what the instance's step needs; parks the instance meanwhile. */
bool secrets_wait(struct engine *e, struct instance *in);
void secrets_forget(struct engine *e, const struct instance *in);
/* Fails when one could not be had, with its place; nobody waits for any of them. */
int secrets_check(struct engine *e, const struct op_exec *exec, struct err *err) MUST_CHECK;
bool secrets_known(struct engine *e, const struct op_exec *exec);
/* What stands for each of the exec's secrets, all of which are known; NULL where it has none. */
const char *const *secrets_hashes(struct engine *e, const struct op_exec *exec,
                                  struct arena *arena);
/* Copies of the values for one flight; NULL where there are none. */
struct flight_secrets *secrets_take(struct engine *e, const struct op_exec *exec);
void secrets_release(struct flight_secrets *secrets);
const char *const *secrets_values(const struct flight_secrets *secrets);
const struct mask *secrets_mask(const struct flight_secrets *secrets);
/* Takes them out of what the flight's command writes (runner_callbacks). */
void secrets_filter(struct flight_secrets *secrets, int stream, const char *bytes, size_t n,
                    struct buf *out);
/* secret_scan.c: the first of the exec's outputs below root that has one of them; new, or NULL. A
 * worker's. */
char *secrets_in_outputs(const struct flight_secrets *secrets, const char *root,
                         const struct op_exec *exec);
/* Those that the step has as files; bytes are the flight's. */
size_t secrets_files(const struct flight_secrets *secrets, const struct op_exec *exec,
                     struct arena *arena, const struct box_secret **out);

/* reasons.c */
struct reasons {
    struct arena arena;
    VEC(struct reason) list;
    size_t all;
    const struct history_record *base; /* what was compared with; the history's; NULL: nothing */
};
void reasons_of(struct engine *e, const struct instance *in, struct reasons *out);
void reasons_release(struct reasons *reasons);

/* round.c */
/* Begins a round if one is wanted and none is under way; else says, once, that nothing is left to
 * do. */
void round_open(struct engine *e);
void round_next(struct engine *e);
/* In the middle of the first look at the tree: gives workers files to hash (worktree_options). */
void round_hash_ahead(void *self);
/* Names a step to be run again, changed or not. */
void round_retry(struct engine *e, const char *step);

/* Has the inputs looked at again, and then the instance checked again. */
void round_look_again(struct engine *e, struct instance *in);
void round_forget(struct engine *e, const struct instance *in);

/* turn.c: several kilns on one tree */
void turn_open(struct engine *e);
void turn_close(struct engine *e);
/* Takes the right to write the node's outputs and to read those it needs; false when another kiln
 * has one of them. */
bool turn_take(struct engine *e, struct node *node);
/* Gives it back, if held. */
void turn_give(struct engine *e, struct node *node);
/* Parks the instance until it is worth another check. cache: the cache directory that somebody
 * else has; NULL: another kiln has its turn. */
void turn_wait(struct engine *e, struct instance *in, const char *cache);
void turn_forget(struct engine *e, const struct instance *in);

/* calm.c: another try for what was disturbed again and again */
void calm_open(struct engine *e);
/* The node was left alone: has it looked at again when nothing has happened for a while, unless it
 * has had that already. False when it has. */
bool calm_wait(struct engine *e, struct node *node);
/* It runs, or has run, for another reason. */
void calm_forget(struct engine *e, struct node *node);
/* Something happened in the tree. */
void calm_restart(struct engine *e);

/* watching.c */
int watching_open(struct engine *e, struct err *err) MUST_CHECK;

/* ask.c */
/* A round begins: what was asked for up to now is answered at its end. */
void asks_due(struct engine *e);
/* Begins the runs of those who are due. sources_changed: this graph can't answer them. */
void asks_begin(struct engine *e, bool sources_changed);
/* Sends all away, or those whose run has not begun. */
void asks_refuse(struct engine *e, bool all);
/* The run of an ask is done. */
void ask_done(struct engine *e, struct run *run);
/* Has the instance end as the node's current one does. */
void ask_follow(struct engine *e, struct instance *in);
void ask_unfollow(struct engine *e, const struct instance *in);
/* The node's current instance is done: so are its followers. */
void ask_finish_followers(struct engine *e, struct instance *in, const struct runner_exit *exit,
                          bool tainted, uint64_t duration_ms, const char *error);
/* The instance is about to end for a reason of its run's own: somebody who follows it takes its
 * place. */
void ask_hand_over(struct engine *e, struct instance *in);
/* Ends what has not begun in asked runs that a failure ended; true when there was any. */
bool asks_stop(struct engine *e);

/* run.c */
struct run *run_new(struct engine *e, const char *trigger, const bool *affected);
/* The parts of it: a run without instances; an instance of it, which is not its node's current one
 * yet; making it that (what was there before is freed, or returned while its run needs it); setting
 * those going that are. */
struct run *run_open(struct engine *e, const char *trigger);
struct instance *instance_new(struct run *run, uint32_t node);
struct instance *instance_enter(struct engine *e, struct instance *in);
void run_set_going(struct engine *e, struct run *run);
/* Takes the instance off every list that it may be on. */
void instance_forget(struct engine *e, struct instance *in);
/* Counts what the instance waits for; sets it going when that is nothing. */
void instance_arm(struct engine *e, struct instance *in);
/* The instance is about to fail for a reason that is not its command's: 2 the pipeline's, 3 kiln's.
 * It is also what kiln exits with, watching only if its run is the last. */
void engine_failed(struct engine *e, struct instance *in, int code);
void instance_finish(struct engine *e, struct instance *in, enum step_status status,
                     const struct runner_exit *exit, bool tainted, uint64_t duration_ms,
                     const char *error);

/* schedule.c */
bool outputs_in_place(struct engine *e, const struct node *node);
/* Why a step of a run that a failure ended was not started; the caller's. */
char *skip_words(const struct engine *e, const struct instance *in);
void instance_check(struct engine *e, struct instance *in);
/* Puts the instance (in state READY) on the list of those to be checked; nothing happens before
 * schedule_pump(). */
void schedule_ready(struct engine *e, struct instance *in);
/* Takes the instance off that list. */
void forget_ready(struct engine *e, struct instance *in);
/* Checks what is ready, starts what may start, and says when nothing is left. Call it after
 * anything that changes states. */
void schedule_pump(struct engine *e);
void schedule_open(struct engine *e);
/* Notes that the execution was started ahead. */
void schedule_ahead(struct engine *e, struct flight *flight);
/* Ends the instance as cancelled: at once, or when its command is gone. why: static, NULL for a
 * person's order. */
void schedule_cancel(struct engine *e, struct instance *in, const char *why);
bool schedule_busy(const struct engine *e);

/* foresee.c: results read before they are asked for */
/* The decoded result of that key, of a command that passed. Any thread. */
bool foresee_read(struct cache *cache, const struct digest *key, struct value *out);
/* Begins to read those of the keys that the steps had last. */
void foresee_begin(struct engine *e);
/* The same as foresee_read(), if it was read already. */
bool foresee_take(struct engine *e, const struct digest *key, struct value *out);
/* What nobody took is let go. */
void foresee_end(struct engine *e);

/* flight.c */
/* Tells executions of what needs this node that its outputs are being written under them. */
void flight_disturb_dependents(struct engine *e, const struct node *node);
/* caches: what caches_take() gave; the flight's from here on. */
void flight_start(struct engine *e, struct instance *in, struct flight_caches *caches);
/* The place of an execution that is no flight went to the first of those started ahead. */
void flight_take_place(struct engine *e);
/* Those started ahead that do not run yet shall not. */
void flight_withdraw_ahead(struct engine *e);
void flight_cancel(struct flight *flight, const char *why);
/* The execution is over: its instances are finished or looked at again, and it is freed. */
void flight_end(struct engine *e, struct flight *flight, enum step_status status, bool tainted,
                const char *error);

/* The execution can't begin, because an input is no longer what its key says: all as if it had
 * never been, until the inputs have been looked at again. */
void flight_look_again(struct engine *e, struct flight *flight);
/* Starts the command of a flight that has all it needs. */
void flight_launch(struct engine *e, struct flight *flight);

/* images.c: what images the steps name, and what they are */
int images_open(struct engine *e, struct err *err) MUST_CHECK;
void images_close(struct engine *e);
/* A round begins: finds out what is not known, or what kiln.lock says now. */
void images_begin(struct engine *e);
/* Another run begins: what could not be found out for the one before may be now. */
void images_try_again(struct engine *e);
/* Ends finding out. */
void images_cancel(struct engine *e);
/* Parks the instance until its image is known or can't be, where that is being found out. */
bool images_wait(struct engine *e, struct instance *in);
void images_forget(struct engine *e, const struct instance *in);
/* The node's image; NULL when it has none. */
const struct pin *images_pin(const struct engine *e, const struct node *node);

/* kept.c */
/* Notes the directory as the step's kept one, instead of an older one; false when it can't be. */
bool kept_put(struct engine *e, const char *step, const struct digest *input_root,
              struct box_dir *dir);
/* Removes what is kept of the step. */
void kept_drop(struct engine *e, const char *step);
/* Has a worker remove it. NULL is fine. */
void box_dir_release(struct engine *e, struct box_dir *dir);

/* boxing.c: what an isolated step runs in */
/* Makes sure of e->boxes, and of its images where they are wanted. */
int boxes_need(struct engine *e, bool images, struct err *err) MUST_CHECK;
void boxing_open(struct engine *e);
/* Makes all of it; flight_launch(), flight_look_again() or flight_end() follow, perhaps before this
 * returns. */
void boxing_prepare(struct engine *e, struct flight *flight);
/* The command is to be run again: in a directory of its own. */
int boxing_again(struct engine *e, struct flight *flight, struct err *err) MUST_CHECK;
/* It is not needed any more. */
void boxing_cancel(struct flight *flight);
/* Fills in the request's box; what it points to lives as long as the flight. */
void boxing_request(struct engine *e, struct flight *flight, struct runner_request *request);
/* Where the project is for the flight's step; NULL: where it is for everybody. */
const char *boxing_mount(const struct engine *e, const struct flight *flight);
/* The directory with what the step wrote to the project. */
const char *boxing_upper(const struct flight *flight);
/* The step failed: keeps its directory for a look, instead of the one before; what may help is
 * noted in the node. */
void boxing_keep(struct engine *e, struct flight *flight);
/* Lets go of all of it. NULL is fine. */
void boxing_free(struct boxing *box);

/* room.c: the directories in which a step's outputs are to lie, which are there when it begins */
void room_on_host(const struct engine *e, const struct op_exec *exec);
/* The same in what a box is to write; root is what it reads. */
int room_in_box(const struct engine *e, const struct op_exec *exec, const struct digest *root,
                const struct box_dir *dir, struct err *err) MUST_CHECK;

/* hints.c */
/* mount: where the project was for the step. */
void hints_of(struct engine *e, const struct flight *flight, const char *mount, struct hints *out);
void hints_release(struct hints *hints);

/* landing.c */
/* The command passed: its result is taken, checked and put; flight_end() follows. */
void flight_commit(struct engine *e, struct flight *flight);
/* It failed; flight_end() follows. error: NULL where the exit says it. */
void flight_fail(struct engine *e, struct flight *flight, const char *error);

/* restore.c */
struct restored {
    int rc; /* 0: answer tells; else err */
    enum cache_answer answer;
    struct err err;
};
/* Puts the outputs of the node's value into place; done is called on the loop. */
void restore_outputs(struct engine *e, struct node *node,
                     void (*done)(void *ctx, struct restored *restored), void *ctx);
/* The same for a hit; the instance goes on, or ends. */
void restore_start(struct engine *e, struct instance *in);

/* engine.c */
/* The pipeline's sources changed: asks for another graph, once at a time. */
void engine_ask_reload(struct engine *e);
void engine_job_done(struct engine *e);
/* While everything is being ended: goes on once nothing is left. */
void engine_check_drained(struct engine *e);

#endif
