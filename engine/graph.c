/*
 * graph.c - making ops: each gets its definition digest, and one that was made before is given
 * again.
 *
 * The definition is the SHA-256 of a serialisation that nobody reads back: the op's kind, its
 * fields (numbers as 8 bytes, strings behind their length, so that no two lists of fields look
 * alike) and the definitions of its inputs. What only messages show (where, shown, description) is
 * left out.
 */
#include "engine/graph.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cache/tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct graph *graph_new(const char *name)
{
    struct graph *graph = mem_zalloc(1, sizeof(*graph));
    graph->name = arena_strdup(&graph->arena, name);
    return graph;
}

void graph_free(struct graph *graph)
{
    if (!graph)
        return;
    free(graph->ops);
    free(graph->execs);
    map_release(&graph->by_definition);
    map_release(&graph->by_name);
    arena_release(&graph->arena);
    free(graph);
}

/* -- definitions ------------------------------------------------------------------------------- */

static void put_number(struct buf *out, uint64_t number)
{
    char bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(unsigned char)(number >> (8 * i));
    buf_add(out, bytes, sizeof(bytes));
}

static void put_bytes(struct buf *out, const void *bytes, size_t n)
{
    put_number(out, n);
    buf_add(out, bytes, n);
}

static void put_string(struct buf *out, const char *string)
{
    put_bytes(out, string, strlen(string));
}

static void put_strings(struct buf *out, const char *const *strings, size_t n)
{
    put_number(out, n);
    for (size_t i = 0; i < n; i++)
        put_string(out, strings[i]);
}

/* Told apart from "". */
static void put_optional(struct buf *out, const char *string)
{
    put_number(out, string != NULL);
    put_string(out, string ? string : "");
}

static void put_ops(struct buf *out, const struct graph *graph, const op_id *ids, size_t n)
{
    put_number(out, n);
    for (size_t i = 0; i < n; i++)
        buf_add(out, graph->ops[ids[i]].definition.hash, DIGEST_BYTES);
}

/* What is around it, and what it is given. */
static void put_surroundings(struct buf *out, const struct op_exec *exec)
{
    put_string(out, exec->runner);
    put_optional(out, exec->image);
    put_optional(out, exec->platform);
    put_optional(out, exec->user);
    put_number(out, exec->network);
    put_number(out, exec->mount_same);
    put_number(out, exec->limits.memory);
    put_number(out, exec->limits.file_size);
    put_number(out, exec->limits.pids);
    put_number(out, exec->limits.cpu_milli);
    put_number(out, exec->n_secrets);
    for (size_t i = 0; i < exec->n_secrets; i++) {
        const struct graph_secret *secret = &exec->secrets[i];
        put_string(out, secret->target);
        put_number(out, (uint64_t)secret->source);
        put_optional(out, secret->from);
        put_strings(out, secret->argv, secret->n_argv);
    }
    put_number(out, exec->n_caches);
    for (size_t i = 0; i < exec->n_caches; i++) {
        put_string(out, exec->caches[i].path);
        put_string(out, exec->caches[i].name);
        put_number(out, (uint64_t)exec->caches[i].sharing);
    }
}

static void put_exec(struct buf *out, const struct graph *graph, const struct op_exec *exec)
{
    /* The name is part of it: ops on two steps' outputs must stay apart, as the steps are. */
    put_string(out, exec->name);
    put_strings(out, exec->argv, exec->n_argv);
    put_number(out, exec->n_env);
    for (size_t i = 0; i < exec->n_env; i++) {
        put_string(out, exec->env[i].name);
        put_string(out, exec->env[i].value);
    }
    put_string(out, exec->cwd);
    put_strings(out, exec->outputs, exec->n_outputs);
    put_ops(out, graph, exec->after, exec->n_after);
    put_surroundings(out, exec);
    put_number(out, exec->timeout_ms);
    put_number(out, exec->retries);
    put_number(out, exec->cache);
    put_number(out, exec->interactive);
    put_number(out, exec->fix);
}

static struct digest define(const struct graph *graph, const struct op *op)
{
    struct buf out = BUF_INIT;
    put_number(&out, (uint64_t)op->kind);
    put_ops(&out, graph, op->inputs, op->n_inputs);
    switch (op->kind) {
    case OP_LOCAL: put_strings(&out, op->u.local.patterns, op->u.local.n); break;
    case OP_COPY:
        put_string(&out, op->u.copy.from);
        put_string(&out, op->u.copy.to);
        break;
    case OP_MAKE:
        put_string(&out, op->u.make.path);
        put_number(&out, (uint64_t)op->u.make.kind);
        put_number(&out, op->u.make.executable);
        put_string(&out, op->u.make.target ? op->u.make.target : "");
        put_bytes(&out, op->u.make.content, op->u.make.n_content);
        break;
    case OP_REMOVE: put_string(&out, op->u.remove.path); break;
    case OP_TREE: put_bytes(&out, op->u.tree.root.hash, DIGEST_BYTES); break;
    case OP_MERGE:
    case OP_DIFF: break;
    case OP_EXEC: put_exec(&out, graph, &op->u.exec); break;
    }
    struct digest digest = digest_of(buf_str(&out), out.len);
    buf_release(&out);
    return digest;
}

/* -- adding ------------------------------------------------------------------------------------ */

static void check_ids(const struct graph *graph, const op_id *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert(ids[i] < graph->n_ops);
    (void)graph;
    (void)ids;
}

/* Relative and normalised; "" is the root. */
static void check_path(const char *path)
{
    size_t n = strlen(path);
    assert(path[0] != '/' && (n == 0 || path[n - 1] != '/') && !strstr(path, "//"));
    for (const char *p = path; *p; p += strspn(p, "/")) {
        size_t part = strcspn(p, "/");
        assert(!(part == 1 && p[0] == '.') && !(part == 2 && p[0] == '.' && p[1] == '.'));
        p += part;
    }
    (void)n;
}

static const char *keep(struct graph *graph, const char *string)
{
    return string ? arena_strdup(&graph->arena, string) : NULL;
}

/* NULL terminated, as argv wants to be. */
static const char *const *keep_strings(struct graph *graph, const char *const *strings, size_t n)
{
    const char **copy = arena_zalloc(&graph->arena, n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = keep(graph, strings[i]);
    return copy;
}

static const op_id *keep_ids(struct graph *graph, const op_id *ids, size_t n)
{
    return arena_memdup(&graph->arena, ids, n * sizeof(*ids));
}

static op_id find_equal(const struct graph *graph, const struct digest *definition)
{
    void **place = map_get(&graph->by_definition, definition->hash, DIGEST_BYTES);
    return place ? (op_id)((uintptr_t)*place - 1) : OP_NONE;
}

/* Appends an op whose strings are the graph's already. */
static op_id append(struct graph *graph, const struct op *op)
{
    if (graph->n_ops == graph->cap_ops) {
        graph->cap_ops = graph->cap_ops ? graph->cap_ops * 2 : 16;
        graph->ops = mem_realloc(graph->ops, graph->cap_ops, sizeof(*graph->ops));
    }
    assert(graph->n_ops < OP_NONE);
    op_id id = (op_id)graph->n_ops++;
    graph->ops[id] = *op;
    map_put(&graph->by_definition, op->definition.hash, DIGEST_BYTES, (void *)((uintptr_t)id + 1),
            NULL);
    return id;
}

/* Gives the op again that has this definition, or adds it; strings and ids are still the caller's.
 */
static op_id intern(struct graph *graph, struct op *op)
{
    check_ids(graph, op->inputs, op->n_inputs);
    op->definition = define(graph, op);
    op_id same = find_equal(graph, &op->definition);
    if (same != OP_NONE)
        return same;
    op->inputs = keep_ids(graph, op->inputs, op->n_inputs);
    switch (op->kind) {
    case OP_LOCAL:
        op->u.local.patterns = keep_strings(graph, op->u.local.patterns, op->u.local.n);
        break;
    case OP_COPY:
        op->u.copy.from = keep(graph, op->u.copy.from);
        op->u.copy.to = keep(graph, op->u.copy.to);
        break;
    case OP_MAKE:
        op->u.make.path = keep(graph, op->u.make.path);
        op->u.make.target = keep(graph, op->u.make.target);
        op->u.make.content = arena_strndup(&graph->arena, op->u.make.content, op->u.make.n_content);
        break;
    case OP_REMOVE: op->u.remove.path = keep(graph, op->u.remove.path); break;
    case OP_TREE:
        op->u.tree.message = arena_memdup(&graph->arena, op->u.tree.message, op->u.tree.n);
        break;
    case OP_MERGE:
    case OP_DIFF:
    case OP_EXEC: break;
    }
    return append(graph, op);
}

op_id graph_local(struct graph *graph, const char *const *patterns, size_t n)
{
    struct op op = {.kind = OP_LOCAL, .u.local = {patterns, n}};
    return intern(graph, &op);
}

op_id graph_copy(struct graph *graph, op_id source, const char *from, op_id destination,
                 const char *to)
{
    check_path(from);
    check_path(to);
    struct op op = {.kind = OP_COPY,
                    .inputs = (const op_id[]){source, destination},
                    .n_inputs = 2,
                    .u.copy = {from, to}};
    return intern(graph, &op);
}

static op_id make(struct graph *graph, op_id tree, struct op *op)
{
    assert(*op->u.make.path);
    check_path(op->u.make.path);
    op->kind = OP_MAKE;
    op->inputs = &tree;
    op->n_inputs = 1;
    return intern(graph, op);
}

op_id graph_make_file(struct graph *graph, op_id tree, const char *path, const void *content,
                      size_t n, bool executable)
{
    struct op op = {.u.make = {.path = path,
                               .kind = TREE_FILE,
                               .executable = executable,
                               .content = content,
                               .n_content = n}};
    return make(graph, tree, &op);
}

op_id graph_make_dir(struct graph *graph, op_id tree, const char *path)
{
    struct op op = {.u.make = {.path = path, .kind = TREE_DIR}};
    return make(graph, tree, &op);
}

op_id graph_make_link(struct graph *graph, op_id tree, const char *path, const char *target)
{
    struct op op = {.u.make = {.path = path, .kind = TREE_SYMLINK, .target = target}};
    return make(graph, tree, &op);
}

op_id graph_remove(struct graph *graph, op_id tree, const char *path)
{
    check_path(path);
    struct op op = {.kind = OP_REMOVE, .inputs = &tree, .n_inputs = 1, .u.remove = {path}};
    return intern(graph, &op);
}

op_id graph_merge(struct graph *graph, const op_id *trees, size_t n)
{
    check_ids(graph, trees, n);
    if (n == 1)
        return trees[0];
    struct op op = {.kind = OP_MERGE, .inputs = trees, .n_inputs = n};
    return intern(graph, &op);
}

op_id graph_diff(struct graph *graph, op_id lower, op_id upper)
{
    struct op op = {.kind = OP_DIFF, .inputs = (const op_id[]){lower, upper}, .n_inputs = 2};
    return intern(graph, &op);
}

op_id graph_tree(struct graph *graph, const struct digest *root, const void *message, size_t n)
{
    struct op op = {.kind = OP_TREE, .u.tree = {*root, message, n}};
    return intern(graph, &op);
}

static const struct graph_env *keep_env(struct graph *graph, const struct graph_env *env, size_t n)
{
    struct graph_env *copy = arena_zalloc(&graph->arena, n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || strcmp(env[i - 1].name, env[i].name) < 0);
        copy[i].name = keep(graph, env[i].name);
        copy[i].value = keep(graph, env[i].value);
    }
    return copy;
}

static const struct graph_secret *keep_secrets(struct graph *graph,
                                               const struct graph_secret *secrets, size_t n)
{
    struct graph_secret *copy = arena_memdup(&graph->arena, secrets, n * sizeof(*secrets));
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || strcmp(secrets[i - 1].target, secrets[i].target) < 0);
        copy[i].target = keep(graph, secrets[i].target);
        copy[i].where = keep(graph, secrets[i].where);
        copy[i].from = keep(graph, secrets[i].from);
        copy[i].argv =
            secrets[i].argv ? keep_strings(graph, secrets[i].argv, secrets[i].n_argv) : NULL;
    }
    return copy;
}

static const struct graph_cache *keep_caches(struct graph *graph, const struct graph_cache *caches,
                                             size_t n)
{
    struct graph_cache *copy = arena_memdup(&graph->arena, caches, n * sizeof(*caches));
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || strcmp(caches[i - 1].path, caches[i].path) < 0);
        copy[i].path = keep(graph, caches[i].path);
        copy[i].name = keep(graph, caches[i].name);
    }
    return copy;
}

op_id graph_exec(struct graph *graph, const struct op_exec *exec)
{
    op_id input = exec->input == OP_NONE ? graph_merge(graph, NULL, 0) : exec->input;
    check_ids(graph, &input, 1);
    check_ids(graph, exec->after, exec->n_after);
    check_path(exec->cwd);
    for (size_t i = 0; i < exec->n_outputs; i++)
        check_path(exec->outputs[i]);
    if (map_get_str(&graph->by_name, exec->name))
        return OP_NONE;

    struct op op = {.kind = OP_EXEC, .inputs = keep_ids(graph, &input, 1), .n_inputs = 1};
    struct op_exec *copy = &op.u.exec;
    *copy = *exec;
    copy->input = input;
    copy->name = keep(graph, exec->name);
    copy->description = keep(graph, exec->description);
    copy->shown = keep(graph, exec->shown);
    copy->where = keep(graph, exec->where);
    copy->input_where =
        exec->input_where ? keep_strings(graph, exec->input_where, exec->n_input_where) : NULL;
    copy->argv = keep_strings(graph, exec->argv, exec->n_argv);
    copy->env = keep_env(graph, exec->env, exec->n_env);
    copy->cwd = keep(graph, exec->cwd);
    copy->outputs = keep_strings(graph, exec->outputs, exec->n_outputs);
    copy->after = keep_ids(graph, exec->after, exec->n_after);
    copy->runner = keep(graph, exec->runner);
    copy->image = keep(graph, exec->image);
    copy->platform = keep(graph, exec->platform);
    copy->user = keep(graph, exec->user);
    copy->secrets = keep_secrets(graph, exec->secrets, exec->n_secrets);
    copy->caches = keep_caches(graph, exec->caches, exec->n_caches);
    op.definition = define(graph, &op);

    op_id id = append(graph, &op);
    map_put_str(&graph->by_name, copy->name, (void *)((uintptr_t)id + 1));
    if (graph->n_execs == graph->cap_execs) {
        graph->cap_execs = graph->cap_execs ? graph->cap_execs * 2 : 16;
        graph->execs = mem_realloc(graph->execs, graph->cap_execs, sizeof(*graph->execs));
    }
    graph->execs[graph->n_execs++] = id;
    return id;
}

op_id graph_find(const struct graph *graph, const char *name)
{
    void *value = map_get_str(&graph->by_name, name);
    return value ? (op_id)((uintptr_t)value - 1) : OP_NONE;
}
