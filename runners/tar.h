/*
 * tar.h - reads the entries of a tar stream (ustar, pax, GNU long names, v7), names as the bytes
 * that they are.
 *
 * It reads as Go's archive/tar does, which is what makes most images and what others read them
 * with, so that nobody sees other files in a layer than kiln does; what that refuses is an error.
 * Names are not converted: libarchive's reader puts those of pax headers into the locale's encoding
 * and composes their accents, which makes other names of them.
 *
 * Ownership: an entry and what it points to live until the next call. Input may be anything.
 */
#ifndef KILN_RUNNERS_TAR_H
#define KILN_RUNNERS_TAR_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct tar;

/* Gives the next bytes of the stream, valid until the next call; *n is 0 at its end. */
typedef int tar_pull(void *ctx, const void **bytes, size_t *n, struct err *err);

enum tar_type {
    TAR_FILE,
    TAR_HARDLINK,
    TAR_SYMLINK,
    TAR_CHAR,
    TAR_BLOCK,
    TAR_DIRECTORY,
    TAR_FIFO,
};

struct tar_xattr {
    const char *name;
    const void *value;
    size_t n;
};

struct tar_entry {
    enum tar_type type;
    const char *path; /* as it stands there: maybe absolute, with "..", empty */
    const char *link; /* of hard and symbolic links */
    uint32_t mode;    /* & 07777 */
    uint64_t uid, gid;
    int64_t mtime;
    uint32_t mtime_ns;
    uint64_t size; /* of files, with their holes; of all else 0 */
    const struct tar_xattr *xattrs;
    size_t n_xattrs;
};

struct tar *tar_new(tar_pull *pull, void *ctx);
void tar_free(struct tar *tar);
/* Goes to the next entry, over what is left of the one before; *entry is NULL at the archive's end.
 * ERR_CONFIG when it is malformed or ends too early; else what pulling gave. */
int tar_next(struct tar *tar, const struct tar_entry **entry, struct err *err) MUST_CHECK;
/* The next bytes of the entry's content, and where in it they are; *n is 0 at its end, which is at
 * *offset then. What lies between them (in a sparse file) are zeros. */
int tar_data(struct tar *tar, const void **bytes, size_t *n, uint64_t *offset,
             struct err *err) MUST_CHECK;

#endif
