/*
 * running.h - from an instance that is wanted to its end: runs, the order of what starts,
 * executions, their results.
 *
 * The engine's own; loop thread, where nothing else is said.
 */
#ifndef KILN_ENGINE_RUNNING_H
#define KILN_ENGINE_RUNNING_H

#include "engine/private.h"

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
/* Takes the instance out of the queue. */
void forget_queued(struct engine *e, struct instance *in);
/* Settles in which order what is queued starts, from how long the steps took when they last passed:
 * once for a graph, when it is known which steps are selected. */
void order_steps(struct engine *e);
void order_release(struct engine *e);
/* Checks what is ready, starts what may start, and says when nothing is left. Call it after
 * anything that changes states. */
void schedule_pump(struct engine *e);
/* Ends the instance as cancelled: at once, or when its command is gone. why: static, NULL for a
 * person's order. */
void schedule_cancel(struct engine *e, struct instance *in, const char *why);
bool schedule_busy(const struct engine *e);

/* breaks.c: steps that are held for a person */
void breaks_open(struct engine *e);
void breaks_close(struct engine *e);
/* The first graph is there: tells which rules there are. Fails when one is about none of its steps.
 */
int breaks_load(struct engine *e, struct err *err) MUST_CHECK;
bool breaks_any(const struct engine *e);
/* Adds a rule (break_rules.h), or takes it away; a bad one is told by a notice. */
void breaks_set(struct engine *e, const char *rule, bool set);
/* The instance is neither held nor on its way any more, for whatever reason. */
void breaks_forget(struct engine *e, struct instance *in);
/* Whether the instance, which would start now, has to wait for a person. */
bool breaks_hold(struct engine *e, struct instance *in);
/* An execution begins: notes whether a rule is about what it writes. If so, what it wrote is to be
 * read. */
void breaks_watch(struct engine *e, struct flight *flight);
void breaks_read(struct engine *e, struct flight *flight, int stream, uint64_t offset, uint64_t n);
void breaks_watch_free(struct break_watch *watch);
/* An execution has ended: true when its owner is held instead of finished. */
bool breaks_hold_end(struct engine *e, struct flight *flight, enum step_status status, bool tainted,
                     uint64_t duration_ms, const char *error);
/* Nothing new may start until a failure that is held has been decided upon, but what a person let
 * go. */
bool breaks_stop_starting(const struct engine *e);
/* It is held after it passed. */
bool breaks_has_passed(const struct instance *in);
/* An instance in state HELD ends as it did. */
void breaks_end(struct engine *e, struct instance *in);
/* Lets the step (NULL: all that are held) go on: it starts, or ends as it did. stepping: until the
 * next one is about to start. */
void breaks_go_on(struct engine *e, const char *step, bool stepping);
/* Runs a held step, again where it has ended; false when it is not held. */
bool breaks_retry(struct engine *e, struct node *node);
/* A held step that has not passed counts as skipped. */
void breaks_skip(struct engine *e, struct node *node);

/* ahead.c: places, and executions that are started before there is one for them */
void ahead_open(struct engine *e);
bool ahead_may_start(const struct engine *e);
/* Notes that the execution was started ahead. */
void ahead_add(struct engine *e, struct flight *flight);
/* Gives its place to the first of those started ahead: the same that the runner has begun for it if
 * it was counted, even one that is being withdrawn, which came too late then. */
void ahead_free_place(struct engine *e, struct flight *flight);
/* The place of an execution that is no flight went to the first of them. */
void ahead_take_place(struct engine *e);
/* Those that do not run yet shall not. */
void ahead_withdraw(struct engine *e);
/* This one shall not; false when it runs already. */
bool ahead_expect_withdrawn(struct flight *flight);
/* It is known whether it ran. */
void ahead_withdrawn(struct engine *e, struct flight *flight);

/* flight.c */
/* Tells executions of what needs this node that its outputs are being written under them. */
void flight_disturb_dependents(struct engine *e, const struct node *node);
/* caches: what caches_take() gave; the flight's from here on. */
void flight_start(struct engine *e, struct instance *in, struct flight_caches *caches);
void flight_cancel(struct flight *flight, const char *why);
/* typing.c: interactive steps */
/* Whether a person who types to one step at a time has another one already. */
bool typing_waits(const struct engine *e, const struct node *node);
/* The size of the terminal that the flight's command gets; NULL: none. */
const struct winsize *typing_terminal(struct engine *e, const struct flight *flight);
void typing_input(struct engine *e, struct flight *flight, const char *bytes, size_t n);
void typing_resize(struct engine *e, struct winsize size);
/* The execution is over: its instances are finished or looked at again, and it is freed. */
void flight_end(struct engine *e, struct flight *flight, enum step_status status, bool tainted,
                const char *error);

/* The execution can't begin, because an input is no longer what its key says: all as if it had
 * never been, until the inputs have been looked at again. */
void flight_look_again(struct engine *e, struct flight *flight);
/* Starts the command of a flight that has all it needs. */
void flight_launch(struct engine *e, struct flight *flight);

/* room.c: the directories in which a step's outputs are to lie, which are there when it begins */
void room_on_host(const struct engine *e, const struct op_exec *exec);
/* The same in what a box is to write; root is what it reads. */
int room_in_box(const struct engine *e, const struct op_exec *exec, const struct digest *root,
                const struct box_dir *dir, struct err *err) MUST_CHECK;

/* landing.c */
/* The command passed: its result is taken, checked and put; flight_end() follows. */
void flight_commit(struct engine *e, struct flight *flight);
/* It failed; flight_end() follows. error: NULL where the exit says it. */
void flight_fail(struct engine *e, struct flight *flight, const char *error);

/* keep_inputs.c: inputs of failures */
/* Puts the failure of the instance's step on record, and has its inputs stored beside what goes on.
 */
void keep_inputs(struct engine *e, const struct instance *in);
/* The engine's first run begins: goes on with what earlier ones have left, beside what it does. */
void keep_inputs_resume(struct engine *e, const struct run *run);
/* Whether some are still being stored; from then on they have so long, and no more. */
bool keep_inputs_busy(struct engine *e);
/* Everything is being ended, also they; and goes on. */
void keep_inputs_stop(struct engine *e);
void keep_inputs_go_on(struct engine *e);
void keep_inputs_close(struct engine *e);

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

#endif
