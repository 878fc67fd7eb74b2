#include "tui/reader.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/acts.h"
#include "tui/keymap.h"
#include "tui/line.h"
#include "tui/view.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is kept for a terminal that does not read. */
#define OUT_MAX    65536
#define TAIL_BYTES 16384
#define TAIL_LINES 10
#define REASONS    5

void reader_init(struct reader *reader, struct app *app)
{
    *reader = (struct reader){.app = app};
    app->steps.form = STEPS_FLAT; /* one below the other, whatever needs what */
}

void reader_release(struct reader *reader)
{
    buf_release(&reader->out);
}

/* A line of its own; what a locale without UTF-8 cannot show becomes '?'. */
static void say_text(struct reader *reader, const char *text, size_t n)
{
    if (reader->out.len + n > OUT_MAX) {
        reader->left_out = true;
        return;
    }
    if (reader->left_out)
        buf_adds(&reader->out, "Something was left out here: the terminal did not read.\n");
    reader->left_out = false;
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t scalar = '?';
        length = utf8_decode(text + i, n - i, &scalar);
        length = length ? length : 1;
        if (scalar < 0x80 || reader->app->screen.utf8)
            buf_add_shown(&reader->out, text + i, length);
        else
            buf_addc(&reader->out, '?');
    }
    buf_addc(&reader->out, '\n');
}

static void say(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct reader *reader, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vaddf(&text, format, args);
    va_end(args);
    say_text(reader, buf_str(&text), text.len);
    buf_release(&text);
}

static const char *plural(size_t n, const char *one, const char *more)
{
    return n == 1 ? one : more;
}

/* "test: failed, exit 1, 7.9s" */
static void describe(const struct model_step *step, uint64_t now_ns, struct buf *out)
{
    char time[16];
    buf_addf(out, "%s: %s", step->name, look_word(step->state));
    struct buf why = BUF_INIT;
    look_failure(step, &why);
    if (why.len > 0)
        buf_addf(out, ", %s", buf_str(&why));
    buf_release(&why);
    if (step->state == STATE_RUNNING)
        buf_addf(out, " for %s", look_elapsed(model_elapsed_ms(step, now_ns), time));
    else if (step->state == STATE_PASSED || step->state == STATE_FAILED)
        buf_addf(out, ", %s", text_duration(step->duration_ms, time));
    else if (step->state == STATE_CACHED && step->saved_ms > 0)
        buf_addf(out, ", saved %s", text_duration(step->saved_ms, time));
}

static void say_step(struct reader *reader)
{
    struct app *app = reader->app;
    const struct model_step *step = app_selected(app);
    struct buf text = BUF_INIT;
    if (!step) {
        say(reader, "There are no steps.");
        return;
    }
    steps_sync(app);
    size_t place = step_list_place(&app->steps, app->selected);
    if (place != STEPS_NONE)
        buf_addf(&text, "Step %zu of %zu, ", place + 1, app->steps.rows.n);
    describe(step, clock_realtime_ns(), &text);
    if (step->has_started && step->n_reasons > 0) {
        buf_adds(&text, ". It ran because: ");
        look_reason(step, &text);
    }
    buf_addc(&text, '.');
    say_text(reader, buf_str(&text), text.len);
    buf_release(&text);
}

static void say_counts(struct reader *reader, const char *before)
{
    static const enum step_state order[] = {STATE_FAILED,  STATE_PASSED,   STATE_CACHED,
                                            STATE_RUNNING, STATE_QUEUED,   STATE_WAITING,
                                            STATE_SKIPPED, STATE_CANCELLED};
    const struct model *model = &reader->app->model;
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (model->counts[order[i]] > 0)
            buf_addf(&text, "%s%zu %s", text.len ? ", " : "", model->counts[order[i]],
                     look_word(order[i]));
    say(reader, "%s: %s.", before, text.len ? buf_str(&text) : "nothing has run");
    buf_release(&text);
}

static const char *run_name(const struct event *event)
{
    return event->run ? event->run : "?";
}

static void say_run_end(struct reader *reader, const struct event *event)
{
    static const char *const ends[RUN_STATUS_N] = {
        [RUN_PASSED] = "passed", [RUN_FAILED] = "failed", [RUN_CANCELLED] = "was cancelled"};
    char time[16], *before;
    struct buf text = BUF_INIT;
    buf_addf(&text, "Run %s %s in %s", run_name(event), ends[event->u.run_finished.status],
             text_duration(event->u.run_finished.duration_ms, time));
    before = buf_detach(&text);
    say_counts(reader, before);
    free(before);
}

static void say_step_end(struct reader *reader, const struct event *event)
{
    const struct model *model = &reader->app->model;
    size_t at = model_find(model, event->step);
    struct buf text = BUF_INIT;
    /* Hits, and what never ran, are in the run's counts. */
    if (at >= model->steps.n || event->u.finished.status == STEP_CACHED ||
        event->u.finished.status == STEP_SKIPPED)
        return;
    describe(&model->steps.v[at], event->time_ns, &text);
    say(reader, "%s.", buf_str(&text));
    buf_release(&text);
    for (size_t i = 0; i < event->u.finished.n_hints; i++)
        say(reader, "%s", event->u.finished.hints[i]);
}

/* Who hears it is to know what can be done about it. */
static void say_paused(struct reader *reader, const struct event *event)
{
    const char *reason = event->u.paused.reason;
    const struct keymap *keymap = &reader->app->keymap;
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < keymap->n; i++) {
        const struct action *action = &keymap->actions[i];
        char key[16];
        if (strcmp(action->name, "continue") == 0 && keymap_key(keymap, action) != KEY_NONE)
            buf_addf(&text, " %s goes on.", key_name(keymap_key(keymap, action), key));
    }
    say(reader, "%s is paused %s%s%s.%s", event->step,
        event->u.paused.failed   ? "where it failed"
        : event->u.paused.passed ? "after it passed"
                                 : "before it starts",
        reason ? ", because " : "", reason ? reason : "", buf_str(&text));
    buf_release(&text);
}

static void say_notice(struct reader *reader, const char *level, const char *text)
{
    const char *word = level && strcmp(level, "error") == 0     ? "Error: "
                       : level && strcmp(level, "warning") == 0 ? "Warning: "
                                                                : "";
    for (; text && *text; word = "") {
        size_t n = strcspn(text, "\n");
        say(reader, "%s%.*s", word, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

void reader_event(struct reader *reader, const struct event *event)
{
    const struct model *model = &reader->app->model;
    size_t n;
    switch (event->type) {
    case EVENT_PIPELINE_LOADED:
        n = model->steps.n;
        say(reader, "%s: %zu %s. Question mark lists the keys.", model->name ? model->name : "kiln",
            n, plural(n, "step", "steps"));
        break;
    case EVENT_RUN_STARTED: say(reader, "Run %s begins.", run_name(event)); break;
    case EVENT_STEP_PAUSED: say_paused(reader, event); break;
    case EVENT_STEP_FINISHED: say_step_end(reader, event); break;
    case EVENT_RUN_FINISHED: say_run_end(reader, event); break;
    case EVENT_WATCH_CHANGED:
        n = (size_t)event->u.changed.count;
        if (n == 1 && event->u.changed.n_paths == 1)
            say(reader, "%s changed.", event->u.changed.paths[0]);
        else
            say(reader, "%zu %s changed.", n, plural(n, "file", "files"));
        break;
    case EVENT_WATCH_DEGRADED:
        say(reader, "Watching is slower now: %s.",
            event->u.degraded.reason ? event->u.degraded.reason : "unknown reason");
        break;
    case EVENT_NOTICE: say_notice(reader, event->u.notice.level, event->u.notice.text); break;
    default: break; /* too small, or too many, to be told */
    }
}

/* The last lines of what the selected step wrote. */
static void say_log(struct reader *reader)
{
    struct app *app = reader->app;
    const struct model_step *step = app_selected(app);
    log_sync(app);
    reader->log_due = app->log.fetching;
    if (reader->log_due)
        return;
    if (app->log.gone) {
        say(reader, "The log of %s is gone: %s.", step->name, app->log.gone);
        return;
    }
    int fd = step && app->log.lines.file && app->log.path
                 ? open(app->log.path, O_RDONLY | O_CLOEXEC)
                 : -1;
    if (fd < 0) {
        say(reader, "%s has written nothing.", step ? step->name : "It");
        return;
    }
    char *bytes = mem_alloc(TAIL_BYTES);
    off_t size = lseek(fd, 0, SEEK_END), from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    ssize_t got = pread(fd, bytes, TAIL_BYTES, from);
    close(fd);
    size_t end = got > 0 ? (size_t)got : 0, start = end;
    if (end > 0 && bytes[end - 1] == '\n')
        start = --end;
    size_t lines = 0;
    while (start > 0 && lines < TAIL_LINES)
        if (bytes[--start] == '\n' && ++lines == TAIL_LINES)
            start++;
    bool all = start == 0 && from == 0;
    say(reader,
        end == 0 ? "%s has written nothing."
        : all    ? "Log of %s:"
                 : "End of the log of %s:",
        step->name);
    while (start < end) {
        struct buf line = BUF_INIT;
        const char *newline = memchr(bytes + start, '\n', end - start);
        size_t n = newline ? (size_t)(newline - bytes) - start : end - start;
        line_plain(bytes + start, n, &line);
        say_text(reader, buf_str(&line), line.len);
        buf_release(&line);
        start += n + 1;
    }
    free(bytes);
}

static void say_why(struct reader *reader)
{
    const struct model_step *step = app_selected(reader->app);
    if (!step || !step->has_started || step->n_reasons == 0) {
        say(reader, "%s has not run since kiln began.", step ? step->name : "It");
        return;
    }
    say(reader, "%s ran because:", step->name);
    for (size_t i = 0; i < step->n_reasons && i < REASONS; i++) {
        struct model_step one = *step;
        struct buf text = BUF_INIT;
        one.reasons = &step->reasons[i];
        one.all_reasons = one.n_reasons = 1;
        look_reason(&one, &text);
        say(reader, "%s.", buf_str(&text));
        buf_release(&text);
    }
    if (step->all_reasons > REASONS)
        say(reader, "And %zu more.", step->all_reasons - REASONS);
}

static void select_by(struct reader *reader, const char *name)
{
    struct app *app = reader->app;
    steps_sync(app);
    size_t n = app->steps.rows.n, to = step_list_place(&app->steps, app->selected);
    if (to == STEPS_NONE) {
        say(reader, "There are no steps%s.", app->model.steps.n ? " like that" : "");
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
    say_step(reader);
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
    say_counts(reader, model->run_state == RUN_ACTIVE ? "Running" : "At rest");
    say_step(reader);
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
    {"open", "the end of the step's log", say_log},
    {"log", "the end of the step's log", say_log},
    {"why", "why the step ran", say_why},
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
        say(reader, "%s: %s.", buf_str(&keys),
            is_ours && ours[our].help ? ours[our].help : action->help);
        buf_release(&keys);
    }
}

void reader_start(struct reader *reader)
{
    const struct start *start = &reader->app->start;
    vec_each (struct start_line, line, &start->lines) {
        if (*line->text)
            say(reader, "%s", line->text);
    }
    if (start->can_init)
        say(reader, "i: write kiln.json.");
    if (start->lines.n)
        say(reader, "q: quit.");
}

void reader_catch_up(struct reader *reader)
{
    struct app *app = reader->app;
    if (app->said)
        say(reader, "%s.", app->said);
    app_unsay(app);
    if (reader->log_due && !app->log.fetching)
        say_log(reader);
}

/* While something is typed: what Enter would do. */
static void say_typed(struct reader *reader)
{
    struct app *app = reader->app;
    const struct palette *palette = &app->palette;
    if (!app->prompt) {
        say(reader, "Typing ended.");
    } else if (app->overlay != OVERLAY_PALETTE) {
        say(reader, "%s", buf_str(&app->typed));
    } else if (palette->n == 0) {
        say(reader, "%s: nothing is called like that.", buf_str(&app->typed));
    } else {
        say(reader, "%s: %s, %zu of %zu.", buf_str(&app->typed), palette_name(app),
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
        say(reader, "%s.", orders[app->steps.sort]);
    if (app->steps.only != only || app->steps.rows.n != shown)
        say(reader, "%zu of %zu %s.", app->steps.rows.n, app->model.steps.n,
            plural(app->model.steps.n, "step", "steps"));
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
        say(reader, "Not now: %s.", why);
        return;
    }
    if (action && key == KEY_NONE)
        keymap_run(app, action);
    else
        app_key(app, key);
    app->focus = PANE_STEPS;
    if (app->prompt && app->typed.len == 0)
        say(reader, "Type; Enter ends it, Escape leaves it.");
    else if (app->prompt || !action)
        say_typed(reader);
    reader_catch_up(reader);
    if (app->quitting && !quitting)
        say(reader, "Quitting.");
    else if (app->model.paused != paused)
        say(reader, app->model.paused ? "Paused: changes start nothing." : "Going on.");
    say_choice(reader, sort, only, shown);
    if (app->selected != selected)
        say_step(reader);
    if (action && reader->out.len == before && action->help)
        say(reader, "%s.", action->help);
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
        say(reader, "%s needs the screen.", action->name);
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
        say(reader, "%s means nothing here. Question mark lists the keys.",
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
