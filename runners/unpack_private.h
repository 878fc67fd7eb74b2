/*
 * unpack_private.h - what the unpacker's files share.
 *
 * unpack.c goes over the entries and settles what only all of them tell, unpack_place.c finds out
 * where a path leads, unpack_make.c makes what is to be there.
 *
 * A path here is normalised, relative to the layer's root, "" for the root itself. It is *resolved*
 * when none of its components is a symbolic link in what the layers look like together.
 */
#ifndef KILN_RUNNERS_UNPACK_PRIVATE_H
#define KILN_RUNNERS_UNPACK_PRIVATE_H

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "runners/unpack.h"

#include <sys/stat.h>

struct unpack_dir { /* what a directory is to be when all is in it */
    uint32_t mode;
    uint64_t uid, gid;
    struct timespec mtime;
};

struct unpacker {
    int root;
    const int *lowers; /* the lowest first */
    size_t n_lowers;
    const struct unpack_limits *limits;
    struct unpack_counts *counts;
    void *pull_ctx;
    uint64_t (*bytes_in)(void *pull_ctx);
    uint64_t checked; /* counts->bytes when the disk was last looked at */
    uid_t uid;        /* ours: whose what is made belongs to at first */
    gid_t gid;
    struct map dirs;     /* resolved path -> struct unpack_dir */
    struct map opaque;   /* resolved paths below which no lower layer shows; not the root's */
    struct map left_out; /* resolved paths of device nodes */
    bool root_opaque;
    /* The parent that was walked to last; fd -1: none. */
    struct buf last_path, last_resolved;
    int last_fd;
    bool last_stale; /* it may be gone, or lead elsewhere now */
};

/* --- unpack_place.c --- */

/* Walks to the directory path, making it where only lower layers have it, or nobody. *fd belongs to
 * the unpacker, valid until the next walk; *resolved likewise. ERR_CONFIG when it leads through
 * something that is no directory. */
int unpack_walk(struct unpacker *u, const char *path, int *fd, const char **resolved,
                struct err *err) MUST_CHECK;
/* What the lower layers together have at a resolved path. */
struct unpack_lower {
    bool there;
    struct stat st;
    int dir_fd; /* of the directory that holds it; close it when there */
    const char *name;
};
/* Looks; also sees what this layer hides, unless that is below an opaque directory of it. */
int unpack_look_lower(struct unpacker *u, const char *resolved, struct unpack_lower *out,
                      struct err *err) MUST_CHECK;
/* Hides what lower layers have in the directory. */
int unpack_make_opaque(struct unpacker *u, const char *resolved, int fd,
                       struct err *err) MUST_CHECK;
bool unpack_is_whiteout(const struct stat *st);
/* A resolved path's child; the caller's. */
char *unpack_child(const char *resolved, const char *name);

/* --- unpack_make.c --- */

/* Counts bytes that are about to be written; ERR_CONFIG or ERR_SYSTEM when they are too many. */
int unpack_spend(struct unpacker *u, uint64_t bytes, struct err *err) MUST_CHECK;
int unpack_make_file(struct unpacker *u, int dir_fd, const char *name,
                     const struct tar_entry *entry, struct tar *tar, struct err *err) MUST_CHECK;
int unpack_make_symlink(struct unpacker *u, int dir_fd, const char *name,
                        const struct tar_entry *entry, struct err *err) MUST_CHECK;
int unpack_make_fifo(struct unpacker *u, int dir_fd, const char *name,
                     const struct tar_entry *entry, struct err *err) MUST_CHECK;
/* Copies a file, symbolic link or FIFO of a lower layer. */
int unpack_copy_up(struct unpacker *u, const struct unpack_lower *lower, int dir_fd,
                   const char *name, struct err *err) MUST_CHECK;
/* What a directory shall be; done by unpack_settle(). */
void unpack_note_dir(struct unpacker *u, const char *resolved, const struct unpack_dir *dir);
void unpack_set_xattrs(struct unpacker *u, int fd, const struct tar_entry *entry);
/* Gives directories their owners, modes and times, the deepest first. */
int unpack_settle(struct unpacker *u, struct err *err) MUST_CHECK;
/* Removes what is there under that name. */
int unpack_clear(struct unpacker *u, int dir_fd, const char *name, struct err *err) MUST_CHECK;

#endif
