/*
 * attach.h - kiln run on a terminal, without panes: an interactive step has the terminal while it
 * runs. What it writes is printed as it comes, what is typed goes to it, ^C too; kiln's own lines
 * wait until it is over.
 *
 * It stands between the engine and the plain view: attach_event() is subscribed, and hands on.
 *
 * Ownership: opaque, attach_new() to attach_free(). Loop thread only.
 */
#ifndef KILN_CLI_ATTACH_H
#define KILN_CLI_ATTACH_H

#include "cli/cli.h"

struct attach;

/* All are borrowed. dumb: what is written is shown without escape sequences. Nothing happens to the
 * terminal before a step wants it. */
struct attach *attach_new(uv_loop_t *loop, const struct control *control, struct view_plain *view,
                          bool dumb);
/* An event_cb. */
void attach_event(void *attach, const struct event *event);
/* The terminal is as it was, the view goes on, and no handle is left once the loop has run. NULL is
 * fine. */
void attach_end(struct attach *attach);
/* When the loop is done. NULL is fine. */
void attach_free(struct attach *attach);

#endif
