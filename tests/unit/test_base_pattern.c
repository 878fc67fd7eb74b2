/* test_base_pattern.c - whether there is a match is answered as where it is, and in less time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pattern.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const expressions[] = {
    "a.*q",     "^a|b$",       "a|^b",   "a)b",   "(a)b)",        "[)]a",     "a[(]b)",
    "\\)a",     "\\(a",        "(a|b)",  "a$",    "^$",           "x*",       "[^a]b",
    "[]a)(]b",  "(^|[^a-z])b", "\\bab",  "\\<b",  "b\\>",         "\\W",      "a{2}",
    "a{0,1}b$", "^(a|aa)+$",   "(()a)",  ".",     "A.b",          "(^a)b",    "é.b",
    "[é]b",     "a.b",         "(a$)|b", "b(^a)", "[[:digit:])]", "[[.(.]]a",
};

static const char *const texts[] = {
    "",
    "a",
    "b",
    "ab",
    "a)b",
    "ab)",
    "a(b)",
    ")a",
    "(a",
    "]b",
    "xab",
    "aab",
    "a q",
    "xaxqx",
    "b\xff"
    "a",
    "\xff"
    "ab",
    "a\xff"
    "b",
    "é",
    "éab",
    "aéb",
    "a b",
    "A b",
    "AXb",
    "aaaa",
    "1",
    "x)",
    "\xc3",
    "ab\xc3",
    "foo b",
    "foob",
    "a\x80",
};

static void compare_all(void)
{
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        struct pattern pattern = {0};
        pattern_set(&pattern, expressions[i]);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            size_t n = strlen(texts[k]), start, end;
            bool found = pattern_find(&pattern, texts[k], n, 0, &start, &end);
            if (pattern_matches(&pattern, texts[k], n) != found)
                fail_msg("%s in %s: found is %d", expressions[i], texts[k], found);
        }
        pattern_release(&pattern);
    }
}

static void test_as_it_is_found(void **state)
{
    (void)state;
    compare_all();
    if (setlocale(LC_CTYPE, "C.UTF-8"))
        compare_all();
    setlocale(LC_CTYPE, "C");
}

static void test_nothing(void **state)
{
    (void)state;
    struct pattern pattern = {0};
    assert_false(pattern_matches(&pattern, "a", 1));
    pattern_set(&pattern, "(");
    assert_false(pattern_matches(&pattern, "(", 1));
    pattern_release(&pattern);
}

/* Long lines that hold the beginning of a match everywhere: by the square of their length it would
 * be minutes. */
static void test_long_lines(void **state)
{
    (void)state;
    struct pattern pattern = {0};
    char *line = mem_alloc(10001);
    memset(line, 'a', 10000);
    line[10000] = '\0';
    line[PATTERN_LOOKED] = 'q';
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    pattern_set(&pattern, "(a|x).*q");
    clock_t before = clock();
    for (int i = 0; i < 5000; i++) {
        line[PATTERN_LOOKED - 1] = "aq"[i % 2];
        assert_int_equal(pattern_matches(&pattern, line, 10000), i % 2);
    }
    assert_true((clock() - before) / CLOCKS_PER_SEC < 20);
    setlocale(LC_CTYPE, "C");
    pattern_release(&pattern);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_it_is_found),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
