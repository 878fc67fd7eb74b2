/*
 * merge.h - what two people made of one text, in one text: through libgit2.
 *
 * Any thread.
 */
#ifndef KILN_CACHE_MERGE_H
#define KILN_CACHE_MERGE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum merge_answer { MERGE_CLEAN, MERGE_CONFLICT, MERGE_FAILED };

/* Adds to out what was becomes with both changes. On MERGE_CONFLICT out has nothing, and *line is
 * the first line of mine (from 1) that both changed. */
enum merge_answer merge_texts(const struct buf *was, const struct buf *mine,
                              const struct buf *theirs, struct buf *out, size_t *line);

#endif
