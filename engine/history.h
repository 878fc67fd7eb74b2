/*
 * history.h - what each step last did, so that "why did this run" can be answered by file, variable
 * and command.
 *
 * One append-only log a project in the state directory: a record a step whenever its key or status
 * changed, and the Directory messages of its input tree, each once. Loading keeps the last record
 * of each step; a torn tail (a crash while appending) is cut off; a log that is mostly superseded
 * is rewritten. Several processes may append.
 *
 * Ownership: opaque, history_close(). Loop thread.
 */
#ifndef KILN_ENGINE_HISTORY_H
#define KILN_ENGINE_HISTORY_H

#include "base/digest.h"
#include "base/err.h"
#include "cache/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history;

enum history_status { HISTORY_PASSED, HISTORY_FAILED, HISTORY_TAINTED };
/* "passed", "failed", "tainted" */
const char *history_status_name(enum history_status status);

struct history_record {
    const char *step;
    enum history_status status;
    struct digest key;        /* the Action's */
    struct digest input_root; /* its Directory messages can be had by history_load_tree */
    const void *command;      /* the encoded Command message */
    size_t n_command;
    const char *salt;     /* "" when none */
    uint64_t duration_ms; /* of the execution that made the result */
    uint64_t time_ns;     /* when */
    const char *run;      /* the run's id */
};

/* Opens (makes) the log at path. A damaged one is read as far as it is whole. Fails only where
 * nothing can be read or made. */
int history_open(const char *path, struct history **out, struct err *err) MUST_CHECK;
void history_close(struct history *history);
/* The last record of the step, or NULL; valid until the next call that changes the history. */
const struct history_record *history_last(const struct history *history, const char *step);
/* The last record with status HISTORY_PASSED. */
const struct history_record *history_last_pass(const struct history *history, const char *step);
/* The record of the step's result with that key, of any time that the log still has: a rewriting
 * leaves out what is superseded. New, to be freed as one; or NULL. Reads the log once. */
struct history_record *history_find(const struct history *history, const char *step,
                                    const struct digest *key);
/* Tells the names of all steps that it knows. */
void history_steps(const struct history *history, void (*cb)(void *ctx, const char *step),
                   void *ctx);
/* Puts the Directory messages of that root that the history has into the store; false when the tree
 * is not (wholly) known. */
bool history_load_tree(const struct history *history, const struct digest *root,
                       struct trees *trees);
/* The same of that one directory, without what lies in it; nothing when it is not known. */
void history_load_dir(const struct history *history, const struct digest *digest,
                      struct trees *trees);
/* Notes a result. Nothing is written for a pass when the last record has the same key and is one.
 * Directory messages of record->input_root are taken from trees. Buffered until history_flush(). */
int history_note(struct history *history, const struct history_record *record,
                 const struct trees *trees, struct err *err) MUST_CHECK;
/* Writes what is buffered with one append; rewrites the log when more than half of it (and over 1
 * MiB) is superseded. */
int history_flush(struct history *history, struct err *err) MUST_CHECK;
/* The same, for a loop that others wait for: where another process keeps the log locked for more
 * than a moment, what is buffered stays so until the next time, and that is no failure. */
int history_try_flush(struct history *history, struct err *err) MUST_CHECK;

#endif
