#include "tui/lines.h"

#include "tui/line.h"

#define KEPT_MAX ((size_t)64 * 1024)

static void start_anew(struct lines *lines)
{
    vec_clear(&lines->kept);
    lines->every = 1;
    lines->n = lines->looked = 0;
    lines->near_nth = UINT64_MAX;
    vec_clear(&lines->late);
    lines->generation = lines->file ? logfile_generation(lines->file) : 0;
}

void lines_set_file(struct lines *lines, struct logfile *file)
{
    logfile_free(lines->file);
    lines->file = file;
    start_anew(lines);
}

void lines_choose(struct lines *lines, const char *pattern)
{
    pattern_set(&lines->only, pattern);
    start_anew(lines);
}

void lines_release(struct lines *lines)
{
    logfile_free(lines->file);
    pattern_release(&lines->only);
    vec_release(&lines->kept);
    vec_release(&lines->late);
    buf_release(&lines->plain);
    *lines = (struct lines){0};
}

bool lines_chosen(const struct lines *lines)
{
    return pattern_ready(&lines->only);
}

static bool matches(struct lines *lines, uint64_t line, size_t *n)
{
    const char *bytes = logfile_line(lines->file, line, n);
    if (!bytes) {
        *n = 0;
        return false;
    }
    size_t length = *n;
    bytes = line_text(bytes, &length, &lines->plain);
    return pattern_matches(&lines->only, bytes, length);
}

static void keep(struct lines *lines, uint64_t line)
{
    uint64_t nth = lines->n++;
    if (nth % lines->every != 0)
        return;
    if (lines->kept.n == KEPT_MAX) {
        for (size_t i = 0; i < KEPT_MAX / 2; i++)
            lines->kept.v[i] = lines->kept.v[i * 2];
        lines->kept.n = KEPT_MAX / 2;
        lines->every *= 2;
        if (nth % lines->every != 0)
            return;
    }
    vec_push(&lines->kept, line);
}

bool lines_work(struct lines *lines, size_t budget)
{
    if (!lines->file || !lines_chosen(lines))
        return false;
    uint64_t whole = logfile_whole(lines->file);
    if (logfile_generation(lines->file) != lines->generation)
        start_anew(lines);
    size_t n;
    vec_clear(&lines->late);
    while (lines->looked < whole && budget > 0) {
        if (matches(lines, lines->looked, &n))
            keep(lines, lines->looked);
        lines->looked++;
        size_t cost = pattern_cost(&lines->only, n) + 1;
        budget = budget > cost ? budget - cost : 0;
    }
    if (lines->looked < whole)
        return true;
    for (uint64_t line = whole; line < logfile_lines(lines->file); line++)
        if (matches(lines, line, &n))
            vec_push(&lines->late, line);
    return false;
}

uint64_t lines_n(const struct lines *lines)
{
    if (!lines->file)
        return 0;
    return lines_chosen(lines) ? lines->n + lines->late.n : logfile_lines(lines->file);
}

uint64_t lines_nth(struct lines *lines, uint64_t nth)
{
    if (!lines_chosen(lines))
        return nth;
    if (nth >= lines->n)
        return nth - lines->n < lines->late.n ? lines->late.v[nth - lines->n] : lines->looked;
    uint64_t have = nth / lines->every * lines->every;
    uint64_t line = lines->kept.v[nth / lines->every];
    if (lines->near_nth <= nth && lines->near_nth >= have) {
        have = lines->near_nth;
        line = lines->near_line;
    }
    size_t n;
    while (have < nth && line < lines->looked)
        have += matches(lines, ++line, &n);
    lines->near_nth = nth;
    lines->near_line = line;
    return line;
}

uint64_t lines_at(struct lines *lines, uint64_t line)
{
    uint64_t n = lines_n(lines);
    if (!lines_chosen(lines))
        return line < n ? line : n;
    uint64_t low = 0, high = lines->kept.n;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (lines->kept.v[middle] < line)
            low = middle + 1;
        else
            high = middle;
    }
    uint64_t nth = low > 0 ? (low - 1) * lines->every : 0;
    while (nth < n && lines_nth(lines, nth) < line)
        nth++;
    return nth;
}

const char *lines_get(struct lines *lines, uint64_t nth, size_t *n)
{
    if (nth >= lines_n(lines))
        return NULL;
    return logfile_line(lines->file, lines_nth(lines, nth), n);
}
