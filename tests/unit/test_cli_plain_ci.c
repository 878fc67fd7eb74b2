/* What the plain view gives GitHub and GitLab: groups, errors at lines, and no order of a step's.
 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/plain_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect(struct buf *got, const char *want)
{
    assert_string_equal(buf_str(got), want);
    buf_release(got);
}

static void test_words_are_no_orders(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a: started\nb: ok\n", "a: started\nb: ok\n"},
        {"::error::x\n", ": :error::x\n"},
        {"a\n  ::group::x", "a\n  : :group::x"},
        {"a\r\t::stop", "a\r\t: :stop"},
        {"\xc2\xa0::error::", "\xc2\xa0: :error::"},
        {":::x", ": ::x"},
        {"std::string ::x", "std::string ::x"},
        {"x ##[add-mask]y", "x # #[add-mask]y"},
        {"###[x]", "# # #[x]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf got = BUF_INIT, same = BUF_INIT;
        plain_ci_words(PLAIN_CI_GITHUB, cases[i].in, strlen(cases[i].in), &got);
        expect(&got, cases[i].out);
        plain_ci_words(PLAIN_CI_GITLAB, cases[i].in, strlen(cases[i].in), &same);
        expect(&same, cases[i].in);
    }
}

static void test_groups(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    plain_ci_open(PLAIN_CI_GITHUB, &out, "1", "100% of a:b\n", false, 5000000000);
    plain_ci_close(PLAIN_CI_GITHUB, &out, "1", 6000000000);
    expect(&out, "::group::100%25 of a:b%0A\n::endgroup::\n");
    plain_ci_open(PLAIN_CI_GITLAB, &out, "kiln_1_a/b@c", "a/b: passed", false, 5000000000);
    plain_ci_close(PLAIN_CI_GITLAB, &out, "kiln_1_a/b@c", 6000000000);
    expect(&out, "\033[0Ksection_start:5:kiln_1_a_b_c[collapsed=true]\r\033[0Ka/b: passed\n"
                 "\033[0Ksection_end:6:kiln_1_a_b_c\r\033[0K\n");
    plain_ci_open(PLAIN_CI_NONE, &out, "1", "a", true, 0);
    plain_ci_close(PLAIN_CI_NONE, &out, "1", 0);
    expect(&out, "");
}

static void test_the_word_is_new_each_time(void **state)
{
    (void)state;
    struct plain_ci_hush a, b;
    struct buf out = BUF_INIT;
    plain_ci_hush(PLAIN_CI_GITHUB, &out, &a);
    plain_ci_unhush(PLAIN_CI_GITHUB, &out, &a);
    char *want = mem_printf("::stop-commands::%s\n::%s::\n", a.word, a.word);
    expect(&out, want);
    free(want);
    plain_ci_hush(PLAIN_CI_GITHUB, &out, &b);
    buf_release(&out);
    assert_int_equal(strlen(a.word), 32);
    assert_string_not_equal(a.word, b.word);
    plain_ci_hush(PLAIN_CI_GITLAB, &out, &a);
    expect(&out, "");
}

struct tree {
    char root[64], log[96];
};

static void put(const char *path, const char *text)
{
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static void tree_open(struct tree *tree)
{
    strcpy(tree->root, "/tmp/kiln-test-XXXXXX");
    assert_non_null(mkdtemp(tree->root));
    char *path = path_join(tree->root, "src");
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
    path = path_join(tree->root, "src/a.c");
    put(path, "");
    free(path);
    snprintf(tree->log, sizeof tree->log, "%s/log", tree->root);
}

static void tree_close(struct tree *tree)
{
    assert_int_equal(file_remove_tree(AT_FDCWD, tree->root, NULL), 0);
}

/* "LINE:COLUMN text;" for each place found, of a step in a box whose project is at /src. */
static void places(struct tree *tree, const char *log, const char *want)
{
    struct plain_places places = {0};
    struct buf got = BUF_INIT;
    put(tree->log, log);
    plain_places_find(&places, 3, tree->log, tree->root, "/src");
    vec_each (struct plain_place, place, &places.list) {
        size_t n = strlen(tree->root);
        assert_memory_equal(place->file, tree->root, n);
        assert_string_equal(place->file + n, "/src/a.c");
        buf_addf(&got, "%lu:%lu %s;", place->line, place->column, place->text);
    }
    plain_places_release(&places);
    expect(&got, want);
}

static void test_places(void **state)
{
    (void)state;
    struct tree tree;
    tree_open(&tree);
    places(&tree, "src/a.c:3:5: error: no ';'\nsrc/a.c:3:5: again\nsrc/a.c:9: bad\n",
           "3:5 error: no ';';9:0 bad;");
    places(&tree, "/src/src/a.c:4: in the box\n./src/a.c:5:1: dot\n", "4:0 in the box;5:1 dot;");
    places(&tree, "src/a.c:3:5: warning: w\nsrc/a.c:4: note: n\nIn file included from src/a.c:1:\n",
           "");
    places(&tree, "12:30:01 x\nother.c:3: y\n../src/a.c:3: z\nsrc:3: w\nsrc/a.c:0: v\n", "");
    places(&tree, "error[E0425]: cannot find `x`\n  --> src/a.c:7:9\n   |\n",
           "7:9 error[E0425]: cannot find `x`;");
    places(&tree, "  File \"src/a.c\", line 12, in f\n", "12:0 File \"src/a.c\", line 12, in f;");
    places(&tree, "\033[1msrc/a.c:3:5:\033[0m \033[31merror\033[0m\r\n", "3:5 error;");
    places(&tree, "FAIL (src/a.c:8)\n", "8:0 FAIL (src/a.c:8);");
    /* Whatever the table of places knows. */
    places(&tree, "src/a.c(3,15): error TS2304: no\nCMake Error at src/a.c:4 (foo):\n",
           "3:15 error TS2304: no;4:0 CMake Error at src/a.c:4 (foo):;");
    places(&tree, "src/a.c:3:15 - error TS2304: no\nError: bad, see src/a.c:4\n",
           "3:15 error TS2304: no;4:0 Error: bad, see src/a.c:4;");
    places(&tree, "there/b.c:7: called from src/a.c:8: bad\n", "8:0 bad;");
    places(&tree,
           "src/a.c(3): warning C4996: w\nCMake Warning at src/a.c:4:\nwarning: w, src/a.c:5\n",
           "");
    places(&tree, "warning: unused\n  --> src/a.c:7:9\n", "");
    places(&tree, "In file included from src/a.c:1,\n                 from src/a.c:2:\n", "");
    places(&tree, "src/a.c:1:t_a:PASS\nsrc/a.c:2:t_b:IGNORE: later\nsrc/a.c:3:t_c:FAIL: no\n",
           "3:0 t_c:FAIL: no;");
    places(&tree, "src/a.c:4: error: no level x:IGNORED\nsrc/a.c:5: error: not y:PASS\n",
           "4:0 error: no level x:IGNORED;5:0 error: not y:PASS;");
    places(&tree, "src/a.c:1: a\nsrc/a.c:2: b\nsrc/a.c:3: c\nsrc/a.c:4: d\n", "1:0 a;2:0 b;3:0 c;");
    tree_close(&tree);
}

static void test_errors(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    char file[] = "/w/p/src/a,b.c", text[] = "50%: bad";
    struct plain_place place = {file, 3, 5, text};
    setenv("GITHUB_WORKSPACE", "/w/", 1);
    plain_ci_error_at(&out, "a:b", &place);
    expect(&out, "::error file=p/src/a%2Cb.c,line=3,col=5,title=a%3Ab::50%25: bad\n");
    unsetenv("GITHUB_WORKSPACE");
    place.column = 0;
    plain_ci_error_at(&out, "a", &place);
    expect(&out, "::error file=/w/p/src/a%2Cb.c,line=3,title=a::50%25: bad\n");
    plain_ci_error(&out, "a", "FAILED");
    expect(&out, "::error title=a::FAILED\n");
}

static void tail(const struct tree *tree, size_t lines, const char *want, bool all)
{
    struct buf got = BUF_INIT;
    bool whole;
    assert_true(plain_log_tail(tree->log, lines, false, &got, &whole));
    assert_int_equal(whole, all);
    expect(&got, want);
}

static void test_tail(void **state)
{
    (void)state;
    struct tree tree;
    struct buf long_line = BUF_INIT;
    bool whole;
    tree_open(&tree);
    assert_false(plain_log_tail(tree.log, 3, false, &long_line, &whole));
    put(tree.log, "");
    tail(&tree, 3, "", true);
    put(tree.log, "a");
    tail(&tree, 3, "a\n", true);
    put(tree.log, "a\nb\nc\n");
    tail(&tree, 3, "a\nb\nc\n", true);
    tail(&tree, 2, "b\nc\n", false);
    put(tree.log, "a\n\n\nc");
    tail(&tree, 2, "\nc\n", false);
    /* More than is read of it: begins with a whole line, unless there is none. */
    for (int i = 0; i < 3000; i++)
        buf_addc(&long_line, 'x');
    put(tree.log, buf_str(&long_line));
    struct buf got = BUF_INIT;
    assert_true(plain_log_tail(tree.log, 2, false, &got, &whole));
    assert_false(whole);
    assert_int_equal(got.len, 801);
    buf_release(&got);
    buf_adds(&long_line, "\nend\n");
    put(tree.log, buf_str(&long_line));
    tail(&tree, 2, "end\n", false);
    buf_release(&long_line);
    tree_close(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_no_orders),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_the_word_is_new_each_time),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
