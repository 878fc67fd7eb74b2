/*
 * rounds.h - when something is done: rounds, who asked for them, whose turn it is on a tree of
 * several kilns.
 *
 * The engine's own; loop thread, where nothing else is said.
 */
#ifndef KILN_ENGINE_ROUNDS_H
#define KILN_ENGINE_ROUNDS_H

#include "engine/private.h"

/* round.c */
/* Begins a round if one is wanted and none is under way; else says, once, that nothing is left to
 * do. */
void round_open(struct engine *e);
void round_next(struct engine *e);
/* In the middle of the first look at the tree: gives workers files to hash (worktree_options). */
void round_hash_ahead(void *self);
/* Names a step to be run again, changed or not. */
void round_retry(struct engine *e, const char *step);
/* The same with all that depends on it, NULL: every step; whatever the cache has. */
void round_force(struct engine *e, const char *step);

/* Has the inputs looked at again, and then the instance checked again. */
void round_look_again(struct engine *e, struct instance *in);
void round_forget(struct engine *e, const struct instance *in);

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

/* engine.c */
/* The pipeline's sources changed: asks for another graph, once at a time. */
void engine_ask_reload(struct engine *e);
void engine_job_done(struct engine *e);
/* Ends all that is not done yet. why: NULL, or what its steps say. */
void engine_cancel_all(struct engine *e, const char *why);
/* While everything is being ended: goes on once nothing is left. */
void engine_check_drained(struct engine *e);

#endif
