/*
 * ignore_rules.h - one .gitignore file, compiled, and matched as git matches it.
 *
 * Private to cache/. The patterns are matched here and not by libgit2, because libgit2 drops a
 * negation that does not undo a pattern of its own file ("!keep.o" below "*.o" of a parent), and
 * asks the disk for every path.
 *
 * Ownership: opaque, ignore_rules_free(). Immutable once made: any thread.
 */
#ifndef KILN_CACHE_IGNORE_RULES_H
#define KILN_CACHE_IGNORE_RULES_H

#include <stdbool.h>
#include <stddef.h>

struct ignore_rules;

enum ignore_match {
    IGNORE_UNDECIDED, /* no pattern matches: the next file up decides */
    IGNORE_YES,
    IGNORE_NO, /* a negated pattern matches last */
};

/* Compiles the n bytes of a file of that form; what git would not understand matches nothing. fold:
 * core.ignoreCase. */
struct ignore_rules *ignore_rules_new(const char *text, size_t n, bool fold);
void ignore_rules_free(struct ignore_rules *rules);
/* path is relative to the directory that holds the file (to the top of the work tree for the
 * repository's and the user's file), NUL terminated; parents are not looked at: who asks has come
 * down through them. */
enum ignore_match ignore_rules_match(const struct ignore_rules *rules, const char *path,
                                     bool directory);

#endif
