/* Directories that can't be watched: announced once, looked at, and part of every barrier. */
#include "test_watch_fixture.h"

#include <sys/resource.h>

enum { DIRS = 12 };

/* DIRS directories d1 … under the ids 1 …; the root has id 0. */
static void start(struct fixture *f, size_t max_watches, uint64_t poll_ms)
{
    make_watch(f, max_watches, poll_ms);
    watch_add(f->watch, 0, "");
    for (uint32_t id = 1; id <= DIRS; id++) {
        char name[16];
        snprintf(name, sizeof(name), "d%" PRIu32, id);
        mkdir(at(f, name), 0755);
        watch_add(f->watch, id, name);
    }
}

static void limit_is_announced_once(void **state)
{
    struct fixture *f = *state;
    start(f, 5, 60000);
    assert_int_equal(watch_counts(f->watch).watched, 5);
    assert_int_equal(watch_counts(f->watch).polled, DIRS + 1 - 5);
    assert_int_equal(f->degraded, 0); /* never from inside a call */
    barrier(f);
    assert_int_equal(f->degraded, 1);
    assert_non_null(strstr(f->degraded_text, "8 directories cannot be watched"));
    assert_non_null(strstr(f->degraded_text, "no more than 5"));
    assert_non_null(strstr(f->degraded_text, "sysctl fs.inotify.max_user_watches="));
    make_dir(f, "more");
    watch_add(f->watch, 100, "more");
    barrier(f);
    assert_int_equal(f->degraded, 1);
    assert_int_equal(f->rescans, 0);
}

/* Nothing but the barrier makes it look: the interval is longer than the test. */
static void barrier_includes_a_look_at_what_is_polled(void **state)
{
    struct fixture *f = *state;
    start(f, 5, 600000);
    barrier(f);
    assert_int_equal(count_of(f, DIRS, NULL), 1); /* the first look */
    for (int i = 0; i < 200; i++) {
        forget_reports(f);
        char text[16];
        snprintf(text, sizeof(text), "%d", i % 10); /* the size stays */
        put(f, "d12/f", text);
        if (i % 3 == 1) { /* a look under way may be past it already */
            ask(f);
            uv_run(&f->loop, UV_RUN_NOWAIT);
            put(f, "d11/f", text);
        }
        barrier(f);
        assert_true(count_of(f, 12, NULL) >= 1);
        if (i % 3 == 1)
            assert_true(count_of(f, 11, NULL) >= 1);
        assert_int_equal(count_of(f, 0, "d12"), 0);
    }
    assert_int_equal(f->clock.epoch, 1);
}

static void interval_finds_changes_and_rests(void **state)
{
    struct fixture *f = *state;
    start(f, 5, 1);
    run_until(f, count_of(f, 12, NULL));
    /* Stamps as fresh as these are reported until they are old enough to be told apart. */
    uint64_t events = 0;
    unsigned same = 0;
    run_until(f, (watch_counts(f->watch).events == events
                      ? ++same
                      : (events = watch_counts(f->watch).events, same = 0)) > 300);
    forget_reports(f);
    put(f, "d12/f", "");
    run_until(f, count_of(f, 12, NULL));
    assert_int_equal(count_of(f, 11, NULL), 0);

    forget_reports(f);
    assert_int_equal(unlink(at(f, "d12/f")), 0);
    assert_int_equal(rmdir(at(f, "d12")), 0);
    run_until(f, count_of(f, 12, NULL) && count_of(f, 0, "d12"));
    for (uint32_t id = 5; id <= DIRS; id++)
        watch_remove(f->watch, id);
    assert_int_equal(watch_counts(f->watch).polled, 0);
    barrier(f);
    /* Nothing is polled, nothing wakes up. */
    assert_int_equal(uv_backend_timeout(&f->loop), -1);
}

static void removed_while_a_barrier_waits_for_a_look(void **state)
{
    struct fixture *f = *state;
    start(f, 5, 600000);
    ask(f);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    ask(f);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    forget_reports(f);
    for (uint32_t id = 1; id <= DIRS; id++)
        watch_remove(f->watch, id);
    run_until(f, f->barriers == 2);
    assert_int_equal(count_of(f, 12, NULL) + count_of(f, 0, NULL), 0);
}

static void room_is_used_again(void **state)
{
    struct fixture *f = *state;
    start(f, 5, 600000);
    barrier(f);
    watch_remove(f->watch, 1);
    watch_add(f->watch, 12, "d12");
    assert_int_equal(watch_counts(f->watch).watched, 5);
    assert_int_equal(watch_counts(f->watch).polled, DIRS - 5);
    forget_reports(f);
    put(f, "d12/f", "");
    barrier(f);
    assert_true(count_of(f, 12, "f") >= 1);
}

static void all_is_polled_without_inotify(void **state)
{
    struct fixture *f = *state;
    /* With no descriptor left, inotify_init1 fails as it does at its own limit. */
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    make_watch(f, 0, 600000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    watch_add(f->watch, 0, "");
    barrier(f);
    assert_int_equal(f->degraded, 1);
    assert_non_null(strstr(f->degraded_text, "1 directory cannot be watched"));
    assert_non_null(strstr(f->degraded_text, "max_user_instances"));
    for (int i = 0; i < 50; i++) {
        forget_reports(f);
        put(f, "f", i & 1 ? "1" : "0");
        barrier(f);
        assert_true(count_of(f, 0, NULL) >= 1);
    }
    assert_int_equal(unlink(at(f, "f")), 0);
    assert_int_equal(rmdir(f->root), 0);
    barrier(f);
    assert_int_equal(f->gone, 1);
    assert_int_equal(f->clock.epoch, 2);
    assert_int_equal(f->degraded, 1);
}

static void never(void *ctx, struct watch_clock clock)
{
    (void)ctx;
    (void)clock;
    fail_msg("a barrier was answered after its watch was closed");
}

static void closes_with_a_look_under_way(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++) {
        start(f, 2, i % 3);
        for (int turn = 0; turn < i % 5; turn++)
            uv_run(&f->loop, UV_RUN_NOWAIT);
        watch_barrier(f->watch, never, f);
        if (i & 1)
            watch_barrier(f->watch, never, f);
        end_watch(f);
    }
    /* From the report that a look makes, others still to come. */
    start(f, 2, 1);
    forget_reports(f);
    f->close_at_entry = 1 + 5;
    run_until(f, f->closed);
    assert_int_equal(count_of(f, 5, NULL), 1);
    assert_int_equal(count_of(f, 12, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        watch_test(limit_is_announced_once),
        watch_test(barrier_includes_a_look_at_what_is_polled),
        watch_test(interval_finds_changes_and_rests),
        watch_test(removed_while_a_barrier_waits_for_a_look),
        watch_test(room_is_used_again),
        watch_test(all_is_polled_without_inotify),
        watch_test(closes_with_a_look_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
