#include "tui/past.h"

#include "base/mem.h"
#include "tui/app.h"
#include "tui/asking.h"
#include "tui/view.h"

#include <stdlib.h>
#include <string.h>

/* A worker's, until it is answered. */
struct reading {
    struct model model;
    char *id;
};

static void fold(void *ctx, const struct event *event)
{
    struct reading *reading = ctx;
    model_fold(&reading->model, event);
}

/* Shows the other model; the selection stays with its step where that has one of the name. */
static void show(struct app *app, struct model *to)
{
    const struct model_step *step = app_selected(app);
    char *name = step ? mem_strdup(step->name) : NULL;
    struct model from = app->model;
    app->model = *to;
    *to = from;
    size_t at = name ? model_find(&app->model, name) : app->model.steps.n;
    app->selected = at < app->model.steps.n ? at : 0;
    app->why_top = 0;
    app->steps.old = true;
    app->log.step = SIZE_MAX;
    free(name);
}

/* The step that the run is remembered for: the first that failed, else what was selected. */
static void select_failed(struct app *app)
{
    for (size_t i = 0; i < app->model.steps.n; i++) {
        if (app->model.steps.v[i].state == STATE_FAILED) {
            app->selected = i;
            return;
        }
    }
}

static void reading_free(struct reading *reading)
{
    model_release(&reading->model);
    free(reading->id);
    free(reading);
}

static void answered(struct app *app, struct question *question)
{
    struct reading *reading = question->ctx;
    /* Another one may have been asked for since, or none any more. */
    bool wanted = app && app->past.reading && strcmp(app->past.reading, reading->id) == 0;
    if (wanted) {
        free(app->past.reading);
        app->past.reading = NULL;
        if (question->found) {
            past_close(app);
            show(app, &reading->model);
            app->past.live = reading->model;
            model_init(&reading->model);
            app->past.id = mem_strdup(reading->id);
            select_failed(app);
        } else {
            app_say(app, "run %s: %s", reading->id, question->error ? question->error : "");
        }
    }
    reading_free(reading);
}

void past_open(struct app *app, const char *id)
{
    struct reading *reading = mem_zalloc(1, sizeof *reading);
    model_init(&reading->model);
    reading->id = mem_strdup(id);
    struct question question = {.kind = QUESTION_RUN, .run = id, .event = fold, .ctx = reading};
    free(app->past.reading);
    app->past.reading = mem_strdup(id);
    if (app_ask(app, &question, answered))
        return;
    free(app->past.reading);
    app->past.reading = NULL;
    reading_free(reading);
}

void past_close(struct app *app)
{
    free(app->past.reading);
    app->past.reading = NULL;
    if (!app->past.id)
        return;
    free(app->past.id);
    app->past.id = NULL;
    show(app, &app->past.live);
    model_release(&app->past.live);
}

void past_release(struct past *past)
{
    if (past->id)
        model_release(&past->live);
    free(past->id);
    free(past->reading);
}

struct model *past_live(struct app *app)
{
    return app->past.id ? &app->past.live : &app->model;
}

enum past_label past_label(const struct app *app, const struct model_step *step)
{
    char hex[DIGEST_HEX + 1];
    const struct control *control = app->control;
    if (!step->key || !control->key_now || !control->key_now(control->ctx, step->name, hex))
        return PAST_UNKNOWN;
    return strcmp(hex, step->key) == 0 ? PAST_CURRENT : PAST_STALE;
}

const char *past_word(enum past_label label)
{
    static const char *const words[] = {"current", "stale", "unknown"};
    return words[label];
}
