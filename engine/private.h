/*
 * private.h - the engine's own structures, shared by engine/ alone. What its parts do for each
 * other is in
 *
 *     rounds.h   when something is done
 *     inputs.h   from the tree to keys
 *     wants.h    secrets, cache directories, images
 *     running.h  from an instance that is wanted to its end
 *     boxing.h   what isolated steps run in
 *     tell.h     what is said of it
 *
 *     node       an exec op of the graph: what it depends on, which views it reads, its last result
 *                (its value)
 *     local      a local op: a view of the working tree and its digest as of the last round
 *     run        one round of work: a set of instances, finished when none is pending
 *     instance   one step in one run, in exactly one state
 *     flight     one execution of a command, found by content key; instances with an equal key
 *                share it
 *
 *     WAITING -> READY -> QUEUED -> RUNNING -> DONE
 *                  |-> SHARING (an equal key is in flight) -> DONE or back to READY
 *                  `-> RESTORING (a hit whose outputs are not in place) -> DONE or QUEUED
 *     RUNNING -> HELD (it ended, and a person looks) -> DONE or READY
 *     FOLLOWING -> DONE, as the node's current instance ends (or it takes that one's place)
 *
 * The instances of an asked run (ask.c) are not superseded: they follow whatever the step comes to.
 *
 * All of it belongs to the loop thread. Workers get jobs that own what they need.
 */
#ifndef KILN_ENGINE_PRIVATE_H
#define KILN_ENGINE_PRIVATE_H

#include "base/bits.h"
#include "base/chunks.h"
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
#define ENGINE_TERM        "xterm" /* what the terminals of steps are: as the log pane plays it */
#define ENGINE_GRACE_MS    5000
#define ENGINE_SPOOL_LIMIT ((uint64_t)1 << 30)
#define ENGINE_LOG_TIMES   1024 /* that a result keeps of its log, at most */
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
struct preparing;
struct look;
struct answers;
struct held_end;
struct break_watch;
struct keepings;

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
typedef VEC(struct action_chunk) log_order;
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
    bool stamped;            /* not watching: its outputs were made or restored in this run ... */
    struct digest stamp;     /* ... and had these stats then (outputs_stamp) */
    int64_t stamp_ns;        /* when that was */
    uint64_t out_tick;       /* of out_view when its outputs were last known to be in place */
    uint32_t place;          /* of all nodes: what starts first */
    struct instance *queued; /* the one of it that is in state QUEUED, or NULL */
    uint32_t out_view;       /* or WORKTREE_NONE */
    struct buf command; /* encoded Command; empty until it was first asked for (key_command()) */
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

enum instance_state { WAITING, READY, RESTORING, QUEUED, SHARING, RUNNING, FOLLOWING, HELD, DONE };

struct instance {
    uint32_t node;
    struct run *run;
    enum instance_state state;
    bool forced, tainted_before, evicted, restored;
    bool waited;          /* for another kiln: what the worktree knows of the outputs may be old */
    bool told;            /* step.queued */
    size_t ready;         /* READY: place + 1 in the list of those; 0: in none */
    bool held;            /* breaks.c: it waits for a person */
    bool let_go;          /* it has been held already, and goes on */
    struct held_end *end; /* while HELD */
    bool unwanted;        /* while RESTORING: cancelled by a person */
    uint32_t blocked;
    bool has_key;
    struct digest key, input_root;
    struct system_packages system; /* that the key tells of, in the sandbox */
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
    uint64_t since_ns; /* when that began */
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
    uint64_t saved_ms; /* by its hits */
    bool failed, closing;
    bool left_out;   /* a person has skipped a step of it */
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
    bool deaf;    /* what was typed last had no room; that has been said */
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
    log_order chunks;                 /* what came from which stream, exactly ... */
    struct chunks times;              /* ... and when, about; the streams are not told apart here */
    uint64_t start_ns;                /* monotonic */
    VEC(uint64_t) ticks;              /* of the node's locals, when their digests were taken */
    uint64_t epoch;
    struct runner_exit exit;
    struct boxing *box;        /* boxed: what it runs in; NULL: the working tree */
    struct break_watch *watch; /* a rule is about what it writes; or NULL */
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
    struct bits queue;            /* places of the nodes of which one is to be started */
    uint32_t *node_at;            /* place -> node */
    size_t n_running;             /* flights that hold a job slot */
    size_t n_typing;              /* flights of interactive steps */
    struct winsize terminal;      /* how large theirs are */
    bool nobody_types;            /* that has been said */
    VEC(struct flight *) ahead;   /* those that are to take the places of others, in order */
    size_t n_withdrawing;
    bool pace_is_quick; /* the last command took no time to speak of */
    uv_timer_t ahead_timer;
    size_t n_landing;           /* those whose result is on its way */
    struct break_rules *breaks; /* breaks.c: which steps are held; the caller's, or ... */
    struct break_rules own_breaks;
    bool stepping;        /* one step after the other is held before it starts */
    instances held_steps; /* those that wait for a person */
    size_t n_let_go;      /* instances that were held and are not done yet */
    bool stop_starting, started, finished, closing, paused, pumping;
    int exit_code;
    bool root_gone;

    enum round_state round;
    bool round_wanted, all_wanted, stale_wanted;
    bool look_wanted; /* something is to be read again, also while paused */
    bool *affected;   /* nodes, while a round is under way, and until a pause ends */
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
    instances looking;    /* those whose inputs are to be looked at again; NULL: gone */
    uv_timer_t preparing; /* says how far what isolated steps run in is */
    VEC(struct preparing *) preparings;
    size_t n_telling;  /* these, and pins that are being resolved */
    bool swept;        /* what older kilns left of boxes */
    uv_timer_t settle; /* watching */
    bool settle_open;
    char *git_lock;          /* the file that says that git is at work here; or NULL */
    uint64_t n_settling;     /* events since things were last quiet */
    uint64_t settling_since; /* monotonic ns, of the first of them ... */
    uint64_t last_settling;  /* ... and of the last */
    bool was_idle;
    struct watch_clock clock;
    size_t n_jobs;               /* worker requests and barriers alive */
    struct reloading *reloading; /* the graph to come, while what runs is being ended */
    unsigned n_closing;          /* handles of its own that are being closed */
    void (*closed)(void *);
    void *closed_ctx;
    struct look *look;                 /* NULL: nobody has looked */
    struct answers *answers;           /* NULL: nobody has asked */
    struct keepings *keepings;         /* NULL: no run has begun */
    void (*drained)(struct engine *e); /* called when nothing runs and no job is alive */
    bool cache_warned, state_warned;
};

#endif
