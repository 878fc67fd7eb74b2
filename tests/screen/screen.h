/*
 * screen.h - a terminal for tests: a pty, a shell's part in job control, the driver as the job,
 * libvterm as the eyes.
 *
 *     struct pty *pty = pty_start(&(struct pty_options){80, 24, "xterm-256color", true, true});
 *     pty_say(pty, "run");  pty_type(pty, "j");  pty_sync(pty);
 *     pty_golden(pty, "name");  pty_end(pty);
 *
 * Nothing waits for time to pass: pty_sync() asks the driver, which answers once all that was said
 * and typed is on its way, with the number of bytes it has written; then so many are read.
 * Everything that waits gives up after DEADLINE_MS and fails the test.
 */
#ifndef KILN_TESTS_SCREEN_SCREEN_H
#define KILN_TESTS_SCREEN_SCREEN_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

struct pty;

struct pty_options {
    int cols, rows;
    const char *term;
    bool utf8, colour;
};

struct pty *pty_start(const struct pty_options *options);
/* Ends driver and shell, if they have not; frees all. */
void pty_end(struct pty *pty);
/* The same once the driver has ended, or is about to: the terminal has to be given back. */
void pty_end_left(struct pty *pty);

void pty_say(struct pty *pty, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pty_type(struct pty *pty, const char *keys);
/* For a program that has the terminal in the driver's place: a sync expects none of it. */
void pty_type_away(struct pty *pty, const char *keys);
/* Reads the terminal until it shows the text. */
void pty_wait_shows(struct pty *pty, const char *text);
void pty_sync(struct pty *pty);
void pty_resize(struct pty *pty, int cols, int rows);
/* Asks for a sync without reading the terminal; returns once the driver has dealt with what was
 * said before. */
void pty_said(struct pty *pty);

/* The row as UTF-8, trailing blanks cut; valid until the next call. */
const char *pty_row(struct pty *pty, int row);
bool pty_shows(struct pty *pty, const char *text);
/* The colours of the first cell of a text, as numbers of the palette; -1: the terminal's own, -3:
 * no number. False when the text is not there. */
struct pty_colours {
    int fg, bg;
};
bool pty_colours_of(struct pty *pty, const char *text, struct pty_colours *out);
bool pty_alternate(const struct pty *pty);
bool pty_cursor_shown(const struct pty *pty);
/* What the terminal tells of the mouse: 0 nothing, 1 clicks. */
int pty_mouse(const struct pty *pty);
/* Compares text, styles and cursor with tests/screen/golden/NAME.txt, as pty_same_file(). */
void pty_golden(struct pty *pty, const char *name);
/* Its cells, for libvterm's functions. */
struct VTermScreen *pty_cells(struct pty *pty);
/* Fails when the file of the project has not exactly these bytes; where KILN_UPDATE_GOLDEN is set,
 * and not to nothing, writes them there instead. */
void pty_same_file(struct pty *pty, const char *path, const struct buf *seen);

/* The next line of that kind that the driver has sent: "command" ("command retry build"), "log"
 * ("log of build": it was asked for that log). Others are passed over. */
const char *pty_reply(struct pty *pty, const char *kind);

void pty_signal(struct pty *pty, int number);
/* Waits until the shell has seen the driver stop; the shell has the terminal then. */
void pty_wait_stopped(struct pty *pty);
/* fg */
void pty_continue(struct pty *pty);
/* Waits until the shell has seen the driver end; returns its status as of waitpid(2). */
int pty_wait_ended(struct pty *pty);
/* Sends SIGTERM and waits; returns the exit status. */
int pty_terminated(struct pty *pty);
/* Closes the terminal's other end, as a closed window does. Only pty_reply(), pty_wait_ended() and
 * pty_end() make sense after it. */
void pty_hang_up(struct pty *pty);
/* Reads the terminal until the alternate screen has been left. */
void pty_wait_left(struct pty *pty);
/* True when the terminal's modes are what they were before the driver started; waits for that. */
bool pty_sane(struct pty *pty);

#endif
