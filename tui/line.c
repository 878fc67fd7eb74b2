#include "tui/line.h"

#include <string.h>

size_t escape_length(const char *bytes, size_t n)
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

size_t escape_params(const char *bytes, size_t n, unsigned params[ESCAPE_PARAMS])
{
    size_t count = 1;
    if (n < 3 || bytes[1] != '[')
        return 0;
    memset(params, 0, ESCAPE_PARAMS * sizeof *params);
    for (size_t i = 2; i < n - 1; i++) {
        if (bytes[i] >= '0' && bytes[i] <= '9') {
            unsigned *p = &params[count - 1];
            *p = *p > 9999 ? *p : *p * 10 + (unsigned)(bytes[i] - '0');
        } else if (bytes[i] == ';' || bytes[i] == ':') {
            if (count == ESCAPE_PARAMS)
                break;
            count++;
        } else {
            return 0;
        }
    }
    return count;
}

/* Does what an SGR sequence says; any other one changes nothing. */
static void set_style(struct style *style, const char *bytes, size_t n)
{
    unsigned params[ESCAPE_PARAMS];
    size_t count = n > 2 && bytes[n - 1] == 'm' ? escape_params(bytes, n, params) : 0;
    if (count > 0)
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

static void blank(struct cell *cell, struct style style)
{
    *cell = (struct cell){.text = " ", .len = 1, .width = 1, .style = style};
}

/* Blanks from one column to before another, whole wide characters even where only a half is there.
 */
static void wipe(struct line *line, size_t from, size_t to)
{
    struct cell *cells = line->cells.v;
    if (to > line->cells.n)
        to = line->cells.n;
    if (from >= to)
        return;
    if (cells[from].width == 0 && from > 0)
        from--;
    if (to < line->cells.n && cells[to].width == 0)
        to++;
    for (size_t i = from; i < to; i++)
        blank(&cells[i], STYLE_PLAIN);
}

/* Writes the cell where the cursor is; what does not fit is not there. */
static void put(struct hand *hand, const struct cell *cell)
{
    struct line *line = hand->line;
    size_t end = hand->at + cell->width;
    if (end <= hand->max) {
        wipe(line, hand->at, end);
        while (line->cells.n < end) {
            struct cell empty;
            blank(&empty, STYLE_PLAIN);
            vec_push(&line->cells, empty);
        }
        line->cells.v[hand->at] = *cell;
        if (cell->width == 2) {
            struct cell *half = &line->cells.v[end - 1];
            *half = *cell;
            half->width = half->len = 0;
        }
    }
    hand->at = end;
}

static void tab(struct hand *hand)
{
    size_t stop = (hand->at / 8 + 1) * 8;
    struct cell cell;
    blank(&cell, hand->style);
    while (hand->at < stop && hand->at < hand->line->cells.n)
        hand->at++; /* over what is there */
    while (hand->at < stop && hand->at < hand->max)
        put(hand, &cell);
}

static void back(struct hand *hand)
{
    struct line *line = hand->line;
    if (hand->at > 0)
        hand->at--;
    if (hand->at > 0 && hand->at < line->cells.n && line->cells.v[hand->at].width == 0)
        hand->at--;
}

static void insert(struct hand *hand, size_t n)
{
    struct line *line = hand->line;
    size_t old = line->cells.n;
    if (hand->at >= old)
        return;
    if (line->cells.v[hand->at].width == 0)
        wipe(line, hand->at, hand->at + 1);
    struct cell empty;
    blank(&empty, STYLE_PLAIN);
    for (size_t i = 0; i < n; i++)
        vec_push(&line->cells, empty);
    memmove(line->cells.v + hand->at + n, line->cells.v + hand->at,
            (old - hand->at) * sizeof *line->cells.v);
    for (size_t i = 0; i < n; i++)
        line->cells.v[hand->at + i] = empty;
}

static void cut(struct hand *hand, size_t n)
{
    struct line *line = hand->line;
    if (hand->at >= line->cells.n)
        return;
    if (n > line->cells.n - hand->at)
        n = line->cells.n - hand->at;
    wipe(line, hand->at, hand->at + n);
    memmove(line->cells.v + hand->at, line->cells.v + hand->at + n,
            (line->cells.n - hand->at - n) * sizeof *line->cells.v);
    line->cells.n -= n;
}

void hand_erase(struct hand *hand, unsigned how)
{
    struct line *line = hand->line;
    if (how == 1)
        wipe(line, 0, hand->at + 1);
    else if (how == 2)
        vec_clear(&line->cells);
    else if (how == 0 && hand->at < line->cells.n) {
        wipe(line, hand->at, line->cells.n);
        line->cells.n = hand->at;
    }
}

/* What moves or erases within a line. */
static bool moves(char final)
{
    return memchr("CDGKPX@`", final, 8) != NULL;
}

static void obey(struct hand *hand, const char *bytes, size_t n)
{
    unsigned params[ESCAPE_PARAMS];
    set_style(&hand->style, bytes, n);
    if (n < 3 || !moves(bytes[n - 1]) || escape_params(bytes, n, params) == 0)
        return;
    size_t count = params[0] > 0 ? params[0] : 1;
    size_t reach = hand->max < LINE_REACH ? hand->max : LINE_REACH;
    if (count > LINE_REACH)
        count = LINE_REACH;
    switch (bytes[n - 1]) {
    case 'C':
        if (reach < hand->line->cells.n)
            reach = hand->line->cells.n;
        hand->at = hand->at + count < reach ? hand->at + count : reach;
        break;
    case 'D': hand->at = hand->at > count ? hand->at - count : 0; break;
    case 'G':
    case '`': hand->at = count - 1; break;
    case 'K': hand_erase(hand, params[0]); break;
    case 'P': cut(hand, count); break;
    case 'X': wipe(hand->line, hand->at, hand->at + count); break;
    case '@':
        if (hand->line->cells.n + count <= reach)
            insert(hand, count);
        break;
    default: break;
    }
}

size_t hand_take(struct hand *hand, const char *bytes, size_t n, bool utf8)
{
    struct cell cell;
    if (bytes[0] == 0x1b) {
        size_t length = escape_length(bytes, n);
        obey(hand, bytes, length);
        return length;
    }
    if (bytes[0] == '\t') {
        tab(hand);
        return 1;
    }
    if (bytes[0] == '\b') {
        back(hand);
        return 1;
    }
    size_t length = cell_take(&cell, bytes, n, utf8);
    cell.style = hand->style;
    put(hand, &cell);
    return length;
}

/* Whether what comes later in the line may go back to what came before. */
static bool turns_back(const char *bytes, size_t n)
{
    if (memchr(bytes, '\b', n))
        return true;
    const char *end = bytes + n;
    for (const char *p = bytes; (p = memchr(p, 0x1b, (size_t)(end - p)));) {
        size_t length = escape_length(p, (size_t)(end - p));
        if (length > 2 && p[1] == '[' && moves(p[length - 1]))
            return true;
        p += length;
    }
    return false;
}

void line_parse(struct line *line, const char *bytes, size_t n, size_t max_columns, bool utf8)
{
    vec_clear(&line->cells);
    struct hand hand = {line, 0, max_columns, STYLE_PLAIN};
    size_t i = last_segment(bytes, &n);
    bool all = turns_back(bytes + i, n - i);
    while (i < n && (all || hand.at < max_columns))
        i += hand_take(&hand, bytes + i, n - i, utf8);
}

void line_plain(const char *bytes, size_t n, struct buf *out)
{
    size_t i = last_segment(bytes, &n);
    if (turns_back(bytes + i, n - i)) {
        struct line line = {0};
        line_parse(&line, bytes + i, n - i, SIZE_MAX, true);
        vec_each (struct cell, cell, &line.cells)
            buf_add(out, cell->text, cell->len);
        line_release(&line);
        return;
    }
    while (i < n) {
        if (bytes[i] == 0x1b) {
            i += escape_length(bytes + i, n - i);
            continue;
        }
        const char *escape = memchr(bytes + i, 0x1b, n - i);
        size_t length = escape ? (size_t)(escape - bytes) - i : n - i;
        buf_add(out, bytes + i, length);
        i += length;
    }
}

const char *line_text(const char *bytes, size_t *n, struct buf *scratch)
{
    buf_reset(scratch);
    if (!memchr(bytes, 0x1b, *n) && !memchr(bytes, '\r', *n) && !memchr(bytes, '\b', *n))
        buf_add(scratch, bytes, *n);
    else
        line_plain(bytes, *n, scratch);
    *n = scratch->len;
    for (char *nul; *n > 0 && (nul = memchr(scratch->data, '\0', *n));)
        *nul = '\1';
    return buf_str(scratch);
}

void line_release(struct line *line)
{
    vec_release(&line->cells);
}
