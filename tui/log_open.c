#include "tui/log_private.h"

#include "base/mem.h"
#include "tui/asking.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void log_init(struct log_view *log)
{
    log->step = SIZE_MAX;
    log->follow = true;
    log->save.in = log->save.out = -1;
}

static void close_log(struct log_view *log)
{
    lines_set_file(&log->lines, NULL);
    log_entries_release(&log->entries);
    chunks_release(&log->chunks);
    log->chunks = (struct chunks){0};
    free(log->path);
    free(log->key);
    free(log->gone);
    log->path = log->key = log->gone = NULL;
}

void log_release(struct log_view *log)
{
    close_log(log);
    lines_release(&log->lines);
    pattern_release(&log->pattern);
    search_release(&log->search);
    search_release(&log->errors);
    links_free(log->links);
    free(log->before_filter);
    free(log->save.path);
    if (log->save.in >= 0)
        close(log->save.in);
    if (log->save.out >= 0)
        close(log->save.out);
}

/* What is looked for and chosen serves for the next step's log too. */
static void open_anew(struct app *app, const struct model_step *step)
{
    struct log_view *log = &app->log;
    bool same = log->step == app->selected && step && log->starts == step->starts;
    close_log(log);
    log->search.state = log->errors.state = SEARCH_NONE;
    log->mark.on = log->seeking = false;
    log->step = app->selected;
    log->starts = step ? step->starts : 0;
    log->asked = log->fetching = log->more = log->own = false;
    log->cached = step && step->state == STATE_CACHED;
    log->key = log->cached && step->key ? mem_strdup(step->key) : NULL;
    if (same)
        return;
    log->top = log->top_row = log->left = 0;
    log->follow = true;
}

static bool same_key(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether the log that is open is no longer the one to show. */
static bool outdated(const struct app *app, const struct model_step *step)
{
    const struct log_view *log = &app->log;
    if (log->step != app->selected || (step && log->starts != step->starts))
        return true;
    return step && step->state == STATE_CACHED && !(log->cached && same_key(log->key, step->key));
}

/* The spool that the step's own run has written: not that of a run before a cached result. */
static bool has_spool(const struct model_step *step)
{
    return step->log && step->has_started &&
           (step->state == STATE_RUNNING || step->state == STATE_PASSED ||
            step->state == STATE_FAILED || step->state == STATE_CANCELLED ||
            (step->state == STATE_PAUSED && (step->held_failed || step->held_passed)));
}

static void open_file(struct log_view *log, const char *path)
{
    if (!path || !log->path || strcmp(log->path, path) != 0) {
        free(log->path);
        log->path = path ? mem_strdup(path) : NULL;
    }
    struct logfile *file = path ? logfile_open(path) : NULL;
    if (file)
        lines_set_file(&log->lines, file);
    log->more = file != NULL;
}

static void taken_out(struct app *app, struct question *question)
{
    struct log_view *log = app ? &app->log : NULL;
    /* Another log may have been opened meanwhile. */
    if (!log || !log->fetching || !same_key(log->key, question->key))
        return;
    log->fetching = false;
    if (!question->found) {
        log->gone = mem_strdup(question->error ? question->error : "nobody says why");
        return;
    }
    log->chunks = question->chunks;
    question->chunks = (struct chunks){0};
    log->start_ns = question->start_ns;
    if (question->log)
        open_file(log, question->log);
    if (question->log && !log->lines.file)
        log->gone = mem_printf("%s can't be opened", question->log);
}

/* A result of the cache has its log there, too. */
static void fetch(struct app *app, const struct model_step *step)
{
    struct question question = {.kind = QUESTION_LOG, .key = app->log.key, .step = step->name};
    app->log.asked = app->log.fetching = true;
    app->log.fetched_ns = 0;
    if (app_ask(app, &question, taken_out))
        return;
    app->log.fetching = false;
    app->log.gone = mem_strdup("nobody knows");
}

void log_sync(struct app *app)
{
    struct log_view *log = &app->log;
    struct model_step *step = app_selected(app);
    if (outdated(app, step))
        open_anew(app, step);
    if (!step || log->lines.file)
        return;
    if (step->state == STATE_CACHED) {
        if (!log->asked && log->key)
            fetch(app, step);
        return;
    }
    if (has_spool(step)) {
        open_file(log, step->log);
        log->own = log->lines.file != NULL;
    }
    /* What the control has is of now. */
    bool kept = !app->past.id && (step->state == STATE_PASSED || step->state == STATE_FAILED);
    if (!log->lines.file && kept && !log->asked && app->control->log_path) {
        log->asked = true;
        char *path = app->control->log_path(app->control->ctx, step->name);
        open_file(log, path);
        free(path);
    }
}

bool log_work(struct app *app)
{
    struct log_view *log = &app->log;
    bool saving = log_save_work(app);
    if (!log->lines.file)
        return saving;
    log->more = logfile_index(log->lines.file, INDEX_BUDGET);
    bool finding = log_find_work(app);
    return log->more || finding || saving;
}
