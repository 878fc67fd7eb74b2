/* steps_choose.c - what the person chooses of the steps pane: its form, order, folds and filter. */
#include "tui/view.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void steps_sync(struct app *app)
{
    struct step_list *list = &app->steps;
    size_t was = step_list_place(list, app->selected);
    step_list_make(list, &app->model);
    if (app->selected >= app->model.steps.n)
        app->selected = 0;
    if (list->rows.n == 0 || step_list_place(list, app->selected) != STEPS_NONE)
        return;
    if (!step_list_filtered(list)) { /* folded away: whoever chose it wants to see it */
        step_list_reveal(list, &app->model, app->selected);
        step_list_make(list, &app->model);
        return;
    }
    if (was == STEPS_NONE || was >= list->rows.n)
        was = was == STEPS_NONE ? 0 : list->rows.n - 1;
    app_select(app, list->rows.v[was].step);
}

static const struct step_row *selected_row(struct app *app)
{
    steps_sync(app);
    size_t at = step_list_place(&app->steps, app->selected);
    return at == STEPS_NONE ? NULL : &app->steps.rows.v[at];
}

static bool is_tree(const struct app *app)
{
    return app->steps.form == STEPS_TREE && !step_list_filtered(&app->steps);
}

bool steps_can_fold(const struct app *app)
{
    return is_tree(app) && app->selected < app->model.steps.n;
}

/* Folds what is below it; where nothing is, or it is folded, goes to what it is below of. */
void steps_fold(struct app *app)
{
    const struct step_row *row = selected_row(app);
    if (!row)
        return;
    size_t above = step_list_parent(&app->steps, row->step);
    app->hands_off = false;
    if (row->parent && !row->hidden)
        step_list_fold(&app->steps, app->model.steps.v[row->step].name, true);
    else if (above != STEPS_NONE)
        app_select(app, above);
}

void steps_unfold(struct app *app)
{
    const struct step_row *row = selected_row(app);
    if (!row || !row->parent)
        return;
    app->hands_off = false;
    if (row->hidden)
        step_list_fold(&app->steps, app->model.steps.v[row->step].name, false);
    else if (row + 1 < app->steps.rows.v + app->steps.rows.n)
        app_select(app, row[1].step);
}

void steps_fold_all(struct app *app)
{
    const struct step_row *row = selected_row(app);
    bool fold = app->steps.folded.count == 0;
    if (!row)
        return;
    size_t top = row->step;
    for (size_t up = top; up != STEPS_NONE; up = step_list_parent(&app->steps, up))
        top = up;
    app->hands_off = false;
    if (fold)
        app_select(app, top);
    step_list_fold_all(&app->steps, &app->model, fold);
}

void steps_next_form(struct app *app)
{
    app->steps.form = (app->steps.form + 1) % STEPS_FORMS;
    app->steps.old = true;
}

void steps_next_sort(struct app *app)
{
    app->steps.sort = (app->steps.sort + 1) % SORTS;
    app->steps.old = true;
}

static void go_to(struct app *app, size_t step)
{
    app->hands_off = false;
    app_select(app, step);
    if (app->focus == PANE_STEPS)
        steps_sync(app);
}

static void go_to_failed(struct app *app, bool forward)
{
    size_t n = app->model.steps.n, at = app->selected;
    if (app->focus == PANE_RUNS) {
        runs_next_failed(app, forward);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        size_t step = (at + (forward ? i : n - i)) % n;
        if (app->model.steps.v[step].state == STATE_FAILED ||
            app->model.steps.v[step].held_failed) {
            go_to(app, step);
            return;
        }
    }
    app_say(app, "no other step has failed");
}

void steps_next_failed(struct app *app)
{
    go_to_failed(app, true);
}

void steps_previous_failed(struct app *app)
{
    go_to_failed(app, false);
}

/* The step that it waits for, that it was left out for, or whose output made it run; of several,
 * the first. */
static size_t cause_of(const struct model *model, const struct model_step *step)
{
    size_t blocker = model_blocker(model, step);
    for (size_t i = 0; i < step->n_reasons && blocker == model->steps.n; i++)
        if (step->reasons[i].kind == REASON_UPSTREAM)
            blocker = model_find(model, step->reasons[i].step);
    return blocker;
}

void steps_to_cause(struct app *app)
{
    const struct model_step *step = app_selected(app);
    size_t cause = step ? cause_of(&app->model, step) : 0;
    if (!step)
        return;
    if (cause < app->model.steps.n)
        go_to(app, cause);
    else
        app_say(app, "%s is there for no other step's sake: w says why", step->name);
}

static void show_only(struct app *app, enum steps_only only)
{
    app->steps.only = app->steps.only == only ? ONLY_ALL : only;
    app->steps.old = true;
}

void steps_only_failed(struct app *app)
{
    show_only(app, ONLY_FAILED);
}

void steps_only_active(struct app *app)
{
    show_only(app, ONLY_ACTIVE);
}

static void set_filter(struct app *app, const char *text)
{
    free(app->steps.filter);
    app->steps.filter = *text ? mem_strdup(text) : NULL;
    app->steps.old = true;
    app->steps_top = 0;
}

bool steps_filtered(const struct app *app)
{
    return step_list_filtered(&app->steps);
}

void steps_show_all(struct app *app)
{
    app->steps.only = ONLY_ALL;
    set_filter(app, "");
}

static void filter_changed(struct app *app)
{
    set_filter(app, buf_str(&app->typed));
    steps_sync(app);
}

static void filter_ended(struct app *app, bool accepted)
{
    set_filter(app, accepted ? buf_str(&app->typed) : "");
    steps_sync(app);
}

static const struct prompt filter_prompt = {"&", NULL, filter_changed, filter_ended};

void steps_filter(struct app *app)
{
    app->hands_off = false;
    app_prompt(app, &filter_prompt);
}
