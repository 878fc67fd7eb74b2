#include "runners/usage.h"

#include "base/mem.h"
#include "runners/survey.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void usage_take(const pid_t *pids, size_t n, struct usage *out)
{
    struct survey *survey = mem_alloc(sizeof *survey); /* of which only what is used is touched */
    uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    memset(out, 0, n * sizeof *out);
    survey->self = getpid();
    survey->self_born = 0;
    survey_take(survey);
    for (size_t i = 0; i < n; i++) {
        struct survey_process *process = survey_find(survey, pids[i]);
        if (process)
            process->owner = i + 1;
    }
    for (size_t i = 0; i < survey->n; i++) {
        struct survey_process *process = &survey->v[i];
        const struct survey_process *leader = survey_find(survey, process->sid);
        if (!process->owner && leader && leader->sid == leader->pid)
            process->owner = leader->owner;
    }
    survey_spread(survey);
    for (size_t i = 0; i < survey->n; i++) {
        const struct survey_process *process = &survey->v[i];
        if (process->owner == 0)
            continue;
        out[process->owner - 1].cpu_us += process->ticks * tick_us;
        out[process->owner - 1].memory += process->pages * page;
    }
    free(survey);
}
