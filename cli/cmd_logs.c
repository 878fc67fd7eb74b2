/*
 * cmd_logs.c - kiln logs, kiln runs: what run records hold.
 *
 *     kiln logs --json    {"run", "status", "steps": [{"step", "status", "duration_ms", "log"}]}
 *     kiln runs --json    [{"run", "time", "trigger", "status", "duration_ms", "passed", "cached",
 *                         "failed", "skipped", "cancelled"}]
 *
 * A status is null where a run or step never finished (or still runs); "log" is null where the run
 * did not execute the step.
 */
#include "cli/cli.h"

#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "base/vec.h"
#include "runners/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

static int fail(const struct options *options, struct err *err)
{
    int code = err->kind == ERR_USAGE || err->kind == ERR_CONFIG ? EXIT_USAGE : EXIT_KILN;
    complain(options, err_text(err));
    err_release(err);
    return code;
}

/* The records of a project whose kiln.json is wrong just now: the past can be looked at all the
 * same. */
static bool open_past(struct app *app)
{
    char *path = NULL, *root = NULL, *state = path_xdg("XDG_STATE_HOME", ".local/state");
    char *cwd = getcwd(NULL, 0);
    if (cwd && state && config_find(cwd, &path, NULL) == 0 && path) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
        root = realpath(*path ? path : "/", NULL);
    }
    if (root && records_open(state, root, &app->records, NULL) < 0)
        app->records = NULL;
    char *log = app->records ? path_join(records_dir(app->records), "steps.log") : NULL;
    if (log && history_open(log, &app->history, NULL) < 0)
        app->history = NULL; /* reasons can't be told, then */
    free(log);
    free(path);
    free(app->root);
    app->root = root;
    free(state);
    free(cwd);
    return app->records != NULL;
}

int app_open_records(struct app *app, const struct options *options, unsigned parts,
                     struct err *err)
{
    int code = app_open(app, options, APP_CONFIG | APP_STATE | parts, err);
    if (code < 0 && err->kind == ERR_CONFIG && !options->config && open_past(app)) {
        warn(options, err_text(err));
        err_release(err);
        return 0;
    }
    if (code == 0 && !app->records)
        return err_set(err, ERR_SYSTEM, "without a state directory there are no records to read");
    return code;
}

int app_open_past(struct app *app, const struct options *options, unsigned parts, struct err *err)
{
    char *path, *root;
    int rc = app_open(app, options, parts, err);
    if (rc == 0) {
        rc = app_find(options, &path, &root, err); /* says what is missing */
        free(path);
        free(root);
    }
    if (rc == 0 && !open_past(app))
        rc = err_set(err, ERR_SYSTEM, "without a state directory there are no records to read");
    return rc;
}

struct history *run_history(struct records *records, const char *id)
{
    char *dir = records ? records_run_dir(records, id) : NULL;
    char *path = dir ? path_join(dir, "steps.log") : NULL;
    struct history *history = NULL;
    if (path && access(path, F_OK) == 0 && history_open(path, &history, NULL) < 0)
        history = NULL;
    free(path);
    free(dir);
    return history;
}

/* -- one run, folded --------------------------------------------------------------------------- */

struct past_step {
    char *name, *log;
    int status; /* enum step_status; -1: not finished */
    uint64_t duration_ms;
};

struct past {
    char *run;
    int status; /* enum run_status; -1 */
    VEC(struct past_step) steps;
    struct map index; /* name -> place + 1 */
};

static struct past_step *past_step(struct past *past, const char *name)
{
    size_t place = (size_t)(uintptr_t)map_get_str(&past->index, name);
    if (!place) {
        vec_push(&past->steps, (struct past_step){.name = mem_strdup(name), .status = -1});
        place = past->steps.n;
        map_put_str(&past->index, name, (void *)(uintptr_t)place);
    }
    return &past->steps.v[place - 1];
}

static void on_event(void *ctx, const struct event *event)
{
    struct past *past = ctx;
    struct past_step *step;
    if (!past->run && event->run)
        past->run = mem_strdup(event->run);
    switch (event->type) {
    case EVENT_RUN_STARTED:
        for (size_t i = 0; i < event->u.run_started.n_steps; i++)
            past_step(past, event->u.run_started.steps[i]);
        break;
    case EVENT_STEP_STARTED:
        step = past_step(past, event->step);
        free(step->log);
        step->log = event->u.started.log ? mem_strdup(event->u.started.log) : NULL;
        break;
    case EVENT_STEP_LOG:
        step = past_step(past, event->step);
        if (event->u.log.log && !(step->log && !strcmp(step->log, event->u.log.log))) {
            free(step->log);
            step->log = mem_strdup(event->u.log.log);
        }
        break;
    case EVENT_STEP_FINISHED:
        step = past_step(past, event->step);
        step->status = (int)event->u.finished.status;
        step->duration_ms = event->u.finished.duration_ms;
        break;
    case EVENT_RUN_FINISHED: past->status = (int)event->u.run_finished.status; break;
    default: break;
    }
}

static void past_release(struct past *past)
{
    vec_each (struct past_step, step, &past->steps) {
        free(step->name);
        free(step->log);
    }
    vec_release(&past->steps);
    map_release(&past->index);
    free(past->run);
}

/* Reads a run (NULL: the newest). ERR_USAGE when the one named is not there; without any run at
 * all, past->run stays NULL. */
static int read_past(struct app *app, const char *id, struct past *past, struct err *err)
{
    bool found = false;
    *past = (struct past){.status = -1, .steps = VEC_INIT, .index = MAP_INIT};
    int code = records_replay(app->records, id, on_event, past, &found, err);
    if (code == 0 && !found && id)
        code =
            err_set(err, ERR_USAGE, "there is no run %s on record; \"kiln runs\" lists them", id);
    return code;
}

static const char *step_word(int status)
{
    return status < 0 ? "unfinished" : step_status_name((enum step_status)status);
}

static const char *run_word(int status)
{
    return status < 0 ? "unfinished" : run_status_name((enum run_status)status);
}

static void add_status_json(struct buf *out, int status, const char *word)
{
    buf_add_json_str(out, status < 0 ? NULL : word);
}

/* -- the list of logs -------------------------------------------------------------------------- */

static void logs_json(const struct past *past, struct buf *out)
{
    buf_adds(out, "{\"run\":");
    buf_add_json_str(out, past->run);
    buf_adds(out, ",\"status\":");
    add_status_json(out, past->status, run_word(past->status));
    buf_adds(out, ",\"steps\":[");
    for (size_t i = 0; i < past->steps.n; i++) {
        const struct past_step *step = &past->steps.v[i];
        buf_adds(out, i ? ",{\"step\":" : "{\"step\":");
        buf_add_json_str(out, step->name);
        buf_adds(out, ",\"status\":");
        add_status_json(out, step->status, step_word(step->status));
        buf_addf(out, ",\"duration_ms\":%" PRIu64 ",\"log\":", step->duration_ms);
        buf_add_json_str(out, step->log);
        buf_addc(out, '}');
    }
    buf_adds(out, "]}\n");
}

static void logs_text(const struct past *past, struct buf *out)
{
    size_t width = 4;
    for (size_t i = 0; i < past->steps.n; i++) {
        size_t n = strlen(past->steps.v[i].name);
        width = n > width ? n : width;
    }
    width = width > 40 ? 40 : width;
    buf_addf(out, "run %s: %s\n", past->run, run_word(past->status));
    for (size_t i = 0; i < past->steps.n; i++) {
        const struct past_step *step = &past->steps.v[i];
        char time[16];
        bool timed = step->log && step->status >= 0;
        size_t before = out->len;
        buf_add_shown(out, step->name, strlen(step->name));
        while (out->len < before + width)
            buf_addc(out, ' ');
        buf_addf(out, "  %-10s  %8s  %s\n", step_word(step->status),
                 timed ? text_duration(step->duration_ms, time) : "-", step->log ? step->log : "-");
    }
}

static int list_logs(struct app *app, const struct options *options)
{
    struct past past;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    int code = EXIT_OK;
    if (read_past(app, options->run_id, &past, &err) < 0)
        code = fail(options, &err);
    else if (options->json)
        logs_json(&past, &out);
    else if (past.run)
        logs_text(&past, &out);
    else
        buf_adds(&out, "nothing has run here yet; \"kiln run\" does\n");
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    past_release(&past);
    return output_end(options, code);
}

/* -- one log ----------------------------------------------------------------------------------- */

/* The step is neither in the pipeline nor in the run. */
static void unknown_step(struct app *app, const struct past *past, const char *step,
                         struct err *err)
{
    VEC(const char *) names = VEC_INIT;
    struct buf text = BUF_INIT;
    for (size_t i = 0; app->config && i < app->config->n_steps; i++)
        vec_push(&names, app->config->steps[i].name.text);
    vec_each (struct past_step, at, &past->steps)
        vec_push(&names, at->name);
    const char *near = text_nearest(step, names.v, names.n);
    buf_add_shown(&text, step, strlen(step));
    if (near)
        err_set(err, ERR_USAGE, "there is no step \"%s\"; did you mean \"%s\"?", buf_str(&text),
                near);
    else
        err_set(err, ERR_USAGE, "there is no step \"%s\" (\"kiln logs\" lists them)",
                buf_str(&text));
    buf_release(&text);
    vec_release(&names);
}

/* Why there is no log of the step to print: of the run asked for, or of any. */
static void no_log(struct app *app, const struct options *options, struct err *err)
{
    const char *step = options->args[0];
    struct past past;
    if (read_past(app, options->run_id, &past, err) < 0) {
        past_release(&past);
        return;
    }
    size_t place = (size_t)(uintptr_t)map_get_str(&past.index, step);
    bool known = place || (app->config && config_step_index(app->config, step) >= 0);
    char *last = options->run_id ? records_log_run(app->records, step) : NULL;
    int status = place ? past.steps.v[place - 1].status : -1;
    if (!known && !last)
        unknown_step(app, &past, step, err);
    else if (last && status == STEP_CACHED)
        err_set(err, ERR_USAGE,
                "\"%s\" was cached in run %s; it last ran in run %s: kiln logs --run %s -- %s",
                step, past.run, last, last, step);
    else if (last)
        err_set(err, ERR_USAGE,
                "\"%s\" did not run in run %s; it last ran in run %s: kiln logs --run %s -- %s",
                step, past.run, last, last, step);
    else if (status == STEP_CACHED)
        err_set(err, ERR_USAGE,
                "\"%s\" was cached, and the run that executed it is no longer on record; "
                "kiln run --force=%s runs it again",
                step, step);
    else
        err_set(err, ERR_USAGE, "\"%s\" has no log yet; kiln run -- %s makes one", step, step);
    free(last);
    past_release(&past);
}

/* How much of a log's beginning tells of the size of a terminal: that is for who plays it. */
static size_t mark_length(const char *bytes, size_t n)
{
    const size_t begin = strlen(RUNNER_SIZE_MARK_BEGIN);
    const char *end = n > begin && memcmp(bytes, RUNNER_SIZE_MARK_BEGIN, begin) == 0
                          ? memmem(bytes, n < RUNNER_SIZE_MARK ? n : RUNNER_SIZE_MARK, "\x1b\\", 2)
                          : NULL;
    return end ? (size_t)(end - bytes) + 2 : 0;
}

static int print_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "cannot open the log %s", path);
    char *piece = mem_alloc(PIECE);
    int code = 0;
    bool begun = false;
    for (;;) {
        ssize_t n = read(fd, piece, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            code = err_sys(err, errno, "cannot read the log %s", path);
        size_t skip = n > 0 && !begun ? mark_length(piece, (size_t)n) : 0;
        if (n <= 0 || fwrite(piece + skip, 1, (size_t)n - skip, stdout) < (size_t)n - skip)
            break;
        begun = true;
    }
    free(piece);
    close(fd);
    return code;
}

static int print_log(struct app *app, const struct options *options)
{
    struct err err = ERR_INIT;
    int code = EXIT_OK;
    char *path = records_log_path(app->records, options->run_id, options->args[0]);
    if (!path)
        no_log(app, options, &err);
    else if (options->json)
        err_set(&err, ERR_USAGE, "--json is for the list of logs; a log is printed as it is");
    if (err.kind != ERR_NONE || print_file(path, &err) < 0)
        code = fail(options, &err);
    free(path);
    return output_end(options, code);
}

int command_logs(const struct options *options)
{
    struct app app;
    struct err err = ERR_INIT;
    int code;
    if (app_open_records(&app, options, 0, &err) < 0)
        code = fail(options, &err);
    else if (options->n_args)
        code = print_log(&app, options);
    else
        code = list_logs(&app, options);
    app_close(&app);
    return code;
}

/* -- runs -------------------------------------------------------------------------------------- */

static void runs_json(const struct record_summary *list, size_t n, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct record_summary *run = &list[i];
        char time[32];
        buf_adds(out, i ? ",\n{\"run\":" : "{\"run\":");
        buf_add_json_str(out, run->id);
        buf_addf(out, ",\"time\":\"%s\",\"trigger\":", text_time(run->time_ns, time));
        buf_add_json_str(out, run->trigger);
        buf_adds(out, ",\"status\":");
        add_status_json(out, run->status, run_word(run->status));
        buf_addf(out,
                 ",\"duration_ms\":%" PRIu64 ",\"passed\":%" PRIu32 ",\"cached\":%" PRIu32
                 ",\"failed\":%" PRIu32 ",\"skipped\":%" PRIu32 ",\"cancelled\":%" PRIu32,
                 run->duration_ms, run->passed, run->cached, run->failed, run->skipped,
                 run->cancelled);
        if (run->imported) {
            buf_adds(out, ",\"imported\":");
            buf_add_json_str(out, run->imported);
        }
        buf_addc(out, '}');
    }
    buf_adds(out, "]\n");
}

static void add_count(struct buf *out, uint32_t count, const char *word, bool *any)
{
    if (!count)
        return;
    buf_addf(out, "%s%" PRIu32 " %s", *any ? ", " : "", count, word);
    *any = true;
}

static void runs_text(const struct record_summary *list, size_t n, struct buf *out)
{
    uint64_t now = clock_realtime_ns();
    buf_addf(out, "%5s  %-19s  %8s  %-7s  %-10s  %8s  %s\n", "RUN", "STARTED", "AGE", "BY",
             "STATUS", "TIME", "STEPS");
    for (size_t i = 0; i < n; i++) {
        const struct record_summary *run = &list[i];
        char started[32] = "-", age[16], took[16];
        time_t seconds = (time_t)(run->time_ns / 1000000000);
        struct tm tm;
        bool any = false;
        if (localtime_r(&seconds, &tm))
            strftime(started, sizeof started, "%Y-%m-%d %H:%M:%S", &tm);
        text_duration(now > run->time_ns ? (now - run->time_ns) / 1000000000 * 1000 : 0, age);
        buf_addf(out, "%5s  %-19s  %8s  %-7s  %-10s  %8s  ", run->id, started, age, run->trigger,
                 run_word(run->status),
                 run->status < 0 ? "-" : text_duration(run->duration_ms, took));
        add_count(out, run->failed, "failed", &any);
        add_count(out, run->cancelled, "cancelled", &any);
        add_count(out, run->passed, "passed", &any);
        add_count(out, run->cached, "cached", &any);
        add_count(out, run->skipped, "skipped", &any);
        buf_adds(out, any ? "" : "-");
        if (run->imported) {
            buf_adds(out, "; imported: ");
            buf_add_shown(out, run->imported, strlen(run->imported));
        }
        buf_addc(out, '\n');
    }
}

int command_runs(const struct options *options)
{
    struct app app;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    struct record_summary *list = NULL;
    size_t n = 0;
    int code = EXIT_OK;
    if (app_open_records(&app, options, 0, &err) < 0 ||
        records_list(app.records, RECORD_KEEP, &list, &n, &err) < 0)
        code = fail(options, &err);
    else if (options->json)
        runs_json(list, n, &out);
    else if (n)
        runs_text(list, n, &out);
    else
        buf_adds(&out, "nothing has run here yet; \"kiln run\" does\n");
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    records_free_list(list, n);
    app_close(&app);
    return output_end(options, code);
}
