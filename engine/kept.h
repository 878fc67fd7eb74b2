/*
 * kept.h - what the last failure of an isolated step wrote, kept for a look.
 *
 * One a step: the directory of an older one is removed when another failure is kept, or when the
 * step passes. Which it is is in one small file a step in the project's state directory (kept.c).
 */
#ifndef KILN_ENGINE_KEPT_H
#define KILN_ENGINE_KEPT_H

#include "base/digest.h"
#include "base/err.h"
#include "engine/record.h"

#include <stdbool.h>

struct kept {
    char *path;               /* of its box_dir; the caller's */
    struct digest input_root; /* what it had read; the history has its directories */
};

/* False when nothing is kept of that step, as far as is known; the directory itself may be gone. */
bool kept_find(const struct records *records, const char *step, struct kept *out);
void kept_release(struct kept *kept);

#endif
