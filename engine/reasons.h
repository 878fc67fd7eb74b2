/*
 * reasons.h - what differs between two keys of a step: command, variables, settings, files.
 *
 * Ownership: struct reasons is the caller's, zeroed to begin with, reasons_release(); its texts lie
 * in its arena or are constant. Any thread, one at a time; reasons_between() where the history is.
 */
#ifndef KILN_ENGINE_REASONS_H
#define KILN_ENGINE_REASONS_H

#include "base/arena.h"
#include "base/vec.h"
#include "cache/tree.h"
#include "engine/event.h"
#include "engine/history.h"

#include <stddef.h>

struct reasons {
    struct arena arena;
    VEC(struct reason) list;           /* at most as many as were wanted */
    size_t all;                        /* found */
    const struct history_record *base; /* what was compared with; the history's; NULL: nothing */
};
void reasons_release(struct reasons *reasons);

/* Counts it, and keeps it unless there are max of them. */
void reasons_add(struct reasons *out, size_t max, struct reason reason);
/* A copy; NULL gives NULL. */
const char *reasons_keep(struct reasons *out, const char *text);
/* What to show of a file's state: its digest, a link's target, a directory as such; the executable
 * bit where it is set. NULL gives NULL. */
const char *reasons_shown(struct reasons *out, const struct tree_entry *entry);

/* Two encoded Commands; nothing for what can't be decoded. */
void reasons_add_commands(struct reasons *out, size_t max, const void *old_bytes, size_t n_old,
                          const void *now_bytes, size_t n_now);
void reasons_add_salts(struct reasons *out, size_t max, const char *old, const char *now);
/* Input trees of which no more is known. */
void reasons_add_roots(struct reasons *out, size_t max, const struct digest *old,
                       const struct digest *now);

/* The step whose output that is, or NULL. */
typedef const char *reasons_owner(void *ctx, const char *path);
/* What differs between two results of the past, file by file where the history that each is from
 * has the trees. owner may be NULL. */
void reasons_between(const struct history *old_from, const struct history_record *old,
                     const struct history *now_from, const struct history_record *now, size_t max,
                     reasons_owner *owner, void *ctx, struct reasons *out);

#endif
