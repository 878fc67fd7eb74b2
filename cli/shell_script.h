/* shell_script.h - see shell_script.c. Any thread. */
#ifndef KILN_CLI_SHELL_SCRIPT_H
#define KILN_CLI_SHELL_SCRIPT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Adds a script for sh that becomes an interactive shell, for a step whose command that is. */
void shell_script(struct buf *out, const char *const *argv, size_t n);

#endif
