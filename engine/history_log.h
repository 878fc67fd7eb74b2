/*
 * history_log.h - the records of a history's log, in a file and in memory; history.c alone uses it.
 *
 * Ownership: what a scan hands out as a step is the callback's (free); the rest is borrowed. No
 * state.
 */
#ifndef KILN_ENGINE_HISTORY_LOG_H
#define KILN_ENGINE_HISTORY_LOG_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "engine/history.h"

#include <stddef.h>
#include <stdint.h>

enum log_type {
    LOG_DIR = 1,
    LOG_STEP = 2,
    LOG_BASE = 3,
};

struct log_item {
    enum log_type type;
    struct digest dir; /* LOG_DIR: its digest; the message is dir.size bytes at offset */
    uint64_t offset;
    struct history_record *step; /* LOG_STEP: one allocation */
    uint64_t base;               /* LOG_BASE */
};

typedef void log_cb(void *ctx, const struct log_item *item);

/* Each adds one record; history_log_add_dir returns where the message begins in out. */
size_t history_log_add_dir(struct buf *out, const struct digest *digest, const void *message);
void history_log_add_step(struct buf *out, const struct history_record *record);
void history_log_add_base(struct buf *out, uint64_t live);

/* A copy of the record in one allocation. */
struct history_record *history_log_copy_step(const struct history_record *record);

/* Reads the records from offset from to offset size, as far as they are whole; *end is where that
 * is. Directory messages are not read. Fails when the file can't be read. */
int history_log_scan(int fd, uint64_t from, uint64_t size, log_cb *cb, void *ctx, uint64_t *end,
                     struct err *err) MUST_CHECK;
/* The same over bytes that these wrote. */
void history_log_scan_bytes(const struct buf *bytes, log_cb *cb, void *ctx);

#endif
