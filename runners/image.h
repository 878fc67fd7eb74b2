/*
 * image.h - images of containers: from a reference as kiln.json has it to layers on this disk.
 *
 *     reference --resolve--> pin (digests)  --prepare--> struct image (layers, configuration)
 *
 * Resolving says what a reference means now; a pin that is known (kiln.lock) needs no resolving,
 * and a step's key needs no more than the pin. Preparing fetches what is not there yet (skopeo, run
 * by the host runner) and unpacks each layer once (the kiln program itself, run inside of the
 * nest). With a known pin and all blobs there nothing asks the network; with all layers there
 * nothing is run at all.
 *
 * On the disk, below the cache's versioned root:
 *
 *     images/blobs/sha256/<hex>   manifests, configurations, layers as they came: an OCI layout
 *                                 shared by all images; read only with their digest verified
 *     images/archives/<hex>       what a docker-archive held when it was looked at last
 *     layers/<name>/              a layer unpacked, as overlayfs wants a lower directory
 *                                 (unpack.h); name: 32 hex characters of its chain id, ".", 16 of
 *                                 which ids the nest has; for steps of another user than root ".",
 *                                 its ids
 *     layers/<name>.used          touched whenever the layer is used
 *     tmp/image-*                 being fetched; gone with whoever made it, or swept
 *
 * A layer is kept by its chain id, not its diff id: where a layer's path leads through a directory
 * that only lower layers have, what that is (a symbolic link, another mode) decides what comes out.
 *
 * Ownership: the store is its opener's. A task lives until its callback, which comes exactly once,
 * from the loop, never from within the function that made the task. Several tasks may want the same
 * image or layer at a time: it is fetched and unpacked once. Other kilns may do the same in the
 * same cache. Loop thread only, except for what says otherwise.
 */
#ifndef KILN_RUNNERS_IMAGE_H
#define KILN_RUNNERS_IMAGE_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "runners/box.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct runner;

/* --- references --- */

enum image_source {
    IMAGE_REGISTRY, /* "docker.io/library/debian:12", "debian:12", "host:5000/name@sha256:..." */
    IMAGE_LAYOUT,   /* "oci:DIR[:TAG]" */
    IMAGE_ARCHIVE,  /* "docker-archive:FILE[:REFERENCE]" */
};

struct image_ref {
    enum image_source source;
    /* Normalised: for messages, events and kiln.lock. Local ones as written. Owned. */
    char *name;
    char *path;           /* local: absolute; a registry's: "host/repository". Owned */
    char *tag;            /* or NULL: none given. Owned */
    struct digest digest; /* null: none given */
    bool loopback;        /* the registry is on this machine: plain HTTP is allowed */
};

/* Reads a reference; DIR and FILE may be relative to root (absolute). ERR_CONFIG with what is wrong
 * and how to write it; then nothing is to be released. Any thread. */
int image_ref_parse(const char *text, const char *root, struct image_ref *out,
                    struct err *err) MUST_CHECK;
void image_ref_release(struct image_ref *ref);
/* Whether what it means is kept in kiln.lock: a registry's, and not by digest already. */
bool image_ref_is_locked(const struct image_ref *ref);

/* This machine's, "linux/amd64", "linux/arm/v7"; never freed. Any thread. */
const char *image_platform(void);
/* Checks and normalises "os/arch[/variant]" ("linux/x86_64" is "linux/amd64"); a new string. Any
 * thread. */
int image_platform_parse(const char *text, char **out, struct err *err) MUST_CHECK;

/* --- the store --- */

struct image_store_options {
    const char *dir;         /* absolute, exists: the cache's versioned root */
    struct runner *host;     /* runs skopeo */
    struct runner *nest;     /* runs kiln inside of the nest (runner_box_new()); NULL: host does */
    struct box_owner owner;  /* whom layers belong to: box_owner() */
    const char *program;     /* kiln's own, absolute */
    const char *skopeo;      /* NULL: $KILN_SKOPEO, else "skopeo" */
    const char *const *envp; /* for skopeo, which finds credentials and proxies by it; NULL: ours */
};

struct image_store;

/* Makes what directories are missing. Options are copied; the runners must outlive the store. */
int image_store_open(uv_loop_t *loop, const struct image_store_options *options,
                     struct image_store **out, struct err *err) MUST_CHECK;
/* Cancels what goes on (its callbacks follow), frees the store, then calls closed (may be NULL)
 * from the loop. */
void image_store_close(struct image_store *store, void (*closed)(void *ctx), void *ctx);

/* What a reference means: the digest that its tag names, which may be that of an index of several
 * platforms, and that of the manifest for one platform (the same where there is no index). */
struct image_pin {
    struct digest index, manifest; /* sizes are 0 */
};

enum image_phase {
    IMAGE_RESOLVING,
    IMAGE_WAITING, /* for what others pull: the same blobs, or as much as is pulled at once */
    IMAGE_PULLING,
    IMAGE_UNPACKING
};

struct image_progress {
    enum image_phase phase;
    uint64_t done, total; /* bytes; total 0 = not known yet */
};

struct image {
    struct arena arena;     /* of all that follows */
    const char *name;       /* the reference */
    const char *platform;   /* "linux/amd64" */
    struct image_pin pin;   /* pin.manifest is the image */
    const char *const *env; /* NAME=value, NULL terminated, with a PATH in any case */
    const char *user;       /* "" = 0:0; else as struct runner_box has it */
    const char *workdir;    /* absolute; "/" when it says none */
    const char *const *entrypoint, *const *cmd; /* NULL terminated, maybe empty */
    size_t n_env, n_entrypoint, n_cmd;
    const char *const *layers; /* absolute directories, the lowest first */
    size_t n_layers;
    uint64_t skipped; /* entries that could not be had as they are in it: device nodes, owners */
    int *held;        /* shared locks on the layers' ".used": who removes layers wants them alone */
    size_t n_held;
};

void image_free(struct image *image); /* NULL is fine */

struct image_task;

/* What a task reports. Errors are lent, and gone after the callback: ERR_CONFIG what the reference
 * names is wrong, or not there, or not allowed; ERR_SYSTEM machine or network; ERR_CANCELLED. */
struct image_callbacks {
    void (*progress)(void *ctx, const struct image_progress *progress); /* may be NULL */
    /* Of image_resolve(): pin is NULL after a failure. */
    void (*resolved)(void *ctx, const struct image_pin *pin, const struct err *err);
    /* Of image_prepare(): image is the callee's, or NULL after a failure. */
    void (*ready)(void *ctx, struct image *image, const struct err *err);
};

/* Finds out what ref means on that platform (NULL: this machine's). A registry is asked anew, for
 * its tag, or for at (the digest that kiln.lock has for another platform) where that is not NULL.
 * A layout or an archive is read as it is now. Fails, without a callback, only for bad arguments.
 */
int image_resolve(struct image_store *store, const struct image_ref *ref, const char *platform,
                  const struct digest *at, const struct image_callbacks *callbacks, void *ctx,
                  struct image_task **out, struct err *err) MUST_CHECK;
/* Makes the image of that pin usable, for steps that are user in it (NULL: the image's own); that
 * the user is in it is for box_find_ids() to say. Damaged blobs are fetched again. */
int image_prepare(struct image_store *store, const struct image_ref *ref, const char *platform,
                  const struct image_pin *pin, const char *user,
                  const struct image_callbacks *callbacks, void *ctx, struct image_task **out,
                  struct err *err) MUST_CHECK;
/* Its callback follows, with ERR_CANCELLED unless it was done. */
void image_cancel(struct image_task *task);
/* The manifest for another platform out of an index that image_resolve() has met; for renewing what
 * kiln.lock has for other platforms. ERR_CONFIG when it has none for that. */
int image_pick(struct image_store *store, const struct digest *index, const char *platform,
               struct image_pin *out, struct err *err) MUST_CHECK;

/* --- what a step runs in it --- */

/* The command of a step: of a text (argv is {"/bin/sh", "-ec", text}) just that; of an array what
 * "docker run IMAGE ARRAY" would run, with the image's entrypoint in front. NULL terminated, in
 * arena; strings are those given. Any thread. */
const char *const *image_command(const struct image *image, const char *const *argv, bool is_text,
                                 struct arena *arena);
/* The environment of a step: the image's, with what envp (NULL terminated) sets instead. NULL
 * terminated, in arena; strings are those given. Any thread. */
const char *const *image_environment(const struct image *image, const char *const *envp,
                                     struct arena *arena);

#endif
