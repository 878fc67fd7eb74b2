/*
 * line.h - one line of output as cells: what a terminal would show of it in the end.
 *
 * Colours and attributes (SGR) are kept, and what moves or erases within the line is done; all
 * other escape sequences are dropped. A carriage return starts the line anew, so that a progress
 * bar shows its last state; tabs go to columns of eight; control characters, malformed UTF-8 and
 * unpaired halves become one replacement glyph each. Work and memory are bounded by the bytes
 * given. Any bytes are fine.
 *
 * Ownership: the struct is the caller's, zeroed to start, kept from line to line, line_release() in
 * the end.
 */
#ifndef KILN_TUI_LINE_H
#define KILN_TUI_LINE_H

#include "base/vec.h"
#include "tui/screen.h"

struct line {
    VEC(struct cell)
    cells; /* one for each column: the right half of a wide one is there, with width 0 */
};

/* Columns that can be gone to without writing. */
#define LINE_REACH 512

/* A line being written. */
struct hand {
    struct line *line;
    size_t at;  /* the cursor; may be behind the end */
    size_t max; /* columns kept */
    struct style style;
};

/* Takes the first item of n > 0 bytes: a character, a tab, a backspace or an escape sequence;
 * returns its length. */
size_t hand_take(struct hand *hand, const char *bytes, size_t n, bool utf8);
/* Erases from the cursor to the end (0), from the start to it (1) or all (2). */
void hand_erase(struct hand *hand, unsigned how);

#define ESCAPE_PARAMS 32
/* The length of the escape sequence at the start of n > 0 bytes, which is an ESC; one cut off by
 * the end of the bytes takes all of them. */
size_t escape_length(const char *bytes, size_t n);
/* The numbers of a CSI sequence, parted by ; or : (at least one, absent ones 0); 0: it is a
 * private, a malformed or another one. */
size_t escape_params(const char *bytes, size_t n, unsigned params[ESCAPE_PARAMS]);

/* Replaces what the line holds with those n bytes (no newline in them). At most max_columns are
 * kept. */
void line_parse(struct line *line, const char *bytes, size_t n, size_t max_columns, bool utf8);
/* The bytes as plain text, without escapes and what was written over; added to out. */
void line_plain(const char *bytes, size_t n, struct buf *out);
/* What line_plain() gives, in scratch, with a NUL behind it and none in it; *n becomes its length.
 */
const char *line_text(const char *bytes, size_t *n, struct buf *scratch);
void line_release(struct line *line);

#endif
