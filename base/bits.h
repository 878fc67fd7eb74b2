/*
 * bits.h - a set of small integers that tells its members in order.
 *
 * Putting in, taking out and finding the next one cost the same however many there are up to some
 * hundred thousand: a summary says which words have any.
 *
 * Ownership: the struct is the caller's, bits_init() to bits_release(); all zeroes is a set that
 * has room for nothing. No locking.
 */
#ifndef KILN_BASE_BITS_H
#define KILN_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bits {
    uint64_t *words, *any; /* bit w of any: words[w] is not 0 */
    size_t n;
};

/* Makes it an empty set with room for 0 to n - 1. */
void bits_init(struct bits *bits, size_t n);
void bits_release(struct bits *bits);
void bits_put(struct bits *bits, size_t i);
void bits_take(struct bits *bits, size_t i);
bool bits_has(const struct bits *bits, size_t i);
/* The least member that is not below from; bits->n when there is none. */
size_t bits_next(const struct bits *bits, size_t from);
/* How many members are below i. */
size_t bits_below(const struct bits *bits, size_t i);

#endif
