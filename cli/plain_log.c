/*
 * plain_log.c - a whole log on a stream, whatever its length, in bounded memory (see
 * plain_private.h).
 */
#include "cli/plain_private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

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
