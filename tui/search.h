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

/* What is looked for. */
struct search_wanted {
    const void *ctx;
    bool (*is)(const void *ctx, const char *text, size_t n);
    size_t (*cost)(const void *ctx, size_t n); /* of looking, as pattern_cost() has it */
};

/* Starts at that line (itself included) towards the end or the start. */
void search_start(struct search *search, const struct lines *lines, uint64_t from, bool forward);
/* Looks at up to budget bytes; true while it goes on. growing: more lines of the log are about to
 * be known, so its end is none yet. */
bool search_work(struct search *search, struct lines *lines, const struct search_wanted *wanted,
                 size_t budget, bool growing);
void search_release(struct search *search);
struct search_wanted search_pattern(const struct pattern *pattern);

#endif
