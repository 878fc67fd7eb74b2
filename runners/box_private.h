/*
 * box_private.h - the parts that a box is made of, for runners/box*.c alone.
 *
 *     box.c          the runner: executions, from their start to what is left of them
 *     box_means.c    what all boxes need: the runtime, nests, an init, the filter
 *     box_root.c     the nest's operations: root, project, secrets
 *     box_bundle.c   the OCI runtime's config.json
 *     box_user.c     who a step is: names of an image's user looked up in it
 *     box_filter.c   the seccomp filter
 *     box_console.c  the way of a box's terminal to kiln
 *     box_reach.c    root's cache, for who is not root
 *     box_blame.c    which of a step's own places the runtime could not make
 *     box_cgroup.c   limits of memory, processes and processor time
 *
 * Loop thread.
 */
#ifndef KILN_RUNNERS_BOX_PRIVATE_H
#define KILN_RUNNERS_BOX_PRIVATE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "runners/box.h"
#include "runners/nest.h"
#include "runners/nest_user.h"
#include "runners/runner.h"

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

/* Where the parts are in the nest, below the box's directory; nest/ is a tmpfs. */
#define BOX_NEST "nest"
/* The socket for its terminal, in the box's directory. */
#define BOX_CONSOLE "console"
/* The first process of a box, inside. */
#define BOX_INIT "/dev/kiln-init"

struct box_user {
    uint32_t uid, gid;
    VEC(uint32_t) groups; /* besides gid */
    char *home;           /* or NULL */
};

/* A user namespace; most boxes of a run share one. */
struct box_nest {
    struct nest_ids ids;
    struct nest_map map;
    int fd;
};

/* A thread makes them while the first box is prepared; the functions below wait for it. */
struct box_means {
    char *runtime; /* as the user named it */
    char *dir;     /* where boxes lie, or NULL */
    char *program; /* the runtime's path */
    bool is_crun;  /* it understands crun's annotations */
    int file;      /* what program holds, sealed; or -1 */
    char *init;    /* path of a static tini */
    char *filter;  /* the seccomp program in base64, or NULL: the runtime makes it each time */
    VEC(struct box_nest) nests;
    uv_thread_t thread;
    bool under_way; /* thread is to be joined */
};

/* Begins to make them, right after the warden was forked. */
void box_means_open(struct box_means *means, const char *runtime, const char *dir);
/* Makes sure of all but nests. ERR_SYSTEM with the remedy when the runtime or an init is missing.
 */
int box_means_runtime(struct box_means *means, struct err *err) MUST_CHECK;
/* The nest in which these ids are the owner's; NULL with err. Until the next call. */
const struct box_nest *box_means_nest(struct box_means *means, const struct nest_ids *ids,
                                      struct err *err);
void box_means_close(struct box_means *means);

struct box_plan {
    const struct runner_request *request;
    const struct runner_box *box;
    const struct box_nest *nest;
    const struct nest_map *map; /* the nest's */
    struct box_user user;
    bool nested;           /* the step's id is the only one, and the nest's 0 outside */
    const char *filter;    /* the seccomp program in base64, or NULL */
    bool is_crun;          /* the runtime understands crun's annotations */
    const char *init;      /* a static tini(1) on the host */
    const char *nest_path; /* <box directory>/nest */
};

/* Adds what is to be done before the runtime starts; the last is in the nest's directory, which is
 * the bundle. ERR_CONFIG or ERR_SYSTEM when something is not there. */
int box_root_nest(const struct box_plan *plan, struct nest *nest, struct err *err) MUST_CHECK;
/* The directory on the way to dir that lets only its owner through, which the nest's root is not: a
 * new string, or NULL. */
char *box_veil(const char *dir);

/* How the nest's root, who owns nothing of what only root may enter, gets to what kiln gives it. */
struct box_reach {
    char *dir;   /* all of that lies in it; or NULL */
    char *veil;  /* box_veil() of it */
    gid_t group; /* the nest's own */
};

/* Lets the nest's root pass through the directories from reach's to path: by their group, and as
 * others where nobody else gets there. Nothing to do but for root. ERR_SYSTEM when that fails. */
int box_let_through(const struct box_reach *reach, const char *path, struct err *err) MUST_CHECK;
/* The same, and lets it read what is there where that is a file. */
int box_let_read(const struct box_reach *reach, const char *path, struct err *err) MUST_CHECK;

/* Makes config.json. ERR_CONFIG when a text is not UTF-8. */
int box_bundle(const struct box_plan *plan, struct buf *out, struct err *err) MUST_CHECK;

/* Looks the user of an image up in its layers. ERR_CONFIG when there is none of that name. */
int box_user_find(const struct runner_box *box, struct box_user *out, struct err *err) MUST_CHECK;
void box_user_release(struct box_user *user);

/* The filter as the kernel takes it (struct sock_filter), in base64; NULL with err when it cannot
 * be made. */
char *box_filter_base64(struct err *err);
/* The same as the OCI's linux.seccomp object: a new jansson value. */
struct json_t *box_filter_json(void);

/* Where a step wants something to be put. */
struct box_wish {
    char *path; /* absolute, inside */
    bool secret;
};
typedef VEC(struct box_wish) box_wishes;

void box_wishes_init(box_wishes *wishes, const struct runner_box *box);
void box_wishes_release(box_wishes *wishes);
/* The one that a runtime speaks of which failed with these words; NULL when it is none of them. */
const struct box_wish *box_blame(const box_wishes *wishes, const char *said);

/* Where a runtime hands over the leader of the terminal that it makes in a box. */
struct box_console;
/* Waits for that in dir (absolute); made is called from the loop, once or never, with the leader,
 * which is the callee's and does not block. ERR_SYSTEM. */
int box_console_open(uv_loop_t *loop, const char *dir, void (*made)(void *ctx, int leader),
                     void *ctx, struct box_console **out, struct err *err) MUST_CHECK;
/* The socket's path. */
const char *box_console_path(const struct box_console *console);
/* Nothing is called any more. NULL is fine. */
void box_console_close(struct box_console *console);

/* One box's group, in each hierarchy that its limits need. */
struct box_cgroup {
    VEC(char *) paths; /* of its directories */
    bool memory, pids; /* are limited */
};
/* Makes the group and adds to nest, first of all, that the child joins it. ERR_SYSTEM naming the
 * limit that this machine does not let kiln set, and the remedy. */
int box_cgroup_make(struct box_cgroup *cgroup, const struct box_limits *limits, struct nest *nest,
                    struct err *err) MUST_CHECK;
enum box_cause box_cgroup_cause(const struct box_cgroup *cgroup);
/* Kills what is in it and takes it away. */
void box_cgroup_remove(struct box_cgroup *cgroup);

#endif
