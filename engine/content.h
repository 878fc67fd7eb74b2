/*
 * content.h - what a file of the project held, by its digest: looked for wherever it may be.
 *
 * Of inputs the cache has digests, not always their content. What has the right digest is the right
 * content, whoever has it. Any thread.
 */
#ifndef KILN_ENGINE_CONTENT_H
#define KILN_ENGINE_CONTENT_H

#include "base/buf.h"
#include "base/digest.h"

#include <stdbool.h>
#include <stddef.h>

struct cache;
struct snapshot;

/* Adds the content of at most max bytes that the file at that path (relative to root) had: from the
 * cache (or NULL), the snapshot (or NULL), the working tree, or git. The digest's size does not
 * matter. False: nobody has it. */
bool content_find(const char *root, struct cache *cache, const struct snapshot *snapshot,
                  const char *path, const struct digest *digest, size_t max, struct buf *out);

/* Adds what the file holds now, where it is a regular one: what else stands there would be waited
 * for. */
bool content_read(const char *root, const char *path, size_t max, struct buf *out);

#endif
