/* What is to be started first, and the set of what waits in that order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/chains.h"
#include "base/mem.h"

#include <stdlib.h>

static void test_what_much_waits_for(void **state)
{
    (void)state;
    /* 3 needs 1, 4 needs 3; nothing is known: the longest way down, else as given. */
    static const struct chain_need needs[] = {{3, 1}, {4, 3}};
    static const uint64_t unknown[5] = {0};
    static const uint32_t by_steps[5] = {2, 0, 3, 1, 4};
    uint32_t place[5];
    chains_order(5, unknown, needs, 2, place);
    assert_memory_equal(place, by_steps, sizeof place);
    /* One long step outweighs three short ones. */
    static const uint64_t known[5] = {1000, 100, 5000, 100, 200};
    static const uint32_t by_time[5] = {1, 2, 0, 3, 4};
    chains_order(5, known, needs, 2, place);
    assert_memory_equal(place, by_time, sizeof place);
    /* What is quick is counted, whatever it took. */
    static const uint64_t quick[5] = {90, 1, 80, 2, 3};
    chains_order(5, quick, needs, 2, place);
    assert_memory_equal(place, by_steps, sizeof place);
}

static void test_what_is_not_known(void **state)
{
    (void)state;
    /* The second is taken to last 2 s. */
    static const uint64_t ms[4] = {1000, 0, 3000, 2000};
    static const uint32_t expected[4] = {3, 1, 0, 2};
    uint32_t place[4];
    chains_order(4, ms, NULL, 0, place);
    assert_memory_equal(place, expected, sizeof place);
    chains_order(0, NULL, NULL, 0, NULL);
}

static void test_no_sum_runs_over(void **state)
{
    (void)state;
    static const uint64_t ms[3] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    static const struct chain_need needs[] = {{1, 0}, {2, 1}};
    static const uint32_t expected[3] = {0, 1, 2};
    uint32_t place[3];
    chains_order(3, ms, needs, 2, place);
    assert_memory_equal(place, expected, sizeof place);
}

/* A shape of which much is known: the second half needs the first, one each. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 100000, HALF = N / 2 };
    uint64_t *ms = mem_zalloc(N, sizeof *ms);
    uint32_t *place = mem_zalloc(N, sizeof *place);
    struct chain_need *needs = mem_zalloc(HALF, sizeof *needs);
    for (uint32_t i = 0; i < HALF; i++) {
        ms[i] = 100 * (i + 1);
        ms[HALF + i] = 100 * N;
        needs[i] = (struct chain_need){HALF + i, i};
    }
    chains_order(N, ms, needs, HALF, place);
    for (uint32_t i = 0; i < HALF; i++) {
        assert_int_equal(place[i], HALF - 1 - i);
        assert_int_equal(place[HALF + i], HALF + i);
    }
    free(ms);
    free(place);
    free(needs);
}

static void test_a_set_in_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 65, 4095, 4096, 4097, 20000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s];
        struct bits bits;
        bits_init(&bits, n);
        assert_int_equal(bits_next(&bits, 0), n);
        bool *in = mem_zalloc(n, sizeof *in);
        uint32_t random = 1;
        for (size_t step = 0; step < 2000; step++) {
            random = random * 1664525 + 1013904223;
            size_t i = (random >> 8) % n;
            in[i] = !in[i];
            if (in[i])
                bits_put(&bits, i);
            else
                bits_take(&bits, i);
            assert_int_equal(bits_has(&bits, i), in[i]);
        }
        size_t below = 0, next = bits_next(&bits, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(bits_has(&bits, i), in[i]);
            assert_int_equal(bits_below(&bits, i), below);
            assert_int_equal(next == i, in[i]);
            if (in[i])
                next = bits_next(&bits, i + 1);
            below += in[i];
        }
        assert_int_equal(next, n);
        assert_int_equal(bits_next(&bits, n), n);
        assert_int_equal(bits_below(&bits, n + 1000), below);
        assert_false(bits_has(&bits, n));
        free(in);
        bits_release(&bits);
    }
}

static void test_room_for_nothing(void **state)
{
    (void)state;
    struct bits bits = {0};
    assert_int_equal(bits_next(&bits, 0), 0);
    assert_int_equal(bits_below(&bits, 7), 0);
    assert_false(bits_has(&bits, 0));
    bits_release(&bits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_much_waits_for), cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_no_sum_runs_over),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_a_set_in_order),      cmocka_unit_test(test_room_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
