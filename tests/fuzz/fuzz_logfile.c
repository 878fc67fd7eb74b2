/*
 * Any bytes as a log that grows while it is read: its lines are those that a simple reading finds,
 * forwards and backwards, and a search finds the first that has the pattern.
 *
 * Two bytes say how much is looked at a time and how much is there at first; the first line is the
 * pattern; in the rest, byte 1 repeats what follows it, so that few bytes make lines that are too
 * long.
 */
#include "base/buf.h"
#include "base/file.h"
#include "base/vec.h"
#include "tests/fuzz/fuzz.h"
#include "tui/line.h"
#include "tui/paper.h"
#include "tui/search.h"

#include <sys/mman.h>
#include <unistd.h>

#define MOST ((size_t)400 << 10) /* more than it keeps in memory */

struct piece {
    size_t at, n;
};
typedef VEC(struct piece) pieces;

static void expand(struct input input, struct buf *out)
{
    while (input.left && out->len < MOST) {
        unsigned c = input_byte(&input);
        size_t times = 1;
        if (c == 1) {
            times = input_byte(&input) * (size_t)1021;
            c = input_byte(&input);
        }
        memset(buf_reserve(out, times), (int)c, times);
        out->len += times;
        if (out->data)
            out->data[out->len] = '\0';
    }
}

/* What asks for paper is fuzz_paper's. */
static void without_motion(struct buf *log)
{
    size_t mark = strlen(PAPER_SIZE);
    if (log->len >= mark && memcmp(log->data, PAPER_SIZE, mark) == 0)
        log->data[0] = 'e';
    for (size_t i = 0; i + 1 < log->len; i++) {
        if (log->data[i] != 0x1b)
            continue;
        size_t k = i + 1;
        bool csi = log->data[k] == '[';
        while (csi && ++k < log->len && log->data[k] >= '0' && log->data[k] <= ';')
            ;
        char sequence[] = {0x1b, csi ? '[' : log->data[k], k < log->len ? log->data[k] : 'm'};
        if (paper_wanted(sequence, csi ? 3 : 2))
            log->data[i] = 'e';
    }
}

static void split(const struct buf *log, pieces *out)
{
    for (size_t at = 0; at < log->len;) {
        size_t n = log->len - at < LOGFILE_LINE_MAX ? log->len - at : LOGFILE_LINE_MAX;
        const char *newline = memchr(log->data + at, '\n', n);
        n = newline ? (size_t)(newline - log->data) - at : n;
        vec_push(out, (struct piece){at, n});
        at += n + (newline != NULL);
    }
}

static void check_lines(struct logfile *log, const struct buf *bytes, const pieces *lines)
{
    size_t n = 0;
    CLAIM(logfile_size(log) == bytes->len && logfile_indexed(log) == bytes->len);
    CLAIM(logfile_lines(log) == lines->n);
    CLAIM(!logfile_line(log, lines->n, &n));
    for (size_t i = 0; i < lines->n && i < 1000; i++) {
        size_t k = i * 8191 % lines->n; /* not in a row */
        const char *line = logfile_line(log, k, &n);
        CLAIM(line && n == lines->v[k].n && memcmp(line, bytes->data + lines->v[k].at, n) == 0);
    }
    uint64_t end = logfile_size(log), before = end;
    const char *line;
    for (int i = 0; i < 1000 && (line = logfile_back(log, &end, &n)); i++) {
        CLAIM(end < before && n <= before - end && memcmp(line, bytes->data + end, n) == 0);
        before = end;
    }
    CLAIM(end == 0 || lines->n >= 1000);
}

static bool has(const struct pattern *pattern, const struct buf *bytes, const struct piece *line)
{
    struct buf plain = BUF_INIT;
    size_t n = line->n, start, end;
    const char *text = line_text(bytes->data + line->at, &n, &plain);
    bool found = pattern_find(pattern, text, n, 0, &start, &end);
    CLAIM(!found || (start <= end && end <= n));
    buf_release(&plain);
    return found;
}

static void check_search(struct lines *seen, const char *text, const struct buf *bytes,
                         const pieces *lines)
{
    if (lines->n > 500)
        return; /* has() is slow */
    struct pattern pattern = {0};
    pattern_set(&pattern, text);
    struct search_wanted wanted = search_pattern(&pattern);
    for (int forward = 0; forward < 2; forward++) {
        struct search search = {0};
        uint64_t from = lines->n / 2, at = from;
        size_t rounds = 0, looked = 0;
        search_start(&search, seen, from, forward);
        while (search_work(&search, seen, &wanted, 100, false))
            CLAIM(++rounds <= bytes->len + lines->n + 1);
        while (looked < lines->n && !has(&pattern, bytes, &lines->v[at])) {
            looked++;
            at = forward ? (at + 1) % lines->n : (at + lines->n - 1) % lines->n;
        }
        if (looked == lines->n)
            CLAIM(search.state == SEARCH_MISSED);
        else
            CLAIM(search.state == SEARCH_FOUND && search.found == at);
        search_release(&search);
    }
    lines_choose(seen, text);
    while (lines_work(seen, 100))
        ;
    uint64_t n = 0;
    for (size_t i = 0; i < lines->n; i++) {
        if (lines_chosen(seen) && !has(&pattern, bytes, &lines->v[i]))
            continue;
        CLAIM(lines_nth(seen, n) == i && lines_at(seen, i) == n);
        n++;
    }
    CLAIM(lines_n(seen) == n);
    pattern_release(&pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    size_t budget = 1 + input_byte(&input) * (size_t)37;
    unsigned part = input_byte(&input);
    char *pattern = input_line(&input);
    struct buf bytes = BUF_INIT;
    pieces lines = VEC_INIT;
    expand(input, &bytes);
    without_motion(&bytes);
    split(&bytes, &lines);

    char path[40];
    int fd = memfd_create("log", MFD_CLOEXEC);
    CLAIM(fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct logfile *log = logfile_open(path);
    CLAIM(log && logfile_lines(log) == 0);
    size_t first = bytes.len * part / 256, n;
    CLAIM(file_write_all(fd, buf_str(&bytes), first) == 0);
    while (logfile_index(log, budget))
        ;
    for (uint64_t i = 0; i < logfile_lines(log) && i < 100; i++)
        CLAIM(logfile_line(log, i, &n));
    CLAIM(file_write_all(fd, buf_str(&bytes) + first, bytes.len - first) == 0);
    for (uint64_t before = 0; logfile_index(log, budget); before = logfile_indexed(log))
        CLAIM(logfile_indexed(log) > before);
    check_lines(log, &bytes, &lines);
    struct lines seen = {0};
    lines_set_file(&seen, log);
    check_search(&seen, pattern, &bytes, &lines);

    CLAIM(ftruncate(fd, (off_t)(bytes.len / 2)) == 0);
    if (lines.n)
        (void)logfile_line(log, lines.n - 1, &n);
    while (logfile_index(log, budget))
        ;
    CLAIM(logfile_size(log) == bytes.len / 2);
    lines_release(&seen);
    close(fd);
    free(pattern);
    vec_release(&lines);
    buf_release(&bytes);
    return 0;
}
