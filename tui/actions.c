/*
 * actions.c - the table of what can be done (keymap.h), and what has no better place to be done in.
 */
#include "tui/keymap.h"

#include "tui/acts.h"
#include "tui/marks.h"
#include "tui/settings.h"
#include "tui/typing.h"
#include "tui/view.h"

static bool can_move(const struct app *app)
{
    return app->start.lines.n == 0 || app->start.most > 0;
}

static void move(struct app *app, int motion, int amount)
{
    if (app->start.lines.n) {
        start_move(&app->start, (enum motion)motion, amount);
        return;
    }
    const struct view *view = app->overlay == OVERLAY_HELP ? &view_help : views[app->focus];
    view->move(app, (enum motion)motion, amount);
}

static void turn(struct app *app, int by, int unused)
{
    (void)unused;
    app_focus(app, layout_next(&app->layout, app->focus, by));
}

static void show(struct app *app, int pane, int unused)
{
    (void)unused;
    app_focus(app, (enum pane)pane);
}

static void zoom(struct app *app)
{
    app->zoom = !app->zoom;
    app->zoom_by_enter = false;
}

static void open_log(struct app *app)
{
    app_focus(app, PANE_LOG);
    app->zoom_by_enter = !app->zoom;
    app->zoom = true;
}

static void back(struct app *app)
{
    if (app->overlay == OVERLAY_HELP) {
        app->overlay = OVERLAY_NONE;
    } else if (app->focus == PANE_LOG && log_back(app)) {
        return;
    } else if (app->past.id && app->focus == PANE_RUNS) {
        past_close(app);
    } else if (app->zoom) {
        bool entered = app->zoom_by_enter;
        app->zoom = app->zoom_by_enter = false;
        if (entered)
            app_focus(app, PANE_STEPS);
    } else if (app->focus != PANE_STEPS) {
        app_focus(app, PANE_STEPS);
    } else if (app->marks.count > 0) {
        marks_clear(app);
    } else if (steps_filtered(app)) {
        steps_show_all(app);
    } else if (app->past.id) {
        past_close(app);
    } else {
        app->hands_off = true;
        model_notice_read(&app->model);
    }
}

static bool has_step(const struct app *app)
{
    return app->selected < app->model.steps.n;
}

static bool has_log(const struct app *app)
{
    return app->log.lines.file != NULL;
}

static bool can_back(const struct app *app)
{
    return app->zoom || !app->hands_off || app->marks.count > 0 || steps_filtered(app) ||
           app->past.id || (app->model.notice && app->model.notice_level != NOTICE_ERROR);
}

static void open_run(struct app *app)
{
    runs_open(app);
}

static bool in_past(const struct app *app)
{
    return app->past.id != NULL;
}

static void to_now(struct app *app)
{
    past_close(app);
}

static void follow(struct app *app)
{
    log_follow(app, !app->log.follow);
}

static void wrap(struct app *app)
{
    app->log.wrap = !app->log.wrap;
    app->log.top_row = app->log.left = 0;
}

static void to_log(struct app *app)
{
    if (app->focus != PANE_LOG)
        app_focus(app, PANE_LOG);
}

static void search(struct app *app)
{
    to_log(app);
    log_ask_pattern(app);
}

static bool has_pattern(const struct app *app)
{
    return has_log(app) && app->log.pattern.text;
}

static void search_on(struct app *app, int forward, int unused)
{
    (void)unused;
    log_search(app, forward != 0);
}

static void filter(struct app *app)
{
    to_log(app);
    log_ask_filter(app);
}

static void find(struct app *app, int kind, int forward)
{
    to_log(app);
    log_find_error(app, (enum link_kind)kind, forward != 0);
}

static void times(struct app *app)
{
    app->log.times = !app->log.times;
}

static bool is_marking(const struct app *app)
{
    return has_log(app) && app->log.mark.on;
}

static void help(struct app *app)
{
    app->overlay = OVERLAY_HELP;
    app->help_top = 0;
}

static void palette(struct app *app)
{
    palette_open(app);
}

static void mouse(struct app *app)
{
    app->mouse = !app->mouse;
    app_say(app, app->mouse ? "The mouse is kiln's: click and scroll"
                            : "The mouse is the terminal's: select text as anywhere");
}

static void choose_theme(struct app *app, int theme, int unused)
{
    (void)unused;
    app->auto_theme = false;
    app_keep(app, "theme", look_themes[theme]);
    app_theme(app, (enum theme)theme);
}

static void theme_auto(struct app *app)
{
    app_keep(app, "theme", settings_themes[0]);
    app_theme_auto(app);
}

static void keep_steps(struct app *app)
{
    app_keep(app, "steps", settings_forms[app->steps.form]);
    app_keep(app, "sort", settings_sorts[app->steps.sort]);
}

static void redraw(struct app *app)
{
    app->want_redraw = true;
}

static void suspend(struct app *app)
{
    app->want_suspend = true;
}

static bool can_init(const struct app *app)
{
    return app->start.can_init && !app->quitting;
}

static void init(struct app *app)
{
    app_send(app, COMMAND_INIT, NULL);
}

static void quit(struct app *app)
{
    app->quitting = true;
    app_send(app, COMMAND_QUIT, NULL);
}

/* A function that several rows share, with what each of them means by it. */
#define WITH(f, what, n) \
    NULL,                \
    {                    \
        f, what, n       \
    }
/* name, group, keys, contexts,
       label, shown keys, rank, help, able, run, held rank */
/* clang-format off */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
const struct action keymap_actions[] = {
    {"down", "Move", {'j', KEY_DOWN}, IN_ALL | IN_START,
     "move", "j/k", 2, "down", can_move, WITH(move, MOVE_LINES, 1)},
    {"up", "Move", {'k', KEY_UP}, IN_ALL | IN_START,
     NULL, NULL, 0, "up", can_move, WITH(move, MOVE_LINES, -1)},
    {"top", "Move", {'g', KEY_HOME}, IN_ALL | IN_START,
     NULL, NULL, 0, "to the start", can_move, WITH(move, MOVE_START, 0)},
    {"bottom", "Move", {'G', KEY_END}, IN_ALL | IN_START,
     NULL, NULL, 0, "to the end; in the log: follow it again", can_move, WITH(move, MOVE_END, 0)},
    {"half-page-down", "Move", {KEY_CTRL('d')}, IN_ALL | IN_START,
     NULL, NULL, 0, "half a page down", can_move, WITH(move, MOVE_HALF_PAGES, 1)},
    {"half-page-up", "Move", {KEY_CTRL('u')}, IN_ALL | IN_START,
     NULL, NULL, 0, "half a page up", can_move, WITH(move, MOVE_HALF_PAGES, -1)},
    {"page-down", "Move", {KEY_PAGE_DOWN, ' '}, IN_ALL | IN_START,
     NULL, NULL, 0, "a page down", can_move, WITH(move, MOVE_PAGES, 1)},
    {"page-up", "Move", {KEY_PAGE_UP}, IN_ALL | IN_START,
     NULL, NULL, 0, "a page up", can_move, WITH(move, MOVE_PAGES, -1)},
    {"right", "Move", {KEY_RIGHT}, IN_LOG,
     NULL, NULL, 0, "long lines: further right", has_log, WITH(move, MOVE_COLUMNS, 8)},
    {"left", "Move", {KEY_LEFT}, IN_LOG,
     NULL, NULL, 0, "long lines: back left", has_log, WITH(move, MOVE_COLUMNS, -8)},

    {"fold", "Steps", {'h', KEY_LEFT}, IN_STEPS,
     NULL, NULL, 0, "fold what is below the step; or up to what it is below of", steps_can_fold, steps_fold},
    {"unfold", "Steps", {'l', KEY_RIGHT}, IN_STEPS,
     NULL, NULL, 0, "unfold it; or down into it", steps_can_fold, steps_unfold},
    {"fold-all", "Steps", {'-'}, IN_STEPS,
     NULL, NULL, 0, "fold all, and unfold all", steps_can_fold, steps_fold_all},
    {"form", "Steps", {'T', KEY_F1 + 4}, IN_STEPS,
     NULL, NULL, 0, "as a tree, by levels, flat", has_step, steps_next_form},
    {"sort", "Steps", {'>', KEY_F1 + 5}, IN_STEPS,
     NULL, NULL, 0, "as written; by state, duration, name, cpu, memory", has_step, steps_next_sort},
    {"filter-steps", "Steps", {'&', KEY_F1 + 3}, IN_STEPS,
     "filter", NULL, 11, "only the steps that are called like what is typed", has_step, steps_filter},
    {"only-failed", "Steps", {'!'}, IN_STEPS,
     NULL, NULL, 0, "only those that failed, and all again", has_step, steps_only_failed},
    {"only-active", "Steps", {'*'}, IN_STEPS,
     NULL, NULL, 0, "only those that run or wait, and all again", has_step, steps_only_active},

    {"mark-step", "Steps", {'v'}, IN_STEPS,
     NULL, NULL, 0, "mark the step, or not; r, ff, x and b are for all that are marked", has_step, marks_toggle},
    {"mark-shown", "Steps", {'V'}, IN_STEPS,
     NULL, NULL, 0, "mark all that are shown, or none of them", has_step, marks_shown},
    {"copy-command", "Steps", {'y'}, IN_STEPS | IN_WHY,
     NULL, NULL, 0, "copy the step's command to the clipboard", act_can_copy, act_copy},
    {"next-failed", "Steps", {KEY_PAIR(']', 'f')}, IN_PANES,
     NULL, NULL, 0, "the next step that failed; in the runs, the next run that did", has_step, steps_next_failed},
    {"previous-failed", "Steps", {KEY_PAIR('[', 'f')}, IN_PANES,
     NULL, NULL, 0, "the previous one", has_step, steps_previous_failed},
    {"cause", "Steps", {'u'}, IN_PANES,
     NULL, NULL, 0, "to the step that this one waits for, or because of which it ran", has_step, steps_to_cause},

    {"open", "Panes", {KEY_ENTER}, IN_STEPS,
     "log", NULL, 3, "the step's log on the whole screen", has_step, open_log},
    {"back", "Panes", {KEY_ESC}, IN_PANES & ~IN_STEPS,
     "back", NULL, 4, "back", NULL, back},
    {"with-the-work", "Panes", {KEY_ESC}, IN_STEPS,
     NULL, NULL, 0, "let the selection go with the work again", can_back, back},
    {"open-run", "Panes", {KEY_ENTER}, IN_PANE(PANE_RUNS),
     "look at it", NULL, 3, "look at that run in all panes; Esc comes back", NULL, open_run},
    {"now", "Panes", {'0'}, IN_PANES,
     NULL, NULL, 0, "back from a run of the past to what happens now", in_past, to_now},
    {"next-pane", "Panes", {KEY_TAB}, IN_PANES,
     "pane", NULL, 9, "next pane", NULL, WITH(turn, 1, 0)},
    {"previous-pane", "Panes", {KEY_BACK_TAB}, IN_PANES,
     NULL, NULL, 0, "previous pane", NULL, WITH(turn, -1, 0)},
    {"steps", "Panes", {'1'}, IN_PANES,
     NULL, NULL, 0, "steps", NULL, WITH(show, PANE_STEPS, 0)},
    {"log", "Panes", {'2'}, IN_PANES,
     NULL, NULL, 0, "log", NULL, WITH(show, PANE_LOG, 0)},
    {"why", "Panes", {'3', 'w'}, IN_PANES,
     NULL, NULL, 0, "why the step ran, or did not", NULL, WITH(show, PANE_WHY, 0)},
    {"inputs", "Panes", {'4'}, IN_PANES,
     NULL, NULL, 0, "what the step reads, and which of it has changed", NULL, WITH(show, PANE_INPUTS, 0)},
    {"timeline", "Panes", {'5', 't'}, IN_PANES,
     NULL, NULL, 0, "when the steps ran, side by side", NULL, WITH(show, PANE_TIMELINE, 0)},
    {"runs", "Panes", {'6'}, IN_PANES,
     NULL, NULL, 0, "the runs of this project", NULL, WITH(show, PANE_RUNS, 0)},
    {"cache", "Panes", {'7'}, IN_PANES,
     NULL, NULL, 0, "the cache", NULL, WITH(show, PANE_CACHE, 0)},
    {"box-changes", "Panes", {'8', 'd'}, IN_PANES,
     NULL, NULL, 0, "what was changed in the box that a failure left", has_step, act_changes},
    {"box-changes", "Panes", {KEY_NONE}, IN_PANES & ~IN_PANE(PANE_CHANGES),
     "changes", "d", 13, NULL, act_has_box, act_changes, .held_rank = 6},
    {"zoom", "Panes", {'+'}, IN_PANES,
     "zoom", NULL, 10, "this pane on the whole screen, and back", NULL, zoom},

    {"follow", "Log", {'F'}, IN_PANES,
     NULL, NULL, 0, "follow what is being written", NULL, follow},
    {"follow", "Log", {KEY_NONE}, IN_LOG,
     "follow", "F", 5, NULL, has_log, follow},
    {"wrap", "Log", {'W'}, IN_LOG,
     "wrap", NULL, 9, "wrap long lines", NULL, wrap},
    {"search", "Log", {'/', KEY_F1 + 2}, IN_PANES,
     "search", NULL, 6, "search, as grep -E; a capital makes case matter", has_log,
     search},
    {"search-next", "Log", {'n'}, IN_LOG,
     "next", "n/N", 6, "next place", has_pattern, WITH(search_on, true, 0)},
    {"search-previous", "Log", {'N'}, IN_LOG,
     NULL, NULL, 0, "previous place", has_pattern, WITH(search_on, false, 0)},
    {"filter", "Log", {'&'}, IN_LOG,
     "filter", NULL, 12, "only lines that match; empty: all of them again", has_log, filter},
    {"next-error", "Log", {KEY_PAIR(']', 'e')}, IN_LOG | IN_STEPS,
     NULL, NULL, 0, "the next line that says what went wrong", has_log, WITH(find, LINK_ERROR, true)},
    {"next-error", "Log", {KEY_NONE}, IN_LOG,
     "error", "]e", 7, NULL, has_log, WITH(find, LINK_ERROR, true)},
    {"previous-error", "Log", {KEY_PAIR('[', 'e')}, IN_LOG | IN_STEPS,
     NULL, NULL, 0, "the previous one", has_log, WITH(find, LINK_ERROR, false)},
    {"next-warning", "Log", {KEY_PAIR(']', 'w')}, IN_LOG,
     NULL, NULL, 0, "the next warning or error", has_log, WITH(find, LINK_WARNING, true)},
    {"previous-warning", "Log", {KEY_PAIR('[', 'w')}, IN_LOG,
     NULL, NULL, 0, "the previous one", has_log, WITH(find, LINK_WARNING, false)},
    {"edit", "Log", {'e'}, IN_LOG | IN_STEPS,
     NULL, NULL, 0, "the underlined place in $VISUAL or $EDITOR", has_log, log_edit},
    {"edit", "Log", {KEY_NONE}, IN_LOG,
     "edit", "e", 8, NULL, has_log, log_edit},
    {"mark", "Log", {'v'}, IN_LOG,
     "mark", NULL, 11, "mark lines", has_log, log_mark},
    {"copy", "Log", {'y'}, IN_LOG,
     "copy", NULL, 4, "copy the marked lines to the clipboard", is_marking, log_copy},
    {"times", "Log", {'T'}, IN_LOG,
     NULL, NULL, 0, "when each line came, since the step's start", has_log, times},
    {"pager", "Log", {'o'}, IN_LOG | IN_STEPS,
     NULL, NULL, 0, "the log in $PAGER", has_log, log_page},
    {"plain", "Log", {'O'}, IN_LOG | IN_STEPS,
     NULL, NULL, 0, "the log without panes, for the mouse to copy", has_log, log_page_plain},
    {"save-log", "Log", {'S'}, IN_LOG,
     NULL, NULL, 0, "save the log as a file", has_log, log_ask_save},

    {"continue", "Run", {'c'}, IN_PANES,
     "go on", NULL, 2, "what is held goes on: it starts, or its failure stands", act_can_go_on, act_go_on},
    {"next-step", "Run", {'C'}, IN_PANES,
     "next", NULL, 7, "go on, and hold the next step before it starts", act_can_go_on, act_next},
    {"skip", "Run", {'X'}, IN_PANES,
     "skip", NULL, 8, "leave the held step out of this run, and what depends on it", act_can_skip, act_skip},
    {"abort", "Run", {'a'}, IN_PANES,
     "abort", NULL, 3, "while a step is held: cancel everything", act_can_go_on, act_abort},
    {"retry", "Run", {'r'}, IN_PANES,
     "retry", NULL, 5, "run the step again, and what depends on it", act_can_retry, act_retry},
    {"run-stale", "Run", {'R'}, IN_PANES,
     "all stale", NULL, 12, "run every step whose result is not current", act_can_run, act_run_stale},
    {"force", "Run", {KEY_PAIR('f', 'f')}, IN_PANES,
     NULL, NULL, 0, "run the step and all that depends on it, whatever the cache has", act_can_run, act_force},
    {"force-all", "Run", {KEY_PAIR('f', 'a')}, IN_PANES,
     NULL, NULL, 0, "run every step, whatever the cache has", act_can_run, act_force_all},
    {"cancel", "Run", {'x', KEY_F1 + 8}, IN_PANES,
     "cancel", NULL, 4, "cancel the step", act_can_cancel, act_cancel, .held_rank = 9},
    {"pause", "Run", {'p'}, IN_PANES,
     "pause", NULL, 7, "pause watching, and go on", act_can_pause, act_pause},
    {"break", "Run", {'b'}, IN_PANES,
     NULL, NULL, 0, "hold the step before it starts, and no more", act_can_break, act_break},
    {"break-on-failure", "Run", {'B'}, IN_PANES,
     NULL, NULL, 0, "hold whichever step fails, and no more", act_not_quitting, act_break_on_failure},
    {"break-after", "Run", {'A'}, IN_PANES,
     NULL, NULL, 0, "hold the step when it has ended, and no more", act_has_step, act_break_after},
    {"break-on", "Run", {'H'}, IN_PANES,
     NULL, NULL, 0, "hold on a condition: key-changed, duration>30s, output~WORDS, @STEP", act_not_quitting, act_ask_break},
    {"breaks", "Run", {'L'}, IN_PANES,
     NULL, NULL, 0, "what is to be held: take one away", act_has_breaks, act_list_breaks},
    {"shell", "Run", {'s'}, IN_PANES,
     "shell", NULL, 12, "a shell where the step runs; where it failed, as it left things", act_can_shell, act_shell,
     .held_rank = 4},
    {"take", "Run", {'D'}, IN_PANE(PANE_CHANGES),
     "take", NULL, 2, "take what was changed in the box into the working tree", act_can_take, act_take},
    {"edit-step", "Run", {'E'}, IN_PANES,
     NULL, NULL, 0, "where the step is defined, in $VISUAL or $EDITOR", has_step, edit_definition},
    {"input", "Run", {'i'}, IN_PANES,
     "type to it", NULL, 2, "what is typed goes to the step, which runs and is interactive; ^] comes back", act_can_type, act_type},

    {"help", "Anywhere", {'?', KEY_F1}, IN_PANES,
     "help", NULL, 1, "this help", NULL, help},
    {"palette", "Anywhere", {':'}, IN_PANES,
     NULL, NULL, 0, "do something by its name, or go to a step", NULL, palette},
    {"mouse", "Anywhere", {'M'}, IN_ALL,
     NULL, NULL, 0, "the mouse for kiln, or for the terminal's own selection", NULL, mouse},
    {"keep-steps", "Steps", {KEY_NONE}, IN_STEPS,
     NULL, NULL, 0, "keep how and in which order the steps are shown, for all projects", has_step, keep_steps},
    {"theme-auto", "Anywhere", {KEY_NONE}, IN_PANES,
     NULL, NULL, 0, "colours that go with the terminal's background", NULL, theme_auto},
    {"theme-dark", "Anywhere", {KEY_NONE}, IN_PANES,
     NULL, NULL, 0, "colours for a dark background", NULL, WITH(choose_theme, THEME_DARK, 0)},
    {"theme-light", "Anywhere", {KEY_NONE}, IN_PANES,
     NULL, NULL, 0, "colours for a light background", NULL, WITH(choose_theme, THEME_LIGHT, 0)},
    {"theme-high-contrast", "Anywhere", {KEY_NONE}, IN_PANES,
     NULL, NULL, 0, "white and pure colours on black", NULL, WITH(choose_theme, THEME_HIGH_CONTRAST, 0)},
    {"theme-mono", "Anywhere", {KEY_NONE}, IN_PANES,
     NULL, NULL, 0, "no colours", NULL, WITH(choose_theme, THEME_MONO, 0)},
    {"redraw", "Anywhere", {KEY_CTRL('l')}, IN_ALL | IN_START,
     NULL, NULL, 0, "draw the screen again", NULL, redraw},
    {"suspend", "Anywhere", {KEY_CTRL('z')}, IN_ALL | IN_START,
     NULL, NULL, 0, "to the shell; fg comes back", NULL, suspend},
    {"init", "Start", {'i'}, IN_START,
     "write kiln.json", NULL, 1, NULL, can_init, init},
    {"quit", "Anywhere", {'q', KEY_F1 + 9, KEY_CTRL('c')}, IN_PANES | IN_START,
     "quit", NULL, 1, "cancel what runs, and quit", NULL, quit},
    {"close-help", "Anywhere", {KEY_ESC, 'q', '?', KEY_F1, KEY_CTRL('c')}, IN_HELP,
     "close", NULL, 1, NULL, NULL, back},
};
#pragma GCC diagnostic pop
/* clang-format on */
const size_t keymap_n = sizeof keymap_actions / sizeof *keymap_actions;
