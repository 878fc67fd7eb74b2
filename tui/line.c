#include "tui/line.h"

#include <string.h>

/* The length of the escape sequence at the start of n > 0 bytes (bytes[0] is ESC). One cut off by
 * the end of the line takes all. */
static size_t escape_length(const char *bytes, size_t n)
{
    if (n < 2)
        return n;
    unsigned char kind = (unsigned char)bytes[1];
    if (kind == '[') {
        size_t i = 2;
        while (i < n && (unsigned char)bytes[i] >= 0x20 && (unsigned char)bytes[i] <= 0x3f)
            i++;
        /* What is no final byte ends the sequence, and is shown. */
        return i < n && (unsigned char)bytes[i] >= 0x40 && (unsigned char)bytes[i] <= 0x7e ? i + 1
                                                                                           : i;
    }
    if (kind == ']' || kind == 'P' || kind == '_' || kind == '^' || kind == 'X') {
        for (size_t i = 2; i < n; i++) {
            if (bytes[i] == '\a')
                return i + 1;
            if (bytes[i] == 0x1b)
                return i + 1 < n && bytes[i + 1] == '\\' ? i + 2 : i;
        }
        return n;
    }
    size_t i = 1;
    while (i < n && (unsigned char)bytes[i] >= 0x20 && (unsigned char)bytes[i] <= 0x2f)
        i++;
    return i < n && (unsigned char)bytes[i] >= 0x30 && (unsigned char)bytes[i] <= 0x7e ? i + 1 : i;
}

#define PARAMS_MAX 32

/* 38 and 48 carry their colour in the parameters behind them; returns how many were used up. */
static size_t extended_colour(const unsigned *params, size_t n, int32_t *colour)
{
    if (n >= 2 && params[0] == 5) {
        *colour = (int32_t)(params[1] & 255);
        return 2;
    }
    if (n >= 4 && params[0] == 2) {
        *colour = COLOUR_TRUE((int32_t)(params[1] & 255), (int32_t)(params[2] & 255),
                              (int32_t)(params[3] & 255));
        return 4;
    }
    return n;
}

static void apply_sgr(struct style *style, const unsigned *params, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned p = params[i];
        switch (p) {
        case 0: *style = STYLE_PLAIN; break;
        case 1: style->attrs |= ATTR_BOLD; break;
        case 2: style->attrs |= ATTR_DIM; break;
        case 3: style->attrs |= ATTR_ITALIC; break;
        case 4: style->attrs |= ATTR_UNDERLINE; break;
        case 7: style->attrs |= ATTR_REVERSE; break;
        case 9: style->attrs |= ATTR_STRIKE; break;
        case 22: style->attrs &= (uint8_t) ~(ATTR_BOLD | ATTR_DIM); break;
        case 23: style->attrs &= (uint8_t)~ATTR_ITALIC; break;
        case 24: style->attrs &= (uint8_t)~ATTR_UNDERLINE; break;
        case 27: style->attrs &= (uint8_t)~ATTR_REVERSE; break;
        case 29: style->attrs &= (uint8_t)~ATTR_STRIKE; break;
        case 38: i += extended_colour(params + i + 1, n - i - 1, &style->fg); break;
        case 39: style->fg = COLOUR_DEFAULT; break;
        case 48: i += extended_colour(params + i + 1, n - i - 1, &style->bg); break;
        case 49: style->bg = COLOUR_DEFAULT; break;
        default:
            if (p >= 30 && p <= 37)
                style->fg = (int32_t)(p - 30);
            else if (p >= 40 && p <= 47)
                style->bg = (int32_t)(p - 40);
            else if (p >= 90 && p <= 97)
                style->fg = (int32_t)(p - 90 + 8);
            else if (p >= 100 && p <= 107)
                style->bg = (int32_t)(p - 100 + 8);
            break;
        }
    }
}

/* A whole CSI ... m changes the style; parameters may be parted by ; or : */
static void sgr(struct style *style, const char *bytes, size_t n)
{
    if (n < 3 || bytes[1] != '[' || bytes[n - 1] != 'm')
        return;
    unsigned params[PARAMS_MAX] = {0};
    size_t count = 1;
    for (size_t i = 2; i < n - 1; i++) {
        if (bytes[i] >= '0' && bytes[i] <= '9') {
            unsigned *p = &params[count - 1];
            *p = *p > 9999 ? *p : *p * 10 + (unsigned)(bytes[i] - '0');
        } else if (bytes[i] == ';' || bytes[i] == ':') {
            if (count == PARAMS_MAX)
                break;
            count++;
        } else {
            return; /* private: no SGR */
        }
    }
    apply_sgr(style, params, count);
}

/* Leaves out what a carriage return has written over: all before the last one that something
 * follows. */
static size_t last_segment(const char *bytes, size_t *n)
{
    while (*n > 0 && bytes[*n - 1] == '\r')
        --*n;
    const char *last = *n > 0 ? memrchr(bytes, '\r', *n) : NULL;
    return last ? (size_t)(last - bytes) + 1 : 0;
}

static void push(struct line *line, const struct cell *cell, size_t max_columns)
{
    if (line->cells.n + cell->width > max_columns)
        return;
    vec_push(&line->cells, *cell);
    if (cell->width == 2) {
        struct cell half = *cell;
        half.width = half.len = 0;
        vec_push(&line->cells, half);
    }
}

void line_parse(struct line *line, const char *bytes, size_t n, size_t max_columns, bool utf8)
{
    vec_clear(&line->cells);
    struct style style = STYLE_PLAIN;
    size_t i = last_segment(bytes, &n);
    while (i < n && line->cells.n < max_columns) {
        if (bytes[i] == 0x1b) {
            size_t length = escape_length(bytes + i, n - i);
            sgr(&style, bytes + i, length);
            i += length;
            continue;
        }
        struct cell cell;
        if (bytes[i] == '\t') {
            cell_take(&cell, " ", 1, utf8);
            cell.style = style;
            do
                push(line, &cell, max_columns);
            while (line->cells.n % 8 != 0 && line->cells.n < max_columns);
            i++;
            continue;
        }
        if (bytes[i] == '\b') {
            if (line->cells.n > 0 && vec_pop(&line->cells).width == 0 && line->cells.n > 0)
                line->cells.n--;
            i++;
            continue;
        }
        i += cell_take(&cell, bytes + i, n - i, utf8);
        cell.style = style;
        size_t before = line->cells.n;
        push(line, &cell, max_columns);
        if (line->cells.n == before)
            break;
    }
}

void line_plain(const char *bytes, size_t n, struct buf *out)
{
    size_t i = last_segment(bytes, &n);
    while (i < n) {
        size_t length = 1;
        if (bytes[i] == 0x1b) {
            i += escape_length(bytes + i, n - i);
            continue;
        }
        while (i + length < n && bytes[i + length] != 0x1b)
            length++;
        buf_add(out, bytes + i, length);
        i += length;
    }
}

void line_release(struct line *line)
{
    vec_release(&line->cells);
}
