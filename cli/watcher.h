/*
 * watcher.h - a command need not look at a tree that a kiln watches: it asks that one.
 *
 * serve.c answers on behalf of a watching engine; ask.c asks. They talk as wire.c describes.
 * Whatever is not certain - another environment, another kiln.json than the one at work, no answer
 * in time - is a no, and the command does it all itself: it only ever takes longer.
 */
#ifndef KILN_CLI_WATCHER_H
#define KILN_CLI_WATCHER_H

#include "cli/cli.h"

struct server;

/* Begins to answer for the engine, on app's loop; app and engine outlive it. NULL where there is no
 * private place for a socket: nobody will ask then. */
struct server *serve_open(struct app *app, struct engine *engine);
/* app->config was read anew. good: it is what the engine goes by from now on. */
void serve_loaded(struct server *server, bool good);
/* Ends it: who waits does without. It frees itself on the loop. */
void serve_close(struct server *server);

struct asking {
    const char *root, *config; /* absolute */
    const struct options *options;
    const char *tree;        /* of git, in hexadecimal: whether the steps of the hook passed on it
                                is all that is asked, and 0 the answer; NULL: a run */
    event_cb *event;         /* what happens, as an engine of one's own would tell it */
    void (*tick)(void *ctx); /* about ten times a second, for clocks on a screen */
    void *ctx;
};

/* Has a watcher do what the options ask for. False when there is none or it could not, be it in the
 * middle (which the view is told): then it is still to be done. Else *code is the exit code. */
bool watcher_ask(const struct asking *asking, int *code);

#endif
