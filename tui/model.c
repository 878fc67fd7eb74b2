#include "tui/model_private.h"

#include "base/file.h"

#include <string.h>

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static void replace(char **place, const char *s)
{
    char *fresh = copy(s);
    free(*place);
    *place = fresh;
}

static void reasons_release(struct model_step *step)
{
    for (size_t i = 0; i < step->n_reasons; i++) {
        free((char *)step->reasons[i].subject);
        free((char *)step->reasons[i].step);
        free((char *)step->reasons[i].old);
        free((char *)step->reasons[i].now);
        free((char *)step->reasons[i].note);
    }
    free(step->reasons);
    step->reasons = NULL;
    step->n_reasons = step->all_reasons = 0;
}

static void hints_release(struct model_step *step)
{
    for (size_t i = 0; i < step->n_hints; i++)
        free(step->hints[i]);
    free(step->hints);
    step->hints = NULL;
    step->n_hints = 0;
}

static void step_release(struct model_step *step)
{
    free(step->name);
    free(step->description);
    free(step->command);
    free(step->cwd);
    vec_release(&step->needs);
    free(step->key);
    free(step->source);
    free(step->error);
    free(step->runner);
    free(step->mount);
    reasons_release(step);
    free(step->log);
    chunks_release(&step->chunks);
    free(step->doing);
    free(step->box);
    free(step->held_why);
    free(step->held_rule);
    hints_release(step);
}

void model_init(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->settled = true;
}

void model_release(struct model *model)
{
    vec_each (struct model_step, step, &model->steps)
        step_release(step);
    vec_release(&model->steps);
    map_release(&model->index);
    model_states_release(model);
    free(model->branch);
    free(model->name);
    free(model->root);
    free(model->degraded);
    free(model->notice);
    free(model->run_id);
    vec_each (struct model_run, run, &model->under_way)
        free(run->id);
    vec_release(&model->under_way);
    model_release_breaks(model);
}

size_t model_find(const struct model *model, const char *name)
{
    void *found = name ? map_get_str(&model->index, name) : NULL;
    return found ? (size_t)(uintptr_t)found - 1 : model->steps.n;
}

static size_t add_step(struct model *model, const char *name)
{
    struct model_step step = {.name = mem_strdup(name), .exit_code = -1};
    vec_push(&model->steps, step);
    map_put_str(&model->index, name, (void *)(uintptr_t)model->steps.n);
    model->structure++;
    if (model->latest >= model->steps.n - 1)
        model->latest = model->steps.n;
    return model->steps.n - 1;
}

/* The step of that name, added when the pipeline never named it. NULL when the event names none. */
static struct model_step *step_of(struct model *model, const char *name)
{
    if (!name)
        return NULL;
    size_t i = model_find(model, name);
    if (i == model->steps.n) {
        i = add_step(model, name);
        model_states_add(model, &model->steps.v[i]);
    }
    return &model->steps.v[i];
}

static void fold_pipeline(struct model *model, const struct event *event)
{
    struct model old = *model;
    model->steps.v = NULL;
    model->steps.n = model->steps.cap = 0;
    model->index = (struct map)MAP_INIT;
    model->structure++;
    model->latest = 0;
    size_t n = event->u.pipeline.n_steps;
    for (size_t i = 0; i < n; i++) {
        const struct event_step_info *info = &event->u.pipeline.steps[i];
        if (model_find(model, info->name) < model->steps.n)
            continue;
        size_t was = model_find(&old, info->name);
        size_t at = add_step(model, info->name);
        struct model_step *step = &model->steps.v[at];
        if (was < old.steps.n) {
            /* What is known of a step outlives the file that names it. */
            struct model_step *before = &old.steps.v[was];
            char *name = step->name;
            *step = *before;
            *before = (struct model_step){.name = before->name};
            step->name = name;
            vec_clear(&step->needs);
        } else {
            step->state_no = ++model->state;
        }
        replace(&step->description, info->description);
        replace(&step->command, info->command);
        replace(&step->cwd, info->cwd);
        step->interactive = info->interactive;
        if (step->ran_ms == 0)
            step->ran_ms = info->last_ms;
        model->timed = model->timed || step->ran_ms > 0;
    }
    for (size_t i = 0; i < n; i++) {
        const struct event_step_info *info = &event->u.pipeline.steps[i];
        struct model_step *step = &model->steps.v[model_find(model, info->name)];
        for (size_t k = 0; k < info->n_needs; k++) {
            size_t need = model_find(model, info->needs[k]);
            if (need < model->steps.n && step->needs.n < info->n_needs)
                vec_push(&step->needs, need);
        }
    }
    model_states_rebuild(model);
    vec_each (struct model_step, step, &old.steps)
        step_release(step);
    vec_release(&old.steps);
    map_release(&old.index);
    model->latest = model->steps.n;
    model->loaded = true;
    model->watching = event->u.pipeline.watching;
    replace(&model->name, event->u.pipeline.name);
    replace(&model->root, event->u.pipeline.root);
    replace(&model->notice, NULL);
}

/* -- runs -------------------------------------------------------------------------------------- */

/* Of those under way, its index, without an id the latest's; under_way.n: there is none. */
static size_t run_of(const struct model *model, const char *id)
{
    size_t n = model->under_way.n;
    for (size_t i = n; i > 0; i--) {
        const char *other = model->under_way.v[i - 1].id;
        if (!id || (other && strcmp(other, id) == 0))
            return i - 1;
    }
    return n;
}

bool model_is_under_way(const struct model *model, const char *run_id)
{
    return run_of(model, run_id) < model->under_way.n;
}

bool model_in_run(const struct model *model, const struct model_step *step)
{
    return model->runs > 0 && step->run_no >= model->first_run;
}

/* A run that began later has the step now and will tell what it comes to; how it ended in that run
 * is no news. */
static bool is_overtaken(const struct model *model, const struct model_step *step, const char *run)
{
    size_t at = run_of(model, run);
    return at < model->under_way.n && model->under_way.v[at].no < step->run_no &&
           (step->state == STATE_WAITING || step->state == STATE_QUEUED ||
            step->state == STATE_RUNNING || step->state == STATE_PAUSED);
}

static void fold_run_started(struct model *model, const struct event *event)
{
    model->loaded = true;
    model->runs++;
    if (model->under_way.n == 0) {
        model->first_run = model->runs;
        model->run_started_ns = event->time_ns;
        model->run_ms = 0;
        model->run_status = RUN_PASSED;
    }
    model->run_state = RUN_ACTIVE;
    vec_push(&model->under_way, ((struct model_run){copy(event->run), model->runs}));
    replace(&model->run_id, event->run);
    model->jobs = event->u.run_started.jobs;
    if (!model->name)
        replace(&model->name, event->u.run_started.pipeline);
    if (!model->root)
        replace(&model->root, event->u.run_started.root);
    if (model->notice_level == NOTICE_INFO)
        replace(&model->notice, NULL);
    for (size_t i = 0; i < event->u.run_started.n_steps; i++) {
        struct model_step *step = step_of(model, event->u.run_started.steps[i]);
        model_set_state(model, step, STATE_WAITING);
        replace(&step->error, NULL);
        replace(&step->source, NULL);
        replace(&step->doing, NULL);
        hints_release(step);
        step->run_no = model->runs;
        step->queued_ns = step->ended_ns = 0;
        step->attempt = 0;
        step->pid = 0;
        step->exit_code = -1;
        step->signal = 0;
        step->timed_out = step->tainted = step->held_failed = step->held_passed = false;
        step->duration_ms = step->saved_ms = 0;
        step->cpu_ms = step->memory_bytes = 0;
        model->timed = model->timed || step->ran_ms > 0;
    }
}

static void fold_run_finished(struct model *model, const struct event *event)
{
    size_t at = run_of(model, event->run);
    bool alone = model->first_run == model->runs;
    enum run_status status = event->u.run_finished.status;
    model->ends++;
    if (at < model->under_way.n) {
        free(model->under_way.v[at].id);
        for (; at + 1 < model->under_way.n; at++)
            model->under_way.v[at] = model->under_way.v[at + 1];
        model->under_way.n--;
    }
    if (alone || status == RUN_FAILED || model->run_status == RUN_PASSED)
        model->run_status = status;
    if (model->under_way.n > 0)
        return;
    model->run_state = RUN_ENDED;
    model->run_ms = alone ? event->u.run_finished.duration_ms
                    : event->time_ns > model->run_started_ns
                        ? (event->time_ns - model->run_started_ns) / 1000000
                        : 0;
    /* What failed or was cancelled in one of several may have come right in a later one. */
    if (!alone && model->run_status == RUN_FAILED && model->counts[STATE_FAILED] == 0)
        model->run_status = RUN_CANCELLED;
    if (!alone && model->run_status == RUN_CANCELLED && model->counts[STATE_CANCELLED] == 0)
        model->run_status = RUN_PASSED;
}

/* -- steps ------------------------------------------------------------------------------------- */

static void fold_progress(struct model *model, const struct event *event)
{
    struct model_step *step = step_of(model, event->step);
    struct buf doing = BUF_INIT;
    if (!step || !event->u.progress.text)
        return;
    free(step->doing);
    event_progress_text(event, &doing);
    step->doing = buf_detach(&doing);
    step->doing_percent =
        event->u.progress.total
            ? (int)((double)event->u.progress.done * 100 / (double)event->u.progress.total)
            : -1;
}

static void fold_started(struct model *model, const struct event *event)
{
    struct model_step *step = step_of(model, event->step);
    if (!step)
        return;
    model_set_state(model, step, STATE_RUNNING);
    model->latest = (size_t)(step - model->steps.v);
    step->attempt = event->u.started.attempt;
    step->pid = event->u.started.pid;
    step->started_ns = event->time_ns;
    step->has_started = true;
    step->starts++;
    step->log_bytes = 0;
    chunks_clear(&step->chunks);
    step->last_ms = step->ran_ms;
    model->timed = model->timed || step->last_ms > 0;
    step->tainted = step->timed_out = false;
    replace(&step->doing, NULL);
    replace(&step->error, NULL);
    replace(&step->key, event->u.started.key);
    replace(&step->runner, event->u.started.runner);
    replace(&step->mount, event->u.started.mount);
    replace(&step->log, event->u.started.log);
    reasons_release(step);
    size_t n = event->u.started.n_reasons;
    step->reasons = mem_zalloc(n, sizeof *step->reasons);
    for (size_t i = 0; i < n; i++) {
        const struct reason *from = &event->u.started.reasons[i];
        step->reasons[i] = (struct reason){.kind = from->kind,
                                           .subject = copy(from->subject),
                                           .step = copy(from->step),
                                           .old = copy(from->old),
                                           .now = copy(from->now),
                                           .note = copy(from->note)};
    }
    step->n_reasons = n;
    step->all_reasons = event->u.started.all_reasons > n ? event->u.started.all_reasons : n;
}

static void fold_log(struct model *model, const struct event *event)
{
    struct model_step *step = step_of(model, event->step);
    if (!step)
        return;
    uint64_t end = event->u.log.offset + event->u.log.n;
    if (event->u.log.log && (!step->log || strcmp(step->log, event->u.log.log) != 0))
        replace(&step->log, event->u.log.log);
    if (end > step->log_bytes)
        step->log_bytes = end;
    step->log_ns = event->time_ns;
    chunks_add(&step->chunks, event->u.log.offset, event->u.log.n, event->u.log.stream,
               event->time_ns);
}

static void fold_finished(struct model *model, const struct event *event)
{
    static const enum step_state states[STEP_STATUS_N] = {
        [STEP_PASSED] = STATE_PASSED,       [STEP_CACHED] = STATE_CACHED,
        [STEP_FAILED] = STATE_FAILED,       [STEP_SKIPPED] = STATE_SKIPPED,
        [STEP_CANCELLED] = STATE_CANCELLED,
    };
    struct model_step *step = step_of(model, event->step);
    if (!step || (unsigned)event->u.finished.status >= STEP_STATUS_N ||
        is_overtaken(model, step, event->run))
        return;
    model_set_state(model, step, states[event->u.finished.status]);
    if (step->state == STATE_FAILED)
        model->latest = (size_t)(step - model->steps.v);
    step->ended_ns = event->time_ns;
    step->duration_ms = event->u.finished.duration_ms;
    step->exit_code = event->u.finished.exit_code;
    step->signal = event->u.finished.signal;
    step->timed_out = event->u.finished.timed_out;
    step->tainted = event->u.finished.tainted;
    step->saved_ms = event->u.finished.saved_ms;
    step->cpu_ms = event->u.finished.cpu_ms;
    step->memory_bytes = event->u.finished.memory_bytes;
    replace(&step->error, event->u.finished.error);
    replace(&step->doing, NULL);
    hints_release(step);
    step->hints = mem_zalloc(event->u.finished.n_hints, sizeof *step->hints);
    step->n_hints = event->u.finished.n_hints;
    for (size_t i = 0; i < step->n_hints; i++)
        step->hints[i] = mem_strdup(event->u.finished.hints[i]);
    replace(&step->source, event->u.finished.source);
    replace(&step->box, event->u.finished.box);
    step->held_failed = step->held_passed = false;
    if (event->u.finished.key)
        replace(&step->key, event->u.finished.key);
    if (step->state == STATE_PASSED)
        step->ran_ms = step->duration_ms ? step->duration_ms : 1;
    if (step->state == STATE_CACHED && step->saved_ms > 0)
        step->ran_ms = step->saved_ms;
}

static void fold_notice(struct model *model, const struct event *event)
{
    const char *level = event->u.notice.level ? event->u.notice.level : "info";
    replace(&model->notice, event->u.notice.text);
    model->notice_level = strcmp(level, "error") == 0     ? NOTICE_ERROR
                          : strcmp(level, "warning") == 0 ? NOTICE_WARNING
                                                          : NOTICE_INFO;
}

void model_notice_read(struct model *model)
{
    if (model->notice_level != NOTICE_ERROR)
        replace(&model->notice, NULL);
}

void model_fold(struct model *model, const struct event *event)
{
    model->last_ns = event->time_ns;
    switch (event->type) {
    case EVENT_PIPELINE_LOADED: fold_pipeline(model, event); break;
    case EVENT_RUN_STARTED: fold_run_started(model, event); break;
    case EVENT_STEP_QUEUED: {
        struct model_step *step = step_of(model, event->step);
        if (step && step->state != STATE_QUEUED) {
            step->queued_ns = event->time_ns;
            model_set_state(model, step, STATE_QUEUED);
        }
        break;
    }
    case EVENT_STEP_PROGRESS: fold_progress(model, event); break;
    case EVENT_STEP_STARTED: fold_started(model, event); break;
    case EVENT_STEP_LOG: fold_log(model, event); break;
    case EVENT_STEP_FINISHED: fold_finished(model, event); break;
    case EVENT_STEP_PAUSED: model_fold_paused(model, event); break;
    case EVENT_STEP_RESUMED: model_fold_resumed(model, event); break;
    case EVENT_BREAKPOINT: model_fold_breakpoint(model, event); break;
    case EVENT_WATCH_TREE:
        replace(&model->branch, event->u.tree.branch);
        model->dirty = event->u.tree.dirty;
        break;
    case EVENT_RUN_FINISHED: fold_run_finished(model, event); break;
    case EVENT_WATCH_CHANGED:
        if (model->settled)
            model->changed = 0;
        model->settled = false;
        model->changed += event->u.changed.count;
        break;
    case EVENT_WATCH_IDLE: model->settled = true; break;
    case EVENT_WATCH_DEGRADED: replace(&model->degraded, event->u.degraded.reason); break;
    case EVENT_NOTICE: fold_notice(model, event); break;
    case EVENT_N: break;
    }
}

char *model_file(const struct model *model, const struct model_step *step, const char *path)
{
    const char *root = model->root ? model->root : "";
    if (*path == '/')
        return event_path_outside(root, step->mount, path);
    return *path ? path_join(root, path) : NULL;
}

static uint64_t since(uint64_t start_ns, uint64_t now_ns)
{
    return now_ns > start_ns ? (now_ns - start_ns) / 1000000 : 0;
}

uint64_t model_elapsed_ms(const struct model_step *step, uint64_t now_ns)
{
    return since(step->started_ns, now_ns);
}

uint64_t model_run_ms(const struct model *model, uint64_t now_ns)
{
    return model->run_state == RUN_ACTIVE ? since(model->run_started_ns, now_ns) : model->run_ms;
}

size_t model_blocker(const struct model *model, const struct model_step *step)
{
    vec_each (size_t, need, &step->needs) {
        enum step_state state = model->steps.v[*need].state;
        if (state != STATE_PASSED && state != STATE_CACHED)
            return *need;
    }
    return model->steps.n;
}
