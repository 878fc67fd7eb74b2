/*
 * launch.h - the last steps between the warden and a program: clone, set up, exec.
 *
 * Used by the warden only. Allocates nothing. The child shares the warden's memory until it execs,
 * while the warden stands still (CLONE_VM | CLONE_VFORK): nothing is copied, and a failure is
 * simply written into the payload.
 */
#ifndef KILN_RUNNERS_LAUNCH_H
#define KILN_RUNNERS_LAUNCH_H

#include "runners/warden.h"

#include <sys/types.h>

#define LAUNCH_STACK (128 * 1024)

struct launch {
    char **argv; /* argv[-1] is a spare word */
    char **envp;
    const char *cwd;
    const char *path; /* the PATH that argv[0] is looked up in */
    char *scratch;
    const void *nest;            /* NULL = none */
    int out, err;                /* above 2 */
    int in;                      /* -1: it is the warden's own, /dev/null */
    int user;                    /* with a nest: its user namespace */
    int file;                    /* the program; -1: argv[0] is looked up */
    struct warden_payload *head; /* where a failure is told ... */
    int32_t stage, errnum;       /* ... and, after launch_start(), here; enum warden_stage */
    uint32_t at;
    pid_t warden;
};

/* Sets argv, envp, cwd, path, scratch, nest and head from a payload of size bytes. Returns 0, or -1
 * when it is malformed. */
int launch_read(struct launch *launch, void *payload, size_t size);
/* Starts the program in a session of its own, on the given stack of LAUNCH_STACK bytes; returns its
 * pid once it runs, or -1 with stage and errnum set and no process left. */
pid_t launch_start(struct launch *launch, char *stack);

#endif
