/*
 * paper.h - a log that moves the cursor up and down, played as on a terminal, onto a file: what has
 * left the screen at its top will not change any more and is written there, line by line, and the
 * screen as it is now follows.
 *
 * Rows are as wide as what is written (up to PAPER_COLUMNS, then they go on in the next one), so
 * that lines are not broken where some terminal would. What clears the screen, and the alternate
 * one, leaves what was there above, as does what scrolls out of a part of the screen: nothing of a
 * log is lost. Memory is bounded by the screen, whatever the log.
 *
 * Ownership: opaque, paper_new() to paper_free(). Loop thread only.
 */
#ifndef KILN_TUI_PAPER_H
#define KILN_TUI_PAPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAPER_ROWS    50
#define PAPER_COLUMNS 2048
/* What a log begins with that a real terminal gave, then ROWS ; COLUMNS and ESC \\ (runners/pty.h).
 * It is played as on one of that size, with its widths, character sets and control characters. */
#define PAPER_SIZE "\x1b]5546;"

struct paper;

/* Whether that escape sequence asks for paper: it moves the cursor to another row. */
bool paper_wanted(const char *sequence, size_t n);
/* The file has no name; it lies in that directory, or where temporary files do. NULL: there can be
 * none. */
struct paper *paper_new(const char *dir);
void paper_free(struct paper *paper);
/* Plays more of the log that is open there and has so many bytes, up to budget of them. True when
 * there is more that can be played now. */
bool paper_play(struct paper *paper, int log, uint64_t size, size_t budget);
/* What programs have asked the terminal for. */
#define PAPER_CURSOR_KEYS 1u /* arrows as ESC O A, not ESC [ A */
#define PAPER_PASTE       2u /* brackets around what is pasted */
#define PAPER_NO_CURSOR   4u
unsigned paper_modes(const struct paper *paper);
/* Where the cursor of a real terminal is on the screen, that follows what is settled; false: there
 * is none to be seen. */
bool paper_cursor(const struct paper *paper, size_t *row, size_t *column);
/* How much has been played. */
uint64_t paper_played(const struct paper *paper);
/* The file, how much of it will not change any more, and how long it is. Each line starts with
 * where in the log it was last written to, as paper_origin() reads it. */
int paper_fd(const struct paper *paper);
uint64_t paper_settled(const struct paper *paper);
uint64_t paper_size(const struct paper *paper);
uint64_t paper_origin(const char *line, size_t n);

#endif
