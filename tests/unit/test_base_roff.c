/* Text in manual pages: what it says is never taken for an order of the formatter. */
#include "base/roff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void expect_text(const char *text, const char *want)
{
    struct buf out = BUF_INIT;
    roff_text(&out, text);
    assert_string_equal(buf_str(&out), want);
    buf_release(&out);
}

static void test_text(void **state)
{
    (void)state;
    expect_text("", "");
    expect_text("one", "one\n");
    expect_text("One.  Two (three.) four?", "One.\nTwo (three.)\nfour?\n");
    expect_text("press ? there", "press ? there\n");
    expect_text("a\n\nb c\nd", "a\n.Pp\nb c d\n");
}

static void test_orders(void **state)
{
    (void)state;
    expect_text(".Sh OPTIONS", "\\&.Sh OPTIONS\n");
    expect_text("'so it", "\\&\\(aqso it\n");
    expect_text("a\\fB --x re-run ~/^`", "a\\efB \\-\\-x re-run \\(ti/\\(ha\\(ga\n");
}

static void test_width(void **state)
{
    (void)state;
    struct buf out = BUF_INIT, text = BUF_INIT;
    for (int i = 0; i < 100; i++)
        buf_adds(&text, ".word ");
    roff_text(&out, buf_str(&text));
    for (const char *line = buf_str(&out); *line; line = strchr(line, '\n') + 1) {
        assert_true(strcspn(line, "\n") <= 80);
        assert_memory_equal(line, "\\&.", 3);
    }
    buf_release(&out);
    buf_release(&text);
}

static void test_argument(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    roff_argument(&out, "Op \"x\" [y]");
    assert_string_equal(buf_str(&out), "\"\\&Op \"\"x\"\" [y]\\&\"");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
