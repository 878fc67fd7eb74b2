/*
 * search.h - looking for a line in a log, a bounded piece at a time, so that keys stay quick
 * however long the log is.
 *
 * What makes a line the one is the caller's: a pattern, an error. The search goes round the end of
 * the log. Lines are looked at as they are shown, without their escape sequences.
 *
 * Ownership: the struct is the caller's, zeroed to start, search_release() in the end. Loop thread
 * only.
 */
#ifndef KILN_TUI_SEARCH_H
#define KILN_TUI_SEARCH_H

#include "base/buf.h"
#include "tui/lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum search_state { SEARCH_NONE, SEARCH_RUNNING, SEARCH_FOUND, SEARCH_MISSED };

struct search {
    enum search_state state;
    uint64_t found; /* SEARCH_FOUND: the line, counted as lines.h does */
    bool forward;
    uint64_t at;   /* the line to look at next */
    uint64_t seen; /* lines looked at */
    struct buf plain;
};

/* Whether it is the line looked for. */
typedef bool search_cb(const void *ctx, const char *text, size_t n);

/* Starts at that line (itself included) towards the end or the start. */
void search_start(struct search *search, const struct lines *lines, uint64_t from, bool forward);
/* Looks at up to budget bytes; true while it goes on. growing: more lines of the log are about to
 * be known, so its end is none yet. */
bool search_work(struct search *search, struct lines *lines, search_cb *wanted, const void *ctx,
                 size_t budget, bool growing);
void search_release(struct search *search);
/* A search_cb; ctx is a struct pattern. */
bool search_pattern(const void *ctx, const char *text, size_t n);

#endif
