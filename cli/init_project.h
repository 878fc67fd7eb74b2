/*
 * init_project.h - kiln init for this machine: what the command does, and the screen of a project
 * that has no kiln.json. Looks at the machine by trying it, which takes a moment. Any thread.
 */
#ifndef KILN_CLI_INIT_PROJECT_H
#define KILN_CLI_INIT_PROJECT_H

#include "base/err.h"
#include "cli/init.h"

/* Makes a plan (start it zeroed; init_release() in any case) and the text of a kiln.json that is
 * right. Nothing is written. */
int init_project(const char *root, struct init_plan *plan, struct buf *text,
                 struct err *err) MUST_CHECK;
/* Writes it; ERR_USAGE when there is a kiln.json. */
int init_save(const char *root, const struct buf *text, struct err *err) MUST_CHECK;

#endif
