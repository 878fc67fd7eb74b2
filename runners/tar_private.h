/*
 * tar_private.h - what the files of the tar reader share.
 *
 * tar.c reads headers and entries, tar_sparse.c finds out which parts of a file are there.
 */
#ifndef KILN_RUNNERS_TAR_PRIVATE_H
#define KILN_RUNNERS_TAR_PRIVATE_H

#include "base/buf.h"
#include "base/vec.h"
#include "runners/tar.h"

#include <stdbool.h>

#define TAR_UNIT 512u
#define TAR_MOST_EXTRA                                                         \
    ((uint64_t)1 << 20) /* bytes of what is told of an entry beside its header \
                         */
#define TAR_TYPE 156    /* where it is in a header */

struct tar_record {
    size_t key, value, n; /* places in tar.extra; the key ends with a NUL */
};

struct tar_extent {
    uint64_t offset, n; /* in the file */
};

struct tar {
    tar_pull *pull;
    void *ctx;
    const char *at; /* what has been pulled and not been used */
    size_t n;
    uint64_t left; /* of the entry's content, as it is in the archive */
    uint64_t pad;  /* behind it */
    bool ended;
    char header[TAR_UNIT];
    struct tar_entry entry;
    struct buf path, link, extra;
    VEC(struct tar_record) records;
    VEC(struct tar_xattr) xattrs;
    VEC(struct tar_extent) extents; /* what of the file is there, together just what is left */
    size_t extent;                  /* the one that comes next */
};

int tar_malformed(struct err *err, const char *what);
/* Copies n bytes; *got is fewer only at the end of the stream. */
int tar_take(struct tar *tar, char *to, size_t n, size_t *got, struct err *err) MUST_CHECK;
/* A number in octal, or in binary with the first bit set; false when it is neither, or too large.
 */
bool tar_number(const char *block, size_t offset, size_t width, int64_t *out);
/* Those of pax; out stays as it is where there is none of that key. */
int tar_record_name(const struct tar *tar, const char *key, struct buf *out,
                    struct err *err) MUST_CHECK;
int tar_record_number(const struct tar *tar, const char *key, uint64_t *out,
                      struct err *err) MUST_CHECK;

/* --- tar_sparse.c --- */

/* Sets the extents of the entry whose header has been read; of a sparse one also its name and its
 * size, and goes over what describes it. */
int tar_read_extents(struct tar *tar, struct err *err) MUST_CHECK;

#endif
