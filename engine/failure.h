/*
 * failure.h - what is on record of a step's failure, so that it can be made again later: what ran,
 * in what, and whether its inputs are kept (cache/kept_inputs.h).
 *
 *     <state>/projects/<id>/runs/<n>/failed/<sha256 of the step's name>.json
 *
 * failure_file.c has the format. Any thread; each object by one at a time.
 */
#ifndef KILN_ENGINE_FAILURE_H
#define KILN_ENGINE_FAILURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "cache/cache.h"
#include "engine/graph.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum failure_inputs {
    FAILURE_UNFINISHED, /* kiln ended, or was ended, before it was done with them */
    FAILURE_KEPT,
    FAILURE_CHANGED,  /* why: the path that was not what the step was given any more */
    FAILURE_TOO_MUCH, /* more than is kept of one failure */
    FAILURE_REFUSED,  /* the cache did not take them, or they were not known: why */
    FAILURE_INPUTS_N,
};

struct failure {
    struct arena arena;
    /* Strings are the arena's when it was read. Of secrets only target is told; input, after,
     * input_where and what does not shape a result are not. */
    struct op_exec exec;
    struct digest key, input_root;
    uint32_t attempt;
    struct digest image, image_index; /* a container's; size 0; null: it has none */
    const char *isa, *os;             /* uname's machine and system */
    enum failure_inputs inputs;
    const char *why; /* or NULL */
    size_t files;    /* of the inputs */
    uint64_t bytes;
};

/* The file's name in the run's folder "failed". */
void failure_name(const char *step, char name[DIGEST_HEX + 6]);
void failure_text(const struct failure *failure, struct buf *out);
/* ERR_CORRUPT when it is not what failure_text() writes, in a way that matters to whoever uses it;
 * then nothing is to be released. */
int failure_parse(const char *text, size_t n, struct failure *out, struct err *err) MUST_CHECK;
/* Reads the failure of the step in the run's directory; *found is false when it has none. */
int failure_read(const char *run_dir, const char *step, struct failure *out, bool *found,
                 struct err *err) MUST_CHECK;
/* Calls cb for each failure that the run's directory has, in the order of their steps' names; what
 * is damaged is passed over. */
typedef void failure_cb(void *ctx, const struct failure *failure);
void failure_each(const char *run_dir, failure_cb *cb, void *ctx);
void failure_release(struct failure *failure);
/* Where a run had no time to store the inputs of the step's failure, it is done now, if it can be:
 * whether the record is another one. */
bool failure_finish(const char *run_dir, const char *step, struct cache *cache);

#endif
