/*
 * relay.h - a terminal of a command's own, and its connection with the user's: what goes in and out
 * is passed on, so that the command can be resized, interrupted and stopped like any, and never
 * holds the user's terminal itself.
 *
 * The user's terminal is raw meanwhile; whatever becomes of kiln, it is put back (tui/guard.h).
 * Neither side makes kiln wait before the end: what one does not take, the other is not asked for.
 *
 * Ownership: opaque, relay_new() to relay_free(). Loop thread only.
 */
#ifndef KILN_CLI_RELAY_H
#define KILN_CLI_RELAY_H

#include "base/err.h"
#include "runners/runner.h"

#include <stdbool.h>
#include <uv.h>

struct relay;

/* Makes the command's terminal. gone is called when the user's is, while it is passed on. Fails
 * with ERR_SYSTEM. */
int relay_new(uv_loop_t *loop, void (*gone)(void *ctx), void *ctx, struct relay **out,
              struct err *err) MUST_CHECK;
/* What the command is given: valid as long as the relay. */
const struct runner_terminal *relay_terminal(const struct relay *relay);
/* All but relay_terminal() and relay_stop() take NULL. */
/* The command runs: begins to pass on. */
void relay_begin(struct relay *relay);
/* The user's terminal may have another size. */
void relay_resize(struct relay *relay);
/* For SIGTSTP and SIGCONT: see raw.h. */
void relay_stop(struct relay *relay, uv_signal_t *signal, uv_signal_cb cb);
void relay_go_on(struct relay *relay);
/* The command is over, and all that it has written is shown; the user's terminal is as it was. */
void relay_end(struct relay *relay);
/* The same at once, and the command's terminal is hung up. */
void relay_hang_up(struct relay *relay);
/* After the end, when the loop has closed its handles. */
void relay_free(struct relay *relay);

#endif
