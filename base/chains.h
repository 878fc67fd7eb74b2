/*
 * chains.h - what is to be started first: that below which the longest chain of durations lies.
 *
 * A step's chain is its own duration and the longest chain of those that need it. Durations count
 * by tenths of a second; what is not known is taken to last as long as the mean of what is, so
 * where nothing is known the steps are counted. Equal chains stand as given. The same durations
 * give the same order.
 */
#ifndef KILN_BASE_CHAINS_H
#define KILN_BASE_CHAINS_H

#include <stddef.h>
#include <stdint.h>

struct chain_need {
    uint32_t step, need; /* the need is the smaller one */
};

/* Sets place[i] to i's place among the n steps, from 0 to n - 1. ms: 0: not known. needs: n_needs
 * of them, those of a step before those of the next. */
void chains_order(size_t n, const uint64_t *ms, const struct chain_need *needs, size_t n_needs,
                  uint32_t *place);

#endif
