/*
 * failure_store.h - stores the inputs of a failure in the cache, now or, where the time was too
 * short, later.
 *
 * What was not finished leaves a file beside the failure's record, with which any kiln can go on:
 *
 *     <state>/projects/<id>/runs/<n>/failed/<sha256 of the step's name>.tree
 *
 * failure_store.c has the format. Any thread; each object by one at a time.
 */
#ifndef KILN_ENGINE_FAILURE_STORE_H
#define KILN_ENGINE_FAILURE_STORE_H

#include "cache/cache.h"
#include "cache/snapshot.h"
#include "engine/failure.h"

#include <stdatomic.h>

struct failure_store {
    char *run_dir;          /* owned, as are the others */
    struct failure failure; /* its strings are the arena's */
    struct buf tree;        /* the Tree message of its inputs */
    struct snapshot *view;  /* holds the places; or NULL */
    char **places;          /* absolute directories in which the files lie */
    size_t n_places;
};

/* Adds a place, after those that there are. */
void failure_store_place(struct failure_store *store, const char *place);
/* Writes the record as it is. Where it can't be written is told elsewhere. */
void failure_store_note(const struct failure_store *store);
/* Stores them, with until as kept_inputs_put() has it, or NULL, and notes what came of it. */
void failure_store_run(struct failure_store *store, struct cache *cache,
                       const atomic_uint_fast64_t *until);
/* Leaves for later what failure_store_run() was not asked to do any more. */
void failure_store_leave(const struct failure_store *store);
/* Takes up what was left of the step's failure in the run's directory; false: nothing was. Release
 * it in any case. */
bool failure_store_take(struct failure_store *store, const char *run_dir,
                        const char *step) MUST_CHECK;
void failure_store_release(struct failure_store *store);

#endif
