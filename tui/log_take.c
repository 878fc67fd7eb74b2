#include "tui/log_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "tui/acts.h"
#include "tui/clip.h"
#include "tui/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much is saved between two looks at the keyboard. */
#define SAVE_BUDGET ((size_t)4 << 20)
/* Given to a program as one argument, of which the system takes 128 KiB. */
#define PLAIN_MAX   ((size_t)120 << 10)
#define PLAIN_LINES 2000

/* -- marking and copying ----------------------------------------------------------------------- */

void log_mark(struct app *app)
{
    struct log_view *log = &app->log;
    uint64_t n = lines_n(&log->lines), at = log->top;
    if (log->mark.on || n == 0) {
        log->mark.on = false;
        return;
    }
    if (log->follow)
        at = n - 1;
    else if (log->search.state == SEARCH_FOUND && log_sees(log, log->search.found))
        at = log->search.found;
    else if (log->errors.state == SEARCH_FOUND && log_sees(log, log->errors.found))
        at = log->errors.found;
    log->follow = false;
    log->mark.on = true;
    log->mark.anchor = log->mark.cursor = at;
}

void log_mark_move(struct app *app, enum motion motion, int amount)
{
    struct log_view *log = &app->log;
    uint64_t n = lines_n(&log->lines), height = log->rows > 0 ? (uint64_t)log->rows : 1;
    int by = motion_lines(motion, amount, log->rows);
    uint64_t *cursor = &log->mark.cursor;
    if (motion == MOVE_START)
        *cursor = 0;
    else if (motion == MOVE_END)
        *cursor = n - 1;
    else if (by < 0)
        *cursor = *cursor > (uint64_t)-by ? *cursor - (uint64_t)-by : 0;
    else
        *cursor = *cursor + (uint64_t)by < n ? *cursor + (uint64_t)by : n - 1;
    if (*cursor < log->top) {
        log->top = *cursor;
        log->top_row = 0;
    } else if (!log_sees(log, *cursor)) {
        log->top = log->wrap || *cursor < height ? *cursor : *cursor - height + 1;
        log->top_row = 0;
    }
}

/* The line as it is shown, without blanks at its end; added to out. */
static bool add_line(struct app *app, uint64_t nth, struct line *line, struct buf *out)
{
    if (!log_parse(app, nth, COLUMNS_MAX, line))
        return false;
    size_t start = out->len;
    vec_each (struct cell, cell, &line->cells)
        buf_add(out, cell->text, cell->len);
    while (out->len > start && out->data[out->len - 1] == ' ')
        buf_truncate(out, out->len - 1);
    buf_addc(out, '\n');
    return true;
}

/* Whole lines, as many as fit; returns how many. */
static uint64_t add_lines(struct app *app, uint64_t from, uint64_t to, size_t max, struct buf *out)
{
    struct line line = {0};
    uint64_t nth = from;
    for (; nth < to; nth++) {
        size_t before = out->len;
        if (!add_line(app, nth, &line, out))
            break;
        if (out->len > max) {
            buf_truncate(out, before);
            break;
        }
    }
    line_release(&line);
    return nth - from;
}

void log_copy(struct app *app)
{
    struct log_view *log = &app->log;
    uint64_t a = log->mark.anchor, b = log->mark.cursor;
    uint64_t from = a < b ? a : b, wanted = (a < b ? b : a) - from + 1;
    if (!log->mark.on)
        return;
    buf_reset(&app->want_clip);
    uint64_t n = add_lines(app, from, from + wanted, CLIP_MAX, &app->want_clip);
    if (n == wanted)
        app_say(app, "Copied %llu line%s", (unsigned long long)n, n == 1 ? "" : "s");
    else
        app_say(app,
                "Copied %llu of %llu lines: a terminal takes no more than %zu KiB; o and S "
                "take all",
                (unsigned long long)n, (unsigned long long)wanted, CLIP_MAX >> 10);
    log->mark.on = false;
}

/* -- programs that show a place, or the log ------------------------------------------------------
 */

static void run_words(struct app *app, word_list *list)
{
    app_run_program(app, (const char *const *)list->v, app->model.root);
    words_release(list);
}

static const char *setting(const char *const *names, const char *otherwise)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value)
            return value;
    }
    return otherwise;
}

void log_edit(struct app *app)
{
    static const char *const names[] = {"VISUAL", "EDITOR", NULL};
    uint64_t nth;
    struct link link;
    char *file;
    word_list list = VEC_INIT;
    if (!log_target(app, &nth, &link, &file)) {
        app_say(app, "No line here names a file that is there; ]e goes to the next error");
        return;
    }
    editor_words(setting(names, "vi"), file, link.line, link.column, &list);
    run_words(app, &list);
    free(file);
}

void edit_definition(struct app *app)
{
    static const char *const names[] = {"VISUAL", "EDITOR", NULL};
    const struct model_step *step = act_step(app);
    struct step_place place;
    word_list list = VEC_INIT;
    if (!step || !app->control->place ||
        !app->control->place(app->control->ctx, step->name, &place)) {
        app_say(app, "Where this step is defined is not known now");
        return;
    }
    editor_words(setting(names, "vi"), place.file, place.line, place.column, &list);
    run_words(app, &list);
}

/* -- the whole log elsewhere ------------------------------------------------------------------- */

void log_page(struct app *app)
{
    static const char *const names[] = {"PAGER", NULL};
    struct log_view *log = &app->log;
    word_list list = VEC_INIT;
    uint64_t line = lines_n(&log->lines) > 0 ? lines_nth(&log->lines, log->top) : 0;
    pager_words(setting(names, "less"), log->path, (unsigned long long)line + 1, true, &list);
    run_words(app, &list);
}

void log_page_plain(struct app *app)
{
    struct log_view *log = &app->log;
    struct buf text = BUF_INIT;
    uint64_t to = log->follow ? lines_n(&log->lines) : log_bottom(log);
    uint64_t from = to > PLAIN_LINES ? to - PLAIN_LINES : 0;
    /* The last ones are wanted most. */
    for (; from < to; from += (to - from + 1) / 2) {
        buf_reset(&text);
        if (add_lines(app, from, to, PLAIN_MAX, &text) == to - from)
            break;
    }
    const char *const argv[] = {
        "/bin/sh", "-c",           "printf '%s' \"$1\"; printf '\\n%s' \"$2\"; read -r _",
        "sh",      buf_str(&text), "-- Enter goes back to kiln -- ",
        NULL};
    app_run_program(app, argv, NULL);
    buf_release(&text);
}

/* -- saving ------------------------------------------------------------------------------------ */

static void save_end(struct log_view *log)
{
    close(log->save.in);
    close(log->save.out);
    log->save.in = log->save.out = -1;
    free(log->save.path);
    log->save.path = NULL;
}

/* With ~ for the home, as in a shell. */
static char *expanded(const char *typed)
{
    const char *home = getenv("HOME");
    if (typed[0] == '~' && typed[1] == '/' && home && *home)
        return path_join(home, typed + 2);
    return mem_strdup(typed);
}

static void save_start(struct app *app, const char *typed)
{
    struct log_view *log = &app->log;
    char *path = expanded(typed);
    int in = log->path ? open(log->path, O_RDONLY | O_CLOEXEC) : -1;
    int out = in < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
    if (out < 0) {
        app_say(app, errno == EEXIST ? "%s is there already: another name, please" : "%s: %s", path,
                strerror(errno));
        if (in >= 0)
            close(in);
        free(path);
        return;
    }
    log->save.in = in;
    log->save.out = out;
    log->save.done = 0;
    log->save.path = path;
}

bool log_save_work(struct app *app)
{
    struct log_view *log = &app->log;
    if (log->save.out < 0)
        return false;
    static const size_t piece = (size_t)64 << 10;
    char *bytes = mem_alloc(piece);
    ssize_t n = 1;
    int failed = 0;
    for (size_t left = SAVE_BUDGET; left > 0 && n > 0 && !failed; left -= piece) {
        n = read(log->save.in, bytes, piece);
        failed = n < 0 ? errno : 0;
        if (n > 0 && file_write_all(log->save.out, bytes, (size_t)n) < 0)
            failed = errno ? errno : EIO;
        log->save.done += n > 0 && !failed ? (uint64_t)n : 0;
    }
    free(bytes);
    if (n > 0 && !failed)
        return true;
    if (failed) {
        unlink(log->save.path);
        app_say(app, "%s: %s", log->save.path, strerror(failed));
    } else {
        app_say(app, "Saved %llu bytes as %s", (unsigned long long)log->save.done, log->save.path);
    }
    save_end(log);
    return false;
}

static void save_ended(struct app *app, bool accepted)
{
    if (accepted && app->typed.len > 0)
        save_start(app, buf_str(&app->typed));
}

void log_ask_save(struct app *app)
{
    static const struct prompt prompt = {"save as: ", NULL, NULL, save_ended};
    app_prompt(app, &prompt);
    buf_adds(&app->typed, app_selected(app)->name);
    for (size_t i = 0; i < app->typed.len; i++)
        if (app->typed.data[i] == '/')
            app->typed.data[i] = '-';
    buf_adds(&app->typed, ".log");
}
