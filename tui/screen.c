#include "tui/screen.h"

#include "base/mem.h"
#include "base/text.h"
#include "tui/caps.h"
#include "tui/width.h"

#include <stdlib.h>
#include <string.h>

/* Ours and the usual ones of compilers and test runners; everything else becomes '?'. */
static const struct {
    uint32_t scalar;
    char ascii;
    bool console; /* the font that the Linux console begins with has it */
} ascii_glyphs[] = {
    {0x2500, '-', true},   {0x2501, '=', false},  {0x2502, '|', true},  {0x250c, '+', true},
    {0x2510, '+', true},   {0x2514, '+', true},   {0x2518, '+', true},  {0x251c, '+', true},
    {0x2524, '+', true},   {0x252c, '+', true},   {0x2534, '+', true},  {0x253c, '+', true},
    {0x2713, '+', false},  {0x2714, '+', false},  {0x2717, 'x', false}, {0x2718, 'x', false},
    {0x2261, '=', true},   {0x25cf, '*', false},  {0x25cb, 'o', true},  {0x2013, '-', false},
    {0x2014, '-', false},  {0x2298, '/', false},  {0x2026, '~', false}, {0x2192, '>', true},
    {0x2190, '<', true},   {0x2191, '^', true},   {0x2193, 'v', true},  {0x258c, '>', true},
    {0x2588, '#', true},   {0x00b7, '.', true},   {0x2022, '*', true},  {0x2577, '|', false},
    {0x2018, '\'', false}, {0x2019, '\'', false}, {0x201c, '"', false}, {0x201d, '"', false},
    {0x00a0, ' ', true},   {0x2212, '-', false},  {0x25be, 'v', false}, {0x25b8, '>', false},
    {0x25b2, '^', true},   {0x25c6, '#', true},   {0x25c7, '!', false}, {0x2715, 'x', false},
    {0x00d7, 'x', false},
};

static char ascii_of(uint32_t scalar, bool console)
{
    for (size_t i = 0; i < sizeof ascii_glyphs / sizeof *ascii_glyphs; i++)
        if (ascii_glyphs[i].scalar == scalar)
            return console && ascii_glyphs[i].console ? '\0' : ascii_glyphs[i].ascii;
    return console ? '\0' : '?';
}

static void cell_set(struct cell *cell, const char *text, size_t n, int width)
{
    memcpy(cell->text, text, n);
    cell->len = (uint8_t)n;
    cell->width = (uint8_t)width;
}

static void cell_blank(struct cell *cell, struct style style)
{
    cell_set(cell, " ", 1, 1);
    cell->style = style;
}

static bool cell_eq(const struct cell *a, const struct cell *b)
{
    return a->len == b->len && a->width == b->width && a->style.fg == b->style.fg &&
           a->style.bg == b->style.bg && a->style.attrs == b->style.attrs &&
           a->style.role == b->style.role && memcmp(a->text, b->text, a->len) == 0;
}

/* Joiners and variation selectors make some terminals merge cells and others not; without them all
 * agree. */
static bool changes_width(uint32_t scalar)
{
    return scalar == 0x200b || scalar == 0x200c || scalar == 0x200d || scalar == 0x2060 ||
           scalar == 0xfeff || (scalar >= 0xfe00 && scalar <= 0xfe0f) ||
           (scalar >= 0xe0100 && scalar <= 0xe01ef) || (scalar >= 0x1f3fb && scalar <= 0x1f3ff);
}

size_t cell_take(struct cell *cell, const char *text, size_t n, bool utf8)
{
    uint32_t scalar;
    size_t length = utf8_decode(text, n, &scalar);
    if (length == 0 || width_of(scalar) <= 0 || (scalar >= 0x1f1e6 && scalar <= 0x1f1ff)) {
        /* A combining character with nothing before it has no cell to go to either. */
        if (utf8)
            cell_set(cell, "\xef\xbf\xbd", 3, 1);
        else
            cell_set(cell, "?", 1, 1);
        return length ? length : 1;
    }
    int width = width_of(scalar);
    if (utf8 || scalar < 0x80) {
        cell_set(cell, text, length, width);
    } else {
        char glyph[2] = {ascii_of(scalar, false), ' '};
        if (width == 2) /* two columns stay two columns */
            glyph[1] = glyph[0] = '?';
        cell_set(cell, glyph, (size_t)width, width);
    }
    size_t taken = length;
    while (taken < n) {
        length = utf8_decode(text + taken, n - taken, &scalar);
        if (length == 0 || scalar < 0x300)
            break;
        bool dropped = changes_width(scalar);
        if (!dropped && width_of(scalar) != 0)
            break;
        if (utf8 && !dropped && cell->len + length <= CLUSTER_MAX) {
            memcpy(cell->text + cell->len, text + taken, length);
            cell->len = (uint8_t)(cell->len + length);
        }
        taken += length;
    }
    return taken;
}

void screen_init(struct screen *screen, bool utf8)
{
    *screen =
        (struct screen){.utf8 = utf8, .cursor_x = -1, .cursor_y = -1, .shown_x = -1, .shown_y = -1};
    screen_resize(screen, 1, 1);
}

void screen_resize(struct screen *screen, int cols, int rows)
{
    screen->cols = cols < 1 ? 1 : cols;
    screen->rows = rows < 1 ? 1 : rows;
    size_t n = (size_t)screen->cols * (size_t)screen->rows;
    screen->back = mem_realloc(screen->back, n, sizeof *screen->back);
    screen->front = mem_realloc(screen->front, n, sizeof *screen->front);
    for (size_t i = 0; i < n; i++)
        cell_blank(&screen->front[i], STYLE_PLAIN);
    screen_clear(screen);
    screen_forget(screen);
}

void screen_release(struct screen *screen)
{
    free(screen->back);
    free(screen->front);
    screen->back = screen->front = NULL;
}

void screen_forget(struct screen *screen)
{
    screen->known = false;
}

void screen_theme(struct screen *screen, const struct style *theme)
{
    screen->theme = theme;
    screen_forget(screen);
}

void screen_clear(struct screen *screen)
{
    size_t n = (size_t)screen->cols * (size_t)screen->rows;
    for (size_t i = 0; i < n; i++)
        cell_blank(&screen->back[i], STYLE_PLAIN);
    screen->cursor_x = screen->cursor_y = -1;
}

struct area screen_area(const struct screen *screen)
{
    return (struct area){0, 0, screen->cols, screen->rows};
}

/* Keeps wide characters whole: whoever loses one half loses the other. */
static void place(struct screen *screen, int x, int y, const struct cell *cell)
{
    struct cell *row = screen->back + (size_t)y * (size_t)screen->cols;
    int end = x + cell->width;
    if (row[x].width == 0 && x > 0)
        cell_blank(&row[x - 1], row[x - 1].style);
    if (end < screen->cols && row[end].width == 0)
        cell_blank(&row[end], row[end].style);
    row[x] = *cell;
    if (cell->width == 2) {
        row[x + 1] = *cell;
        row[x + 1].len = 0;
        row[x + 1].width = 0;
    }
}

static bool row_in(const struct screen *screen, struct area area, int y)
{
    return y >= 0 && y < area.h && area.y + y >= 0 && area.y + y < screen->rows;
}

static int right_edge(const struct screen *screen, struct area area)
{
    return area.x + area.w <= screen->cols ? area.w : screen->cols - area.x;
}

void screen_cell(struct screen *screen, struct area area, int x, int y, const struct cell *cell)
{
    int edge = right_edge(screen, area);
    if (!row_in(screen, area, y) || x < 0 || area.x + x < 0 || x >= edge)
        return;
    struct cell copy = *cell;
    if (x + copy.width > edge)
        cell_blank(&copy, cell->style);
    place(screen, area.x + x, area.y + y, &copy);
}

int screen_put(struct screen *screen, struct area area, int x, int y, struct style style,
               const char *text, size_t n)
{
    int edge = right_edge(screen, area);
    while (n > 0 && x < edge) {
        struct cell cell;
        size_t taken = cell_take(&cell, text, n, screen->utf8);
        cell.style = style;
        if (x >= 0)
            screen_cell(screen, area, x, y, &cell);
        x += cell.width;
        text += taken;
        n -= taken;
    }
    return x;
}

int screen_puts(struct screen *screen, struct area area, int x, int y, struct style style,
                const char *text)
{
    return screen_put(screen, area, x, y, style, text, strlen(text));
}

void screen_rule(struct screen *screen, struct area area, int x, int y, int w, struct style style,
                 const char *glyph)
{
    struct cell cell;
    cell_take(&cell, glyph, strlen(glyph), screen->utf8);
    cell.style = style;
    for (int i = 0; i < w; i++)
        screen_cell(screen, area, x + i, y, &cell);
}

/* The columns that the string takes as drawn. */
static int columns_of(const struct screen *screen, const char *text)
{
    struct cell cell;
    int columns = 0;
    for (size_t n = strlen(text), taken; n > 0; text += taken, n -= taken) {
        taken = cell_take(&cell, text, n, screen->utf8);
        columns += cell.width;
    }
    return columns;
}

void screen_fit(struct screen *screen, struct area area, int x, int y, int w, struct style style,
                const char *text, bool keep_end)
{
    if (w <= 0)
        return;
    struct area field = {area.x + x, area.y + y, w, 1};
    if (!row_in(screen, area, y))
        return;
    if (field.w > right_edge(screen, area) - x)
        field.w = right_edge(screen, area) - x;
    int columns = columns_of(screen, text);
    screen_rule(screen, field, 0, 0, field.w, style, " ");
    if (columns <= field.w) {
        screen_puts(screen, field, 0, 0, style, text);
    } else if (keep_end) {
        screen_puts(screen, field, field.w - columns, 0, style, text);
        screen_rule(screen, field, 0, 0, 1, style, "…");
    } else {
        screen_puts(screen, field, 0, 0, style, text);
        screen_rule(screen, field, field.w - 1, 0, 1, style, "…");
    }
}

void screen_fit_right(struct screen *screen, struct area area, int x, int y, int w,
                      struct style style, const char *text)
{
    int columns = columns_of(screen, text);
    int gap = columns < w ? w - columns : 0;
    screen_rule(screen, area, x, y, gap, style, " ");
    screen_fit(screen, area, x + gap, y, w - gap, style, text, false);
}

void screen_restyle(struct screen *screen, struct area area, int x, int y, int w,
                    struct style style)
{
    int edge = right_edge(screen, area);
    if (!row_in(screen, area, y))
        return;
    struct cell *row = screen->back + (size_t)(area.y + y) * (size_t)screen->cols + area.x;
    for (int i = x < 0 ? 0 : x; i < x + w && i < edge; i++)
        if (area.x + i >= 0)
            row[i].style = style;
}

/* Where the cursor is and which style is on, while a frame is written. */
struct pen {
    const struct caps *caps;
    struct buf *out;
    int x, y; /* -1: unknown */
    struct style style;
    bool started;
    const struct style *theme; /* or NULL */
};

/* The style that the terminal is to show. */
static struct style themed(const struct style *theme, struct style style)
{
    if (!theme) {
        style.role = 0;
        return style;
    }
    struct style look = theme[style.role];
    look.attrs |= style.attrs;
    look.fg = style.fg != COLOUR_DEFAULT ? style.fg : look.fg;
    look.bg = style.bg != COLOUR_DEFAULT ? style.bg : look.bg;
    if (look.fg == COLOUR_DEFAULT)
        look.fg = theme[0].fg;
    if (look.bg == COLOUR_DEFAULT)
        look.bg = theme[0].bg;
    return look;
}

static void pen_start(struct pen *pen)
{
    if (pen->started)
        return;
    pen->started = true;
    if (pen->caps->sync)
        buf_adds(pen->out, pen->caps->sync_begin);
    buf_adds(pen->out, pen->caps->hide);
}

static void pen_move(struct pen *pen, int x, int y)
{
    if (pen->x == x && pen->y == y)
        return;
    caps_move(pen->caps, pen->out, x, y);
    pen->x = x;
    pen->y = y;
}

static void pen_style(struct pen *pen, struct style style)
{
    caps_style(pen->caps, pen->out, pen->style, style);
    pen->style = style;
}

/* On the console all that its font lacks looks the same, passed and failed as well. */
static void pen_put(struct pen *pen, const struct cell *cell)
{
    uint32_t scalar;
    char instead = '\0';
    if (pen->caps->console && cell->width == 1 && cell->len > 1 &&
        utf8_decode(cell->text, cell->len, &scalar) > 0)
        instead = ascii_of(scalar, true);
    if (instead)
        buf_addc(pen->out, instead);
    else
        buf_add(pen->out, cell->text, cell->len);
}

/* What erasing leaves. */
static bool is_blank(const struct pen *pen, const struct cell *cell)
{
    if (cell->len != 1 || cell->text[0] != ' ')
        return false;
    struct style style = themed(pen->theme, cell->style);
    return style.fg == COLOUR_DEFAULT && style.bg == COLOUR_DEFAULT && style.attrs == 0;
}

static void diff_row(const struct screen *screen, struct pen *pen, int y)
{
    const struct cell *back = screen->back + (size_t)y * (size_t)screen->cols;
    const struct cell *front = screen->front + (size_t)y * (size_t)screen->cols;
    int blank_from = screen->cols;
    while (blank_from > 0 && is_blank(pen, &back[blank_from - 1]))
        blank_from--;
    for (int x = 0; x < screen->cols; x++) {
        if (cell_eq(&back[x], &front[x]) || back[x].width == 0)
            continue;
        if (x == screen->cols - 1 && y == screen->rows - 1 && !pen->caps->edge_ok)
            continue;
        pen_start(pen);
        pen_move(pen, x, y);
        if (x >= blank_from && pen->caps->erase_line[0]) {
            pen_style(pen, STYLE_PLAIN);
            buf_adds(pen->out, pen->caps->erase_line);
            return;
        }
        pen_style(pen, themed(pen->theme, back[x].style));
        pen_put(pen, &back[x]);
        pen->x += back[x].width;
        /* Terminals disagree about some widths, and about where the cursor is behind the last
         * column: never rely on either. */
        bool sure = back[x].len == 1 || (back[x].width == 1 && back[x].len == 3 &&
                                         (unsigned char)back[x].text[0] < 0xe3);
        if (!sure || pen->x >= screen->cols)
            pen->x = -1;
    }
}

bool screen_diff(struct screen *screen, const struct caps *caps, struct buf *out)
{
    struct pen pen = {caps, out, -1, -1, STYLE_PLAIN, false, screen->theme};
    size_t n = (size_t)screen->cols * (size_t)screen->rows;
    if (!screen->known) {
        pen_start(&pen);
        buf_adds(out, caps->plain);
        buf_adds(out, caps->clear);
        struct cell blank;
        cell_blank(&blank, STYLE_PLAIN);
        if (!is_blank(&pen, &blank))
            blank.len = 0; /* clearing gives no such cell */
        for (size_t i = 0; i < n; i++)
            screen->front[i] = blank;
        screen->known = true;
    }
    for (int y = 0; y < screen->rows; y++)
        diff_row(screen, &pen, y);
    bool moved = screen->cursor_x != screen->shown_x || screen->cursor_y != screen->shown_y;
    if (!pen.started && !moved)
        return false;
    pen_start(&pen);
    pen_style(&pen, STYLE_PLAIN);
    if (screen->cursor_x >= 0) {
        pen_move(&pen, screen->cursor_x, screen->cursor_y);
        buf_adds(out, caps->show);
    }
    if (caps->sync)
        buf_adds(out, caps->sync_end);
    screen->shown_x = screen->cursor_x;
    screen->shown_y = screen->cursor_y;
    memcpy(screen->front, screen->back, n * sizeof *screen->front);
    return true;
}
