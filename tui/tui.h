/*
 * tui.h - the terminal: what the event stream says, in panes, and keys that send commands back.
 *
 * A tui folds events into its own model and draws that; it knows nothing of the engine but event.h
 * and command.h. Frames are built in memory and written without blocking, at most 30 a second for
 * events and at once for a key; a terminal that does not read loses frames and never delays an
 * event. With nothing running there is no timer and no wake-up.
 *
 * The terminal is put back by tui_free(), by the handlers of fatal signals, and, when kiln is
 * killed, by a small guardian process. SIGINT, SIGTERM and SIGHUP are the caller's: stop, then
 * tui_free().
 *
 * Ownership: opaque, tui_new() to tui_free(). Loop thread only. One tui a process (a process has
 * one controlling terminal).
 */
#ifndef KILN_TUI_TUI_H
#define KILN_TUI_TUI_H

#include "base/err.h"
#include "engine/command.h"
#include "engine/event.h"
#include "tui/settings.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct tui;

struct tui_options {
    uv_loop_t *loop;
    const struct control *control; /* outlives the tui */
    int fd;           /* the terminal, usually standard output; reopened, never changed or closed */
    const char *term; /* $TERM */
    const char *project; /* shown until the pipeline says its name; may be NULL */
    bool utf8;           /* the locale's character set is UTF-8 */
    bool linear; /* for screen readers: sentences and answers (reader.h) in place of panes */
    const struct settings *settings; /* NULL: the defaults; copied */
    bool replay;                     /* what is shown is over: said in the header */
    /* kiln itself, and what names the project to it (NULL terminated): for a shell in a step; NULL:
     * there is none. Outlives the tui. */
    const char *const *self;
    bool colour; /* NO_COLOR and its kin are the caller's to look at */
    /* The wall clock that events carry, for elapsed times; NULL: CLOCK_REALTIME. */
    uint64_t (*now_ns)(void *ctx);
    /* Called when all bytes of a frame have been written; NULL: nobody asks. */
    void (*frame_done)(void *ctx);
    void *ctx; /* for the two */
};

/* True when fd is a terminal and one of that name can show panes (it can address its cursor). */
bool tui_supported(int fd, const char *term);
/* Takes over the terminal. Fails with ERR_SYSTEM, the terminal untouched. Call it before threads
 * and big allocations where possible: it forks the guardian. */
int tui_new(const struct tui_options *options, struct tui **out, struct err *err) MUST_CHECK;
/* Folds one event; never blocks. An event_cb with the tui as ctx. */
void tui_event(void *tui, const struct event *event);
/* Restores the terminal before it returns. The memory goes once the loop has run the closing
 * callbacks. NULL is fine. */
void tui_free(struct tui *tui);

/* A few sentences in place of the panes: where there is no pipeline, or none that can be read. */
enum tui_tone { TUI_PLAIN, TUI_STRONG, TUI_QUIET, TUI_GOOD, TUI_BAD };
struct tui_start {
    const struct tui_line {
        enum tui_tone tone;
        const char *text; /* broken at blanks where it is too long */
    } * lines;
    size_t n;      /* 0: the panes */
    bool can_init; /* a key is offered that sends COMMAND_INIT */
};
/* Shows that from now on; it is copied. */
void tui_start(struct tui *tui, const struct tui_start *start);

/* The guardian's process id, so that who ends stray children leaves it alone; 0 when there is none.
 */
pid_t tui_guardian(const struct tui *tui);
/* True when everything known is on the terminal: no frame owed, none being written, no log left to
 * look through, no half a key. */
bool tui_settled(const struct tui *tui);
/* Bytes written to the terminal so far: a reader that has taken that many has seen it all. */
uint64_t tui_written(const struct tui *tui);
/* Bytes of input taken so far. */
uint64_t tui_taken(const struct tui *tui);
/* The size of the last frame. */
void tui_size(const struct tui *tui, int *cols, int *rows);

#endif
