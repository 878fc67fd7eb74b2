/*
 * test_engine_run.c - the engine on graphs made by hand, without any kiln.json: what runs, what is
 * shared, what is cut off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"
#include "cache/cache_gc.h"
#include "engine/engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig {
    char *dir, *root, *cache_dir, *state_dir;
    uv_loop_t loop;
    struct cache *cache;
    struct records *records;
    struct history *history;
    struct runner *runner;
    struct engine *engine;
    /* of the last run */
    struct map status; /* step -> status + 1 */
    struct map error;  /* step -> text */
    struct buf reasons;
    size_t n_started;
    bool tainted;
    int code;
};

static void put(struct rig *r, const char *path, const char *text)
{
    char *full = path_join(r->root, path);
    char *folder = mem_strndup(full, (size_t)(strrchr(full, '/') - full));
    assert_int_equal(file_mkdirs(folder, 0755, NULL), 0);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(folder);
    free(full);
}

static char *get(struct rig *r, const char *path)
{
    struct buf text = BUF_INIT;
    char *full = path_join(r->root, path);
    int rc = file_read(full, 1 << 20, &text, NULL);
    free(full);
    if (rc < 0) {
        buf_release(&text);
        return mem_strdup("(none)");
    }
    buf_reserve(&text, 1);
    text.data[text.len] = 0;
    return buf_detach(&text);
}

static void assert_file(struct rig *r, const char *path, const char *text)
{
    char *have = get(r, path);
    assert_string_equal(have, text);
    free(have);
}

static int setup(void **state)
{
    struct rig *r = mem_zalloc(1, sizeof *r);
    struct err err = ERR_INIT;
    bool read_only;
    r->dir = mem_strdup("/tmp/kiln-engine-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    char *real = realpath(r->dir, NULL);
    r->root = path_join(real, "tree");
    r->cache_dir = path_join(real, "cache");
    r->state_dir = path_join(real, "state");
    free(real);
    assert_int_equal(file_mkdirs(r->root, 0755, NULL), 0);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(runner_host_new(&r->loop, &r->runner, &err), 0);
    assert_int_equal(cache_open(r->cache_dir, &r->cache, &read_only, &err), 0);
    assert_int_equal(records_open(r->state_dir, r->root, &r->records, &err), 0);
    char *log = path_join(records_dir(r->records), "steps.log");
    assert_int_equal(history_open(log, &r->history, &err), 0);
    free(log);
    *state = r;
    return 0;
}

static void forget(struct rig *r)
{
    map_each (entry, &r->error)
        free(entry->value);
    map_release(&r->error);
    map_release(&r->status);
    buf_release(&r->reasons);
    r->n_started = 0;
    r->tainted = false;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    forget(r);
    runner_close(r->runner, NULL, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    history_close(r->history);
    records_close(r->records);
    cache_close(r->cache);
    assert_int_equal(file_remove_tree(AT_FDCWD, r->dir, NULL), 0);
    free(r->dir);
    free(r->root);
    free(r->cache_dir);
    free(r->state_dir);
    free(r);
    return 0;
}

static void on_event(void *ctx, const struct event *event)
{
    struct rig *r = ctx;
    if (event->type == EVENT_STEP_STARTED) {
        r->n_started++;
        for (size_t i = 0; i < event->u.started.n_reasons; i++) {
            const struct reason *reason = &event->u.started.reasons[i];
            buf_addf(&r->reasons, "%s:%s:%s%s%s;", event->step, reason_kind_name(reason->kind),
                     reason->subject ? reason->subject : "", reason->step ? "@" : "",
                     reason->step ? reason->step : "");
        }
    } else if (event->type == EVENT_STEP_FINISHED) {
        assert_null(map_get_str(&r->status, event->step)); /* exactly one a run */
        map_put_str(&r->status, event->step, (void *)(uintptr_t)(event->u.finished.status + 1));
        r->tainted |= event->u.finished.tainted;
        if (event->u.finished.error)
            map_put_str(&r->error, event->step, mem_strdup(event->u.finished.error));
    }
}

static void on_closed(void *ctx)
{
    ((struct rig *)ctx)->engine = NULL;
}

static void on_done(void *ctx)
{
    struct rig *r = ctx;
    r->code = engine_exit_code(r->engine);
    engine_close(r->engine, on_closed, r);
}

static void run_with(struct rig *r, struct graph *graph, struct engine_options options)
{
    struct err err = ERR_INIT;
    forget(r);
    options.loop = &r->loop;
    options.root = r->root;
    options.scratch_path = r->dir;
    options.version = "test";
    options.trigger = "command";
    options.cache = r->cache;
    options.runner = r->runner;
    options.records = r->records;
    options.history = r->history;
    options.done = on_done;
    options.ctx = r;
    options.jobs = 2;
    assert_int_equal(engine_new(&options, &r->engine, &err), 0);
    engine_subscribe(r->engine, on_event, r);
    assert_int_equal(engine_load(r->engine, graph, NULL, 0, NULL, 0, &err), 0);
    engine_start(r->engine);
    while (r->engine)
        uv_run(&r->loop, UV_RUN_ONCE);
}

static void run(struct rig *r, struct graph *graph)
{
    run_with(r, graph, (struct engine_options){0});
}

static void assert_status(struct rig *r, const char *step, enum step_status status)
{
    void *have = map_get_str(&r->status, step);
    assert_non_null(have);
    assert_string_equal(step_status_name((enum step_status)((uintptr_t)have - 1)),
                        step_status_name(status));
}

static void assert_error(struct rig *r, const char *step, const char *part)
{
    const char *have = map_get_str(&r->error, step);
    assert_non_null(have);
    if (!strstr(have, part))
        fail_msg("\"%s\" does not hold \"%s\"", have, part);
}

static void assert_reasons(struct rig *r, const char *text)
{
    assert_string_equal(buf_str(&r->reasons), text);
}

static op_id view(struct graph *g, const char *pattern)
{
    return graph_local(g, &pattern, 1);
}

static op_id step(struct graph *g, const char *name, const char *script, op_id input,
                  const char *output, op_id after)
{
    const char *argv[] = {"/bin/sh", "-ec", script};
    struct op_exec exec = {.name = name,
                           .shown = script,
                           .where = name,
                           .argv = argv,
                           .n_argv = 3,
                           .cwd = "",
                           .outputs = &output,
                           .n_outputs = output != NULL,
                           .input = input,
                           .after = &after,
                           .n_after = after != OP_NONE,
                           .runner = "host",
                           .cache = true};
    return graph_exec(g, &exec);
}

/* a: strips comments from src.txt into stripped; b: reads that. */
static struct graph *two_steps(void)
{
    struct graph *g = graph_new("test");
    op_id a = step(g, "a", "echo a >>../ran; mkdir -p out; grep -v '^#' src.txt >out/stripped",
                   view(g, "src.txt"), "out", OP_NONE);
    step(g, "b", "echo b >>../ran; cat out/stripped >final", a, "final", a);
    return g;
}

static void nothing_runs_twice(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "# comment\ncode\n");
    run(r, two_steps());
    assert_int_equal(r->code, 0);
    assert_status(r, "a", STEP_PASSED);
    assert_status(r, "b", STEP_PASSED);
    assert_reasons(r, "a:new:;b:new:;");
    assert_file(r, "final", "code\n");
    run(r, two_steps());
    assert_status(r, "a", STEP_CACHED);
    assert_status(r, "b", STEP_CACHED);
    put(r, "src.txt", "# comment\ncode\n"); /* touched, not changed */
    run(r, two_steps());
    assert_int_equal(r->n_started, 0);
}

static void equal_outputs_stop_there(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "# one\ncode\n");
    run(r, two_steps());
    put(r, "src.txt", "# two\ncode\n");
    run(r, two_steps());
    assert_status(r, "a", STEP_PASSED);
    assert_status(r, "b", STEP_CACHED);
    assert_reasons(r, "a:file:src.txt;");
    put(r, "src.txt", "# two\nother\n");
    run(r, two_steps());
    assert_status(r, "b", STEP_PASSED);
    assert_reasons(r, "a:file:src.txt;b:upstream:out/stripped@a;");
    put(r, "src.txt", "# one\ncode\n"); /* back again: a hit, outputs put back */
    run(r, two_steps());
    assert_int_equal(r->n_started, 0);
    assert_file(r, "final", "code\n");
    assert_file(r, "out/stripped", "code\n");
    assert_file(r, "../ran", "a\nb\na\na\nb\n");
}

static void outputs_come_back(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    run(r, two_steps());
    char *final = path_join(r->root, "final");
    unlink(final);
    free(final);
    put(r, "out/stripped", "somebody was here\n");
    put(r, "out/extra", "not part of it\n");
    run(r, two_steps());
    assert_int_equal(r->n_started, 0);
    assert_file(r, "final", "code\n");
    assert_file(r, "out/stripped", "code\n");
    assert_file(r, "out/extra", "(none)");
}

static void equal_commands_run_once(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    struct graph *g = graph_new("test");
    step(g, "one", "echo x >>../ran", view(g, "src.txt"), NULL, OP_NONE);
    step(g, "two", "echo x >>../ran", view(g, "src.txt"), NULL, OP_NONE);
    run(r, g);
    assert_int_equal(r->n_started, 1);
    assert_status(r, "one", STEP_PASSED);
    assert_status(r, "two", STEP_CACHED);
    assert_file(r, "../ran", "x\n");
}

static void file_operations_shape_the_key(void **state)
{
    struct rig *r = *state;
    put(r, "a/x.txt", "x\n");
    put(r, "b/y.txt", "y\n");
    for (int round = 0; round < 2; round++) {
        struct graph *g = graph_new("test");
        op_id tree = graph_copy(g, view(g, "a"), "a/x.txt", view(g, "b"), "c/z.txt");
        tree = graph_make_file(g, tree, "made", "content", 7, false);
        tree = graph_remove(g, tree, "b");
        step(g, "s", "echo s >>../ran", tree, NULL, OP_NONE);
        run(r, g);
        assert_int_equal(r->code, 0);
        put(r, "b/y.txt", "changed, but removed from the tree\n");
    }
    assert_file(r, "../ran", "s\n");
}

static void a_failure_skips_what_needs_it(void **state)
{
    struct rig *r = *state;
    for (int round = 0; round < 2; round++) {
        struct graph *g = graph_new("test");
        op_id bad = step(g, "bad", "exit 3", OP_NONE, NULL, OP_NONE);
        step(g, "after", "true", OP_NONE, NULL, bad);
        step(g, "apart", "echo apart >>../ran", OP_NONE, NULL, OP_NONE);
        run_with(r, g, (struct engine_options){.keep_going = true});
        assert_int_equal(r->code, 1);
        assert_status(r, "bad", STEP_FAILED);
        assert_status(r, "after", STEP_SKIPPED);
        assert_error(r, "after", "it needs bad, which failed");
        assert_status(r, "apart", round ? STEP_CACHED : STEP_PASSED);
        assert_reasons(r, round ? "bad:failed:;" : "bad:new:;apart:new:;");
    }
}

static void a_missing_output_fails_the_step(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    step(g, "s", "true", OP_NONE, "never/made", OP_NONE);
    run(r, g);
    assert_int_equal(r->code, 1);
    assert_status(r, "s", STEP_FAILED);
    assert_error(r, "s", "never/made");
}

static void a_missing_input_is_said(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    step(g, "s", "true", view(g, "gone.c"), NULL, OP_NONE);
    run(r, g);
    assert_int_equal(r->code, 2);
    assert_status(r, "s", STEP_FAILED);
    assert_error(r, "s", "gone.c");
}

static void a_changed_input_taints(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "one\n");
    for (int round = 0; round < 2; round++) {
        struct graph *g = graph_new("test");
        step(g, "s", "echo more >>src.txt", view(g, "src.txt"), NULL, OP_NONE);
        run(r, g);
        assert_int_equal(r->n_started, 1); /* never a hit */
        assert_true(r->tainted);
        assert_error(r, "s", "src.txt changed while it ran");
    }
}

static void retries_are_made(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    const char *argv[] = {"/bin/sh", "-ec", "echo try >>../ran; [ $(wc -l <../ran) -ge 3 ]"};
    struct op_exec exec = {.name = "flaky",
                           .shown = "",
                           .where = "",
                           .argv = argv,
                           .n_argv = 3,
                           .cwd = "",
                           .input = OP_NONE,
                           .runner = "host",
                           .retries = 2,
                           .cache = true};
    graph_exec(g, &exec);
    run(r, g);
    assert_int_equal(r->code, 0);
    assert_int_equal(r->n_started, 3);
    assert_file(r, "../ran", "try\ntry\ntry\n");
}

static void a_timeout_fails_whatever_the_exit_code(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    const char *argv[] = {"/bin/sh", "-ec", "trap 'exit 0' TERM; sleep 100 & wait"};
    struct op_exec exec = {.name = "s",
                           .shown = "",
                           .where = "",
                           .argv = argv,
                           .n_argv = 3,
                           .cwd = "",
                           .input = OP_NONE,
                           .runner = "host",
                           .timeout_ms = 200,
                           .cache = true};
    graph_exec(g, &exec);
    run(r, g);
    assert_status(r, "s", STEP_FAILED);
    assert_int_equal(r->code, 1);
}

static void force_runs_what_is_cached(void **state)
{
    struct rig *r = *state;
    const char *b = "b";
    put(r, "src.txt", "code\n");
    run(r, two_steps());
    run_with(r, two_steps(), (struct engine_options){.force_steps = &b, .n_force_steps = 1});
    assert_reasons(r, "b:forced:;");
    assert_status(r, "a", STEP_CACHED);
    run_with(r, two_steps(), (struct engine_options){.force = true});
    assert_reasons(r, "a:forced:;b:forced:;");
}

/* Two steps fail together where they are one execution. */
static void a_shared_failure_is_not_repeated(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    step(g, "one", "echo x >>../ran; sleep 0.2; exit 4", OP_NONE, NULL, OP_NONE);
    step(g, "two", "echo x >>../ran; sleep 0.2; exit 4", OP_NONE, NULL, OP_NONE);
    run_with(r, g, (struct engine_options){.keep_going = true});
    assert_status(r, "one", STEP_FAILED);
    assert_status(r, "two", STEP_FAILED);
    assert_error(r, "two", "the equal step one failed");
    assert_file(r, "../ran", "x\n");
}

static void reasons_name_commands_and_variables(void **state)
{
    struct rig *r = *state;
    const char *argv[] = {"/bin/true"};
    struct graph_env env[] = {{"CC", "gcc"}, {"OLD", "1"}};
    struct op_exec exec = {.name = "s",
                           .shown = "",
                           .where = "",
                           .argv = argv,
                           .n_argv = 1,
                           .cwd = "",
                           .input = OP_NONE,
                           .runner = "host",
                           .cache = true,
                           .env = env,
                           .n_env = 2};
    struct graph *g = graph_new("test");
    graph_exec(g, &exec);
    run(r, g);
    env[0].value = "clang";
    env[1].name = "NEW";
    argv[0] = "/usr/bin/true";
    g = graph_new("test");
    graph_exec(g, &exec);
    run(r, g);
    assert_reasons(r, "s:command:;s:env:CC;s:env:NEW;s:env:OLD;");
    run_with(r, (g = graph_new("test"), graph_exec(g, &exec), g),
             (struct engine_options){.force = true});
    assert_int_equal(r->n_started, 1);
    exec.cache = false;
    g = graph_new("test");
    graph_exec(g, &exec);
    run(r, g);
    assert_reasons(r, "s:uncacheable:;");
}

static void a_cleared_cache_is_a_reason(void **state)
{
    struct rig *r = *state;
    struct cache_stats removed, left;
    put(r, "src.txt", "code\n");
    run(r, two_steps());
    assert_int_equal(cache_clear(r->cache, &removed, &left, NULL), 0);
    run(r, two_steps());
    assert_reasons(r, "a:evicted:;b:evicted:;");
}

static void a_long_chain_does_not_recurse(void **state)
{
    struct rig *r = *state;
    enum { N = 3000 };
    for (int round = 0; round < 2; round++) {
        struct graph *g = graph_new("test");
        op_id last = OP_NONE;
        for (int i = 0; i < N; i++) {
            char name[32];
            const char *argv[] = {"/bin/true"};
            struct graph_env env = {"N", name};
            snprintf(name, sizeof name, "s%d",
                     round ? i : i % 3); /* at first most are equal, and shared */
            char *unique = mem_printf("s%d", i);
            struct op_exec exec = {.name = unique,
                                   .shown = "",
                                   .where = "",
                                   .argv = argv,
                                   .n_argv = 1,
                                   .cwd = "",
                                   .input = OP_NONE,
                                   .after = &last,
                                   .n_after = last != OP_NONE,
                                   .runner = "host",
                                   .cache = true,
                                   .env = &env,
                                   .n_env = 1};
            last = graph_exec(g, &exec);
            free(unique);
        }
        if (round == 0)
            run(r, g);
        else
            graph_free(g);
        assert_int_equal(r->n_started, 3);
        assert_int_equal(r->status.count, N);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_runs_twice),
        TEST(equal_outputs_stop_there),
        TEST(outputs_come_back),
        TEST(equal_commands_run_once),
        TEST(file_operations_shape_the_key),
        TEST(a_failure_skips_what_needs_it),
        TEST(a_missing_output_fails_the_step),
        TEST(a_missing_input_is_said),
        TEST(a_changed_input_taints),
        TEST(retries_are_made),
        TEST(a_timeout_fails_whatever_the_exit_code),
        TEST(force_runs_what_is_cached),
        TEST(a_shared_failure_is_not_repeated),
        TEST(reasons_name_commands_and_variables),
        TEST(a_cleared_cache_is_a_reason),
        TEST(a_long_chain_does_not_recurse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
