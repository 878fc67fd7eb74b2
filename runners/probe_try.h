/*
 * probe_try.h - tries in a forked child what a box needs of the kernel, so that nothing has to be
 * guessed from versions and settings. Private to probe*.c, and their tests.
 */
#ifndef KILN_RUNNERS_PROBE_TRY_H
#define KILN_RUNNERS_PROBE_TRY_H

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* In the order of trying: one that fails ends the first few, as the rest needs them. */
enum try_stage {
    TRY_USER,   /* a user namespace is made */
    TRY_MAP,    /* ids are mapped into it */
    TRY_MOUNTS, /* a mount namespace in it */
    TRY_TMPFS,
    TRY_PROC, /* /proc for a pid namespace */
    TRY_NET,  /* a network with a loopback */
    TRY_NESTED,
    TRY_OVERLAY, /* on top of a directory of the cache's */
    TRY_DELETE,  /* a file of the lower directory is deleted */
    TRY_REPLACE, /* a directory of the lower one is, and made anew */
    TRY_N
};

#define TRY_NOT (-1)

struct trial {
    int errnum[TRY_N]; /* 0 when it works, TRY_NOT when it was not tried */
};

/* A range that uid 0 ... count - 1 inside are outside. */
struct try_ids {
    uint32_t uid, gid, count;
};

/* dir: absolute, for the overlay; a directory in it comes and goes. NULL: no overlay is tried. It
 * fails (ERR_SYSTEM) when nothing can be tried at all: no process, no directory. */
int trial_run(const struct try_ids *ids, const char *dir, struct trial *out,
              struct err *err) MUST_CHECK;
/* Has newuidmap(1) and newgidmap(1) map these ranges from 1 on. *errnum: 0 when they did; words of
 * theirs otherwise are added to said. */
int trial_subids(const char *newuidmap, const char *newgidmap, const struct try_ids *ids,
                 char *said, size_t size);

#endif
