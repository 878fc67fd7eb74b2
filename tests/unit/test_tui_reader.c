/* What is said to those who hear the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/keymap.h"
#include "tui/reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

struct scene {
    struct app app;
    struct reader reader;
    struct control control;
    char sent[100];
    char path[40];
    struct question *question; /* asked, not answered yet */
};

static void on_command(void *ctx, const struct command *command)
{
    struct scene *s = ctx;
    snprintf(s->sent, sizeof s->sent, "%d %s", command->type, command->step ? command->step : "-");
}

static char *log_path(void *ctx, const char *step)
{
    struct scene *s = ctx;
    return strcmp(step, "test") == 0 ? strdup(s->path) : NULL;
}

static void tell(struct scene *s, struct event *event)
{
    app_event(&s->app, event);
    reader_event(&s->reader, event);
}

static struct scene *scene(bool utf8)
{
    static const char *const needs[] = {"build"};
    static const struct event_step_info steps[] = {
        {.name = "build", .command = "make"},
        {.name = "test", .command = "make test", .needs = needs, .n_needs = 1},
        {.name = "pr\303\274fen", .command = "make check"},
    };
    struct scene *s = calloc(1, sizeof *s);
    s->control = (struct control){.ctx = s, .send = on_command, .log_path = log_path};
    strcpy(s->path, "/tmp/kiln-reader-XXXXXX");
    int fd = mkstemp(s->path);
    const char *text = "one\n\x1b[31mtwo\x1b[m\nthree\x01\n";
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    app_init(&s->app, &s->control, "demo", utf8);
    reader_init(&s->reader, &s->app);
    struct event event = {.type = EVENT_PIPELINE_LOADED, .time_ns = SECOND};
    event.u.pipeline.name = "demo";
    event.u.pipeline.root = "/src";
    event.u.pipeline.steps = steps;
    event.u.pipeline.n_steps = 3;
    event.u.pipeline.watching = true;
    tell(s, &event);
    return s;
}

static void over(struct scene *s)
{
    unlink(s->path);
    reader_release(&s->reader);
    app_release(&s->app);
    free(s);
}

static void heard(struct scene *s, const char *want)
{
    assert_string_equal(buf_str(&s->reader.out), want);
    buf_reset(&s->reader.out);
}

static void keys(struct scene *s, const char *typed)
{
    for (; *typed; typed++)
        reader_key(&s->reader, (unsigned char)*typed);
}

static void run(struct scene *s)
{
    static const char *const names[] = {"build", "test", "pr\303\274fen"};
    struct event event = {.type = EVENT_RUN_STARTED, .run = "1", .time_ns = SECOND};
    event.u.run_started.pipeline = "demo";
    event.u.run_started.version = "0";
    event.u.run_started.trigger = "watch";
    event.u.run_started.steps = names;
    event.u.run_started.n_steps = 3;
    tell(s, &event);
    event = (struct event){.type = EVENT_STEP_FINISHED, .step = "build", .time_ns = SECOND};
    event.u.finished.status = STEP_CACHED;
    event.u.finished.saved_ms = 4100;
    tell(s, &event);
    static const struct reason reasons[] = {
        {.kind = REASON_FILE, .subject = "src/a.c", .old = "1", .now = "2"},
        {.kind = REASON_ENV, .subject = "CC", .old = "gcc", .now = "clang"}};
    event = (struct event){.type = EVENT_STEP_STARTED, .step = "test", .time_ns = SECOND};
    event.u.started.key = "aa";
    event.u.started.runner = "host";
    event.u.started.attempt = 1;
    event.u.started.reasons = reasons;
    event.u.started.n_reasons = event.u.started.all_reasons = 2;
    event.u.started.log = s->path;
    tell(s, &event);
    event = (struct event){.type = EVENT_STEP_FINISHED, .step = "test", .time_ns = 9 * SECOND};
    event.u.finished.status = STEP_FAILED;
    event.u.finished.exit_code = 2;
    event.u.finished.duration_ms = 8000;
    tell(s, &event);
    event = (struct event){.type = EVENT_STEP_FINISHED, .step = names[2], .time_ns = 9 * SECOND};
    event.u.finished.status = STEP_PASSED;
    event.u.finished.duration_ms = 500;
    tell(s, &event);
    event = (struct event){.type = EVENT_RUN_FINISHED, .run = "1", .time_ns = 9 * SECOND};
    event.u.run_finished.status = RUN_FAILED;
    event.u.run_finished.duration_ms = 8000;
    tell(s, &event);
}

static void test_events(void **state)
{
    (void)state;
    struct scene *s = scene(false);
    heard(s, "demo: 3 steps. Question mark lists the keys.\n");
    run(s);
    heard(s, "Run 1 begins.\n"
             "test: failed, exit 2, 8.0s.\n"
             "pr?fen: passed, 0.50s.\n"
             "Run 1 failed in 8.0s: 1 failed, 1 passed, 1 cached.\n");
    struct event event = {.type = EVENT_NOTICE};
    event.u.notice.level = "error";
    event.u.notice.text = "kiln.json:3:2: bad\x1b[2J\nsecond line";
    tell(s, &event);
    heard(s, "Error: kiln.json:3:2: bad\\x1b[2J\nsecond line\n");
    over(s);
}

static void test_keys(void **state)
{
    (void)state;
    struct scene *s = scene(true);
    run(s);
    buf_reset(&s->reader.out);
    keys(s, "gj");
    heard(s, "Step 1 of 3, build: cached, saved 4.1s.\n"
             "Step 2 of 3, test: failed, exit 2, 8.0s. It ran because: a.c changed +1.\n");
    keys(s, "w");
    heard(s, "test ran because:\na.c changed.\nCC changed.\n");
    reader_key(&s->reader, KEY_ENTER);
    heard(s, "Log of test:\none\ntwo\nthree\\x01\n");
    keys(s, "r");
    heard(s, "run the step again, and what depends on it.\n");
    assert_string_equal(s->sent, "0 test");
    keys(s, "pp");
    heard(s, "Paused: changes start nothing.\nGoing on.\n");
    keys(s, "x");
    heard(s, "Not now: it neither runs nor waits: there is nothing to cancel.\n");
    keys(s, "z+");
    heard(s, "z means nothing here. Question mark lists the keys.\n"
             "+ means nothing here. Question mark lists the keys.\n");
    keys(s, "1");
    heard(s, "At rest: 1 failed, 1 passed, 1 cached.\n"
             "Step 2 of 3, test: failed, exit 2, 8.0s. It ran because: a.c changed +1.\n");
    keys(s, "?");
    assert_non_null(strstr(buf_str(&s->reader.out), "j Down: next step.\n"));
    assert_null(strstr(buf_str(&s->reader.out), "zoom"));
    buf_reset(&s->reader.out);
    keys(s, "q");
    heard(s, "Quitting.\n");
    over(s);
}

/* What is gone through, and in which order, is said as it changes. */
static void test_choices(void **state)
{
    (void)state;
    struct scene *s = scene(true);
    run(s);
    keys(s, "gj");
    buf_reset(&s->reader.out);
    keys(s, "!!");
    heard(s, "1 of 3 steps.\n3 of 3 steps.\n");
    keys(s, "*jj*");
    heard(s, "0 of 3 steps.\nThere are no steps like that.\nThere are no steps like that.\n"
             "3 of 3 steps.\n");
    keys(s, ">g");
    heard(s, "Failed ones first.\n"
             "Step 1 of 3, test: failed, exit 2, 8.0s. It ran because: a.c changed +1.\n");
    keys(s, ">>>>>");
    heard(s, "The longest first.\nBy name.\nThose that used most of the processor first.\n"
             "Those that used most memory first.\nIn the pipeline's order.\n");
    keys(s, "&");
    buf_reset(&s->reader.out);
    keys(s, "te\r");
    assert_non_null(strstr(buf_str(&s->reader.out), "t\n1 of 3 steps.\nte\n"));
    buf_reset(&s->reader.out);
    keys(s, "hT-");
    assert_null(strstr(buf_str(&s->reader.out), "fold"));
    assert_null(strstr(buf_str(&s->reader.out), "levels"));
    over(s);
}

static void on_ask(void *ctx, struct question *question)
{
    ((struct scene *)ctx)->question = question;
}

/* The log of a hit comes a moment later, and is said then. */
static void test_cached_log(void **state)
{
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        struct scene *s = scene(true);
        s->control.ask = on_ask;
        run(s);
        struct event event = {.type = EVENT_STEP_FINISHED, .step = "build", .time_ns = SECOND};
        event.u.finished.status = STEP_CACHED;
        event.u.finished.key = "bb";
        tell(s, &event);
        keys(s, "g");
        buf_reset(&s->reader.out);
        reader_key(&s->reader, KEY_ENTER);
        heard(s, "");
        assert_int_equal(s->question->kind, QUESTION_LOG);
        assert_string_equal(s->question->key, "bb");
        s->question->found = !gone;
        s->question->log = arena_strdup(&s->question->arena, s->path);
        s->question->error = "there is no cache";
        s->question->done(s->question);
        reader_catch_up(&s->reader);
        heard(s, gone ? "The log of build is gone: there is no cache.\n"
                      : "Log of build:\none\ntwo\nthree\\x01\n");
        reader_catch_up(&s->reader);
        heard(s, "");
        over(s);
    }
}

static void test_palette(void **state)
{
    (void)state;
    struct scene *s = scene(true);
    run(s);
    keys(s, ":");
    buf_reset(&s->reader.out);
    reader_paste(&s->reader, "run-stal", 8);
    keys(s, "e");
    assert_non_null(strstr(buf_str(&s->reader.out), "run-stale: run-stale, 1 of "));
    buf_reset(&s->reader.out);
    reader_key(&s->reader, KEY_ENTER);
    heard(s, "run every step whose result is not current.\n");
    assert_string_equal(s->sent, "1 -");
    keys(s, ":zoom");
    buf_reset(&s->reader.out);
    reader_key(&s->reader, KEY_ENTER);
    heard(s, "zoom needs the screen.\n");
    keys(s, ":build");
    buf_reset(&s->reader.out);
    reader_key(&s->reader, KEY_ESC);
    heard(s, "Typing ended.\n");
    reader_paste(&s->reader, "x", 1);
    assert_non_null(strstr(buf_str(&s->reader.out), "What is pasted is text"));
    over(s);
}

/* A terminal that does not read costs bounded memory, and is told so. */
static void test_left_out(void **state)
{
    (void)state;
    struct scene *s = scene(true);
    for (int i = 0; i < 10000; i++)
        keys(s, "j");
    assert_true(s->reader.out.len < 70000);
    buf_reset(&s->reader.out);
    keys(s, "g");
    heard(s, "Something was left out here: the terminal did not read.\n"
             "Step 1 of 3, build: not run.\n");
    over(s);
}

static void write_more(struct scene *s, const char *text, uint64_t seconds)
{
    int fd = open(s->path, O_WRONLY | O_APPEND);
    off_t at = lseek(fd, 0, SEEK_END);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    struct event event = {.type = EVENT_STEP_LOG, .step = "login", .time_ns = seconds * SECOND};
    event.u.log.n = strlen(text);
    event.u.log.offset = (uint64_t)at;
    event.u.log.stream = 1;
    event.u.log.log = s->path;
    tell(s, &event);
    s->app.now_ns = seconds * SECOND + SECOND / 2;
    reader_catch_up(&s->reader);
    heard(s, ""); /* it may only be slow */
    s->app.now_ns = (seconds + 2) * SECOND;
    reader_catch_up(&s->reader);
}

/* A step that has asked something is silent, so somebody has to say so. */
static void test_asks(void **state)
{
    (void)state;
    static const char *const name = "login";
    static const struct event_step_info steps[] = {
        {.name = "login", .command = "./login", .interactive = true}};
    struct scene *s = scene(true);
    struct event event = {.type = EVENT_PIPELINE_LOADED, .time_ns = SECOND};
    event.u.pipeline.name = "demo";
    event.u.pipeline.root = "/src";
    event.u.pipeline.steps = steps;
    event.u.pipeline.n_steps = 1;
    event.u.pipeline.watching = true;
    tell(s, &event);
    assert_false(reader_ticks(&s->reader));
    event = (struct event){.type = EVENT_RUN_STARTED, .run = "1", .time_ns = SECOND};
    event.u.run_started.steps = &name;
    event.u.run_started.n_steps = 1;
    tell(s, &event);
    event = (struct event){.type = EVENT_STEP_STARTED, .step = name, .time_ns = SECOND};
    event.u.started.attempt = 1;
    event.u.started.log = s->path;
    tell(s, &event);
    assert_true(reader_ticks(&s->reader));
    buf_reset(&s->reader.out);
    write_more(s, "who is it?\n\x1b[1mName?\x1b[m ", 2);
    heard(s, "login may wait for input (i on that step types to it): Name? \n");
    write_more(s, "Jo", 5); /* as the terminal shows what is typed */
    heard(s, "");
    keys(s, "i");
    buf_reset(&s->reader.out);
    write_more(s, "e\nPassword: ", 8);
    heard(s, "login may wait for input: Password: \n");
    write_more(s, "\nwelcome\n", 11);
    heard(s, "");
    over(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asks),       cmocka_unit_test(test_events),
        cmocka_unit_test(test_keys),       cmocka_unit_test(test_choices),
        cmocka_unit_test(test_cached_log), cmocka_unit_test(test_palette),
        cmocka_unit_test(test_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
