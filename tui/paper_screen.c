/* paper_screen.c - rows that scroll, leave and are written again (see paper_private.h). */
#include "tui/paper_private.h"

#include <string.h>

/* -- rows as text ------------------------------------------------------------------------------ */

static void add_colour(struct buf *out, int32_t colour, int base)
{
    if (colour > 255)
        buf_addf(out, ";%d;2;%d;%d;%d", base + 8, (int)(colour >> 16 & 255),
                 (int)(colour >> 8 & 255), (int)(colour & 255));
    else if (colour >= 0)
        buf_addf(out, ";%d;5;%d", base + 8, (int)colour);
}

static void add_style(struct buf *out, struct style style)
{
    static const struct {
        uint8_t attr;
        char digit;
    } digits[] = {{ATTR_BOLD, '1'},      {ATTR_DIM, '2'},     {ATTR_ITALIC, '3'},
                  {ATTR_UNDERLINE, '4'}, {ATTR_REVERSE, '7'}, {ATTR_STRIKE, '9'}};
    buf_adds(out, "\x1b[0");
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++)
        if (style.attrs & digits[i].attr)
            buf_addf(out, ";%c", digits[i].digit);
    add_colour(out, style.fg, 30);
    add_colour(out, style.bg, 40);
    buf_addc(out, 'm');
}

static bool same_style(struct style a, struct style b)
{
    return a.fg == b.fg && a.bg == b.bg && a.attrs == b.attrs;
}

void paper_add_row(const struct row *row, struct buf *out)
{
    struct style style = STYLE_PLAIN;
    buf_addf(out, "\x1b_%llx\x1b\\", (unsigned long long)row->origin);
    vec_each (const struct cell, cell, &row->line.cells) {
        if (cell->width == 0)
            continue;
        if (!same_style(style, cell->style))
            add_style(out, cell->style);
        style = cell->style;
        buf_add(out, cell->text, cell->len);
    }
    buf_addc(out, '\n');
}

/* -- the screen -------------------------------------------------------------------------------- */

void paper_all_scrolls(struct paper *paper)
{
    paper->top = 0;
    paper->bottom = paper->height;
}

void paper_remove_rows(struct paper *paper, size_t from, size_t to, size_t n)
{
    struct row gone[PAPER_ROWS];
    size_t left = to - from;
    n = n < left ? n : left;
    memcpy(gone, paper->rows + from, n * sizeof *gone);
    memmove(paper->rows + from, paper->rows + from + n, (left - n) * sizeof *gone);
    memcpy(paper->rows + to - n, gone, n * sizeof *gone);
    for (size_t i = to - n; i < to; i++)
        vec_clear(&paper->rows[i].line.cells);
}

void paper_add_rows(struct paper *paper, size_t from, size_t to, size_t n)
{
    struct row gone[PAPER_ROWS];
    size_t left = to - from;
    n = n < left ? n : left;
    memcpy(gone, paper->rows + to - n, n * sizeof *gone);
    memmove(paper->rows + from + n, paper->rows + from, (left - n) * sizeof *gone);
    memcpy(paper->rows + from, gone, n * sizeof *gone);
    for (size_t i = from; i < from + n; i++)
        vec_clear(&paper->rows[i].line.cells);
    if (paper->used > from && paper->used < to)
        paper->used = paper->used + n < to ? paper->used + n : to;
}

/* n rows leave the screen, or what of it scrolls, at the top for good. */
static void settle(struct paper *paper, size_t n)
{
    for (size_t i = paper->top; i < paper->top + n; i++)
        paper_add_row(&paper->rows[i], &paper->out);
    paper_remove_rows(paper, paper->top, paper->bottom, n);
    if (paper->top == 0 && paper->used <= paper->bottom)
        paper->used = paper->used > n ? paper->used - n : 0;
}

size_t paper_rows_shown(const struct paper *paper)
{
    size_t n = paper->used;
    while (n > 0 && paper->rows[n - 1].line.cells.n == 0 && n > paper->row)
        n--;
    return n;
}

void paper_clear(struct paper *paper)
{
    size_t top = paper->top, bottom = paper->bottom;
    paper_all_scrolls(paper);
    settle(paper, paper_rows_shown(paper));
    paper->row = paper->used = 0;
    paper->top = top;
    paper->bottom = bottom;
}

void paper_reach(struct paper *paper)
{
    if (paper->used <= paper->row)
        paper->used = paper->row + 1;
}

void paper_next_row(struct paper *paper)
{
    paper_reach(paper);
    paper->column = 0;
    if (paper->row + 1 == paper->bottom)
        settle(paper, 1);
    else if (paper->row + 1 < paper->height)
        paper->row++;
}

void paper_go_to_row(struct paper *paper, size_t row)
{
    paper->row = row < paper->height ? row : paper->height - 1;
}

void paper_scroll_up(struct paper *paper, size_t by)
{
    size_t reached = paper->used < paper->bottom ? paper->used : paper->bottom;
    size_t n = reached > paper->top ? reached - paper->top : 0;
    settle(paper, by < n ? by : n);
}

void paper_set_size(struct paper *paper, size_t rows, size_t columns)
{
    if (rows == 0 || columns == 0)
        return;
    rows = rows < PAPER_ROWS ? rows : PAPER_ROWS;
    paper_all_scrolls(paper);
    if (paper->row >= rows) {
        size_t n = paper->row + 1 - rows;
        settle(paper, n);
        paper->row -= n;
    }
    for (size_t i = rows; i < paper->height; i++)
        vec_clear(&paper->rows[i].line.cells);
    paper->used = paper->used < rows ? paper->used : rows;
    paper->terminal = true;
    paper->height = rows;
    paper->width = columns < PAPER_COLUMNS ? columns : PAPER_COLUMNS;
    paper_all_scrolls(paper);
}

bool paper_scrolls(const struct paper *paper, size_t row)
{
    return row >= paper->top && row < paper->bottom;
}

void paper_go_up(struct paper *paper, size_t by)
{
    size_t end = paper->row >= paper->top ? paper->top : 0;
    paper->row = paper->row - end > by ? paper->row - by : end;
}

void paper_go_down(struct paper *paper, size_t by)
{
    size_t end = paper->row < paper->bottom ? paper->bottom - 1 : paper->height - 1;
    paper->row = end - paper->row > by ? paper->row + by : end;
}

void paper_set_margins(struct paper *paper, size_t first, size_t last)
{
    size_t top = first > 0 ? first - 1 : 0;
    size_t bottom = last > 0 && last < paper->height ? last : paper->height;
    if (top + 1 >= bottom)
        return;
    paper->top = top;
    paper->bottom = bottom;
    paper->row = paper->column = 0;
}

void paper_erase_screen(struct paper *paper, struct hand *hand, unsigned how)
{
    if (how >= 2) {
        paper_clear(paper);
        return;
    }
    hand_erase(hand, how);
    size_t from = how == 0 ? paper->row + 1 : 0, to = how == 0 ? paper->height : paper->row;
    for (size_t i = from; i < to; i++)
        vec_clear(&paper->rows[i].line.cells);
    if (how == 0 && paper->used > paper->row + 1)
        paper->used = paper->row + 1;
}

void paper_keep_place(struct paper *paper)
{
    paper->saved_row = paper->row;
    paper->saved_column = paper->column;
}

void paper_return_to_place(struct paper *paper)
{
    paper_go_to_row(paper, paper->saved_row); /* the screen may have become smaller */
    paper->column = paper->saved_column;
}
