/*
 * pace.h - how fast something goes on, over the last few seconds.
 *
 * Plain data, to be started as zeros; one thread.
 */
#ifndef KILN_ENGINE_PACE_H
#define KILN_ENGINE_PACE_H

#include <stddef.h>
#include <stdint.h>

#define PACE_LOOKS 16

struct pace {
    struct {
        uint64_t ns, done;
    } looks[PACE_LOOKS]; /* the last ones, the next in place of the oldest */
    size_t n;            /* that there have been */
};

/* Notes how much is done now; returns what comes to a second, 0 while that cannot be told. Less
 * than before is something else, that begins. */
uint64_t pace_look(struct pace *pace, uint64_t now_ns, uint64_t done);

#endif
