/*
 * logfile.h - a log on disk, by lines: only what is asked for is read.
 *
 * The file may be growing; logfile_index() looks at a bounded piece of what is new. The index holds
 * the offset of every k-th line; k doubles when the index is full, so memory stays bounded however
 * long the log. A line ends at a newline, or after LOGFILE_LINE_MAX bytes without one. A file that
 * has become shorter is read anew. One that moves the cursor to other rows is played onto paper
 * (paper.h), and the lines are those of the paper; the last ones may still change.
 *
 * Ownership: opaque, logfile_open() to logfile_free(). Loop thread only.
 */
#ifndef KILN_TUI_LOGFILE_H
#define KILN_TUI_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGFILE_LINE_MAX 65536

struct logfile;

/* NULL when it cannot be opened or is no regular file. */
struct logfile *logfile_open(const char *path);
void logfile_free(struct logfile *log);
/* Looks at up to budget more bytes; true when there is more to look at. */
bool logfile_index(struct logfile *log, size_t budget);
/* Lines known so far, one without its newline yet among them. */
uint64_t logfile_lines(const struct logfile *log);
/* The first of them, that will not change any more. */
uint64_t logfile_whole(const struct logfile *log);
/* Another number whenever the log has become another one: numbers of lines mean nothing then. */
unsigned logfile_generation(const struct logfile *log);
/* Where in the file what that line shows was written. */
uint64_t logfile_origin(struct logfile *log, uint64_t line);
/* Where the cursor of a terminal's log is; false: there is none to be seen. NULL is fine. */
bool logfile_cursor(const struct logfile *log, uint64_t *line, size_t *column);
/* What a program on the screen has asked for (PAPER_...); NULL is fine. */
unsigned logfile_modes(const struct logfile *log);
/* Bytes in the file and looked at, when last looked. */
uint64_t logfile_size(const struct logfile *log);
uint64_t logfile_indexed(const struct logfile *log);
/* The line (from 0) without its newline; *n is its length. Valid until the next call; NULL when
 * there is no such line. */
const char *logfile_line(struct logfile *log, uint64_t line, size_t *n);
/* Where logfile_back() starts: the end of all that there is. */
uint64_t logfile_end(const struct logfile *log);
/* The line that ends at that byte, found without the index; *end becomes where it starts. NULL at
 * the start of the file. The same cuts of long lines are not promised. Valid until the next call.
 */
const char *logfile_back(struct logfile *log, uint64_t *end, size_t *n);
/* As logfile_origin(), of a line that logfile_back() found at that byte. */
uint64_t logfile_back_origin(const struct logfile *log, uint64_t start, const char *line, size_t n);

#endif
