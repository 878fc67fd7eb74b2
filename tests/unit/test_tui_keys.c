/* Bytes from a terminal, whole, in pieces, and as junk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "tui/keys.h"

#include <stdio.h>
#include <string.h>

struct got {
    uint32_t keys[64];
    size_t n;
};

static void take(void *ctx, const struct key_input *input)
{
    struct got *got = ctx;
    assert_true(got->n < 64);
    if (input->kind == INPUT_KEY)
        got->keys[got->n++] = input->key;
}

static const struct {
    const char *bytes;
    uint32_t keys[8];
} table[] = {
    {"j", {'j'}},
    {"jkG", {'j', 'k', 'G'}},
    {"\r", {KEY_ENTER}},
    {"\n", {KEY_ENTER}},
    {"\t", {KEY_TAB}},
    {"\b", {KEY_BACKSPACE}},
    {"\x7f", {KEY_BACKSPACE}},
    {"\x04\x15\x1a", {KEY_CTRL('d'), KEY_CTRL('u'), KEY_CTRL('z')}},
    {"\x1b[A\x1b[B\x1bOC\x1bOD", {KEY_UP, KEY_DOWN, KEY_RIGHT, KEY_LEFT}},
    {"\x1b[H\x1bOF\x1b[1~\x1b[4~", {KEY_HOME, KEY_END, KEY_HOME, KEY_END}},
    {"\x1b[5~\x1b[6~\x1b[3~\x1b[Z", {KEY_PAGE_UP, KEY_PAGE_DOWN, KEY_DELETE, KEY_BACK_TAB}},
    {"\x1bOP\x1b[[A\x1b[11~\x1b[21~\x1b[24~", {KEY_F1, KEY_F1, KEY_F1, KEY_F1 + 9, KEY_F12}},
    {"\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80", {0xe9, 0x6f22, 0x1f600}},
    /* Unknown sequences, a mouse report, a cursor report, Alt and a letter: nothing, and what
       follows is whole. */
    {"\x1b[1;5Aq", {'q'}},
    {"\x1b[<0;33;12Mq", {'q'}},
    {"\x1b[24;80Rq", {'q'}},
    {"\x1bxq", {'q'}},
    {"\x1b[200~q\rj\x1b[A\x1b[201~q", {'q'}},
    {"\x1b[I\x1b[Oq\x1b[M !!q\x1b[?2026;2$yq\x1b[?64;1c", {'q', 'q', 'q'}},
    {"\x1b]11;rgb:ffff/ffff/ffff\x1b\\q\x1b]11;rgb:0/0/0\aq\x1bP1+r\x1b\\q", {'q', 'q', 'q'}},
    /* Malformed UTF-8 is dropped without what follows it. */
    {"\xffq\xc3q\xe2\x82q\x80q", {'q', 'q', 'q', 'q'}},
    {"\xe2\x82\x1b[Aq", {KEY_UP, 'q'}},
    /* ESC twice: the first was the key. */
    {"\x1b\x1b[A", {KEY_ESC, KEY_UP}},
    {"\x1b[0000000000000000000000000000000000000000000000000000~q", {'q'}},
};

static void check(const struct got *got, size_t row)
{
    size_t n = 0;
    while (n < 8 && table[row].keys[n] != KEY_NONE)
        n++;
    assert_int_equal(got->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got->keys[i], table[row].keys[i]);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        const char *bytes = table[row].bytes;
        size_t n = strlen(bytes);
        struct keys keys = {0};
        struct got got = {0};
        keys_feed(&keys, bytes, n, take, &got);
        check(&got, row);
        /* The same, cut in two at every place, and byte by byte. */
        for (size_t cut = 1; cut < n; cut++) {
            got.n = 0;
            keys_feed(&keys, bytes, cut, take, &got);
            keys_feed(&keys, bytes + cut, n - cut, take, &got);
            check(&got, row);
        }
        got.n = 0;
        for (size_t i = 0; i < n; i++)
            keys_feed(&keys, bytes + i, 1, take, &got);
        check(&got, row);
        assert_false(keys_pending(&keys));
    }
}

struct heard {
    struct key_input last;
    struct buf text;
    size_t n;
};

static void hear(void *ctx, const struct key_input *input)
{
    struct heard *heard = ctx;
    if (input->kind == INPUT_TEXT)
        buf_add(&heard->text, input->text, input->n);
    heard->last = *input;
    heard->n++;
}

static const struct {
    const char *bytes;
    struct key_input input;
} reports[] = {
    {"\x1b[<0;33;12M", {.kind = INPUT_MOUSE, .mouse = {MOUSE_PRESS, 0, 32, 11}}},
    {"\x1b[<0;33;12m", {.kind = INPUT_MOUSE, .mouse = {MOUSE_RELEASE, 0, 32, 11}}},
    {"\x1b[<2;1;300M", {.kind = INPUT_MOUSE, .mouse = {MOUSE_PRESS, 2, 0, 299}}},
    {"\x1b[<64;3;4M", {.kind = INPUT_MOUSE, .mouse = {MOUSE_WHEEL_UP, 0, 2, 3}}},
    {"\x1b[<65;3;4M", {.kind = INPUT_MOUSE, .mouse = {MOUSE_WHEEL_DOWN, 1, 2, 3}}},
    {"\x1b[<69;3;4M", {.kind = INPUT_MOUSE, .mouse = {MOUSE_WHEEL_DOWN, 1, 2, 3}}},
    {"\x1b[<66;3;4M", {.kind = INPUT_MOUSE, .mouse = {MOUSE_OTHER, 2, 2, 3}}},
    {"\x1b[<35;3;4M", {.kind = INPUT_MOUSE, .mouse = {MOUSE_OTHER, 3, 2, 3}}},
    {"\x1b[M !!", {.kind = INPUT_MOUSE, .mouse = {MOUSE_PRESS, 0, 0, 0}}},
    {"\x1b[M`\xf0\xff", {.kind = INPUT_MOUSE, .mouse = {MOUSE_WHEEL_UP, 0, 207, 222}}},
    {"\x1b[I", {.kind = INPUT_FOCUS, .focused = true}},
    {"\x1b[O", {.kind = INPUT_FOCUS}},
    {"\x1b[?2026;2$y", {.kind = INPUT_MODE, .mode = 2026, .known = true}},
    {"\x1b[?2026;0$y", {.kind = INPUT_MODE, .mode = 2026}},
    {"\x1b[?2026;4$y", {.kind = INPUT_MODE, .mode = 2026}},
    {"\x1b[?64;1;9c", {.kind = INPUT_DEVICE}},
    {"\x1b]11;rgb:ffff/ffff/ffff\a", {.kind = INPUT_BACKGROUND, .light = true}},
    {"\x1b]11;rgb:fd/f6/e3\a", {.kind = INPUT_BACKGROUND, .light = true}},
    {"\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\", {.kind = INPUT_BACKGROUND}},
};

static void test_reports(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        const struct key_input *want = &reports[i].input;
        struct keys keys = {0};
        struct heard heard = {0};
        for (const char *byte = reports[i].bytes; *byte; byte++)
            keys_feed(&keys, byte, 1, hear, &heard);
        assert_int_equal(heard.n, 1);
        assert_int_equal(heard.last.kind, want->kind);
        assert_memory_equal(&heard.last.mouse, &want->mouse, sizeof want->mouse);
        assert_int_equal(heard.last.focused, want->focused);
        assert_int_equal(heard.last.mode, want->mode);
        assert_int_equal(heard.last.known, want->known);
        assert_int_equal(heard.last.light, want->light);
        assert_false(keys_pending(&keys));
    }
    /* Nothing of these is anything. */
    static const char *const not_those[] = {"\x1b[<0;33M",       "\x1b[<0;0;1M",
                                            "\x1b[?2026$y",      "\x1b]11;rgb:f\a",
                                            "\x1b]11;rgb:///\a", "\x1b]10;rgb:1/1/1\a",
                                            "\x1b[?c",           "\x1b]11;rgb:fffff/fffff/fffff\a"};
    for (size_t i = 0; i < sizeof not_those / sizeof *not_those; i++) {
        struct keys keys = {0};
        struct heard heard = {0};
        keys_feed(&keys, not_those[i], strlen(not_those[i]), hear, &heard);
        assert_int_equal(heard.n, 0);
        assert_false(keys_pending(&keys));
    }
}

/* Over a slow line the rest of a report comes late: it is no keys. */
static void test_late_reports(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        const char *bytes = reports[i].bytes;
        for (size_t cut = 3; cut < strlen(bytes) && bytes[2] != 'M'; cut++) {
            if (bytes[cut - 1] == '\x1b')
                continue; /* that is Esc, for all that anybody can know */
            struct keys keys = {0};
            struct heard heard = {0};
            keys_feed(&keys, bytes, cut, hear, &heard);
            keys_timeout(&keys, hear, &heard);
            assert_false(keys_pending(&keys));
            size_t n = heard.n;
            keys_feed(&keys, bytes + cut, strlen(bytes) - cut, hear, &heard);
            assert_int_equal(heard.n, 1);
            assert_true(n == 0 || cut + 1 == strlen(bytes));
            assert_int_equal(heard.last.kind, reports[i].input.kind);
            assert_memory_equal(&heard.last.mouse, &reports[i].input.mouse, sizeof(struct mouse));
            keys_feed(&keys, "q", 1, hear, &heard);
            assert_int_equal(heard.last.key, 'q');
        }
    }
    /* What does not come keeps no key back. */
    struct keys keys = {0};
    struct heard heard = {0};
    keys_feed(&keys, "\x1b[<0;3", 6, hear, &heard);
    keys_timeout(&keys, hear, &heard);
    keys_feed(&keys, "q", 1, hear, &heard);
    assert_int_equal(heard.last.key, 'q');
}

static void test_paste(void **state)
{
    (void)state;
    const char *text = "rm -rf\r\x1b[20\x1b[201x\x1b\x1b[A q\xff";
    char bytes[100];
    snprintf(bytes, sizeof bytes, "j\x1b[200~%s\x1b[201~k", text);
    for (size_t piece = 1; piece < strlen(bytes); piece++) {
        struct keys keys = {0};
        struct heard heard = {0};
        for (size_t i = 0; i < strlen(bytes); i += piece) {
            size_t left = strlen(bytes) - i;
            keys_feed(&keys, bytes + i, left < piece ? left : piece, hear, &heard);
        }
        assert_string_equal(buf_str(&heard.text), text);
        assert_int_equal(heard.last.key, 'k');
        buf_release(&heard.text);
    }
    /* The end is lost: Esc alone leads out. */
    struct keys keys = {0};
    struct heard heard = {0};
    keys_feed(&keys, "\x1b[200~abc", 9, hear, &heard);
    assert_false(keys_pending(&keys));
    keys_feed(&keys, "\x1b", 1, hear, &heard);
    assert_true(keys_pending(&keys));
    keys_timeout(&keys, hear, &heard);
    keys_feed(&keys, "q", 1, hear, &heard);
    assert_int_equal(heard.last.kind, INPUT_KEY);
    assert_int_equal(heard.last.key, 'q');
    buf_release(&heard.text);
}

static void test_escape_alone(void **state)
{
    (void)state;
    struct keys keys = {0};
    struct got got = {0};
    keys_feed(&keys, "\x1b", 1, take, &got);
    assert_int_equal(got.n, 0);
    assert_true(keys_pending(&keys));
    keys_timeout(&keys, take, &got);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.keys[0], KEY_ESC);
    assert_false(keys_pending(&keys));
    /* Half a sequence is no key. */
    keys_feed(&keys, "\x1b[1;", 4, take, &got);
    assert_true(keys_pending(&keys));
    keys_timeout(&keys, take, &got);
    assert_int_equal(got.n, 1);
    keys_feed(&keys, "q", 1, take, &got);
    assert_int_equal(got.n, 2);
}

static void drop(void *ctx, const struct key_input *input)
{
    (void)ctx;
    assert_true(input->kind != INPUT_KEY || (input->key != KEY_NONE && input->key <= KEY_F12));
}

static void test_any_bytes(void **state)
{
    (void)state;
    struct keys keys = {0};
    uint32_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 1664525 + 1013904223;
        char byte = (char)(seed >> 24);
        if ((seed >> 20 & 7) == 0)
            byte = '\x1b';
        if ((seed >> 20 & 7) == 1)
            byte = '[';
        keys_feed(&keys, &byte, 1, drop, NULL);
    }
    keys_timeout(&keys, drop, NULL);
    assert_false(keys_pending(&keys));
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        uint32_t key;
        const char *name;
    } names[] = {{'j', "j"},          {KEY_CTRL('d'), "^D"}, {KEY_ENTER, "Enter"},
                 {KEY_TAB, "Tab"},    {KEY_ESC, "Esc"},      {KEY_PAGE_DOWN, "PgDn"},
                 {KEY_F1 + 9, "F10"}, {' ', "Space"},        {KEY_BACK_TAB, "S-Tab"}};
    char out[16];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(key_name(names[i].key, out), names[i].name);
}

static void take_raw(void *ctx, const struct key_input *input)
{
    struct buf *out = ctx;
    if (input->kind == INPUT_KEY || input->kind == INPUT_TEXT || input->kind == INPUT_BYTES)
        buf_add(out, input->text, input->n);
    else
        buf_addc(out, '!');
}

/* For somebody else all that people type is handed on, byte by byte, and nothing that only
 * terminals say. */
static void test_raw(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *want;
    } raw[] = {
        {"jk\r\n\t\b\x7f\x03", "jk\r\n\t\b\x7f\x03"},
        {"\x1b[A\x1bOA\x1b[1;5C\x1b[15~\x1b[[A", "\x1b[A\x1bOA\x1b[1;5C\x1b[15~\x1b[[A"},
        {"\x1bx\x1b\x1b[A", "\x1bx\x1b\x1b[A"},
        {"\xc3\xa9\xff", "\xc3\xa9\xff"},
        {"\x1b[200~a\x1b[Ab\x1b[201~c", "\x1b[200~a\x1b[Ab\x1b[201~c"},
        {"\x1b[I\x1b[<0;33;12Mq", "!!q"},
        {"\x1b[?2026;2$y\x1b]11;rgb:0/0/0\aq", "!!q"},
        {"\x1b[?7q\x1bP1+r\x1b\\q", "q"},
    };
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        for (int pieces = 0; pieces < 2; pieces++) {
            struct keys keys = {.raw = true};
            struct buf out = BUF_INIT;
            size_t n = strlen(raw[i].bytes), step = pieces ? 1 : n;
            for (size_t at = 0; at < n; at += step)
                keys_feed(&keys, raw[i].bytes + at, step, take_raw, &out);
            assert_false(keys_pending(&keys));
            assert_string_equal(buf_str(&out), raw[i].want);
            buf_release(&out);
        }
    }
    /* Half a sequence that is not finished is what was typed. */
    struct keys keys = {.raw = true};
    struct buf out = BUF_INIT;
    keys_feed(&keys, "\x1b", 1, take_raw, &out);
    keys_timeout(&keys, take_raw, &out);
    keys_feed(&keys, "\x1b[", 2, take_raw, &out);
    keys_timeout(&keys, take_raw, &out);
    assert_string_equal(buf_str(&out), "\x1b\x1b[");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_late_reports), cmocka_unit_test(test_paste),
        cmocka_unit_test(test_escape_alone), cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
