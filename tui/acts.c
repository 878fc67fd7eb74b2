#include "tui/acts.h"

#include "base/mem.h"
#include "base/vec.h"
#include "tui/marks.h"
#include "tui/past.h"
#include "tui/typing.h"

#include <stdlib.h>
#include <string.h>

static const struct model *now(const struct app *app)
{
    return app->past.id ? &app->past.live : &app->model;
}

/* The selected step as it is now; NULL when it is not there, or there is no now. */
static const struct model_step *chosen(const struct app *app)
{
    const struct model *model = now(app);
    size_t at = app->selected;
    if (app->replay || at >= app->model.steps.n)
        return NULL;
    if (app->past.id)
        at = model_find(model, app->model.steps.v[at].name);
    return at < model->steps.n ? &model->steps.v[at] : NULL;
}

static bool is_held(const struct app *app)
{
    return chosen(app) && chosen(app)->state == STATE_PAUSED;
}

const struct model *act_now(const struct app *app)
{
    return now(app);
}

const struct model_step *act_step(const struct app *app)
{
    return chosen(app);
}

bool act_not_quitting(const struct app *app)
{
    return !app->quitting && !app->replay;
}

typedef bool fits_fn(const struct app *app, const struct model_step *step);

/* Whether there is a step that an order would be for. */
static bool any_fits(const struct app *app, fits_fn *fits)
{
    if (!marks_meant(app))
        return chosen(app) && fits(app, chosen(app));
    if (app->replay)
        return false;
    vec_each (const struct model_step, step, &now(app)->steps)
        if (marks_has(app, step->name) && fits(app, step))
            return true;
    return false;
}

/* Gives the order for the selected step, or for all that are marked and that it makes sense for. */
static void order(struct app *app, enum command_type type, fits_fn *fits)
{
    VEC(char *) names = VEC_INIT; /* an order may end a look at the past */
    bool marked = marks_meant(app);
    if (!marked)
        vec_push(&names, mem_strdup(chosen(app)->name));
    else
        vec_each (const struct model_step, step, &now(app)->steps)
            if (marks_has(app, step->name) && fits(app, step))
                vec_push(&names, mem_strdup(step->name));
    vec_each (char *, name, &names) {
        app_send(app, type, *name);
        free(*name);
    }
    if (marked)
        app_say(app, "for %zu of %zu marked steps (Esc unmarks them)", names.n, marks_count(app));
    vec_release(&names);
}

/* A single run has its steps run once, but for those that are held. */
static bool fits_retry(const struct app *app, const struct model_step *step)
{
    return !app->quitting && (now(app)->watching || step->state == STATE_PAUSED);
}

bool act_can_retry(const struct app *app)
{
    return any_fits(app, fits_retry);
}

/* What is ordered meanwhile is not forgotten, which nothing else on the screen tells. */
static void say_paused(struct app *app)
{
    if (now(app)->paused)
        app_say(app, "watching is paused: this runs when it goes on (p)");
}

void act_retry(struct app *app)
{
    bool held = !marks_meant(app) && chosen(app)->state == STATE_PAUSED;
    order(app, COMMAND_RETRY, fits_retry);
    if (!held)
        say_paused(app);
}

bool act_can_run(const struct app *app)
{
    return now(app)->steps.n > 0 && !app->quitting && !app->replay && now(app)->watching;
}

void act_run_stale(struct app *app)
{
    app_send(app, COMMAND_RUN_STALE, NULL);
    say_paused(app);
}

static bool fits_force(const struct app *app, const struct model_step *step)
{
    (void)step;
    return act_can_run(app);
}

void act_force(struct app *app)
{
    if (!any_fits(app, fits_force))
        return;
    order(app, COMMAND_FORCE, fits_force);
    say_paused(app);
}

void act_force_all(struct app *app)
{
    app_send(app, COMMAND_FORCE, NULL);
    say_paused(app);
}

static bool fits_cancel(const struct app *app, const struct model_step *step)
{
    return now(app)->run_state == RUN_ACTIVE &&
           (step->state == STATE_RUNNING || step->state == STATE_QUEUED ||
            step->state == STATE_WAITING || step->state == STATE_PAUSED);
}

bool act_can_cancel(const struct app *app)
{
    return any_fits(app, fits_cancel);
}

void act_cancel(struct app *app)
{
    order(app, COMMAND_CANCEL, fits_cancel);
}

bool act_can_pause(const struct app *app)
{
    return now(app)->watching && !app->quitting && !app->replay;
}

void act_pause(struct app *app)
{
    struct model *live = past_live(app);
    live->paused = !live->paused;
    app_send(app, live->paused ? COMMAND_PAUSE : COMMAND_RESUME, NULL);
}

static bool fits_break(const struct app *app, const struct model_step *step)
{
    return !app->quitting && !step->breakpoint;
}

static bool fits_unbreak(const struct app *app, const struct model_step *step)
{
    return !app->quitting && step->breakpoint;
}

bool act_can_break(const struct app *app)
{
    return any_fits(app, fits_break) || any_fits(app, fits_unbreak);
}

void act_break(struct app *app)
{
    bool set = any_fits(app, fits_break);
    /* Said first: the order may end a look at the past, and choose another step. */
    if (!marks_meant(app))
        app_say(app, set ? "%s is held before it starts the next time" : "%s is not held any more",
                chosen(app)->name);
    order(app, set ? COMMAND_BREAK : COMMAND_UNBREAK, set ? fits_break : fits_unbreak);
}

void act_break_on_failure(struct app *app)
{
    bool set = !model_holds_failures(now(app));
    app_send_rule(app, set ? COMMAND_BREAK : COMMAND_UNBREAK, "failure");
    app_say(app, set ? "a step that fails is held, until you let it go on"
                     : "a step that fails is not held any more");
}

bool act_can_go_on(const struct app *app)
{
    return now(app)->counts[STATE_PAUSED] > 0 && !app->quitting && !app->replay;
}

void act_go_on(struct app *app)
{
    app_send(app, COMMAND_CONTINUE, is_held(app) ? chosen(app)->name : NULL);
}

void act_next(struct app *app)
{
    app_send(app, COMMAND_STEP, is_held(app) ? chosen(app)->name : NULL);
}

/* What has passed can't be left out any more. */
static bool fits_skip(const struct app *app, const struct model_step *step)
{
    return !app->quitting && step->state == STATE_PAUSED && !step->held_passed;
}

bool act_can_skip(const struct app *app)
{
    return any_fits(app, fits_skip);
}

void act_skip(struct app *app)
{
    order(app, COMMAND_SKIP, fits_skip);
}

void act_abort(struct app *app)
{
    app_send(app, COMMAND_ABORT, NULL);
}

bool act_can_shell(const struct app *app)
{
    return chosen(app) && !app->quitting && app->self && app->self[0];
}

bool act_can_copy(const struct app *app)
{
    const struct model_step *step =
        app->selected < app->model.steps.n ? &app->model.steps.v[app->selected] : NULL;
    return step && step->command;
}

void act_copy(struct app *app)
{
    const struct model_step *step = app_selected(app);
    buf_reset(&app->want_clip);
    buf_adds(&app->want_clip, step->command);
    app_say(app, "Copied the command of %s", step->name);
}

void act_shell(struct app *app)
{
    const struct model_step *step = chosen(app);
    VEC(const char *) argv = VEC_INIT;
    for (size_t i = 0; app->self[i]; i++)
        vec_push(&argv, app->self[i]);
    if (now(app)->root) {
        vec_push(&argv, "-C");
        vec_push(&argv, now(app)->root);
    }
    vec_push(&argv, "shell");
    if (step->box && (step->state == STATE_FAILED || step->held_failed))
        vec_push(&argv, "--failed"); /* where it left things */
    vec_push(&argv, "--");
    vec_push(&argv, step->name);
    vec_push(&argv, NULL);
    app_run_program(app, argv.v, NULL);
    vec_release(&argv);
}

const char *act_refusal(const struct app *app, const char *action)
{
    static const struct {
        const char *name, *text;
    } refusals[] = {
        {"retry", "this run ends when all is done; kiln watch runs steps again"},
        {"run-stale", "this run ends when all is done; kiln watch runs steps again"},
        {"force", "this run ends when all is done; kiln watch runs steps again"},
        {"force-all", "this run ends when all is done; kiln watch runs steps again"},
        {"cancel", "it neither runs nor waits: there is nothing to cancel"},
        {"pause", "nothing is being watched"},
        {"continue", "no step is held (b sets a breakpoint)"},
        {"next-step", "no step is held (b sets a breakpoint)"},
        {"skip", "no step is held here that has not passed"},
        {"breaks", "nothing is to be held (b, A, B and H say what is)"},
        {"abort", "no step is held (x cancels one)"},
        {"take", "nothing that was changed in a box is shown (d shows it)"},
        {"shell", "there is no kiln to open a shell with"},
    };
    if (app->quitting)
        return "kiln is ending what runs, and quits";
    if (now(app)->steps.n == 0)
        return NULL;
    if (app->replay)
        return "this run is over: kiln watch runs steps";
    if (strcmp(action, "input") == 0)
        return typing_refusal(app);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (strcmp(refusals[i].name, action) == 0)
            return refusals[i].text;
    return NULL;
}
