/*
 * roff.h - text as manual pages (mdoc) want it.
 *
 * Stateless; any thread.
 */
#ifndef KILN_BASE_ROFF_H
#define KILN_BASE_ROFF_H

#include "base/buf.h"

/* Adds running text: a sentence begins a line, long lines are broken, an empty line begins a
 * paragraph, and nothing in it is taken for an order. Must begin where a line does, and ends one.
 */
void roff_text(struct buf *out, const char *text);
/* Adds text as one argument of a macro, in quotes. */
void roff_argument(struct buf *out, const char *text);

#endif
