#include "base/bits.h"

#include "base/mem.h"

#include <stdlib.h>

#define WORD 64

void bits_init(struct bits *bits, size_t n)
{
    size_t words = n / WORD + 1;
    *bits = (struct bits){.n = n};
    bits->words = mem_zalloc(words, sizeof *bits->words);
    bits->any = mem_zalloc(words / WORD + 1, sizeof *bits->any);
}

void bits_release(struct bits *bits)
{
    free(bits->words);
    free(bits->any);
    *bits = (struct bits){0};
}

static uint64_t bit(size_t i)
{
    return UINT64_C(1) << (i % WORD);
}

void bits_put(struct bits *bits, size_t i)
{
    bits->words[i / WORD] |= bit(i);
    bits->any[i / WORD / WORD] |= bit(i / WORD);
}

void bits_take(struct bits *bits, size_t i)
{
    bits->words[i / WORD] &= ~bit(i);
    if (!bits->words[i / WORD])
        bits->any[i / WORD / WORD] &= ~bit(i / WORD);
}

bool bits_has(const struct bits *bits, size_t i)
{
    return i < bits->n && (bits->words[i / WORD] & bit(i));
}

/* The least bit that is set and not below from, of so many; else as many. */
static size_t next_of(const uint64_t *words, size_t n, size_t from)
{
    for (size_t w = from / WORD; from < n; from = ++w * WORD) {
        uint64_t left = words[w] & ~(bit(from) - 1);
        if (left)
            return w * WORD + (size_t)__builtin_ctzll(left);
    }
    return n;
}

size_t bits_next(const struct bits *bits, size_t from)
{
    size_t w = from / WORD, words = bits->n / WORD + 1;
    if (from >= bits->n)
        return bits->n;
    uint64_t left = bits->words[w] & ~(bit(from) - 1);
    if (!left) {
        w = next_of(bits->any, words, w + 1);
        if (w == words)
            return bits->n;
        left = bits->words[w];
    }
    return w * WORD + (size_t)__builtin_ctzll(left);
}

size_t bits_below(const struct bits *bits, size_t i)
{
    size_t count = 0;
    for (size_t w = 0; w < i / WORD && w * WORD < bits->n; w++)
        count += (size_t)__builtin_popcountll(bits->words[w]);
    if (i < bits->n)
        count += (size_t)__builtin_popcountll(bits->words[i / WORD] & (bit(i) - 1));
    return count;
}
