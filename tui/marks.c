#include "tui/marks.h"

#include "tui/view.h"

#include <stdint.h>

static void put(struct app *app, size_t step, bool marked)
{
    const char *name = app->model.steps.v[step].name;
    if (marked)
        map_put_str(&app->marks, name, (void *)(uintptr_t)1);
    else
        (void)map_del_str(&app->marks, name);
}

static void say(struct app *app)
{
    size_t n = marks_count(app);
    if (n == 0)
        app_say(app, "no step is marked");
    else
        app_say(app, "%zu step%s marked: orders are for %s; Esc unmarks", n,
                n == 1 ? " is" : "s are", n == 1 ? "it" : "all of them");
}

void marks_toggle(struct app *app)
{
    steps_sync(app);
    if (app->selected >= app->model.steps.n)
        return;
    app->hands_off = false;
    put(app, app->selected, !marks_has(app, app->model.steps.v[app->selected].name));
    view_steps.move(app, MOVE_LINES, 1);
    say(app);
}

void marks_shown(struct app *app)
{
    bool all = true;
    steps_sync(app);
    app->hands_off = false;
    vec_each (const struct step_row, row, &app->steps.rows)
        all = all && marks_has(app, app->model.steps.v[row->step].name);
    vec_each (const struct step_row, row, &app->steps.rows)
        put(app, row->step, !all);
    say(app);
}

void marks_clear(struct app *app)
{
    map_release(&app->marks);
    app->marks = (struct map)MAP_INIT;
}

bool marks_has(const struct app *app, const char *step)
{
    return app->marks.count > 0 && map_get_str(&app->marks, step) != NULL;
}

void marks_prune(struct app *app)
{
    const struct model *model = past_live(app);
    struct map kept = MAP_INIT;
    if (app->marks.count == 0)
        return;
    vec_each (const struct model_step, step, &model->steps)
        if (marks_has(app, step->name))
            map_put_str(&kept, step->name, (void *)(uintptr_t)1);
    map_release(&app->marks);
    app->marks = kept;
}

size_t marks_count(const struct app *app)
{
    size_t n = 0;
    if (app->marks.count > 0)
        vec_each (const struct model_step, step, &app->model.steps)
            n += marks_has(app, step->name);
    return n;
}

bool marks_meant(const struct app *app)
{
    return app->focus == PANE_STEPS && app->marks.count > 0;
}
