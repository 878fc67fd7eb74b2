#include "base/pattern.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* All repetitions of a pattern, multiplied: regcomp() writes them out. */
#define REPEATS_MAX 1000

void pattern_release(struct pattern *pattern)
{
    if (pattern->compiled)
        regfree(&pattern->regex);
    if (pattern->has_line)
        regfree(&pattern->line);
    free(pattern->text);
    free(pattern->invalid);
    *pattern = (struct pattern){0};
}

static bool has_capital(const char *s)
{
    for (; *s; s++) {
        if (*s == '\\' && s[1])
            s++; /* \W is no capital */
        else if (*s >= 'A' && *s <= 'Z')
            return true;
    }
    return false;
}

/* Why it is not even tried; NULL: it may be. */
static const char *too_much(const char *s)
{
    unsigned long repeats = 1;
    for (; *s; s++) {
        if (*s == '\\' && s[1]) {
            s++;
            if (*s >= '1' && *s <= '9')
                return "references back are not known";
        } else if (*s == '{') {
            unsigned long most = 1, number = 0;
            for (; *s && *s != '}'; s++) {
                number = s[1] >= '0' && s[1] <= '9' && number < 100000
                             ? number * 10 + (unsigned long)(s[1] - '0')
                             : 0;
                most = number > most ? number : most;
            }
            repeats *= most;
            if (repeats > REPEATS_MAX)
                return "too many repetitions";
            if (!*s)
                break;
        }
    }
    return NULL;
}

/* With what may stand before it, so that it need not be tried from each place on. */
static void compile_line(struct pattern *pattern, int flags)
{
    regex_t open;
    char *text = mem_printf("(%s", pattern->text);
    int code = regcomp(&open, text, flags);
    free(text);
    if (code == 0) /* it closes what it has not opened, which stands for itself there */
        regfree(&open);
    if (code != REG_EPAREN)
        return;
    text = mem_printf("^.*(%s)", pattern->text);
    pattern->has_line = regcomp(&pattern->line, text, flags | REG_NOSUB) == 0;
    free(text);
}

static void compile(struct pattern *pattern)
{
    const char *why = too_much(pattern->text);
    if (why) {
        pattern->invalid = mem_strdup(why);
        return;
    }
    int flags = REG_EXTENDED | (pattern->capital ? 0 : REG_ICASE);
    int code = regcomp(&pattern->regex, pattern->text, flags);
    if (code == 0) {
        pattern->compiled = true;
        compile_line(pattern, flags);
        return;
    }
    char text[100];
    regerror(code, &pattern->regex, text, sizeof text);
    pattern->invalid = mem_strdup(text);
}

void pattern_set(struct pattern *pattern, const char *text)
{
    char *copy = text && *text ? mem_strdup(text) : NULL;
    pattern_release(pattern);
    pattern->text = copy;
    if (!copy)
        return;
    pattern->capital = has_capital(copy);
    pattern->plain = !strpbrk(copy, "\\^$.[]|()*+?{}");
    if (!pattern->plain)
        compile(pattern);
}

bool pattern_ready(const struct pattern *pattern)
{
    return pattern->text && !pattern->invalid;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* The first place of a text that has no capitals, in either case. */
static const char *find_small(const char *want, size_t length, const char *text, size_t n)
{
    if (n < length)
        return NULL;
    char first = want[0];
    char capital = first >= 'a' && first <= 'z' ? (char)(first - 32) : first;
    const char *last = text + (n - length);
    for (const char *p = text; p <= last; p++) {
        if (*p != first && *p != capital)
            continue;
        size_t i = 1;
        while (i < length && lower(p[i]) == want[i])
            i++;
        if (i == length)
            return p;
    }
    return NULL;
}

/* Of a text that is too long its beginning, which is copied. */
static const char *looked_at(const char *text, size_t n, char beginning[PATTERN_LOOKED + 1])
{
    if (n <= PATTERN_LOOKED)
        return text;
    memcpy(beginning, text, PATTERN_LOOKED);
    beginning[PATTERN_LOOKED] = '\0';
    return beginning;
}

bool pattern_find(const struct pattern *pattern, const char *text, size_t n, size_t from,
                  size_t *start, size_t *end)
{
    if (!pattern_ready(pattern) || from > n)
        return false;
    if (pattern->plain) {
        size_t length = strlen(pattern->text);
        const char *found = pattern->capital
                                ? memmem(text + from, n - from, pattern->text, length)
                                : find_small(pattern->text, length, text + from, n - from);
        *start = found ? (size_t)(found - text) : 0;
        *end = *start + length;
        return found != NULL;
    }
    char beginning[PATTERN_LOOKED + 1];
    regmatch_t match;
    if (n > PATTERN_LOOKED && from > PATTERN_LOOKED)
        return false;
    text = looked_at(text, n, beginning);
    if (regexec(&pattern->regex, text + from, 1, &match, from > 0 ? REG_NOTBOL : 0) != 0)
        return false;
    *start = from + (size_t)match.rm_so;
    *end = from + (size_t)match.rm_eo;
    return true;
}

bool pattern_matches(const struct pattern *pattern, const char *text, size_t n)
{
    char beginning[PATTERN_LOOKED + 1];
    size_t start, end;
    if (pattern->has_line) {
        const char *looked = looked_at(text, n, beginning);
        if (mbstowcs(NULL, looked, 0) != (size_t)-1) /* else "." does not stand for all of it */
            return regexec(&pattern->line, looked, 0, NULL, 0) == 0;
    }
    return pattern_find(pattern, text, n, 0, &start, &end);
}

size_t pattern_cost(const struct pattern *pattern, size_t n)
{
    size_t looked = n < PATTERN_LOOKED ? n : PATTERN_LOOKED;
    return pattern->plain ? n : n + looked * looked / 16;
}
