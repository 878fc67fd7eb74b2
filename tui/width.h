/*
 * width.h - how many columns of a terminal a character takes.
 *
 * Own tables, so that it holds without a UTF-8 locale. Pure; any thread.
 */
#ifndef KILN_TUI_WIDTH_H
#define KILN_TUI_WIDTH_H

#include <stddef.h>
#include <stdint.h>

/* 0 for what combines with the character before it, 2 for wide ones, -1 for control characters and
 * what must not be sent to a terminal (bidirectional overrides, unassigned separators), else 1. */
int width_of(uint32_t scalar);
/* Columns of n bytes of UTF-8 as the screen would show them: malformed bytes and controls count 1.
 */
int width_text(const char *text, size_t n);
/* How many of n bytes make a row of at most that many columns: up to the end of a word, and the
 * blanks after it, where one ends in time; else as many as fit, at least one character. */
size_t width_row(const char *text, size_t n, int columns);

#endif
