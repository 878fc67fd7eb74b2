/*
 * flight.c - one execution: started, listened to, and ended; landing.c has what comes between the
 * end of a command that passed and its committed result.
 */
#include "engine/boxing.h"
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/trace.h"
#include "engine/wants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* It is no longer in the air: its step can be started again, and equal ones are on their own. */
static void take_down(struct engine *e, struct flight *flight)
{
    struct node *node = &e->nodes.v[flight->node];
    ahead_withdrawn(e, flight);
    node->flight = NULL;
    turn_give(e, node);
    e->n_landing -= flight->landing;
    e->n_typing -= node->exec->interactive;
    void **place = map_get(&e->flights, flight->key.hash, sizeof flight->key.hash);
    if (place && *place == flight)
        map_del(&e->flights, flight->key.hash, sizeof flight->key.hash);
}

static void flight_free(struct flight *flight)
{
    if (flight->spool >= 0)
        close(flight->spool);
    worktree_check_free(flight->check);
    secrets_release(flight->secrets);
    caches_release(flight->caches);
    breaks_watch_free(flight->watch);
    vec_release(&flight->dep_stamps);
    vec_release(&flight->dep_ticks);
    vec_release(&flight->sharers);
    vec_release(&flight->chunks);
    chunks_release(&flight->times);
    vec_release(&flight->ticks);
    boxing_free(flight->box);
    free(flight->log);
    free(flight);
}

void flight_end(struct engine *e, struct flight *flight, enum step_status status, bool tainted,
                const char *error)
{
    struct node *node = &e->nodes.v[flight->node];
    uint64_t duration_ms = (clock_monotonic_ns() - flight->start_ns) / 1000000;
    if (flight->exit.start_ns && flight->exit.end_ns > flight->exit.start_ns)
        duration_ms = (flight->exit.end_ns - flight->exit.start_ns) / 1000000;
    take_down(e, flight);
    /* A failure of the command itself is everybody's who shared it; anything else they find out. */
    bool all_failed = status == STEP_FAILED && flight->exit.end_ns && !error;
    /* A pass that no cache has is found nowhere else by the same step's successor. */
    bool passed_for_all =
        status == STEP_PASSED && !tainted && (!node->exec->cache || e->opt.no_cache);
    VEC(struct instance *) shared = VEC_INIT;
    vec_each (struct instance *, in, &flight->sharers) {
        (*in)->flight = NULL;
        if (all_failed || ((*in)->node == flight->node && passed_for_all))
            vec_push(&shared, *in);
        else
            schedule_ready(e, *in);
    }
    /* A successor of the same step was waiting for the place to be free. */
    struct instance *next = node->current;
    if (next != flight->owner && next && next->state == READY) {
        forget_ready(e, next);
        schedule_ready(e, next);
    }
    /* An edit ended it: who asked for the step gets what it comes to now. */
    bool follows = status == STEP_CANCELLED && flight->cancel_why && flight->owner->run->ask &&
                   next && next != flight->owner && next->state != DONE && !e->drained;
    const struct runner_exit *exit = flight->exit.end_ns ? &flight->exit : NULL;
    bool recorded = flight->owner->run->record != NULL;
    char *same = mem_printf("the equal step %s failed", node->exec->name);
    if (follows)
        ask_follow(e, flight->owner);
    else if (!breaks_hold_end(e, flight, status, tainted, duration_ms, error))
        instance_finish(e, flight->owner, status, exit, tainted, duration_ms, error);
    vec_each (struct instance *, in, &shared)
        instance_finish(e, *in, status, exit, false, duration_ms,
                        (*in)->node == flight->node ? NULL : same);
    free(same);
    vec_release(&shared);
    ahead_free_place(e,
                     flight); /* not before it is known whether a failure ends what has not begun */
    if (!recorded && flight->log)
        unlink(flight->log);
    flight_free(flight);
    schedule_pump(e);
}

/* It has not started: all as if it had never been. again: its owner is checked when the inputs have
 * been looked at, else now. */
static void call_off(struct engine *e, struct flight *flight, bool again)
{
    struct instance *owner = flight->owner;
    struct instance *next = e->nodes.v[flight->node].current;
    take_down(e, flight);
    ahead_free_place(e, flight);
    vec_each (struct instance *, in, &flight->sharers) {
        (*in)->flight = NULL;
        schedule_ready(e, *in);
    }
    owner->flight = NULL;
    struct run *run = owner->run;
    if (!again)
        schedule_ready(e, owner);
    run->stopping |=
        run->ask && !run->ask->opt.keep_going && run->counts[STEP_FAILED] > 0; /* here too */
    if (next != owner && next && next->state == READY)
        schedule_ready(e, next);
    flight_free(flight);
    if (again)
        round_look_again(e, owner);
    schedule_pump(e);
}

void flight_look_again(struct engine *e, struct flight *flight)
{
    call_off(e, flight, true);
}

void flight_disturb_dependents(struct engine *e, const struct node *node)
{
    if (!node->exec->n_outputs)
        return;
    vec_each (uint32_t, dep, (ids *)&node->dependents) {
        if (e->nodes.v[*dep].flight)
            e->nodes.v[*dep].flight->disturbed =
                "an output that it needs was made anew while it ran";
    }
}

/* Notes what the inputs are as the command begins; they must still be what its key says. views:
 * those of the worktree's that will have to be so when it ends. */
static void note_inputs(struct engine *e, struct flight *flight, ids *views)
{
    const struct node *node = &e->nodes.v[flight->node];
    vec_each (uint32_t, local, (ids *)&node->locals) {
        vec_push(views, e->locals.v[*local].view);
        vec_push(&flight->ticks, e->locals.v[*local].tick);
    }
    vec_each (uint32_t, dep, (ids *)&node->deps) {
        uint32_t view = e->nodes.v[*dep].out_view;
        /* Not as of now: since it was known to be in place. */
        vec_push(&flight->dep_ticks, view == WORKTREE_NONE ? 0 : e->nodes.v[*dep].out_tick);
        const struct node *needed = &e->nodes.v[*dep];
        if (!e->watch && needed->stamped && needed->exec->n_outputs)
            vec_push(&flight->dep_stamps,
                     ((struct dep_stamp){needed->exec, needed->stamp, needed->stamp_ns}));
        else if (!e->watch && view != WORKTREE_NONE)
            vec_push(views, view); /* in place since the round looked */
    }
    if (views->n)
        worktree_prepare_now(e->worktree, views->v, views->n);
    vec_each (uint32_t, index, (ids *)&node->locals) {
        const struct local *local = &e->locals.v[*index];
        struct digest now;
        if (worktree_digest(e->worktree, local->view, &now, NULL, NULL) != WORKTREE_READY ||
            !digest_eq(&now, &local->digest))
            flight->disturbed = "an input changed before it ran";
    }
}

/* A command that could not be started is told like any other: it has a log that says why. */
static void announce(struct flight *flight, pid_t pid)
{
    if (flight->announced)
        return;
    flight->announced = true;
    flight->pid = pid;
    emit_started(flight->engine, flight);
}

static void on_started(void *ctx, pid_t pid)
{
    struct flight *flight = ctx;
    ahead_withdrawn(flight->engine, flight);
    announce(flight, pid);
}

/* Where the output goes to, made for the first of it. */
static int open_log(struct engine *e, const struct instance *in, char **path, int *fd,
                    struct err *err)
{
    if (in->run->record)
        return record_spool(in->run->record, e->nodes.v[in->node].exec->name, path, fd, err);
    /* The scratch directory lies in the cache, which may not be writable. */
    const char *tmp = getenv("TMPDIR");
    const char *const places[] = {e->opt.scratch_path, tmp && *tmp == '/' ? tmp : NULL, "/tmp"};
    *fd = -1;
    for (size_t i = 0; i < sizeof places / sizeof *places && *fd < 0; i++) {
        if (!places[i])
            continue;
        free(*path);
        *path = path_join(places[i], "kiln-log-XXXXXX");
        *fd = mkostemp(*path, O_CLOEXEC);
    }
    return *fd < 0 ? err_sys(err, errno, "cannot make a log file %s", *path) : 0;
}

static int on_spool(void *ctx)
{
    struct flight *flight = ctx;
    struct err err = ERR_INIT;
    if (flight->spool < 0 &&
        open_log(flight->engine, flight->owner, &flight->log, &flight->spool, &err) < 0)
        flight->spool = -1;
    int errnum = err.errnum;
    err_release(&err);
    errno = errnum;
    return flight->spool;
}

static void on_output(void *ctx, int stream, uint64_t offset, uint64_t n)
{
    struct flight *flight = ctx;
    announce(flight, 0);
    if (flight->chunks.n && vec_last(&flight->chunks).stream == stream)
        vec_last(&flight->chunks).bytes += n;
    else
        vec_push(&flight->chunks, (struct action_chunk){(uint8_t)stream, n});
    chunks_add(&flight->times, offset, n, 1, clock_realtime_ns());
    flight->spooled = offset + n;
    emit_log(flight->engine, flight, stream, offset, n);
    if (flight->watch)
        breaks_read(flight->engine, flight, stream, offset, n);
}

static void on_secret_output(void *ctx, int stream, const char *bytes, size_t n, struct buf *out)
{
    struct flight *flight = ctx;
    secrets_filter(flight->secrets, stream, bytes, n, out);
}

/* A step that sets the variable itself means another trace. */
static void add_trace(const struct engine *e, const struct flight *flight, char ***envp)
{
    static const char name[] = "TRACEPARENT=";
    char span[TRACE_SPAN + 1];
    size_t n = 0;
    for (; (*envp)[n]; n++) {
        if (!strncmp((*envp)[n], name, sizeof name - 1))
            return;
    }
    trace_span(e->opt.trace, e->nodes.v[flight->node].exec->name, flight->owner->attempt, span);
    *envp = mem_realloc(*envp, n + 2, sizeof **envp);
    (*envp)[n] = mem_printf("%s00-%s-%s-01", name, e->opt.trace, span);
    (*envp)[n + 1] = NULL;
}

static int launch(struct engine *e, struct flight *flight, struct err *err);

/* What may start next does not wait for this one's result, unless too many are on their way
 * already, or one step at a time is wanted and could write in another one's outputs while they are
 * taken. */
static void land(struct engine *e, struct flight *flight)
{
    bool early = e->n_landing < ENGINE_MAX_LANDING &&
                 (e->jobs > 1 || !e->nodes.v[flight->node].exec->n_outputs);
    flight->landing = true;
    e->n_landing++;
    e->n_jobs++;
    if (early) {
        ahead_free_place(e, flight);
        schedule_pump(e);
    }
    flight_commit(e, flight);
    engine_job_done(e);
}

/* The limit that it met is the cause, where that can be told. */
static void fail(struct flight *flight, const struct runner_exit *exit)
{
    struct engine *e = flight->engine;
    const struct graph_limits *limits = &e->nodes.v[flight->node].exec->limits;
    char size[16];
    char *text = NULL;
    if (exit->cause == BOX_CAUSE_MEMORY)
        text = mem_printf("it met its limit of memory, %s", text_size(limits->memory, size));
    else if (exit->cause == BOX_CAUSE_PIDS)
        text = mem_printf("it met its limit of %u processes", limits->pids);
    else if (exit->cause == BOX_CAUSE_FILE_SIZE)
        text =
            mem_printf("it met its limit of a file's size, %s", text_size(limits->file_size, size));
    flight_fail(e, flight, text);
    free(text);
}

static void on_exited(void *ctx, const struct runner_exit *exit)
{
    struct flight *flight = ctx;
    struct engine *e = flight->engine;
    struct node *node = &e->nodes.v[flight->node];
    flight->exec = NULL;
    flight->exit = *exit;
    if (exit->counted && e->ahead.n)
        ahead_free_place(e, flight);
    flight->exit.counted = false; /* who starts ahead from now on is not who the place went to */
    if (exit->withdrawn && !flight->cancelled) {
        call_off(e, flight, false);
        return;
    }
    ahead_withdrawn(e, flight);
    e->pace_is_quick = exit->end_ns - exit->start_ns < ENGINE_QUICK_NS;
    if (!flight->cancelled)
        announce(flight, 0);
    if (exit->truncated) {
        char size[16];
        char *text = mem_printf("step %s wrote more than %s: what is over is not in its log",
                                node->exec->name, text_size(ENGINE_SPOOL_LIMIT, size));
        engine_notice(e, "warning", text);
        free(text);
    }
    if (exit->lost) {
        engine_failed(e, flight->owner, 3);
        flight_end(e, flight, STEP_FAILED, false, exit->lost);
    } else if (flight->cancelled || exit->cancelled) {
        node->cancels += flight->cancel_why != NULL;
        flight_end(e, flight, STEP_CANCELLED, flight->cancel_why != NULL, flight->cancel_why);
    } else if (exit->spool_errno) {
        char *text =
            mem_printf("its output could not be written to %s: %s",
                       flight->log ? flight->log : "a log file", strerror(exit->spool_errno));
        engine_failed(e, flight->owner, 3);
        flight_end(e, flight, STEP_FAILED, false, text);
        free(text);
    } else if (flight->shell) {
        flight_end(e, flight, exit->exit_code == 0 ? STEP_PASSED : STEP_FAILED, false, NULL);
    } else if (exit->exit_code == 0 && !exit->timed_out) {
        land(e, flight);
    } else if (flight->owner->attempt <= node->exec->retries && !e->stop_starting) {
        struct err err = ERR_INIT;
        flight->owner->attempt++;
        if (!flight->has_slot) { /* it ended well, but too late */
            flight->has_slot = true;
            e->n_running++;
        }
        if (!flight->box)
            room_on_host(e, node->exec);
        if ((flight->box && boxing_again(e, flight, &err) < 0) || launch(e, flight, &err) < 0)
            flight_end(e, flight, STEP_FAILED, false, err_text(&err));
        err_release(&err);
    } else {
        fail(flight, exit);
    }
}

/* Where it runs must lie in the project, whatever links lead there. (A place that is not there is
 * told by the runner.) */
static int check_cwd(struct engine *e, const struct op_exec *exec, struct err *err)
{
    char *full = path_join(e->opt.root, exec->cwd);
    char *real = *exec->cwd ? realpath(full, NULL) : NULL;
    int rc = 0;
    if (real && !path_is_below(real, e->opt.root))
        rc = err_set(err, ERR_CONFIG,
                     "%s: \"cwd\": \"%s\" leads out of the project, to %s; name a directory in it",
                     exec->where, exec->cwd, real);
    free(real);
    free(full);
    return rc;
}

/* Whether the directory is there because an output lies in it. */
static bool has_room(const struct op_exec *exec, const char *dir)
{
    for (size_t i = 0; i < exec->n_outputs; i++) {
        if (path_is_below(exec->outputs[i], dir) && strcmp(exec->outputs[i], dir) != 0)
            return true;
    }
    return false;
}

/* The same for a box, whose runtime would make a directory that is missing. What a link leads to
 * only the runtime knows. */
static int check_cwd_inside(struct engine *e, const struct flight *flight, struct err *err)
{
    const struct op_exec *exec = e->nodes.v[flight->node].exec;
    struct tree_entry entry = {.kind = TREE_DIR};
    struct arena arena = ARENA_INIT;
    struct err none = ERR_INIT; /* a tree that is not known here says nothing against it */
    bool found = true;
    for (size_t n = 0; exec->cwd[n] && found && entry.kind == TREE_DIR; n += exec->cwd[n] == '/') {
        n += strcspn(exec->cwd + n, "/");
        char *part = mem_strndup(exec->cwd, n);
        if (trees_find(e->trees, &flight->owner->input_root, part, &arena, &entry, &found, &none) <
            0)
            entry.kind = TREE_SYMLINK;
        free(part);
    }
    bool fits = (found || has_room(exec, exec->cwd)) && entry.kind != TREE_FILE;
    arena_release(&arena);
    err_release(&none);
    if (fits)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s: \"cwd\": \"%s\" is no directory of what the step sees; add it to its "
                   "\"inputs\" (without files in it, it is none)",
                   exec->where, exec->cwd);
}

static int launch(struct engine *e, struct flight *flight, struct err *err)
{
    const struct runner_callbacks callbacks = {.started = on_started,
                                               .spool = on_spool,
                                               .output = on_output,
                                               .exited = on_exited,
                                               .filter = flight->secrets ? on_secret_output : NULL};
    const struct op_exec *exec = e->nodes.v[flight->node].exec;
    if ((flight->box ? check_cwd_inside(e, flight, err) : check_cwd(e, exec, err)) < 0)
        return -(int)err->kind;
    char **envp = key_environment(e, exec, secrets_values(flight->secrets));
    if (e->opt.trace)
        add_trace(e, flight, &envp);
    flight->announced = false;
    struct runner_request request = {.argv = exec->argv,
                                     .envp = (const char *const *)envp,
                                     .root = e->opt.root,
                                     .cwd = exec->cwd,
                                     .spool_offset = flight->spooled,
                                     .spool_limit = ENGINE_SPOOL_LIMIT,
                                     .secret = flight->secrets != NULL,
                                     .ahead = !flight->has_slot,
                                     .timeout_ms = exec->timeout_ms,
                                     .grace_ms = ENGINE_GRACE_MS};
    if (flight->shell) {
        request.argv = e->opt.shell->argv;
        request.terminal = e->opt.shell->terminal;
        request.timeout_ms = 0;
    }
    request.pty = typing_terminal(e, flight);
    struct runner *runner = flight->box ? e->boxes.runner : e->opt.runner;
    if (flight->box)
        boxing_request(e, flight, &request);
    int rc = runner_start(runner, &request, &callbacks, flight, &flight->exec, err);
    key_environment_free(envp);
    return rc;
}

void flight_launch(struct engine *e, struct flight *flight)
{
    struct err err = ERR_INIT;
    if (launch(e, flight, &err) < 0) {
        engine_failed(e, flight->owner, err.kind == ERR_CONFIG ? 2 : 3);
        flight_end(e, flight, STEP_FAILED, false, err_text(&err));
    }
    err_release(&err);
}

void flight_start(struct engine *e, struct instance *in, struct flight_caches *caches)
{
    struct node *node = &e->nodes.v[in->node];
    struct flight *flight = mem_zalloc(1, sizeof *flight);
    ids views = VEC_INIT;
    flight->engine = e;
    flight->owner = in;
    flight->node = in->node;
    flight->key = in->key;
    flight->spool = -1;
    flight->times.max = ENGINE_LOG_TIMES;
    flight->start_ns = clock_monotonic_ns();
    flight->secrets = secrets_take(e, node->exec);
    flight->caches = caches;
    if (!node->boxed) {
        room_on_host(e, node->exec);
        note_inputs(e, flight, &views);
        flight_disturb_dependents(e, node);
    }
    flight->shell = e->opt.shell && strcmp(node->exec->name, e->opt.shell->step) == 0;
    breaks_watch(e, flight);
    in->state = RUNNING;
    in->flight = flight;
    node->flight = flight;
    node->value.known = false; /* it writes over what was in place */
    flight->has_slot = e->n_running < e->jobs;
    if (flight->has_slot)
        e->n_running++;
    else
        ahead_add(e, flight);
    e->n_typing += node->exec->interactive;
    map_put(&e->flights, flight->key.hash, sizeof flight->key.hash, flight, NULL);
    if (node->boxed)
        boxing_prepare(e, flight);
    else
        flight_launch(e, flight);
    /* What is known of them is copied while the command begins: it is what it was before. */
    if (views.n && node->flight == flight)
        flight->check = worktree_check_new(e->worktree, views.v, views.n);
    vec_release(&views);
}

void flight_cancel(struct flight *flight, const char *why)
{
    if (flight->cancelled)
        return;
    flight->cancelled = true;
    flight->cancel_why = why;
    if (flight->box)
        boxing_cancel(flight);
    if (!flight->exec)
        return;
    if (!flight->has_slot)
        (void)ahead_expect_withdrawn(flight);
    runner_cancel(flight->exec);
}
