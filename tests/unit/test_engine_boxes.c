/*
 * test_engine_boxes.c - isolated steps without a kernel's help: the engine's part of them, with a
 * runner that runs the command on the host, in a copy of what it was given to see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"
#include "cache/box_dir.h"
#include "cache/cache_gc.h"
#include "engine/engine.h"
#include "engine/kept.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- a runner that isolates nobody ------------------------------------------------------------- */

struct fake {
    struct runner base;
    struct runner *host;
    size_t n_started;
    char *mount;
};

/* What lies above hides, by overlayfs' whiteouts, what lies below. */
#define LAY                                                                                  \
    "cd '%s' && find . -type c -exec sh -c 'for f; do rm -rf \"$0/$f\"; done' '%s' {} + && " \
    "find . ! -type c ! -type d -exec cp -a --parents -t '%s' {} + && "                      \
    "find . -type d -exec mkdir -p '%s'/{} \\;"

static int fake_start(struct runner *runner, const struct runner_request *request,
                      const struct runner_callbacks *callbacks, void *ctx, struct runner_exec **out,
                      struct err *err)
{
    struct fake *fake = (struct fake *)runner;
    const struct runner_box *box = request->box;
    assert_non_null(box);
    char *upper = path_join(box->dir, "upper");
    for (size_t i = 0; i < box->n_view; i++) {
        char *script = mem_printf(LAY, box->view[i], upper, upper, upper);
        assert_int_equal(system(script), 0);
        free(script);
    }
    struct runner_request inner = *request;
    inner.root = upper;
    inner.box = NULL;
    fake->n_started++;
    free(fake->mount);
    fake->mount = mem_strdup(box->mount);
    int rc = runner_start(fake->host, &inner, callbacks, ctx, out, err);
    free(upper);
    return rc;
}

static bool fake_works(const struct runner *runner)
{
    return runner_works(((const struct fake *)runner)->host);
}

static const struct runner_ops fake_ops = {
    .name = "fake", .start = fake_start, .works = fake_works};

struct rig {
    char *dir, *root, *cache_dir, *state_dir;
    uv_loop_t loop;
    struct cache *cache;
    struct records *records;
    struct history *history;
    struct runner *runner;
    struct fake fake;
    const char *no_boxes; /* why there are none */
    struct engine *engine;
    const struct engine_shell *shell;
    /* of the last run */
    struct map status; /* step -> status + 1 */
    struct map error;  /* step -> text */
    struct buf hints, box, runners, log;
    size_t n_started;
    bool tainted, stop_when_started;
    void (*on_run)(struct rig *r);
    int code, exit_code, n_edits;
};

static char *at(struct rig *r, const char *path)
{
    return path_join(r->root, path);
}

static void put(struct rig *r, const char *path, const char *text)
{
    char *full = at(r, path);
    char *folder = mem_strndup(full, (size_t)(strrchr(full, '/') - full));
    assert_int_equal(file_mkdirs(folder, 0755, NULL), 0);
    assert_int_equal(file_write_atomic(full, text, strlen(text), 0644, NULL), 0);
    free(folder);
    free(full);
}

static void assert_file(struct rig *r, const char *path, const char *text)
{
    struct buf have = BUF_INIT;
    char *full = at(r, path);
    if (file_read(full, 1 << 20, &have, NULL) < 0)
        buf_adds(&have, "(none)");
    assert_string_equal(buf_str(&have), text);
    buf_release(&have);
    free(full);
}

static void open_project(struct rig *r, const char *name)
{
    struct err err = ERR_INIT;
    char *real = realpath(r->dir, NULL);
    r->root = path_join(real, name);
    free(real);
    assert_int_equal(file_mkdirs(r->root, 0755, NULL), 0);
    assert_int_equal(records_open(r->state_dir, r->root, &r->records, &err), 0);
    char *log = path_join(records_dir(r->records), "steps.log");
    assert_int_equal(history_open(log, &r->history, &err), 0);
    free(log);
}

static void close_project(struct rig *r)
{
    history_close(r->history);
    records_close(r->records);
    free(r->root);
}

static int setup(void **state)
{
    struct rig *r = mem_zalloc(1, sizeof *r);
    struct err err = ERR_INIT;
    bool read_only;
    r->dir = mem_strdup("/tmp/kiln-boxes-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    char *real = realpath(r->dir, NULL);
    r->cache_dir = path_join(real, "cache");
    r->state_dir = path_join(real, "state");
    free(real);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(runner_host_new(&r->loop, &r->runner, &err), 0);
    assert_int_equal(cache_open(r->cache_dir, &r->cache, &read_only, &err), 0);
    r->fake = (struct fake){.base = {&fake_ops}, .host = r->runner};
    open_project(r, "tree");
    *state = r;
    return 0;
}

static void forget(struct rig *r)
{
    map_each (entry, &r->error)
        free(entry->value);
    map_release(&r->error);
    map_release(&r->status);
    buf_release(&r->hints);
    buf_release(&r->box);
    buf_release(&r->runners);
    buf_release(&r->log);
    r->n_started = 0;
    r->exit_code = -1;
    r->tainted = false;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    forget(r);
    runner_close(r->runner, NULL, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    close_project(r);
    cache_close(r->cache);
    assert_int_equal(file_remove_tree(AT_FDCWD, r->dir, NULL), 0);
    free(r->fake.mount);
    free(r->dir);
    free(r->cache_dir);
    free(r->state_dir);
    free(r);
    return 0;
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

static void on_finished(struct rig *r, const struct event *event)
{
    assert_null(map_get_str(&r->status, event->step)); /* exactly one a run */
    map_put_str(&r->status, event->step, (void *)(uintptr_t)(event->u.finished.status + 1));
    r->tainted |= event->u.finished.tainted;
    r->exit_code = event->u.finished.exit_code;
    if (event->u.finished.error)
        map_put_str(&r->error, event->step, mem_strdup(event->u.finished.error));
    for (size_t i = 0; i < event->u.finished.n_hints; i++)
        buf_addf(&r->hints, "%s\n", event->u.finished.hints[i]);
    if (event->u.finished.box)
        buf_adds(&r->box, event->u.finished.box);
}

static void on_event(void *ctx, const struct event *event)
{
    struct rig *r = ctx;
    if (event->type == EVENT_RUN_STARTED && r->on_run)
        r->on_run(r);
    if (event->type == EVENT_STEP_STARTED) {
        r->n_started++;
        buf_addf(&r->runners, "%s:%s;", event->step, event->u.started.runner);
        if (r->stop_when_started)
            on_done(r);
    }
    if (event->type == EVENT_STEP_LOG) {
        buf_reset(&r->log);
        assert_int_equal(file_read(event->u.log.log, 1 << 20, &r->log, NULL), 0);
    }
    if (event->type == EVENT_STEP_FINISHED)
        on_finished(r, event);
}

static int boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    struct rig *r = ctx;
    *out = (struct engine_boxes){.runner = &r->fake.base, .owner = {geteuid(), getegid(), 0}};
    return r->no_boxes ? err_set(err, ERR_SYSTEM, "%s", r->no_boxes) : 0;
}

static void run(struct rig *r, struct graph *graph)
{
    struct err err = ERR_INIT;
    struct engine_options options = {.loop = &r->loop,
                                     .root = r->root,
                                     .scratch_path = r->dir,
                                     .version = "test",
                                     .trigger = "command",
                                     .cache = r->cache,
                                     .runner = r->runner,
                                     .boxes = boxes,
                                     .shell = r->shell,
                                     .records = r->records,
                                     .history = r->history,
                                     .done = on_done,
                                     .ctx = r,
                                     .jobs = 2};
    forget(r);
    assert_int_equal(engine_new(&options, &r->engine, &err), 0);
    engine_subscribe(r->engine, on_event, r);
    assert_int_equal(engine_load(r->engine, graph, NULL, 0, NULL, 0, &err), 0);
    engine_start(r->engine);
    while (r->engine)
        uv_run(&r->loop, UV_RUN_ONCE);
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

/* How many boxes there are on the disk. */
static size_t count_boxes(struct rig *r)
{
    char *path = path_join(r->cache_dir, "v1/box");
    DIR *dir = opendir(path);
    size_t n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    free(path);
    return n;
}

struct made {
    const char *name, *runner, *script, *output;
    op_id after;
    uint32_t retries;
};

static op_id step(struct graph *g, op_id input, struct made made)
{
    const char *argv[] = {"/bin/sh", "-ec", made.script};
    struct op_exec exec = {.name = made.name,
                           .shown = made.script,
                           .where = made.name,
                           .argv = argv,
                           .n_argv = 3,
                           .cwd = "",
                           .outputs = &made.output,
                           .n_outputs = made.output != NULL,
                           .input = input,
                           .after = &made.after,
                           .n_after = made.after != OP_NONE,
                           .runner = made.runner,
                           .retries = made.retries,
                           .cache = true};
    return graph_exec(g, &exec);
}

static op_id view(struct graph *g, const char *pattern)
{
    return graph_local(g, &pattern, 1);
}

static struct graph *one(struct rig *r, const char *script)
{
    struct graph *g = graph_new("test");
    (void)r;
    step(g, view(g, "src.txt"), (struct made){"s", "sandbox", script, "out", OP_NONE, 0});
    return g;
}

/* -- tests ------------------------------------------------------------------------------------- */

#define COPY "mkdir out; cat src.txt >out/copy; echo more >dropped"

static void outputs_stand_in_the_project(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    run(r, one(r, COPY));
    assert_int_equal(r->code, 0);
    assert_status(r, "s", STEP_PASSED);
    assert_string_equal(buf_str(&r->runners), "s:sandbox;");
    assert_string_equal(r->fake.mount, BOX_PROJECT);
    assert_file(r, "out/copy", "code\n");
    assert_file(r, "dropped", "(none)");
    assert_int_equal(count_boxes(r), 0);
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_CACHED);
    assert_int_equal(r->n_started, 0);
}

static void another_clone_hits(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    run(r, one(r, COPY));
    close_project(r);
    open_project(r, "clone");
    put(r, "src.txt", "code\n");
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_CACHED);
    assert_file(r, "out/copy", "code\n");
}

static void an_edit_in_mid_run_does_not_reach_it(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "old\n");
    char *script = mem_printf("mkdir out; echo new >%s/src.txt; cat src.txt >out/copy", r->root);
    run(r, one(r, script));
    assert_status(r, "s", STEP_PASSED);
    assert_false(r->tainted);
    assert_file(r, "out/copy", "old\n");
    run(r, one(r, script));
    assert_status(r, "s", STEP_PASSED);
    assert_file(r, "out/copy", "new\n");
    put(r, "src.txt", "old\n"); /* what was stored belongs to what was read */
    run(r, one(r, script));
    assert_status(r, "s", STEP_CACHED);
    assert_file(r, "out/copy", "old\n");
    free(script);
}

static void edit_source(struct rig *r)
{
    put(r, "src.txt", "edited meanwhile\n");
}

static void an_edit_before_the_snapshot_is_looked_at_again(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "old\n");
    r->on_run = edit_source;
    run(r, one(r, COPY));
    r->on_run = NULL;
    assert_status(r, "s", STEP_PASSED);
    assert_int_equal(r->n_started, 1);
    assert_file(r, "out/copy", "edited meanwhile\n");
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_CACHED);
}

/* Each time that the inputs have been looked at it is edited again. */
static void edit_always(uv_check_t *check)
{
    struct rig *r = check->data;
    char *text = mem_printf("edit %d\n", r->n_edits++);
    put(r, "src.txt", text);
    free(text);
}

static void what_never_rests_is_told(void **state)
{
    struct rig *r = *state;
    uv_check_t check;
    put(r, "src.txt", "old\n");
    uv_check_init(&r->loop, &check);
    check.data = r;
    uv_check_start(&check, edit_always);
    uv_unref((uv_handle_t *)&check);
    run(r, one(r, COPY));
    uv_close((uv_handle_t *)&check, NULL);
    uv_run(&r->loop, UV_RUN_NOWAIT);
    /* It runs with one of them, whole, or not at all. */
    if (r->n_started) {
        char *out = at(r, "out/copy");
        struct buf have = BUF_INIT;
        assert_status(r, "s", STEP_PASSED);
        assert_int_equal(file_read(out, 100, &have, NULL), 0);
        assert_true(!strcmp(buf_str(&have), "old\n") || !strncmp(buf_str(&have), "edit ", 5));
        buf_release(&have);
        free(out);
    } else {
        assert_status(r, "s", STEP_FAILED);
        assert_error(r, "s", "src.txt");
    }
    assert_false(r->tainted);
}

static void a_failure_is_kept_and_hints(void **state)
{
    struct rig *r = *state;
    struct kept kept;
    const char *script = "echo trace >trace; cat lib/gen.h";
    put(r, "src.txt", "code\n");
    put(r, "lib/gen.h", "#define X\n");
    run(r, one(r, script));
    assert_int_equal(r->code, 1);
    assert_status(r, "s", STEP_FAILED);
    assert_string_equal(buf_str(&r->hints),
                        "lib/gen.h exists in the project, but is not among the inputs of \"s\"; "
                        "add \"lib/gen.h\" to its \"inputs\"\n");
    assert_int_equal(count_boxes(r), 1);
    assert_true(kept_find(r->records, "s", &kept));
    assert_string_equal(kept.path, buf_str(&r->box));
    char *trace = mem_printf("%s/upper/trace", kept.path);
    assert_int_equal(access(trace, R_OK), 0);
    run(r, one(r, script)); /* the newest one is kept */
    assert_int_equal(count_boxes(r), 1);
    assert_int_not_equal(access(trace, R_OK), 0);
    free(trace);
    kept_release(&kept);
    run(r, one(r, COPY));
    assert_int_equal(count_boxes(r), 0);
    assert_false(kept_find(r->records, "s", &kept));
}

static void hints_name_the_step_that_is_needed(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    put(r, "src.txt", "code\n");
    put(r, "lib/unrelated.txt", "");
    op_id gen =
        step(g, OP_NONE,
             (struct made){"gen", "sandbox", "mkdir gen; echo x >gen/x.h", "gen", OP_NONE, 0});
    step(g, view(g, "src.txt"),
         (struct made){"s", "sandbox",
                       "cat src.txt >/dev/null; echo see src.txt and nowhere/else.c; cat gen/x.h",
                       NULL, gen, 0});
    run(r, g);
    assert_string_equal(buf_str(&r->hints), ""); /* it needs gen, but not its outputs */
    g = graph_new("test");
    step(g, OP_NONE,
         (struct made){"gen", "sandbox", "mkdir gen; echo x >gen/x.h", "gen", OP_NONE, 0});
    step(g, view(g, "src.txt"),
         (struct made){"s", "sandbox", "echo '\033[31m/src/gen/x.h:1:\033[0m no'; false", NULL,
                       OP_NONE, 0});
    run(r, g);
    assert_string_equal(
        buf_str(&r->hints),
        "gen/x.h is made by \"gen\", which \"s\" does not need; add \"gen\" to its \"needs\"\n");
}

static void hosts_and_boxes_give_to_each_other(void **state)
{
    struct rig *r = *state;
    for (int round = 0; round < 2; round++) {
        struct graph *g = graph_new("test");
        put(r, "src.txt", "code\n");
        op_id a = step(g, view(g, "src.txt"),
                       (struct made){"a", "host", "cp src.txt a.txt", "a.txt", OP_NONE, 0});
        op_id b =
            step(g, a, (struct made){"b", "sandbox", "cat a.txt a.txt >b.txt", "b.txt", a, 0});
        step(g, b, (struct made){"c", "host", "cp b.txt c.txt", "c.txt", b, 0});
        run(r, g);
        assert_int_equal(r->code, 0);
        assert_status(r, "c", round ? STEP_CACHED : STEP_PASSED);
        assert_file(r, "c.txt", "code\ncode\n");
    }
}

static void each_attempt_begins_anew(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    char *script =
        mem_printf("ls >>%s/seen; echo x >left; [ $(wc -l <%s/seen) -ge 3 ]", r->dir, r->dir);
    put(r, "src.txt", "code\n");
    step(g, view(g, "src.txt"), (struct made){"s", "sandbox", script, NULL, OP_NONE, 5});
    run(r, g);
    assert_status(r, "s", STEP_PASSED);
    assert_file(r, "../seen", "src.txt\nsrc.txt\nsrc.txt\n");
    assert_int_equal(count_boxes(r), 0);
    free(script);
}

static void ending_it_leaves_nothing(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    r->stop_when_started = true;
    run(r, one(r, "sleep 1000"));
    r->stop_when_started = false;
    assert_status(r, "s", STEP_CANCELLED);
    assert_int_equal(count_boxes(r), 0);
}

static void without_boxes_it_is_said(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    r->no_boxes = "this kernel has no user namespaces; allow them";
    run(r, one(r, COPY));
    assert_int_equal(r->code, 3);
    assert_error(r, "s", "no user namespaces; allow them");
    r->no_boxes = NULL;
    run(r, one(r, COPY));
    r->no_boxes = "nobody asks";
    run(r, one(r, COPY)); /* a cached one needs none */
    assert_status(r, "s", STEP_CACHED);
}

static void a_missing_output_is_said(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    run(r, one(r, "true"));
    assert_int_equal(r->code, 1);
    assert_error(r, "s", "out");
    assert_int_equal(count_boxes(r), 1);
}

static void a_shell_sees_what_the_step_sees(void **state)
{
    struct rig *r = *state;
    const char *argv[] = {"/bin/sh", "-c", "ls; ls out; exit 7", NULL};
    struct engine_shell shell = {.step = "s", .argv = argv};
    put(r, "src.txt", "code\n");
    put(r, "other.txt", "not declared\n");
    r->shell = &shell;
    run(r, one(r, COPY));
    assert_int_equal(r->exit_code, 7);
    assert_non_null(strstr(buf_str(&r->log), "src.txt\n"));
    assert_null(strstr(buf_str(&r->log), "other.txt"));
    assert_int_equal(count_boxes(r), 0);
    r->shell = NULL;
    run(r, one(r, COPY "; false")); /* nothing was stored */
    assert_status(r, "s", STEP_FAILED);
    shell.failed = true;
    r->shell = &shell;
    run(r, one(r, COPY));
    assert_non_null(strstr(buf_str(&r->log), "dropped\n"));
    assert_non_null(strstr(buf_str(&r->log), "copy\n"));
    assert_int_equal(count_boxes(r), 1);
    r->shell = NULL;
}

static void what_a_killed_kiln_left_goes(void **state)
{
    struct rig *r = *state;
    struct err err = ERR_INIT;
    struct box_dir *dead, *kept;
    put(r, "src.txt", "code\n");
    assert_int_equal(box_dir_new(r->cache, geteuid(), getegid(), &dead, &err), 0);
    assert_int_equal(box_dir_new(r->cache, geteuid(), getegid(), &kept, &err), 0);
    assert_true(box_dir_keep(kept));
    box_dir_free(dead);
    box_dir_free(kept);
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_PASSED);
    assert_int_equal(count_boxes(r), 1);
}

/* Writes over the messages that a snapshot tells its tree by. */
static void damage_snapshots(struct rig *r)
{
    char *command = mem_printf("for meta in '%s'/v1/snap/*/tree/*/meta; do "
                               "printf XXXXXXXX | dd of=\"$meta\" bs=1 conv=notrunc status=none "
                               "seek=$(($(stat -c %%s \"$meta\") - 8)); done",
                               r->cache_dir);
    assert_int_equal(system(command), 0);
    free(command);
}

static void a_damaged_snapshot_is_made_anew(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "old\n");
    run(r, one(r, COPY));
    damage_snapshots(r);
    put(r, "src.txt", "new\n");
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_PASSED);
    assert_file(r, "out/copy", "new\n");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(outputs_stand_in_the_project),
        T(another_clone_hits),
        T(an_edit_in_mid_run_does_not_reach_it),
        T(an_edit_before_the_snapshot_is_looked_at_again),
        T(what_never_rests_is_told),
        T(a_failure_is_kept_and_hints),
        T(hints_name_the_step_that_is_needed),
        T(hosts_and_boxes_give_to_each_other),
        T(each_attempt_begins_anew),
        T(ending_it_leaves_nothing),
        T(without_boxes_it_is_said),
        T(a_missing_output_is_said),
        T(a_shell_sees_what_the_step_sees),
        T(what_a_killed_kiln_left_goes),
        T(a_damaged_snapshot_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
