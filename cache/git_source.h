/*
 * git_source.h - a tree of git to open a worktree on (worktree.h): its directories, and the digests
 * of what a checkout would make of its files.
 *
 * What was found out is kept in a memo (git_memo.h), one file a repository. Nothing of git's runs
 * before something is asked that the memo does not know. Filters (line ends, ident, encodings,
 * drivers such as LFS): git applies them itself, where any may apply at all; which ones is part of
 * what the memo is asked by. Submodules are empty directories, as in a clone without them.
 *
 * Ownership: opaque, git_source_free(). Belongs to one thread; git_source_hash() any thread.
 */
#ifndef KILN_CACHE_GIT_SOURCE_H
#define KILN_CACHE_GIT_SOURCE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "cache/git_place.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct git_source;

/* The tree hex of the repository at place, as far as it lies below place->prefix. memo: the memo's
 * file, or NULL; scratch: a directory for small files. Fails when git says so. A tree that holds no
 * such folder has nothing in it. */
int git_source_new(const struct git_place *place, const char *hex, const char *memo,
                   const char *scratch, struct git_source **out, struct err *err) MUST_CHECK;
void git_source_free(struct git_source *source);
/* Keeps what was found out since. */
int git_source_save(struct git_source *source, struct err *err) MUST_CHECK;

/* Whether a variable of the environment ("NAME=value") has a say in what a checkout would write. */
bool git_source_goes_by(const char *variable);

/* An object's id, as git writes it. */
struct git_id {
    char hex[65];
};

enum git_source_kind { GIT_FILE, GIT_LINK, GIT_DIR };

struct git_source_entry {
    const char *name; /* the arena's */
    size_t len;
    enum git_source_kind kind;
    bool executable;
    struct git_id id; /* "": an empty directory */
};

/* What may apply to the files of a directory besides git itself: zero where nothing does. */
struct git_filters {
    uint8_t print[DIGEST_BYTES];
};

/* The root of it all. */
void git_source_root(const struct git_source *source, struct git_id *id,
                     struct git_filters *filters);
/* The entries of a tree, in git's order. filters: of the directory above, then of this one, whose
 * path is relative to the source's root. */
int git_source_dir(struct git_source *source, const struct git_id *id, const char *path,
                   struct git_filters *filters, struct arena *arena,
                   struct git_source_entry **entries, size_t *n, struct err *err) MUST_CHECK;
/* The target of a symbolic link: the content as it is. */
int git_source_target(struct git_source *source, const struct git_id *id, struct buf *out,
                      struct err *err) MUST_CHECK;

/* The memo. A file at path under these filters; a view of a tree, named by any bytes. */
bool git_source_known(const struct git_source *source, const struct git_id *id,
                      const struct git_filters *filters, const char *path, struct digest *out);
void git_source_learn(struct git_source *source, const struct git_id *id,
                      const struct git_filters *filters, const char *path,
                      const struct digest *digest);
bool git_source_recall(const struct git_source *source, const struct buf *name, struct digest *out);
void git_source_note(struct git_source *source, const struct buf *name,
                     const struct digest *digest);

struct git_source_file {
    struct git_id id;
    bool filtered;    /* by filters that are not zero */
    const char *path; /* relative to the source's root */
    struct digest digest;
    int errnum; /* why there is none, or 0 */
};
/* Any thread: the digests of what a checkout would write. Stops soon after *stop is set. */
void git_source_hash(struct git_source *source, struct git_source_file *files, size_t n,
                     const atomic_bool *stop);

/* The content of a file of the source, as a checkout would write it; *found false: there is no such
 * regular file. More than max bytes is an error. */
int git_source_read(struct git_source *source, const char *path, size_t max, struct buf *out,
                    bool *found, struct err *err) MUST_CHECK;

#endif
