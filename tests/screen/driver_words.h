/*
 * driver_words.h - the words of a line of the driver's script.
 */
#ifndef KILN_TESTS_SCREEN_DRIVER_WORDS_H
#define KILN_TESTS_SCREEN_DRIVER_WORDS_H

#include "base/buf.h"

/* The next word, blanks for its underscores; NULL for "-" or the end. It lies in the line. */
char *word_take(char **rest);
/* The next word as a number; 0 for none. */
long word_number(char **rest);
/* Which of the names it is; 0 for none of them, and for NULL. */
int word_index(const char *name, const char *const *names, int n);
/* Adds the text with \n, \e, \r, \t, \\ and \xNN replaced. */
void word_unescape(const char *text, struct buf *out);

#endif
