#include "test_cache.h"

#include "engine/pace.h"

#define MS 1000000u

static void test_pace(void **state)
{
    struct pace pace = {.n = 0};
    uint64_t now = 5000 * (uint64_t)MS, done = 0;
    (void)state;
    assert_int_equal(pace_look(&pace, now, 0), 0);
    assert_int_equal(pace_look(&pace, now + 250 * MS, 100), 0); /* too soon to tell */
    assert_int_equal(pace_look(&pace, now + 1000 * MS, 500), 500);
    /* Only the last looks count. */
    for (size_t i = 0; i < 3 * (size_t)PACE_LOOKS; i++) {
        now += 2000 * (uint64_t)MS;
        done += 4000;
        uint64_t rate = pace_look(&pace, now, done);
        if (i > PACE_LOOKS)
            assert_int_equal(rate, 2000);
    }
    /* It stands still. */
    for (size_t i = 0; i <= PACE_LOOKS; i++)
        pace_look(&pace, now += 1000 * MS, done);
    assert_int_equal(pace_look(&pace, now + 1000 * MS, done), 0);
    /* Something else. */
    assert_int_equal(pace_look(&pace, now + 2000 * MS, 5), 0);
    assert_int_equal(pace_look(&pace, now + 3000 * MS, 15), 10);
    /* The clock stands. */
    assert_int_equal(pace_look(&pace, now + 3000 * MS, 25), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pace)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
