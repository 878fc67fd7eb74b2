/*
 * log_view.h - what the log pane shows and how: its log, the place in it, what is looked for and
 * marked.
 *
 * Places in the log are counted in the lines that are to be seen (lines.h).
 */
#ifndef KILN_TUI_LOG_VIEW_H
#define KILN_TUI_LOG_VIEW_H

#include "base/chunks.h"
#include "base/links.h"
#include "base/pattern.h"
#include "base/vec.h"
#include "tui/lines.h"
#include "tui/search.h"

/* Which directories lines of the file from ... to enter ("make[1]: Entering directory ..."), and
 * leave. */
struct entry {
    uint64_t line;
    bool entered; /* else left */
    char *path;
};

struct entries {
    unsigned generation; /* of the file, as logfile.h has it */
    uint64_t from, to;
    VEC(struct entry) list;
};

struct log_view {
    size_t step;     /* whose log; steps.n of the model: nobody's */
    uint64_t starts; /* of that step when the log was opened */
    char *path;
    bool own;             /* the run that the model knows has written it */
    struct lines lines;   /* its file is NULL: there is none (yet) */
    bool cached;          /* it is the one of a cached result, with that key */
    char *key;            /* or NULL */
    bool asked;           /* control has been asked for it ... */
    bool fetching;        /* ... and has not answered yet */
    uint64_t fetched_ns;  /* then: since when that is to be seen */
    char *gone;           /* why a log that there was can't be had any more; or NULL */
    struct chunks chunks; /* of one that is not the model's own */
    uint64_t start_ns;    /* with them: what times count from */
    bool more;            /* not all of it is indexed yet */
    bool filtering;       /* not all of it has been chosen from yet */
    bool follow, wrap, times;
    uint64_t top;   /* the first line shown ... */
    size_t top_row; /* ... and, wrapped, how many of its rows are above the pane */
    size_t left;    /* columns scrolled away, not wrapped */
    int rows, cols; /* for text, when it was last drawn */

    struct pattern pattern; /* what / looks for */
    struct search search;
    enum link_kind least; /* what ]e looks for */
    struct search errors;
    struct links *links; /* made when first needed; or NULL */
    struct entries entries;

    /* While something is typed: how it was. */
    uint64_t before_top;
    bool before_follow;
    char *before_filter;
    bool seeking; /* the choice of lines has changed: this line of the file is to be on top */
    uint64_t sought;

    struct {
        bool on;
        uint64_t anchor, cursor; /* the lines between them, with both, are marked */
    } mark;

    struct {
        int in, out; /* out < 0: nothing is being saved */
        uint64_t done;
        char *path;
    } save;
};

#endif
