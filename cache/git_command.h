/*
 * git_command.h - git itself, run for what it alone does right: filters, checkouts, trees of an
 * index that is split, sparse or half-made.
 *
 * Private to cache/. Stateless; any thread. What the caller's environment says about repositories
 * does not reach it: the place does.
 */
#ifndef KILN_CACHE_GIT_COMMAND_H
#define KILN_CACHE_GIT_COMMAND_H

#include "base/buf.h"
#include "base/err.h"
#include "cache/git_place.h"

#include <stdbool.h>
#include <sys/types.h>

struct git_command {
    const struct git_place *place;
    const char *const *args; /* behind "git"; NULL terminated */
    const char *work_tree;   /* instead of the place's; NULL: that */
    const char *index;       /* likewise */
    const void *in;          /* what it reads from standard input */
    size_t n_in;
    bool own_index;    /* the index is the repository's: what its settings make of one holds */
    bool own_settings; /* it is to tell where the repository's hooks are, or such */
};

/* Runs it to its end; what it writes is added to out (NULL: dropped). ERR_SYSTEM when it can't be
 * run, ERR_CONFIG with git's own last words when it fails. */
int git_command_run(const struct git_command *command, struct buf *out, struct err *err) MUST_CHECK;

/* One that is talked to. in is a socket (send with MSG_NOSIGNAL), out a pipe; the caller's, as
 * everything in it, until git_command_end(). */
struct git_running {
    pid_t pid;
    int in, out;
    int said;         /* what it complained of */
    const char *name; /* the command's first argument, which must outlive it */
};
int git_command_start(const struct git_command *command, struct git_running *out,
                      struct err *err) MUST_CHECK;
/* Closes both and waits for its end. ERR_CONFIG when it failed. */
int git_command_end(struct git_running *running, struct err *err) MUST_CHECK;

#endif
