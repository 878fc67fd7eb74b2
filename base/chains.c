#include "base/chains.h"

#include "base/mem.h"

#include <stdlib.h>

/* What is shorter is chance, and should not turn the order of quick steps from run to run. */
#define UNIT_MS 100
/* More than this nobody waits; so no sum runs over. */
#define LONGEST_MS (UINT64_C(1) << 40)

struct chain {
    uint64_t length;
    uint32_t step;
};

static uint64_t units(uint64_t ms)
{
    return (ms < LONGEST_MS ? ms : LONGEST_MS) / UNIT_MS + 1;
}

static int compare(const void *left, const void *right)
{
    const struct chain *a = left, *b = right;
    if (a->length != b->length)
        return a->length > b->length ? -1 : 1;
    return a->step < b->step ? -1 : a->step > b->step;
}

void chains_order(size_t n, const uint64_t *ms, const struct chain_need *needs, size_t n_needs,
                  uint32_t *place)
{
    struct chain *chains = mem_alloc((n + 1) * sizeof *chains);
    uint64_t *below = mem_zalloc(n + 1, sizeof *below);
    uint64_t all = 0, known = 0;
    for (size_t i = 0; i < n; i++) {
        all += ms[i] ? units(ms[i]) : 0;
        known += ms[i] > 0;
    }
    uint64_t mean = known ? all / known : 1;
    for (size_t i = n, left = n_needs; i-- > 0;) {
        /* What needs it comes later, and has been seen. */
        chains[i] = (struct chain){below[i] + (ms[i] ? units(ms[i]) : mean), (uint32_t)i};
        for (; left > 0 && needs[left - 1].step == i; left--) {
            uint64_t *chain = &below[needs[left - 1].need];
            *chain = *chain < chains[i].length ? chains[i].length : *chain;
        }
    }
    qsort(chains, n, sizeof *chains, compare);
    for (size_t i = 0; i < n; i++)
        place[chains[i].step] = (uint32_t)i;
    free(chains);
    free(below);
}
