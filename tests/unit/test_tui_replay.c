/* A recorded run gives the screens that the run gave, at every moment of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "engine/record.h"
#include "tui/app.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OLD   "9f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a7"
#define NEW   "c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2c41d07b2"
#define START UINT64_C(1700000000000000000)

static void ignore(void *ctx, const struct command *command)
{
    (void)ctx;
    (void)command;
}

static const struct control control = {.send = ignore};
static const int sizes[][2] = {{40, 10}, {80, 24}, {120, 40}, {200, 60}};

/* One that is told as things happen, and one that is told from the record. */
struct both {
    struct app live, again;
    struct record *record;
    uint64_t now_ns;
};

static struct event pipeline(void)
{
    static const char *const needs[] = {"build"};
    static const struct event_step_info steps[] = {
        {.name = "build", .description = "Compile", .command = "make", .last_ms = 2900},
        {.name = "lint", .command = "lint src"},
        {.name = "unit", .command = "make test", .needs = needs, .n_needs = 1},
    };
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.name = "demo";
    event.u.pipeline.root = "/src/demo";
    event.u.pipeline.steps = steps;
    event.u.pipeline.n_steps = 3;
    return event;
}

static void tell(struct both *both, struct event *event, uint64_t ms)
{
    both->now_ns = START + ms * 1000000;
    event->time_ns = both->now_ns;
    event->run = record_id(both->record);
    app_event(&both->live, event);
    record_event(both->record, event, NULL);
}

static void put_log(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Tells n events of a run; the live one has heard of the pipeline before. */
static void run(struct both *both, size_t n)
{
    static const char *const names[] = {"build", "lint", "unit"};
    static const struct reason reasons[] = {
        {.kind = REASON_FILE, .subject = "src/parse.c", .old = OLD, .now = NEW},
        {.kind = REASON_ENV, .subject = "CC", .old = "gcc", .now = "clang"}};
    struct event event = pipeline();
    char *path = NULL;
    int fd = -1;
    event.time_ns = START;
    app_event(&both->live, &event);
    for (size_t i = 0; i < n; i++) {
        event = (struct event){.step = "build"};
        uint64_t ms = i * 400;
        switch (i) {
        case 0:
            event = (struct event){.type = EVENT_RUN_STARTED};
            event.u.run_started.trigger = "command";
            event.u.run_started.version = "0";
            event.u.run_started.pipeline = "demo";
            event.u.run_started.root = "/src/demo";
            event.u.run_started.steps = names;
            event.u.run_started.n_steps = 3;
            event.u.run_started.jobs = 2;
            break;
        case 1: event.type = EVENT_STEP_QUEUED; break;
        case 2:
            assert_int_equal(record_spool(both->record, "build", &path, &fd, NULL), 0);
            put_log(fd, "cc -c parse.c\n\033[31merror\033[0m: parse.c:88: no\n");
            event.type = EVENT_STEP_STARTED;
            event.u.started.key = NEW;
            event.u.started.runner = "host";
            event.u.started.attempt = 1;
            event.u.started.reasons = reasons;
            event.u.started.n_reasons = event.u.started.all_reasons = 2;
            event.u.started.log = path;
            break;
        case 3:
            event.type = EVENT_STEP_LOG;
            event.u.log.stream = 2;
            event.u.log.n = 50;
            event.u.log.log = path;
            break;
        case 4:
            event.type = EVENT_STEP_FINISHED;
            event.step = "lint";
            event.u.finished.status = STEP_CACHED;
            event.u.finished.saved_ms = 1200;
            event.u.finished.key = OLD;
            event.u.finished.source = "local";
            event.u.finished.exit_code = 0;
            break;
        case 5:
            event.type = EVENT_STEP_FINISHED;
            event.u.finished.status = STEP_FAILED;
            event.u.finished.exit_code = 2;
            event.u.finished.duration_ms = 1200;
            event.u.finished.key = NEW;
            break;
        case 6:
            event.type = EVENT_STEP_FINISHED;
            event.step = "unit";
            event.u.finished.status = STEP_SKIPPED;
            event.u.finished.exit_code = -1;
            event.u.finished.error = "build failed";
            break;
        default:
            event = (struct event){.type = EVENT_RUN_FINISHED};
            event.u.run_finished.status = RUN_FAILED;
            event.u.run_finished.duration_ms = ms;
            event.u.run_finished.failed = event.u.run_finished.cached = 1;
            event.u.run_finished.skipped = 1;
            break;
        }
        tell(both, &event, ms);
        if (i == 0) {
            struct event loaded = pipeline();
            loaded.time_ns = both->now_ns;
            loaded.run = record_id(both->record);
            record_event(both->record, &loaded, NULL);
        }
    }
    free(path);
    if (fd >= 0)
        close(fd);
}

static void take(void *app, const struct event *event)
{
    app_event(app, event);
}

static void draw(struct app *app, const int size[2], uint64_t now_ns)
{
    screen_resize(&app->screen, size[0], size[1]);
    while (app_work(app))
        ;
    app_draw(app, now_ns);
}

static void print(const struct app *app)
{
    for (int i = 0; i < app->screen.cols * app->screen.rows; i++) {
        const struct cell *cell = &app->screen.back[i];
        printf("%.*s%s", (int)cell->len, cell->text, (i + 1) % app->screen.cols ? "" : "\n");
    }
}

static void same_screen(const struct app *a, const struct app *b)
{
    size_t cells = (size_t)a->screen.cols * (size_t)a->screen.rows;
    for (size_t i = 0; i < cells; i++) {
        const struct cell *x = &a->screen.back[i], *y = &b->screen.back[i];
        if (x->len != y->len || memcmp(x->text, y->text, x->len) != 0) {
            print(a);
            print(b);
            fail();
        }
        assert_int_equal(x->width, y->width);
        assert_int_equal(x->style.fg, y->style.fg);
        assert_int_equal(x->style.bg, y->style.bg);
        assert_int_equal(x->style.attrs, y->style.attrs);
    }
}

static void compare(struct records *records, size_t n)
{
    static const char keys[] = "1234567";
    struct both both = {.now_ns = START};
    bool found = false;
    assert_int_equal(record_new(records, &both.record, NULL), 0);
    app_init(&both.live, &control, "demo", true);
    app_init(&both.again, &control, "demo", true);
    run(&both, n);
    char *id = mem_strdup(record_id(both.record));
    record_free(both.record);
    assert_int_equal(records_replay(records, id, take, &both.again, &found, NULL), 0);
    assert_true(found);
    for (size_t k = 0; k < sizeof keys - 1; k++) {
        app_key(&both.live, (uint32_t)keys[k]);
        app_key(&both.again, (uint32_t)keys[k]);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            draw(&both.live, sizes[i], both.now_ns + 300000000);
            draw(&both.again, sizes[i], both.now_ns + 300000000);
            same_screen(&both.live, &both.again);
        }
    }
    app_release(&both.live);
    app_release(&both.again);
    free(id);
}

static void test_same_screens(void **state)
{
    char dir[] = "/tmp/kiln-replay.XXXXXX";
    struct records *records = NULL;
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(records_open(dir, "/src/demo", &records, NULL), 0);
    for (size_t n = 1; n <= 8; n++)
        compare(records, n);
    records_close(records);
    assert_int_equal(file_remove_tree(AT_FDCWD, dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_screens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
