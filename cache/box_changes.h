/*
 * box_changes.h - what differs between a directory tree and what somebody made of it in a box: the
 * layer that he wrote to, as overlayfs leaves it, against the tree below it.
 *
 * Names that are new, names that are hidden (whiteouts, opaque directories), files with other
 * content or another executable bit, links that lead elsewhere. Directories are no change by
 * themselves. The layer may be hostile, and may be written to meanwhile.
 *
 * Any thread; the trees belong to it meanwhile.
 */
#ifndef KILN_CACHE_BOX_CHANGES_H
#define KILN_CACHE_BOX_CHANGES_H

#include "base/vec.h"
#include "cache/take.h"
#include "cache/tree.h"

struct box_change {
    const char *path;
    struct file_state was; /* in the tree */
    struct file_state is;  /* of a file that is new the digest is null: nobody has read it */
    const char *problem;   /* why it can't be read; or NULL */
};

/* More new files are counted, not listed. */
#define BOX_CHANGES_NEW 10000

struct box_changes {
    struct arena arena;       /* of all strings */
    VEC(struct box_change) v; /* by path */
    uint64_t more;            /* new files that are not listed */
};

/* Whether a new file is to be listed; else it is counted. */
typedef bool box_wants_cb(void *ctx, const char *path);

/* Compares what lies below upper_fd with that tree, of which all directories are in trees. wants
 * may be NULL; out: zeros. ERR_SYSTEM when the layer can't be read, ERR_CORRUPT when a directory of
 * the tree is not there. What single files have against being read is told with them. */
int box_changes_find(int upper_fd, const struct trees *trees, const struct digest *root,
                     box_wants_cb *wants, void *ctx, struct box_changes *out,
                     struct err *err) MUST_CHECK;
void box_changes_release(struct box_changes *changes);

#endif
