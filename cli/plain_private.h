/*
 * plain_private.h - the parts of the plain view: escape sequences taken out of logs, and the live
 * line. Included by view_plain.c, plain_*.c and their tests.
 */
#ifndef KILN_CLI_PLAIN_PRIVATE_H
#define KILN_CLI_PLAIN_PRIVATE_H

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

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
