/* Patterns at random against a slow matcher that follows the definition; their cost; junk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/glob.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_PATTERNS 4

static struct glob_set *compile(const char *const *patterns, size_t n)
{
    struct glob_set *set = NULL;
    struct err err = ERR_INIT;
    if (glob_set_new(patterns, n, &set, NULL, &err) != 0)
        fail_msg("%s", err_text(&err));
    return set;
}

/* --- a second opinion: the definition, written down without regard to cost --- */

static bool slow_name(const char *pattern, const char *end, const char *name, const char *name_end)
{
    if (pattern == end)
        return name == name_end;
    if (*pattern == '*')
        return slow_name(pattern + 1, end, name, name_end) ||
               (name < name_end && slow_name(pattern, end, name + 1, name_end));
    return name < name_end && (*pattern == '?' || *pattern == *name) &&
           slow_name(pattern + 1, end, name + 1, name_end);
}

static const char *end_of(const char *name)
{
    return name + strcspn(name, "/");
}

static const char *after(const char *name)
{
    const char *end = end_of(name);
    return *end ? end + 1 : end;
}

/* Whether the whole path matches the whole pattern, both without a slash at the end. */
static bool slow_whole(const char *pattern, const char *path)
{
    if (!*pattern)
        return !*path;
    if (!strcmp(pattern, "**"))
        return *path;
    if (!strncmp(pattern, "**/", 3))
        return slow_whole(pattern + 3, path) || (*path && slow_whole(pattern, after(path)));
    return *path && slow_name(pattern, end_of(pattern), path, end_of(path)) &&
           slow_whole(after(pattern), after(path));
}

/* Whether it matches the path or a directory above it. */
static bool slow_takes(const char *pattern, const char *path)
{
    char plain[64], upper[64];
    size_t n = strlen(pattern);
    bool dir_only = pattern[n - 1] == '/';
    memcpy(plain, pattern, n - dir_only);
    plain[n - dir_only] = '\0';
    strcpy(upper, path);
    for (;;) {
        if (!(dir_only && !strcmp(upper, path)) && slow_whole(plain, upper))
            return true;
        char *slash = strrchr(upper, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
}

static bool slow_has(const char *const *patterns, size_t n, const char *path)
{
    while (n-- > 0) {
        bool negated = *patterns[n] == '!';
        if (slow_takes(patterns[n] + negated, path))
            return !negated;
    }
    return false;
}

static uint32_t roll(uint64_t *seed, uint32_t sides)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % sides;
}

static void random_pattern(uint64_t *seed, char out[64])
{
    static const char *const parts[] = {"a",  "b", "ab", "*",   "**", "a*",
                                        "*b", "?", "a?", "*a*", "b*a"};
    out[0] = '\0';
    if (!roll(seed, 3))
        strcat(out, "!");
    for (uint32_t n = 1 + roll(seed, 4), i = 0; i < n; i++) {
        if (i)
            strcat(out, "/");
        strcat(out, parts[roll(seed, COUNT(parts))]);
    }
    if (!roll(seed, 5))
        strcat(out, "/");
}

/* All paths of up to four of these names. */
static const char *const path_names[] = {"a", "b", "ab", "bba"};
#define N_NAMES 4
#define N_PATHS (4 + 16 + 64 + 256)

static void make_paths(char paths[N_PATHS][32])
{
    size_t n = 0;
    for (size_t depth = 1, many = N_NAMES; depth <= 4; depth++, many *= N_NAMES) {
        for (size_t number = 0; number < many; number++, n++) {
            paths[n][0] = '\0';
            for (size_t i = 0, rest = number; i < depth; i++, rest /= N_NAMES) {
                if (i)
                    strcat(paths[n], "/");
                strcat(paths[n], path_names[rest % N_NAMES]);
            }
        }
    }
}

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return !n || (!strncmp(path, dir, n) && path[n] == '/');
}

static void against_the_definition(void **state)
{
    (void)state;
    static char paths[N_PATHS][32];
    static bool in[N_PATHS];
    make_paths(paths);
    uint64_t seed = 42;
    for (int round = 0; round < 3000; round++) {
        char text[MAX_PATTERNS][64];
        const char *patterns[MAX_PATTERNS];
        size_t n = 1 + roll(&seed, MAX_PATTERNS);
        for (size_t i = 0; i < n; i++) {
            random_pattern(&seed, text[i]);
            patterns[i] = text[i];
        }
        struct glob_set *set = compile(patterns, n);
        for (size_t i = 0; i < N_PATHS; i++) {
            in[i] = glob_set_has(set, paths[i]);
            if (in[i] != slow_has(patterns, n, paths[i]))
                fail_msg("%s (%zu) and %s: %d", patterns[n - 1], n, paths[i], in[i]);
        }
        /* What reach promises for a directory must hold for all that is below. */
        for (size_t d = 0; d < 1 + 4 + 16; d++) {
            const char *dir = d ? paths[d - 1] : "";
            enum glob_reach got = glob_set_reach(set, dir);
            for (size_t i = 0; got != GLOB_SOME && i < N_PATHS; i++) {
                if (is_below(paths[i], dir) && in[i] != (got == GLOB_WHOLE))
                    fail_msg("%s (%zu): \"%s\" is %d but %s", patterns[n - 1], n, dir, got,
                             paths[i]);
            }
        }
        glob_set_free(set);
    }
}

/* --- cost and junk --- */

static void repeat(char *out, const char *unit, size_t times, const char *end)
{
    out[0] = '\0';
    for (size_t i = 0, n = strlen(unit); i < times; i++)
        memcpy(out + i * n, unit, n + 1);
    strcat(out, end);
}

/* Each of these would take longer than the universe if every star were tried against every other.
 */
static void no_blow_up(void **state)
{
    (void)state;
    static const struct {
        const char *unit, *end, *path_unit, *path_end;
    } cases[] = {
        {"a*", "b", "a", "c"},
        {"*a", "b", "a", "c"},
        {"*?", "b", "a", "c"},
        {"[a]*", "b", "a", "c"},
        {"**/", "b", "a/", "c"},
        {"**/a/", "b", "a/", "c"},
        {"a/**/", "b", "a/", "c"},
        {"**/*/", "b", "a/", "c"},
        {"**/a*a*a/", "b", "aaaa/", "c"},
        {"**/*a*/", "*b", "aaaa/", "c"},
    };
    char *pattern = malloc(20000), *path = malloc(20000);
    uint64_t start = clock_monotonic_ns();
    for (size_t i = 0; i < COUNT(cases); i++) {
        repeat(pattern, cases[i].unit, 200, cases[i].end);
        repeat(path, cases[i].path_unit, 800, cases[i].path_end);
        const char *one = pattern;
        struct glob_set *set = compile(&one, 1);
        assert_false(glob_set_has(set, path));
        glob_set_reach(set, path);
        path[strlen(path) - 1] = 'b';
        assert_true(glob_set_has(set, path));
        glob_set_free(set);
    }
    /* Milliseconds in fact; the bound leaves room for a sanitizer on a busy machine. */
    assert_true(clock_monotonic_ns() - start < UINT64_C(20000000000));
    free(pattern);
    free(path);
}

static void long_ones(void **state)
{
    (void)state;
    enum { N = 200000 };
    static const char *const units[] = {"[a]", "a/",  "*/",  "**/", "?",
                                        "*",   "\\a", "../", "./",  "[[:alpha:]]"};
    char *pattern = malloc(N * 12 + 2);
    for (size_t i = 0; i < COUNT(units); i++) {
        repeat(pattern, units[i], N, "b");
        const char *one = pattern;
        struct glob_set *set = NULL;
        if (glob_set_new(&one, 1, &set, NULL, NULL) == 0) {
            glob_set_has(set, "a/b/c");
            glob_set_reach(set, "a/b");
        }
        glob_set_free(set);
    }
    free(pattern);
}

static void junk(void **state)
{
    (void)state;
    static const char bytes[] = "a/b*?[]!^-\\.:d\xc3\xa9\xff";
    uint64_t seed = 7;
    for (int round = 0; round < 100000; round++) {
        char text[2][24];
        for (int i = 0; i < 2; i++) {
            size_t n = roll(&seed, 20);
            for (size_t at = 0; at < n; at++)
                text[i][at] = bytes[roll(&seed, sizeof(bytes) - 1)];
            text[i][n] = '\0';
        }
        /* On the heap and exact, so that reading past the end is seen. */
        char *pattern = strdup(text[0]), *path = strdup(text[1]);
        const char *one = pattern;
        struct glob_set *set = NULL;
        int code = glob_set_new(&one, 1, &set, NULL, NULL);
        free(pattern);
        if (code == 0) {
            glob_set_has(set, path);
            glob_set_reach(set, path);
            glob_set_names(set, path);
        }
        glob_set_free(set);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_definition),
        cmocka_unit_test(no_blow_up),
        cmocka_unit_test(long_ones),
        cmocka_unit_test(junk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
