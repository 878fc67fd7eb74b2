#include "tui/logfile.h"

#include "base/vec.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW     (256 * 1024)
#define SAMPLES    (128 * 1024)
#define FIRST_STEP 16

struct logfile {
    int fd;
    uint64_t size;      /* of the file, when last looked */
    uint64_t indexed;   /* bytes looked at */
    uint64_t lines;     /* whole lines among them */
    uint64_t last_line; /* where the line after them starts */
    uint64_t every;     /* one line of so many is in the samples */
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
    log->fd = fd;
    log->window = mem_alloc(WINDOW);
    start_anew(log);
    return log;
}

void logfile_free(struct logfile *log)
{
    if (!log)
        return;
    close(log->fd);
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

bool logfile_index(struct logfile *log, size_t budget)
{
    struct stat st;
    if (fstat(log->fd, &st) != 0)
        return false;
    if ((uint64_t)st.st_size < log->size)
        start_anew(log);
    if ((uint64_t)st.st_size != log->size)
        log->window_n = 0; /* it may end within a line that has grown */
    log->size = (uint64_t)st.st_size;
    while (log->indexed < log->size && budget > 0) {
        size_t n;
        const char *bytes = bytes_at(log, log->indexed, 1, &n);
        if (n > log->size - log->indexed)
            n = (size_t)(log->size - log->indexed);
        if (n == 0)
            break;
        budget = budget > n ? budget - n : 0;
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
    return log->indexed < log->size;
}

uint64_t logfile_lines(const struct logfile *log)
{
    return log->lines + (log->indexed > log->last_line ? 1 : 0);
}

uint64_t logfile_whole(const struct logfile *log)
{
    return log->lines;
}

unsigned logfile_generation(const struct logfile *log)
{
    return log->generation;
}

uint64_t logfile_size(const struct logfile *log)
{
    return log->size;
}

uint64_t logfile_indexed(const struct logfile *log)
{
    return log->indexed;
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

uint64_t logfile_offset(struct logfile *log, uint64_t line)
{
    size_t n;
    return logfile_line(log, line, &n) ? log->near_offset : log->last_line;
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
