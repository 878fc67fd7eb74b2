/*
 * man.h - the manual page of kiln.json, made from the table of its keys.
 *
 * Stateless; any thread.
 */
#ifndef KILN_CONFIG_MAN_H
#define KILN_CONFIG_MAN_H

#include "base/buf.h"

/* Adds kiln.json(5) in mdoc. date: as such pages have it, "January 31, 2026". */
void config_man(const char *date, struct buf *out);

#endif
