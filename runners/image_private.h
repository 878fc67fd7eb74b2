/*
 * image_private.h - what the images' files share.
 *
 * image_store.c keeps what is on the disk, image_run.c runs programs, image_skopeo.c says what
 * skopeo is to do and what its words mean, image_import.c takes blobs from a layout, image_fetch.c
 * and image_climb.c know what a task needs next, image_task.c goes from one to the next.
 */
#ifndef KILN_RUNNERS_IMAGE_PRIVATE_H
#define KILN_RUNNERS_IMAGE_PRIVATE_H

#include "base/buf.h"
#include "base/vec.h"
#include "runners/image_manifest.h"
#include "runners/runner.h"

#include <stdatomic.h>

struct image_store {
    uv_loop_t *loop;
    char *dir, *blobs, *archives, *layers, *tmp; /* absolute */
    char *program, *skopeo;
    const char *const *envp; /* the opener's, or the process' */
    struct runner *host, *nest;
    struct box_owner owner;
    struct image_task *tasks;
    uv_work_t sync; /* has the disk hold layers that were unpacked a while ago */
    bool syncing;
    VEC(char *) unsynced;
    bool closing;
    uv_timer_t last; /* tells that it is closed */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* --- image_store.c --- */

bool image_same_hash(const struct digest *a, const struct digest *b);
char *image_blob_path(const struct image_store *store, const struct digest *digest);
/* Whether the blob is there, in its size if that is known (one of another size is removed). */
bool image_blob_there(const struct image_store *store, const struct digest *digest, bool sized);
/* Reads a small blob, verified; *there is false where there is none, or was a damaged one. */
int image_blob_read(const struct image_store *store, const struct digest *digest, struct buf *out,
                    bool *there, struct err *err) MUST_CHECK;
int image_blob_write(const struct image_store *store, const struct digest *digest,
                     const struct buf *bytes, struct err *err) MUST_CHECK;
void image_blob_remove(const struct image_store *store, const struct digest *digest);
/* Which ids the nest has: asked of the nest itself, as files do not know what newuidmap allows. */
int image_store_find_ids(struct image_store *store, struct err *err) MUST_CHECK;
/* The name of the layer of that chain id, for this nest; in arena. */
const char *image_layer_name(const struct image_store *store, const struct digest *chain,
                             struct arena *arena);
/* Takes hold of an unpacked layer, so that nobody removes it: a descriptor, or -1 when it is not
 * there. *skipped is what was left out when it was unpacked. */
int image_layer_hold(struct image_store *store, const char *name, uint64_t *skipped);
/* A directory of a task's own, held until its end; its path is relative to the store's. */
struct image_tmp {
    char *path; /* NULL: none */
    int fd;
};
int image_tmp_make(const struct image_store *store, struct image_tmp *tmp,
                   struct err *err) MUST_CHECK;
/* Takes hold of the fetching of a blob, by a directory of its name; *held is false while another
 * task, of whichever kiln, has it. Ends with image_tmp_remove(). */
int image_blob_claim(const struct image_store *store, const struct digest *digest,
                     struct image_tmp *tmp, bool *held, struct err *err) MUST_CHECK;
/* What is in it, in bytes. */
uint64_t image_tmp_bytes(const struct image_store *store, const struct image_tmp *tmp);
void image_tmp_remove(const struct image_store *store, struct image_tmp *tmp);

/* --- image_run.c --- */

/* A program that runs, and what it says. */
struct image_run {
    struct runner_exec *exec; /* NULL: not running */
    int spool;
    struct buf out, words; /* standard output and error */
    int exit_code;
    bool lost;         /* words says why */
    uint32_t uid, gid; /* of a nest: whose ids are the owner's */
    void *ctx;
    void (*said)(void *ctx, struct image_run *run); /* out has grown; or NULL */
    void (*done)(void *ctx, struct image_run *run); /* it is not running any more */
};
/* In the directory cwd, relative to the store's. */
int image_run_start(struct image_store *store, struct runner *runner, const char *cwd,
                    const char *const *argv, struct image_run *run, struct err *err) MUST_CHECK;
void image_run_release(struct image_run *run);

/* --- image_skopeo.c --- */

struct image_argv {
    struct arena arena;
    VEC(const char *) v; /* NULL terminated */
};
void image_argv_release(struct image_argv *argv);
/* "skopeo inspect" of the manifest that the reference names, or of that digest. */
void image_skopeo_manifest(struct image_argv *argv, const struct image_store *store,
                           const struct image_ref *ref, const struct digest *digest);
/* The same of the configuration of the manifest with that digest. */
void image_skopeo_config(struct image_argv *argv, const struct image_store *store,
                         const struct image_ref *ref, const struct digest *digest);
/* "skopeo copy" of the manifest with that digest (NULL: what the archive has) to IMAGE_LAYOUT_DIR
 * in the current directory, a layout whose blobs are the store's. */
#define IMAGE_LAYOUT_DIR "layout"
void image_skopeo_copy(struct image_argv *argv, const struct image_store *store,
                       const struct image_ref *ref, const struct digest *digest);
/* Why it failed, and what to do. */
int image_skopeo_failed(const struct image_store *store, const struct image_ref *ref,
                        const struct image_run *run, struct err *err);

/* --- image_import.c --- */

struct image_import { /* of a worker */
    uv_work_t work;
    const struct image_store *store;
    const char *from; /* the layout */
    const char *tmp;  /* an own directory, relative to the store's */
    VEC(struct digest) blobs;
    atomic_bool stop;
    atomic_uint_fast64_t done; /* bytes */
    int rc;
    struct err err;
    void *ctx;
    void (*finished)(void *ctx, struct image_import *import);
};
/* Copies blobs of a layout that the store does not have, verified. */
void image_import_start(struct image_import *import);
/* Reads one that is small. */
int image_import_read(const char *layout, const struct digest *digest, struct buf *out,
                      struct err *err) MUST_CHECK;
/* What the layout has under that tag (NULL: the only one), for the platform. */
int image_import_find(const char *layout, const char *tag, const char *platform,
                      struct image_pin *out, struct err *err) MUST_CHECK;

/* --- image_task.c --- */

enum image_want { WANT_PIN, WANT_IMAGE };
enum image_fetching { FETCH_NOTHING, FETCH_MANIFEST, FETCH_CONFIG, FETCH_LAYERS };

struct image_task {
    struct image_store *store;
    struct image_task *next;
    enum image_want want;
    struct image_ref ref;
    char *platform;
    struct digest at;     /* what to resolve; null: what the reference says */
    struct image_pin pin; /* what is wanted, or found */
    struct image_callbacks callbacks;
    void *ctx;
    uv_timer_t timer;
    bool cancelled, finished;
    int rc; /* the failure that is told when nothing runs any more */
    struct err err;
    struct image_task *leader; /* whose work this one waits for */

    enum image_fetching fetching;
    struct image_run fetch;
    struct image_import import;
    bool importing;
    struct image_tmp tmp;
    VEC(struct image_tmp) claims; /* to blobs that it fetches */
    bool waits_for_others;        /* who fetch some of its blobs, or too much at once */
    /* All that are not there are being fetched, or were; what is found damaged meanwhile, and goes,
     * is not among them: then it is false again. */
    bool fetched_layers;
    size_t again; /* number of the layer, from 1, that was fetched a second time */
    char *memo;   /* what an archive was when it was begun to be read */

    struct image *image; /* from when its configuration has been read */
    struct manifest manifest;
    char *user;         /* who steps are, or NULL: as the image says */
    uint32_t uid, gid;  /* the same, from when it is known that they are not root */
    const char **names; /* of layers */
    char **dirs;
    const struct digest *diff_ids;
    size_t n_held; /* layers that are there */
    struct image_run unpack;
    bool unpacking;
    size_t told; /* bytes of unpack.out that have been looked at */
    unsigned waits;
    uint64_t unpacked, unpacked_now, to_unpack; /* bytes of blobs */
    uint64_t fetched_before, to_fetch;
};

/* Has it go on, from the loop. */
void image_task_wake(struct image_task *task, uint64_t ms);
/* It is over, as task->err says; told when nothing runs any more. */
void image_task_fail(struct image_task *task, int rc);
void image_task_tell(struct image_task *task);
bool image_task_is_busy(const struct image_task *task);
/* Wakes those of a store that may have waited for what this one has done. */
void image_task_wake_others(const struct image_task *task);
/* Called when a task is gone. */
void image_store_tasks_gone(struct image_store *store);

/* Each looks at what is there and starts what is missing; a failure is in task->err.
 * image_fetch.c: what the reference means; *done when task->pin has it. */
int image_fetch_pin(struct image_task *task, bool *done) MUST_CHECK;
/* From the pin to the image's configuration. *waiting: one of them is being fetched. */
int image_fetch_documents(struct image_task *task, bool *waiting) MUST_CHECK;
/* The blobs that layers lack, but for those that others fetch just now. */
int image_fetch_layers(struct image_task *task) MUST_CHECK;
/* What it fetched is there, or will not be: others may. */
void image_fetch_give_up_claims(struct image_task *task);
/* image_climb.c: goes up the layers as far as it can; *done when all are there. */
int image_climb(struct image_task *task, bool *done) MUST_CHECK;

#endif
