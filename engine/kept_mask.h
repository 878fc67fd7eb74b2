/*
 * kept_mask.h - whether what a step left may hold one of its secrets.
 *
 * The values are fetched when they are first needed: from the caller's environment and from files.
 * Commands are not run for this, so a step with a secret that comes from one, or that can't be had,
 * may have left it anywhere.
 *
 * Ownership: opaque, kept_mask_new() to kept_mask_free(). One thread at a time.
 */
#ifndef KILN_ENGINE_KEPT_MASK_H
#define KILN_ENGINE_KEPT_MASK_H

#include "base/buf.h"
#include "engine/graph.h"

struct kept_mask;

/* Of the exec's secrets; everything is copied. */
struct kept_mask *kept_mask_new(const struct op_exec *exec, const char *root);
/* NULL is fine. */
void kept_mask_free(struct kept_mask *mask);
bool kept_mask_hides(struct kept_mask *mask, const struct buf *text);
/* Of the file at path below the directory fd; what can't be read may hold anything. */
bool kept_mask_hides_file(struct kept_mask *mask, int fd, const char *path);

#endif
