/*
 * caps.h - what a terminal understands, looked up once through terminfo and kept as plain strings.
 *
 * The one place that includes curses headers. An unknown $TERM is taken for an ANSI terminal.
 * Ownership: the struct is the caller's, caps_load() to caps_release(). Loop thread only (terminfo
 * keeps state of its own).
 */
#ifndef KILN_TUI_CAPS_H
#define KILN_TUI_CAPS_H

#include "base/buf.h"
#include "tui/clip.h"
#include "tui/screen.h"

#include <stdbool.h>

#define CAPS_COLOURS 16

struct caps {
    char *enter, *leave; /* alternate screen; "" where there is none */
    char *hide, *show;   /* the cursor */
    char *clear;         /* the whole screen, cursor home */
    char *erase_line;    /* from the cursor to the end of the row */
    char *plain;         /* all attributes off */
    char *bold, *dim, *reverse, *underline, *italic, *strike;
    char *fg[CAPS_COLOURS], *bg[CAPS_COLOURS]; /* "" beyond the terminal's colours */
    char *sync_begin, *sync_end;               /* synchronised output; "" where unknown */
    bool sync;                                 /* the terminal has said that it has it */
    char *modes_on, *modes_off; /* pasted text in brackets, focus reports; "" where unknown */
    char *mouse_on, *mouse_off; /* buttons and wheel; "" where there is none */
    char *ask;                  /* for what it has; "" where that could be shown */
    char *move;                 /* cursor addressing as terminfo has it; NULL: the ANSI sequence */
    const char *desktop;        /* how it takes a notification: notify.h; NULL: not at all */
    bool linear;                /* caps_linear() */
    bool console;               /* the Linux console, of few glyphs */
    bool light;                 /* the background, as the environment tells */
    bool private_modes;         /* passes over sequences it does not know, as xterm does */
    bool edge_ok;               /* the last cell of the last row can be written without scrolling */
    int colours;                /* 0, 8, 16, 256 or COLOURS_TRUE */
    enum clip_way clip;
};

/* Fails (-1) when the terminal is known and cannot address its cursor. */
int caps_load(struct caps *caps, const char *term, int fd, bool colour);
/* Leaves nothing but plain lines. */
void caps_linear(struct caps *caps);
void caps_release(struct caps *caps);
/* Adds the sequence that moves the cursor there (from 0). */
void caps_move(const struct caps *caps, struct buf *out, int x, int y);
/* Adds what changes the style from one to the other. */
void caps_style(const struct caps *caps, struct buf *out, struct style from, struct style to);
/* Adds what leaves the terminal as a shell expects it, whatever it was in the middle of. */
void caps_restore(const struct caps *caps, struct buf *out);

#endif
