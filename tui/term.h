/*
 * term.h - the terminal as a device: taken over and given back, read and written without ever
 * blocking, its size and its signals.
 *
 * The descriptor is a description of our own (the terminal is opened again), so that non-blocking
 * mode never leaks to the shell. One frame is written at a time: while term_busy() none may be
 * begun. SIGWINCH, SIGTSTP and SIGCONT are handled here.
 *
 * Ownership: opaque, term_new() to term_free(). Loop thread only.
 */
#ifndef KILN_TUI_TERM_H
#define KILN_TUI_TERM_H

#include "base/buf.h"
#include "base/err.h"
#include "tui/caps.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct term;

struct term_hooks {
    void *ctx;
    void (*input)(void *ctx, const char *bytes, size_t n);
    /* The size may be another, and what the terminal shows is unknown. */
    void (*changed)(void *ctx);
    /* A frame has been written whole. */
    void (*written)(void *ctx);
    /* The terminal is gone (hung up, closed). */
    void (*gone)(void *ctx);
};

bool term_supported(int fd, const char *name);
/* Opens the terminal behind fd again, starts the guard and takes the terminal over. Fails with
 * ERR_SYSTEM, the terminal as it was. */
struct term_options {
    uv_loop_t *loop;
    int fd;
    const char *name;
    bool colour;
    bool linear; /* lines below what is there already: no screen of its own, nothing but keys told
                    of */
};
int term_new(const struct term_options *options, const struct term_hooks *hooks, struct term **out,
             struct err *err) MUST_CHECK;
/* Gives the terminal back before it returns; the memory goes with the closing callbacks. No hook is
 * called any more. */
void term_free(struct term *term);

void term_size(const struct term *term, int *cols, int *rows);
const struct caps *term_caps(const struct term *term);
/* True while a frame is not written yet, or the terminal is given back for a while. */
bool term_busy(const struct term *term);
/* The empty buffer for a frame, and its sending off (an empty one is none). Only while not busy. */
struct buf *term_frame(struct term *term);
void term_send(struct term *term);
/* Gives the terminal back, stops the whole job as ^Z does, and takes it over again when it goes on.
 */
void term_suspend(struct term *term);
/* Gives the terminal to somebody else until term_take_back(); nothing is read or written meanwhile.
 */
void term_lend(struct term *term);
void term_take_back(struct term *term);
/* Whether the mouse is told of while the terminal is taken over; returns the bytes to send for that
 * with the next frame, "" where there is no mouse. */
const char *term_mouse(struct term *term, bool on);
/* The bytes that ask the terminal what it has, "" where that is better not done; to send with a
 * frame. Its answers are input; the last is told with term_answered(), so that none comes after the
 * terminal was given back. */
const char *term_ask(struct term *term);
void term_answered(struct term *term);
/* The terminal has said whether it has synchronised output. */
void term_has_sync(struct term *term, bool has);
/* Its descriptor, term's own. */
int term_fd(const struct term *term);
uint64_t term_written(const struct term *term);
pid_t term_guardian(const struct term *term);

#endif
