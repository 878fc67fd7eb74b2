/*
 * worktree.h - the working tree as kiln knows it: a tree of stats and digests, and views (sets of
 * inputs) over it.
 *
 * A directory is read when a view first needs it, a file is hashed when a view first needs its
 * digest; both are remembered until something is marked. A view's digest is that of its tree as
 * canonical REAPI Directory messages; digests of whole directories are memoised and dropped only on
 * the path from a marked entry to the root.
 *
 * What a view takes of a directory is what `git ls-files -co --exclude-standard` would list
 * (tracked, or not ignored; libgit2 decides: nested .gitignore, info/exclude, core.excludesFile),
 * except: any entry named .git; declared outputs of any step; FIFOs, sockets and devices;
 * well-known editor droppings (vim swap and 4913, emacs #x# and .#x, JetBrains ___jb_, x~ ...)
 * unless tracked. A pattern that names a path outright takes it even if ignored. Symbolic links are
 * entries, never followed. Outside a git repository .gitignore files still count.
 *
 * The stat cache (dev, ino, size, mtime, ctime, mode -> digest, and the ignore verdicts) is loaded
 * from and saved to one file; an entry whose mtime or ctime is not clearly older than the moment it
 * was recorded is hashed again (the racy rule). A directory that it knows is not read again as long
 * as its own stamp and those of its entries are what they were, and gives the digest that it gave.
 *
 * The patterns of .gitignore are matched by kiln itself (cache/ignore_rules.c), libgit2 tells the
 * repository, its configuration and its index: libgit2 drops negations that git honours. A
 * repository that ignores the project's own folder and tracks nothing in it is not the project's.
 * Submodules and nested clones are walked like any directory (without their .git). Directories that
 * hold nothing taken are left out of inputs, and kept in outputs.
 *
 * Ownership: opaque, worktree_free(). All of it belongs to the loop thread, but for what says "any
 * thread": batches and checks are self-contained and own what they need. Node ids are dense, and
 * stable while the entry exists.
 */
#ifndef KILN_CACHE_WORKTREE_H
#define KILN_CACHE_WORKTREE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "cache/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct git_source;
struct worktree;
struct worktree_ahead;
struct worktree_batch;
struct worktree_check;

#define WORKTREE_NONE UINT32_MAX

struct worktree_options {
    const char *root;                  /* absolute path of the project's folder */
    const char *stat_path;             /* the stat cache's file, or NULL for none */
    struct worktree_ahead *stat_ahead; /* its reading, begun before; the caller's, outlives the
                                          worktree; may be NULL */
    const char *const *outputs;        /* declared outputs of all steps, normalised, disjoint */
    size_t n_outputs;
    /* A tree of git to look at instead of the folder, of which nothing is read then; the caller's,
     * outlives the worktree. Its files are all tracked, so nothing is ignored, and nothing is to be
     * marked. NULL: the folder. */
    struct git_source *git;
    struct trees *trees; /* where Directory messages go; outlives the worktree */
    /* Called just before directory dir (path relative to root, "" = root) is read for the first
     * time, and again after worktree_mark_all(): the moment to put a watch on it, so that nothing
     * is missed. May be NULL. */
    void (*dir_opened)(void *ctx, uint32_t dir, const char *path);
    /* Called when that directory is gone. May be NULL. */
    void (*dir_closed)(void *ctx, uint32_t dir);
    /* Called in the middle of worktree_prepare() whenever enough files for a portion of work wait
     * to be hashed: worktree_next_files() may be called, and nothing else. May be NULL. */
    void (*files_queued)(void *ctx);
    void *ctx;
};

/* Begins to read the stat cache, on a thread of its own; without one it is read when it is needed.
 * look: and to look at what it knows, until the worktree begins to do so; not for one whose
 * dir_opened puts watches. Never fails. The first worktree of that stat_path and root takes what
 * was read and seen; it must be opened by the thread that began. */
struct worktree_ahead *worktree_ahead_new(const char *stat_path, const char *root, bool look);
/* Waits for the reading. NULL is fine. */
void worktree_ahead_free(struct worktree_ahead *ahead);

/* Fails only when the root can't be opened. A missing, damaged or foreign stat cache is an empty
 * one. */
int worktree_new(const struct worktree_options *options, struct worktree **out,
                 struct err *err) MUST_CHECK;
/* Does not save. */
void worktree_free(struct worktree *tree);
/* Writes the stat cache if anything changed since it was loaded (atomic replace). Not when ignore
 * rules were edited just as they were read: what was decided then is known to this process alone.
 */
int worktree_save(struct worktree *tree, struct err *err) MUST_CHECK;

enum worktree_view_kind {
    WORKTREE_INPUTS,  /* patterns select; ignore rules and declared outputs are left out */
    WORKTREE_OUTPUTS, /* patterns are literal output paths: everything at and below them, ignored or
                         not; absent is fine */
};

/* Adds a view; equal patterns of equal kind give the same id. *bad: index of a malformed pattern
 * (ERR_CONFIG). Ids count from 0. */
int worktree_view(struct worktree *tree, enum worktree_view_kind kind, const char *const *patterns,
                  size_t n, uint32_t *view, size_t *bad, struct err *err) MUST_CHECK;

/* Brings stats up to date for the n views (reads directories, stats what is marked) and queues the
 * files that must be hashed. Directories that the stat cache knows are assumed to be as they were,
 * and queued to be looked at. */
void worktree_prepare(struct worktree *tree, const uint32_t *views, size_t n);
/* The same, but nothing is assumed: what can be, is looked at by this call. */
void worktree_prepare_now(struct worktree *tree, const uint32_t *views, size_t n);
/* Takes the next portion of work: directories to look at (about 2000 entries) or files to hash
 * (about 8 MiB or 128 files). NULL when there is none left to give out. */
struct worktree_batch *worktree_next_batch(struct worktree *tree);
/* The same, of the files alone. */
struct worktree_batch *worktree_next_files(struct worktree *tree);
/* Any thread: stats what is to be looked at; hashes files, each as open, fstat, hash, fstat; one
 * that changed while read is tried again a few times. */
void worktree_batch_work(struct worktree_batch *batch);
/* Takes the answers over and frees the batch. Before worktree_free(). */
void worktree_batch_done(struct worktree *tree, struct worktree_batch *batch);
/* From here on worktree_progress() counts. */
void worktree_measure(struct worktree *tree);
struct worktree_progress {
    uint64_t read,
        bytes;     /* of the files given out and those still to be; read again counts again */
    size_t files;  /* still to be given out */
    char *largest; /* path of the largest that was given out (the caller's), or NULL */
    uint64_t largest_bytes;
};
struct worktree_progress worktree_progress(const struct worktree *tree);
/* Hashing ends as soon as can be, now and from now on: the tree is about to be freed. Batches that
 * are out must still be given back first. */
void worktree_stop(struct worktree *tree);

enum worktree_answer {
    WORKTREE_READY,   /* *out holds */
    WORKTREE_PENDING, /* there is more to look at or to hash: prepare, batches, then ask again */
    WORKTREE_BROKEN,  /* the view can't have a digest now; err says why (ERR_CONFIG), *bad which
                         pattern (SIZE_MAX: none in particular) */
};
/* The view's digest. BROKEN: an input named outright (no wildcard) is missing, is a
 * FIFO/socket/device, or is reached through a symbolic link; something can't be read (EACCES, EIO
 * ...); a name is not UTF-8; a file changes faster than it can be read. */
enum worktree_answer worktree_digest(struct worktree *tree, uint32_t view, struct digest *out,
                                     size_t *bad, struct err *err);

/* Whether ignore rules leave the entry out, or a directory that it lies in, as far as that was
 * asked for by some view. */
bool worktree_ignores(struct worktree *tree, const char *path);

/* Watching. Something about entry name of directory dir changed (NULL: anything about dir and what
 * it directly holds; what it was is looked up there, if it can be) at that tick. No I/O, no
 * allocation in the ordinary case. (A name that is not known yet, and one that is ignored, are
 * stat'ed: what ignore rules leave out must not taint anybody.) True: it is an input
 * whose content was known. */
bool worktree_mark(struct worktree *tree, uint32_t dir, const char *name, uint64_t tick);
/* Marks the files that somebody had open for writing when they were hashed: they may have been
 * written through a mapping, which nothing tells of; and what could not be read for a reason that
 * may pass, such as too many open files. Disturbs nobody where they are as they were. */
void worktree_doubt_open(struct worktree *tree);
/* Everything may have changed: all stats are taken anew at the next prepare (digests are kept by
 * stat). */
void worktree_mark_all(struct worktree *tree, uint64_t tick);
/* Views that may have changed since the last call; the array is the worktree's, valid until its
 * next call. */
size_t worktree_take_dirty(struct worktree *tree, const uint32_t **views);
/* Whether a file that was looked at had several hard links: through one that lies elsewhere it can
 * be written without an event. */
bool worktree_linked(const struct worktree *tree);
/* Tick of the last mark that touched the view. */
uint64_t worktree_view_tick(const struct worktree *tree, uint32_t view);
/* Paths marked since the last call that some view takes or that are new, at most max of them, one
 * string each into out (VEC-like, freed by the caller); returns how many there were in all. */
size_t worktree_take_changed(struct worktree *tree, char **paths, size_t max, size_t *n_paths);

/* A commit check: was any input of the views touched since its digest was taken? Self-contained
 * copy of stats of files and directories. */
struct worktree_check *worktree_check_new(struct worktree *tree, const uint32_t *views, size_t n);
/* Any thread: stats everything again; entries too young to trust by stat are hashed. */
void worktree_check_work(struct worktree_check *check);
/* The first path that differs, relative to the root, or NULL when all is as it was. Lives as long
 * as the check. Loop thread: what has changed without a mark is marked here, names that have come
 * are judged by the ignore rules and the views' patterns (so it may read directories, as
 * worktree_prepare()). */
const char *worktree_check_changed(struct worktree_check *check);
void worktree_check_free(struct worktree_check *check);

struct worktree_counts {
    uint64_t dirs, files, stats, hashed_files, hashed_bytes;
};
struct worktree_counts worktree_counts(const struct worktree *tree);

/* Calls trees_keep() for every directory whose digest is known. Not while a batch is out. */
void worktree_keep_trees(const struct worktree *tree);

#endif
