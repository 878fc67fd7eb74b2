#include "tui/logfile.h"

#include "base/vec.h"
#include "tui/line.h"
#include "tui/paper.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW     (256 * 1024)
#define SAMPLES    (128 * 1024)
#define FIRST_STEP 16

/* Playing takes so many times as long as looking for newlines. */
#define PLAY_COST 16

struct logfile {
    int log; /* what the step writes */
    int fd;  /* where the lines are: the same, or the paper */
    struct paper *paper;
    char *dir;                                         /* of the log */
    uint64_t settled_lines;                            /* of the paper's */
    enum { SEEN_NOTHING, SEEN_ESCAPE, SEEN_CSI } seen; /* at the end of what has been looked at */
    uint64_t log_size;                                 /* when last looked */
    uint64_t size;                                     /* of what the lines are in */
    uint64_t indexed;                                  /* bytes looked at */
    uint64_t lines;                                    /* whole lines among them */
    uint64_t last_line;                                /* where the line after them starts */
    uint64_t every;                                    /* one line of so many is in the samples */
    VEC(uint64_t) samples;
    /* Where a line known to start: the next one asked for is usually near. */
    uint64_t near_line, near_offset;
    char *window;
    uint64_t window_start;
    size_t window_n;
    bool window_last; /* the file ended in it */
    unsigned generation;
};

static void start_anew(struct logfile *log)
{
    log->indexed = log->lines = log->last_line = 0;
    log->near_line = log->near_offset = 0;
    log->every = FIRST_STEP;
    log->window_n = 0;
    log->settled_lines = 0;
    log->seen = SEEN_NOTHING;
    log->generation++;
    vec_clear(&log->samples);
    vec_push(&log->samples, 0);
}

struct logfile *logfile_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return NULL;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return NULL;
    }
    struct logfile *log = mem_zalloc(1, sizeof *log);
    log->log = log->fd = fd;
    const char *slash = strrchr(path, '/');
    log->dir = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
    log->window = mem_alloc(WINDOW);
    start_anew(log);
    return log;
}

void logfile_free(struct logfile *log)
{
    if (!log)
        return;
    close(log->log);
    paper_free(log->paper);
    free(log->dir);
    vec_release(&log->samples);
    free(log->window);
    free(log);
}

/* The bytes from offset on, as many as the window gives, at least want unless the file ends before.
 */
static const char *bytes_at(struct logfile *log, uint64_t offset, size_t want, size_t *n)
{
    uint64_t window_end = log->window_start + log->window_n;
    if (offset >= log->window_start && offset < window_end &&
        (offset + want <= window_end || log->window_last)) {
        *n = (size_t)(window_end - offset);
        return log->window + (offset - log->window_start);
    }
    /* Aligned, so that going backwards finds the lines before in the window too. */
    log->window_start = offset / LOGFILE_LINE_MAX * LOGFILE_LINE_MAX;
    log->window_n = 0;
    while (log->window_n < WINDOW) {
        ssize_t got = pread(log->fd, log->window + log->window_n, WINDOW - log->window_n,
                            (off_t)(log->window_start + log->window_n));
        if (got <= 0)
            break;
        log->window_n += (size_t)got;
    }
    log->window_last = log->window_n < WINDOW;
    size_t skip = (size_t)(offset - log->window_start);
    *n = log->window_n > skip ? log->window_n - skip : 0;
    return log->window + skip;
}

static void line_starts(struct logfile *log, uint64_t offset)
{
    log->lines++;
    log->last_line = offset;
    if (log->lines % log->every != 0)
        return;
    if (log->samples.n == SAMPLES) {
        for (size_t i = 0; i < SAMPLES / 2; i++)
            log->samples.v[i] = log->samples.v[i * 2];
        log->samples.n = SAMPLES / 2;
        log->every *= 2;
        if (log->lines % log->every != 0)
            return;
    }
    vec_push(&log->samples, offset);
}

/* Counts the lines from what is looked at to there. */
static void count_lines(struct logfile *log, const char *bytes, size_t n)
{
    uint64_t base = log->indexed;
    size_t at = 0;
    while (at < n) {
        uint64_t limit = log->last_line + LOGFILE_LINE_MAX - base; /* where it would be cut */
        size_t end = limit < n ? (size_t)limit : n;
        const char *newline = memchr(bytes + at, '\n', end - at);
        at = newline ? (size_t)(newline - bytes) + 1 : end;
        if (newline || at == limit)
            line_starts(log, base + at);
    }
    log->indexed = base + n;
}

/* Whether the bytes, after those looked at before, hold a sequence that asks for paper. */
static bool wants_paper(struct logfile *log, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        if (log->seen == SEEN_NOTHING) {
            const char *escape = memchr(bytes + i, 0x1b, n - i);
            if (!escape)
                return false;
            log->seen = SEEN_ESCAPE;
            i = (size_t)(escape - bytes) + 1;
        } else if (log->seen == SEEN_ESCAPE) {
            char sequence[] = {0x1b, bytes[i]};
            if (paper_wanted(sequence, 2))
                return true;
            if (bytes[i] != 0x1b)
                log->seen = bytes[i] == '[' ? SEEN_CSI : SEEN_NOTHING;
            i++;
        } else {
            if (bytes[i] >= '0' && bytes[i] <= ';') {
                i++;
                continue;
            }
            char sequence[] = {0x1b, '[', bytes[i]};
            log->seen = SEEN_NOTHING;
            if (paper_wanted(sequence, 3))
                return true;
        }
    }
    return false;
}

/* A terminal's own log says so first. Returns whether that can be told yet. */
static bool look_at_start(struct logfile *log, const char *bytes, size_t n, bool *wanted)
{
    size_t mark = strlen(PAPER_SIZE);
    bool same = memcmp(bytes, PAPER_SIZE, n < mark ? n : mark) == 0;
    *wanted = log->indexed == 0 && same && n >= mark;
    return log->indexed > 0 || !same || n >= mark;
}

static bool index_log(struct logfile *log, size_t budget)
{
    bool wanted;
    log->size = log->log_size;
    while (log->indexed < log->size && budget > 0) {
        size_t n;
        const char *bytes = bytes_at(log, log->indexed, 1, &n);
        if (n > log->size - log->indexed)
            n = (size_t)(log->size - log->indexed);
        if (n == 0)
            break;
        if (!look_at_start(log, bytes, n, &wanted)) {
            log->window_n = 0;
            return false;
        }
        if ((wanted || wants_paper(log, bytes, n)) && (log->paper = paper_new(log->dir))) {
            start_anew(log);
            log->fd = paper_fd(log->paper);
            log->size = 0;
            return true;
        }
        budget = budget > n ? budget - n : 0;
        count_lines(log, bytes, n);
    }
    return log->indexed < log->size;
}

/* Forgets the lines that were on the screen. */
static void forget_screen(struct logfile *log, uint64_t settled)
{
    log->indexed = log->last_line = settled;
    log->lines = log->settled_lines;
    log->samples.n = (size_t)(log->lines / log->every) + 1;
    log->near_line = log->near_offset = 0;
    log->window_n = 0;
}

static void count_to(struct logfile *log, uint64_t end)
{
    log->size = end;
    log->window_n = 0;
    while (log->indexed < end) {
        size_t n;
        const char *bytes = bytes_at(log, log->indexed, 1, &n);
        if (n == 0)
            break;
        count_lines(log, bytes, n < end - log->indexed ? n : (size_t)(end - log->indexed));
    }
}

static bool index_paper(struct logfile *log, size_t budget)
{
    uint64_t before = paper_played(log->paper);
    if (before == log->log_size)
        return false;
    forget_screen(log, paper_settled(log->paper));
    bool more = paper_play(log->paper, log->log, log->log_size, budget / PLAY_COST + 1);
    count_to(log, paper_settled(log->paper));
    log->settled_lines = log->lines;
    count_to(log, paper_size(log->paper));
    return more;
}

bool logfile_index(struct logfile *log, size_t budget)
{
    struct stat st;
    if (fstat(log->log, &st) != 0)
        return false;
    if ((uint64_t)st.st_size < log->log_size) {
        paper_free(log->paper);
        log->paper = NULL;
        log->fd = log->log;
        start_anew(log);
    }
    if ((uint64_t)st.st_size != log->log_size && !log->paper)
        log->window_n = 0; /* it may end within a line that has grown */
    log->log_size = (uint64_t)st.st_size;
    return log->paper ? index_paper(log, budget) : index_log(log, budget);
}

uint64_t logfile_lines(const struct logfile *log)
{
    return log->lines + (log->indexed > log->last_line ? 1 : 0);
}

uint64_t logfile_whole(const struct logfile *log)
{
    return log->paper ? log->settled_lines : log->lines;
}

unsigned logfile_generation(const struct logfile *log)
{
    return log->generation;
}

bool logfile_cursor(const struct logfile *log, uint64_t *line, size_t *column)
{
    size_t row = 0;
    bool seen = log && log->paper && paper_cursor(log->paper, &row, column);
    if (seen)
        *line = log->settled_lines + row;
    return seen;
}

unsigned logfile_modes(const struct logfile *log)
{
    return log && log->paper ? paper_modes(log->paper) : 0;
}

uint64_t logfile_size(const struct logfile *log)
{
    return log->log_size;
}

uint64_t logfile_indexed(const struct logfile *log)
{
    return log->paper ? paper_played(log->paper) : log->indexed;
}

/* The bytes of the line that starts at offset and where the next one starts; false at the end of
 * the file. */
static bool line_at(struct logfile *log, uint64_t offset, const char **bytes, size_t *n,
                    uint64_t *next)
{
    size_t have;
    const char *start = bytes_at(log, offset, LOGFILE_LINE_MAX, &have);
    if (have == 0)
        return false;
    size_t end = have < LOGFILE_LINE_MAX ? have : LOGFILE_LINE_MAX;
    const char *newline = memchr(start, '\n', end);
    *bytes = start;
    *n = newline ? (size_t)(newline - start) : end;
    *next = offset + *n + (newline ? 1 : 0);
    return true;
}

const char *logfile_line(struct logfile *log, uint64_t line, size_t *n)
{
    if (line >= logfile_lines(log))
        return NULL;
    uint64_t sample = line / log->every;
    if (sample >= log->samples.n)
        return NULL;
    uint64_t at = sample * log->every, offset = log->samples.v[sample];
    if (log->near_line <= line && log->near_line >= at) {
        at = log->near_line;
        offset = log->near_offset;
    }
    const char *bytes;
    uint64_t next;
    for (; at < line; at++, offset = next)
        if (!line_at(log, offset, &bytes, n, &next))
            return NULL;
    log->near_line = line;
    log->near_offset = offset;
    return line_at(log, offset, &bytes, n, &next) ? bytes : NULL;
}

uint64_t logfile_origin(struct logfile *log, uint64_t line)
{
    size_t n;
    const char *bytes = logfile_line(log, line, &n);
    return bytes ? logfile_back_origin(log, log->near_offset, bytes, n) : log->log_size;
}

uint64_t logfile_back_origin(const struct logfile *log, uint64_t start, const char *line, size_t n)
{
    return log->paper ? paper_origin(line, n) : start;
}

uint64_t logfile_end(const struct logfile *log)
{
    return log->size;
}

const char *logfile_back(struct logfile *log, uint64_t *end, size_t *n)
{
    if (*end == 0)
        return NULL;
    uint64_t from = *end > LOGFILE_LINE_MAX ? *end - LOGFILE_LINE_MAX : 0;
    size_t have;
    const char *bytes = bytes_at(log, from, (size_t)(*end - from), &have);
    size_t length = (size_t)(*end - from);
    if (have < length)
        return NULL; /* it has become shorter */
    if (bytes[length - 1] == '\n')
        length--;
    const char *newline = memrchr(bytes, '\n', length);
    const char *start = newline ? newline + 1 : bytes;
    *n = (size_t)(bytes + length - start);
    *end = from + (uint64_t)(start - bytes);
    return start;
}
