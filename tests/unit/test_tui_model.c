/* The model as the fold of synthetic events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tui/look.h"
#include "tui/model.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

static void load(struct model *model, const char *const *names, size_t n)
{
    struct event_step_info infos[8] = {{0}};
    static const char *needs[8];
    for (size_t i = 0; i < n; i++) {
        infos[i].name = names[i];
        infos[i].command = "true";
        if (i > 0) {
            needs[i] = names[i - 1];
            infos[i].needs = &needs[i];
            infos[i].n_needs = 1;
        }
    }
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    event.u.pipeline.name = "demo";
    event.u.pipeline.steps = infos;
    event.u.pipeline.n_steps = n;
    event.u.pipeline.watching = true;
    model_fold(model, &event);
}

static void run(struct model *model, const char *const *names, size_t n, uint64_t time_ns)
{
    struct event event = {.type = EVENT_RUN_STARTED, .time_ns = time_ns};
    event.u.run_started.steps = names;
    event.u.run_started.n_steps = n;
    model_fold(model, &event);
}

static void start(struct model *model, const char *step, uint64_t time_ns)
{
    struct reason reason = {
        .kind = REASON_FILE, .subject = "src/parse.c", .old = "old", .now = "new"};
    struct event event = {.type = EVENT_STEP_STARTED, .step = step, .time_ns = time_ns};
    event.u.started.attempt = 1;
    event.u.started.reasons = &reason;
    event.u.started.n_reasons = 1;
    event.u.started.all_reasons = 3;
    event.u.started.log = "/tmp/log";
    model_fold(model, &event);
}

static void finish(struct model *model, const char *step, enum step_status status, uint64_t ms)
{
    struct event event = {.type = EVENT_STEP_FINISHED, .step = step};
    event.u.finished.status = status;
    event.u.finished.duration_ms = ms;
    event.u.finished.exit_code = status == STEP_FAILED ? 2 : 0;
    model_fold(model, &event);
}

static const char *const names[] = {"a", "b", "c"};

static void test_a_run(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    load(&model, names, 3);
    assert_int_equal(model.steps.n, 3);
    assert_int_equal(model.counts[STATE_IDLE], 3);
    run(&model, names, 3, 10 * SECOND);
    assert_int_equal(model.counts[STATE_WAITING], 3);
    assert_int_equal(model.runs, 1);
    assert_int_equal(model_run_ms(&model, 12 * SECOND), 2000);
    start(&model, "a", 11 * SECOND);
    struct model_step *a = &model.steps.v[0];
    assert_int_equal(a->state, STATE_RUNNING);
    assert_int_equal(model_elapsed_ms(a, 14 * SECOND), 3000);
    /* A clock that was set back gives no nonsense. */
    assert_int_equal(model_elapsed_ms(a, 1), 0);
    assert_int_equal(model_blocker(&model, &model.steps.v[1]), 0);
    finish(&model, "a", STEP_PASSED, 3000);
    assert_int_equal(model_blocker(&model, &model.steps.v[1]), 3);
    start(&model, "b", 14 * SECOND);
    finish(&model, "b", STEP_FAILED, 500);
    finish(&model, "c", STEP_SKIPPED, 0);
    assert_int_equal(model.latest, 1);
    assert_int_equal(model.counts[STATE_PASSED], 1);
    assert_int_equal(model.counts[STATE_FAILED], 1);
    assert_int_equal(model.counts[STATE_SKIPPED], 1);
    struct event ended = {.type = EVENT_RUN_FINISHED};
    ended.u.run_finished.status = RUN_FAILED;
    ended.u.run_finished.duration_ms = 3600;
    model_fold(&model, &ended);
    assert_int_equal(model_run_ms(&model, 99 * SECOND), 3600);
    model_release(&model);
}

static void test_what_is_made_ready(void **state)
{
    (void)state;
    struct model model;
    struct event event = {.type = EVENT_STEP_QUEUED, .step = "a"};
    model_init(&model);
    load(&model, names, 3);
    run(&model, names, 3, 0);
    model_fold(&model, &event);
    event.type = EVENT_STEP_PROGRESS;
    event.u.progress.text = "pulling debian:12";
    event.u.progress.unit = "bytes";
    model_fold(&model, &event);
    assert_string_equal(model.steps.v[0].doing, "pulling debian:12");
    assert_int_equal(model.steps.v[0].doing_percent, -1);
    event.u.progress.done = 24 << 20;
    event.u.progress.total = 48 << 20;
    event.u.progress.rate = 3 << 20;
    model_fold(&model, &event);
    assert_string_equal(model.steps.v[0].doing,
                        "pulling debian:12 24.0 MiB of 48.0 MiB, 3.0 MiB/s");
    assert_int_equal(model.steps.v[0].doing_percent, 50);
    start(&model, "a", 0);
    assert_null(model.steps.v[0].doing);
    model_release(&model);
}

static void test_words(void **state)
{
    (void)state;
    struct model model;
    struct buf text = BUF_INIT;
    model_init(&model);
    load(&model, names, 3);
    start(&model, "a", SECOND);
    look_reason(&model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), "parse.c changed +2");
    finish(&model, "a", STEP_FAILED, 1);
    buf_reset(&text);
    look_failure(&model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), "exit 2");
    model.steps.v[0].signal = 11;
    buf_reset(&text);
    look_failure(&model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), "killed by SIGSEGV");
    /* kiln has killed it, and says why. */
    model.steps.v[0].exit_code = -1;
    model.steps.v[0].error = mem_strdup("its output could not be written");
    buf_reset(&text);
    look_failure(&model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), "its output could not be written");
    model.steps.v[0].timed_out = true;
    model.steps.v[0].duration_ms = 90000;
    buf_reset(&text);
    look_failure(&model.steps.v[0], &text);
    assert_string_equal(buf_str(&text), "timed out after 1:30");
    buf_reset(&text);
    look_value("9f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a79f2c41a7", 10, &text);
    look_value(" gcc\n", 10, &text);
    assert_string_equal(buf_str(&text), "9f2c41a gcc\\n");
    buf_release(&text);
    model_release(&model);
}

static void test_second_run_compares(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    load(&model, names, 3);
    run(&model, names, 3, SECOND);
    start(&model, "a", SECOND);
    finish(&model, "a", STEP_PASSED, 3000);
    run(&model, names, 3, 9 * SECOND);
    assert_int_equal(model.steps.v[0].state, STATE_WAITING);
    start(&model, "a", 9 * SECOND);
    finish(&model, "a", STEP_PASSED, 2000);
    assert_int_equal(model.steps.v[0].last_ms, 3000);
    assert_int_equal(model.steps.v[0].ran_ms, 2000);
    assert_int_equal(model.steps.v[0].starts, 2);
    model_release(&model);
}

static void test_reload_keeps_what_is_known(void **state)
{
    (void)state;
    static const char *const others[] = {"z", "b", "b"};
    struct model model;
    model_init(&model);
    load(&model, names, 3);
    run(&model, names, 3, SECOND);
    start(&model, "b", SECOND);
    finish(&model, "b", STEP_PASSED, 1500);
    struct event notice = {.type = EVENT_NOTICE};
    notice.u.notice.level = "error";
    notice.u.notice.text = "kiln.json:1:1: broken";
    model_fold(&model, &notice);
    assert_non_null(model.notice);
    assert_int_equal(model.notice_level, NOTICE_ERROR);
    load(&model, others, 3);
    assert_null(model.notice);
    assert_int_equal(model.steps.n, 2);
    assert_int_equal(model_find(&model, "a"), 2);
    struct model_step *b = &model.steps.v[model_find(&model, "b")];
    assert_int_equal(b->state, STATE_PASSED);
    assert_int_equal(b->ran_ms, 1500);
    assert_int_equal(b->n_reasons, 1);
    assert_int_equal(model.counts[STATE_PASSED], 1);
    assert_int_equal(model.counts[STATE_IDLE], 1);
    assert_int_equal(model.counts[STATE_WAITING], 0);
    model_release(&model);
}

/* Which step came first or last into a state outlives a reload, whatever its place is then. */
static void test_who_came_first(void **state)
{
    (void)state;
    static const char *const others[] = {"c", "a"};
    struct model model;
    model_init(&model);
    load(&model, names, 3);
    assert_int_equal(model_first(&model, STATE_FAILED), 3);
    run(&model, names, 3, SECOND);
    start(&model, "c", SECOND);
    start(&model, "a", SECOND);
    start(&model, "b", SECOND);
    assert_int_equal(model_first(&model, STATE_RUNNING), 2);
    assert_int_equal(model_last(&model, STATE_RUNNING), 1);
    finish(&model, "b", STEP_FAILED, 1);
    assert_int_equal(model_last(&model, STATE_RUNNING), 0);
    finish(&model, "c", STEP_FAILED, 1);
    finish(&model, "a", STEP_FAILED, 1);
    assert_int_equal(model_last(&model, STATE_RUNNING), 3);
    assert_int_equal(model_first(&model, STATE_FAILED), 1);
    assert_int_equal(model_last(&model, STATE_FAILED), 0);
    load(&model, others, 2);
    assert_int_equal(model_first(&model, STATE_FAILED), 0);
    assert_int_equal(model_last(&model, STATE_FAILED), 1);
    run(&model, others, 1, SECOND);
    assert_int_equal(model_first(&model, STATE_FAILED), 1);
    assert_int_equal(model_first(&model, STATE_WAITING), 0);
    model_release(&model);
}

static void test_watch(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct event changed = {.type = EVENT_WATCH_CHANGED}, idle = {.type = EVENT_WATCH_IDLE};
    changed.u.changed.count = 2;
    model_fold(&model, &changed);
    model_fold(&model, &changed);
    assert_int_equal(model.changed, 4);
    assert_false(model.settled);
    model_fold(&model, &idle);
    assert_true(model.settled);
    model_fold(&model, &changed);
    assert_int_equal(model.changed, 2);
    struct event degraded = {.type = EVENT_WATCH_DEGRADED};
    degraded.u.degraded.reason = "polling";
    model_fold(&model, &degraded);
    assert_string_equal(model.degraded, "polling");
    model_release(&model);
}

static void test_unheard_of(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    /* Events of steps that no pipeline named, and events that name none. */
    finish(&model, "x", STEP_CACHED, 0);
    finish(&model, NULL, STEP_CACHED, 0);
    start(&model, "y", SECOND);
    struct event log = {.type = EVENT_STEP_LOG, .step = "y"};
    log.u.log.offset = 10;
    log.u.log.n = 5;
    log.u.log.log = "/tmp/other";
    model_fold(&model, &log);
    assert_int_equal(model.steps.n, 2);
    assert_int_equal(model.steps.v[0].state, STATE_CACHED);
    assert_int_equal(model.steps.v[1].log_bytes, 15);
    assert_string_equal(model.steps.v[1].log, "/tmp/other");
    load(&model, names, 0);
    assert_int_equal(model.steps.n, 0);
    model_release(&model);
}

static void run_event(struct model *model, enum event_type type, const char *id, const char *step,
                      int status, uint64_t time_ns)
{
    struct event event = {.type = type, .run = id, .step = step, .time_ns = time_ns};
    if (type == EVENT_RUN_STARTED) {
        event.u.run_started.steps = &step;
        event.u.run_started.n_steps = 1;
    } else if (type == EVENT_RUN_FINISHED) {
        event.u.run_finished.status = (enum run_status)status;
        event.u.run_finished.duration_ms = 1;
    } else if (type == EVENT_STEP_FINISHED) {
        event.u.finished.status = (enum step_status)status;
    }
    model_fold(model, &event);
}

/* An edit while a step runs begins another run beside, which may end before the first. */
static void test_runs_that_overlap(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    load(&model, names, 3);
    run_event(&model, EVENT_RUN_STARTED, "7", "a", 0, 10 * SECOND);
    start(&model, "a", 10 * SECOND);
    run_event(&model, EVENT_RUN_STARTED, "8", "b", 0, 12 * SECOND);
    run_event(&model, EVENT_STEP_FINISHED, "8", "b", STEP_FAILED, 13 * SECOND);
    run_event(&model, EVENT_RUN_FINISHED, "8", NULL, RUN_FAILED, 13 * SECOND);
    assert_int_equal(model.run_state, RUN_ACTIVE);
    assert_true(model_is_under_way(&model, "7"));
    assert_false(model_is_under_way(&model, "8"));
    assert_int_equal(model_run_ms(&model, 14 * SECOND), 4000);
    run_event(&model, EVENT_STEP_FINISHED, "7", "a", STEP_PASSED, 18 * SECOND);
    run_event(&model, EVENT_RUN_FINISHED, "7", NULL, RUN_PASSED, 18 * SECOND);
    assert_int_equal(model.run_state, RUN_ENDED);
    assert_int_equal(model.run_status, RUN_FAILED);
    assert_int_equal(model_run_ms(&model, 99 * SECOND), 8000);
    assert_true(model_in_run(&model, &model.steps.v[0]));
    assert_true(model_in_run(&model, &model.steps.v[1]));
    /* What comes later stands alone. */
    run_event(&model, EVENT_RUN_STARTED, "9", "a", 0, 20 * SECOND);
    run_event(&model, EVENT_STEP_FINISHED, "9", "a", STEP_PASSED, 20 * SECOND);
    run_event(&model, EVENT_RUN_FINISHED, "9", NULL, RUN_PASSED, 20 * SECOND);
    assert_int_equal(model.run_status, RUN_PASSED);
    assert_false(model_in_run(&model, &model.steps.v[1]));
    model_release(&model);
}

/* The end of a step in a run that another has overtaken is no state of the step. */
static void test_a_run_that_is_overtaken(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    load(&model, names, 3);
    run_event(&model, EVENT_RUN_STARTED, "7", "a", 0, 10 * SECOND);
    start(&model, "a", 10 * SECOND);
    run_event(&model, EVENT_RUN_STARTED, "8", "a", 0, 12 * SECOND);
    run_event(&model, EVENT_STEP_FINISHED, "7", "a", STEP_CANCELLED, 12 * SECOND);
    assert_int_equal(model.steps.v[0].state, STATE_WAITING);
    run_event(&model, EVENT_RUN_FINISHED, "7", NULL, RUN_CANCELLED, 12 * SECOND);
    assert_int_equal(model.run_state, RUN_ACTIVE);
    run_event(&model, EVENT_STEP_FINISHED, "8", "a", STEP_PASSED, 13 * SECOND);
    run_event(&model, EVENT_RUN_FINISHED, "8", NULL, RUN_PASSED, 13 * SECOND);
    assert_int_equal(model.run_status, RUN_PASSED);
    /* The later one was called off before: then the earlier one tells. */
    run_event(&model, EVENT_RUN_STARTED, "9", "a", 0, 20 * SECOND);
    run_event(&model, EVENT_RUN_STARTED, "10", "a", 0, 21 * SECOND);
    run_event(&model, EVENT_STEP_FINISHED, "10", "a", STEP_CANCELLED, 22 * SECOND);
    run_event(&model, EVENT_RUN_FINISHED, "10", NULL, RUN_CANCELLED, 22 * SECOND);
    run_event(&model, EVENT_STEP_FINISHED, "9", "a", STEP_PASSED, 23 * SECOND);
    run_event(&model, EVENT_RUN_FINISHED, "9", NULL, RUN_PASSED, 23 * SECOND);
    assert_int_equal(model.steps.v[0].state, STATE_PASSED);
    assert_int_equal(model.run_status, RUN_PASSED);
    model_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run),
        cmocka_unit_test(test_what_is_made_ready),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_second_run_compares),
        cmocka_unit_test(test_reload_keeps_what_is_known),
        cmocka_unit_test(test_who_came_first),
        cmocka_unit_test(test_runs_that_overlap),
        cmocka_unit_test(test_a_run_that_is_overtaken),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_unheard_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
