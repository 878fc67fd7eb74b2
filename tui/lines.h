/*
 * lines.h - the lines of a log that are to be seen: all of them, or those in which a pattern is
 * found.
 *
 * Which lines match is found out piece by piece, once; every k-th of them is kept, and k doubles
 * when there is no place left, so memory stays bounded however long the log. Lines are matched as
 * they are shown, without their escape sequences.
 *
 * Ownership: the struct is the caller's, zeroed to start, lines_release() in the end; the file is
 * its own. Loop thread only.
 */
#ifndef KILN_TUI_LINES_H
#define KILN_TUI_LINES_H

#include "base/buf.h"
#include "base/pattern.h"
#include "base/vec.h"
#include "tui/logfile.h"

struct lines {
    struct logfile *file; /* NULL: there is no log */
    struct pattern only;  /* what they are chosen by; not ready: all of them */
    VEC(uint64_t) kept;   /* every every-th line that matches, from the first on */
    uint64_t every;
    uint64_t n;                   /* lines that match, among those looked at */
    uint64_t looked;              /* whole lines looked at */
    VEC(uint64_t) late;           /* those after them, which may still change, that match */
    uint64_t near_nth, near_line; /* the one last asked for */
    unsigned generation;          /* of the file, when it was looked at */
    struct buf plain;
};

/* Takes another log, with the same choice of lines. */
void lines_set_file(struct lines *lines, struct logfile *file);
/* Chooses ("" or NULL: all of them). */
void lines_choose(struct lines *lines, const char *pattern);
void lines_release(struct lines *lines);
bool lines_chosen(const struct lines *lines);
/* Looks at up to budget bytes for what is chosen; true when there is more to look at. */
bool lines_work(struct lines *lines, size_t budget);
/* How many there are, so far. */
uint64_t lines_n(const struct lines *lines);
/* The number in the file of the nth line seen (from 0, below lines_n()). */
uint64_t lines_nth(struct lines *lines, uint64_t nth);
/* The first line seen that is that line of the file or comes after it; lines_n(): none. */
uint64_t lines_at(struct lines *lines, uint64_t line);
/* The bytes of the nth line seen, as logfile_line() has them; NULL when there is no such line. */
const char *lines_get(struct lines *lines, uint64_t nth, size_t *n);

#endif
