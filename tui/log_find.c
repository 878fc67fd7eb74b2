#include "tui/log_private.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* What is looked through at a time, and how long between two looks at the keyboard. */
#define PIECE     ((size_t)128 << 10)
#define PIECES_NS UINT64_C(4000000)

struct links *log_links(struct log_view *log)
{
    if (!log->links)
        log->links = links_new();
    return log->links;
}

/* -- going there ------------------------------------------------------------------------------- */

/* Brings the line into view, a third from the top, unless it is there already. */
static void show(struct log_view *log, uint64_t nth)
{
    uint64_t height = log->rows > 0 ? (uint64_t)log->rows : 1;
    bool seen = log_sees(log, nth);
    log->follow = false;
    if (log->mark.on)
        log->mark.cursor = nth;
    if (seen)
        return;
    log->top = nth > height / 3 && !log->wrap ? nth - height / 3 : log->wrap ? nth : 0;
    log->top_row = 0;
}

struct error_wanted {
    struct links *links;
    enum link_kind least;
};

static bool is_error(const void *ctx, const char *text, size_t n)
{
    const struct error_wanted *wanted = ctx;
    struct link link;
    return links_find(wanted->links, text, n, wanted->least, &link);
}

static size_t cost_of_error(const void *ctx, size_t n)
{
    (void)ctx;
    return 4 * n;
}

/* A piece; true while the search goes on. */
static bool look(struct log_view *log, struct search *search)
{
    if (search->state != SEARCH_RUNNING)
        return false;
    struct search_wanted wanted = search_pattern(&log->pattern);
    struct error_wanted errors = {NULL, log->least};
    if (search == &log->errors) {
        errors.links = log_links(log);
        wanted = (struct search_wanted){&errors, is_error, cost_of_error};
    }
    bool goes_on = search_work(search, &log->lines, &wanted, PIECE, log->more || log->filtering);
    if (search->state == SEARCH_FOUND)
        show(log, search->found);
    return goes_on;
}

/* Starts at the line after the one found last, or at the first one shown. */
static void go_on(struct log_view *log, struct search *search, bool forward)
{
    uint64_t n = lines_n(&log->lines), from = log->mark.on ? log->mark.cursor : log->top;
    /* Keys may come faster than answers: the next place is next to the one still looked for. */
    if (search->state == SEARCH_RUNNING)
        look(log, search);
    if (search->state == SEARCH_FOUND && log_sees(log, search->found))
        from = forward ? search->found + 1 : search->found > 0 ? search->found - 1 : n;
    else if (!forward && search->state == SEARCH_FOUND)
        from = log->top > 0 ? log->top - 1 : n;
    search_start(search, &log->lines, from, forward);
}

void log_search(struct app *app, bool forward)
{
    if (pattern_ready(&app->log.pattern))
        go_on(&app->log, &app->log.search, forward);
}

void log_find_error(struct app *app, enum link_kind least, bool forward)
{
    struct log_view *log = &app->log;
    if (least != log->least)
        log->errors.state = SEARCH_NONE;
    log->least = least;
    /* Going back from the end is how the last one is found. */
    if (log->follow && !forward && log->errors.state != SEARCH_FOUND)
        search_start(&log->errors, &log->lines, UINT64_MAX, false);
    else
        go_on(log, &log->errors, forward);
}

bool log_find_work(struct app *app)
{
    struct log_view *log = &app->log;
    uint64_t until = clock_monotonic_ns() + PIECES_NS;
    bool more;
    do {
        log->filtering = lines_work(&log->lines, PIECE);
        if (log->seeking && (!log->filtering || log->lines.looked > log->sought)) {
            log->seeking = false;
            log->top = lines_at(&log->lines, log->sought);
            log->top_row = 0;
        }
        more = log->filtering;
        more |= look(log, &log->search);
        more |= look(log, &log->errors);
    } while (more && clock_monotonic_ns() < until);
    return more;
}

bool log_back(struct app *app)
{
    struct log_view *log = &app->log;
    if (log->mark.on) {
        log->mark.on = false;
    } else if (log->pattern.text || log->errors.state != SEARCH_NONE) {
        pattern_set(&log->pattern, NULL);
        log->search.state = log->errors.state = SEARCH_NONE;
    } else {
        return false;
    }
    return true;
}

/* -- / and & ----------------------------------------------------------------------------------- */

static void remember(struct log_view *log)
{
    log->before_top = log->top;
    log->before_follow = log->follow;
}

static void pattern_changed(struct app *app)
{
    struct log_view *log = &app->log;
    log->top = log->before_top;
    log->follow = log->before_follow;
    pattern_set(&log->pattern, buf_str(&app->typed));
    log->search.state = SEARCH_NONE;
    if (pattern_ready(&log->pattern))
        search_start(&log->search, &log->lines, log->top, true);
}

static void pattern_ended(struct app *app, bool accepted)
{
    struct log_view *log = &app->log;
    if (accepted && !log->pattern.invalid)
        return;
    if (accepted)
        app_say(app, "No regular expression: %s", log->pattern.invalid);
    pattern_set(&log->pattern, NULL);
    log->search.state = SEARCH_NONE;
    log->top = log->before_top;
    log->follow = log->before_follow;
}

void log_ask_pattern(struct app *app)
{
    static const struct prompt prompt = {"/", NULL, pattern_changed, pattern_ended};
    remember(&app->log);
    app_prompt(app, &prompt);
}

/* Chooses, and stays at the line that is on top. */
static void choose(struct log_view *log, const char *pattern)
{
    if (!log->seeking)
        log->sought = lines_n(&log->lines) > 0 ? lines_nth(&log->lines, log->top) : 0;
    log->seeking = true;
    log->mark.on = false;
    log->search.state = log->errors.state = SEARCH_NONE;
    lines_choose(&log->lines, pattern);
    log->filtering = lines_chosen(&log->lines);
}

static void filter_changed(struct app *app)
{
    choose(&app->log, buf_str(&app->typed));
}

static void filter_ended(struct app *app, bool accepted)
{
    struct log_view *log = &app->log;
    if (accepted && log->lines.only.invalid)
        app_say(app, "No regular expression: %s", log->lines.only.invalid);
    if (!accepted || log->lines.only.invalid)
        choose(log, log->before_filter);
    else if (app->typed.len == 0)
        choose(log, NULL);
    free(log->before_filter);
    log->before_filter = NULL;
}

void log_ask_filter(struct app *app)
{
    static const struct prompt prompt = {"&", NULL, filter_changed, filter_ended};
    struct log_view *log = &app->log;
    remember(log);
    free(log->before_filter);
    log->before_filter = log->lines.only.text ? mem_strdup(log->lines.only.text) : NULL;
    app_prompt(app, &prompt);
}
