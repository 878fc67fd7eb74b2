#include "tui/search.h"

#include "base/mem.h"
#include "tui/line.h"

#include <stdlib.h>
#include <string.h>

void search_set(struct search *search, const char *pattern)
{
    free(search->pattern);
    search->pattern = pattern && *pattern ? mem_strdup(pattern) : NULL;
    search->state = SEARCH_NONE;
}

void search_release(struct search *search)
{
    free(search->pattern);
    buf_release(&search->plain);
    *search = (struct search){0};
}

void search_start(struct search *search, struct logfile *log, uint64_t from, bool forward)
{
    uint64_t lines = log ? logfile_lines(log) : 0;
    search->state = SEARCH_NONE;
    if (!search->pattern)
        return;
    search->state = lines > 0 ? SEARCH_RUNNING : SEARCH_MISSED;
    search->forward = forward;
    search->at = lines > 0 && from >= lines ? (forward ? 0 : lines - 1) : from;
    search->seen = 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool has_capital(const char *s)
{
    for (; *s; s++)
        if (*s >= 'A' && *s <= 'Z')
            return true;
    return false;
}

const char *search_find(const char *pattern, const char *text, size_t n)
{
    size_t length = strlen(pattern);
    if (length == 0 || n < length)
        return NULL;
    if (has_capital(pattern))
        return memmem(text, n, pattern, length);
    char first = pattern[0];
    char capital = first >= 'a' && first <= 'z' ? (char)(first - 32) : first;
    const char *last = text + (n - length);
    for (const char *p = text; p <= last; p++) {
        if (*p != first && *p != capital)
            continue;
        size_t i = 1;
        while (i < length && lower(p[i]) == pattern[i])
            i++;
        if (i == length)
            return p;
    }
    return NULL;
}

static bool matches(struct search *search, const char *line, size_t n)
{
    if (!memchr(line, 0x1b, n) && !memchr(line, '\r', n))
        return search_find(search->pattern, line, n) != NULL;
    buf_reset(&search->plain);
    line_plain(line, n, &search->plain);
    return search_find(search->pattern, buf_str(&search->plain), search->plain.len) != NULL;
}

bool search_work(struct search *search, struct logfile *log, size_t budget, bool growing)
{
    if (search->state != SEARCH_RUNNING)
        return false;
    uint64_t lines = log ? logfile_lines(log) : 0;
    while (budget > 0) {
        if (search->forward && search->at >= lines) {
            if (growing)
                return true;
            search->at = 0;
        }
        size_t n;
        const char *line = search->seen < lines ? logfile_line(log, search->at, &n) : NULL;
        if (!line) {
            /* All seen, or the log has been replaced meanwhile. */
            search->state = SEARCH_MISSED;
            return false;
        }
        if (matches(search, line, n)) {
            search->state = SEARCH_FOUND;
            search->found = search->at;
            return false;
        }
        budget = budget > n + 1 ? budget - n - 1 : 0;
        search->seen++;
        if (search->forward)
            search->at++;
        else
            search->at = search->at > 0 ? search->at - 1 : lines - 1;
    }
    return true;
}
