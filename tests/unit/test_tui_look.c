/* Colours on terminals that have fewer, and what themes promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/caps.h"
#include "tui/look.h"

#include <string.h>

static void test_reduce(void **state)
{
    (void)state;
    static const struct {
        int32_t from;
        int n;
        int32_t to;
    } table[] = {
        {COLOUR_DEFAULT, 8, COLOUR_DEFAULT},
        {9, 256, 9},
        {9, 16, 9},
        {9, 8, 1},
        {196, 256, 196},
        {196, 16, 9},
        {196, 8, 1},
        {46, 16, 10},
        {232, 16, 0},
        {244, 16, 7},
        {255, 16, 15},
        {COLOUR_TRUE(255, 0, 0), COLOURS_TRUE, COLOUR_TRUE(255, 0, 0)},
        {COLOUR_TRUE(255, 0, 0), 256, 196},
        {COLOUR_TRUE(8, 8, 8), 256, 232},
        {COLOUR_TRUE(0, 0, 0), 256, 16},
        {COLOUR_TRUE(255, 255, 255), 256, 231},
        {COLOUR_TRUE(250, 250, 250), 256, 231},
        {COLOUR_TRUE(120, 121, 122), 256, 243},
        {COLOUR_TRUE(0, 0, 200), 16, 4},
        {COLOUR_TRUE(255, 255, 0), 8, 3},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(colour_nearest(table[i].from, table[i].n), table[i].to);
    for (int32_t colour = 0; colour < 256; colour++) {
        assert_in_range(colour_nearest(colour, 8), 0, 7);
        assert_in_range(colour_nearest(colour, 16), 0, 15);
        assert_int_equal(colour_nearest(colour, 256), colour);
    }
}

static void test_themes(void **state)
{
    (void)state;
    struct style looks[ROLE_N];
    for (enum theme theme = 0; theme < THEME_N; theme++) {
        assert_true(strlen(look_themes[theme]) > 0);
        look_theme(theme, 256, looks);
        for (enum role role = 0; role < ROLE_N; role++) {
            assert_int_equal(looks[role].role, 0);
            /* A role that was forgotten in the table would be black on black. */
            assert_false(looks[role].fg == 0 && looks[role].bg == 0);
            if (theme == THEME_MONO)
                assert_true(looks[role].fg == COLOUR_DEFAULT && looks[role].bg == COLOUR_DEFAULT);
            if (theme == THEME_HIGH_CONTRAST)
                assert_true(!(looks[role].attrs & ATTR_DIM) && looks[role].fg != COLOUR_DEFAULT);
        }
    }
}

/* On a light ground yellow, cyan and white can't be read, however few colours there are. */
static void test_light_of_few(void **state)
{
    (void)state;
    struct style looks[ROLE_N];
    for (int colours = 8; colours <= 16; colours += 8) {
        look_theme(THEME_LIGHT, colours, looks);
        for (enum role role = 0; role < ROLE_N; role++) {
            int32_t fg = colour_nearest(looks[role].fg, colours);
            assert_true(fg == COLOUR_DEFAULT || fg == 0 || fg == 1 || fg == 2 || fg == 4 ||
                        fg == 5);
        }
    }
    look_theme(THEME_LIGHT, 0, looks);
    assert_int_equal(looks[ROLE_BAD].fg, COLOUR_DEFAULT);
}

/* The whole screen has the theme's ground, blanks too; another theme draws all of it again. */
static void test_ground(void **state)
{
    (void)state;
    struct caps caps;
    struct screen screen;
    struct style looks[ROLE_N];
    struct buf out = BUF_INIT;
    assert_int_equal(caps_load(&caps, "xterm-256color", 1, true), 0);
    screen_init(&screen, true);
    screen_resize(&screen, 10, 2);
    look_theme(THEME_DARK, 256, looks);
    screen_theme(&screen, looks);
    screen_puts(&screen, screen_area(&screen), 0, 0, look_style(ROLE_GOOD), "ab");
    screen_puts(&screen, screen_area(&screen), 4, 0, STYLE_PLAIN, "c");
    assert_true(screen_diff(&screen, &caps, &out));
    assert_non_null(strstr(buf_str(&out), "\x1b[32mab"));
    assert_null(strstr(buf_str(&out), "48;5"));
    buf_reset(&out);
    assert_false(screen_diff(&screen, &caps, &out));
    look_theme(THEME_HIGH_CONTRAST, 256, looks);
    screen_theme(&screen, looks);
    assert_true(screen_diff(&screen, &caps, &out));
    assert_non_null(strstr(buf_str(&out), "38;5;46m\x1b[48;5;16mab"));
    assert_non_null(strstr(buf_str(&out), "\x1b[38;5;231m  c     "));
    buf_release(&out);
    screen_release(&screen);
    caps_release(&caps);
}

/* What the console's font lacks is ASCII there, all else as it is. */
static void test_console(void **state)
{
    (void)state;
    struct caps caps;
    struct screen screen;
    struct buf out = BUF_INIT;
    assert_int_equal(caps_load(&caps, "linux", 1, true), 0);
    screen_init(&screen, true);
    screen_resize(&screen, 30, 1);
    screen_puts(&screen, screen_area(&screen), 0, 0, STYLE_PLAIN, "│─├≡○▌✓✗▾●…é漢?");
    assert_true(screen_diff(&screen, &caps, &out));
    assert_non_null(strstr(buf_str(&out), "│─├≡○▌+xv*~é"));
    assert_non_null(strstr(buf_str(&out), "漢"));
    buf_release(&out);
    screen_release(&screen);
    caps_release(&caps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduce),       cmocka_unit_test(test_themes),
        cmocka_unit_test(test_light_of_few), cmocka_unit_test(test_ground),
        cmocka_unit_test(test_console),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
