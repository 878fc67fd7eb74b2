/*
 * reader_private.h - between the files of the reader: reader.c has the sentences, reader_keys.c the
 * keys that ask for them.
 */
#ifndef KILN_TUI_READER_PRIVATE_H
#define KILN_TUI_READER_PRIVATE_H

#include "tui/reader.h"

/* A sentence on a line of its own. */
void reader_say(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Which step is selected, and how it is. */
void reader_say_step(struct reader *reader);
/* How many steps are in which state, behind those words. */
void reader_say_counts(struct reader *reader, const char *before);
/* The last lines of what the selected step wrote; now, or when they have been fetched. */
void reader_say_log(struct reader *reader);
/* Why the selected step ran. */
void reader_say_why(struct reader *reader);

#endif
