/*
 * editor.h - how editors are told to open a file at a line. Pure.
 */
#ifndef KILN_TUI_EDITOR_H
#define KILN_TUI_EDITOR_H

#include "base/vec.h"

#include <stdbool.h>

typedef VEC(char *) word_list;

/* The command that opens the file with that editor ("nvim", "code --wait": words for a shell, as
 * $VISUAL has them) at the line and column (from 1; 0: wherever): strings of the caller's, with a
 * NULL in the end. */
void editor_words(const char *editor, const char *file, unsigned line, unsigned column,
                  word_list *out);
/* The same for a pager, at that line of the file. alternate: on a screen of its own, which is gone
 * afterwards, where the pager knows the difference. */
void pager_words(const char *pager, const char *file, unsigned long long line, bool alternate,
                 word_list *out);
void words_release(word_list *list);

#endif
