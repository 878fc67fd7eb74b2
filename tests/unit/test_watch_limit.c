/* The kernel's own refusals, in a user namespace whose limits are this test's. */
#include "test_watch_fixture.h"

#include <sched.h>

/* Sets a limit of the present user namespace; false where that is not allowed. */
static bool set_limit(const char *name, unsigned value)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/sys/user/%s", name);
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    bool ok = fprintf(file, "%u\n", value) > 0;
    return !fclose(file) && ok;
}

static bool enter_namespace(void)
{
    static bool entered;
    if (!entered)
        entered = !unshare(CLONE_NEWUSER);
    return entered;
}

static void no_watches_left(void **state)
{
    struct fixture *f = *state;
    if (!enter_namespace() || !set_limit("max_inotify_watches", 5))
        skip();
    make_watch(f, 0, 600000);
    watch_add(f->watch, 0, "");
    for (uint32_t id = 1; id <= 20; id++) {
        char name[16];
        snprintf(name, sizeof(name), "d%" PRIu32, id);
        make_dir(f, name);
        watch_add(f->watch, id, name);
    }
    /* The parent of the root takes one. */
    assert_int_equal(watch_counts(f->watch).watched, 4);
    assert_int_equal(watch_counts(f->watch).polled, 17);
    barrier(f);
    assert_int_equal(f->degraded, 1);
    assert_non_null(strstr(f->degraded_text, "17 directories"));
    for (int i = 0; i < 20; i++) {
        forget_reports(f);
        put(f, "d1/f", "");
        put(f, "d20/f", i & 1 ? "1" : "0");
        barrier(f);
        assert_true(count_of(f, 1, "f") >= 1);
        assert_true(count_of(f, 20, NULL) >= 1);
    }
    assert_int_equal(f->clock.epoch, 1);
    assert_true(set_limit("max_inotify_watches", 1000));
}

static void no_instances_left(void **state)
{
    struct fixture *f = *state;
    if (!enter_namespace() || !set_limit("max_inotify_instances", 0))
        skip();
    make_watch(f, 0, 600000);
    watch_add(f->watch, 0, "");
    put(f, "a", "");
    barrier(f);
    assert_int_equal(watch_counts(f->watch).polled, 1);
    assert_int_equal(count_of(f, 0, NULL), 1);
    assert_int_equal(f->degraded, 1);
    assert_non_null(strstr(f->degraded_text, "max_user_instances"));
    assert_true(set_limit("max_inotify_instances", 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        watch_test(no_watches_left),
        watch_test(no_instances_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
