/*
 * emit.c - the engine's mouth and memory: every event goes through emit(), in order, to the run's
 * record and to each subscriber; results are noted in the history.
 */
#include "engine/answers.h"
#include "engine/boxing.h"
#include "engine/private.h"
#include "engine/tell.h"

#include <stdlib.h>
#include <string.h>

static void put_on_record(struct engine *e, struct run *run, const struct event *event)
{
    struct err err = ERR_INIT;
    record_event(run->record, event, &err);
    if (err.kind != ERR_NONE && !e->state_warned) {
        e->state_warned = true;
        engine_notice(e, "warning", err_text(&err));
    }
    err_release(&err);
}

void emit(struct engine *e, struct run *run, struct event *event)
{
    event->seq = ++e->seq;
    event->time_ns = clock_realtime_ns();
    event->run = run ? run->id : NULL;
    if (run && run->record)
        put_on_record(e, run, event);
    vec_each (struct subscriber, s, &e->subscribers)
        s->cb(s->ctx, event);
    if (run && run->ask)
        run->ask->opt.event(run->ask->opt.ctx, event);
    for (size_t i = 0; i < e->asks.n && !run && event->type == EVENT_NOTICE; i++) {
        if (e->asks.v[i]->run)
            e->asks.v[i]->opt.event(e->asks.v[i]->opt.ctx, event);
    }
}

void engine_notice(struct engine *e, const char *level, const char *text)
{
    struct event event = {.type = EVENT_NOTICE, .u.notice = {.level = level, .text = text}};
    emit(e, NULL, &event);
}

uint64_t usual_ms(const struct engine *e, const struct node *node)
{
    const struct history_record *pass =
        e->opt.history ? history_last_pass(e->opt.history, node->exec->name) : NULL;
    return !pass ? 0 : pass->duration_ms ? pass->duration_ms : 1;
}

static struct event pipeline(struct engine *e, const bool *wanted, struct arena *arena)
{
    struct event_step_info *steps = arena_zalloc(arena, e->nodes.n + 1, sizeof *steps);
    size_t n = 0;
    vec_each (struct node, node, &e->nodes) {
        if (wanted ? !wanted[node - e->nodes.v] : !node->selected)
            continue;
        const char **needs = arena_zalloc(arena, node->deps.n + 1, sizeof *needs);
        for (size_t i = 0; i < node->deps.n; i++)
            needs[i] = e->nodes.v[node->deps.v[i]].exec->name;
        steps[n++] = (struct event_step_info){.name = node->exec->name,
                                              .description = node->exec->description,
                                              .command = node->exec->shown,
                                              .cwd = *node->exec->cwd ? node->exec->cwd : NULL,
                                              .needs = needs,
                                              .n_needs = node->deps.n,
                                              .interactive = node->exec->interactive,
                                              .last_ms = usual_ms(e, node)};
    }
    return (struct event){.type = EVENT_PIPELINE_LOADED,
                          .u.pipeline = {.name = e->graph->name,
                                         .root = e->opt.root,
                                         .steps = steps,
                                         .n_steps = n,
                                         .watching = !wanted && e->opt.mode == ENGINE_WATCH}};
}

void emit_pipeline(struct engine *e)
{
    struct arena arena = ARENA_INIT;
    struct event event = pipeline(e, NULL, &arena);
    emit(e, NULL, &event);
    arena_release(&arena);
}

void emit_pipeline_to(struct engine *e, const struct ask *ask)
{
    struct arena arena = ARENA_INIT;
    struct event event = pipeline(e, ask->wanted, &arena);
    event.seq = e->seq;
    event.time_ns = clock_realtime_ns();
    ask->opt.event(ask->opt.ctx, &event);
    arena_release(&arena);
}

/* The record gets what a view needs to show the run later: the steps of it as they are now. */
static void record_pipeline(struct engine *e, struct run *run)
{
    struct arena arena = ARENA_INIT;
    bool *in_it = mem_zalloc(e->nodes.n + 1, sizeof *in_it);
    vec_each (struct instance *, in, &run->instances)
        in_it[(*in)->node] = true;
    struct event event = pipeline(e, in_it, &arena);
    event.time_ns = clock_realtime_ns();
    event.run = run->id;
    put_on_record(e, run, &event);
    arena_release(&arena);
    free(in_it);
}

void emit_run_started(struct engine *e, struct run *run)
{
    const char **names = mem_zalloc(run->instances.n + 1, sizeof *names);
    for (size_t i = 0; i < run->instances.n; i++)
        names[i] = e->nodes.v[run->instances.v[i]->node].exec->name;
    struct event event = {.type = EVENT_RUN_STARTED,
                          .u.run_started = {.version = e->opt.version,
                                            .pipeline = e->graph->name,
                                            .root = e->opt.root,
                                            .trigger = run->trigger,
                                            .watcher = run->ask != NULL,
                                            .steps = names,
                                            .n_steps = run->instances.n,
                                            .jobs = e->jobs}};
    emit(e, run, &event);
    if (run->record)
        record_pipeline(e, run);
    free(names);
}

void emit_run_finished(struct engine *e, struct run *run)
{
    struct event event = {
        .type = EVENT_RUN_FINISHED,
        .u.run_finished = {.status = run->counts[STEP_FAILED]                       ? RUN_FAILED
                                     : run->counts[STEP_CANCELLED] || run->left_out ? RUN_CANCELLED
                                                                                    : RUN_PASSED,
                           .duration_ms = (clock_monotonic_ns() - run->start_ns) / 1000000,
                           .passed = run->counts[STEP_PASSED],
                           .cached = run->counts[STEP_CACHED],
                           .failed = run->counts[STEP_FAILED],
                           .skipped = run->counts[STEP_SKIPPED],
                           .cancelled = run->counts[STEP_CANCELLED],
                           .saved_ms = run->saved_ms}};
    emit(e, run, &event);
}

void emit_queued(struct engine *e, struct instance *in)
{
    struct event event = {.type = EVENT_STEP_QUEUED, .step = e->nodes.v[in->node].exec->name};
    emit(e, in->run, &event);
}

/* Calls emit() for each asked run that waits for the flight, under the name that the step has
 * there. */
static void emit_to_askers(struct engine *e, const struct flight *flight, struct event *event)
{
    const struct node *node = &e->nodes.v[flight->node];
    const struct instance *current = node->current;
    vec_each (struct instance *, in, (instances *)&flight->sharers) {
        event->step = e->nodes.v[(*in)->node].exec->name;
        if ((*in)->run->ask)
            emit(e, (*in)->run, event);
    }
    event->step = node->exec->name;
    if (current != flight->owner && current->flight != flight)
        return; /* another one is to follow: so do they */
    vec_each (struct instance *, in, (instances *)&node->followers)
        emit(e, (*in)->run, event);
}

static void make_started(struct engine *e, const struct flight *flight, char hex[DIGEST_HEX + 1],
                         struct reasons *reasons, struct event *event)
{
    const struct instance *in = flight->owner;
    digest_hex(&in->key, hex);
    reasons_of(e, in, reasons);
    *event = (struct event){.type = EVENT_STEP_STARTED,
                            .step = e->nodes.v[in->node].exec->name,
                            .u.started = {.key = hex,
                                          .runner = e->nodes.v[in->node].exec->runner,
                                          .attempt = in->attempt,
                                          .pid = flight->pid,
                                          .reasons = reasons->list.v,
                                          .n_reasons = reasons->list.n,
                                          .all_reasons = reasons->all,
                                          .log = flight->log ? flight->log : EVENT_NO_LOG,
                                          .mount = boxing_mount(e, flight)}};
}

void emit_started(struct engine *e, struct flight *flight)
{
    char hex[DIGEST_HEX + 1];
    struct reasons reasons = {0};
    struct event event;
    make_started(e, flight, hex, &reasons, &event);
    emit(e, flight->owner->run, &event);
    emit_to_askers(e, flight, &event);
    vec_each (struct reason, reason, &reasons.list) {
        /* What it holds now is what it held before, when it changes again. */
        if (reason->kind == REASON_FILE && reason->now && e->opt.mode == ENGINE_WATCH)
            answers_keep(engine_answers(e), reason->subject);
    }
    reasons_release(&reasons);
}

void emit_log(struct engine *e, struct flight *flight, int stream, uint64_t offset, uint64_t n)
{
    struct event event = {
        .type = EVENT_STEP_LOG,
        .step = e->nodes.v[flight->node].exec->name,
        .u.log = {.stream = stream, .offset = offset, .n = n, .log = flight->log}};
    emit(e, flight->owner->run, &event);
    emit_to_askers(e, flight, &event);
}

void emit_progress(struct engine *e, struct flight *flight, struct event *event)
{
    emit(e, flight->owner->run, event);
    emit_to_askers(e, flight, event);
}

void emit_so_far(struct engine *e, const struct flight *flight, struct instance *in)
{
    char hex[DIGEST_HEX + 1];
    struct reasons reasons = {0};
    struct event event;
    if (!flight->announced || flight->cancelled || !in->run->ask)
        return;
    make_started(e, flight, hex, &reasons, &event);
    event.step = e->nodes.v[in->node].exec->name;
    emit(e, in->run, &event);
    reasons_release(&reasons);
    uint64_t offset = 0;
    vec_each (struct action_chunk, chunk, (log_order *)&flight->chunks) {
        event = (struct event){.type = EVENT_STEP_LOG,
                               .step = e->nodes.v[in->node].exec->name,
                               .u.log = {chunk->stream, offset, chunk->bytes, flight->log}};
        emit(e, in->run, &event);
        offset += chunk->bytes;
    }
}

static bool add_size(void *ctx, const char *path, const struct tree_entry *entry)
{
    uint64_t *bytes = ctx;
    (void)path;
    *bytes += entry->kind == TREE_FILE ? entry->digest.size : 0;
    return true;
}

void emit_finished(struct engine *e, struct instance *in, const struct runner_exit *exit,
                   bool tainted, uint64_t duration_ms, const char *error)
{
    const struct node *node = &e->nodes.v[in->node];
    char hex[DIGEST_HEX + 1];
    digest_hex(&in->key, hex);
    bool good = in->status == STEP_PASSED || in->status == STEP_CACHED;
    size_t n = good && node->value.known ? node->value.result.n_outputs : 0;
    struct event_output *outputs = mem_zalloc(n + 1, sizeof *outputs);
    char(*digests)[DIGEST_HEX + 1] = mem_zalloc(n + 1, sizeof *digests);
    for (size_t i = 0; i < n; i++) {
        const struct action_output *output = &node->value.result.outputs[i];
        const struct digest *digest = output->kind == OUTPUT_DIR ? &output->root : &output->digest;
        digest_hex(digest, digests[i]);
        uint64_t bytes = output->kind == OUTPUT_DIR ? 0 : output->digest.size;
        if (output->kind == OUTPUT_DIR &&
            trees_walk(e->trees, &output->root, add_size, &bytes, NULL) < 0)
            bytes = 0; /* its content is known by its digest alone */
        outputs[i] = (struct event_output){output->path, digests[i], bytes};
    }
    const struct action_result *result = &node->value.result;
    struct event event = {
        .type = EVENT_STEP_FINISHED,
        .step = node->exec->name,
        .u.finished = {.status = in->status,
                       .exit_code = exit ? exit->exit_code
                                    : in->status == STEP_CACHED || in->status == STEP_PASSED ? 0
                                                                                             : -1,
                       .signal = exit ? exit->signal : 0,
                       .timed_out = exit && exit->timed_out,
                       .tainted = tainted,
                       .duration_ms = duration_ms,
                       .key = in->has_key ? hex : NULL,
                       .source = in->status == STEP_CACHED ? "local" : NULL,
                       .error = error,
                       .saved_ms = in->status == STEP_CACHED ? result_ms(result) : 0,
                       .cpu_ms = exit ? exit->cpu_us / 1000 : 0,
                       .memory_bytes = exit ? exit->memory : 0,
                       .outputs = outputs,
                       .n_outputs = n,
                       .hints = (const char *const *)node->hints.list.v,
                       .n_hints = in->status == STEP_FAILED ? node->hints.list.n : 0,
                       .box = in->status == STEP_FAILED && exit ? node->kept : NULL}};
    in->run->saved_ms += event.u.finished.saved_ms;
    emit(e, in->run, &event);
    free(outputs);
    free(digests);
}

uint64_t result_ms(const struct action_result *result)
{
    return result->end_ns > result->start_ns ? (result->end_ns - result->start_ns) / 1000000 : 0;
}

/* Once: the same would be told of every step. */
static void warn_of_state(struct engine *e, int rc, struct err *err)
{
    if (rc < 0 && !e->state_warned) {
        e->state_warned = true;
        engine_notice(e, "warning", err_text(err));
    }
    err_release(err);
}

void note_result(struct engine *e, const struct instance *in, enum history_status status,
                 uint64_t duration_ms)
{
    if (!e->opt.history || e->opt.mode == ENGINE_PLAN)
        return;
    const struct node *node = &e->nodes.v[in->node];
    struct history_record record = {.step = node->exec->name,
                                    .status = status,
                                    .key = in->key,
                                    .input_root = in->input_root,
                                    .command = node->command.data,
                                    .n_command = node->command.len,
                                    .salt = ENGINE_SALT,
                                    .duration_ms = duration_ms,
                                    .time_ns = clock_realtime_ns(),
                                    .run = in->run->id};
    struct err err = ERR_INIT;
    int rc = history_note(e->opt.history, &record, e->trees, &err);
    warn_of_state(e, rc, &err);
}

void write_results(struct engine *e, bool at_once)
{
    struct err err = ERR_INIT;
    int rc = !e->opt.history ? 0
             : at_once       ? history_try_flush(e->opt.history, &err)
                             : history_flush(e->opt.history, &err);
    warn_of_state(e, rc, &err);
}
