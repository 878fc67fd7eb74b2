/*
 * tree.h - directory trees as canonical REAPI Directory messages, and the operations on them.
 *
 * A tree is the digest of its root Directory. A struct trees keeps the encoded Directory messages
 * of one process by digest: what an operation makes is put there, so a digest got from this store
 * can be opened again as long as whoever holds it keeps it in a sweep. Canonical form: every list
 * sorted by UTF-8 bytes, defaults not encoded, the empty directory is the empty message (RE API v2,
 * message Directory).
 *
 * Ownership: struct trees is opaque, trees_free(). Belongs to the loop thread. Bytes returned by
 * trees_get live until the next trees_sweep().
 */
#ifndef KILN_CACHE_TREE_H
#define KILN_CACHE_TREE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Operations refuse what is nested deeper (with an error, never a crash). */
#define TREE_DEPTH_MAX 1024

enum tree_kind { TREE_FILE, TREE_DIR, TREE_SYMLINK };

struct tree_entry {
    enum tree_kind kind;
    bool executable;      /* files */
    const char *name;     /* one component, valid UTF-8 */
    const char *target;   /* symbolic links; else NULL */
    struct digest digest; /* of the content, or of the Directory message; null for links */
};

struct tree_dir {
    struct tree_entry *entries; /* sorted by name's bytes over all kinds; names unique */
    size_t n;
};

struct trees;

struct trees *trees_new(void);
void trees_free(struct trees *trees);

/* Encodes n entries (sorted by name, unique) canonically into out; needs no store, so workers may
 * call it. */
void tree_encode(const struct tree_entry *entries, size_t n, struct buf *out);
/* Decodes a Directory message into the arena; ERR_CORRUPT when it is malformed, not canonical, or
 * has a name that is no single component. */
int tree_decode(const void *bytes, size_t n, struct arena *arena, struct tree_dir *out,
                struct err *err) MUST_CHECK;

/* Called for each directory that a Directory message names. */
typedef void tree_child_cb(void *ctx, const struct digest *digest);
/* Goes through these without a look at the rest, which costs a fraction of tree_decode(). False
 * when it is malformed as far as was looked. */
bool tree_each_child(const void *bytes, size_t n, tree_child_cb *cb, void *ctx);

/* Puts a directory of n sorted entries into the store; returns its digest. */
struct digest trees_put(struct trees *trees, const struct tree_entry *entries, size_t n);
/* Puts an already encoded message (its digest is computed). */
struct digest trees_put_encoded(struct trees *trees, const void *bytes, size_t n);
/* Called by trees_get() for a digest that is not there: may put it. */
typedef void trees_missing_cb(void *ctx, const struct digest *digest);
/* Asks from now on, in the order in which they were given; until trees_ask_no_more() of that ctx.
 */
void trees_ask(struct trees *trees, trees_missing_cb *missing, void *ctx);
void trees_ask_no_more(struct trees *trees, const void *ctx);
/* The encoded message of that digest, or NULL; *n is its length. */
const void *trees_get(const struct trees *trees, const struct digest *digest, size_t *n);
/* Whether the store holds so much more than what the last sweep left that another is worth it. */
bool trees_grown(const struct trees *trees);
/* For the next sweep: the directory stays, with all below it that is in the store. */
void trees_keep(struct trees *trees, const struct digest *root);
/* Lets go of what was not kept since the last one; what trees_get() gave before is gone. */
void trees_sweep(struct trees *trees);
/* Notes that all below the directory is in the store as well, where the caller has seen to that;
 * and whether that was noted. A memo: it changes nothing of what the store holds. */
void trees_set_whole(const struct trees *trees, const struct digest *digest);
bool trees_is_whole(const struct trees *trees, const struct digest *digest);
/* How much is stored. */
size_t trees_bytes(const struct trees *trees);
/* Opens a directory of the store into the arena; ERR_CORRUPT when it is not there. */
int trees_open(const struct trees *trees, const struct digest *digest, struct arena *arena,
               struct tree_dir *out, struct err *err) MUST_CHECK;
/* The digest of the empty directory. */
struct digest tree_empty(void);

/* The file operations of the graph. All take and return root digests of this store; paths are
 * normalised and relative, "" is the root. */

/* Lays n trees over one another, later ones winning; a file over a directory (or the reverse)
 * replaces it. */
int trees_merge(struct trees *trees, const struct digest *roots, size_t n, struct digest *out,
                struct err *err) MUST_CHECK;
/* Copies what stands at src_path in src to dst_path in dst (missing parents made). A directory is
 * laid over a directory that stands there, as trees_merge does; anything else is replaced.
 * ERR_CONFIG for a file or link onto the root. *found is false, and *out is dst, when src has
 * nothing there. */
int trees_copy(struct trees *trees, const struct digest *src, const char *src_path,
               const struct digest *dst, const char *dst_path, bool *found, struct digest *out,
               struct err *err) MUST_CHECK;
/* Puts one entry (its name is ignored) at path (missing parents made, what stood there replaced;
 * not ""). */
int trees_make(struct trees *trees, const struct digest *root, const char *path,
               const struct tree_entry *entry, struct digest *out, struct err *err) MUST_CHECK;
/* Removes path; directories that become empty stay. Absent is fine. */
int trees_remove(struct trees *trees, const struct digest *root, const char *path,
                 struct digest *out, struct err *err) MUST_CHECK;
/* What upper has that lower has not, or has differently. */
int trees_diff(struct trees *trees, const struct digest *lower, const struct digest *upper,
               struct digest *out, struct err *err) MUST_CHECK;
/* Finds the entry at path ("" is the root, an entry without a name); *found tells. The entry's
 * strings live in the arena. */
int trees_find(const struct trees *trees, const struct digest *root, const char *path,
               struct arena *arena, struct tree_entry *out, bool *found,
               struct err *err) MUST_CHECK;

/* Called for each file or link that differs, in path order (component by component); NULL = absent
 * on that side. Where a file gives way to a directory that holds something, or the reverse, the
 * file is reported first, then what the directory holds. Return false to stop. */
typedef bool tree_change_cb(void *ctx, const char *path, const struct tree_entry *old,
                            const struct tree_entry *now);
/* Compares two trees; equal subtrees are not opened. A directory that stands on one side alone and
 * is empty is reported too. */
int trees_compare(const struct trees *trees, const struct digest *old, const struct digest *now,
                  tree_change_cb *cb, void *ctx, struct err *err) MUST_CHECK;
/* Called for each file, link and directory below the root in path order (a directory before what it
 * holds). Return false to stop. */
typedef bool tree_walk_cb(void *ctx, const char *path, const struct tree_entry *entry);
int trees_walk(const struct trees *trees, const struct digest *root, tree_walk_cb *cb, void *ctx,
               struct err *err) MUST_CHECK;

/* The Tree message (root, then each distinct child Directory once, parents before children) of that
 * root. ERR_CORRUPT when a directory is not in the store. */
int trees_encode_tree(const struct trees *trees, const struct digest *root, struct buf *out,
                      struct err *err) MUST_CHECK;
/* Appends one encoded Directory to a Tree message; the root is the first of them. */
void tree_put_directory(struct buf *out, bool root, const void *bytes, size_t n);
/* Called for each Directory message of a Tree, the root first; bytes and dir live as long as the
 * call. */
typedef void tree_each_cb(void *ctx, const void *bytes, size_t n, const struct tree_dir *dir);
/* Reads a Tree message without a store. ERR_CORRUPT when it is malformed; until then cb was called.
 */
int tree_each(const void *bytes, size_t n, tree_each_cb *cb, void *ctx, struct err *err) MUST_CHECK;
/* Puts all directories of a Tree message into the store; *root is the root's digest. ERR_CORRUPT
 * when a child is missing or malformed, or when it would expand to more than 16 million entries. */
int trees_decode_tree(struct trees *trees, const void *bytes, size_t n, struct digest *root,
                      struct err *err) MUST_CHECK;

#endif
