/* Graphs: equal ops are one, different ones stay apart, and everything given is copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/tree.h"
#include "engine/graph.h"

#include <stdio.h>
#include <string.h>

#define LOCAL(graph, ...)                                  \
    graph_local(graph, (const char *const[]){__VA_ARGS__}, \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static struct op_exec exec_named(const char *name, op_id input)
{
    static const char *const argv[] = {"/bin/sh", "-ec", "true"};
    static const char *const outputs[] = {"out"};
    static const struct graph_env env[] = {{"A", "1"}, {"B", "2"}};
    return (struct op_exec){
        .name = name,
        .description = "what it does",
        .shown = "true",
        .where = "kiln.json:1:1",
        .argv = argv,
        .n_argv = 3,
        .env = env,
        .n_env = 2,
        .cwd = "sub",
        .outputs = outputs,
        .n_outputs = 1,
        .input = input,
        .runner = "host",
        .timeout_ms = 1000,
        .retries = 1,
        .cache = true,
    };
}

static void equal_ops_are_one(void **state)
{
    (void)state;
    struct graph *graph = graph_new("demo");
    assert_string_equal(graph->name, "demo");
    op_id a = LOCAL(graph, "src", "!src/x");
    op_id b = LOCAL(graph, "doc");
    assert_int_equal(LOCAL(graph, "src", "!src/x"), a);
    assert_int_not_equal(a, b);
    assert_int_equal(graph_copy(graph, a, "x", b, "y"), graph_copy(graph, a, "x", b, "y"));
    assert_int_equal(graph_make_file(graph, a, "f", "text", 4, true),
                     graph_make_file(graph, a, "f", "text", 4, true));
    assert_int_equal(graph_make_dir(graph, a, "d"), graph_make_dir(graph, a, "d"));
    assert_int_equal(graph_make_link(graph, a, "l", "t"), graph_make_link(graph, a, "l", "t"));
    assert_int_equal(graph_remove(graph, a, "x"), graph_remove(graph, a, "x"));
    assert_int_equal(graph_merge(graph, (op_id[]){a, b}, 2),
                     graph_merge(graph, (op_id[]){a, b}, 2));
    assert_int_equal(graph_diff(graph, a, b), graph_diff(graph, a, b));
    assert_int_equal(graph->n_ops, 9);
    graph_free(graph);
}

/* Every pair differs in one thing only. */
static void different_ops_stay_apart(void **state)
{
    (void)state;
    struct graph *graph = graph_new("");
    op_id a = LOCAL(graph, "a", "!b");
    op_id b = LOCAL(graph, "!b", "a");
    op_id ids[] = {
        a,
        b,
        graph_local(graph, NULL, 0),
        LOCAL(graph, ""),
        LOCAL(graph, "a!b"),
        LOCAL(graph, "a"),
        graph_copy(graph, a, "x", b, "y"),
        graph_copy(graph, b, "x", a, "y"),
        graph_copy(graph, a, "y", b, "x"),
        graph_copy(graph, a, "xy", b, ""),
        graph_copy(graph, a, "", b, "xy"),
        graph_make_file(graph, a, "f", "", 0, false),
        graph_make_file(graph, a, "f", "", 0, true),
        graph_make_file(graph, a, "f", "\0", 1, false),
        graph_make_file(graph, a, "g", "", 0, false),
        graph_make_file(graph, b, "f", "", 0, false),
        graph_make_dir(graph, a, "f"),
        graph_make_link(graph, a, "f", ""),
        graph_make_link(graph, a, "f", "t"),
        graph_remove(graph, a, "f"),
        graph_remove(graph, b, "f"),
        graph_merge(graph, NULL, 0),
        graph_merge(graph, (op_id[]){a, b}, 2),
        graph_merge(graph, (op_id[]){b, a}, 2),
        graph_merge(graph, (op_id[]){a, b, a}, 3),
        graph_diff(graph, a, b),
        graph_diff(graph, b, a),
    };
    size_t n = sizeof(ids) / sizeof(ids[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(ids[i], ids[j]);
            assert_false(digest_eq(&graph->ops[ids[i]].definition, &graph->ops[ids[j]].definition));
        }
    }
    assert_int_equal(graph->n_ops, n);
    graph_free(graph);
}

static void definitions_do_not_depend_on_the_graph(void **state)
{
    (void)state;
    struct graph *one = graph_new("one"), *two = graph_new("two");
    LOCAL(two, "other");
    op_id a = graph_remove(one, LOCAL(one, "src"), "x");
    op_id b = graph_remove(two, LOCAL(two, "src"), "x");
    assert_int_not_equal(a, b);
    assert_true(digest_eq(&one->ops[a].definition, &two->ops[b].definition));
    graph_free(one);
    graph_free(two);
}

static void merging_one_is_that_one(void **state)
{
    (void)state;
    struct graph *graph = graph_new("");
    op_id a = LOCAL(graph, "a");
    assert_int_equal(graph_merge(graph, &a, 1), a);
    op_id none = graph_merge(graph, NULL, 0);
    assert_int_equal(graph->ops[none].kind, OP_MERGE);
    assert_int_equal(graph->ops[none].n_inputs, 0);
    graph_free(graph);
}

static void everything_is_copied(void **state)
{
    (void)state;
    struct graph *graph = graph_new("");
    char pattern[] = "src", place[] = "here", content[] = "text", path[] = "file", target[] = "to";
    op_id local = graph_local(graph, (const char *const[]){pattern}, 1);
    op_id file = graph_make_file(graph, local, path, content, 4, true);
    op_id link = graph_make_link(graph, local, path, target);
    op_id copy = graph_copy(graph, local, path, file, target);
    op_id removed = graph_remove(graph, copy, path);
    memset(pattern, 'x', 3);
    memset(place, 'x', 4);
    memset(content, 'x', 4);
    memset(path, 'x', 4);
    memset(target, 'x', 2);

    const struct op *ops = graph->ops;
    assert_int_equal(ops[local].kind, OP_LOCAL);
    assert_string_equal(ops[local].u.local.patterns[0], "src");
    assert_int_equal(ops[file].kind, OP_MAKE);
    assert_int_equal(ops[file].u.make.kind, TREE_FILE);
    assert_true(ops[file].u.make.executable);
    assert_string_equal(ops[file].u.make.path, "file");
    assert_memory_equal(ops[file].u.make.content, "text", 4);
    assert_int_equal(ops[file].u.make.n_content, 4);
    assert_int_equal(ops[file].inputs[0], local);
    assert_int_equal(ops[link].u.make.kind, TREE_SYMLINK);
    assert_string_equal(ops[link].u.make.target, "to");
    assert_int_equal(ops[copy].kind, OP_COPY);
    assert_int_equal(ops[copy].n_inputs, 2);
    assert_int_equal(ops[copy].inputs[0], local);
    assert_int_equal(ops[copy].inputs[1], file);
    assert_string_equal(ops[copy].u.copy.from, "file");
    assert_string_equal(ops[copy].u.copy.to, "to");
    assert_string_equal(ops[removed].u.remove.path, "file");
    graph_free(graph);
}

static void execs_are_found_by_name(void **state)
{
    (void)state;
    struct graph *graph = graph_new("");
    op_id input = LOCAL(graph, "src");
    struct op_exec exec = exec_named("build", input);
    op_id build = graph_exec(graph, &exec);
    assert_int_not_equal(build, OP_NONE);
    assert_int_equal(graph_exec(graph, &exec), OP_NONE);
    exec.name = "test";
    exec.after = &build;
    exec.n_after = 1;
    op_id test = graph_exec(graph, &exec);
    assert_int_equal(graph_find(graph, "build"), build);
    assert_int_equal(graph_find(graph, "test"), test);
    assert_int_equal(graph_find(graph, "tes"), OP_NONE);
    assert_int_equal(graph->n_execs, 2);
    assert_int_equal(graph->execs[0], build);
    assert_int_equal(graph->execs[1], test);

    const struct op *op = &graph->ops[test];
    assert_int_equal(op->kind, OP_EXEC);
    assert_int_equal(op->n_inputs, 1);
    assert_int_equal(op->inputs[0], input);
    assert_string_equal(op->u.exec.description, "what it does");
    assert_string_equal(op->u.exec.shown, "true");
    assert_string_equal(op->u.exec.where, "kiln.json:1:1");
    assert_int_equal(op->u.exec.n_argv, 3);
    assert_string_equal(op->u.exec.argv[2], "true");
    assert_string_equal(op->u.exec.env[1].name, "B");
    assert_string_equal(op->u.exec.env[1].value, "2");
    assert_string_equal(op->u.exec.cwd, "sub");
    assert_string_equal(op->u.exec.outputs[0], "out");
    assert_int_equal(op->u.exec.after[0], build);
    assert_string_equal(op->u.exec.runner, "host");
    assert_ptr_not_equal(op->u.exec.argv, exec.argv);
    graph_free(graph);
}

/* The same step in two graphs, one thing changed in the second: is it still the same definition? */
static bool same_definition(void (*change)(struct op_exec *, struct graph *))
{
    struct digest digests[2];
    for (int i = 0; i < 2; i++) {
        struct graph *graph = graph_new("");
        struct op_exec exec = exec_named("step", LOCAL(graph, "src"));
        if (i)
            change(&exec, graph);
        digests[i] = graph->ops[graph_exec(graph, &exec)].definition;
        graph_free(graph);
    }
    return digest_eq(&digests[0], &digests[1]);
}

static void change_nothing(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    exec->description = NULL;
    exec->shown = "other";
    exec->where = "elsewhere";
}
static void change_argv(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    exec->n_argv = 2;
}
static void change_env(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    static const struct graph_env env[] = {{"A", "1"}, {"B", "3"}};
    exec->env = env;
}
static void change_cwd(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    exec->cwd = "";
}
static void change_outputs(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    exec->n_outputs = 0;
}
static void change_input(struct op_exec *exec, struct graph *graph)
{
    exec->input = LOCAL(graph, "other");
}
static void change_after(struct op_exec *exec, struct graph *graph)
{
    static op_id after;
    struct op_exec other = exec_named("other", exec->input);
    after = graph_exec(graph, &other);
    exec->after = &after;
    exec->n_after = 1;
}
static void change_timeout(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    exec->timeout_ms++;
}
static void change_cache(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    exec->cache = false;
}
static void change_runner(struct op_exec *exec, struct graph *graph)
{
    (void)graph;
    exec->runner = "sandbox";
}

static void exec_definitions(void **state)
{
    (void)state;
    assert_true(same_definition(change_nothing));
    assert_false(same_definition(change_argv));
    assert_false(same_definition(change_env));
    assert_false(same_definition(change_cwd));
    assert_false(same_definition(change_outputs));
    assert_false(same_definition(change_input));
    assert_false(same_definition(change_after));
    assert_false(same_definition(change_timeout));
    assert_false(same_definition(change_cache));
    assert_false(same_definition(change_runner));
}

static void many_ops(void **state)
{
    (void)state;
    struct graph *graph = graph_new("");
    enum { N = 3000 };
    op_id before = OP_NONE;
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof(name), "step%d", i);
        op_id trees[] = {LOCAL(graph, name), before};
        struct op_exec exec = exec_named(name, graph_merge(graph, trees, i ? 2 : 1));
        exec.after = &before;
        exec.n_after = i ? 1 : 0;
        before = graph_exec(graph, &exec);
        assert_int_not_equal(before, OP_NONE);
    }
    assert_int_equal(graph->n_execs, N);
    for (size_t i = 0; i < graph->n_ops; i++)
        for (size_t j = 0; j < graph->ops[i].n_inputs; j++)
            assert_true(graph->ops[i].inputs[j] < i);
    assert_int_equal(graph_find(graph, "step1234"), graph->execs[1234]);
    graph_free(graph);
    graph_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ops_are_one),
        cmocka_unit_test(different_ops_stay_apart),
        cmocka_unit_test(definitions_do_not_depend_on_the_graph),
        cmocka_unit_test(merging_one_is_that_one),
        cmocka_unit_test(everything_is_copied),
        cmocka_unit_test(execs_are_found_by_name),
        cmocka_unit_test(exec_definitions),
        cmocka_unit_test(many_ops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
