/*
 * mask.h - takes secrets out of a stream of bytes: each occurrence becomes "***".
 *
 * A mask knows a set of patterns: the values themselves and the forms in which programs like to
 * write them. What it gives out depends on the bytes alone, never on the pieces they come in: a
 * stream holds back what may be the beginning of an occurrence, and nothing else. Occurrences that
 * overlap or touch become one "***". No occurrence of a pattern is left, as long as no pattern has
 * a '*' itself.
 *
 * Values of less than MASK_LEAST bytes are not masked: they are everywhere in any output.
 *
 * Ownership: opaque; a mask is made, filled, and from then on read by any number of streams, from
 * any thread. A stream is one thread's at a time. Both keep secrets in memory of their own
 * (crypt_alloc()), which is wiped when it is let go.
 */
#ifndef KILN_BASE_MASK_H
#define KILN_BASE_MASK_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

#define MASK_LEAST 4
#define MASK_WORD  "***"

struct mask;
struct mask_stream;

struct mask *mask_new(void);
void mask_free(struct mask *mask);
/* Adds the n bytes as they are; before the first stream. Fewer than MASK_LEAST add nothing. */
void mask_add(struct mask *mask, const char *bytes, size_t n);
/* Adds a secret's value in every form: as it is, each of its lines, as JSON, URLs and shells write
 * it, and in base64, also within a longer text of it, and broken into lines. */
void mask_add_secret(struct mask *mask, const char *bytes, size_t n);
/* Whether it has no pattern. */
bool mask_is_empty(const struct mask *mask);
/* Nothing can be added any more; before the first stream. */
void mask_close(struct mask *mask);

/* The mask must outlive it. */
struct mask_stream *mask_stream_new(const struct mask *mask);
void mask_stream_free(struct mask_stream *stream);
/* Adds to out what is sure of the n bytes and of what was held back before. */
void mask_feed(struct mask_stream *stream, const char *bytes, size_t n, struct buf *out);
/* Whether something has been hidden since the stream's beginning. */
bool mask_has_hidden(const struct mask_stream *stream);
/* The stream is over: adds what is held back. It can be used again from its beginning. */
void mask_end(struct mask_stream *stream, struct buf *out);

#endif
