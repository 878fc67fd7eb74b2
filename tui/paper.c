#include "tui/paper_private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)64 << 10)
/* An escape sequence longer than this is taken as it is, even where it may go on. */
#define SEQUENCE_MAX ((size_t)4096)

bool paper_wanted(const char *sequence, size_t n)
{
    if (n == 2)
        return sequence[1] == 'M' || sequence[1] == 'c';
    return n > 2 && sequence[1] == '[' && sequence[2] != '>' && sequence[2] != '?' &&
           memchr("ABEFHfdLMSTr", sequence[n - 1], 12);
}

static int open_file(const char *dir)
{
    const char *tmp = getenv("TMPDIR");
    const char *const dirs[] = {dir, tmp && *tmp ? tmp : "/tmp", "/tmp", NULL};
    for (size_t i = 0; dirs[i]; i++) {
        int fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

struct paper *paper_new(const char *dir)
{
    int fd = open_file(dir);
    if (fd < 0)
        return NULL;
    struct paper *paper = mem_zalloc(1, sizeof *paper);
    paper->fd = fd;
    paper->height = PAPER_ROWS;
    paper->width = PAPER_COLUMNS;
    paper_all_scrolls(paper);
    paper->style = STYLE_PLAIN;
    paper->piece = mem_alloc(PIECE);
    return paper;
}

void paper_free(struct paper *paper)
{
    if (!paper)
        return;
    close(paper->fd);
    for (size_t i = 0; i < PAPER_ROWS; i++)
        line_release(&paper->rows[i].line);
    buf_release(&paper->out);
    free(paper->piece);
    free(paper);
}

uint64_t paper_origin(const char *line, size_t n)
{
    return n > 4 && memcmp(line, "\x1b_", 2) == 0 && memchr(line, '\\', n)
               ? strtoull(line + 2, NULL, 16)
               : 0;
}

/* -- what sequences say ------------------------------------------------------------------------ */

static void set_modes(struct paper *paper, const char *bytes, size_t n)
{
    static const struct {
        unsigned number, mode;
    } known[] = {{1, PAPER_CURSOR_KEYS}, {25, PAPER_NO_CURSOR}, {2004, PAPER_PASTE}};
    bool on = bytes[n - 1] == 'h';
    for (size_t i = 3; i < n; i++) {
        unsigned number = 0;
        for (; bytes[i] >= '0' && bytes[i] <= '9'; i++)
            number = number > 9999 ? number : number * 10 + (unsigned)(bytes[i] - '0');
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
            if (known[k].number != number)
                continue;
            paper->modes &= ~known[k].mode;
            paper->modes |= on != (number == 25) ? known[k].mode : 0;
        }
    }
}

static void write_again(struct paper *paper, size_t times);

static void obey_csi(struct paper *paper, struct hand *hand, const char *bytes, size_t n)
{
    unsigned params[ESCAPE_PARAMS];
    size_t count = escape_params(bytes, n, params);
    size_t row = paper->row, by = count > 0 && params[0] > 0 ? params[0] : 1;
    if (count == 0) {
        /* The alternate screen is a clean one, and so is the other afterwards. */
        if (n >= 5 && bytes[2] == '?' && (memmem(bytes, n, "47", 2) || memmem(bytes, n, "1049", 4)))
            paper_clear(paper);
        if (n >= 4 && bytes[2] == '?' && (bytes[n - 1] == 'h' || bytes[n - 1] == 'l'))
            set_modes(paper, bytes, n);
        if (n == 4 && memcmp(bytes + 2, "!p", 2) == 0)
            paper_all_scrolls(paper);
        return;
    }
    switch (bytes[n - 1]) {
    case 'E': paper->column = 0; /* fall through */
    case 'B':
    case 'e': paper_go_down(paper, by); break;
    case 'F': paper->column = 0; /* fall through */
    case 'A': paper_go_up(paper, by); break;
    case 'd': paper_go_to_row(paper, by - 1); break;
    case 'H':
    case 'f':
        paper_go_to_row(paper, by - 1);
        paper->column = count > 1 && params[1] > 0 ? params[1] - 1 : 0;
        paper->column = paper->column < LINE_REACH ? paper->column : LINE_REACH;
        break;
    case 'J': paper_erase_screen(paper, hand, params[0]); break;
    case 'L':
        if (paper_scrolls(paper, row))
            paper_add_rows(paper, row, paper->bottom, by);
        break;
    case 'M':
        if (paper_scrolls(paper, row))
            paper_remove_rows(paper, row, paper->bottom, by);
        break;
    case 'S': paper_scroll_up(paper, by); break;
    case 'T': paper_add_rows(paper, paper->top, paper->bottom, by); break;
    case 'r': paper_set_margins(paper, params[0], count > 1 ? params[1] : 0); break;
    case 'b':
        if (paper->terminal)
            write_again(paper, by < LINE_REACH ? by : LINE_REACH);
        break;
    case 's': paper_keep_place(paper); break;
    case 'u': paper_return_to_place(paper); break;
    default: break;
    }
}

static void obey(struct paper *paper, struct hand *hand, const char *bytes, size_t n)
{
    if (n > 2 && bytes[1] == '[') {
        obey_csi(paper, hand, bytes, n);
        return;
    }
    size_t mark = strlen(PAPER_SIZE);
    if (n > mark && memcmp(bytes, PAPER_SIZE, mark) == 0) {
        unsigned rows = 0, columns = 0;
        char text[32] = "";
        memcpy(text, bytes + mark, n - mark < sizeof text ? n - mark : sizeof text - 1);
        if (sscanf(text, "%5u;%5u", &rows, &columns) == 2)
            paper_set_size(paper, rows, columns);
    }
    if (n == 3 && (bytes[1] == '(' || bytes[1] == ')'))
        paper->drawing[bytes[1] == ')'] = bytes[2] == '0';
    if (n != 2)
        return;
    switch (bytes[1]) {
    case 'M':
        if (paper->row == paper->top)
            paper_add_rows(paper, paper->top, paper->bottom, 1);
        else if (paper->row > 0)
            paper->row--;
        break;
    case 'D':
    case 'E': {
        size_t column = bytes[1] == 'D' ? paper->column : 0;
        paper_next_row(paper);
        paper->column = column;
        break;
    }
    case '7': paper_keep_place(paper); break;
    case '8': paper_return_to_place(paper); break;
    case 'c':
        paper_clear(paper);
        paper_all_scrolls(paper);
        paper->column = 0;
        paper->style = STYLE_PLAIN;
        paper->modes = 0;
        paper->drawing[0] = paper->drawing[1] = paper->shifted = false;
        break;
    default: break;
    }
}

/* -- playing ----------------------------------------------------------------------------------- */

/* Whether more bytes may make another item of what n bytes begin with. */
static bool may_go_on(const char *bytes, size_t n)
{
    unsigned char first = (unsigned char)bytes[0];
    if (first == 0x1b) {
        size_t length = escape_length(bytes, n);
        char last = bytes[length - 1];
        bool string = n > 1 && memchr("]P_^X", bytes[1], 5);
        bool whole = string ? last == '\a' || (length > 3 && last == '\\')
                            : length > 1 && !(length == 2 && last == '[') && last >= 0x30 &&
                                  !(bytes[1] == '[' && last < 0x40);
        return length == n && !whole && n < SEQUENCE_MAX;
    }
    size_t want = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    return n < want;
}

/* As text that a terminal draws lines with, from 0x60 on. */
static const char *const lines_drawn[] = {"◆", "▒", "␉", "␌", "␍", "␊", "°", "±", "␤", "␋", "┘",
                                          "┐", "┌", "└", "┼", "⎺", "⎻", "─", "⎼", "⎽", "├", "┤",
                                          "┴", "┬", "│", "≤", "≥", "π", "≠", "£", "·"};

/* Behind the last column the cursor is shown on what was written there, and such things begin from
 * that. */
static bool moves(const char *bytes, size_t n)
{
    size_t length = bytes[0] == 0x1b ? escape_length(bytes, n) : 1;
    if (length == 1)
        return bytes[0] == '\b' || bytes[0] == '\t';
    return bytes[1] == '[' ? memchr("@ABCDEFGHJKLMPSTXdefrsu`", bytes[length - 1], 24) != NULL
                           : memchr("78DEM", bytes[1], 5) != NULL;
}

/* What is pushed out of the last column is gone. */
static void make_room(const struct paper *paper, struct line *line, const char *bytes, size_t n)
{
    unsigned params[ESCAPE_PARAMS];
    size_t length = escape_length(bytes, n);
    if (bytes[length - 1] != '@' || escape_params(bytes, length, params) == 0)
        return;
    size_t more = params[0] > 0 ? params[0] : 1;
    size_t left = paper->width > more ? paper->width - more : 0;
    left = left > paper->column ? left : paper->column;
    line->cells.n = line->cells.n < left ? line->cells.n : left;
}

/* Writes the one character that n bytes begin with, or does what the sequence there says; returns
 * how many bytes that was. */
static size_t take(struct paper *paper, const char *bytes, size_t n)
{
    bool escape = bytes[0] == 0x1b;
    if (paper->column >= paper->width && !(escape || bytes[0] == '\b' || bytes[0] == '\t'))
        paper_next_row(paper);
    else if (paper->terminal && paper->column >= paper->width && moves(bytes, n))
        paper->column = paper->width - 1;
    struct row *row = &paper->rows[paper->row];
    struct hand hand = {&row->line, paper->column, paper->width, paper->style};
    if (paper->terminal && escape)
        make_room(paper, &row->line, bytes, n);
    size_t length = hand_take(&hand, bytes, n, true);
    paper->column = hand.at;
    paper->style = hand.style;
    if (escape) {
        obey(paper, &hand, bytes, length);
        if (paper->terminal && paper->column >= paper->width && moves(bytes, n))
            paper->column = paper->width - 1;
    } else {
        row->origin = paper->at;
        paper_reach(paper);
    }
    return length;
}

static void write_again(struct paper *paper, size_t times)
{
    for (; times > 0 && paper->n_last > 0; times--)
        take(paper, paper->last, paper->n_last);
}

/* What a terminal does with control characters and its other set of characters; returns whether
 * that is all. */
static bool take_special(struct paper *paper, unsigned char byte)
{
    if (byte >= 0x20) {
        bool drawn = byte >= 0x60 && byte < 0x7f && paper->drawing[paper->shifted];
        const char *text = drawn ? lines_drawn[byte - 0x60] : NULL;
        if (text)
            take(paper, text, strlen(text));
        return drawn;
    }
    if (byte == 0x0e || byte == 0x0f)
        paper->shifted = byte == 0x0e;
    return byte != '\b' && byte != '\t' && byte != 0x1b;
}

/* Plays n bytes but for what may go on at their end; returns how many. */
static size_t play(struct paper *paper, const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && !(n - i < SEQUENCE_MAX && may_go_on(bytes + i, n - i))) {
        paper->at = paper->played + i;
        if (bytes[i] == '\n' || (paper->terminal && (bytes[i] == '\v' || bytes[i] == '\f'))) {
            size_t column = paper->column;
            paper_next_row(paper);
            if (paper->terminal)
                paper->column = column < paper->width ? column : paper->width - 1;
            i++;
        } else if (bytes[i] == '\r') {
            paper->column = 0;
            i++;
        } else if (paper->terminal && take_special(paper, (unsigned char)bytes[i])) {
            i++;
        } else {
            size_t length = take(paper, bytes + i, n - i);
            if (bytes[i] != 0x1b && length <= sizeof paper->last) {
                memcpy(paper->last, bytes + i, length);
                paper->n_last = length;
            }
            i += length;
        }
    }
    return i;
}

static bool write_at(int fd, const struct buf *bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes->len) {
        ssize_t n = pwrite(fd, bytes->data + done, bytes->len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* What is settled goes to its place for good, the screen behind it. */
static bool put_down(struct paper *paper)
{
    if (!write_at(paper->fd, &paper->out, paper->settled))
        return false;
    paper->settled += paper->out.len;
    buf_reset(&paper->out);
    size_t n = paper_rows_shown(paper);
    for (size_t i = 0; i < n; i++)
        paper_add_row(&paper->rows[i], &paper->out);
    bool written = write_at(paper->fd, &paper->out, paper->settled);
    paper->size = paper->settled + (written ? paper->out.len : 0);
    buf_reset(&paper->out);
    return written && ftruncate(paper->fd, (off_t)paper->size) == 0;
}

bool paper_play(struct paper *paper, int log, uint64_t size, size_t budget)
{
    bool moved = false;
    while (paper->played < size && budget > 0) {
        size_t want = PIECE < size - paper->played ? PIECE : (size_t)(size - paper->played);
        ssize_t got = pread(log, paper->piece, want, (off_t)paper->played);
        size_t n = got > 0 ? play(paper, paper->piece, (size_t)got) : 0;
        paper->played += n;
        moved = moved || n > 0;
        if (n == 0)
            break;
        budget = budget > n ? budget - n : 0;
    }
    return moved && put_down(paper) && paper->played < size;
}

bool paper_cursor(const struct paper *paper, size_t *row, size_t *column)
{
    *row = paper->row;
    *column = paper->column < paper->width ? paper->column : paper->width - 1;
    return paper->terminal && !(paper->modes & PAPER_NO_CURSOR);
}

unsigned paper_modes(const struct paper *paper)
{
    return paper->modes;
}

uint64_t paper_played(const struct paper *paper)
{
    return paper->played;
}

int paper_fd(const struct paper *paper)
{
    return paper->fd;
}

uint64_t paper_settled(const struct paper *paper)
{
    return paper->settled;
}

uint64_t paper_size(const struct paper *paper)
{
    return paper->size;
}
