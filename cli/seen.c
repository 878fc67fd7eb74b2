/* seen.c - events folded into what a run was (see seen.h). */
#include "cli/seen.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void seen_init(struct seen *seen)
{
    *seen = (struct seen){.status = -1};
}

static const char *keep(struct seen *seen, const char *text)
{
    return text ? arena_strdup(&seen->arena, text) : NULL;
}

static const char *const *keep_list(struct seen *seen, const char *const *list, size_t n)
{
    const char **out = arena_zalloc(&seen->arena, n + 1, sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = keep(seen, list[i]);
    return out;
}

static struct seen_step *step_of(struct seen *seen, const char *name)
{
    size_t place = (size_t)(uintptr_t)map_get_str(&seen->index, name);
    if (!place) {
        vec_push(&seen->steps, (struct seen_step){.name = keep(seen, name), .status = -1});
        place = seen->steps.n;
        map_put_str(&seen->index, name, (void *)(uintptr_t)place);
    }
    return &seen->steps.v[place - 1];
}

const struct seen_step *seen_find(const struct seen *seen, const char *name)
{
    size_t place = (size_t)(uintptr_t)map_get_str(&seen->index, name);
    return place ? &seen->steps.v[place - 1] : NULL;
}

const char *seen_owner(void *ctx, const char *path)
{
    const struct seen *seen = ctx;
    for (size_t i = 0; i < seen->steps.n; i++) {
        const struct seen_step *step = &seen->steps.v[i];
        for (size_t k = 0; k < step->n_outputs; k++) {
            if (path_is_below(path, step->outputs[k].path))
                return step->name;
        }
    }
    return NULL;
}

static void on_pipeline(struct seen *seen, const struct event *event)
{
    seen->pipeline = keep(seen, event->u.pipeline.name);
    seen->root = keep(seen, event->u.pipeline.root);
    for (size_t i = 0; i < event->u.pipeline.n_steps; i++) {
        const struct event_step_info *info = &event->u.pipeline.steps[i];
        struct seen_step *step = step_of(seen, info->name);
        step->description = keep(seen, info->description);
        step->command = keep(seen, info->command);
        step->cwd = keep(seen, info->cwd);
        step->needs = keep_list(seen, info->needs, info->n_needs);
        step->n_needs = info->n_needs;
        step->last_ms = info->last_ms;
    }
}

/* Whoever asked a kiln that watches, which then went away, has the run from its beginning again. */
static void on_run_started(struct seen *seen, const struct event *event)
{
    seen->run = keep(seen, event->run);
    seen->version = keep(seen, event->u.run_started.version);
    seen->trigger = keep(seen, event->u.run_started.trigger);
    seen->pipeline = keep(seen, event->u.run_started.pipeline);
    seen->root = keep(seen, event->u.run_started.root);
    if (!seen->begun)
        seen->start_ns = event->time_ns;
    seen->begun = true;
    seen->status = -1;
    for (size_t i = 0; i < event->u.run_started.n_steps; i++) {
        struct seen_step *step = step_of(seen, event->u.run_started.steps[i]);
        step->status = -1;
        vec_clear(&step->executions);
    }
}

static void end_execution(struct seen_step *step, uint64_t time_ns)
{
    if (step->executions.n && !vec_last(&step->executions).end_ns)
        vec_last(&step->executions).end_ns = time_ns;
}

static void on_started(struct seen *seen, const struct event *event)
{
    struct seen_step *step = step_of(seen, event->step);
    struct buf reasons = BUF_INIT;
    for (size_t i = 0; i < event->u.started.n_reasons; i++) {
        if (i)
            buf_addc(&reasons, '\n');
        reason_text(&event->u.started.reasons[i], &reasons);
    }
    end_execution(step, event->time_ns);
    vec_push(&step->executions, (struct seen_execution){.start_ns = event->time_ns,
                                                        .attempt = event->u.started.attempt,
                                                        .reasons = keep(seen, buf_str(&reasons))});
    step->key = keep(seen, event->u.started.key);
    step->runner = keep(seen, event->u.started.runner);
    step->log = keep(seen, event->u.started.log);
    buf_release(&reasons);
}

static void on_finished(struct seen *seen, const struct event *event)
{
    struct seen_step *step = step_of(seen, event->step);
    end_execution(step, event->time_ns);
    step->status = (int)event->u.finished.status;
    step->exit_code = event->u.finished.exit_code;
    step->signal = event->u.finished.signal;
    step->timed_out = event->u.finished.timed_out;
    step->tainted = event->u.finished.tainted;
    step->finished_ns = event->time_ns;
    step->duration_ms = event->u.finished.duration_ms;
    step->saved_ms = event->u.finished.saved_ms;
    step->cpu_ms = event->u.finished.cpu_ms;
    step->memory_bytes = event->u.finished.memory_bytes;
    step->key = keep(seen, event->u.finished.key);
    step->error = keep(seen, event->u.finished.error);
    step->source = keep(seen, event->u.finished.source);
    step->hints = keep_list(seen, event->u.finished.hints, event->u.finished.n_hints);
    step->n_hints = event->u.finished.n_hints;
    size_t n = event->u.finished.n_outputs;
    struct event_output *outputs = arena_zalloc(&seen->arena, n + 1, sizeof *outputs);
    for (size_t i = 0; i < n; i++) {
        const struct event_output *output = &event->u.finished.outputs[i];
        outputs[i] = (struct event_output){keep(seen, output->path), keep(seen, output->digest),
                                           output->bytes};
    }
    step->outputs = outputs;
    step->n_outputs = n;
}

void seen_event(void *ctx, const struct event *event)
{
    struct seen *seen = ctx;
    switch (event->type) {
    case EVENT_PIPELINE_LOADED: on_pipeline(seen, event); break;
    case EVENT_RUN_STARTED: on_run_started(seen, event); break;
    case EVENT_STEP_QUEUED: step_of(seen, event->step)->queued_ns = event->time_ns; break;
    case EVENT_STEP_STARTED: on_started(seen, event); break;
    case EVENT_STEP_LOG:
        if (event->u.log.log) {
            struct seen_step *step = step_of(seen, event->step);
            if (!step->log || strcmp(step->log, event->u.log.log) != 0)
                step->log = keep(seen, event->u.log.log);
        }
        break;
    case EVENT_STEP_FINISHED: on_finished(seen, event); break;
    case EVENT_RUN_FINISHED:
        seen->status = (int)event->u.run_finished.status;
        seen->duration_ms = event->u.run_finished.duration_ms;
        seen->end_ns = event->time_ns;
        break;
    default: break;
    }
}

void seen_release(struct seen *seen)
{
    vec_each (struct seen_step, step, &seen->steps)
        vec_release(&step->executions);
    vec_release(&seen->steps);
    map_release(&seen->index);
    arena_release(&seen->arena);
}

int seen_read_file(const char *path, struct seen *out, struct err *err)
{
    seen_init(out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        int errnum = errno;
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_USAGE, "cannot open %s: %s", path, strerror(errnum));
    }
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((errno = 0, n = getline(&line, &cap, file)) > 0) {
        struct arena arena = ARENA_INIT;
        struct event event;
        if (event_parse(line, (size_t)n, &arena, &event, NULL) == 0)
            seen_event(out, &event);
        arena_release(&arena);
    }
    int errnum = ferror(file) ? errno : 0;
    free(line);
    fclose(file);
    if (errnum == EISDIR)
        return err_set(err, ERR_USAGE, "%s is a directory, and no file of events", path);
    if (errnum)
        return err_sys(err, errnum, "cannot read %s", path);
    if (!out->begun)
        return err_set(err, ERR_USAGE,
                       "%s has no run of kiln in it; \"kiln run --json\" writes such a file", path);
    return 0;
}

int seen_read_record(struct records *records, const char *id, struct seen *out, struct err *err)
{
    bool found = false;
    seen_init(out);
    int rc = records_replay(records, id, seen_event, out, &found, err);
    if (rc == 0 && (!found || !out->begun))
        rc = id ? err_set(err, ERR_USAGE, "there is no run %s on record; \"kiln runs\" lists them",
                          id)
                : err_set(err, ERR_USAGE, "nothing has run here yet; \"kiln run\" does");
    return rc;
}

void seen_how(const struct seen_step *step, struct buf *out)
{
    if (step->timed_out)
        buf_adds(out, "timed out");
    else if (step->error)
        buf_adds(out, step->error);
    else if (step->signal)
        buf_addf(out, "ended by signal %d (%s)", step->signal, strsignal(step->signal));
    else
        buf_addf(out, "failed with exit code %d", step->exit_code);
}
