/*
 * serve_match.h - what a watcher must have in common with a command to do its run: the program and
 * where it stands, project, pipeline, and the variables that steps are given.
 *
 * Loop thread.
 */
#ifndef KILN_CLI_SERVE_MATCH_H
#define KILN_CLI_SERVE_MATCH_H

#include "base/vec.h"
#include "cli/cli.h"
#include "cli/wire.h"

struct serve_match {
    struct app *app;
    struct wire_stand stand;
    VEC(const char *) names; /* of variables whose values count; the config's */
    bool good;               /* app->config is what the engine goes by */
    bool sure;               /* its file's stamp tells every change */
};

/* app->config was read anew. good: it is what the engine goes by from now on. */
void serve_match_loaded(struct serve_match *match, bool good);
/* NULL when the request can be answered, else why not. */
const char *serve_trouble(struct serve_match *match, const struct wire_request *request);
/* Whether every change there passes this machine's kernel, so that a watch sees it. */
bool serve_is_local(const char *root);

#endif
