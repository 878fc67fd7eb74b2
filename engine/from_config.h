/*
 * from_config.h - kiln.json as a front end: a loaded config becomes a graph.
 */
#ifndef KILN_ENGINE_FROM_CONFIG_H
#define KILN_ENGINE_FROM_CONFIG_H

#include "config/config.h"
#include "engine/graph.h"

/* The name of the one exec in the graph of a generated pipeline. */
#define GENERATE_STEP "generate"

/* Makes the graph of config's steps, or of its generator where it has one; variables of pass_env
 * are read from this process's environment now. The graph is the caller's and does not refer to
 * config. ERR_CONFIG when an input names another step's output without needing that step. */
int graph_from_config(const struct config *config, struct graph **out, struct err *err) MUST_CHECK;

#endif
