/* The bytes between two frames, read by a terminal, give the second frame: for random frames, cell
 * by cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "tui/caps.h"
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>
#include <vterm.h>

static uint32_t seed = 5;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static int32_t some_colour(void)
{
    switch (rnd(4)) {
    case 0: return (int32_t)rnd(256);
    case 1: return (int32_t)(INT32_C(0x1000000) | (int32_t)rnd(1 << 24));
    default: return (int32_t)rnd(16);
    }
}

static void draw_something(struct screen *screen)
{
    static const char *const texts[] = {"plain",
                                        "漢字漢字",
                                        ("e\xcc\x81"
                                         "a\xcc\x88"),
                                        "  ",
                                        "─│├",
                                        "✓ ≡ ✗ ● ○",
                                        "x",
                                        "日本 a",
                                        "a long piece of text that is cut somewhere"};
    struct area all = screen_area(screen);
    if (rnd(4) == 0)
        screen_clear(screen);
    for (uint32_t i = rnd(30); i > 0; i--) {
        struct style style = STYLE_PLAIN;
        if (rnd(9))
            style.fg = some_colour();
        if (rnd(4) == 0)
            style.bg = some_colour();
        static const uint8_t attrs[] = {
            0, 0, 0, ATTR_BOLD, ATTR_REVERSE, ATTR_UNDERLINE, ATTR_BOLD | ATTR_REVERSE};
        style.attrs = attrs[rnd(7)];
        int x = (int)rnd((uint32_t)all.w) - 3, y = (int)rnd((uint32_t)all.h);
        const char *text = texts[rnd(9)];
        switch (rnd(5)) {
        case 0: screen_fit(screen, all, x, y, (int)rnd(30), style, text, rnd(2)); break;
        case 1: screen_fit_right(screen, all, x < 0 ? 0 : x, y, (int)rnd(30), style, text); break;
        case 2: screen_restyle(screen, all, x, y, (int)rnd(20), style); break;
        default: screen_puts(screen, all, x, y, style, text); break;
        }
    }
    screen->cursor_x = rnd(3) ? -1 : (int)rnd((uint32_t)all.w);
    screen->cursor_y = screen->cursor_x < 0 ? -1 : (int)rnd((uint32_t)all.h);
}

static void same_colour(const VTermColor *colour, int32_t want, bool is_default, int colours)
{
    assert_int_equal(is_default, want == COLOUR_DEFAULT);
    if (want == COLOUR_DEFAULT)
        return;
    want = colour_nearest(want, colours);
    assert_int_equal(!!VTERM_COLOR_IS_INDEXED(colour), want < 256);
    if (want < 256)
        assert_int_equal(colour->indexed.idx, want);
    else
        assert_int_equal(COLOUR_TRUE(colour->rgb.red, colour->rgb.green, colour->rgb.blue), want);
}

static void same_cell(VTermScreen *terminal, const struct screen *screen, int x, int y, int colours)
{
    const struct cell *cell = &screen->back[(size_t)y * (size_t)screen->cols + (size_t)x];
    VTermScreenCell got;
    memset(&got, 0, sizeof got);
    vterm_screen_get_cell(terminal, (VTermPos){.row = y, .col = x}, &got);
    if (cell->width == 0)
        return;
    char text[64];
    size_t n = 0;
    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && got.chars[i]; i++)
        n += utf8_encode(got.chars[i], text + n);
    if (n == 0)
        text[n++] = ' ';
    assert_int_equal(n, cell->len);
    assert_memory_equal(text, cell->text, n);
    assert_int_equal(got.width, cell->width);
    assert_int_equal(got.attrs.bold, !!(cell->style.attrs & ATTR_BOLD));
    assert_int_equal(got.attrs.reverse, !!(cell->style.attrs & ATTR_REVERSE));
    assert_int_equal(got.attrs.underline, !!(cell->style.attrs & ATTR_UNDERLINE));
    same_colour(&got.fg, cell->style.fg, VTERM_COLOR_IS_DEFAULT_FG(&got.fg), colours);
    same_colour(&got.bg, cell->style.bg, VTERM_COLOR_IS_DEFAULT_BG(&got.bg), colours);
}

static void frames(const char *term, int colours, int cols, int rows, int n)
{
    struct caps caps;
    struct screen screen;
    struct buf out = BUF_INIT;
    assert_int_equal(caps_load(&caps, term, 1, true), 0);
    caps.colours = colours;
    screen_init(&screen, true);
    screen_resize(&screen, cols, rows);
    VTerm *vt = vterm_new(rows, cols);
    vterm_set_utf8(vt, 1);
    VTermScreen *terminal = vterm_obtain_screen(vt);
    vterm_screen_reset(terminal, 1);
    for (int frame = 0; frame < n; frame++) {
        draw_something(&screen);
        buf_reset(&out);
        if (rnd(50) == 0)
            screen_forget(&screen);
        screen_diff(&screen, &caps, &out);
        vterm_input_write(vt, buf_str(&out), out.len);
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < cols; x++)
                same_cell(terminal, &screen, x, y, caps.colours);
        if (screen.cursor_x >= 0) {
            VTermPos at;
            vterm_state_get_cursorpos(vterm_obtain_state(vt), &at);
            assert_int_equal(at.col, screen.cursor_x);
            assert_int_equal(at.row, screen.cursor_y);
        }
        /* Nothing has changed: nothing to say. */
        buf_reset(&out);
        assert_false(screen_diff(&screen, &caps, &out));
        assert_int_equal(out.len, 0);
    }
    vterm_free(vt);
    buf_release(&out);
    screen_release(&screen);
    caps_release(&caps);
}

static void test_random_frames(void **state)
{
    (void)state;
    frames("xterm-256color", 256, 80, 24, 400);
    frames("xterm-256color", COLOURS_TRUE, 40, 10, 400);
    frames("xterm-256color", 16, 40, 10, 400);
    frames("tmux-256color", 256, 33, 7, 400);
    frames("no-such-terminal", 8, 5, 3, 300);
    frames("xterm-256color", 256, 1, 1, 50);
}

static void test_small_change_small_frame(void **state)
{
    (void)state;
    struct caps caps;
    struct screen screen;
    struct buf out = BUF_INIT;
    assert_int_equal(caps_load(&caps, "xterm-256color", 1, true), 0);
    screen_init(&screen, true);
    screen_resize(&screen, 200, 60);
    for (int y = 0; y < 60; y++)
        screen_puts(&screen, screen_area(&screen), 0, y, STYLE_PLAIN, "some text that stays");
    screen_diff(&screen, &caps, &out);
    buf_reset(&out);
    screen_puts(&screen, screen_area(&screen), 10, 30, STYLE_PLAIN, "X");
    assert_true(screen_diff(&screen, &caps, &out));
    assert_true(out.len < 40);
    buf_release(&out);
    screen_release(&screen);
    caps_release(&caps);
}

static void test_no_cursor_addressing(void **state)
{
    (void)state;
    struct caps caps;
    assert_int_equal(caps_load(&caps, "dumb", 1, true), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_frames),
        cmocka_unit_test(test_small_change_small_frame),
        cmocka_unit_test(test_no_cursor_addressing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
