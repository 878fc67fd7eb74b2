/*
 * plain_log.c - a log on a stream, whatever its length, in bounded memory, or its end (see
 * plain_private.h).
 */
#include "cli/plain_private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE     ((size_t)64 * 1024)
#define TAIL_LINE ((size_t)400) /* bytes of a line, as a rule, in what is shown of a log's end */

static ssize_t read_piece(int fd, char *to)
{
    ssize_t n;
    do
        n = read(fd, to, PIECE);
    while (n < 0 && errno == EINTR);
    return n;
}

bool plain_log(FILE *out, const char *path, bool color, bool *empty)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct escape escape = {.keep_color = color};
    struct buf text = BUF_INIT;
    char *piece = mem_alloc(PIECE), last = '\n';
    ssize_t n;
    *empty = true;
    while ((n = read_piece(fd, piece)) > 0 && !ferror(out)) {
        *empty = false;
        buf_reset(&text);
        escape_filter(&escape, piece, (size_t)n, &text);
        if (text.len)
            last = text.data[text.len - 1];
        fwrite(buf_str(&text), 1, text.len, out);
    }
    if (color && !*empty)
        fputs("\033[0m", out); /* what the log coloured ends with it */
    if (last != '\n')
        fputc('\n', out);
    bool ok = n >= 0 || !*empty;
    free(piece);
    buf_release(&text);
    close(fd);
    return ok;
}

static bool read_part(int fd, off_t offset, size_t most, struct buf *out)
{
    char *to = buf_reserve(out, most);
    size_t done = 0;
    ssize_t n = 1;
    while (done < most && n > 0) {
        n = pread(fd, to + done, most - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            done += (size_t)n;
    }
    out->len += done;
    *buf_reserve(out, 1) = '\0';
    return n >= 0;
}

bool plain_log_part(const char *path, uint64_t offset, size_t most, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    if (ok && (uint64_t)st.st_size > offset) {
        uint64_t left = (uint64_t)st.st_size - offset;
        ok = read_part(fd, (off_t)offset, left < most ? (size_t)left : most, out);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Where the last of that many lines begin; the newline at the end begins none. */
static size_t tail_of(const char *text, size_t n, size_t lines)
{
    size_t end = n && text[n - 1] == '\n' ? n - 1 : n;
    for (;;) {
        const char *newline = end ? memrchr(text, '\n', end) : NULL;
        if (!newline)
            return 0;
        end = (size_t)(newline - text);
        if (--lines == 0)
            return end + 1;
    }
}

bool plain_log_tail(const char *path, size_t lines, bool color, struct buf *out, bool *whole)
{
    struct escape escape = {.keep_color = color};
    struct buf bytes = BUF_INIT, text = BUF_INIT;
    struct stat st;
    size_t most = lines * TAIL_LINE;
    bool ok = stat(path, &st) == 0;
    uint64_t size = ok ? (uint64_t)st.st_size : 0, from = size > most ? size - most : 0;
    ok = ok && plain_log_part(path, from, most, &bytes);
    escape_filter(&escape, buf_str(&bytes), bytes.len, &text);
    size_t at = tail_of(buf_str(&text), text.len, lines);
    if (from && !at) { /* begin with a whole line, where there is one */
        const char *newline = memchr(buf_str(&text), '\n', text.len);
        at = newline && newline + 1 < text.data + text.len ? (size_t)(newline + 1 - text.data) : 0;
    }
    *whole = from == 0 && at == 0;
    buf_add(out, buf_str(&text) + at, text.len - at);
    if (color && text.len)
        buf_adds(out, "\033[0m");
    if (text.len && text.data[text.len - 1] != '\n')
        buf_addc(out, '\n');
    buf_release(&bytes);
    buf_release(&text);
    return ok;
}
