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

/* NULL where nothing can be kept. told: what came of it, a sentence's end that begins with a
 * comma. */
struct keeper *keeper_new(uv_loop_t *loop, const struct settings *settings,
                          void (*told)(void *ctx, const char *name, const char *word,
                                       const char *what),
                          void *ctx);
/* Keeps that word (of constant storage, as the name) as the setting of that name. Of choices that
 * come while one is being written the last is kept. NULL: it is for the moment. */
void keeper_keep(struct keeper *keeper, const char *name, const char *word);
void keeper_free(struct keeper *keeper);

#endif
