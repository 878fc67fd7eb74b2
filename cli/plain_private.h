/*
 * plain_private.h - the parts of the plain view: words, escape sequences taken out of logs, the
 * live line, the report of failures. Included by view_plain.c, attach.c, plain_*.c and their tests.
 */
#ifndef KILN_CLI_PLAIN_PRIVATE_H
#define KILN_CLI_PLAIN_PRIVATE_H

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "cli/plain_ci.h"
#include "engine/event.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where lines go, and how. */
struct plain_to {
    FILE *out;
    bool color;
    bool watching;
    enum plain_ci ci;
    const char *kiln;  /* how kiln is called for this project: "kiln -C sub" */
    const char *again; /* NULL, or the command that runs everything again */
};

/* plain_words.c: each adds to out. */
enum plain_style { PLAIN_GOOD, PLAIN_HIT, PLAIN_BAD, PLAIN_ODD, PLAIN_STRONG };
void plain_paint(struct buf *out, bool color, enum plain_style style, const char *text);
void plain_name(struct buf *out, const char *text);
void plain_duration(struct buf *out, uint64_t ms);
/* Text with several lines: the further ones indented, so that each line tells whose it is. */
void plain_lines(struct buf *out, const char *text);
/* "$ make", with its further lines indented. */
void plain_command(struct buf *out, const char *command);
/* " with exit code 1 after 3.4s", for a step.finished. */
void plain_how_failed(const struct event *event, struct buf *out);
void plain_hint(struct buf *out, bool color, const char *step, const char *hint);
/* Writes all of text, which are kiln's own words, and empties it. */
void plain_put(const struct plain_to *to, struct buf *text);
/* The same of orders to the CI. */
void plain_order(const struct plain_to *to, struct buf *orders);

/* plain_failures.c: what failed, kept by run until that ends. Start it zeroed. */
struct plain_failure {
    char *run, *step;
    char *log;     /* or NULL: it did not start */
    char *command; /* or NULL */
    char *how;     /* "FAILED with exit code 1 after 3.4s" */
    VEC(char *) hints;
    bool kept; /* what it wrote can be looked at */
    bool ran;  /* its command did: what it read may be on record */
};
struct plain_failures {
    VEC(struct plain_failure) list;
};
/* event: its step.finished; command and log may be NULL; all is copied. */
void plain_failures_add(struct plain_failures *failures, const struct event *event,
                        const char *command, const char *log, const char *how);
/* Writes text, and behind it what failed in that run, which is forgotten then; the last of it may
 * be left in text. Returns how many that were. */
size_t plain_failures_show(struct plain_failures *failures, const char *run,
                           const struct plain_to *to, struct buf *text);
/* What GitHub was asked to mark in this run; it shows the first ten of a job's step. */
struct plain_marks {
    size_t set, left; /* left: not asked for any more */
};

/* plain_group.c: in a CI, the step's log in a group with that title; and, where it failed, what it
 * complains of. */
struct plain_group {
    const char *id, *title, *step, *command, *log;
    const char *root, *mount; /* as event.h has them */
    const char *how;          /* it failed; or NULL */
    struct plain_marks *marks;
};
void plain_group(const struct plain_group *group, const struct plain_to *to);
/* What it complains of alone: it wrote nothing. */
void plain_mark(const struct plain_group *group, const struct plain_to *to);
void plain_failures_release(struct plain_failures *failures);

/* plain_summary.c: what a run did as a page that is shown with the job: GitHub's is added to the
 * file that GITHUB_STEP_SUMMARY names, Buildkite has one of a run that failed. Start it zeroed. */
struct plain_summary {
    VEC(struct plain_summary_row {
        char *step;
        enum step_status status;
        uint64_t ms;
    })
    rows;
    struct plain_marks marks;
};
void plain_summary_add(struct plain_summary *summary, const struct event *finished);
/* Empties it. failures: of that run, as they are before they are shown. What a person should know
 * of it is added to text. */
void plain_summary_write(struct plain_summary *summary, const struct plain_failures *failures,
                         const struct event *run_finished, const struct plain_to *to,
                         struct buf *text);
void plain_summary_release(struct plain_summary *summary);

/* plain_annotate.c: gives the page to Buildkite's program, where that is installed, and waits for
 * it for a while. Whatever comes of it changes nothing; a line for people is added to text where it
 * took too long. */
void plain_annotate(const struct buf *page, struct buf *text);

/* plain_escape.c: a filter for what programs write to terminals, fed piece by piece. Start it as
 * {.keep_color = ...}. */
struct escape {
    bool keep_color; /* let colours and styles (CSI ... m) through; nothing else ever passes */
    int state;
    size_t n;
    char held[64]; /* a CSI sequence that may turn out to be a colour */
};

/* Adds the n bytes without their escape sequences. One that is not finished is continued with the
 * next piece; a newline always ends it and always passes. */
void escape_filter(struct escape *escape, const char *bytes, size_t n, struct buf *out);

/* plain_log.c: prints a whole log file through the filter, in pieces, and ends it with a newline.
 * False, and nothing printed, when it cannot be read; *empty tells that nothing was in it. */
bool plain_log(FILE *out, const char *path, bool color, bool *empty);
/* Adds at most that many bytes of the file, from offset on, as they are. False when it cannot be
 * read. */
bool plain_log_part(const char *path, uint64_t offset, size_t most, struct buf *out);
/* Adds the last lines of it, through the filter, ended with a newline; *whole tells that these are
 * all. False when it cannot be read. */
bool plain_log_tail(const char *path, size_t lines, bool color, struct buf *out, bool *whole);

/* plain_live.c: one line with what is running and how far the run is. */
struct live_step {
    char *name;
    uint64_t start_ns; /* CLOCK_REALTIME */
    char *doing;       /* not started yet: what is being made ready for it; or NULL */
};

struct live {
    VEC(struct live_step) running; /* in the order they started */
    uint32_t total, done, cached, failed;
    const char *idle; /* shown when nothing runs; or NULL */
    bool active;      /* a run is going on */
};

void live_start(struct live *live, const char *step, uint64_t start_ns);
/* It is about to start: what it waits for ("unpacking debian:12 45%"). */
void live_doing(struct live *live, const char *step, const char *doing);
void live_end(struct live *live, const char *step);
void live_release(struct live *live);
/* Adds the line, at most width - 1 columns and no newline; nothing when there is nothing to show or
 * no room for it. utf8: glyphs beyond ASCII may be used. */
void live_line(const struct live *live, size_t width, bool utf8, bool color, uint64_t now_ns,
               struct buf *out);

#endif
