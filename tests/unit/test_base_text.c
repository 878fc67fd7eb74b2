/* UTF-8, nearest names, durations, sizes, time stamps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void utf8_round_trip(void **state)
{
    (void)state;
    for (uint32_t scalar = 0; scalar <= 0x10ffff; scalar++) {
        if (scalar >= 0xd800 && scalar <= 0xdfff)
            continue;
        char bytes[4];
        uint32_t back;
        size_t n = utf8_encode(scalar, bytes);
        if (utf8_decode(bytes, n, &back) != n || back != scalar)
            fail_msg("U+%04" PRIX32, scalar);
        if (n > 1 && utf8_decode(bytes, n - 1, &back) != 0)
            fail_msg("U+%04" PRIX32 " cut short", scalar);
    }
}

static void utf8_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc3",
        "\xc3(",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xe2\x82",
        "\xe2(\xa1",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf0\x9f\x98",
        "\xfe",
        "\xff",
        "\xf8\x88\x80\x80\x80",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint32_t scalar;
        assert_int_equal(utf8_decode(bad[i], strlen(bad[i]), &scalar), 0);
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
    }
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("a\0\xc3\xa9", 4));
    char out[4];
    assert_int_equal(utf8_encode(0xd800, out), 3);
    assert_memory_equal(out, "\xef\xbf\xbd", 3);
    assert_int_equal(utf8_encode(0x110000, out), 3);
}

static void nearest(void **state)
{
    (void)state;
    static const char *const keys[] = {"run",      "inputs",  "outputs", "needs", "env",
                                       "pass_env", "timeout", "retries", ""};
    static const struct {
        const char *word, *expected;
    } cases[] = {
        {"inputs", "inputs"},
        {"inptus", "inputs"},
        {"input", "inputs"},
        {"output", "outputs"},
        {"timeuot", "timeout"},
        {"rnu", "run"},
        {"need", "needs"},
        {"passenv", "pass_env"},
        {"xyz", NULL},
        {"inXXXX", NULL},
        {"", ""},
        {"q", NULL},
        {"timeout_after_a_very_long_while", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *found = text_nearest(cases[i].word, keys, COUNT(keys));
        if (cases[i].expected && found)
            assert_string_equal(found, cases[i].expected);
        else
            assert_ptr_equal(found, cases[i].expected);
    }
    assert_null(text_nearest("x", NULL, 0));
    char word[5000];
    memset(word, 'a', sizeof(word));
    word[sizeof(word) - 1] = '\0';
    const char *same = word;
    assert_null(text_nearest(word, &same, 1)); /* too long to be worth it, and no overrun */
    assert_null(text_nearest("aaaa", &same, 1));
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms; /* 0: refused */
    } cases[] = {
        {"500ms", 500},
        {"1ms", 1},
        {"90s", 90000},
        {"5m", 300000},
        {"1h", 3600000},
        {"1h30m", 5400000},
        {"1h0m1s", 3601000},
        {"1h2m3s4ms", 3723004},
        {"1m500ms", 60500},
        {"1000h", 3600000000},
        {"60000m", 3600000000},
        {"007s", 7000},
        {"", 0},
        {"0s", 0},
        {"0h0m", 0},
        {"5", 0},
        {"s", 0},
        {"5x", 0},
        {"5 s", 0},
        {" 5s", 0},
        {"5s ", 0},
        {"-5s", 0},
        {"+5s", 0},
        {"1.5h", 0},
        {"5S", 0},
        {"5sm", 0},
        {"5mss", 0},
        {"30m1h", 0},
        {"1m1m", 0},
        {"1h30", 0},
        {"1001h", 0},
        {"1000h1ms", 0},
        {"99999999999999999999s", 0},
        {"18446744073709551615ms", 0},
        {"18446744073709551616ms", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t ms = 0;
        bool good = text_parse_duration(cases[i].text, &ms);
        if (good != (cases[i].ms != 0) || ms != cases[i].ms)
            fail_msg("\"%s\" gave %d %" PRIu64, cases[i].text, good, ms);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t bytes;
    } cases[] = {
        {"4096", true, 4096},
        {"0", true, 0},
        {"7B", true, 7},
        {"10kB", true, 10000},
        {"10MB", true, 10000000},
        {"1KiB", true, 1024},
        {"512MiB", true, 536870912},
        {"20GiB", true, 21474836480},
        {"2TiB", true, 2199023255552},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"16777216TiB", false, 0},
        {"", false, 0},
        {"MiB", false, 0},
        {"10 MiB", false, 0},
        {"10mib", false, 0},
        {"1.5GiB", false, 0},
        {"-1", false, 0},
        {"10MiBx", false, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t bytes = 0;
        bool good = text_parse_size(cases[i].text, &bytes);
        if (good != cases[i].good || (good && bytes != cases[i].bytes))
            fail_msg("\"%s\" gave %d %" PRIu64, cases[i].text, good, bytes);
    }
}

static void showing(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } times[] = {
        {0, "0.00s"},
        {9, "0.00s"},
        {420, "0.42s"},
        {999, "0.99s"},
        {1000, "1.0s"},
        {4199, "4.1s"},
        {9999, "9.9s"},
        {10000, "10s"},
        {59999, "59s"},
        {60000, "1:00"},
        {187000, "3:07"},
        {3599999, "59:59"},
        {3600000, "1:00:00"},
        {3723000, "1:02:03"},
        {359999999, "99:59:59"},
        {360000000, "4d"},
        {UINT64_MAX, "9999999d"},
    };
    char out[16];
    for (size_t i = 0; i < COUNT(times); i++) {
        assert_string_equal(text_duration(times[i].ms, out), times[i].text);
        assert_true(strlen(out) <= 8);
    }
    static const struct {
        uint64_t bytes;
        const char *text;
    } bytes[] = {
        {0, "0 B"},
        {812, "812 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {4299161, "4.1 MiB"},
        {102348, "99.9 KiB"},
        {102400, "100 KiB"},
        {1048575, "1.0 MiB"},
        {1048576, "1.0 MiB"},
        {536870912, "512 MiB"},
        {21474836480, "20.0 GiB"},
        {UINT64_C(1) << 50, "1.0 PiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < COUNT(bytes); i++)
        assert_string_equal(text_size(bytes[i].bytes, out), bytes[i].text);
    for (uint64_t n = 1; n < UINT64_MAX / 3; n += n / 7 + 1)
        assert_true(strlen(text_size(n, out)) <= 8);
}

static void time_stamps(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(text_time(0, out), "1970-01-01T00:00:00.000000000Z");
    assert_string_equal(text_time(1769860800000000000, out), "2026-01-31T12:00:00.000000000Z");
    assert_string_equal(text_time(1709210096000000789, out), "2024-02-29T12:34:56.000000789Z");
    assert_string_equal(text_time(UINT64_MAX, out), "2554-07-21T23:34:33.709551615Z");
    uint64_t before = clock_monotonic_ns();
    assert_true(clock_monotonic_ns() >= before);
    assert_true(clock_realtime_ns() > UINT64_C(1700000000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_round_trip), cmocka_unit_test(utf8_malformed),
        cmocka_unit_test(nearest),         cmocka_unit_test(durations),
        cmocka_unit_test(sizes),           cmocka_unit_test(showing),
        cmocka_unit_test(time_stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
