/* What is sent to which terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/caps.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *term;
    int colours;
    bool private_modes, mouse;
} table[] = {
    {"xterm-256color", 256, true, true},
    {"xterm", 8, true, true},
    {"tmux-256color", 256, true, true},
    {"screen", 8, true, true},
    {"screen-256color", 256, true, true},
    {"rxvt-unicode-256color", 256, true, true},
    {"linux", 8, false, true},
    {"vt100", 0, false, false},
    {"no-such-terminal", 8, false, false},
};

static void test_terminals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct caps caps;
        assert_int_equal(caps_load(&caps, table[i].term, 1, true), 0);
        assert_int_equal(caps.colours, table[i].colours);
        assert_int_equal(caps.private_modes, table[i].private_modes);
        assert_int_equal(caps.mouse_on[0] != '\0', table[i].mouse);
        assert_int_equal(caps.modes_on[0] != '\0', table[i].private_modes);
        assert_int_equal(caps.ask[0] != '\0', table[i].private_modes);
        assert_int_equal(caps.desktop != NULL, table[i].private_modes);
        /* Nobody has said yet that there is synchronised output. */
        assert_false(caps.sync);
        caps_release(&caps);
    }
}

/* Whatever is switched on is switched off again, in what the guard has room for. */
static void test_restore(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct caps caps;
        struct buf out = BUF_INIT;
        assert_int_equal(caps_load(&caps, table[i].term, 1, true), 0);
        caps_restore(&caps, &out);
        assert_in_range(out.len, 1, 256);
        const char *const parts[] = {caps.sync_end, caps.mouse_off, caps.modes_off,
                                     caps.plain,    caps.show,      caps.leave};
        const char *at = buf_str(&out);
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            const char *found = strstr(at, parts[k]);
            assert_non_null(found);
            at = found + strlen(parts[k]);
        }
        buf_release(&out);
        caps_release(&caps);
    }
}

static void test_linear(void **state)
{
    (void)state;
    struct caps caps;
    struct buf out = BUF_INIT;
    assert_int_equal(caps_load(&caps, "xterm-256color", 1, true), 0);
    caps_linear(&caps);
    caps_restore(&caps, &out);
    assert_int_equal(out.len, 0);
    assert_string_equal(caps.enter, "");
    assert_string_equal(caps.ask, "");
    assert_string_equal(caps.mouse_on, "");
    assert_string_equal(caps.modes_on, "");
    buf_release(&out);
    caps_release(&caps);
}

static void test_colours(void **state)
{
    (void)state;
    struct caps caps;
    assert_int_equal(caps_load(&caps, "xterm-256color", 1, false), 0);
    assert_int_equal(caps.colours, 0);
    struct buf out = BUF_INIT;
    struct style red = {.fg = 196, .bg = COLOUR_DEFAULT, .attrs = ATTR_BOLD};
    caps_style(&caps, &out, STYLE_PLAIN, red);
    assert_string_equal(buf_str(&out), caps.bold);
    caps_release(&caps);
    setenv("COLORTERM", "truecolor", 1);
    assert_int_equal(caps_load(&caps, "xterm-256color", 1, true), 0);
    assert_int_equal(caps.colours, COLOURS_TRUE);
    unsetenv("COLORTERM");
    buf_release(&out);
    caps_release(&caps);
}

static void test_background(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        bool light;
    } cases[] = {{"0;15", true},   {"0;default;15", true}, {"0;7", true},   {"15;0", false},
                 {"7;8", false},   {"15;default", false},  {"", false},     {"15", false},
                 {"0;15x", false}, {"0;", false},          {"0;231", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct caps caps;
        setenv("COLORFGBG", cases[i].said, 1);
        assert_int_equal(caps_load(&caps, "rxvt-unicode-256color", 1, true), 0);
        assert_int_equal(caps.light, cases[i].light);
        caps_release(&caps);
    }
    unsetenv("COLORFGBG");
}

int main(void)
{
    unsetenv("COLORTERM");
    unsetenv("COLORFGBG");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminals),  cmocka_unit_test(test_restore),
        cmocka_unit_test(test_linear),     cmocka_unit_test(test_colours),
        cmocka_unit_test(test_background),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
