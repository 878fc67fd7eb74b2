/*
 * Any bytes as a log that moves the cursor, in pieces: what is on paper are whole lines, what has
 * been settled stays as it was, and nothing is left unplayed but what may go on. The first byte
 * says how large the pieces are.
 */
#include "base/file.h"
#include "tests/fuzz/fuzz.h"
#include "tui/line.h"
#include "tui/paper.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static char *content(const struct paper *paper, size_t *n)
{
    *n = (size_t)paper_size(paper);
    char *bytes = malloc(*n + 1);
    CLAIM(bytes && pread(paper_fd(paper), bytes, *n, 0) == (ssize_t)*n);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    size_t piece = 1 + input_byte(&input) * (size_t)3, written = 0, before_n = 0;
    int fd = memfd_create("log", MFD_CLOEXEC);
    struct paper *paper = paper_new("/tmp");
    char *before = NULL;
    CLAIM(fd >= 0 && paper);
    while (written < input.left) {
        size_t n = piece < input.left - written ? piece : input.left - written, now;
        CLAIM(file_write_all(fd, input.at + written, n) == 0);
        written += n;
        while (paper_play(paper, fd, written, 1000))
            ;
        CLAIM(paper_played(paper) <= written && written - paper_played(paper) < 4096);
        char *bytes = content(paper, &now);
        CLAIM(now >= before_n && (before_n == 0 || memcmp(bytes, before, before_n) == 0));
        CLAIM(now == 0 || bytes[now - 1] == '\n');
        free(before);
        before = bytes;
        before_n = (size_t)paper_settled(paper);
        CLAIM(before_n <= now && (before_n == 0 || bytes[before_n - 1] == '\n'));
        for (const char *p = bytes, *end = bytes + now; p < end;) {
            const char *newline = memchr(p, '\n', (size_t)(end - p));
            CLAIM(newline && paper_origin(p, (size_t)(newline - p)) <= written);
            p = newline + 1;
        }
    }
    free(before);
    paper_free(paper);
    close(fd);
    return 0;
}
