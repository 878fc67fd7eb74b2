/*
 * look.h - how things look: a glyph and a word for every state, a style for every role in each
 * theme.
 *
 * Views name roles, never colours; a cell carries its role, and what it looks like is known where
 * it is written to the terminal (screen.h). Pure; any thread.
 */
#ifndef KILN_TUI_LOOK_H
#define KILN_TUI_LOOK_H

#include "tui/model.h"
#include "tui/screen.h"

enum role {
    ROLE_TEXT,
    ROLE_DIM,
    ROLE_STRONG,
    ROLE_RULE,          /* lines between panes */
    ROLE_TITLE,         /* of a pane */
    ROLE_FOCUS,         /* of the pane that takes the keys */
    ROLE_SELECTED,      /* the row that the keys act on */
    ROLE_SELECTED_AWAY, /* the same while another pane takes the keys */
    ROLE_KEY,
    ROLE_GOOD,
    ROLE_HIT,
    ROLE_BAD,
    ROLE_BUSY,
    ROLE_QUIET,
    ROLE_STOPPED,
    ROLE_WARNING,
    ROLE_OLD, /* what was, and what is now */
    ROLE_NEW,
    ROLE_MATCH,
    ROLE_MATCH_HERE,
    ROLE_N,
};

enum theme { THEME_DARK, THEME_LIGHT, THEME_HIGH_CONTRAST, THEME_MONO, THEME_N };

/* As settings call them. */
extern const char *const look_themes[THEME_N];
/* What each role looks like there, on a terminal of so many colours, for screen_theme(). */
void look_theme(enum theme theme, int colours, struct style out[ROLE_N]);

struct style look_style(enum role role);
const char *look_glyph(enum step_state state);
const char *look_word(enum step_state state);
enum role look_role(enum step_state state);

/* Whole seconds for something that still runs ("7s", "1:07"), so that nothing flickers. Returns
 * out. */
char *look_elapsed(uint64_t ms, char out[16]);
/* Digests cut to 7 characters, everything else as it is, at most max bytes; added to out. */
void look_value(const char *value, size_t max, struct buf *out);
/* "exit 1", "killed by SIGSEGV", "timed out", or why it could not run; "" for what went well. Added
 * to out. */
void look_failure(const struct model_step *step, struct buf *out);
/* Why it ran, in a few words: "src/a.c changed +2". Added to out. */
void look_reason(const struct model_step *step, struct buf *out);

#endif
