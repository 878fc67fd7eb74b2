/* Patterns: tables of what they match, reach and name, and of what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/glob.h"

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

static size_t count(const char *const patterns[MAX_PATTERNS])
{
    size_t n = 0;
    while (n < MAX_PATTERNS && patterns[n])
        n++;
    return n;
}

static const struct {
    const char *patterns[MAX_PATTERNS];
    const char *path;
    bool has;
} has_cases[] = {
    /* Names: a directory takes all below it, and nothing that only starts alike. */
    {{"src"}, "src", true},
    {{"src"}, "src/a.c", true},
    {{"src"}, "src/deep/down/a.c", true},
    {{"src"}, "srcs", false},
    {{"src"}, "srcs/a.c", false},
    {{"src"}, "sr", false},
    {{"src"}, "lib/src", false},
    {{"src"}, "lib/src/a.c", false},
    {{"src/a.c"}, "src/a.c", true},
    {{"src/a.c"}, "src/a.cc", false},
    {{"src/a.c"}, "src", false},
    {{"a/b/c"}, "a/b/c/d", true},
    {{"a/b/c"}, "a/b", false},
    /* Ways to write the same. */
    {{"./src"}, "src/a.c", true},
    {{"./src/"}, "src/a.c", true},
    {{"src//a.c"}, "src/a.c", true},
    {{"src/./a.c"}, "src/a.c", true},
    {{"src/../lib"}, "lib/a", true},
    {{"src/../lib"}, "src/a", false},
    {{"."}, "a", true},
    {{"."}, "a/b", true},
    {{"./"}, "a/b", true},
    {{"a/.."}, "b", true},
    /* A slash at the end: what is below, not a file of that name. */
    {{"dir/"}, "dir/a", true},
    {{"dir/"}, "dir", false},
    {{"dir/"}, "dirs/a", false},
    {{"**/build/"}, "x/build/a", true},
    {{"**/build/"}, "build/a", true},
    {{"**/build/"}, "x/build", false},
    {{"**/build/"}, "build/build", true},
    {{"*/"}, "a/b", true},
    {{"*/"}, "a", false},
    {{"**/"}, "a/b", true},
    {{"**/"}, "a", false},
    /* One star stays within a name and at its place. */
    {{"*.c"}, "a.c", true},
    {{"*.c"}, ".c", true},
    {{"*.c"}, "a.cc", false},
    {{"*.c"}, "src/a.c", false},
    {{"*.c"}, "dir.c/any", true},
    {{"src/*.c"}, "src/a.c", true},
    {{"src/*.c"}, "src/x/a.c", false},
    {{"src/*"}, "src/a", true},
    {{"src/*"}, "src/x/a", true},
    {{"src/*"}, "src", false},
    {{"*"}, "a", true},
    {{"*"}, ".hidden", true},
    {{"*"}, "a/b/c", true},
    {{"*/*"}, "a", false},
    {{"*/*"}, "a/b", true},
    {{"a*c"}, "ac", true},
    {{"a*c"}, "abbbc", true},
    {{"a*c"}, "abbb", false},
    {{"a*c"}, "a/c", false},
    {{"a**c"}, "abc", true},
    {{"a**c"}, "a/c", false},
    {{"*a*b*"}, "xxaxxbxx", true},
    {{"*a*b*"}, "xxbxxaxx", false},
    {{"*ab"}, "aab", true},
    {{"*aab"}, "aaab", true},
    {{"a*b*c"}, "abcbc", true},
    {{"***"}, "a", true},
    /* Two stars are any number of names. */
    {{"**"}, "a", true},
    {{"**"}, "a/b/c", true},
    {{"**/*"}, "a", true},
    {{"**/*.c"}, "a.c", true},
    {{"**/*.c"}, "x/y/a.c", true},
    {{"**/*.c"}, "x/y/a.h", false},
    {{"**/*.c"}, "x.c/y", true},
    {{"**/x"}, "x", true},
    {{"**/x"}, "a/x/b", true},
    {{"**/x"}, "a/xx", false},
    {{"src/**"}, "src/a", true},
    {{"src/**"}, "src/a/b", true},
    {{"src/**"}, "src", false},
    {{"src/**/"}, "src/a/b", true},
    {{"src/**/"}, "src/a", false},
    {{"src/**/**"}, "src/a", true},
    {{"src/**/*.md"}, "src/a.md", true},
    {{"src/**/*.md"}, "src/x/y/a.md", true},
    {{"src/**/*.md"}, "a.md", false},
    {{"src/**/*.md"}, "lib/a.md", false},
    {{"a/**/b"}, "a/b", true},
    {{"a/**/b"}, "a/x/b", true},
    {{"a/**/b"}, "a/x/y/b/z", true},
    {{"a/**/b"}, "a/x/y", false},
    {{"a/**/b"}, "ab", false},
    {{"a/**/**/b"}, "a/b", true},
    {{"a/**/b/**/c"}, "a/b/c", true},
    {{"a/**/b/**/c"}, "a/x/b/y/z/c", true},
    {{"a/**/b/**/c"}, "a/c/b", false},
    {{"**/a/b"}, "a/a/b", true},
    {{"**/a/b"}, "a/x/b", false},
    {{"**/a/*/c"}, "a/a/b/c", true},
    {{"**/a/**/*.c"}, "x/a/y/z.c", true},
    {{"**/a/**/*.c"}, "x/b/y/z.c", false},
    /* Question marks are one character. */
    {{"?"}, "a", true},
    {{"?"}, "ab", false},
    {{"a?c"}, "abc", true},
    {{"a?c"}, "ac", false},
    {{"a?c"}, "a/c", false},
    {{"?"}, "\xc3\xa9", true},
    {{"??"}, "\xc3\xa9", false},
    {{"*??"}, "\xc3\xa9", false},
    {{"?x"}, "\xf0\x9f\x98\x80x", true},
    {{"?x"}, "\xffx", true},
    {{"??x"}, "\xff\xfex", true},
    /* Classes. */
    {{"[abc]"}, "b", true},
    {{"[abc]"}, "d", false},
    {{"[a-c]x"}, "bx", true},
    {{"[a-c]x"}, "dx", false},
    {{"[!a-c]"}, "d", true},
    {{"[!a-c]"}, "a", false},
    {{"[^a-c]"}, "d", true},
    {{"[^a-c]"}, "b", false},
    {{"[]]"}, "]", true},
    {{"[]a]"}, "a", true},
    {{"[!]]"}, "a", true},
    {{"[!]]"}, "]", false},
    {{"[a-]"}, "-", true},
    {{"[-a]"}, "-", true},
    {{"[a-]"}, "b", false},
    {{"[\\]]"}, "]", true},
    {{"[\\\\]"}, "\\", true},
    {{"[a\\-c]"}, "b", false},
    {{"[a\\-c]"}, "-", true},
    {{"[*?]"}, "*", true},
    {{"[*?]"}, "a", false},
    {{"[!x]"}, "/", false},
    {{"a[!x]b"}, "a/b", false},
    {{"[[:digit:]]"}, "7", true},
    {{"[[:digit:]]"}, "a", false},
    {{"[![:digit:]_]"}, "_", false},
    {{"[![:digit:]_]"}, "a", true},
    {{"[[:alpha:][:digit:]]*"}, "a7", true},
    {{"[[]"}, "[", true},
    {{"[\xc3\xa0-\xc3\xbf]"}, "\xc3\xa9", true},
    {{"[\xc3\xa0-\xc3\xbf]"}, "e", false},
    {{"[!a]"}, "\xc3\xa9", true},
    {{"*.[ch]"}, "a.h", true},
    {{"**/*.[ch]"}, "x/a.c", true},
    {{"**/*.[ch]"}, "x/a.cc", false},
    {{"[a-c]*[0-9]"}, "bxx7", true},
    /* A backslash takes what follows as it is. */
    {{"\\*"}, "*", true},
    {{"\\*"}, "a", false},
    {{"a\\?"}, "a?", true},
    {{"\\[a]"}, "[a]", true},
    {{"\\!x"}, "!x", true},
    {{"\\\\"}, "\\", true},
    {{"\\s\\r\\c"}, "src/a", true},
    {{"*\\*"}, "ab*", true},
    {{"*\\*"}, "ab", false},
    {{"\\**"}, "*ab", true},
    {{"\\*\\*/x"}, "**/x", true},
    {{"\\*\\*/x"}, "a/x", false},
    {{"\\./src"}, "src/a", true},
    /* Names with everything. */
    {{"a b"}, "a b", true},
    {{" a"}, " a", true},
    {{"#x"}, "#x", true},
    {{"{a,b}"}, "{a,b}", true},
    {{"..."}, "...", true},
    {{"..a"}, "..a/b", true},
    {{"\xff*"}, "\xff\xfe", true},
    /* Exclusion: the last one that matches decides. */
    {{"src", "!src/**/*.md"}, "src/a.c", true},
    {{"src", "!src/**/*.md"}, "src/x/a.md", false},
    {{"src", "!src/gen"}, "src/gen/a", false},
    {{"src", "!src/gen"}, "src/gena", true},
    {{"src", "!src/gen", "src/gen/keep"}, "src/gen/keep", true},
    {{"src", "!src/gen", "src/gen/keep"}, "src/gen/other", false},
    {{"!src/gen", "src"}, "src/gen/a", true},
    {{"!src"}, "src/a", false},
    {{"!src"}, "lib/a", false},
    {{".", "!**/build/"}, "x/build/a", false},
    {{".", "!**/build/"}, "x/build", true},
    {{".", "!*.o"}, "a.o", false},
    {{".", "!*.o"}, "x/a.o", true},
    {{".", "!./x/"}, "x/a", false},
    {{"!.", "a"}, "a", true},
    {{"a", "!."}, "a", false},
    {{"a", "!!b"}, "!b", false},
    {{NULL}, "a", false},
};

static void has(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(has_cases); i++) {
        const char *const *patterns = has_cases[i].patterns;
        size_t n = count(patterns);
        struct glob_set *set = compile(patterns, n);
        if (glob_set_has(set, has_cases[i].path) != has_cases[i].has)
            fail_msg("%s (%zu patterns) and %s: expected %d", n ? patterns[0] : "", n,
                     has_cases[i].path, has_cases[i].has);
        glob_set_free(set);
    }
    glob_set_free(NULL);
}

static const struct {
    const char *patterns[MAX_PATTERNS];
    const char *dir;
    enum glob_reach reach;
} reach_cases[] = {
    {{"src"}, "", GLOB_SOME},
    {{"src"}, "src", GLOB_WHOLE},
    {{"src"}, "src/deep", GLOB_WHOLE},
    {{"src"}, "docs", GLOB_NONE},
    {{"src"}, "srcs", GLOB_NONE},
    {{"src"}, "s", GLOB_NONE},
    {{"src/"}, "src", GLOB_WHOLE},
    {{"./src"}, "src", GLOB_WHOLE},
    {{"src/a/b"}, "src", GLOB_SOME},
    {{"src/a/b"}, "src/a", GLOB_SOME},
    {{"src/a/b"}, "src/a/b", GLOB_WHOLE},
    {{"src/a/b"}, "src/b", GLOB_NONE},
    {{"src/a/b"}, "docs", GLOB_NONE},
    {{"src", "!src/**/*.md"}, "src", GLOB_SOME},
    {{"src", "!src/**/*.md"}, "src/x", GLOB_SOME},
    {{"src", "!src/**/*.md"}, "docs", GLOB_NONE},
    {{"src", "!docs/x"}, "src", GLOB_WHOLE},
    {{"src", "!src/gen"}, "src", GLOB_SOME},
    {{"src", "!src/gen"}, "src/gen", GLOB_NONE},
    {{"src", "!src/gen"}, "src/gen/x", GLOB_NONE},
    {{"src", "!src/gen"}, "src/other", GLOB_WHOLE},
    {{"src", "!src/gen", "src/gen/keep"}, "src/gen", GLOB_SOME},
    {{"src", "!src/gen", "src/gen/keep"}, "src/gen/keep", GLOB_WHOLE},
    {{"src", "!src/gen", "src/gen/keep"}, "src/gen/other", GLOB_NONE},
    {{"!src/gen", "src"}, "src", GLOB_WHOLE},
    {{"."}, "", GLOB_WHOLE},
    {{"."}, "a/b", GLOB_WHOLE},
    {{"**"}, "", GLOB_WHOLE},
    {{"*"}, "", GLOB_WHOLE},
    {{"**/*"}, "", GLOB_WHOLE},
    {{"**/"}, "", GLOB_SOME},
    {{"**/"}, "a", GLOB_WHOLE},
    {{"src/**"}, "", GLOB_SOME},
    {{"src/**"}, "src", GLOB_WHOLE},
    {{"src/**"}, "src/a", GLOB_WHOLE},
    {{"src/**/"}, "src", GLOB_SOME},
    {{"src/**/*"}, "src", GLOB_WHOLE},
    {{"src/*/*"}, "src", GLOB_SOME},
    {{"src/*/*"}, "src/a", GLOB_WHOLE},
    {{"*.c"}, "", GLOB_SOME},
    {{"*.c"}, "src", GLOB_NONE},
    {{"*.c"}, "dir.c", GLOB_WHOLE},
    {{"**/*.c"}, "src", GLOB_SOME},
    {{"src/**/*.c"}, "docs", GLOB_NONE},
    {{"src/*/x"}, "src/a", GLOB_SOME},
    {{"src/*/x"}, "src/a/y", GLOB_NONE},
    {{"src/*/x"}, "src/a/x", GLOB_WHOLE},
    {{".", "!docs"}, "", GLOB_SOME},
    {{".", "!docs"}, "docs", GLOB_NONE},
    {{".", "!docs"}, "src", GLOB_WHOLE},
    {{".", "!**/build/"}, "x/build", GLOB_NONE},
    {{".", "!**/build/"}, "x", GLOB_SOME},
    {{"!."}, "", GLOB_NONE},
    {{"!src"}, "", GLOB_NONE},
    {{"a", "!."}, "a", GLOB_NONE},
    {{NULL}, "", GLOB_NONE},
};

static void reach(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(reach_cases); i++) {
        const char *const *patterns = reach_cases[i].patterns;
        size_t n = count(patterns);
        struct glob_set *set = compile(patterns, n);
        enum glob_reach got = glob_set_reach(set, reach_cases[i].dir);
        if (got != reach_cases[i].reach)
            fail_msg("%s (%zu patterns) and \"%s\": expected %d, got %d", n ? patterns[0] : "", n,
                     reach_cases[i].dir, reach_cases[i].reach, got);
        glob_set_free(set);
    }
}

static void names(void **state)
{
    (void)state;
    static const char *const patterns[] = {"src/", "./a//b.c", "*.log", "x\\*",
                                           "!no",  "t/[a]",    "x/.."};
    static const struct {
        const char *path;
        bool named;
    } cases[] = {
        {"src", true},    {"src/a", false}, {"a/b.c", true}, {"a", false},
        {"y.log", false}, {"*.log", false}, {"x*", true},    {"xy", false},
        {"no", false},    {"t/[a]", false}, {"t/a", false},  {"", true},
    };
    struct glob_set *set = compile(patterns, COUNT(patterns));
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (glob_set_names(set, cases[i].path) != cases[i].named)
            fail_msg("\"%s\": expected %d", cases[i].path, cases[i].named);
    }
    glob_set_free(set);

    assert_false(glob_is_wild("src/a.c"));
    assert_false(glob_is_wild("!src"));
    assert_false(glob_is_wild(""));
    assert_false(glob_is_wild("a]b"));
    assert_true(glob_is_wild("*.c"));
    assert_true(glob_is_wild("!a?"));
    assert_true(glob_is_wild("a[b]"));
    assert_true(glob_is_wild("a\\b"));
}

static bool add_next(void *ctx, const char *name)
{
    buf_addf(ctx, "%s ", name);
    return true;
}

static bool end_next(void *ctx, const char *name)
{
    (void)ctx, (void)name;
    return false;
}

/* The names that may be taken in a directory; "any" stands for all. */
static void next_names(void **state)
{
    static const struct {
        const char *patterns[4], *dir, *expected;
    } cases[] = {
        {{"a"}, "", "a "},
        {{"a"}, "a", "any"},
        {{"a"}, "b", ""},
        {{"a/b/c", "a/x", "!a/y"}, "a", "b x "},
        {{"a/b/c", "a/x", "!a/y"}, "a/b", "c "},
        {{"a/b", "a/b/c"}, "a", "b b "},
        {{"*/b", "z"}, "a", "b "},
        {{"*/b", "z"}, "", "any"},
        {{"a/*.c"}, "a", "any"},
        {{"a/*.c"}, "ab", ""},
        {{"**/x"}, "a", "any"},
        {{"a/**/x"}, "b", ""},
        {{"a/**/x"}, "a/b/c", "any"},
        {{"a\\b/c"}, "ab", "c "},
        {{"."}, "", "any"},
        {{"a", "**"}, "", "any"},
        {{NULL}, "", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = 0;
        while (n < 4 && cases[i].patterns[n])
            n++;
        struct glob_set *set;
        struct buf out = BUF_INIT;
        assert_int_equal(glob_set_new(cases[i].patterns, n, &set, NULL, NULL), 0);
        bool told = glob_set_next(set, cases[i].dir, add_next, &out);
        assert_string_equal(told ? buf_str(&out) : "any", cases[i].expected);
        if (told && out.len)
            assert_false(glob_set_next(set, cases[i].dir, end_next, NULL));
        buf_release(&out);
        glob_set_free(set);
    }
}

static void bad_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *words;
    } cases[] = {
        {"", "empty"},
        {"!", "empty"},
        {"/", "absolute"},
        {"/etc/passwd", "absolute"},
        {"!/etc", "absolute"},
        {"..", "out of the project"},
        {"../x", "out of the project"},
        {"a/../../b", "out of the project"},
        {"./../a", "out of the project"},
        {"!../a", "out of the project"},
        {"\\.\\./a", "out of the project"},
        {"*/../a", "wildcard"},
        {"**/../a", "wildcard"},
        {"a\\", "backslash"},
        {"a\\/b", "backslash"},
        {"[", "never closed"},
        {"[a", "never closed"},
        {"[]", "never closed"},
        {"[!]", "never closed"},
        {"[a\\]", "never closed"},
        {"[a-\\", "never closed"},
        {"[a/b]", "never closed"},
        {"[z-a]", "backwards"},
        {"[[:nonsense:]]", "unknown"},
        {"[[:digit]", "unknown"},
        {"a\n[\x1b", "a\\n[\\x1b"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *patterns[] = {"good", "!also/**", cases[i].pattern, "["};
        struct glob_set *set = NULL;
        struct err err = ERR_INIT;
        size_t bad = 77;
        assert_int_equal(glob_set_new(patterns, 4, &set, &bad, &err), -ERR_CONFIG);
        assert_int_equal(bad, 2);
        assert_null(set);
        if (!strstr(err_text(&err), cases[i].words))
            fail_msg("\"%s\": %s", cases[i].pattern, err_text(&err));
        err_release(&err);
    }
    const char *one = "[";
    struct glob_set *set;
    assert_int_equal(glob_set_new(&one, 1, &set, NULL, NULL), -ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has),        cmocka_unit_test(reach),        cmocka_unit_test(names),
        cmocka_unit_test(next_names), cmocka_unit_test(bad_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
