/* Themes, as a terminal shows them, and changed while kiln runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "screen.h"

#include <string.h>

static struct pty *start(int cols, int rows, bool colour)
{
    struct pty *pty = pty_start(&(struct pty_options){cols, rows, "xterm-256color", true, colour});
    pty_say(pty, "pipeline demo watch");
    pty_say(pty, "step build - -");
    pty_say(pty, "step test build -");
    pty_say(pty, "end");
    pty_say(pty, "run");
    pty_say(pty, "finished build cached 3 0 0 8123");
    pty_say(pty, "started test 1");
    pty_say(pty, "log test plain \\e[31mred\\e[0m\\n");
    pty_say(pty, "finished test failed 900 1 0 0");
    pty_say(pty, "ended failed 900");
    pty_sync(pty);
    return pty;
}

static void choose(struct pty *pty, const char *theme)
{
    pty_type(pty, ":");
    pty_type(pty, theme);
    pty_type(pty, "\r");
    pty_sync(pty);
}

/* The colours of the first cell that shows the text. */
static struct pty_colours colours(struct pty *pty, const char *text)
{
    struct pty_colours found = {-2, -2};
    assert_true(pty_colours_of(pty, text, &found));
    return found;
}

#define EXPECT(pty, text, foreground, background)   \
    do {                                            \
        struct pty_colours at = colours(pty, text); \
        assert_int_equal(at.fg, foreground);        \
        assert_int_equal(at.bg, background);        \
    } while (0)

static void test_choice(void **state)
{
    (void)state;
    static const int sizes[][2] = {{40, 10}, {80, 24}, {120, 40}, {200, 60}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pty *pty = start(sizes[i][0], sizes[i][1], true);
        EXPECT(pty, "✗", 1, -1);
        EXPECT(pty, "demo", -1, -1);
        choose(pty, "theme-light");
        EXPECT(pty, "✗", 124, -1);
        EXPECT(pty, "demo", -1, -1);
        choose(pty, "theme-high-contrast");
        EXPECT(pty, "✗", 231, 124);
        EXPECT(pty, "demo", 231, 16);
        choose(pty, "theme-mono");
        EXPECT(pty, "✗", -1, -1);
        EXPECT(pty, "demo", -1, -1);
        choose(pty, "theme-dark");
        EXPECT(pty, "✗", 1, -1);
        pty_end(pty);
    }
}

static void test_log_keeps_its_colours(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24, true);
    EXPECT(pty, "red", 1, -1);
    EXPECT(pty, "plain", -1, -1);
    choose(pty, "theme-high-contrast");
    EXPECT(pty, "red", 1, 16);
    EXPECT(pty, "plain", 231, 16);
    pty_end(pty);
}

static void test_light_background(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24, true);
    pty_type(pty, "\033]11;rgb:ffff/ffff/ffff\033\\");
    pty_sync(pty);
    EXPECT(pty, "✗", 124, -1);
    /* What a person has chosen stays. */
    choose(pty, "theme-dark");
    pty_type(pty, "\033]11;rgb:ffff/ffff/ffff\033\\");
    pty_sync(pty);
    EXPECT(pty, "✗", 1, -1);
    pty_end(pty);
}

static void test_no_colour(void **state)
{
    (void)state;
    struct pty *pty = start(80, 24, false);
    choose(pty, "theme-high-contrast");
    EXPECT(pty, "✗", -1, -1);
    EXPECT(pty, "demo", -1, -1);
    EXPECT(pty, "red", -1, -1);
    pty_end(pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_log_keeps_its_colours),
        cmocka_unit_test(test_light_background),
        cmocka_unit_test(test_no_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
