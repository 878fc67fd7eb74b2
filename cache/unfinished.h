/*
 * unfinished.h - what is being put into place, written down in the cache, so that whoever opens it
 * after a kill takes away what was left half-made in the working tree.
 *
 * Private to cache/. A handle keeps one such note while it restores something; any thread. Noting
 * is an aid: where it fails (a cache that is full or read-only) restoring goes on without.
 */
#ifndef KILN_CACHE_UNFINISHED_H
#define KILN_CACHE_UNFINISHED_H

#include "cache/cache_private.h"

/* Between the two, names that begin with ".kiln-" may be made in the directories noted. */
void unfinished_begin(struct cache *cache);
void unfinished_end(struct cache *cache);
/* Says so of the directory at path below root ("" is root), before the first one is made there. */
void unfinished_note(struct cache *cache, const char *root, const char *path);

/* Whether the name in tmp/ is such a note. */
bool unfinished_is_note(const char *name);
/* Takes away what the writer of that note left, and then the note, if it is dead. False when nobody
 * can tell whether it is. */
bool unfinished_collect(const struct cache *cache, const char *name);
/* Ends the handle's own note. */
void unfinished_close(struct cache *cache);

#endif
