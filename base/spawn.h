/*
 * spawn.h - how programs that are not steps are started.
 */
#ifndef KILN_BASE_SPAWN_H
#define KILN_BASE_SPAWN_H

#include <spawn.h>

/* For posix_spawn(): a process group of its own, with no signal ignored or held back, whatever
 * kiln does with them. The caller's to destroy. */
void spawn_apart(posix_spawnattr_t *out);

#endif
