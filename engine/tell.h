/*
 * tell.h - what the engine says: events, plans, reasons, where logs are.
 *
 * The engine's own; loop thread, where nothing else is said.
 */
#ifndef KILN_ENGINE_TELL_H
#define KILN_ENGINE_TELL_H

#include "engine/private.h"
#include "engine/reasons.h"

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

/* How long the step took when it last passed, at least 1; 0: that is not known. */
uint64_t usual_ms(const struct engine *e, const struct node *node);
/* How long an execution took that gave the result. */
uint64_t result_ms(const struct action_result *result);
/* Notes the instance's result in the history. */
void note_result(struct engine *e, const struct instance *in, enum history_status status,
                 uint64_t duration_ms);
/* Writes what was noted, for other processes; at_once: where nobody else writes just then. */
void write_results(struct engine *e, bool at_once);

/* plan.c */
/* Tells what the instance would do, and ends it. */
void plan_emit(struct engine *e, struct instance *in, const char *error);
/* Whether its key depends on what a step that must run will give. */
bool plan_waits(const struct engine *e, const struct node *node);
/* Whether what its outputs are not yet is in the cache, whole; damage is set aside. */
bool plan_can_restore(struct engine *e, const struct node *node);

/* reasons.c */
void reasons_of(struct engine *e, const struct instance *in, struct reasons *out);
/* What of it differs from the step's last pass; false when it has not passed before. */
bool reasons_since_pass(struct engine *e, const struct instance *in, struct reasons *out);

/* engine.c: made when it is first needed */
struct answers *engine_answers(struct engine *e);

/* logs.c: struct control's log_path */
char *logs_path(void *engine, const char *step);

#endif
