/*
 * view_plain.c - events as lines for people and grep: "STEP: what happened", "kiln: ...".
 *
 * One line an event. Output of steps is not mixed in: the logs of those that failed follow whole
 * when their run ends. Live (a terminal) leaves cached and queued steps to the status line, which
 * is erased before anything is printed and drawn again behind it, all in one write.
 *
 * In watch mode a run may begin while another one ends, so what failed is kept by run.
 */
#include "cli/cli.h"
#include "cli/plain_private.h"

#include "base/map.h"
#include "base/text.h"
#include "base/vec.h"

#include <inttypes.h>
#include <langinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define RULE_WIDTH    80
#define CHANGED_SHOWN 3

enum style { STYLE_GOOD, STYLE_HIT, STYLE_BAD, STYLE_ODD, STYLE_STRONG };
static const char *const style_codes[] = {"32", "36", "1;31", "33", "1"};

/* What is known of a step until its run ends. */
struct known {
    char *command; /* or NULL */
    char *run;     /* that it was started in last; or NULL */
    char *log;     /* its spool file then; or NULL */
    char *doing;   /* what was last said to be made ready for it; or NULL */
};

struct failure {
    char *run, *step, *log;
    char *how; /* "FAILED with exit code 1 after 3.4s" */
    VEC(char *) hints;
    bool kept; /* what it wrote can be looked at */
};

struct view_plain {
    FILE *out;
    bool color, is_live, watching, utf8;
    bool loaded;      /* the pipeline was announced already */
    bool drawn;       /* the status line stands below */
    struct map steps; /* name -> struct known */
    VEC(struct failure) failures;
    struct live live;
    struct buf text; /* being made for one write */
};

struct view_plain *view_plain_new(FILE *out, bool color, bool live, bool watching)
{
    struct view_plain *view = mem_zalloc(1, sizeof *view);
    view->out = out;
    view->color = color;
    view->is_live = live;
    view->watching = watching;
    view->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    if (live)
        setvbuf(out, NULL, _IOFBF, BUFSIZ); /* else each line would be its own write */
    return view;
}

/* -- words ------------------------------------------------------------------------------------- */

static void add_name(struct buf *out, const char *text)
{
    buf_add_shown(out, text, strlen(text));
}

static void paint(struct view_plain *view, enum style style, const char *text)
{
    if (view->color)
        buf_addf(&view->text, "\033[%sm%s\033[0m", style_codes[style], text);
    else
        buf_adds(&view->text, text);
}

static void add_duration(struct buf *out, uint64_t ms)
{
    char text[16];
    buf_adds(out, text_duration(ms, text));
}

/* Text with several lines: the further ones indented, so that each line tells whose it is. */
static void add_lines(struct buf *out, const char *text)
{
    for (;;) {
        size_t n = strcspn(text, "\n");
        buf_add_shown(out, text, n);
        buf_addc(out, '\n');
        text += n;
        while (*text == '\n')
            text++;
        if (!*text)
            return;
        buf_adds(out, "  ");
    }
}

/* A command of megabytes tells nobody anything. */
static void add_command(struct buf *out, const char *command)
{
    const size_t most = 4096;
    size_t n = strlen(command);
    char *shown = mem_strndup(command, n < most ? n : most);
    buf_adds(out, "$ ");
    add_lines(out, shown);
    if (n > most)
        buf_addf(out, "  ... (%zu bytes)\n", n);
    free(shown);
}

static void add_how_failed(const struct event *event, struct buf *out)
{
    const char *error = event->u.finished.error;
    bool ran = event->u.finished.exit_code >= 0 || event->u.finished.signal;
    if (event->u.finished.timed_out) {
        buf_adds(out, ": timed out");
    } else if (event->u.finished.signal) {
        const char *name = sigabbrev_np(event->u.finished.signal);
        if (name)
            buf_addf(out, ": killed by SIG%s", name);
        else
            buf_addf(out, ": killed by signal %d", event->u.finished.signal);
    } else if (event->u.finished.exit_code > 0 || (ran && !error)) {
        buf_addf(out, " with exit code %d", event->u.finished.exit_code);
    }
    if (ran || event->u.finished.timed_out || event->u.finished.duration_ms) {
        buf_adds(out, " after ");
        add_duration(out, event->u.finished.duration_ms);
    }
    if (error) {
        buf_adds(out, ": ");
        add_name(out, error);
    }
}

/* -- what is known of steps -------------------------------------------------------------------- */

static struct known *known_step(struct view_plain *view, const char *name)
{
    struct known *known = map_get_str(&view->steps, name);
    if (!known) {
        known = mem_zalloc(1, sizeof *known);
        map_put_str(&view->steps, name, known);
    }
    return known;
}

static void replace(char **place, const char *text)
{
    char *copy = text ? mem_strdup(text) : NULL;
    free(*place);
    *place = copy;
}

static void forget_failure(struct failure *failure)
{
    free(failure->run);
    free(failure->step);
    free(failure->log);
    free(failure->how);
    vec_each (char *, hint, &failure->hints)
        free(*hint);
    vec_release(&failure->hints);
}

static const char *run_of(const struct event *event)
{
    return event->run ? event->run : "";
}

/* -- events ------------------------------------------------------------------------------------ */

static void on_pipeline(struct view_plain *view, const struct event *event)
{
    for (size_t i = 0; i < event->u.pipeline.n_steps; i++) {
        const struct event_step_info *info = &event->u.pipeline.steps[i];
        replace(&known_step(view, info->name)->command, info->command);
    }
    if (event->u.pipeline.watching || view->watching) {
        buf_addf(&view->text, "kiln: %s ", view->loaded ? "loaded again:" : "watching");
        add_name(&view->text, view->loaded ? event->u.pipeline.name : event->u.pipeline.root);
        buf_addf(&view->text, ": %zu step%s\n", event->u.pipeline.n_steps,
                 event->u.pipeline.n_steps == 1 ? "" : "s");
    }
    view->loaded = true;
}

static void on_run_started(struct view_plain *view, const struct event *event)
{
    size_t n = event->u.run_started.n_steps;
    uint32_t jobs = event->u.run_started.jobs;
    buf_adds(&view->text, "kiln: run");
    if (event->run && strcmp(event->run, "0") != 0)
        buf_addf(&view->text, " %s", event->run);
    buf_addf(&view->text, ": %zu step%s, %" PRIu32 " job%s%s\n", n, n == 1 ? "" : "s", jobs,
             jobs == 1 ? "" : "s",
             !event->u.run_started.watcher ? ""
             : view->watching              ? ", for a command that asked"
                                           : ", by the kiln that watches");
    view->live.active = true;
    view->live.total = (uint32_t)n;
    view->live.done = view->live.cached = view->live.failed = 0;
}

/* Each thing that is done is a line; how far it is, is for the status line. */
static void on_progress(struct view_plain *view, const struct event *event)
{
    struct known *known = known_step(view, event->step);
    const char *text = event->u.progress.text;
    if (view->is_live) {
        struct buf doing = BUF_INIT;
        buf_adds(&doing, text);
        if (event->u.progress.total)
            buf_addf(&doing, " %" PRIu64 "%%",
                     event->u.progress.done * 100 / event->u.progress.total);
        live_doing(&view->live, event->step, buf_str(&doing));
        buf_release(&doing);
    } else if (!known->doing || strcmp(known->doing, text) != 0) {
        add_name(&view->text, event->step);
        buf_adds(&view->text, ": ");
        add_name(&view->text, text);
        buf_addc(&view->text, '\n');
    }
    replace(&known->doing, text);
}

static void on_started(struct view_plain *view, const struct event *event)
{
    struct known *known = known_step(view, event->step);
    replace(&known->run, run_of(event));
    replace(&known->log, event->u.started.log);
    replace(&known->doing, NULL);
    live_start(&view->live, event->step, event->time_ns);
    add_name(&view->text, event->step);
    buf_adds(&view->text, ": started");
    if (event->u.started.attempt > 1)
        buf_addf(&view->text, " again, attempt %" PRIu32, event->u.started.attempt);
    if (event->u.started.n_reasons) {
        buf_adds(&view->text, " (");
        reason_text(&event->u.started.reasons[0], &view->text);
        if (event->u.started.all_reasons > 1)
            buf_addf(&view->text, "; +%zu more", event->u.started.all_reasons - 1);
        buf_addc(&view->text, ')');
    }
    buf_addc(&view->text, '\n');
}

/* The log is made when there is something to write to it. */
static void on_log(struct view_plain *view, const struct event *event)
{
    struct known *known = known_step(view, event->step);
    if (event->u.log.log && !(known->log && !strcmp(known->log, event->u.log.log)))
        replace(&known->log, event->u.log.log);
}

static void add_cached(struct view_plain *view, const struct event *event)
{
    const char *source = event->u.finished.source;
    paint(view, STYLE_HIT, "cached");
    if (source && strcmp(source, "local") != 0)
        buf_addf(&view->text, " from %s", source);
    if (event->u.finished.saved_ms) {
        buf_adds(&view->text, " (saved ");
        add_duration(&view->text, event->u.finished.saved_ms);
        buf_addc(&view->text, ')');
    }
}

static void add_hint(struct view_plain *view, const char *step, const char *hint)
{
    add_name(&view->text, step);
    buf_adds(&view->text, ": ");
    paint(view, STYLE_ODD, "hint");
    buf_adds(&view->text, ": ");
    add_lines(&view->text, hint);
}

/* True: its log and hints are shown when its run ends. */
static bool remember_failure(struct view_plain *view, const struct event *event, const char *how)
{
    const struct known *known = known_step(view, event->step);
    if (!known->log || !known->run || strcmp(known->run, run_of(event)) != 0)
        return false;
    struct failure failure = {.run = mem_strdup(run_of(event)),
                              .step = mem_strdup(event->step),
                              .log = mem_strdup(known->log),
                              .how = mem_printf("FAILED%s", how),
                              .kept = event->u.finished.box != NULL};
    for (size_t i = 0; i < event->u.finished.n_hints; i++)
        vec_push(&failure.hints, mem_strdup(event->u.finished.hints[i]));
    vec_push(&view->failures, failure);
    return true;
}

static void add_failed(struct view_plain *view, const struct event *event)
{
    struct buf how = BUF_INIT;
    add_how_failed(event, &how);
    paint(view, STYLE_BAD, "FAILED");
    buf_adds(&view->text, buf_str(&how));
    buf_addc(&view->text, '\n');
    if (!remember_failure(view, event, buf_str(&how))) {
        for (size_t i = 0; i < event->u.finished.n_hints; i++)
            add_hint(view, event->step, event->u.finished.hints[i]);
    }
    buf_release(&how);
}

/* Passed, skipped, cancelled: the word, how long, and what there is to say about it. */
static void add_ended(struct view_plain *view, const struct event *event, enum style style,
                      const char *preposition)
{
    paint(view, style, step_status_name(event->u.finished.status));
    if (preposition && (event->u.finished.duration_ms || event->u.finished.status == STEP_PASSED)) {
        buf_adds(&view->text, preposition);
        add_duration(&view->text, event->u.finished.duration_ms);
    }
    if (event->u.finished.tainted) {
        buf_adds(&view->text, ", ");
        paint(view, STYLE_ODD, "tainted");
    }
    if (event->u.finished.error) {
        buf_adds(&view->text, ": ");
        add_name(&view->text, event->u.finished.error);
    }
}

static void on_finished(struct view_plain *view, const struct event *event)
{
    live_end(&view->live, event->step);
    view->live.done++;
    view->live.cached += event->u.finished.status == STEP_CACHED;
    view->live.failed += event->u.finished.status == STEP_FAILED;
    if (view->is_live && event->u.finished.status == STEP_CACHED)
        return;
    add_name(&view->text, event->step);
    buf_adds(&view->text, ": ");
    switch (event->u.finished.status) {
    case STEP_PASSED: add_ended(view, event, STYLE_GOOD, " in "); break;
    case STEP_CACHED: add_cached(view, event); break;
    case STEP_FAILED: add_failed(view, event); return;
    case STEP_SKIPPED: add_ended(view, event, STYLE_ODD, NULL); break;
    case STEP_CANCELLED: add_ended(view, event, STYLE_ODD, " after "); break;
    case STEP_STATUS_N: break;
    }
    buf_addc(&view->text, '\n');
}

static void on_changed(struct view_plain *view, const struct event *event)
{
    uint64_t count = event->u.changed.count;
    size_t shown =
        event->u.changed.n_paths < CHANGED_SHOWN ? event->u.changed.n_paths : CHANGED_SHOWN;
    buf_addf(&view->text, "kiln: %" PRIu64 " file%s changed", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < shown; i++) {
        buf_adds(&view->text, i ? ", " : ": ");
        add_name(&view->text, event->u.changed.paths[i]);
    }
    if (shown && count > shown)
        buf_addf(&view->text, ", +%" PRIu64 " more", count - shown);
    buf_addc(&view->text, '\n');
}

static void on_notice(struct view_plain *view, const struct event *event)
{
    const char *level = event->u.notice.level;
    buf_adds(&view->text, "kiln: ");
    if (!strcmp(level, "error") || !strcmp(level, "warning")) {
        paint(view, *level == 'e' ? STYLE_BAD : STYLE_ODD, level);
        buf_adds(&view->text, ": ");
    }
    add_lines(&view->text, event->u.notice.text);
}

/* -- the end of a run -------------------------------------------------------------------------- */

/* Everything made so far goes out, so that a log can follow piece by piece. */
static void put_text(struct view_plain *view)
{
    fwrite(buf_str(&view->text), 1, view->text.len, view->out);
    buf_reset(&view->text);
}

static void rule(struct view_plain *view, const char *before, const char *name, const char *after)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "---- %s", before);
    add_name(&line, name);
    buf_adds(&line, after);
    if (line.len + 1 < RULE_WIDTH)
        buf_addc(&line, ' ');
    while (line.len < RULE_WIDTH)
        buf_addc(&line, '-');
    paint(view, STYLE_STRONG, line.data);
    buf_addc(&view->text, '\n');
    buf_release(&line);
}

static void show_failure(struct view_plain *view, const struct failure *failure)
{
    const struct known *known = map_get_str(&view->steps, failure->step);
    struct buf after = BUF_INIT;
    bool wrote = strcmp(failure->log, EVENT_NO_LOG) != 0, empty = false;
    buf_addc(&view->text, '\n');
    buf_addf(&after, ": %s", failure->how);
    rule(view, "", failure->step, buf_str(&after));
    if (known && known->command)
        add_command(&view->text, known->command);
    put_text(view);
    if (!wrote || !plain_log(view->out, failure->log, view->color, &empty))
        buf_adds(&view->text, wrote ? "(its log cannot be read)\n" : "(it wrote nothing)\n");
    else if (empty)
        buf_adds(&view->text, "(it wrote nothing)\n");
    vec_each (char *, hint, &failure->hints)
        add_hint(view, failure->step, *hint);
    if (failure->kept) {
        buf_adds(&view->text, "(kiln shell ");
        add_name(&view->text, failure->step);
        buf_adds(&view->text, " --failed opens a shell where it failed)\n");
    }
    buf_reset(&after);
    if (wrote) {
        buf_adds(&after, ", log: ");
        add_name(&after, failure->log);
    }
    rule(view, "end of ", failure->step, buf_str(&after));
    buf_release(&after);
}

static void add_count(struct view_plain *view, uint32_t count, const char *word, bool *any)
{
    if (!count)
        return;
    buf_addf(&view->text, "%s%" PRIu32 " %s", *any ? ", " : " ", count, word);
    *any = true;
}

static void on_run_finished(struct view_plain *view, const struct event *event)
{
    size_t kept = 0, shown = 0;
    for (size_t i = 0; i < view->failures.n; i++) {
        struct failure *failure = &view->failures.v[i];
        if (strcmp(failure->run, run_of(event)) != 0) {
            view->failures.v[kept++] = *failure;
            continue;
        }
        show_failure(view, failure);
        forget_failure(failure);
        shown++;
    }
    view->failures.n = kept;
    enum run_status status = event->u.run_finished.status;
    bool worked = event->u.run_finished.passed || event->u.run_finished.failed ||
                  event->u.run_finished.skipped || event->u.run_finished.cancelled;
    bool any = false;
    buf_adds(&view->text, shown ? "\nkiln: " : "kiln: ");
    paint(view,
          status == RUN_PASSED   ? STYLE_GOOD
          : status == RUN_FAILED ? STYLE_BAD
                                 : STYLE_ODD,
          run_status_name(status));
    buf_addc(&view->text, ':');
    if (!worked) {
        buf_adds(&view->text, " nothing to do");
        any = true;
    }
    add_count(view, event->u.run_finished.failed, "failed", &any);
    add_count(view, event->u.run_finished.cancelled, "cancelled", &any);
    add_count(view, event->u.run_finished.passed, "passed", &any);
    add_count(view, event->u.run_finished.cached, "cached", &any);
    add_count(view, event->u.run_finished.skipped, "skipped", &any);
    buf_adds(&view->text, " in ");
    add_duration(&view->text, event->u.run_finished.duration_ms);
    buf_addc(&view->text, '\n');
    view->live.active = false;
    view->live.idle = NULL;
}

/* -- the stream -------------------------------------------------------------------------------- */

static size_t terminal_width(const struct view_plain *view)
{
    struct winsize size;
    int fd = fileno(view->out);
    if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_col)
        return 80;
    return size.ws_col;
}

static void erase(struct view_plain *view)
{
    if (view->drawn)
        buf_adds(&view->text, "\r\033[K");
    view->drawn = false;
}

static void draw(struct view_plain *view)
{
    size_t before = view->text.len;
    live_line(&view->live, terminal_width(view), view->utf8, view->color, clock_realtime_ns(),
              &view->text);
    view->drawn = view->text.len > before;
}

static void fold(struct view_plain *view, const struct event *event)
{
    switch (event->type) {
    case EVENT_PIPELINE_LOADED: on_pipeline(view, event); break;
    case EVENT_RUN_STARTED: on_run_started(view, event); break;
    case EVENT_STEP_PROGRESS: on_progress(view, event); break;
    case EVENT_STEP_STARTED: on_started(view, event); break;
    case EVENT_STEP_FINISHED: on_finished(view, event); break;
    case EVENT_RUN_FINISHED: on_run_finished(view, event); break;
    case EVENT_WATCH_CHANGED: on_changed(view, event); break;
    case EVENT_WATCH_IDLE:
        view->live.idle = "waiting for changes";
        if (!view->is_live)
            buf_adds(&view->text, "kiln: waiting for changes\n");
        break;
    case EVENT_WATCH_DEGRADED:
        buf_adds(&view->text, "kiln: ");
        paint(view, STYLE_ODD, "watching is degraded");
        buf_adds(&view->text, ": ");
        add_lines(&view->text, event->u.degraded.reason);
        break;
    case EVENT_NOTICE: on_notice(view, event); break;
    case EVENT_STEP_LOG: on_log(view, event); break;
    case EVENT_STEP_QUEUED:
    case EVENT_N: break;
    }
}

void view_plain_event(void *ctx, const struct event *event)
{
    struct view_plain *view = ctx;
    if (ferror(view->out) || event->type == EVENT_STEP_QUEUED)
        return;
    if (event->type == EVENT_STEP_LOG) { /* nothing to show */
        fold(view, event);
        return;
    }
    bool cached = event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_CACHED;
    if (view->is_live && !cached)
        erase(view);
    fold(view, event);
    if (view->is_live && !cached)
        draw(view);
    put_text(view);
    if (!cached) /* cached steps come by the thousand, and something always follows them */
        fflush(view->out);
}

void view_plain_tick(struct view_plain *view)
{
    if (!view || !view->is_live || ferror(view->out) || !view->live.active)
        return;
    erase(view);
    draw(view);
    put_text(view);
    fflush(view->out);
}

void view_plain_free(struct view_plain *view)
{
    if (!view)
        return;
    erase(view);
    put_text(view);
    fflush(view->out);
    map_each (entry, &view->steps) {
        struct known *known = entry->value;
        free(known->command);
        free(known->run);
        free(known->log);
        free(known->doing);
        free(known);
    }
    map_release(&view->steps);
    vec_each (struct failure, failure, &view->failures)
        forget_failure(failure);
    vec_release(&view->failures);
    live_release(&view->live);
    buf_release(&view->text);
    free(view);
}
