/*
 * last_failure.c - which step failed last, as far as the records of a project's runs know.
 */
#include "cli/cli.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct search {
    const struct graph *graph;
    struct map settled; /* steps that have passed in a newer run, or were hits */
    char *found;
};

static void on_event(void *ctx, const struct event *event)
{
    struct search *search = ctx;
    if (event->type != EVENT_STEP_FINISHED || search->found)
        return;
    enum step_status status = event->u.finished.status;
    if (status == STEP_PASSED || status == STEP_CACHED)
        map_put_str(&search->settled, event->step, search);
    else if (status == STEP_FAILED && !map_get_str(&search->settled, event->step) &&
             graph_find(search->graph, event->step) != OP_NONE)
        search->found = mem_strdup(event->step);
}

/* What a shell ended with says nothing of its step, nor does what came from elsewhere. */
static bool counts(const struct record_summary *run)
{
    return !run->trigger || (strcmp(run->trigger, EVENT_TRIGGER_SHELL) != 0 &&
                             strcmp(run->trigger, "imported") != 0);
}

char *last_failure(struct records *records, const struct graph *graph, char **run, struct err *err)
{
    struct search search = {.graph = graph, .settled = MAP_INIT};
    struct record_summary *runs = NULL;
    size_t n = 0, last;
    bool known;
    *run = NULL;
    int rc = records_list(records, RECORD_KEEP, &runs, &n, err);
    for (last = n; last > 0 && runs[last - 1].status >= 0 && !runs[last - 1].failed;)
        last--; /* older ones need not be read */
    for (size_t i = 0; i < last && rc == 0 && !search.found; i++) {
        /* A record that cannot be read tells nothing. */
        if (counts(&runs[i]) &&
            records_replay(records, runs[i].id, on_event, &search, &known, NULL) == 0 &&
            search.found)
            *run = mem_strdup(runs[i].id);
    }
    records_free_list(runs, n);
    map_release(&search.settled);
    return search.found;
}
