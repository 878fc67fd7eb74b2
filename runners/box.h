/*
 * box.h - what a step sees when it is isolated: a root, its project, its identity, its limits.
 *
 * A box is a container that an OCI runtime (crun by default) runs inside of a nest: one user
 * namespace of kiln's own, in which each box gets a mount namespace, so that all that is mounted
 * for it is gone with its last process, whoever was killed. docs/isolation.md says what is
 * promised; docs/decisions/0014-nest.md why it is made like this.
 *
 * A struct runner_box goes with a struct runner_request and is copied from by runner_start().
 */
#ifndef KILN_RUNNERS_BOX_H
#define KILN_RUNNERS_BOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct runner;

/* Where a step finds its project, unless it wants the host's path. */
#define BOX_PROJECT "/src"
/* Who a step is in the sandbox. */
#define BOX_USER    "kiln"
#define BOX_USER_ID 1000
#define BOX_HOME    "/tmp/home"

enum box_root {
    BOX_ROOT_HOST,  /* the system directories of this machine, read-only */
    BOX_ROOT_IMAGE, /* layers of an image, with what is written on top */
};

/* A directory that outlives the box, writable: "caches" of a step. */
struct box_cache {
    const char *path; /* absolute, inside */
    const char *dir;  /* absolute, on the host; belongs to the nest's owner */
};

/* A file in memory, readable by the step alone. */
struct box_secret {
    const char *path; /* absolute, inside */
    const void *bytes;
    size_t n;
};

struct box_limits {     /* 0 = none */
    uint64_t memory;    /* bytes, of all its processes together */
    uint64_t file_size; /* bytes, of any file it writes */
    uint32_t pids;
    uint32_t cpu_milli; /* thousandths of a processor */
};

struct runner_box {
    enum box_root root;
    const char *const *layers; /* of the image: absolute, the lowest first */
    size_t n_layers;
    const char *const *view; /* of the project: absolute directories, the lowest first */
    size_t n_view;
    const char *mount; /* absolute: where the project is inside */
    /* Absolute; belongs to the nest's owner, and so does upper/ in it, which becomes what the step
     * wrote to the project. The caller's, to keep or to remove with box_remove(). */
    const char *dir;
    /* As an image's configuration has it: "", "name", "uid", "name:group", "uid:gid"; looked up in
     * the image's own files. Only for images: in the sandbox all are BOX_USER. */
    const char *user;
    bool network; /* the host's; else there is a loopback alone */
    struct box_limits limits;
    const struct box_cache *caches;
    size_t n_caches;
    const struct box_secret *secrets;
    size_t n_secrets;
};

/* Which limit ended it, as far as that can be told. */
enum box_cause { BOX_CAUSE_NONE, BOX_CAUSE_MEMORY, BOX_CAUSE_PIDS, BOX_CAUSE_FILE_SIZE };

/* Who a user is in an image: an image's user ("", "name", "uid", "name:group", "uid:gid") looked up
 * in the files of its layers (absolute directories, the lowest first). The project and all that
 * kiln makes for a step belongs to that user; so the layers of an image whose user is not 0:0 have
 * to be unpacked in a nest with these ids (nest_uid, nest_gid of a request). ERR_CONFIG when there
 * is nobody of that name. Any thread. */
int box_find_ids(const char *const *layers, size_t n, const char *user, uint32_t *uid,
                 uint32_t *gid, struct err *err) MUST_CHECK;

struct runner_box_options {
    const char *runtime; /* name or path of the OCI runtime; NULL: $KILN_RUNTIME, else "crun" */
    /* Absolute, exists: all that boxes and commands in the nest are given lies in it. Where kiln is
     * root, the nest's root is somebody else, and let through to it. NULL: everything can be
     * reached anyway. */
    const char *dir;
    /* A host runner to start commands with, the caller's: to be closed after this one, which is
     * what ends commands that still run then. NULL: one of its own. */
    struct runner *host;
};

/* Whom files belong to that a nest may change: what its uid 0 is outside. */
struct box_owner {
    uid_t uid;
    gid_t gid;
    /* Not zero: ids 1 ... n - 1 exist inside as well, so an image's files can keep theirs. */
    uint32_t n;
    uint64_t mapping; /* a number of which ids all of these are outside; another map has another */
};

/* What a nest of the calling user would be, as far as files tell; needs nothing opened. Where
 * newuidmap then refuses, the nest has fewer ids, but the same owner. ERR_SYSTEM with the remedy
 * when this machine allows none. */
int box_owner(struct box_owner *out, struct err *err) MUST_CHECK;

/* Whether boxes can be given what lies in that directory (see runner_box_options; NULL: anything).
 * ERR_SYSTEM with the remedy when not. */
int box_check_dir(const char *dir, struct err *err) MUST_CHECK;

/* Removes what lies at path, also what belongs to ids of a nest; absent is fine. Any thread. */
int box_remove(const char *path, struct err *err) MUST_CHECK;
/* Makes what lies at path the owner's (box_owner()), who can read it then, whatever ids and modes
 * it was given. Any thread. */
int box_own(const char *path, struct err *err) MUST_CHECK;

/* The back end for both kinds. Without a host runner it forks one's helper process. A thread begins
 * to make the nest, and what else all boxes need. Where the machine refuses that, runner_start()
 * fails with ERR_SYSTEM and the remedy. */
int runner_box_new(uv_loop_t *loop, const struct runner_box_options *options, struct runner **out,
                   struct err *err) MUST_CHECK;
/* What the nest of this back end is, for which it waits. ERR_SYSTEM with the remedy when there can
 * be none. */
int runner_box_owner(struct runner *runner, struct box_owner *out, struct err *err) MUST_CHECK;

#endif
