/*
 * view_plain.c - events as lines for people and grep: "STEP: what happened", "kiln: ...".
 *
 * One line an event. Output of steps is not mixed in: the logs of those that failed follow whole
 * when their run ends. In a CI that folds groups of lines, each step's log follows when it ends,
 * and when the run does, the ends of those that failed. Live (a terminal) leaves cached and queued
 * steps to the status line, which is erased before anything is printed and drawn again behind it,
 * all in one write.
 *
 * In watch mode a run may begin while another one ends, so what failed is kept by run.
 */
#include "cli/cli.h"
#include "cli/plain_private.h"

#include "base/map.h"
#include "base/text.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define CHANGED_SHOWN 3
#define TELL_EVERY_NS 10000000000u

/* What is known of a step until its run ends. */
struct known {
    char *command; /* or NULL */
    char *run;     /* that it was started in last; or NULL */
    char *log;     /* its spool file then; or NULL */
    char *mount;   /* where the project is for it then, as event.h has it */
    char *doing;   /* what was last said to be made ready for it; or NULL */
    uint64_t doing_ns;
};

struct view_plain {
    struct plain_to to;
    bool is_live, utf8;
    bool loaded;      /* the pipeline was announced already */
    bool drawn;       /* the status line stands below */
    bool rested;      /* nothing was left to do, and nothing has changed since */
    char *root;       /* the project's, or NULL */
    char *shell;      /* the step in whose place this run has a shell, or NULL */
    unsigned groups;  /* so far */
    struct map steps; /* name -> struct known */
    struct plain_summary summary;
    struct plain_failures failures;
    struct live live;
    struct buf text; /* being made for one write */
    FILE *out;       /* while it is held: where that goes afterwards; or NULL */
    char *held;
    size_t n_held;
};

struct view_plain *view_plain_new(const struct view_plain_options *options)
{
    struct view_plain *view = mem_zalloc(1, sizeof *view);
    view->to = (struct plain_to){.out = options->out,
                                 .color = options->color,
                                 .watching = options->watching,
                                 .ci = options->groups ? plain_ci_here() : PLAIN_CI_NONE,
                                 .kiln = options->kiln ? options->kiln : "kiln",
                                 .again = options->again};
    view->is_live = options->live;
    view->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    if (view->is_live)
        setvbuf(options->out, NULL, _IOFBF, BUFSIZ); /* else each line would be its own write */
    return view;
}

static void paint(struct view_plain *view, enum plain_style style, const char *text)
{
    plain_paint(&view->text, view->to.color, style, text);
}

/* Everything made so far goes out. */
static void put_text(struct view_plain *view)
{
    plain_put(&view->to, &view->text);
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

static const char *run_of(const struct event *event)
{
    return event->run ? event->run : "";
}

/* -- events ------------------------------------------------------------------------------------ */

static void on_pipeline(struct view_plain *view, const struct event *event)
{
    replace(&view->root, event->u.pipeline.root);
    for (size_t i = 0; i < event->u.pipeline.n_steps; i++) {
        const struct event_step_info *info = &event->u.pipeline.steps[i];
        replace(&known_step(view, info->name)->command, info->command);
    }
    if (event->u.pipeline.watching || view->to.watching) {
        buf_addf(&view->text, "kiln: %s ", view->loaded ? "loaded again:" : "watching");
        plain_name(&view->text, view->loaded ? event->u.pipeline.name : event->u.pipeline.root);
        buf_addf(&view->text, ": %zu step%s\n", event->u.pipeline.n_steps,
                 event->u.pipeline.n_steps == 1 ? "" : "s");
    }
    view->loaded = true;
}

static void on_run_started(struct view_plain *view, const struct event *event)
{
    size_t n = event->u.run_started.n_steps;
    uint32_t jobs = event->u.run_started.jobs;
    const char *trigger = event->u.run_started.trigger;
    bool shell = n > 0 && trigger && !strcmp(trigger, EVENT_TRIGGER_SHELL);
    replace(&view->root, event->u.run_started.root);
    replace(&view->shell, shell ? event->u.run_started.steps[n - 1] : NULL);
    buf_adds(&view->text, "kiln: run");
    if (event->run && strcmp(event->run, "0") != 0)
        buf_addf(&view->text, " %s", event->run);
    buf_addf(&view->text, ": %zu step%s, %" PRIu32 " job%s%s\n", n, n == 1 ? "" : "s", jobs,
             jobs == 1 ? "" : "s",
             shell                           ? ", of which the last was left to a shell"
             : !event->u.run_started.watcher ? ""
             : view->to.watching             ? ", for a command that asked"
                                             : ", by the kiln that watches");
    view->live.active = true;
    view->live.total = (uint32_t)n;
    view->live.done = view->live.cached = view->live.failed = 0;
}

/* On a terminal the status line says how far it is; elsewhere each thing that is done is a line,
 * and one that takes long is one now and then. */
static void on_progress(struct view_plain *view, const struct event *event)
{
    struct known *known = known_step(view, event->step);
    const char *text = event->u.progress.text;
    bool other = !known->doing || strcmp(known->doing, text) != 0;
    struct buf doing = BUF_INIT;
    event_progress_text(event, &doing);
    if (view->is_live) {
        live_doing(&view->live, event->step, buf_str(&doing));
    } else if (other ||
               (event->u.progress.total && event->time_ns >= known->doing_ns + TELL_EVERY_NS)) {
        plain_name(&view->text, event->step);
        buf_adds(&view->text, ": ");
        plain_name(&view->text, buf_str(&doing));
        buf_addc(&view->text, '\n');
        known->doing_ns = event->time_ns;
    }
    buf_release(&doing);
    replace(&known->doing, text);
}

static void on_started(struct view_plain *view, const struct event *event)
{
    struct known *known = known_step(view, event->step);
    replace(&known->run, run_of(event));
    replace(&known->log, event->u.started.log);
    replace(&known->mount, event->u.started.mount);
    replace(&known->doing, NULL);
    live_start(&view->live, event->step, event->time_ns);
    plain_name(&view->text, event->step);
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

/* What it wrote in this run, NULL when it did not start. */
static const char *log_of(const struct known *known, const struct event *event)
{
    return known->log && known->run && !strcmp(known->run, run_of(event)) ? known->log : NULL;
}

static void add_cached(struct view_plain *view, const struct event *event)
{
    const char *source = event->u.finished.source;
    paint(view, PLAIN_HIT, "cached");
    if (source && strcmp(source, "local") != 0)
        buf_addf(&view->text, " from %s", source);
    if (event->u.finished.saved_ms) {
        buf_adds(&view->text, " (saved ");
        plain_duration(&view->text, event->u.finished.saved_ms);
        buf_addc(&view->text, ')');
    }
}

static void add_failed(struct view_plain *view, const struct event *event)
{
    const struct known *known = known_step(view, event->step);
    struct buf how = BUF_INIT;
    plain_how_failed(event, &how);
    paint(view, PLAIN_BAD, "FAILED");
    buf_adds(&view->text, buf_str(&how));
    plain_failures_add(&view->failures, event, known->command, log_of(known, event), buf_str(&how));
    if (view->shell && !strcmp(view->shell, event->step)) /* which is no failure of the step */
        view->failures.list.v[view->failures.list.n - 1].ran = false;
    buf_release(&how);
}

/* Passed, skipped, cancelled: the word, how long, and what there is to say about it. */
static void add_ended(struct view_plain *view, const struct event *event, enum plain_style style,
                      const char *preposition)
{
    paint(view, style, step_status_name(event->u.finished.status));
    if (preposition && (event->u.finished.duration_ms || event->u.finished.status == STEP_PASSED)) {
        buf_adds(&view->text, preposition);
        plain_duration(&view->text, event->u.finished.duration_ms);
    }
    if (event->u.finished.tainted) {
        buf_adds(&view->text, ", ");
        paint(view, PLAIN_ODD, "tainted");
    }
    if (event->u.finished.error) {
        buf_adds(&view->text, ": ");
        plain_name(&view->text, event->u.finished.error);
    }
}

/* In a CI what was said of its end is the title of a group with its log, if there is one. */
static void end_line(struct view_plain *view, const struct event *event, size_t title)
{
    const struct known *known = known_step(view, event->step);
    const char *log = log_of(known, event);
    struct stat st;
    bool failed = event->u.finished.status == STEP_FAILED;
    struct plain_group group = {.step = event->step,
                                .root = view->root,
                                .how = failed ? vec_last(&view->failures.list).how : NULL,
                                .marks = &view->summary.marks};
    if (view->to.ci == PLAIN_CI_NONE || !log || stat(log, &st) != 0 || st.st_size == 0) {
        buf_addc(&view->text, '\n');
        put_text(view);
        plain_mark(&group, &view->to);
        return;
    }
    char *id = mem_printf("kiln_%u_%s", ++view->groups, event->step);
    char *line = mem_strdup(view->text.data + title);
    buf_truncate(&view->text, title);
    put_text(view);
    group.id = id;
    group.title = line;
    group.command = known->command;
    group.log = log;
    group.mount = known->mount;
    plain_group(&group, &view->to);
    free(line);
    free(id);
}

/* There is a page to show with the job. */
static bool has_page(const struct view_plain *view)
{
    return view->to.ci == PLAIN_CI_GITHUB || view->to.ci == PLAIN_CI_BUILDKITE;
}

static void on_finished(struct view_plain *view, const struct event *event)
{
    live_end(&view->live, event->step);
    view->live.done++;
    view->live.cached += event->u.finished.status == STEP_CACHED;
    view->live.failed += event->u.finished.status == STEP_FAILED;
    if (has_page(view))
        plain_summary_add(&view->summary, event);
    if (view->is_live && event->u.finished.status == STEP_CACHED)
        return;
    size_t from = view->text.len;
    plain_name(&view->text, event->step);
    buf_adds(&view->text, ": ");
    switch (event->u.finished.status) {
    case STEP_PASSED: add_ended(view, event, PLAIN_GOOD, " in "); break;
    case STEP_CACHED: add_cached(view, event); break;
    case STEP_FAILED: add_failed(view, event); break;
    case STEP_SKIPPED: add_ended(view, event, PLAIN_ODD, NULL); break;
    case STEP_CANCELLED: add_ended(view, event, PLAIN_ODD, " after "); break;
    case STEP_STATUS_N: break;
    }
    end_line(view, event, from);
}

static void on_changed(struct view_plain *view, const struct event *event)
{
    uint64_t count = event->u.changed.count;
    size_t shown =
        event->u.changed.n_paths < CHANGED_SHOWN ? event->u.changed.n_paths : CHANGED_SHOWN;
    if (view->rested) /* a new round */
        buf_addc(&view->text, '\n');
    view->rested = false;
    buf_addf(&view->text, "kiln: %" PRIu64 " file%s changed", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < shown; i++) {
        buf_adds(&view->text, i ? ", " : ": ");
        plain_name(&view->text, event->u.changed.paths[i]);
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
        paint(view, *level == 'e' ? PLAIN_BAD : PLAIN_ODD, level);
        buf_adds(&view->text, ": ");
    }
    plain_lines(&view->text, event->u.notice.text);
}

/* -- the end of a run -------------------------------------------------------------------------- */

static void add_count(struct view_plain *view, uint32_t count, const char *word, bool *any)
{
    if (!count)
        return;
    buf_addf(&view->text, "%s%" PRIu32 " %s", *any ? ", " : " ", count, word);
    *any = true;
}

static void on_run_finished(struct view_plain *view, const struct event *event)
{
    struct buf page = BUF_INIT; /* what is to be said of it */
    if (has_page(view))
        plain_summary_write(&view->summary, &view->failures, event, &view->to, &page);
    size_t shown = plain_failures_show(&view->failures, run_of(event), &view->to, &view->text);
    enum run_status status = event->u.run_finished.status;
    bool worked = event->u.run_finished.passed || event->u.run_finished.failed ||
                  event->u.run_finished.skipped || event->u.run_finished.cancelled;
    bool any = false;
    buf_adds(&view->text, shown ? "\n" : "");
    buf_adds(&view->text, buf_str(&page));
    buf_release(&page);
    buf_adds(&view->text, "kiln: ");
    paint(view,
          status == RUN_PASSED   ? PLAIN_GOOD
          : status == RUN_FAILED ? PLAIN_BAD
                                 : PLAIN_ODD,
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
    plain_duration(&view->text, event->u.run_finished.duration_ms);
    buf_addc(&view->text, '\n');
    view->live.active = false;
    view->live.idle = NULL;
}

/* -- the stream -------------------------------------------------------------------------------- */

static size_t terminal_width(const struct view_plain *view)
{
    struct winsize size;
    int fd = fileno(view->to.out);
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
    live_line(&view->live, terminal_width(view), view->utf8, view->to.color, clock_realtime_ns(),
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
        view->rested = true;
        break;
    case EVENT_WATCH_DEGRADED:
        buf_adds(&view->text, "kiln: ");
        paint(view, PLAIN_ODD, "watching is degraded");
        buf_adds(&view->text, ": ");
        plain_lines(&view->text, event->u.degraded.reason);
        break;
    case EVENT_NOTICE: on_notice(view, event); break;
    case EVENT_STEP_LOG: on_log(view, event); break;
    case EVENT_STEP_QUEUED:
    case EVENT_STEP_PAUSED:
    case EVENT_STEP_RESUMED:
    case EVENT_BREAKPOINT:
    case EVENT_WATCH_TREE:
    case EVENT_N: break;
    }
}

void view_plain_event(void *ctx, const struct event *event)
{
    struct view_plain *view = ctx;
    if (ferror(view->to.out) || event->type == EVENT_STEP_QUEUED)
        return;
    if (event->type == EVENT_STEP_LOG) { /* nothing to show */
        fold(view, event);
        return;
    }
    bool cached = event->type == EVENT_STEP_FINISHED && event->u.finished.status == STEP_CACHED;
    bool live = view->is_live && !cached && !view->out;
    if (live)
        erase(view);
    fold(view, event);
    if (live)
        draw(view);
    put_text(view);
    if (!cached) /* cached steps come by the thousand, and something always follows them */
        fflush(view->to.out);
}

void view_plain_tick(struct view_plain *view)
{
    if (!view || !view->is_live || view->out || ferror(view->to.out) || !view->live.active)
        return;
    erase(view);
    draw(view);
    put_text(view);
    fflush(view->to.out);
}

void view_plain_hold(struct view_plain *view, bool held)
{
    if (held == (view->out != NULL))
        return;
    if (held) {
        FILE *kept = open_memstream(&view->held, &view->n_held);
        if (!kept)
            return;
        erase(view);
        put_text(view);
        fflush(view->to.out);
        view->out = view->to.out;
        view->to.out = kept;
        return;
    }
    fclose(view->to.out);
    view->to.out = view->out;
    view->out = NULL;
    fwrite(view->held, 1, view->n_held, view->to.out);
    free(view->held);
    view->held = NULL;
    fflush(view->to.out);
}

void view_plain_free(struct view_plain *view)
{
    if (!view)
        return;
    view_plain_hold(view, false);
    erase(view);
    put_text(view);
    fflush(view->to.out);
    map_each (entry, &view->steps) {
        struct known *known = entry->value;
        free(known->command);
        free(known->run);
        free(known->log);
        free(known->mount);
        free(known->doing);
        free(known);
    }
    map_release(&view->steps);
    plain_failures_release(&view->failures);
    plain_summary_release(&view->summary);
    free(view->root);
    free(view->shell);
    live_release(&view->live);
    buf_release(&view->text);
    free(view);
}
