/* Steps that are marked, and orders for all of them; going from step to step by what went wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/app.h"
#include "tui/keymap.h"
#include "tui/marks.h"

#include <stdio.h>
#include <string.h>

static struct buf sent = BUF_INIT;

static void take(void *ctx, const struct command *command)
{
    (void)ctx;
    buf_addf(&sent, "%d:%s ", (int)command->type, command->step ? command->step : "-");
}

static const struct control control = {.send = take};

/* build <- unit, spec <- package; lint */
static void load(struct app *app, size_t n)
{
    static const char *const build[] = {"build"}, *const both[] = {"unit", "spec"};
    static const struct event_step_info infos[] = {
        {.name = "build", .command = "make build"},
        {.name = "unit", .command = "make unit", .needs = build, .n_needs = 1},
        {.name = "spec", .command = "make spec", .needs = build, .n_needs = 1},
        {.name = "lint", .command = "make lint"},
        {.name = "package", .command = "make package", .needs = both, .n_needs = 2},
    };
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.name = "demo";
    event.u.pipeline.steps = infos;
    event.u.pipeline.n_steps = n;
    event.u.pipeline.watching = true;
    app_event(app, &event);
}

static void start(struct app *app)
{
    app_init(app, &control, "demo", true);
    screen_resize(&app->screen, 80, 24);
    load(app, 5);
    app->steps.form = STEPS_FLAT;
    app->steps.old = true;
    buf_reset(&sent);
}

static void type(struct app *app, const char *keys)
{
    for (; *keys; keys++)
        app_key(app, (unsigned char)*keys);
    app_draw(app, 1);
}

static void sent_is(const char *text)
{
    assert_string_equal(buf_str(&sent), text);
    buf_reset(&sent);
}

static void run(struct app *app)
{
    struct event event = {.type = EVENT_RUN_STARTED, .run = "1"};
    app_event(app, &event);
}

static void finished(struct app *app, const char *step, enum step_status status)
{
    struct event event = {.type = EVENT_STEP_FINISHED, .run = "1", .step = step};
    event.u.finished.status = status;
    app_event(app, &event);
}

static void started(struct app *app, const char *step, const struct reason *reason)
{
    struct event event = {.type = EVENT_STEP_STARTED, .run = "1", .step = step};
    event.u.started.reasons = reason;
    event.u.started.n_reasons = event.u.started.all_reasons = reason ? 1 : 0;
    app_event(app, &event);
}

static void test_orders(void **state)
{
    (void)state;
    struct app app;
    start(&app);
    type(&app, "gvjv");
    assert_int_equal(marks_count(&app), 2);
    assert_true(marks_has(&app, "build") && marks_has(&app, "spec"));
    assert_int_equal(app.selected, 3);
    type(&app, "r");
    sent_is("0:build 0:spec ");
    type(&app, "ff");
    sent_is("7:build 7:spec ");
    /* Nothing runs, so there is nothing to cancel. */
    type(&app, "x");
    sent_is("");
    run(&app);
    started(&app, "build", NULL);
    finished(&app, "build", STEP_PASSED);
    started(&app, "spec", NULL);
    type(&app, "x");
    sent_is("2:spec ");
    /* From another pane it is for the step that the pane is about. */
    type(&app, "2r");
    sent_is("0:lint ");
    app_key(&app, KEY_ESC);
    assert_int_equal(app.focus, PANE_STEPS);
    assert_int_equal(marks_count(&app), 2);
    app_key(&app, KEY_ESC);
    assert_int_equal(marks_count(&app), 0);
    type(&app, "r");
    sent_is("0:lint ");
    app_release(&app);
}

static void test_breakpoints(void **state)
{
    (void)state;
    struct app app;
    start(&app);
    struct event event = {.type = EVENT_BREAKPOINT, .step = "unit"};
    event.u.breakpoint.set = true;
    app_event(&app, &event);
    type(&app, "gvvv");
    /* Those that have none get one; where all have, all are taken away. */
    type(&app, "b");
    sent_is("8:build 8:spec ");
    event.step = "build";
    app_event(&app, &event);
    event.step = "spec";
    app_event(&app, &event);
    type(&app, "b");
    sent_is("9:build 9:unit 9:spec ");
    app_release(&app);
}

static void test_what_is_shown(void **state)
{
    (void)state;
    struct app app;
    start(&app);
    run(&app);
    started(&app, "unit", NULL);
    finished(&app, "unit", STEP_FAILED);
    started(&app, "lint", NULL);
    finished(&app, "lint", STEP_FAILED);
    type(&app, "!V!");
    assert_int_equal(marks_count(&app), 2);
    type(&app, "r");
    sent_is("0:unit 0:lint ");
    /* What a reload takes away is not marked any more. */
    load(&app, 3);
    assert_int_equal(marks_count(&app), 1);
    type(&app, "V");
    assert_int_equal(marks_count(&app), 3);
    type(&app, "V");
    assert_int_equal(marks_count(&app), 0);
    load(&app, 0);
    type(&app, "vVy]fu");
    sent_is("");
    app_release(&app);
}

static void test_going(void **state)
{
    (void)state;
    const struct reason upstream = {.kind = REASON_UPSTREAM, .step = "build"};
    struct app app;
    start(&app);
    run(&app);
    type(&app, "g]f");
    assert_non_null(strstr(app.said, "no other step has failed"));
    started(&app, "build", NULL);
    finished(&app, "build", STEP_PASSED);
    started(&app, "unit", &upstream);
    finished(&app, "unit", STEP_FAILED);
    started(&app, "lint", NULL);
    finished(&app, "lint", STEP_FAILED);
    type(&app, "]f");
    assert_int_equal(app.selected, 1);
    type(&app, "]f");
    assert_int_equal(app.selected, 3);
    type(&app, "2]f");
    assert_int_equal(app.selected, 1);
    assert_int_equal(app.focus, PANE_LOG);
    type(&app, "[f");
    assert_int_equal(app.selected, 3);
    /* What was left out, for what failed; that, for the output that made it run; that, for none. */
    type(&app, "1Gu");
    assert_int_equal(app.selected, 1);
    type(&app, "u");
    assert_int_equal(app.selected, 0);
    type(&app, "u");
    assert_int_equal(app.selected, 0);
    assert_non_null(strstr(app.said, "no other step"));
    app_release(&app);
}

static void test_going_in_runs(void **state)
{
    (void)state;
    static struct run_facts facts[] = {{.id = "4", .status = RUN_PASSED},
                                       {.id = "3", .status = RUN_FAILED},
                                       {.id = "2", .status = -1},
                                       {.id = "1", .status = RUN_FAILED}};
    struct app app;
    start(&app);
    type(&app, "6");
    app.runs.known = true;
    app.runs.v = facts;
    app.runs.n = 4;
    static const size_t rows[] = {2, 4, 4};
    for (int i = 0; i < 3; i++) {
        type(&app, "]f");
        assert_int_equal(app.runs.selected, rows[i]);
    }
    assert_non_null(strstr(app.said, "no run before it"));
    type(&app, "[f");
    assert_int_equal(app.runs.selected, 2);
    type(&app, "[f");
    assert_int_equal(app.runs.selected, 2);
    assert_non_null(strstr(app.said, "no run after it"));
    app.runs.n = app.runs.selected = 0;
    type(&app, "]f[f");
    app_release(&app);
}

static void test_copy(void **state)
{
    (void)state;
    struct app app;
    start(&app);
    type(&app, "gjy");
    assert_string_equal(buf_str(&app.want_clip), "make unit");
    assert_non_null(strstr(app.said, "unit"));
    app_release(&app);
}

static int end(void **state)
{
    (void)state;
    buf_release(&sent);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),        cmocka_unit_test(test_breakpoints),
        cmocka_unit_test(test_what_is_shown), cmocka_unit_test(test_going),
        cmocka_unit_test(test_going_in_runs), cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
