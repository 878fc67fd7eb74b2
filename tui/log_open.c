#include "tui/log_private.h"

#include "base/mem.h"

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
    free(log->path);
    free(log->key);
    log->path = log->key = NULL;
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
    log->asked = log->more = log->own = false;
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
            (step->state == STATE_PAUSED && step->held_failed));
}

void log_sync(struct app *app)
{
    struct log_view *log = &app->log;
    struct model_step *step = app_selected(app);
    if (outdated(app, step))
        open_anew(app, step);
    if (!step || log->lines.file)
        return;
    bool kept =
        step->state == STATE_PASSED || step->state == STATE_CACHED || step->state == STATE_FAILED;
    struct logfile *file = NULL;
    if (has_spool(step)) {
        if (!log->path || strcmp(log->path, step->log) != 0) {
            free(log->path);
            log->path = mem_strdup(step->log);
        }
        file = logfile_open(log->path);
        log->own = file != NULL;
    }
    /* Of a past result the log is to be had as long as it is the present one, too. */
    if (app->past.id && past_label(app, step) != PAST_CURRENT)
        kept = false;
    if (!file && kept && !log->asked && app->control->log_path) {
        log->asked = true;
        free(log->path);
        log->path = app->control->log_path(app->control->ctx, step->name);
        file = log->path ? logfile_open(log->path) : NULL;
    }
    if (file)
        lines_set_file(&log->lines, file);
    log->more = file != NULL;
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
