#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

size_t utf8_decode(const char *bytes, size_t n, uint32_t *scalar)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (p[0] < 0x80) {
        *scalar = p[0];
        return 1;
    }
    size_t len;
    uint32_t value, least;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
        value = p[0] & 0x1fu;
        least = 0x80;
    } else if ((p[0] & 0xf0) == 0xe0) {
        len = 3;
        value = p[0] & 0x0fu;
        least = 0x800;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        value = p[0] & 0x07u;
        least = 0x10000;
    } else {
        return 0;
    }
    if (n < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *scalar = value;
    return len;
}

size_t utf8_encode(uint32_t scalar, char out[4])
{
    if (scalar > 0x10ffff || (scalar >= 0xd800 && scalar <= 0xdfff))
        scalar = 0xfffd;
    if (scalar < 0x80) {
        out[0] = (char)scalar;
        return 1;
    }
    size_t len = scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(unsigned char)(0x80 | (scalar & 0x3f));
        scalar >>= 6;
    }
    out[0] = (char)(unsigned char)(lead[len] | scalar);
    return len;
}

bool utf8_valid(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t scalar;
        size_t taken = utf8_decode(bytes + i, n - i, &scalar);
        if (!taken)
            return false;
        i += taken;
    }
    return true;
}

#define NEAREST_MAX 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Restricted Damerau-Levenshtein distance (optimal string alignment); both at most NEAREST_MAX
 * bytes. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n_b; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            row[j] = least(last[j], row[j - 1]) + 1;
            row[j] = least(row[j], last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[n_b];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strnlen(word, NEAREST_MAX + 1);
    if (length > NEAREST_MAX)
        return NULL;
    size_t limit = length / 3 ? length / 3 : 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t other = strnlen(candidates[i], NEAREST_MAX + 1);
        if (other > NEAREST_MAX || other + limit < length || length + limit < other)
            continue;
        size_t off = distance(word, length, candidates[i], other);
        /* Replacing every character is no likeness, however few there are. */
        if (off > limit || (off && off >= length && off >= other))
            continue;
        nearest = candidates[i];
        if (!off)
            break;
        limit = off - 1; /* the first of equals stays */
    }
    return nearest;
}

/* Reads digits; false when there are none or they overflow. */
static bool take_number(const char **at, uint64_t *number)
{
    const char *p = *at;
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    if (p == *at)
        return false;
    *at = p;
    *number = value;
    return true;
}

bool text_parse_duration(const char *text, uint64_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    const size_t n_units = sizeof(units) / sizeof(units[0]);
    const uint64_t most = UINT64_C(1000) * 3600000;
    uint64_t sum = 0;
    size_t next = 0; /* units come from large to small, each once */
    for (const char *p = text; *p;) {
        uint64_t number;
        if (!take_number(&p, &number))
            return false;
        size_t n = strspn(p, "hms");
        while (next < n_units &&
               (strlen(units[next].name) != n || strncmp(units[next].name, p, n) != 0))
            next++;
        if (next == n_units || number > most / units[next].ms)
            return false;
        sum += number * units[next++].ms;
        p += n;
    }
    if (!sum || sum > most)
        return false;
    *ms = sum;
    return true;
}

bool text_parse_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"kB", 1000},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", UINT64_C(1000000000000)},
        {"KiB", 1024},
        {"MiB", 1048576},
        {"GiB", 1073741824},
        {"TiB", UINT64_C(1099511627776)},
    };
    uint64_t number;
    if (!take_number(&text, &number))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!strcmp(text, units[i].name))
            return !__builtin_mul_overflow(number, units[i].bytes, bytes);
    }
    return false;
}

char *text_duration(uint64_t ms, char out[16])
{
    uint64_t s = ms / 1000;
    if (s < 1)
        snprintf(out, 16, "0.%02us", (unsigned)(ms / 10));
    else if (s < 10)
        snprintf(out, 16, "%u.%us", (unsigned)s, (unsigned)(ms % 1000 / 100));
    else if (s < 60)
        snprintf(out, 16, "%us", (unsigned)s);
    else if (s < 3600)
        snprintf(out, 16, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 100 * 3600)
        snprintf(out, 16, "%u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else if (s < UINT64_C(86400) * 9999999)
        snprintf(out, 16, "%ud", (unsigned)(s / 86400));
    else
        snprintf(out, 16, "9999999d");
    return out;
}

char *text_size(uint64_t bytes, char out[16])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(out, 16, "%u B", (unsigned)bytes);
        return out;
    }
    /* In tenths of the unit, rounded; what rounds up to 1024 takes the next unit. */
    size_t unit = 0;
    uint64_t rest = bytes; /* in 1/1024 of the unit */
    uint64_t tenths = 0;
    for (;; unit++, rest >>= 10) {
        if (rest < UINT64_C(1) << 40) {
            tenths = (rest * 10 + 512) / 1024;
            if (tenths < 10235)
                break;
        }
    }
    if (tenths < 1000)
        snprintf(out, 16, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10),
                 units[unit]);
    else
        snprintf(out, 16, "%u %s", (unsigned)((tenths + 5) / 10), units[unit]);
    return out;
}

char *text_time(uint64_t realtime_ns, char out[32])
{
    const uint64_t ns_in_s = 1000000000;
    time_t seconds = (time_t)(realtime_ns / ns_in_s);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%09uZ", (unsigned)(realtime_ns % ns_in_s));
    return out;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
    return now_ns(CLOCK_REALTIME);
}
