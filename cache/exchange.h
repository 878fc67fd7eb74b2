/*
 * exchange.h - a new file in the place of an old one, so that the old one can be looked at after.
 *
 * Private to cache/. What was planned with a file holds only as long as nobody wrote it. Whoever
 * looks, and then renames over it, loses what was written between; whoever exchanges the names
 * first has the old file at hand, sees whether it is the one that was looked at, and can exchange
 * them back. Any thread.
 */
#ifndef KILN_CACHE_EXCHANGE_H
#define KILN_CACHE_EXCHANGE_H

#include <stdbool.h>
#include <sys/stat.h>

/* The two names, of which the first is kiln's own, have each other's file from here on. False, and
 * errno: they are as they were. On a file system that can't do it in one step the old file is
 * linked as "OWN.old" for a moment. */
bool exchange_names(int own_dir, const char *own, int dir, const char *name);
/* Whether nobody has written or replaced it between; under which names it goes does not matter. */
bool exchange_same(const struct stat *a, const struct stat *b);
/* The permissions that a file keeps when it gets a new content: its own, but whether it is
 * executable. Who may read it may run it. */
mode_t exchange_mode(const struct stat *was, bool executable);

#endif
