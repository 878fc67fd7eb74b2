/* Names of paths: nothing here touches the file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void joining(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *expected;
    } cases[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"a", "/b", "/b"},
        {"/", "b", "/b"},  {"a", "", "a"},     {"", "", ""},   {"/a", "b/c", "/a/b/c"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *joined = path_join(cases[i].a, cases[i].b);
        assert_string_equal(joined, cases[i].expected);
        free(joined);
    }
}

static void normalizing(void **state)
{
    (void)state;
    static const struct {
        const char *path, *expected;
    } cases[] = {
        {"./a//b/../c/", "a/c"},
        {".", ""},
        {"", ""},
        {"a", "a"},
        {"a/", "a"},
        {"a/b/c", "a/b/c"},
        {"a/./b", "a/b"},
        {"a/..", ""},
        {"a/../b", "b"},
        {"a/b/../..", ""},
        {"a/b/../../c", "c"},
        {"...", "..."},
        {"..a/b..", "..a/b.."},
        {".a", ".a"},
        {"a/.../b", "a/.../b"},
        {"aa/bb/../cc", "aa/cc"},
        {"..", NULL},
        {"../a", NULL},
        {"a/../..", NULL},
        {"a/../../b", NULL},
        {"./..", NULL},
        {"/", NULL},
        {"/a", NULL},
        {"a/b/../../../c", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *path = path_normalize(cases[i].path);
        if (cases[i].expected)
            assert_string_equal(path, cases[i].expected);
        else
            assert_null(path);
        free(path);
    }
}

static void below(void **state)
{
    (void)state;
    assert_true(path_is_below("a", "a"));
    assert_true(path_is_below("a/b", "a"));
    assert_true(path_is_below("a/b", ""));
    assert_true(path_is_below("", ""));
    assert_true(path_is_below("/a", "/"));
    assert_true(path_is_below("/", "/"));
    assert_false(path_is_below("ab", "a"));
    assert_false(path_is_below("a", "a/b"));
    assert_false(path_is_below("", "a"));
    assert_false(path_is_below("b", "a"));
}

static void xdg(void **state)
{
    (void)state;
    setenv("HOME", "/home/me", 1);
    unsetenv("KILN_TEST_XDG");
    char *path = path_xdg("KILN_TEST_XDG", ".cache");
    assert_string_equal(path, "/home/me/.cache/kiln");
    free(path);
    static const char *const unusable[] = {"", "relative", "./x"};
    for (size_t i = 0; i < COUNT(unusable); i++) {
        setenv("KILN_TEST_XDG", unusable[i], 1);
        path = path_xdg("KILN_TEST_XDG", ".local/state");
        assert_string_equal(path, "/home/me/.local/state/kiln");
        free(path);
    }
    setenv("KILN_TEST_XDG", "/var/x/", 1);
    setenv("HOME", "not/absolute", 1);
    path = path_xdg("KILN_TEST_XDG", ".cache");
    assert_string_equal(path, "/var/x/kiln");
    free(path);
    unsetenv("KILN_TEST_XDG");
    assert_null(path_xdg("KILN_TEST_XDG", ".cache"));
    unsetenv("HOME");
    assert_null(path_xdg("KILN_TEST_XDG", ".cache"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining),
        cmocka_unit_test(normalizing),
        cmocka_unit_test(below),
        cmocka_unit_test(xdg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
