/* Who is told that a run has ended, and who is left in peace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/notify.h"
#include "tui/settings.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

struct scene {
    struct model model;
    struct notify notify;
    struct buf out;
    uint64_t now_ms;
};

static void tell(struct scene *s, const struct event *event)
{
    model_fold(&s->model, event);
    notify_event(&s->notify, &s->model, event, s->now_ms, &s->out);
}

static void start(struct scene *s)
{
    static const char *const names[] = {"build", "test"};
    struct event event = {.type = EVENT_RUN_STARTED, .seq = 1, .run = "r", .time_ns = SECOND};
    event.u.run_started.pipeline = "demo";
    event.u.run_started.steps = names;
    event.u.run_started.n_steps = 2;
    event.u.run_started.trigger = "watch";
    event.u.run_started.version = "0";
    tell(s, &event);
}

static void fail_step(struct scene *s, const char *step, uint64_t at_s)
{
    struct event event = {.type = EVENT_STEP_FINISHED, .step = step, .time_ns = at_s * SECOND};
    event.u.finished.status = STEP_FAILED;
    event.u.finished.exit_code = 1;
    tell(s, &event);
}

static void end(struct scene *s, enum run_status status, uint64_t ms)
{
    struct event event = {.type = EVENT_RUN_FINISHED, .time_ns = SECOND + ms * 1000000};
    event.u.run_finished.status = status;
    event.u.run_finished.duration_ms = ms;
    tell(s, &event);
}

static struct scene scene(enum notify_how how)
{
    struct scene s = {.now_ms = 1000000};
    model_init(&s.model);
    s.notify.how = how;
    s.notify.after_ms = 30000;
    s.notify.desktop = "9";
    return s;
}

static void over(struct scene *s)
{
    model_release(&s->model);
    buf_release(&s->out);
}

static void test_bell(void **state)
{
    (void)state;
    struct scene s = scene(NOTIFY_BELL);
    start(&s);
    end(&s, RUN_PASSED, 29000);
    assert_string_equal(buf_str(&s.out), "");
    start(&s);
    end(&s, RUN_PASSED, 31000);
    assert_string_equal(buf_str(&s.out), "\a");
    start(&s);
    end(&s, RUN_CANCELLED, 31000);
    assert_string_equal(buf_str(&s.out), "\a");
    /* Of runs that overlap only the last end is one. */
    buf_reset(&s.out);
    start(&s);
    start(&s);
    end(&s, RUN_PASSED, 40000);
    assert_string_equal(buf_str(&s.out), "");
    end(&s, RUN_PASSED, 50000);
    assert_string_equal(buf_str(&s.out), "\a");
    over(&s);
}

static void test_red_once(void **state)
{
    (void)state;
    struct scene s = scene(NOTIFY_BELL);
    start(&s);
    fail_step(&s, "build", 10); /* too early to have gone away */
    assert_string_equal(buf_str(&s.out), "");
    fail_step(&s, "test", 40);
    assert_string_equal(buf_str(&s.out), "\a");
    end(&s, RUN_FAILED, 50000);
    assert_string_equal(buf_str(&s.out), "\a");
    start(&s);
    end(&s, RUN_FAILED, 50000);
    assert_string_equal(buf_str(&s.out), "\a\a");
    over(&s);
}

static void test_presence(void **state)
{
    (void)state;
    static const struct {
        enum notify_focus focus;
        uint64_t key_ms; /* how long ago; 0: none came */
        bool told;
    } table[] = {
        {FOCUS_HERE, 0, false},         {FOCUS_HERE, 999000, false},   {FOCUS_ELSEWHERE, 0, true},
        {FOCUS_ELSEWHERE, 1000, false}, {FOCUS_ELSEWHERE, 5000, true}, {FOCUS_UNKNOWN, 0, true},
        {FOCUS_UNKNOWN, 5000, false},   {FOCUS_UNKNOWN, 20000, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct scene s = scene(NOTIFY_BELL);
        s.notify.focus = table[i].focus;
        s.notify.key_ms = table[i].key_ms ? s.now_ms - table[i].key_ms : 0;
        start(&s);
        end(&s, RUN_PASSED, 60000);
        assert_int_equal(s.out.len > 0, table[i].told);
        over(&s);
    }
}

static void test_desktop(void **state)
{
    (void)state;
    struct scene s = scene(NOTIFY_DESKTOP);
    start(&s);
    fail_step(&s, "build", 41);
    assert_string_equal(buf_str(&s.out), "\x1b]9;demo: build failed, after 40s of the run\a");
    buf_reset(&s.out);
    struct event paused = {.type = EVENT_STEP_PAUSED, .step = "test", .time_ns = 51 * SECOND};
    tell(&s, &paused);
    assert_string_equal(buf_str(&s.out), "\x1b]9;demo: test waits for you, after 50s of the run\a");
    buf_reset(&s.out);
    end(&s, RUN_FAILED, 60000);
    assert_string_equal(buf_str(&s.out), "");
    s.notify.desktop = "777";
    s.notify.way = CLIP_TMUX;
    start(&s);
    end(&s, RUN_PASSED, 67000);
    assert_string_equal(buf_str(&s.out), "\x1bPtmux;\x1b\x1b]777;notify;kiln;demo passed in "
                                         "1:07\a\x1b\\\a");
    buf_reset(&s.out);
    s.notify.way = CLIP_SCREEN;
    start(&s);
    end(&s, RUN_PASSED, 67000);
    assert_string_equal(buf_str(&s.out), "\x1bP\x1b]777;notify;kiln;demo passed in 1:07\a\x1b\\");
    buf_reset(&s.out);
    s.notify.desktop = NULL;
    start(&s);
    end(&s, RUN_PASSED, 67000);
    assert_string_equal(buf_str(&s.out), "\a");
    buf_reset(&s.out);
    s.notify.how = NOTIFY_OFF;
    start(&s);
    end(&s, RUN_PASSED, 67000);
    assert_int_equal(s.out.len, 0);
    over(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bell),
        cmocka_unit_test(test_red_once),
        cmocka_unit_test(test_presence),
        cmocka_unit_test(test_desktop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
