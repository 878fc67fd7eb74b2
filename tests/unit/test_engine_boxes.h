/*
 * test_engine_boxes.h - isolated steps without a kernel's help: the engine's part of them, with a
 * runner that runs the command on the host, in a copy of what it was given to see.
 */
#ifndef KILN_TEST_ENGINE_BOXES_H
#define KILN_TEST_ENGINE_BOXES_H

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

static inline int fake_start(struct runner *runner, const struct runner_request *request,
                             const struct runner_callbacks *callbacks, void *ctx,
                             struct runner_exec **out, struct err *err)
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

static inline bool fake_works(const struct runner *runner)
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

static inline char *at(struct rig *r, const char *path)
{
    return path_join(r->root, path);
}

static inline void put(struct rig *r, const char *path, const char *text)
{
    char *full = at(r, path);
    char *folder = mem_strndup(full, (size_t)(strrchr(full, '/') - full));
    assert_int_equal(file_mkdirs(folder, 0755, NULL), 0);
    assert_int_equal(file_write_atomic(full, text, strlen(text), 0644, NULL), 0);
    free(folder);
    free(full);
}

static inline void assert_file(struct rig *r, const char *path, const char *text)
{
    struct buf have = BUF_INIT;
    char *full = at(r, path);
    if (file_read(full, 1 << 20, &have, NULL) < 0)
        buf_adds(&have, "(none)");
    assert_string_equal(buf_str(&have), text);
    buf_release(&have);
    free(full);
}

static inline void open_project(struct rig *r, const char *name)
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

static inline void close_project(struct rig *r)
{
    history_close(r->history);
    records_close(r->records);
    free(r->root);
}

static inline int setup(void **state)
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

static inline void forget(struct rig *r)
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

static inline int teardown(void **state)
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

static inline void on_closed(void *ctx)
{
    ((struct rig *)ctx)->engine = NULL;
}

static inline void on_done(void *ctx)
{
    struct rig *r = ctx;
    r->code = engine_exit_code(r->engine);
    engine_close(r->engine, on_closed, r);
}

static inline void on_finished(struct rig *r, const struct event *event)
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

static inline void on_event(void *ctx, const struct event *event)
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

static inline int boxes(void *ctx, struct engine_boxes *out, struct err *err)
{
    struct rig *r = ctx;
    *out = (struct engine_boxes){.runner = &r->fake.base,
                                 .owner = {.uid = geteuid(), .gid = getegid()}};
    return r->no_boxes ? err_set(err, ERR_SYSTEM, "%s", r->no_boxes) : 0;
}

static inline void run(struct rig *r, struct graph *graph)
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

static inline void assert_status(struct rig *r, const char *step, enum step_status status)
{
    void *have = map_get_str(&r->status, step);
    assert_non_null(have);
    assert_string_equal(step_status_name((enum step_status)((uintptr_t)have - 1)),
                        step_status_name(status));
}

static inline void assert_error(struct rig *r, const char *step, const char *part)
{
    const char *have = map_get_str(&r->error, step);
    assert_non_null(have);
    if (!strstr(have, part))
        fail_msg("\"%s\" does not hold \"%s\"", have, part);
}

/* How many boxes there are on the disk. */
static inline size_t count_boxes(struct rig *r)
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

static inline op_id step(struct graph *g, op_id input, struct made made)
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

static inline op_id view(struct graph *g, const char *pattern)
{
    return graph_local(g, &pattern, 1);
}

static inline struct graph *one(struct rig *r, const char *script)
{
    struct graph *g = graph_new("test");
    (void)r;
    step(g, view(g, "src.txt"), (struct made){"s", "sandbox", script, "out", OP_NONE, 0});
    return g;
}

#define COPY "mkdir out; cat src.txt >out/copy; echo more >dropped"

#endif
