/* The time that a run will still take, and who waits for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/estimate.h"

#define SECOND UINT64_C(1000000000)

struct line {
    const char *name, *need;
    uint64_t last_ms;
};

static void load(struct model *model, const struct line *lines, size_t n, uint32_t jobs)
{
    struct event_step_info infos[16] = {{0}};
    const char *names[16];
    struct event event = {.type = EVENT_PIPELINE_LOADED};
    model_init(model);
    for (size_t i = 0; i < n; i++) {
        names[i] = lines[i].name;
        infos[i] = (struct event_step_info){.name = lines[i].name,
                                            .command = "true",
                                            .needs = &lines[i].need,
                                            .n_needs = lines[i].need != NULL,
                                            .last_ms = lines[i].last_ms};
    }
    event.u.pipeline.steps = infos;
    event.u.pipeline.n_steps = n;
    model_fold(model, &event);
    event = (struct event){.type = EVENT_RUN_STARTED, .time_ns = SECOND};
    event.u.run_started.steps = names;
    event.u.run_started.n_steps = n;
    event.u.run_started.jobs = jobs;
    model_fold(model, &event);
}

static void tell(struct model *model, enum event_type type, const char *step, uint64_t time_ns)
{
    struct event event = {.type = type, .step = step, .time_ns = time_ns};
    if (type == EVENT_STEP_FINISHED)
        event.u.finished.status = STEP_PASSED;
    model_fold(model, &event);
}

static void assert_left(const struct model *model, uint64_t at_s, uint64_t ms, bool at_least)
{
    struct estimate left = estimate_left(model, at_s * SECOND);
    assert_true(left.known);
    assert_int_equal(left.ms, ms);
    assert_int_equal(left.at_least, at_least);
}

static void test_the_longest_chain(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"build", NULL, 4000}, {"lint", NULL, 1000}, {"test", "build", 6000}};
    struct model model;
    load(&model, lines, 3, 8);
    assert_left(&model, 1, 10000, false);
    tell(&model, EVENT_STEP_STARTED, "build", 1 * SECOND);
    assert_left(&model, 3, 8000, false);
    assert_left(&model, 7, 6000, true); /* it should have ended two seconds ago */
    tell(&model, EVENT_STEP_FINISHED, "build", 7 * SECOND);
    assert_left(&model, 7, 6000, false);
    model_release(&model);
}

static void test_few_places(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"a", NULL, 3000}, {"b", NULL, 3000}, {"c", NULL, 3000}, {"d", NULL, 3000}};
    struct model model;
    load(&model, lines, 4, 2);
    assert_left(&model, 1, 6000, false);
    model_release(&model);
}

static void test_failed_and_held(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"build", NULL, 4000}, {"lint", NULL, 1000}, {"test", "build", 6000}};
    struct model model;
    load(&model, lines, 3, 8);
    tell(&model, EVENT_STEP_STARTED, "build", SECOND);
    struct event event = {.type = EVENT_STEP_PAUSED, .step = "lint", .time_ns = SECOND};
    model_fold(&model, &event);
    assert_left(&model, 1, 10000, true); /* who knows for how long it is held */
    tell(&model, EVENT_STEP_RESUMED, "lint", SECOND);
    assert_left(&model, 1, 10000, false);
    /* What needs a step that failed will not run. */
    event = (struct event){.type = EVENT_STEP_FINISHED, .step = "build", .time_ns = SECOND};
    event.u.finished.status = STEP_FAILED;
    model_fold(&model, &event);
    assert_left(&model, 1, 1000, false);
    model_release(&model);
}

static void test_not_known(void **state)
{
    (void)state;
    static const struct line lines[] = {{"a", NULL, 0}, {"b", "a", 2000}};
    struct model model;
    load(&model, lines, 2, 2);
    assert_left(&model, 1, 2000, true);
    tell(&model, EVENT_STEP_FINISHED, "a", 2 * SECOND);
    tell(&model, EVENT_STEP_FINISHED, "b", 2 * SECOND);
    assert_false(estimate_left(&model, 2 * SECOND).known);
    tell(&model, EVENT_RUN_FINISHED, NULL, 2 * SECOND);
    assert_false(estimate_left(&model, 2 * SECOND).known);
    model_release(&model);
}

static void test_the_queue(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"lint", NULL, 0}, {"build", NULL, 0}, {"spell", NULL, 0}, {"test", "build", 0}};
    static const char *const queued[] = {"lint", "build", "spell"};
    struct model model;
    load(&model, lines, 4, 1);
    for (size_t i = 0; i < 3; i++)
        tell(&model, EVENT_STEP_QUEUED, queued[i], SECOND);
    /* What something waits for goes first, else as they came. */
    assert_int_equal(model_before(&model, &model.steps.v[1]), 0);
    assert_int_equal(model_before(&model, &model.steps.v[0]), 1);
    assert_int_equal(model_before(&model, &model.steps.v[2]), 2);
    tell(&model, EVENT_STEP_STARTED, "build", SECOND);
    assert_int_equal(model_before(&model, &model.steps.v[2]), 1);
    model_release(&model);
}

/* As the engine starts them: what takes longest first, with all that waits for it. */
static void test_the_queue_by_durations(void **state)
{
    (void)state;
    static const struct line lines[] = {{"lint", NULL, 9000},
                                        {"build", NULL, 3000},
                                        {"spell", NULL, 10000},
                                        {"test", "build", 6500}};
    static const char *const queued[] = {"lint", "build", "spell"};
    struct model model;
    load(&model, lines, 4, 1);
    for (size_t i = 0; i < 3; i++)
        tell(&model, EVENT_STEP_QUEUED, queued[i], SECOND);
    assert_int_equal(model_before(&model, &model.steps.v[2]), 0);
    assert_int_equal(model_before(&model, &model.steps.v[1]), 1);
    assert_int_equal(model_before(&model, &model.steps.v[0]), 2);
    model_release(&model);
}

/* Steps that no pipeline named are queued too. */
static void test_the_queue_without_a_pipeline(void **state)
{
    (void)state;
    static const char *const queued[] = {"b", "a", "c"};
    struct model model;
    model_init(&model);
    for (size_t i = 0; i < 3; i++)
        tell(&model, EVENT_STEP_QUEUED, queued[i], SECOND);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(model_before(&model, &model.steps.v[i]), i);
    model_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_chain),
        cmocka_unit_test(test_few_places),
        cmocka_unit_test(test_failed_and_held),
        cmocka_unit_test(test_not_known),
        cmocka_unit_test(test_the_queue),
        cmocka_unit_test(test_the_queue_by_durations),
        cmocka_unit_test(test_the_queue_without_a_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
