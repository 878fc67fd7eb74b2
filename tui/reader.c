/* What is said. See reader.h. */
#include "tui/reader_private.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/keymap.h"
#include "tui/line.h"
#include "tui/typing.h"
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
#define ASK_BYTES  400

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

void reader_say(struct reader *reader, const char *format, ...)
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

void reader_say_step(struct reader *reader)
{
    struct app *app = reader->app;
    const struct model_step *step = app_selected(app);
    struct buf text = BUF_INIT;
    if (!step) {
        reader_say(reader, "There are no steps.");
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

void reader_say_counts(struct reader *reader, const char *before)
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
    reader_say(reader, "%s: %s.", before, text.len ? buf_str(&text) : "nothing has run");
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
    reader_say_counts(reader, before);
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
    reader_say(reader, "%s.", buf_str(&text));
    buf_release(&text);
    for (size_t i = 0; i < event->u.finished.n_hints; i++)
        reader_say(reader, "%s", event->u.finished.hints[i]);
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
    reader_say(reader, "%s is paused %s%s%s.%s", event->step,
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
        reader_say(reader, "%s%.*s", word, (int)n, text);
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
        reader_say(reader, "%s: %zu %s. Question mark lists the keys.",
                   model->name ? model->name : "kiln", n, plural(n, "step", "steps"));
        break;
    case EVENT_RUN_STARTED: reader_say(reader, "Run %s begins.", run_name(event)); break;
    case EVENT_STEP_PAUSED: say_paused(reader, event); break;
    case EVENT_STEP_FINISHED: say_step_end(reader, event); break;
    case EVENT_RUN_FINISHED: say_run_end(reader, event); break;
    case EVENT_WATCH_CHANGED:
        n = (size_t)event->u.changed.count;
        if (n == 1 && event->u.changed.n_paths == 1)
            reader_say(reader, "%s changed.", event->u.changed.paths[0]);
        else
            reader_say(reader, "%zu %s changed.", n, plural(n, "file", "files"));
        break;
    case EVENT_WATCH_DEGRADED:
        reader_say(reader, "Watching is slower now: %s.",
                   event->u.degraded.reason ? event->u.degraded.reason : "unknown reason");
        break;
    case EVENT_NOTICE: say_notice(reader, event->u.notice.level, event->u.notice.text); break;
    default: break; /* too small, or too many, to be told */
    }
}

/* The last lines of what the selected step wrote. */
void reader_say_log(struct reader *reader)
{
    struct app *app = reader->app;
    const struct model_step *step = app_selected(app);
    log_sync(app);
    reader->log_due = app->log.fetching;
    if (reader->log_due)
        return;
    if (app->log.gone) {
        reader_say(reader, "The log of %s is gone: %s.", step->name, app->log.gone);
        return;
    }
    int fd = step && app->log.lines.file && app->log.path
                 ? open(app->log.path, O_RDONLY | O_CLOEXEC)
                 : -1;
    if (fd < 0) {
        reader_say(reader, "%s has written nothing.", step ? step->name : "It");
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
    reader_say(reader,
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

void reader_say_why(struct reader *reader)
{
    const struct model_step *step = app_selected(reader->app);
    if (!step || !step->has_started || step->n_reasons == 0) {
        reader_say(reader, "%s has not run since kiln began.", step ? step->name : "It");
        return;
    }
    reader_say(reader, "%s ran because:", step->name);
    for (size_t i = 0; i < step->n_reasons && i < REASONS; i++) {
        struct model_step one = *step;
        struct buf text = BUF_INIT;
        one.reasons = &step->reasons[i];
        one.all_reasons = one.n_reasons = 1;
        look_reason(&one, &text);
        reader_say(reader, "%s.", buf_str(&text));
        buf_release(&text);
    }
    if (step->all_reasons > REASONS)
        reader_say(reader, "And %zu more.", step->all_reasons - REASONS);
}

void reader_start(struct reader *reader)
{
    const struct start *start = &reader->app->start;
    vec_each (struct start_line, line, &start->lines) {
        if (*line->text)
            reader_say(reader, "%s", line->text);
    }
    if (start->can_init)
        reader_say(reader, "i: write kiln.json.");
    if (start->lines.n)
        reader_say(reader, "q: quit.");
}

bool reader_ticks(const struct reader *reader)
{
    vec_each (const struct model_step, step, &reader->app->model.steps)
        if (step->interactive && step->state == STATE_RUNNING)
            return true;
    return false;
}

/* Once for each line that is left half written: what is typed there lengthens it. */
static void say_asks(struct reader *reader)
{
    struct app *app = reader->app;
    char bytes[ASK_BYTES];
    size_t at = typing_asks(app);
    const struct model_step *step = at < app->model.steps.n ? &app->model.steps.v[at] : NULL;
    int fd = step ? open(step->log, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd < 0)
        return;
    uint64_t from = step->log_bytes > sizeof bytes ? step->log_bytes - sizeof bytes : 0;
    ssize_t got = pread(fd, bytes, (size_t)(step->log_bytes - from), (off_t)from);
    close(fd);
    size_t end = got > 0 ? (size_t)got : 0, start = end;
    while (start > 0 && bytes[start - 1] != '\n')
        start--;
    if (end == 0 || (reader->asked.step == at && reader->asked.starts == step->starts &&
                     reader->asked.at == from + start))
        return;
    reader->asked.step = at;
    reader->asked.starts = step->starts;
    reader->asked.at = from + start;
    struct buf line = BUF_INIT;
    line_plain(bytes + start, end - start, &line);
    reader_say(reader, "%s may wait for input%s: %s", step->name,
               typing_on(app) ? "" : " (i on that step types to it)", buf_str(&line));
    buf_release(&line);
}

void reader_catch_up(struct reader *reader)
{
    struct app *app = reader->app;
    if (app->said)
        reader_say(reader, "%s.", app->said);
    app_unsay(app);
    if (reader->log_due && !app->log.fetching)
        reader_say_log(reader);
    say_asks(reader);
}
