/*
 * nest.h - what a process does between the warden's fork and the OCI runtime: entering kiln's user
 * namespace, and mounting what the box is made of.
 *
 * A struct nest is a list of operations, packed into one block without pointers, that kiln makes
 * and the warden's child carries out (nest_enter(), which allocates nothing and takes no lock). All
 * that is mounted lies in the child's own mount namespace, so nobody has to take it away.
 *
 * The block: struct nest_head, its operations, their strings and contents. Both ends are the same
 * program.
 */
#ifndef KILN_RUNNERS_NEST_H
#define KILN_RUNNERS_NEST_H

#include "base/buf.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum nest_kind {
    NEST_WRITE = 1, /* text into the file that is there */
    NEST_ENTER,     /* the user namespace, as its root, with a mount namespace of its own */
    NEST_CHDIR,
    NEST_MKDIR,   /* that it is there already is fine */
    NEST_FILE,    /* a new file */
    NEST_SYMLINK, /* source: what it points to */
    NEST_HIDE,    /* a whiteout */
    NEST_REMOVE,  /* a file or an empty directory */
    NEST_MOUNT,   /* a new file system; content: its options, a string */
    NEST_BIND,    /* all that is mounted at source, too */
};

struct nest_op {
    uint32_t kind;
    uint32_t mode;     /* MKDIR, FILE */
    uint32_t optional; /* that path is not there does not matter */
    uint32_t read_only;
    uint64_t flags;         /* MOUNT: MS_...; BIND: MOUNT_ATTR_... besides read_only */
    uint32_t path, source;  /* offsets of strings, 0 = none */
    uint32_t type, content; /* the same; content of n bytes */
    uint64_t n;
};

struct nest_head {
    uint64_t n_ops;
};

/* Built in kiln. */
struct nest {
    VEC(struct nest_op) ops;
    struct buf strings;
};

#define NEST_INIT \
    {             \
        0         \
    }

void nest_release(struct nest *nest);
void nest_write(struct nest *nest, const char *path, const char *text);
/* group: one to be in besides, of those inside. anchor: a directory that the nest's root shall
 * reach at its own path though veil, a directory above it, lets nobody else through (what else is
 * in veil it does not see then); or both NULL. */
void nest_enter_namespace(struct nest *nest, gid_t group, const char *anchor, const char *veil);
void nest_chdir(struct nest *nest, const char *path);
void nest_mkdir(struct nest *nest, const char *path, mode_t mode);
void nest_file(struct nest *nest, const char *path, const void *bytes, size_t n, mode_t mode);
void nest_symlink(struct nest *nest, const char *target, const char *path);
void nest_hide(struct nest *nest, const char *path);
void nest_remove(struct nest *nest, const char *path);
void nest_mount(struct nest *nest, const char *type, const char *path, unsigned long flags,
                const char *options);
/* attributes: MOUNT_ATTR_NOSUID and the like, for all that is mounted there. */
void nest_bind(struct nest *nest, const char *source, const char *path, bool read_only,
               uint64_t attributes);
/* The last operation does nothing where its path (of a bind: its source) is not there. */
void nest_optional(struct nest *nest);
/* The block, added to out. */
void nest_pack(const struct nest *nest, struct buf *out);

/* Wipes the contents of files in a packed block, which may be secret and no message needs. */
void nest_blank(void *block, size_t size);
/* What an operation of a packed block is, for messages: "mounting overlay on rootfs". */
void nest_describe(const void *block, size_t size, size_t index, struct buf *out);

/* Whether the block is one. */
bool nest_check(const void *block, size_t size);
/* In a child: enters the user namespace as its root, and a mount namespace; anchor and veil as
 * above. Returns 0 or an errno. */
int nest_enter_user(int user, gid_t group, const char *anchor, const char *veil);
/* In the child: does it all. Returns 0, or an errno with *failed the operation's index. user: the
 * user namespace's descriptor. */
int nest_enter(const void *block, int user, size_t *failed);

#endif
