/*
 * value.c - what the ops of a graph are worth: locals from the worktree, execs from their results,
 * file operations from both.
 */
#include "engine/boxing.h"
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/wants.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void add_id(ids *list, uint32_t id)
{
    vec_each (uint32_t, have, list) {
        if (*have == id)
            return;
    }
    vec_push(list, id);
}

static uint32_t local_index(struct engine *e, op_id op)
{
    void **place = map_get(&e->local_of, &op, sizeof op);
    return place ? (uint32_t)((uintptr_t)*place - 1) : UINT32_MAX;
}

static int local_add(struct engine *e, op_id op, struct err *err)
{
    const struct op *o = &e->graph->ops[op];
    struct local local = {.op = op, .answer = WORKTREE_PENDING};
    size_t bad = SIZE_MAX;
    int rc = worktree_view(e->worktree, WORKTREE_INPUTS, o->u.local.patterns, o->u.local.n,
                           &local.view, &bad, err);
    if (rc < 0) {
        if (bad < o->u.local.n)
            rc = err_wrap(err, "input \"%s\"", o->u.local.patterns[bad]);
        return rc;
    }
    map_put(&e->local_of, &op, sizeof op, (void *)(uintptr_t)(e->locals.n + 1), NULL);
    while (e->view_local.n <= local.view)
        vec_push(&e->view_local, 0);
    vec_push(&e->locals, local);
    e->view_local.v[local.view] = (uint32_t)e->locals.n;
    return 0;
}

/* Walks from an exec's input through file operations to the locals and execs that it is made of. */
static int collect(struct engine *e, uint32_t node, uint32_t *seen, struct err *err)
{
    struct node *n = &e->nodes.v[node];
    ids stack = VEC_INIT;
    int rc = 0;
    vec_push(&stack, n->exec->input);
    while (stack.n && rc == 0) {
        op_id op = vec_pop(&stack);
        if (op == OP_NONE || seen[op] == node + 1)
            continue;
        seen[op] = node + 1;
        const struct op *o = &e->graph->ops[op];
        if (o->kind == OP_EXEC) {
            add_id(&n->deps, e->node_of[op]);
            continue;
        }
        if (o->kind == OP_LOCAL) {
            if (local_index(e, op) == UINT32_MAX)
                rc = local_add(e, op, err);
            if (rc == 0) {
                uint32_t local = local_index(e, op);
                vec_push(&n->locals, local);
                vec_push(&e->locals.v[local].consumers, node);
            }
            continue;
        }
        for (size_t i = 0; i < o->n_inputs; i++)
            vec_push(&stack, o->inputs[i]);
    }
    vec_release(&stack);
    for (size_t i = 0; i < n->exec->n_after; i++)
        add_id(&n->deps, e->node_of[n->exec->after[i]]);
    vec_each (uint32_t, dep, &n->deps)
        vec_push(&e->nodes.v[*dep].dependents, node);
    return rc;
}

static int outputs_view(struct engine *e, uint32_t node, struct err *err)
{
    struct node *n = &e->nodes.v[node];
    n->out_view = WORKTREE_NONE;
    if (!n->exec->n_outputs)
        return 0;
    size_t bad = SIZE_MAX;
    int rc = worktree_view(e->worktree, WORKTREE_OUTPUTS, n->exec->outputs, n->exec->n_outputs,
                           &n->out_view, &bad, err);
    if (rc < 0)
        return err_wrap(err, "%s: outputs", n->exec->where);
    while (e->view_node.n <= n->out_view)
        vec_push(&e->view_node, 0);
    e->view_node.v[n->out_view] = node + 1;
    return 0;
}

static void dir_opened(void *ctx, uint32_t dir, const char *path)
{
    struct engine *e = ctx;
    if (e->watch)
        watch_add(e->watch, dir, path);
}

static void dir_closed(void *ctx, uint32_t dir)
{
    struct engine *e = ctx;
    if (e->watch)
        watch_remove(e->watch, dir);
}

int value_worktree(struct engine *e, struct worktree_options *options, struct worktree **out,
                   struct err *err)
{
    struct graph *g = e->graph;
    VEC(const char *) outputs = VEC_INIT;
    for (size_t i = 0; i < g->n_execs; i++) {
        const struct op_exec *exec = &g->ops[g->execs[i]].u.exec;
        for (size_t k = 0; k < exec->n_outputs; k++)
            vec_push(&outputs, exec->outputs[k]);
    }
    size_t n_declared = outputs.n;
    const char *root = e->opt.root, *lock = e->opt.lock_path;
    if (lock && path_is_below(lock, root) && strlen(lock) > strlen(root))
        vec_push(&outputs, lock + strlen(root) + 1); /* what it says is in the keys */
    for (size_t i = 0; i < e->opt.n_own_files; i++) {
        bool inside = false;
        for (size_t k = 0; k < n_declared; k++)
            inside |= path_is_below(e->opt.own_files[i], outputs.v[k]);
        if (!inside)
            vec_push(&outputs, e->opt.own_files[i]);
    }
    options->root = e->opt.root;
    options->outputs = outputs.v;
    options->n_outputs = outputs.n;
    int rc = worktree_new(options, out, err);
    vec_release(&outputs);
    return rc;
}

int session_open(struct engine *e, struct err *err)
{
    struct graph *g = e->graph;
    struct worktree_options options = {.stat_path = e->opt.stat_path,
                                       .stat_ahead = e->opt.stat_ahead,
                                       .git = e->opt.git,
                                       .trees = e->trees,
                                       .dir_opened = dir_opened,
                                       .dir_closed = dir_closed,
                                       .files_queued = round_hash_ahead,
                                       .ctx = e};
    int rc = value_worktree(e, &options, &e->worktree, err);
    if (rc < 0)
        return rc;

    e->node_of = mem_zalloc(g->n_ops + 1, sizeof *e->node_of);
    uint32_t *seen = mem_zalloc(g->n_ops + 1, sizeof *seen);
    e->derived = mem_zalloc(g->n_ops + 1, sizeof *e->derived);
    for (size_t i = 0; i < g->n_execs; i++) {
        struct node node = {.op = g->execs[i], .exec = &g->ops[g->execs[i]].u.exec};
        node.boxed = strcmp(node.exec->runner, "host") != 0;
        e->node_of[g->execs[i]] = (uint32_t)i;
        vec_push(&e->nodes, node);
    }
    for (uint32_t i = 0; i < e->nodes.n && rc == 0; i++) {
        rc = collect(e, i, seen, err);
        if (rc == 0)
            rc = outputs_view(e, i, err);
    }
    free(seen);
    if (rc == 0)
        rc = images_open(e, err);
    return rc;
}

void session_close(struct engine *e)
{
    foresee_end(e);
    images_close(e);
    vec_each (struct node, node, &e->nodes) {
        value_release(&node->value);
        buf_release(&node->command);
        hints_release(&node->hints);
        free(node->kept);
        vec_release(&node->followers);
        vec_release(&node->deps);
        vec_release(&node->dependents);
        vec_release(&node->locals);
    }
    vec_release(&e->nodes);
    vec_each (struct local, local, &e->locals) {
        vec_release(&local->consumers);
        err_release(&local->err);
    }
    vec_release(&e->locals);
    map_release(&e->local_of);
    vec_release(&e->view_local);
    vec_release(&e->view_node);
    free(e->derived);
    free(e->node_of);
    e->node_of = NULL;
    e->derived = NULL;
    if (e->worktree) {
        struct err err = ERR_INIT;
        if (e->opt.mode != ENGINE_PLAN && worktree_save(e->worktree, &err) < 0 &&
            !e->cache_warned) {
            e->cache_warned = true;
            engine_notice(e, "warning", err_text(&err));
        }
        err_release(&err);
        worktree_free(e->worktree);
    }
    e->worktree = NULL;
    graph_free(e->graph);
    e->graph = NULL;
}

void session_sweep(struct engine *e)
{
    if (!trees_grown(e->trees))
        return;
    worktree_keep_trees(e->worktree);
    vec_each (struct local, local, &e->locals)
        trees_keep(e->trees, &local->digest);
    vec_each (struct node, node, &e->nodes) {
        if (!node->value.known)
            continue;
        trees_keep(e->trees, &node->value.tree);
        trees_keep(e->trees, &node->value.input_root);
    }
    for (size_t i = 0; i < e->graph->n_ops; i++)
        if (e->derived[i].known)
            trees_keep(e->trees, &e->derived[i].value);
    trees_sweep(e->trees);
}

bool local_refresh(struct engine *e, struct local *local)
{
    struct err err = ERR_INIT;
    struct digest digest = {0};
    size_t bad = SIZE_MAX;
    enum worktree_answer answer = worktree_digest(e->worktree, local->view, &digest, &bad, &err);
    local->bad = bad;
    bool changed = answer != local->answer || !digest_eq(&digest, &local->digest);
    local->answer = answer;
    local->digest = digest;
    local->tick = worktree_view_tick(e->worktree, local->view);
    err_move(&local->err, &err);
    return changed;
}

void value_release(struct value *value)
{
    arena_release(&value->arena);
    *value = (struct value){0};
}

/* The Directory messages of a directory output: in the store already (it stands in the tree), or
 * from its Tree blob. */
static bool open_directory(struct engine *e, const struct action_output *output)
{
    size_t n;
    if (trees_get(e->trees, &output->root, &n))
        return true;
    struct buf blob = BUF_INIT;
    enum cache_answer answer = CACHE_MISS;
    struct digest root;
    bool ok =
        cache_get(e->opt.cache, &output->digest, (size_t)1 << 30, &blob, &answer, NULL) == 0 &&
        answer == CACHE_HIT && trees_decode_tree(e->trees, blob.data, blob.len, &root, NULL) == 0 &&
        digest_eq(&root, &output->root);
    buf_release(&blob);
    return ok;
}

bool value_set(struct engine *e, struct node *node, struct value *value, bool whole)
{
    struct digest tree = trees_put(e->trees, NULL, 0);
    for (size_t i = 0; i < value->result.n_outputs; i++) {
        const struct action_output *output = &value->result.outputs[i];
        struct tree_entry entry = {
            .name = "", .target = output->target, .executable = output->executable};
        entry.kind = output->kind == OUTPUT_FILE  ? TREE_FILE
                     : output->kind == OUTPUT_DIR ? TREE_DIR
                                                  : TREE_SYMLINK;
        if (output->kind == OUTPUT_FILE)
            entry.digest = output->digest;
        if (output->kind == OUTPUT_DIR) {
            if (!open_directory(e, output) && whole)
                return false;
            entry.digest = output->root;
        }
        if (trees_make(e->trees, &tree, output->path, &entry, &tree, NULL) < 0)
            return false;
    }
    value->tree = tree;
    value->known = true;
    if (value != &node->value) {
        value_release(&node->value);
        node->value = *value;
        *value = (struct value){0};
    }
    return true;
}

static struct digest digest_of_inputs(const struct digest *values, size_t n)
{
    return digest_of(values, n * sizeof *values);
}

static int apply(struct engine *e, const struct op *op, const struct digest *in, struct digest *out,
                 struct err *err)
{
    struct trees *trees = e->trees;
    bool found;
    switch (op->kind) {
    case OP_MERGE: return trees_merge(trees, in, op->n_inputs, out, err);
    case OP_REMOVE: return trees_remove(trees, &in[0], op->u.remove.path, out, err);
    case OP_DIFF: return trees_diff(trees, &in[0], &in[1], out, err);
    case OP_COPY:
        if (trees_copy(trees, &in[0], op->u.copy.from, &in[1], op->u.copy.to, &found, out, err) < 0)
            return err_wrap(err, "copying \"%s\"", op->u.copy.from);
        return found ? 0
                     : err_set(err, ERR_CONFIG, "nothing stands at \"%s\" to be copied",
                               op->u.copy.from);
    case OP_MAKE: {
        struct tree_entry entry = {.kind = (enum tree_kind)op->u.make.kind,
                                   .executable = op->u.make.executable,
                                   .name = "",
                                   .target = op->u.make.target};
        if (entry.kind == TREE_FILE)
            entry.digest = digest_of(op->u.make.content, op->u.make.n_content);
        else if (entry.kind == TREE_DIR)
            entry.digest = trees_put(trees, NULL, 0);
        return trees_make(trees, &in[0], op->u.make.path, &entry, out, err);
    }
    case OP_TREE:
        if (trees_decode_tree(trees, op->u.tree.message, op->u.tree.n, out, err) < 0)
            return -(int)err->kind;
        return digest_eq(out, &op->u.tree.root)
                   ? 0
                   : err_set(err, ERR_CORRUPT, "a tree is not what it is known as");
    case OP_LOCAL:
    case OP_EXEC: break;
    }
    return err_set(err, ERR_SYSTEM, "an op of kind %d has no value of its own", (int)op->kind);
}

bool value_of(struct engine *e, op_id id, struct digest *out, struct err *err)
{
    if (id == OP_NONE) {
        *out = trees_put(e->trees, NULL, 0);
        return true;
    }
    const struct op *op = &e->graph->ops[id];
    if (op->kind == OP_LOCAL) {
        struct local *local = &e->locals.v[local_index(e, id)];
        if (local->answer != WORKTREE_READY) {
            bool told = local->err.kind != ERR_NONE;
            err_set(err, told ? local->err.kind : ERR_CONFIG, "%s",
                    told ? err_text(&local->err) : "inputs keep changing while they are read");
            return false;
        }
        *out = local->digest;
        return true;
    }
    if (op->kind == OP_EXEC) {
        const struct node *node = &e->nodes.v[e->node_of[id]];
        if (!node->value.known) {
            err_set(err, ERR_CONFIG, "step \"%s\" has no result to go on from", node->exec->name);
            return false;
        }
        *out = node->value.tree;
        return true;
    }
    struct digest *values = mem_alloc((op->n_inputs + 1) * sizeof *values);
    bool ok = true;
    for (size_t i = 0; i < op->n_inputs && ok; i++)
        ok = value_of(e, op->inputs[i], &values[i], err);
    if (ok) {
        struct digest inputs = digest_of_inputs(values, op->n_inputs);
        if (!e->derived[id].known || !digest_eq(&e->derived[id].inputs, &inputs)) {
            struct digest value;
            ok = apply(e, op, values, &value, err) == 0;
            if (ok) {
                e->derived[id].inputs = inputs;
                e->derived[id].value = value;
                e->derived[id].known = true;
            }
        }
        if (ok)
            *out = e->derived[id].value;
    }
    free(values);
    return ok;
}
