#include "tests/screen/driver.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "driver_answers.h"
#include "driver_words.h"
#include "tui/tui.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

/* There with AddressSanitizer, NULL without. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

struct spool {
    char *step, *path; /* of its latest attempt */
    int fd;
    uint64_t size;
};

struct driver {
    const struct driver_options *options;
    uv_loop_t loop;
    uv_poll_t script;
    uv_signal_t term;
    uv_timer_t pause, answer;
    struct told told;
    struct tui *tui;
    struct control control;
    struct buf lines;
    struct arena arena; /* of the pipeline being read */
    const char *name;
    bool watching;
    VEC(struct event_step_info) steps;
    VEC(struct reason) reasons;
    VEC(struct spool) spools;
    uint64_t now_ns, seq, runs;
    unsigned logs; /* files made so far */
    char run[16];  /* its id */
    bool syncing, paused, ended;
    unsigned long typed;
    int cols, rows, status;
};

static void reply(struct driver *driver, const char *text)
{
    size_t n = strlen(text);
    if (driver->options->replies >= 0 && write(driver->options->replies, text, n) != (ssize_t)n)
        driver->status = 3;
}

static void try_sync(struct driver *driver)
{
    int cols, rows;
    if (!driver->syncing || !driver->tui || !tui_settled(driver->tui) ||
        driver->told.questions.n > 0)
        return;
    tui_size(driver->tui, &cols, &rows);
    if (tui_taken(driver->tui) != driver->typed || cols != driver->cols || rows != driver->rows)
        return;
    driver->syncing = false;
    char text[40];
    snprintf(text, sizeof text, "ok %llu\n", (unsigned long long)tui_written(driver->tui));
    reply(driver, text);
}

static void frame_done(void *ctx)
{
    try_sync(ctx);
}

static uint64_t now_ns(void *ctx)
{
    const struct driver *driver = ctx;
    return driver->options->keep ? clock_realtime_ns() : driver->now_ns;
}

static void finish(struct driver *driver, int status)
{
    if (driver->ended)
        return;
    driver->ended = true;
    driver->status = status;
    tui_free(driver->tui);
    driver->tui = NULL;
    uv_close((uv_handle_t *)&driver->script, NULL);
    uv_close((uv_handle_t *)&driver->term, NULL);
    uv_close((uv_handle_t *)&driver->pause, NULL);
    uv_close((uv_handle_t *)&driver->answer, NULL);
}

static void on_command(void *ctx, const struct command *command)
{
    static const char *const names[] = {"retry",    "run-stale", "cancel", "pause", "resume",
                                        "quit",     "init",      "force",  "break", "unbreak",
                                        "continue", "step",      "skip",   "abort"};
    struct driver *driver = ctx;
    char text[300];
    if (command->type == COMMAND_INPUT) {
        int n = snprintf(text, sizeof text, "input %s ", command->step);
        for (size_t i = 0; i < command->n && n + 4 < (int)sizeof text; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, "%02x",
                          (unsigned char)command->bytes[i]);
        strcpy(text + n, "\n");
    } else if (command->type == COMMAND_TERMINAL) {
        snprintf(text, sizeof text, "terminal %dx%d\n", command->cols, command->rows);
    } else {
        snprintf(text, sizeof text, "command %s %s\n", names[command->type],
                 command->rule   ? command->rule
                 : command->step ? command->step
                                 : "-");
    }
    reply(driver, text);
    if (command->type == COMMAND_QUIT)
        finish(driver, 0);
}

/* An empty one, in the place of what there was; that stays for who looks at an earlier run. */
static void open_spool(struct driver *driver, struct spool *spool)
{
    if (spool->fd >= 0)
        close(spool->fd);
    free(spool->path);
    spool->path = mem_printf("%s/%s-%u", driver->options->dir, spool->step, ++driver->logs);
    spool->fd = open(spool->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    spool->size = 0;
}

static struct spool *spool_of(struct driver *driver, const char *step)
{
    vec_each (struct spool, spool, &driver->spools)
        if (strcmp(spool->step, step) == 0)
            return spool;
    struct spool spool = {mem_strdup(step), NULL, -1, 0};
    open_spool(driver, &spool);
    vec_push(&driver->spools, spool);
    return &vec_last(&driver->spools);
}

static void tell_log_of(struct driver *driver, const char *step)
{
    char text[300];
    snprintf(text, sizeof text, "log of %s\n", step);
    reply(driver, text);
}

static char *log_path(void *ctx, const char *step)
{
    struct driver *driver = ctx;
    tell_log_of(driver, step);
    vec_each (struct spool, spool, &driver->spools)
        if (strcmp(spool->step, step) == 0)
            return mem_strdup(spool->path);
    return NULL;
}

static void emit(struct driver *driver, struct event *event)
{
    event->seq = ++driver->seq;
    event->time_ns = now_ns(driver);
    event->run = driver->runs > 0 ? driver->run : NULL;
    if (event->type <= EVENT_RUN_FINISHED)
        told_event(&driver->told, event);
    if (driver->tui)
        tui_event(driver->tui, event);
}

static void add_log(struct driver *driver, const char *step, int stream, const char *bytes,
                    size_t n)
{
    struct spool *spool = spool_of(driver, step);
    if (pwrite(spool->fd, bytes, n, (off_t)spool->size) != (ssize_t)n)
        driver->status = 3;
    struct event event = {.type = EVENT_STEP_LOG, .step = step};
    event.u.log.stream = stream;
    event.u.log.offset = spool->size;
    event.u.log.n = n;
    event.u.log.log = spool->path;
    spool->size += n;
    emit(driver, &event);
}

static void do_step(struct driver *driver, char *rest)
{
    struct event_step_info info = {0};
    info.name = arena_strdup(&driver->arena, word_take(&rest));
    char *needs = word_take(&rest), *need;
    const char *about = word_take(&rest);
    const char **list = arena_zalloc(&driver->arena, 16, sizeof *list);
    while (needs && (need = strsep(&needs, ",")) && info.n_needs < 16)
        list[info.n_needs++] = arena_strdup(&driver->arena, need);
    info.needs = list;
    info.description = about ? arena_strdup(&driver->arena, about) : NULL;
    info.interactive = word_take(&rest) != NULL;
    info.command = arena_printf(&driver->arena, "make %s", info.name);
    vec_push(&driver->steps, info);
}

static struct event pipeline(const struct driver *driver)
{
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.name = driver->name;
    event.u.pipeline.root = "/src/demo";
    event.u.pipeline.steps = driver->steps.v;
    event.u.pipeline.n_steps = driver->steps.n;
    return event;
}

static void do_end(struct driver *driver)
{
    struct event event = pipeline(driver);
    event.u.pipeline.watching = driver->watching;
    emit(driver, &event);
}

static void do_run(struct driver *driver)
{
    const char **names = mem_zalloc(driver->steps.n, sizeof *names);
    snprintf(driver->run, sizeof driver->run, "%u", (unsigned)++driver->runs);
    for (size_t i = 0; i < driver->steps.n; i++)
        names[i] = driver->steps.v[i].name;
    struct event event = {.type = EVENT_RUN_STARTED};
    event.u.run_started.version = "0";
    event.u.run_started.pipeline = driver->name;
    event.u.run_started.trigger = "watch";
    event.u.run_started.steps = names;
    event.u.run_started.n_steps = driver->steps.n;
    /* As a record tells it. */
    struct event loaded = pipeline(driver);
    loaded.run = driver->run;
    loaded.time_ns = now_ns(driver);
    told_event(&driver->told, &loaded);
    emit(driver, &event);
    free(names);
}

static void do_reason(struct driver *driver, char *rest)
{
    static const char *const kinds[] = {"new",      "file",     "command",    "env",
                                        "upstream", "settings", "forced",     "evicted",
                                        "failed",   "tainted",  "uncacheable"};
    struct reason reason = {.kind =
                                (enum reason_kind)word_index(word_take(&rest), kinds, REASON_N)};
    const char **const fields[] = {&reason.subject, &reason.step, &reason.old, &reason.now};
    for (int i = 0; i < 4; i++) {
        const char *text = word_take(&rest);
        *fields[i] = text ? arena_strdup(&driver->arena, text) : NULL;
    }
    vec_push(&driver->reasons, reason);
}

static void do_started(struct driver *driver, char *rest)
{
    struct event event = {.type = EVENT_STEP_STARTED, .step = word_take(&rest)};
    struct spool *spool = spool_of(driver, event.step);
    if (spool->size > 0)
        open_spool(driver, spool);
    event.u.started.attempt = (uint32_t)word_number(&rest);
    event.u.started.key = "5c1d07aa0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57";
    event.u.started.runner = "host";
    event.u.started.pid = told_pid(&driver->told, event.step);
    event.u.started.reasons = driver->reasons.v;
    event.u.started.n_reasons = event.u.started.all_reasons = driver->reasons.n;
    event.u.started.log = spool->path;
    emit(driver, &event);
    vec_clear(&driver->reasons);
}

static void do_finished(struct driver *driver, char *rest)
{
    static const char *const statuses[] = {"passed", "cached", "failed", "skipped", "cancelled"};
    struct event event = {.type = EVENT_STEP_FINISHED, .step = word_take(&rest)};
    event.u.finished.status =
        (enum step_status)word_index(word_take(&rest), statuses, STEP_STATUS_N);
    event.u.finished.duration_ms = (uint64_t)word_number(&rest);
    event.u.finished.exit_code = (int)word_number(&rest);
    event.u.finished.signal = (int)word_number(&rest);
    event.u.finished.saved_ms = (uint64_t)word_number(&rest);
    event.u.finished.error = rest;
    struct usage_facts *used = &told_use_of(&driver->told, event.step)->facts;
    event.u.finished.cpu_ms = used->cpu_us / 1000;
    event.u.finished.memory_bytes = used->memory;
    *used = (struct usage_facts){0};
    event.u.finished.key = "5c1d07aa0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57b62f0f3d0e57";
    event.u.finished.source = event.u.finished.status == STEP_CACHED ? "local" : NULL;
    emit(driver, &event);
}

static void do_lines(struct driver *driver, char *rest)
{
    struct buf text = BUF_INIT;
    const char *step = word_take(&rest);
    long n = word_number(&rest);
    for (long i = 1; i <= n; i++)
        buf_addf(&text, "line %ld of %ld\n", i, n);
    add_log(driver, step, 1, buf_str(&text), text.len);
    buf_release(&text);
}

/* -- answers ----------------------------------------------------------------------------------- */

static bool key_now(void *ctx, const char *step, char hex[DIGEST_HEX + 1])
{
    return told_key(&((struct driver *)ctx)->told, step, hex);
}

static void inputs(void *ctx, const char *step, uint64_t from, size_t n, struct inputs_page *page)
{
    (void)step;
    told_inputs(&((struct driver *)ctx)->told, from, n, page);
}

static bool facts(void *ctx, const char *step, struct step_facts *out)
{
    return told_facts(&((struct driver *)ctx)->told, step, out);
}

static void on_answer(uv_timer_t *timer)
{
    told_answer_all(&((struct driver *)timer->data)->told);
}

static void ask(void *ctx, struct question *question)
{
    struct driver *driver = ctx;
    if (question->kind == QUESTION_LOG)
        tell_log_of(driver, question->step);
    driver->told.now_ns = now_ns(driver);
    vec_push(&driver->told.questions, question);
    if (driver->ended)
        told_answer_all(&driver->told);
    else
        uv_timer_start(&driver->answer, on_answer, 0, 0);
}

static void on_readable(uv_poll_t *handle, int status, int events);

static void on_pause(uv_timer_t *timer)
{
    struct driver *driver = timer->data;
    driver->paused = false;
    on_readable(&driver->script, 0, 0);
}

static void do_line(struct driver *driver, char *line)
{
    static const char *const statuses[] = {"passed", "failed", "cancelled"};
    char *rest = line;
    const char *verb = strsep(&rest, " ");
    struct event event = {0};
    if (told_line(&driver->told, driver->options->dir, verb, rest))
        return;
    if (strcmp(verb, "pipeline") == 0) {
        vec_clear(&driver->steps);
        driver->name = arena_strdup(&driver->arena, word_take(&rest));
        driver->watching = rest && strcmp(rest, "watch") == 0;
    } else if (strcmp(verb, "step") == 0) {
        do_step(driver, rest);
    } else if (strcmp(verb, "end") == 0) {
        do_end(driver);
    } else if (strcmp(verb, "now") == 0) {
        driver->now_ns = EPOCH_NS + (uint64_t)word_number(&rest) * 1000000;
    } else if (strcmp(verb, "run") == 0) {
        do_run(driver);
    } else if (strcmp(verb, "queued") == 0) {
        event = (struct event){.type = EVENT_STEP_QUEUED, .step = word_take(&rest)};
        emit(driver, &event);
    } else if (strcmp(verb, "reason") == 0) {
        do_reason(driver, rest);
    } else if (strcmp(verb, "started") == 0) {
        do_started(driver, rest);
    } else if (strcmp(verb, "log") == 0 || strcmp(verb, "err") == 0) {
        const char *step = word_take(&rest);
        struct buf text = BUF_INIT;
        word_unescape(rest ? rest : "", &text);
        add_log(driver, step, *verb == 'e' ? 2 : 1, buf_str(&text), text.len);
        buf_release(&text);
    } else if (strcmp(verb, "lines") == 0) {
        do_lines(driver, rest);
    } else if (strcmp(verb, "finished") == 0) {
        do_finished(driver, rest);
    } else if (strcmp(verb, "ended") == 0) {
        event.type = EVENT_RUN_FINISHED;
        event.u.run_finished.status =
            (enum run_status)word_index(word_take(&rest), statuses, RUN_STATUS_N);
        event.u.run_finished.duration_ms = (uint64_t)word_number(&rest);
        emit(driver, &event);
    } else if (strcmp(verb, "paused") == 0) {
        event = (struct event){.type = EVENT_STEP_PAUSED, .step = word_take(&rest)};
        event.u.paused.failed = rest != NULL;
        event.u.paused.exit_code = (int)word_number(&rest);
        event.u.paused.duration_ms = (uint64_t)word_number(&rest);
        event.u.paused.rule = word_take(&rest);
        event.u.paused.reason = word_take(&rest);
        if (event.u.paused.exit_code == 0) {
            event.u.paused.passed = event.u.paused.failed && event.u.paused.duration_ms > 0;
            event.u.paused.failed = false;
        }
        emit(driver, &event);
    } else if (strcmp(verb, "resumed") == 0) {
        event = (struct event){.type = EVENT_STEP_RESUMED, .step = word_take(&rest)};
        emit(driver, &event);
    } else if (strcmp(verb, "breakpoint") == 0) {
        event = (struct event){.type = EVENT_BREAKPOINT, .step = word_take(&rest)};
        event.u.breakpoint.set = word_number(&rest) != 0;
        event.u.breakpoint.rule = word_take(&rest);
        emit(driver, &event);
    } else if (strcmp(verb, "tree") == 0) {
        event.type = EVENT_WATCH_TREE;
        event.u.tree.branch = word_take(&rest);
        event.u.tree.dirty = (uint64_t)word_number(&rest);
        emit(driver, &event);
    } else if (strcmp(verb, "changed") == 0) {
        event.type = EVENT_WATCH_CHANGED;
        event.u.changed.count = (uint64_t)word_number(&rest);
        emit(driver, &event);
    } else if (strcmp(verb, "idle") == 0) {
        event.type = EVENT_WATCH_IDLE;
        emit(driver, &event);
    } else if (strcmp(verb, "degraded") == 0) {
        event.type = EVENT_WATCH_DEGRADED;
        event.u.degraded.reason = rest;
        emit(driver, &event);
    } else if (strcmp(verb, "notice") == 0) {
        struct buf text = BUF_INIT;
        event.type = EVENT_NOTICE;
        event.u.notice.level = word_take(&rest);
        word_unescape(rest ? rest : "", &text);
        event.u.notice.text = buf_str(&text);
        emit(driver, &event);
        buf_release(&text);
    } else if (strcmp(verb, "sync") == 0) {
        driver->typed = (unsigned long)word_number(&rest);
        driver->cols = (int)word_number(&rest);
        driver->rows = (int)word_number(&rest);
        driver->syncing = true;
        try_sync(driver);
    } else if (strcmp(verb, "pause") == 0) {
        driver->paused = true;
        uv_timer_start(&driver->pause, on_pause, (uint64_t)word_number(&rest), 0);
    } else if (strcmp(verb, "echo") == 0) {
        reply(driver, "echo\n");
    } else if (strcmp(verb, "crash") == 0) {
        abort();
    }
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct driver *driver = handle->data;
    char bytes[65536];
    ssize_t n = 1;
    if (status < 0 || (events & UV_READABLE)) {
        n = read(driver->options->script, bytes, sizeof bytes);
        if (n > 0)
            buf_add(&driver->lines, bytes, (size_t)n);
        else
            uv_poll_stop(handle);
    }
    char *newline;
    size_t done = 0;
    while (!driver->ended && !driver->paused && driver->lines.len > done &&
           (newline = memchr(driver->lines.data + done, '\n', driver->lines.len - done))) {
        char *line = driver->lines.data + done;
        *newline = '\0';
        done = (size_t)(newline - driver->lines.data) + 1;
        do_line(driver, line);
    }
    if (done > 0) {
        memmove(driver->lines.data, driver->lines.data + done, driver->lines.len - done);
        buf_truncate(&driver->lines, driver->lines.len - done);
    }
    if (n <= 0 && !driver->options->keep)
        finish(driver, 0);
}

static void on_term(uv_signal_t *handle, int number)
{
    finish(handle->data, 128 + number);
}

int driver_run(const struct driver_options *options)
{
    struct driver driver = {.options = options, .now_ns = EPOCH_NS};
    struct err err = ERR_INIT;
    if (uv_loop_init(&driver.loop) != 0)
        return 3;
    /* What a hang-up does to the tui is to be seen, so its signal must not end all. */
    signal(SIGHUP, SIG_IGN);
    driver.control = (struct control){.ctx = &driver,
                                      .send = on_command,
                                      .log_path = log_path,
                                      .key_now = key_now,
                                      .inputs = inputs,
                                      .ask = ask,
                                      .facts = facts};
    uv_poll_init(&driver.loop, &driver.script, options->script);
    uv_signal_init(&driver.loop, &driver.term);
    uv_timer_init(&driver.loop, &driver.pause);
    uv_timer_init(&driver.loop, &driver.answer);
    driver.script.data = driver.term.data = driver.pause.data = driver.answer.data = &driver;
    uv_signal_start(&driver.term, on_term, SIGTERM);
    /* In kiln's place, for a shell in a step. */
    static const char *const self[] = {"/bin/sh", "-c", "PS1='ready> ' exec /bin/sh -i", NULL};
    struct tui_options tui = {.loop = &driver.loop,
                              .self = self,
                              .control = &driver.control,
                              .fd = options->terminal,
                              .term = options->term,
                              .project = "demo",
                              .utf8 = options->utf8,
                              .colour = options->colour,
                              .now_ns = now_ns,
                              .frame_done = frame_done,
                              .ctx = &driver};
    if (tui_new(&tui, &driver.tui, &err) != 0) {
        fprintf(stderr, "driver: %s\n", err_text(&err));
        err_release(&err);
        return 3;
    }
    uv_poll_start(&driver.script, UV_READABLE, on_readable);
    uv_run(&driver.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&driver.loop) != 0)
        driver.status = 98;
    vec_each (struct spool, spool, &driver.spools) {
        close(spool->fd);
        free(spool->step);
        free(spool->path);
    }
    vec_release(&driver.spools);
    told_release(&driver.told);
    vec_release(&driver.steps);
    vec_release(&driver.reasons);
    buf_release(&driver.lines);
    arena_release(&driver.arena);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() != 0)
        driver.status = 99;
    return driver.status;
}
