/*
 * graph.h - the pipeline as a graph of ops: pure data that front ends make and the engine
 * evaluates.
 *
 * The value of every op is a directory tree (the digest of a REAPI Directory). An exec op's value
 * is the tree of its declared outputs, at their paths. Equal ops (by definition) other than execs
 * are one op, so work and memory are shared across front ends; equal execs are found by content key
 * when they run. An op only refers to ops made before it, so a graph cannot have a cycle: front
 * ends report cycles in their own terms.
 *
 * Ownership: opaque-free plain data, all of it in the graph's arena; graph_free(). Immutable once
 * handed to an engine. Strings given are copied.
 */
#ifndef KILN_ENGINE_GRAPH_H
#define KILN_ENGINE_GRAPH_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t op_id;
#define OP_NONE UINT32_MAX

enum op_kind {
    OP_LOCAL,  /* a view of the working tree */
    OP_COPY,   /* what stands at a path of one tree, put at a path of another */
    OP_MAKE,   /* a tree with one file, directory or link added */
    OP_REMOVE, /* a tree with a path taken out */
    OP_MERGE,  /* trees laid over one another, later ones winning */
    OP_DIFF,   /* what the second tree has that the first has not */
    OP_TREE,   /* a tree that is known by what it holds */
    OP_EXEC,   /* a command run in a tree; its outputs */
};

struct graph_env {
    const char *name, *value;
};

enum graph_secret_source { GRAPH_SECRET_ENV, GRAPH_SECRET_FILE, GRAPH_SECRET_COMMAND };

/* Where a secret comes from; its value is never part of a graph. */
struct graph_secret {
    const char *target; /* a variable's name, or an absolute path inside */
    const char *where;  /* for messages, as op_exec's */
    enum graph_secret_source source;
    const char *from;        /* the caller's variable, or a file; else NULL */
    const char *const *argv; /* of a command, NULL terminated in the graph; else NULL */
    size_t n_argv;
};

enum graph_sharing { GRAPH_SHARING_SHARED, GRAPH_SHARING_PRIVATE, GRAPH_SHARING_LOCKED };

struct graph_cache {
    const char *path; /* absolute, inside */
    const char *name;
    enum graph_sharing sharing;
};

struct graph_limits { /* 0 = none */
    uint64_t memory, file_size;
    uint32_t pids, cpu_milli;
};

struct op_exec {
    const char *name;        /* the step's name; unique in the graph */
    const char *description; /* or NULL */
    const char *shown;       /* the command as people wrote it */
    const char *where;     /* where it was defined, for messages: "kiln.json:4:5: step \"test\"" */
    uint32_t line, column; /* the same in the graph's file; 0: nowhere in particular */
    const char *const *input_where; /* where, for each pattern of its one local; or NULL */
    size_t n_input_where;
    const char *const *argv; /* NULL terminated in the graph */
    size_t n_argv;
    const struct graph_env *env; /* everything but the runner's base; sorted by name */
    size_t n_env;
    const char *cwd; /* "" = root */
    const char *const *outputs;
    size_t n_outputs;
    op_id input;        /* the tree it runs in; OP_NONE given: the empty tree */
    const op_id *after; /* execs that must have passed first, whether their outputs are in the input
                           or not */
    size_t n_after;
    const char *runner;                  /* "host", "sandbox", "container" */
    const char *image, *platform, *user; /* of a container, as written; or NULL */
    bool network;                        /* the host's; else a loopback alone */
    bool mount_same;                     /* the project at the host's path; else at BOX_PROJECT */
    struct graph_limits limits;
    const struct graph_secret *secrets; /* sorted by target */
    size_t n_secrets;
    const struct graph_cache *caches; /* sorted by path */
    size_t n_caches;
    uint64_t timeout_ms;
    uint32_t retries;
    bool cache;       /* false: run always */
    bool fix;         /* it may rewrite its inputs: it runs where it is named */
    bool interactive; /* its input and output are a terminal; cache is false then */
};

struct op {
    enum op_kind kind;
    struct digest definition; /* equal for equal definitions */
    const op_id *inputs;      /* the ops whose values it takes */
    size_t n_inputs;
    union {
        struct {
            const char *const *patterns;
            size_t n;
        } local;
        struct {
            const char *from, *to; /* inputs: source, destination */
        } copy;
        struct {
            const char *path;
            int kind; /* enum tree_kind */
            bool executable;
            const char *target;  /* link */
            const char *content; /* file */
            size_t n_content;
        } make;
        struct {
            const char *path;
        } remove;
        struct {
            struct digest root;
            const void *message; /* the Tree message */
            size_t n;
        } tree;
        struct op_exec exec;
    } u;
};

struct graph {
    struct arena arena;
    const char *name;
    const char *file; /* that defines its execs, absolute: for editors; NULL: not known */
    struct op *ops;
    size_t n_ops, cap_ops;
    op_id *execs; /* in the order added: topological */
    size_t n_execs, cap_execs;
    struct map by_definition; /* digest hash -> op_id + 1 */
    struct map by_name;       /* exec's name -> op_id + 1 */
};

struct graph *graph_new(const char *name);
void graph_free(struct graph *graph);

/* Each returns the op's id; ids given must be of this graph and made earlier (asserted). */
op_id graph_local(struct graph *graph, const char *const *patterns, size_t n);
op_id graph_copy(struct graph *graph, op_id source, const char *from, op_id destination,
                 const char *to);
op_id graph_make_file(struct graph *graph, op_id tree, const char *path, const void *content,
                      size_t n, bool executable);
op_id graph_make_dir(struct graph *graph, op_id tree, const char *path);
op_id graph_make_link(struct graph *graph, op_id tree, const char *path, const char *target);
op_id graph_remove(struct graph *graph, op_id tree, const char *path);
op_id graph_merge(struct graph *graph, const op_id *trees, size_t n);
op_id graph_diff(struct graph *graph, op_id lower, op_id upper);
/* The tree of that root; message: the n bytes of its Tree message, which the engine opens when it
 * needs the value. */
op_id graph_tree(struct graph *graph, const struct digest *root, const void *message, size_t n);
/* Adds an exec; OP_NONE when one of that name exists. The struct and all it points to are copied.
 */
op_id graph_exec(struct graph *graph, const struct op_exec *exec);

/* The exec of that name, or OP_NONE. */
op_id graph_find(const struct graph *graph, const char *name);

#endif
