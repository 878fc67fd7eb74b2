/* Masking: no form of a secret is left, whatever pieces the output comes in. */
#include "base/mask.h"

#include "base/crypt.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers that are the same in every run. */
static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static struct mask *mask_of(const char *secret)
{
    struct mask *mask = mask_new();
    mask_add_secret(mask, secret, strlen(secret));
    mask_close(mask);
    return mask;
}

static void run(const struct mask *mask, const char *bytes, size_t n, size_t most, uint64_t seed,
                struct buf *out)
{
    struct mask_stream *stream = mask_stream_new(mask);
    buf_reset(out);
    for (size_t at = 0; at < n;) {
        size_t piece = most ? 1 + next_random(&seed) % most : n;
        piece = piece < n - at ? piece : n - at;
        char *copy = mem_alloc(piece); /* so that a look beyond it is seen */
        memcpy(copy, bytes + at, piece);
        mask_feed(stream, copy, piece, out);
        free(copy);
        at += piece;
    }
    mask_end(stream, out);
    mask_stream_free(stream);
}

/* In pieces of any size the outcome is the same. */
static void check(const struct mask *mask, const char *text, const char *wanted)
{
    struct buf out = BUF_INIT;
    for (size_t most = 0; most < 9; most++) {
        run(mask, text, strlen(text), most, most, &out);
        assert_string_equal(buf_str(&out), wanted);
    }
    buf_release(&out);
}

static void values_are_hidden(void **state)
{
    struct mask *mask = mask_of("hunter2");
    (void)state;
    check(mask, "", "");
    check(mask, "nothing here\n", "nothing here\n");
    check(mask, "hunter2", "***");
    check(mask, "a hunter2 b hunter2hunter2 c", "a *** b *** c");
    check(mask, "hunthunter2 hunter", "hunt*** hunter");
    check(mask, "hunter3\nhunter", "hunter3\nhunter");
    mask_free(mask);
}

static void overlapping_values_are_hidden_whole(void **state)
{
    struct mask *mask = mask_new();
    (void)state;
    assert_true(mask_is_empty(mask));
    mask_add(mask, "abcdefgh", 8);
    mask_add(mask, "cdef", 4);
    mask_add(mask, "fghi", 4);
    mask_add(mask, "aaaa", 4);
    assert_false(mask_is_empty(mask));
    mask_close(mask);
    check(mask, "abcdef!", "ab***!");
    check(mask, "abcdefghij", "***j");
    check(mask, "abcdefgabcdefgh", "ab***g***");
    check(mask, "aaa aaaa aaaaaaa", "aaa *** ***");
    check(mask, "abcdefghcdef", "***");
    mask_free(mask);
}

static void short_values_are_not(void **state)
{
    struct mask *mask = mask_of("abc");
    (void)state;
    assert_true(mask_is_empty(mask));
    check(mask, "abc abcabc", "abc abcabc");
    mask_free(mask);
    mask = mask_of("abcd\n");
    check(mask, "abcd", "***"); /* as programs take it up */
    mask_free(mask);
    mask = mask_new();
    mask_add_secret(mask, "", 0);
    mask_add_secret(mask, "\n\n\n\n", 3);
    assert_true(mask_is_empty(mask));
    mask_free(mask);
}

static void lines_are_hidden_one_by_one(void **state)
{
    struct mask *mask = mask_of("-----BEGIN-----\r\n  first line\nsecond line\nab\n");
    (void)state;
    check(mask, "x second line y\n", "x *** y\n");
    check(mask, "[first line]", "[***]");
    check(mask, "ab", "ab");
    check(mask, "-----BEGIN-----\r\n  first line\nsecond line\nab\n", "***\n");
    check(mask, "-----BEGIN-----\\r\\n  first line\\nsecond line\\nab", "***");
    mask_free(mask);
}

static void encodings_are_hidden(void **state)
{
    struct mask *mask = mask_of("p&s/w\"r d'\xc3\xa9\xf0\x9f\x94\xa5~");
    (void)state;
    check(mask, "{\"a\":\"p&s/w\\\"r d'\xc3\xa9\xf0\x9f\x94\xa5~\"}", "{\"a\":\"***\"}");
    check(mask, "p&s\\/w\\\"r d'\\u00e9\\ud83d\\udd25~", "***");
    check(mask, "p&s/w\\\"r d'\\u00E9\\uD83D\\uDD25~", "***");
    check(mask, "u=p%26s%2Fw%22r%20d%27%C3%A9%F0%9F%94%A5~&", "u=***&");
    check(mask, "u=p%26s%2fw%22r%20d%27%c3%a9%f0%9f%94%a5~&", "u=***&");
    check(mask, "u=p%26s%2Fw%22r+d%27%C3%A9%F0%9F%94%A5%7E&", "u=***&");
    check(mask, "p%26s/w%22r%20d%27%C3%A9%F0%9F%94%A5~", "***");
    check(mask, "p%26s%2Fw%22r%20d'%C3%A9%F0%9F%94%A5~", "***");
    check(mask, "'p&s/w\"r d'\\''\xc3\xa9\xf0\x9f\x94\xa5~'", "'***'");
    check(mask, "p\\&s/w\\\"r\\ d\\'\xc3\xa9\xf0\x9f\x94\xa5\\~", "***");
    mask_free(mask);
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode(const char *bytes, size_t n, bool url, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)(uint8_t)bytes[i] << 16;
        three |= i + 1 < n ? (uint32_t)(uint8_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < n ? (uint32_t)(uint8_t)bytes[i + 2] : 0;
        for (size_t k = 0; k < 4; k++) {
            char c = k <= n - i ? digits[three >> (18 - 6 * k) & 63] : '=';
            buf_addc(out, url && c == '+' ? '-' : url && c == '/' ? '_' : c);
        }
    }
}

/* In a longer text, at most the digits that are shared with the neighbours stay. */
static void base64_is_hidden_wherever_it_begins(void **state)
{
    static const char secret[] = "s3cr\xff\xfe\xfbt-v\x03lue";
    struct mask *mask = mask_of(secret);
    struct buf text = BUF_INIT, code = BUF_INIT, out = BUF_INIT;
    (void)state;
    for (size_t before = 0; before < 7; before++) {
        for (size_t after = 0; after < 7; after++) {
            for (int url = 0; url < 2; url++) {
                size_t n = strlen(secret);
                buf_reset(&text);
                buf_add(&text, "user: ", before);
                buf_add(&text, secret, n);
                buf_add(&text, " ;end ", after);
                encode(text.data, text.len, url, &code);
                run(mask, code.data, code.len, 3, before, &out);
                size_t from = (before * 8 + 5) / 6, to = (before + n) * 8 / 6;
                assert_memory_equal(out.data, code.data, from);
                assert_memory_equal(out.data + from, "***", 3);
                /* The digit shared with what follows may look as at the end of a text. */
                const char *rest = out.data + from + 3;
                assert_true(!after ? !*rest
                                   : !strcmp(rest, code.data + to) ||
                                         !strcmp(rest, code.data + to + 1));
            }
        }
    }
    buf_release(&text);
    buf_release(&code);
    buf_release(&out);
    mask_free(mask);
}

/* As basic authentication has it, for one. */
static void base64_in_lines_of_a_longer_text_is_hidden(void **state)
{
    static const size_t sizes[] = {4, 21, 90, 256}, widths[] = {76, 64};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        char value[256], text[400];
        size_t n = sizes[s];
        for (size_t i = 0; i < n; i++)
            value[i] = (char)('!' + i * 37 % 90);
        struct mask *mask = mask_new();
        mask_add_secret(mask, value, n);
        mask_close(mask);
        for (size_t before = 0; before < 120; before++) {
            memset(text, 'x', sizeof text);
            memcpy(text + before, value, n);
            char *plain = crypt_base64(text, before + n + 10), *wanted = mem_strdup(plain);
            struct buf lines = BUF_INIT, shown = BUF_INIT, bare = BUF_INIT;
            size_t width = widths[before % 2], first = (before * 8 + 5) / 6,
                   last = (before + n) * 8 / 6;
            for (size_t at = 0; plain[at]; at += strnlen(plain + at, width))
                buf_addf(&lines, "%.*s\n", (int)width, plain + at);
            struct mask_stream *stream = mask_stream_new(mask);
            mask_feed(stream, lines.data, lines.len, &shown);
            mask_end(stream, &shown);
            mask_stream_free(stream);
            for (size_t i = 0; i < shown.len; i++)
                if (!strchr("\n", shown.data[i]))
                    buf_addc(&bare, shown.data[i]);
            snprintf(wanted + first, strlen(wanted) - first, "***%s", plain + last);
            assert_string_equal(buf_str(&bare), wanted);
            buf_release(&lines);
            buf_release(&shown);
            buf_release(&bare);
            free(wanted);
            free(plain);
        }
        mask_free(mask);
    }
}

static void base64_in_lines_is_hidden(void **state)
{
    static const size_t widths[] = {76, 64};
    struct buf code = BUF_INIT, lines = BUF_INIT, out = BUF_INIT;
    char secret[201] = "";
    (void)state;
    for (size_t i = 0; i < 200; i++)
        secret[i] = (char)(33 + i * 7 % 90);
    struct mask *mask = mask_of(secret);
    encode(secret, strlen(secret), false, &code);
    for (size_t w = 0; w < 2; w++) {
        buf_reset(&lines);
        for (size_t i = 0; i < code.len; i++)
            buf_addf(&lines, "%s%c", i && i % widths[w] == 0 ? "\n" : "", code.data[i]);
        run(mask, lines.data, lines.len, 5, w, &out);
        assert_null(strpbrk(buf_str(&out), digits));
    }
    buf_release(&code);
    buf_release(&lines);
    buf_release(&out);
    mask_free(mask);
}

/* A prompt is not kept back, unless it could be the beginning of a secret. */
static void only_what_may_be_a_secret_is_held_back(void **state)
{
    struct mask *mask = mask_of("hunter2");
    struct mask_stream *stream = mask_stream_new(mask);
    struct buf out = BUF_INIT;
    (void)state;
    mask_feed(stream, "Password: ", 10, &out);
    assert_string_equal(buf_str(&out), "Password: ");
    assert_false(mask_has_hidden(stream));
    mask_feed(stream, "hun", 3, &out);
    assert_string_equal(buf_str(&out), "Password: ");
    mask_feed(stream, "g", 1, &out);
    assert_string_equal(buf_str(&out), "Password: hung");
    mask_feed(stream, "hunter2", 7, &out);
    mask_feed(stream, "hunter", 6, &out);
    assert_true(mask_has_hidden(stream));
    mask_end(stream, &out);
    assert_false(mask_has_hidden(stream));
    assert_string_equal(buf_str(&out), "Password: hung***hunter");
    buf_reset(&out);
    mask_feed(stream, "2hunter2", 8, &out);
    mask_end(stream, &out);
    assert_string_equal(buf_str(&out), "2***");
    buf_release(&out);
    mask_stream_free(stream);
    mask_free(mask);
}

/* What a mask must do, in the plainest way. */
static void mask_slowly(const char *text, size_t n, char patterns[][12], size_t n_patterns,
                        struct buf *out)
{
    bool *hidden = mem_zalloc(n + 1, sizeof *hidden);
    for (size_t p = 0; p < n_patterns; p++) {
        size_t len = strlen(patterns[p]);
        for (size_t i = 0; len >= MASK_LEAST && i + len <= n; i++)
            for (size_t k = 0; !memcmp(text + i, patterns[p], len) && k < len; k++)
                hidden[i + k] = true;
    }
    buf_reset(out);
    for (size_t i = 0; i < n; i++) {
        if (!hidden[i])
            buf_addc(out, text[i]);
        else if (i == 0 || !hidden[i - 1])
            buf_adds(out, MASK_WORD);
    }
    free(hidden);
}

static void any_pieces_give_the_same_and_nothing_stays(void **state)
{
    struct buf wanted = BUF_INIT, out = BUF_INIT;
    uint64_t seed = 42;
    (void)state;
    for (int round = 0; round < 3000; round++) {
        char patterns[6][12] = {""}, text[200];
        size_t n_patterns = 1 + next_random(&seed) % 6, n = next_random(&seed) % sizeof text;
        uint32_t letters = 1 + next_random(&seed) % 3;
        struct mask *mask = mask_new();
        for (size_t p = 0; p < n_patterns; p++) {
            size_t len = next_random(&seed) % 11;
            for (size_t i = 0; i < len; i++)
                patterns[p][i] = (char)('a' + next_random(&seed) % letters);
            mask_add(mask, patterns[p], len);
        }
        mask_close(mask);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)('a' + next_random(&seed) % letters);
        mask_slowly(text, n, patterns, n_patterns, &wanted);
        for (size_t most = 0; most < 40; most += 1 + most) {
            run(mask, text, n, most, seed, &out);
            assert_string_equal(buf_str(&out), buf_str(&wanted));
        }
        for (size_t p = 0; p < n_patterns; p++)
            assert_true(strlen(patterns[p]) < MASK_LEAST || !strstr(buf_str(&out), patterns[p]));
        mask_free(mask);
    }
    buf_release(&wanted);
    buf_release(&out);
}

/* Many beginnings of a long value cost no more than their number. */
static void nearly_a_secret_is_no_hard_work(void **state)
{
    enum { LONG = 4000, TEXT = 400000 };
    char *secret = mem_alloc(LONG + 1), *text = mem_alloc(TEXT);
    struct buf out = BUF_INIT;
    (void)state;
    memset(secret, 'a', LONG);
    secret[LONG - 1] = 'b';
    secret[LONG] = 0;
    memset(text, 'a', TEXT);
    struct mask *mask = mask_new();
    mask_add(mask, secret, LONG);
    mask_close(mask);
    run(mask, text, TEXT, 1000, 1, &out);
    assert_int_equal(out.len, TEXT);
    text[TEXT - 1] = 'b';
    run(mask, text, TEXT, 1000, 1, &out);
    assert_int_equal(out.len, TEXT - LONG + 3);
    mask_free(mask);
    buf_release(&out);
    free(secret);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_hidden),
        cmocka_unit_test(overlapping_values_are_hidden_whole),
        cmocka_unit_test(short_values_are_not),
        cmocka_unit_test(lines_are_hidden_one_by_one),
        cmocka_unit_test(encodings_are_hidden),
        cmocka_unit_test(base64_is_hidden_wherever_it_begins),
        cmocka_unit_test(base64_in_lines_of_a_longer_text_is_hidden),
        cmocka_unit_test(base64_in_lines_is_hidden),
        cmocka_unit_test(only_what_may_be_a_secret_is_held_back),
        cmocka_unit_test(any_pieces_give_the_same_and_nothing_stays),
        cmocka_unit_test(nearly_a_secret_is_no_hard_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
