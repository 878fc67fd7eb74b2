/*
 * reader.h - the terminal for those who hear it: plain sentences, one below the other, and keys
 * that are answered in words. Nothing is ever drawn again.
 *
 * It folds into the same app as the panes do, and does the same actions; of events it tells what a
 * person would want to be told: what failed, what ended, what went wrong; hits are counted, not
 * listed.
 *
 * Ownership: the struct is the caller's, reader_init() to reader_release(); the app outlives it.
 * Loop thread only.
 */
#ifndef KILN_TUI_READER_H
#define KILN_TUI_READER_H

#include "tui/app.h"

struct reader {
    struct app *app;
    struct buf out; /* what is to be said; the caller takes it */
    bool left_out;  /* nobody took it, so something is not said */
    bool log_due;   /* the log's end is to be said when it has been taken out of the cache */
    /* The half of a line with which a step was last said to wait: of which step, which start of it,
     * and where in its log. */
    struct {
        size_t step;
        uint64_t starts, at;
    } asked;
};

void reader_init(struct reader *reader, struct app *app);
void reader_release(struct reader *reader);
/* Says what the event means, once the app has it. */
void reader_event(struct reader *reader, const struct event *event);
/* Says what stands in place of the panes. */
void reader_start(struct reader *reader);
void reader_key(struct reader *reader, uint32_t key);
/* What was pasted. */
void reader_paste(struct reader *reader, const char *text, size_t n);
/* Says what the app has been made to say since (by a program that ended, say), and which step may
 * wait for somebody, as it is at app->now_ns. */
void reader_catch_up(struct reader *reader);
/* Whether only time can tell what is to be said next: reader_catch_up() is wanted once a second. */
bool reader_ticks(const struct reader *reader);

#endif
