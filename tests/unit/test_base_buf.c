/* The byte buffer: growing, JSON strings, showing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void adding(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    assert_string_equal(buf_str(&buf), "");
    buf_truncate(&buf, 0);
    buf_reset(&buf);
    buf_add(&buf, NULL, 0);
    buf_adds(&buf, "ab");
    buf_addc(&buf, 'c');
    buf_add(&buf, "\0d", 2);
    assert_int_equal(buf.len, 5);
    assert_memory_equal(buf.data, "abc\0d\0", 6);
    buf_truncate(&buf, 2);
    assert_string_equal(buf_str(&buf), "ab");
    size_t cap = buf.cap;
    buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.cap, cap);
    assert_string_equal(buf_str(&buf), "");
    buf_release(&buf);
    assert_null(buf.data);
    buf_release(&buf);
}

static void growing(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    for (int i = 0; i < 100000; i++) {
        buf_addc(&buf, (char)('a' + i % 26));
        assert_int_equal(buf.data[buf.len], 0);
    }
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    char *room = buf_reserve(&buf, 1 << 20);
    assert_ptr_equal(room, buf.data + buf.len);
    memset(room, 'x', (1 << 20) + 1); /* the NUL's place is there too */
    buf_release(&buf);
}

static void formatting(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    buf_addf(&buf, "%s", "");
    assert_string_equal(buf_str(&buf), "");
    /* Every length around the first capacity. */
    for (int n = 0; n < 300; n++) {
        buf_release(&buf);
        buf_adds(&buf, "=");
        buf_addf(&buf, "%0*d|%s", n, 7, "end");
        size_t digits = n > 1 ? (size_t)n : 1;
        assert_int_equal(buf.len, 1 + digits + 4);
        assert_int_equal(strlen(buf.data), buf.len);
        assert_string_equal(buf.data + 1 + digits, "|end");
    }
    buf_release(&buf);
}

static void detaching(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    char *text = buf_detach(&buf);
    assert_string_equal(text, "");
    free(text);
    buf_adds(&buf, "kept");
    text = buf_detach(&buf);
    assert_string_equal(text, "kept");
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
    free(text);
}

#define JSON(bytes, expected)                             \
    do {                                                  \
        struct buf json = BUF_INIT;                       \
        buf_add_json(&json, bytes, sizeof(bytes) - 1);    \
        assert_string_equal(buf_str(&json), expected);    \
        assert_int_equal(json.len, sizeof(expected) - 1); \
        buf_release(&json);                               \
    } while (0)

static void json(void **state)
{
    (void)state;
    JSON("", "\"\"");
    JSON("plain", "\"plain\"");
    JSON("a\"b\\c/", "\"a\\\"b\\\\c/\"");
    JSON("\n\r\t\b\f", "\"\\n\\r\\t\\b\\f\"");
    JSON("\0\x01\x1f\x7f", "\"\\u0000\\u0001\\u001f\\u007f\"");
    JSON("\x1b[2J", "\"\\u001b[2J\"");
    JSON("\xc2\x9b", "\"\\u009b\"");
    JSON("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    JSON("\xff", "\"\xef\xbf\xbd\"");
    JSON("a\xe2\x82", "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    JSON("\xc0\x80z", "\"\xef\xbf\xbd\xef\xbf\xbdz\"");
    JSON("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    struct buf buf = BUF_INIT;
    buf_add_json_str(&buf, NULL);
    buf_add_json_str(&buf, "x");
    assert_string_equal(buf_str(&buf), "null\"x\"");
    buf_release(&buf);
}

#define SHOWN(bytes, expected)                           \
    do {                                                 \
        struct buf shown = BUF_INIT;                     \
        buf_add_shown(&shown, bytes, sizeof(bytes) - 1); \
        assert_string_equal(buf_str(&shown), expected);  \
        buf_release(&shown);                             \
    } while (0)

static void showing(void **state)
{
    (void)state;
    SHOWN("", "");
    SHOWN("src/a b.c", "src/a b.c");
    SHOWN("a\nb\tc", "a\\nb\\tc");
    SHOWN("\x1b[31m\r\x7f", "\\x1b[31m\\x0d\\x7f");
    SHOWN("a\0b", "a\\x00b");
    SHOWN("\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80");
    SHOWN("\xff\xc3", "\\xff\\xc3");
    SHOWN("\xc2\x9b", "\\xc2\\x9b");
    /* What turns the reading direction round is not passed on. */
    SHOWN("a\xe2\x80\xae"
          "c",
          "a\\xe2\\x80\\xae"
          "c");
    SHOWN("\xef\xbf\xbe", "\\xef\\xbf\\xbe");
}

/* Whatever comes in, what goes out is valid UTF-8 without control characters. */
static void any_bytes(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        char bytes[40];
        size_t n = (size_t)round % sizeof(bytes);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (char)(seed >> 24);
        }
        struct buf buf = BUF_INIT;
        buf_add_json(&buf, bytes, n);
        buf_add_shown(&buf, bytes, n);
        assert_true(utf8_valid(buf.data, buf.len));
        for (size_t i = 0; i < buf.len; i++)
            assert_true((unsigned char)buf.data[i] >= 0x20 && buf.data[i] != 0x7f);
        buf_release(&buf);
    }
}

static void test_words(void **state)
{
    static const char *const cases[][2] = {
        {"a-b_c/d.e=f%g@h+i:j,k", "a-b_c/d.e=f%g@h+i:j,k"},
        {"", "''"},
        {"a b", "'a b'"},
        {"it's", "'it'\\''s'"},
        {"$HOME\n", "'$HOME\n'"},
        {"\303\244", "'\303\244'"},
    };
    (void)state;
    struct buf buf = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&buf);
        buf_add_word(&buf, cases[i][0]);
        assert_string_equal(buf_str(&buf), cases[i][1]);
    }
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words), cmocka_unit_test(adding),    cmocka_unit_test(growing),
        cmocka_unit_test(formatting), cmocka_unit_test(detaching), cmocka_unit_test(json),
        cmocka_unit_test(showing),    cmocka_unit_test(any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
