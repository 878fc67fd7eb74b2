/*
 * record.h - run records: every run leaves its events and its logs in the state directory, to be
 * looked at later.
 *
 *     <state>/projects/<id>/root         the project's path, for people
 *     <state>/projects/<id>/steps.log    history.h
 *     <state>/projects/<id>/runs/<n>/events.ndjson, logs/<k>.log
 *     <state>/projects/<id>/runs/<n>/failed/   failure.h
 *     <state>/projects/<id>/runs/<n>/imported, steps.log   of a run from elsewhere (bundle.h):
 *                                              where from, in words; what is known of its steps
 *
 * Run ids are small numbers a project, made unique by mkdir. The newest RECORD_KEEP runs are kept.
 *
 * struct records is opaque; loop thread.
 */
#ifndef KILN_ENGINE_RECORD_H
#define KILN_ENGINE_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "engine/event.h"

#include <stddef.h>
#include <stdint.h>

#define RECORD_KEEP 200

struct records;
struct record; /* one run being written */

/* state_dir: $XDG_STATE_HOME/kiln, made when missing. The project's id is derived from its root
 * path. */
int records_open(const char *state_dir, const char *root, struct records **out,
                 struct err *err) MUST_CHECK;
void records_close(struct records *records);
/* The project's directory in the state directory; owned by records. */
const char *records_dir(const struct records *records);

/* Begins a run: makes its directory. */
int record_new(struct records *records, struct record **out, struct err *err) MUST_CHECK;
/* Takes a number for a run that is made elsewhere: *dir is its empty directory, a new string, over
 * which the run's can be renamed. */
int records_reserve(struct records *records, char **dir, struct err *err) MUST_CHECK;
const char *record_id(const struct record *record);
/* Its directory, absolute; lives as long as the record. */
const char *record_dir(const struct record *record);
/* Makes a new spool file for a step's output: *path is new, *fd the caller's, opened read-write,
 * close-on-exec. */
int record_spool(struct record *record, const char *step, char **path, int *fd,
                 struct err *err) MUST_CHECK;
/* Adds an event (buffered; flushed at run.finished, when big, and with what others may want to see
 * at once: a step that started, passed or failed). The record numbers its events itself, from 1.
 * Errors (a full disk) are swallowed after the first, which *err gets once. */
void record_event(struct record *record, const struct event *event, struct err *err);
/* Flushes and ends it; prunes old runs when they are clearly too many. */
void record_free(struct record *record);

struct record_summary {
    char *id;
    uint64_t time_ns, duration_ms;
    char *trigger;  /* "command", "watch" ... */
    char *imported; /* where it came from, in words; NULL: it ran here */
    int status;     /* enum run_status; -1: it never finished */
    uint32_t passed, cached, failed, skipped, cancelled;
    uint64_t saved_ms; /* by its hits; 0 also where it has not told */
};
/* Newest first, at most max. *out is an array of the caller's, freed by records_free_list. */
int records_list(struct records *records, size_t max, struct record_summary **out, size_t *n,
                 struct err *err) MUST_CHECK;
void records_free_list(struct record_summary *list, size_t n);
/* Reads the events of run id (NULL: the newest) in order, the pipeline first, of which the record
 * has the run's steps. *found is false when there is no such
 * run. */
int records_replay(struct records *records, const char *id, event_cb *cb, void *ctx, bool *found,
                   struct err *err) MUST_CHECK;
/* The path of a step's newest spool file: of run id, or (NULL) of the newest run that executed it
 * here, which a shell in its place is not. New string, or NULL. */
char *records_log_path(struct records *records, const char *id, const char *step);
/* The id of that newest run; a new string, or NULL. */
char *records_log_run(struct records *records, const char *step);

/* The directory of run id; a new string, or NULL when there is none. */
char *records_run_dir(struct records *records, const char *id);
/* Where run id was imported from, in words; a new string, or NULL: it ran here. */
char *records_imported(struct records *records, const char *id);

#endif
