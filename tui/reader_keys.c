/* What is asked for by keys, and how that is answered. See reader.h. */
#include "tui/reader_private.h"

#include "tui/acts.h"
#include "tui/keymap.h"
#include "tui/view.h"

#include <string.h>

static void select_by(struct reader *reader, const char *name)
{
    struct app *app = reader->app;
    steps_sync(app);
    size_t n = app->steps.rows.n, to = step_list_place(&app->steps, app->selected);
    if (to == STEPS_NONE) {
        reader_say(reader, "There are no steps%s.", app->model.steps.n ? " like that" : "");
        return;
    }
    if (strcmp(name, "down") == 0 && to + 1 < n)
        to++;
    else if (strcmp(name, "up") == 0 && to > 0)
        to--;
    else if (strcmp(name, "top") == 0)
        to = 0;
    else if (strcmp(name, "bottom") == 0 && n > 0)
        to = n - 1;
    app->hands_off = false;
    app_select(app, app->steps.rows.v[to].step);
    reader_say_step(reader);
}

static void go_down(struct reader *reader)
{
    select_by(reader, "down");
}

static void go_up(struct reader *reader)
{
    select_by(reader, "up");
}

static void go_top(struct reader *reader)
{
    select_by(reader, "top");
}

static void go_bottom(struct reader *reader)
{
    select_by(reader, "bottom");
}

static void say_state(struct reader *reader)
{
    const struct model *model = &reader->app->model;
    reader_say_counts(reader, model->run_state == RUN_ACTIVE ? "Running" : "At rest");
    reader_say_step(reader);
}

static void say_help(struct reader *reader);

/* What is said instead of shown; and what else of the panes' actions has a meaning here. */
static const struct {
    const char *name, *help;
    void (*run)(struct reader *reader); /* NULL: as everywhere */
} ours[] = {
    {"down", "next step", go_down},
    {"up", "previous step", go_up},
    {"top", "first step", go_top},
    {"bottom", "last step", go_bottom},
    {"steps", "how things are", say_state},
    {"open", "the end of the step's log", reader_say_log},
    {"log", "the end of the step's log", reader_say_log},
    {"why", "why the step ran", reader_say_why},
    {"help", "these keys", say_help},
    {"pager", NULL, NULL},
    {"edit", NULL, NULL},
};

static const char *const panes_only[] = {"Move", "Panes", "Log"};
static const char *const screen_only[] = {"redraw", "mouse", "theme-",    "fold",
                                          "unfold", "form",  "keep-steps"};

static size_t our_action(const struct action *action)
{
    size_t i = 0;
    while (i < sizeof ours / sizeof *ours && strcmp(ours[i].name, action->name) != 0)
        i++;
    return i;
}

static bool means_something(const struct action *action)
{
    if (our_action(action) < sizeof ours / sizeof *ours)
        return true;
    for (size_t i = 0; i < sizeof panes_only / sizeof *panes_only; i++)
        if (strcmp(action->group, panes_only[i]) == 0)
            return false;
    for (size_t i = 0; i < sizeof screen_only / sizeof *screen_only; i++)
        if (strncmp(action->name, screen_only[i], strlen(screen_only[i])) == 0)
            return false;
    return true;
}

static void say_help(struct reader *reader)
{
    struct app *app = reader->app;
    for (size_t i = 0; i < app->keymap.n; i++) {
        const struct action *action = &app->keymap.actions[i];
        size_t our = our_action(action);
        bool is_ours = our < sizeof ours / sizeof *ours;
        if (!action->help || !(action->contexts & IN_STEPS) || !means_something(action) ||
            keymap_key(&app->keymap, action) == KEY_NONE)
            continue;
        struct buf keys = BUF_INIT;
        keymap_keys(&app->keymap, action, &keys);
        reader_say(reader, "%s: %s.", buf_str(&keys),
                   is_ours && ours[our].help ? ours[our].help : action->help);
        buf_release(&keys);
    }
}

/* While something is typed: what Enter would do. */
static void say_typed(struct reader *reader)
{
    struct app *app = reader->app;
    const struct palette *palette = &app->palette;
    if (!app->prompt) {
        reader_say(reader, "Typing ended.");
    } else if (app->overlay != OVERLAY_PALETTE) {
        reader_say(reader, "%s", buf_str(&app->typed));
    } else if (palette->n == 0) {
        reader_say(reader, "%s: nothing is called like that.", buf_str(&app->typed));
    } else {
        reader_say(reader, "%s: %s, %zu of %zu.", buf_str(&app->typed), palette_name(app),
                   palette->selected + 1, palette->n);
    }
}

/* Which steps there are to go to, and in which order, when that has changed. */
static void say_choice(struct reader *reader, enum steps_sort sort, enum steps_only only,
                       size_t shown)
{
    static const char *const orders[SORTS] = {
        [SORT_PIPELINE] = "In the pipeline's order",
        [SORT_STATE] = "Failed ones first",
        [SORT_DURATION] = "The longest first",
        [SORT_PROCESSOR] = "Those that used most of the processor first",
        [SORT_MEMORY] = "Those that used most memory first",
        [SORT_NAME] = "By name",
    };
    struct app *app = reader->app;
    steps_sync(app);
    if (app->steps.sort != sort)
        reader_say(reader, "%s.", orders[app->steps.sort]);
    if (app->steps.only != only || app->steps.rows.n != shown)
        reader_say(reader, "%zu of %zu %s.", app->steps.rows.n, app->model.steps.n,
                   app->model.steps.n == 1 ? "step" : "steps");
}

/* Does it, by that key or (KEY_NONE) by its name, and says what has become of it. */
static void act(struct reader *reader, const struct action *action, uint32_t key)
{
    struct app *app = reader->app;
    size_t selected = app->selected, before = reader->out.len;
    bool paused = app->model.paused, quitting = app->quitting;
    steps_sync(app);
    enum steps_sort sort = app->steps.sort;
    enum steps_only only = app->steps.only;
    size_t shown = app->steps.rows.n;
    if (action && action->able && !action->able(app)) {
        const char *why = act_refusal(app, action->name);
        why = why ? why : action->help ? action->help : action->name;
        reader_say(reader, "Not now: %s.", why);
        return;
    }
    if (action && key == KEY_NONE)
        keymap_run(app, action);
    else
        app_key(app, key);
    app->focus = PANE_STEPS;
    if (app->prompt && app->typed.len == 0)
        reader_say(reader, "Type; Enter ends it, Escape leaves it.");
    else if (app->prompt || !action)
        say_typed(reader);
    reader_catch_up(reader);
    if (app->quitting && !quitting)
        reader_say(reader, "Quitting.");
    else if (app->model.paused != paused)
        reader_say(reader, app->model.paused ? "Paused: changes start nothing." : "Going on.");
    say_choice(reader, sort, only, shown);
    if (app->selected != selected)
        reader_say_step(reader);
    if (action && reader->out.len == before && action->help)
        reader_say(reader, "%s.", action->help);
}

static void do_action(struct reader *reader, const struct action *action, uint32_t key)
{
    size_t our = our_action(action);
    if (our < sizeof ours / sizeof *ours && ours[our].run) {
        reader->app->held_key = KEY_NONE;
        ours[our].run(reader);
    } else {
        act(reader, action, key);
    }
}

/* Enter in the palette; false when there is nothing to do. */
static bool do_chosen(struct reader *reader)
{
    struct app *app = reader->app;
    const struct palette *palette = &app->palette;
    if (app->overlay != OVERLAY_PALETTE || palette->selected >= palette->n ||
        palette->items[palette->selected].kind != ITEM_ACTION)
        return false;
    const struct action *action = &app->keymap.actions[palette->items[palette->selected].index];
    app_prompt_end(app, false);
    if (means_something(action))
        do_action(reader, action, KEY_NONE);
    else
        reader_say(reader, "%s needs the screen.", action->name);
    return true;
}

void reader_key(struct reader *reader, uint32_t key)
{
    struct app *app = reader->app;
    char name[16];
    unsigned context = app->start.lines.n ? IN_START : IN_STEPS;
    log_sync(app);
    app->focus = PANE_STEPS;
    app->overlay = app->prompt ? app->overlay : OVERLAY_NONE;
    if (app->prompt && key == KEY_ENTER && do_chosen(reader))
        return;
    if (app->prompt) {
        act(reader, NULL, key);
        return;
    }
    if (app->held_key == KEY_NONE && keymap_begins(&app->keymap, key, context)) {
        app_key(app, key); /* the first of two */
        return;
    }
    uint32_t whole = app->held_key == KEY_NONE ? key
                     : key < 0x80              ? KEY_PAIR(app->held_key, key)
                                               : KEY_NONE;
    const struct action *action = keymap_find(&app->keymap, whole, context);
    if (action && means_something(action)) {
        do_action(reader, action, key);
    } else {
        app->held_key = KEY_NONE;
        reader_say(reader, "%s means nothing here. Question mark lists the keys.",
                   whole == KEY_NONE ? "That" : key_name(whole, name));
    }
}

void reader_paste(struct reader *reader, const char *text, size_t n)
{
    app_paste(reader->app, text, n);
    if (reader->app->prompt)
        say_typed(reader);
    reader_catch_up(reader);
}
