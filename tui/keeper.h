/*
 * keeper.h - writes what a person chooses at the terminal into their settings, aside from the loop.
 *
 * Ownership: opaque, keeper_new() to keeper_free(); a choice that is being written then is still
 * written. Loop thread only; the writing is done by a worker.
 */
#ifndef KILN_TUI_KEEPER_H
#define KILN_TUI_KEEPER_H

#include "tui/settings.h"

#include <uv.h>

struct keeper;

/* NULL where nothing can be kept. told: what was chosen ("theme light"), and what came of it, a
 * sentence's end that begins with a comma. */
struct keeper *keeper_new(uv_loop_t *loop, const struct settings *settings,
                          void (*told)(void *ctx, const char *chosen, const char *what), void *ctx);
/* Keeps these; of choices of one name that come while some are being written the last is kept.
 * NULL: it is for the moment. */
void keeper_keep(struct keeper *keeper, const struct settings_choices *choices);
void keeper_free(struct keeper *keeper);

#endif
