/*
 * ignore_private.h - struct ignore, shared by ignore.c (from git) and ignore_memory.c (from an
 * earlier process).
 */
#ifndef KILN_CACHE_IGNORE_PRIVATE_H
#define KILN_CACHE_IGNORE_PRIVATE_H

#include "base/vec.h"
#include "cache/git.h"
#include "cache/ignore.h"
#include "cache/statcache.h"

/* A file that decides something: by stamp, so that looking again is one stat. */
struct source {
    char *path;
    char *base;         /* repository-relative directory its patterns are relative to */
    struct stamp stamp; /* zero: not there */
    int64_t read_ns;
    bool presence;              /* that it is there, and of that type, is all that counts */
    struct ignore_rules *rules; /* NULL: not there, or no rules in it */
};

struct ignore {
    char *root;
    struct git git;       /* once awake */
    git_repository *repo; /* NULL: there is none to speak of */
    git_index *index;     /* NULL: not read yet */
    char *prefix;         /* root relative to the top of the work tree, "" or ending in '/' */
    char *index_path;
    struct stamp index_stamp;
    int64_t index_read_ns; /* when that was taken; the index is read afterwards */
    bool index_bad, index_stale;
    bool fold;
    bool root_ignored;
    bool asleep;     /* all this was remembered: libgit2 was not asked, and rules hold nothing */
    bool awake;      /* libgit2 is initialised */
    bool memorable;  /* watched is complete */
    bool unfinished; /* there is a repository that can't be opened, perhaps being made */
    uint64_t told_rules, told_index; /* the fingerprints that the owner knows */
    VEC(struct source)
    sources; /* nearest first: .gitignore above the root, info/exclude, core.excludesFile */
    VEC(struct source) watched; /* no rules in them, but a change means starting over */
    uint64_t fingerprint;
    struct buf path; /* scratch: repository-relative */
};

/* Of what the path leads to, links followed; zero when there is nothing. */
struct stamp ignore_stamp(const char *path);
/* Takes the index's stamp anew. */
void ignore_stamp_index(struct ignore *ignore);
/* Lets go of the repository and of all that came from it. */
void ignore_close(struct ignore *ignore);
/* Whether a file that something came from is not what it was. */
bool ignore_any_changed(const struct ignore *ignore);
/* Takes over what was remembered; false, and nothing to rely on, when anything has changed since.
 */
bool ignore_recall(struct ignore *ignore, const void *memory, size_t n);

#endif
