/* Durations, sizes, digests, paths and UTF-8 as people and files have them. */
#include "base/buf.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

static void check_numbers(const char *text)
{
    uint64_t number = 0;
    char out[16];
    if (text_parse_duration(text, &number))
        CLAIM(number >= 1 && number <= UINT64_C(3600000000));
    CLAIM(strlen(text_duration(number, out)) <= 8);
    char exact[32];
    snprintf(exact, sizeof(exact), "%llums", (unsigned long long)number);
    uint64_t again;
    CLAIM(!number || (text_parse_duration(exact, &again) && again == number));
    if (text_parse_size(text, &number))
        CLAIM(text[0] >= '0' && text[0] <= '9');
    CLAIM(strlen(text_size(number, out)) <= 8);
    struct digest digest;
    char hex[DIGEST_HEX + 1];
    if (digest_parse(text, 1, &digest)) {
        digest_hex(&digest, hex);
        CLAIM(strcmp(hex, text) == 0);
    }
}

static void check_path(const char *path)
{
    char *normal = path_normalize(path);
    if (!normal)
        return;
    char *again = path_normalize(normal);
    CLAIM(again && strcmp(normal, again) == 0 && strlen(normal) <= strlen(path));
    CLAIM(*path != '/' && *normal != '/' && path_is_below(normal, ""));
    for (const char *p = normal; *p;) {
        size_t n = strcspn(p, "/");
        CLAIM(n > 0 && !(n == 1 && p[0] == '.') && !(n == 2 && p[0] == '.' && p[1] == '.'));
        p += n;
        CLAIM(!*p || p[1]);
        p += *p == '/';
    }
    char *joined = path_join("top/dir", normal);
    char *whole = path_normalize(joined);
    CLAIM(whole && path_is_below(whole, "top/dir"));
    free(joined);
    free(whole);
    free(normal);
    free(again);
}

static void check_utf8(const char *bytes, size_t n)
{
    bool valid = true;
    for (size_t i = 0; i < n;) {
        uint32_t scalar;
        char out[4];
        size_t taken = utf8_decode(bytes + i, n - i, &scalar);
        CLAIM(taken <= 4 && taken <= n - i);
        if (taken)
            CLAIM(utf8_encode(scalar, out) == taken && memcmp(out, bytes + i, taken) == 0);
        valid = valid && taken;
        i += taken ? taken : 1;
    }
    CLAIM(valid == utf8_valid(bytes, n));

    struct buf json = BUF_INIT, shown = BUF_INIT;
    buf_add_json(&json, bytes, n);
    json_t *value = json_loadb(json.data, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    CLAIM(value && json_is_string(value));
    if (valid)
        CLAIM(json_string_length(value) == n && memcmp(json_string_value(value), bytes, n) == 0);
    json_decref(value);
    buf_add_shown(&shown, bytes, n);
    CLAIM(utf8_valid(buf_str(&shown), shown.len));
    for (size_t i = 0; i < shown.len; i++)
        CLAIM((unsigned char)shown.data[i] >= 0x20 && shown.data[i] != 0x7f);
    buf_release(&json);
    buf_release(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const candidates[] = {"inputs", "outputs", "needs", "", "env"};
    struct input input = {data, size};
    check_utf8((const char *)data, size);
    while (input.left) {
        char *text = input_line(&input);
        check_numbers(text);
        check_path(text);
        const char *nearest = text_nearest(text, candidates, 5);
        CLAIM(strcmp(text, "needs") != 0 || nearest == candidates[2]);
        free(text);
    }
    return 0;
}
