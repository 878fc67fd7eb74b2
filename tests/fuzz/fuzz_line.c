/*
 * Any bytes as output of a step: as cells they are whole and harmless, as text they hold no escape,
 * and the plain view's filter passes the same in whatever pieces they come. The first two bytes say
 * how.
 */
#include "base/text.h"
#include "cli/plain_private.h"
#include "tests/fuzz/fuzz.h"
#include "tui/line.h"
#include "tui/width.h"

static void check_cells(const struct line *line, size_t max_columns, bool utf8)
{
    CLAIM(line->cells.n <= max_columns);
    for (size_t i = 0; i < line->cells.n; i++) {
        const struct cell *cell = &line->cells.v[i];
        CLAIM(cell->width <= 2 && cell->len <= CLUSTER_MAX);
        CLAIM(cell->style.fg >= -1 && cell->style.fg < 2 * COLOURS_TRUE && cell->style.bg >= -1 &&
              cell->style.bg < 2 * COLOURS_TRUE);
        if (cell->width == 0) {
            CLAIM(cell->len == 0 && i > 0 && line->cells.v[i - 1].width == 2);
            continue;
        }
        if (cell->width == 2)
            CLAIM(i + 1 < line->cells.n && line->cells.v[i + 1].width == 0);
        CLAIM(cell->len > 0 && utf8_valid(cell->text, cell->len));
        CLAIM(width_text(cell->text, cell->len) == cell->width);
        for (size_t k = 0; k < cell->len; k++)
            CLAIM((unsigned char)cell->text[k] >= 0x20 && cell->text[k] != 0x7f &&
                  (utf8 || !(cell->text[k] & 0x80)));
    }
}

static void check_filter(const char *bytes, size_t n, bool keep_color)
{
    struct escape whole = {.keep_color = keep_color}, pieces = {.keep_color = keep_color};
    struct buf first = BUF_INIT, second = BUF_INIT;
    escape_filter(&whole, bytes, n, &first);
    for (size_t i = 0; i < n;) {
        size_t piece = 1 + (unsigned char)bytes[i] % 7;
        piece = piece < n - i ? piece : n - i;
        escape_filter(&pieces, bytes + i, piece, &second);
        i += piece;
    }
    CLAIM(first.len == second.len && memcmp(buf_str(&first), buf_str(&second), first.len) == 0);
    for (const char *p = buf_str(&first), *end = p + first.len; p < end; p++) {
        if (*p != 0x1b)
            continue;
        CLAIM(keep_color && p[1] == '[');
        p += 2 + strspn(p + 2, "0123456789;:");
        CLAIM(*p == 'm');
    }
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    unsigned flags = input_byte(&input);
    size_t max_columns = input_byte(&input) * 3;
    check_filter((const char *)input.at, input.left, flags & 2);
    struct line line = {0};
    struct buf plain = BUF_INIT;
    while (input.left) {
        const uint8_t *newline = memchr(input.at, '\n', input.left);
        size_t n = newline ? (size_t)(newline - input.at) : input.left;
        line_parse(&line, (const char *)input.at, n, max_columns, flags & 1);
        check_cells(&line, max_columns, flags & 1);
        buf_reset(&plain);
        line_plain((const char *)input.at, n, &plain);
        CLAIM(plain.len <= n * CLUSTER_MAX + LINE_REACH * n &&
              !memchr(buf_str(&plain), 0x1b, plain.len));
        n += newline != NULL;
        input.at += n;
        input.left -= n;
    }
    line_release(&line);
    buf_release(&plain);
    return 0;
}
