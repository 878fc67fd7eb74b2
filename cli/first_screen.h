/*
 * first_screen.h - plain "kiln" on a terminal where no pipeline can be read: what kiln is, what was
 * found here and the key that writes a first kiln.json; or what is wrong with the file, until it is
 * right.
 *
 * Has a loop of its own, which ends before the caller goes on. Loop thread only.
 */
#ifndef KILN_CLI_FIRST_SCREEN_H
#define KILN_CLI_FIRST_SCREEN_H

#include "cli/cli.h"
#include "tui/tui.h"

/* terminal: what a tui is to be made with, but for loop, control and project. *why is what opening
 * the pipeline failed with. Returns -1 when there is one that can be read now, and *why is empty;
 * else the exit code (128+N after a signal), and *why is what is still to be said, if anything. */
int first_screen(const struct options *options, const struct tui_options *terminal,
                 struct err *why);

/* Shows why, of several lines perhaps, in place of the panes: there is no pipeline yet. */
void first_screen_tell(struct tui *tui, const char *why);

#endif
