/* The table of watch descriptors against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch/wd_table.h"

#include <limits.h>

static void empty_table(void **state)
{
    (void)state;
    struct wd_table table = {0};
    assert_int_equal(wd_table_get(&table, 1), WD_TABLE_NONE);
    assert_int_equal(wd_table_get(&table, -1), WD_TABLE_NONE);
    wd_table_del(&table, 1);
    wd_table_put(&table, INT_MAX, 7);
    assert_int_equal(wd_table_get(&table, INT_MAX), 7);
    wd_table_del(&table, INT_MAX);
    wd_table_del(&table, INT_MAX);
    assert_int_equal(wd_table_get(&table, INT_MAX), WD_TABLE_NONE);
    assert_int_equal(table.count, 0);
    wd_table_release(&table);
}

static void agrees_with_an_array(void **state)
{
    (void)state;
    enum { RANGE = 2000, STEPS = 200000 };
    static uint32_t expected[RANGE + 1];
    for (int i = 0; i <= RANGE; i++)
        expected[i] = WD_TABLE_NONE;
    struct wd_table table = {0};
    uint32_t random = 1;
    for (uint32_t step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        int wd = (int)((random >> 8) % RANGE) + 1;
        /* A period of growing, a period of shrinking. */
        if ((random >> 28) < (step / 20000 % 2 ? 5U : 11U)) {
            wd_table_put(&table, wd, step);
            expected[wd] = step;
        } else {
            wd_table_del(&table, wd);
            expected[wd] = WD_TABLE_NONE;
        }
        int other = (int)((random >> 4) % RANGE) + 1;
        assert_int_equal(wd_table_get(&table, other), expected[other]);
    }
    size_t count = 0;
    for (int wd = 1; wd <= RANGE; wd++) {
        assert_int_equal(wd_table_get(&table, wd), expected[wd]);
        count += expected[wd] != WD_TABLE_NONE;
    }
    assert_int_equal(table.count, count);
    assert_true(table.n_entries >= 2 * count);
    wd_table_release(&table);
}

/* Descriptors only rise: the table must not grow with those that are past. */
static void does_not_grow_with_the_past(void **state)
{
    (void)state;
    struct wd_table table = {0};
    for (int wd = 1; wd < 1000000; wd++) {
        wd_table_put(&table, wd, 1);
        if (wd > 10)
            wd_table_del(&table, wd - 10);
    }
    assert_int_equal(table.count, 10);
    assert_true(table.n_entries <= 64);
    wd_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_table),
        cmocka_unit_test(agrees_with_an_array),
        cmocka_unit_test(does_not_grow_with_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
