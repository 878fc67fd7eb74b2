/*
 * clip.h - text for the clipboard of whoever sits at the terminal, as an escape sequence (OSC 52),
 * which reaches it from anywhere, over ssh and through tmux. Pure.
 */
#ifndef KILN_TUI_CLIP_H
#define KILN_TUI_CLIP_H

#include "base/buf.h"

#include <stddef.h>

/* What terminals take at once: 100,000 bytes of sequence. */
#define CLIP_MAX ((size_t)74000)

enum clip_way {
    CLIP_NONE, /* the terminal has no clipboard */
    CLIP_PLAIN,
    CLIP_TMUX,   /* tmux takes it itself, or hands it on when asked to, as it is set up */
    CLIP_SCREEN, /* screen hands it on, in pieces */
};

/* By the name of the terminal and the variables of those that stand between; NULL where unset. */
enum clip_way clip_way(const char *term, const char *tmux, const char *sty);
/* Adds the sequence for n bytes, at most CLIP_MAX. */
void clip_write(enum clip_way way, const char *text, size_t n, struct buf *out);

#endif
