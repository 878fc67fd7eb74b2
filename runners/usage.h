/*
 * usage.h - what executions use while they run. (What they used in all is in runner_exit.)
 *
 * Any thread; looks at every process of the machine once.
 */
#ifndef KILN_RUNNERS_USAGE_H
#define KILN_RUNNERS_USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct usage {
    uint64_t cpu_us; /* so far, by what still runs and whom that has waited for */
    uint64_t memory; /* now, in bytes; what processes share counts for each of them */
};

/* Of the executions with these main processes, which are told by started: of what descends from
 * them, or is still in their session. All zero for one that is gone. */
void usage_take(const pid_t *pids, size_t n, struct usage *out);

#endif
