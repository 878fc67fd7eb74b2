/*
 * unpack.h - a layer's blob into a directory that overlayfs can take as a lower one.
 *
 * It is run inside of the nest ("kiln internal unpack"), as its uid 0, so that owners come out as
 * the image has them where there are ids for that. Layers are hostile until proven otherwise:
 *
 * - Nothing outside of the layer's own directory is touched. Every path is walked from there one
 *   component at a time without following links; what a symbolic link means is worked out here,
 *   with the layer as the root.
 * - A parent that only lower layers have is what it is there: a symbolic link is followed, a
 *   directory is made with its mode and owner. So a layer's content depends on those below it.
 * - ".wh.NAME" becomes a device 0/0 where a lower layer has NAME, ".wh..wh..opq" the attribute
 *   user.overlay.opaque, whatever their place among the entries: they hide what lies below, never
 *   what the layer itself brings.
 * - Device nodes are left out, as are owners, attributes and sockets that the nest cannot have;
 *   they are counted. Attributes that overlayfs would take for its own are dropped.
 * - What is too much is refused: see struct unpack_limits.
 *
 * Stateless; any thread that may block.
 */
#ifndef KILN_RUNNERS_UNPACK_H
#define KILN_RUNNERS_UNPACK_H

#include "base/digest.h"
#include "base/err.h"
#include "runners/tar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNPACK_WHITEOUT        ".wh."
#define UNPACK_OPAQUE          ".wh..wh..opq"
#define UNPACK_OPAQUE_XATTR    "user.overlay.opaque"
#define UNPACK_RESERVED_XATTRS "user.overlay."

struct unpack_limits {
    uint64_t entries;
    uint64_t bytes; /* of files, before ratio counts */
    uint64_t ratio; /* beyond that: bytes that come out of one of the blob */
    uint64_t free;  /* bytes that must stay free on the disk */
};
extern const struct unpack_limits unpack_usual;

struct unpack_counts {
    uint64_t entries, bytes;
    uint64_t devices, owners, xattrs; /* left out */
};

/* Unpacks a tar stream into root_fd, an empty directory, on top of the lower directories (the
 * lowest first). bytes_in (may be NULL) tells how much of the blob has been read. ERR_CONFIG when
 * the layer is to be refused, ERR_SYSTEM when the machine does. What is there after a failure is to
 * be removed. */
int unpack_tree(int root_fd, const int *lower_fds, size_t n_lowers, tar_pull *pull, void *pull_ctx,
                uint64_t (*bytes_in)(void *pull_ctx), const struct unpack_limits *limits,
                struct unpack_counts *counts, struct err *err) MUST_CHECK;

struct unpack_request {
    const char *blob;          /* the file */
    struct digest blob_digest; /* null: not to be verified (a tar's own digest is its diff id) */
    struct digest diff_id;     /* of its content */
    const char *layers;        /* directory that the layer is put into, as name */
    const char *name;
    const char *const *lowers; /* directories, the lowest first */
    size_t n_lowers;
    void (*progress)(void *ctx, uint64_t bytes); /* of the blob, read; may be NULL */
    void *ctx;
};

/* NAME.used, beside a layer: "skipped N", "boot ID" of when it was unpacked, and "synced" once all
 * of it is known to be on the disk. Writing it all out at once would take longer than unpacking it;
 * so it is believed while the machine runs, and afterwards only if it was synced by then: a layer
 * is not looked at again, and after a crash must not be there in parts. */
struct unpack_note {
    uint64_t skipped;
    bool sound, synced;
    int64_t made; /* CLOCK_REALTIME, seconds */
};
/* Reads the note; one that is not there is not sound. */
void unpack_read_note(int layers_fd, const char *name, struct unpack_note *out);
/* Has the disk hold the layers, and notes it. Takes its time. */
void unpack_sync(const char *layers, const char *const *names, size_t n);

/* Unpacks a whole layer: into a directory of its own, verified, then renamed. A sound one
 * that is there is fine, also when somebody else was faster. Removes what others have left
 * half-made. ERR_CORRUPT when the blob is not what its digest says: fetch it anew; otherwise as
 * above. */
int unpack_layer(const struct unpack_request *request, struct unpack_counts *counts,
                 struct err *err) MUST_CHECK;
/* Removes layers, or whatever has such a name, that the caller itself may not be able to. */
int unpack_remove(const char *layers, const char *name, struct err *err) MUST_CHECK;

#endif
