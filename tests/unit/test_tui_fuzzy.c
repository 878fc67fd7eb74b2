/* Which of some names a few letters mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/fuzzy.h"

#include <string.h>

static const char *best(const char *pattern, const char *const *names, size_t n)
{
    const char *found = NULL;
    int most = -1;
    for (size_t i = 0; i < n; i++) {
        int score = fuzzy_score(pattern, names[i]);
        if (score > most) {
            most = score;
            found = names[i];
        }
    }
    return found;
}

static void test_best(void **state)
{
    (void)state;
    static const char *const names[] = {"search", "search-next", "search-previous",
                                        "retry",  "run-stale",   "cancel",
                                        "cache",  "pause",       "half-page-up"};
    static const struct {
        const char *pattern, *name;
    } cases[] = {
        {"re", "retry"},           {"rs", "run-stale"}, {"sn", "search-next"},
        {"sp", "search-previous"}, {"can", "cancel"},   {"hpu", "half-page-up"},
        {"sear", "search"},        {"cach", "cache"},   {"pau", "pause"},
        {"run s", "run-stale"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(best(cases[i].pattern, names, 9), cases[i].name);
}

static void test_edges(void **state)
{
    (void)state;
    char long_one[1000];
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    assert_int_equal(fuzzy_score("", "x"), 0);
    assert_int_equal(fuzzy_score("", ""), 0);
    assert_true(fuzzy_score("x", "") < 0);
    assert_true(fuzzy_score("ba", "ab") < 0);
    assert_true(fuzzy_score("Ab", "ab") < 0);
    assert_true(fuzzy_score("ab", "AB") >= 0);
    assert_true(fuzzy_score(long_one, long_one) >= 0);
    assert_true(fuzzy_score("\xff", "\xff\xfe") >= 0);
    assert_true(fuzzy_score("aa", "a") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
