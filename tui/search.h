/*
 * search.h - looking for text in a log, a bounded piece at a time, so that keys stay quick however
 * long the log is.
 *
 * Plain text; small letters find both cases, a pattern with a capital only its own. The search goes
 * round the end of the log. Lines are matched as they are shown, without their escape sequences.
 *
 * Ownership: the struct is the caller's, zeroed to start, search_release() in the end. Loop thread
 * only.
 */
#ifndef KILN_TUI_SEARCH_H
#define KILN_TUI_SEARCH_H

#include "base/buf.h"
#include "tui/logfile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum search_state { SEARCH_NONE, SEARCH_RUNNING, SEARCH_FOUND, SEARCH_MISSED };

struct search {
    char *pattern; /* NULL: nothing to look for */
    enum search_state state;
    uint64_t found; /* SEARCH_FOUND: the line */
    bool forward;
    uint64_t at;   /* the line to look at next */
    uint64_t seen; /* lines looked at */
    struct buf plain;
};

/* Sets what to look for ("" or NULL: nothing) without starting. */
void search_set(struct search *search, const char *pattern);
/* Starts at that line (itself included) towards the end or the start. */
void search_start(struct search *search, struct logfile *log, uint64_t from, bool forward);
/* Looks at up to budget bytes; true while it goes on. growing: more lines of the log are about to
 * be known, so its end is none yet. */
bool search_work(struct search *search, struct logfile *log, size_t budget, bool growing);
void search_release(struct search *search);

/* The first place of the pattern in n bytes; NULL when it is not there. */
const char *search_find(const char *pattern, const char *text, size_t n);

#endif
