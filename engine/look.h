/*
 * look.h - what views may look at while the engine works: the key that a step has now, where it
 * is defined, the files that it reads. The engine's own; loop thread.
 */
#ifndef KILN_ENGINE_LOOK_H
#define KILN_ENGINE_LOOK_H

#include "engine/command.h"

struct engine;
struct look; /* what was counted and compared before */

/* The functions of struct control; ctx is the engine. */
bool look_key(void *ctx, const char *step, char hex[DIGEST_HEX + 1]);
bool look_place(void *ctx, const char *step, struct step_place *out);
void look_inputs(void *ctx, const char *step, uint64_t from, size_t n, struct inputs_page *page);
bool look_facts(void *ctx, const char *step, struct step_facts *out);
/* NULL is fine. */
void look_free(struct look *look);

#endif
