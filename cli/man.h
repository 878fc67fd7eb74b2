/*
 * man.h - the manual page of the command, made from the table of commands and options.
 *
 * Stateless; any thread.
 */
#ifndef KILN_CLI_MAN_H
#define KILN_CLI_MAN_H

#include "base/buf.h"

/* When what the pages say was last looked at. */
#define MAN_DATE "November 23, 2026"

/* Adds kiln(1) in mdoc. */
void man_kiln(struct buf *out);

#endif
