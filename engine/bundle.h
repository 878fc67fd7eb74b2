/*
 * bundle.h - a run to carry elsewhere: its record, what is known of its steps, and the inputs of
 * those that failed, in one tar file.
 *
 *     manifest.json           first: what follows (bundle_manifest.c)
 *     run/events.ndjson       the run's record (record.h)
 *     run/logs/<k>.log
 *     run/failed/<hex>.json   failure.h
 *     run/steps.log           of history.h: this run's results, and the last passes
 *     inputs/<hex>            the Tree message of an input tree with that root, of that size: in
 *                             the manifest
 *     cas/<hex>               content by its digest
 *
 * In this order, each group sorted; a plain tar (ustar) without times and owners, so that the same
 * run gives the same bytes. It is not compressed: whoever wants that has zstd, and a reader without
 * it cannot be made to write more than the file holds.
 *
 * Import takes the file for hostile: names come from this list and from nowhere else, everything is
 * checked against its digest before it counts, nothing is written but below the project's records
 * and into the cache, and a run comes to be by one rename when all was right. Events are read and
 * written anew; paths in them lead nowhere but into the run's own directory.
 *
 * Each function blocks; one thread at a time.
 */
#ifndef KILN_ENGINE_BUNDLE_H
#define KILN_ENGINE_BUNDLE_H

#include "cache/cache.h"
#include "engine/history.h"
#include "engine/record.h"

struct bundle_report {
    char *run;           /* import: the id that it has here */
    char *from;          /* import: what it was: "run 12 of demo" */
    uint64_t bytes;      /* of the file */
    size_t failures;     /* on record in the run */
    size_t inputs;       /* of these: with their inputs */
    size_t blobs;        /* content that goes along */
    uint64_t blob_bytes; /* theirs */
};
void bundle_report_release(struct bundle_report *report);

/* Writes run id to the file at path, in one step. ERR_USAGE when there is no such run, or it has
 * not ended; ERR_SYSTEM. history: or NULL. */
int bundle_export(struct records *records, struct history *history, struct cache *cache,
                  const char *id, const char *version, const char *path,
                  struct bundle_report *report, struct err *err) MUST_CHECK;

/* Takes the bundle in as a new run. ERR_CONFIG when the file is not what it must be, with the file
 * and why; then nothing of it is left but, maybe, content in the cache that nothing names. root:
 * the project's folder, which the run is told to be about from now on. */
int bundle_import(struct records *records, struct cache *cache, const char *root, const char *path,
                  struct bundle_report *report, struct err *err) MUST_CHECK;

#endif
