/*
 * screen.h - a grid of cells: views draw into it, the difference to what the terminal shows becomes
 * bytes.
 *
 * A cell is a cluster (a character with what combines with it), its width and its style; a wide one
 * owns the cell to its right, which has width 0. Nothing but printable clusters ever gets into a
 * cell: control characters, malformed UTF-8 and bidirectional controls become a replacement glyph,
 * so no drawn text can move the cursor. Without UTF-8 every glyph has an ASCII one in its place.
 *
 * Ownership: the struct is the caller's, screen_init() to screen_release(). Loop thread only.
 */
#ifndef KILN_TUI_SCREEN_H
#define KILN_TUI_SCREEN_H

#include "base/buf.h"
#include "tui/colour.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATTR_BOLD = 1,
    ATTR_DIM = 2,
    ATTR_REVERSE = 4,
    ATTR_UNDERLINE = 8,
    ATTR_ITALIC = 16,
    ATTR_STRIKE = 32,
};

/* What is drawn on: the role's style in the screen's theme, and over it these colours, where they
 * are not COLOUR_DEFAULT, and attributes. So views name roles, and what they look like is known
 * where cells become bytes. */
struct style {
    int32_t fg, bg; /* as colour.h has them */
    uint8_t attrs;
    uint8_t role; /* enum role (look.h); 0: plain text */
};
#define STYLE_PLAIN ((struct style){COLOUR_DEFAULT, COLOUR_DEFAULT, 0, 0})

#define CLUSTER_MAX 15 /* bytes; what combines beyond that is dropped */

struct cell {
    char text[CLUSTER_MAX];
    uint8_t len;
    uint8_t width; /* 1, 2; 0: the right half of the cell before */
    struct style style;
};

struct area {
    int x, y, w, h;
};

struct caps;

struct screen {
    int cols, rows;
    struct cell *back;  /* being drawn */
    struct cell *front; /* what the terminal shows once it has read all */
    bool known;         /* front is true */
    bool utf8;
    const struct style *theme; /* by role; NULL: roles have no look. Outlives the screen */
    int cursor_x, cursor_y;    /* where to show the cursor; -1: hidden */
    int shown_x, shown_y;
};

void screen_init(struct screen *screen, bool utf8);
/* Gives it that size (at least 1 by 1), blank; the terminal's content counts as unknown. */
void screen_resize(struct screen *screen, int cols, int rows);
void screen_release(struct screen *screen);
/* The terminal's content is unknown: the next difference draws everything. */
void screen_forget(struct screen *screen);
/* Blanks what is being drawn and hides the cursor. */
void screen_clear(struct screen *screen);
/* The area that covers all of it. */
struct area screen_area(const struct screen *screen);

/* Draws n bytes at column x, row y of the area, cut at its edge (a wide character that does not fit
 * becomes a blank). Returns the column after the last cell drawn, in the area's coordinates.
 * Columns left of 0 are skipped. */
int screen_put(struct screen *screen, struct area area, int x, int y, struct style style,
               const char *text, size_t n);
/* The same for a string. */
int screen_puts(struct screen *screen, struct area area, int x, int y, struct style style,
                const char *text);
/* Draws the string into exactly w columns: padded with blanks, or cut with an ellipsis (at the
 * front when keep_end). */
void screen_fit(struct screen *screen, struct area area, int x, int y, int w, struct style style,
                const char *text, bool keep_end);
/* The same, against the right edge of the w columns. */
void screen_fit_right(struct screen *screen, struct area area, int x, int y, int w,
                      struct style style, const char *text);
/* Draws a ready cell; wide ones need room for both halves, else a blank comes in their place. */
void screen_cell(struct screen *screen, struct area area, int x, int y, const struct cell *cell);
/* Repeats the glyph from x for w columns. */
void screen_rule(struct screen *screen, struct area area, int x, int y, int w, struct style style,
                 const char *glyph);
/* Gives all cells of the row from x for w columns that style, what they show unchanged. */
void screen_restyle(struct screen *screen, struct area area, int x, int y, int w,
                    struct style style);

/* Takes the cluster at the start of n > 0 bytes into the cell (not its style); returns the bytes
 * taken. */
size_t cell_take(struct cell *cell, const char *text, size_t n, bool utf8);

/* From now on roles look like that (NULL: like plain text). */
void screen_theme(struct screen *screen, const struct style *theme);

/* Adds the bytes that make the terminal show what was drawn, nothing when it does already; what was
 * drawn then counts as shown. Returns whether anything was added. */
bool screen_diff(struct screen *screen, const struct caps *caps, struct buf *out);

#endif
