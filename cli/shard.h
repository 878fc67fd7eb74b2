/*
 * shard.h - a part of a pipeline, for one of several machines that share the work (--shard 2/5).
 *
 * The machines don't know of each other, so each finds the same division by itself: it is made of
 * nothing but the pipeline, the steps asked for and the file of durations. Every step that nobody
 * needs is in one shard; what it needs comes with it, and may so be in several.
 *
 * Ownership: struct shard is the caller's, shard_release(); names are the graph's. Any thread.
 */
#ifndef KILN_CLI_SHARD_H
#define KILN_CLI_SHARD_H

#include "cli/cli.h"

struct shard {
    const char **steps; /* to be asked for; none: there is nothing to do in this one */
    size_t n;
    char *text; /* for people: "shard 2 of 5: 12 of 60 steps" */
};

/* The options' shard of what they ask for. ERR_USAGE and the like where the durations can't be
 * read. Without --shard, and where a step is asked for that is not in the graph, all that is asked
 * for, and no text. */
int shard_take(const struct options *options, const struct graph *graph, struct shard *out,
               struct err *err) MUST_CHECK;
void shard_release(struct shard *shard);

#endif
