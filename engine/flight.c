/*
 * flight.c - one execution from its spool file to its committed result, and the restoring of a
 * hit's outputs.
 *
 * The commit protocol: the command ends -> a worker takes outputs and logs into the cache and looks
 * whether any input was touched -> watching, a second barrier brings in every event up to then ->
 * only if nothing was touched is the action result put, and that is the commit.
 */
#include "engine/commit.h"
#include "engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t run_ms(const struct flight *flight)
{
    return (flight->exit.end_ns - flight->exit.start_ns) / 1000000;
}

static void end_flight(struct engine *e, struct flight *flight, enum step_status status,
                       bool tainted, const char *error)
{
    struct node *node = &e->nodes.v[flight->node];
    uint64_t duration_ms = (clock_monotonic_ns() - flight->start_ns) / 1000000;
    if (flight->exit.start_ns && flight->exit.end_ns > flight->exit.start_ns)
        duration_ms = (flight->exit.end_ns - flight->exit.start_ns) / 1000000;
    node->flight = NULL;
    turn_give(e, node);
    e->n_running--;
    void **place = map_get(&e->flights, flight->key.hash, sizeof flight->key.hash);
    if (place && *place == flight)
        map_del(&e->flights, flight->key.hash, sizeof flight->key.hash);
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
    const struct runner_exit *exit = flight->exit.end_ns ? &flight->exit : NULL;
    bool recorded = flight->owner->run->record != NULL;
    char *same = mem_printf("the equal step %s failed", node->exec->name);
    instance_finish(e, flight->owner, status, exit, tainted, duration_ms, error);
    vec_each (struct instance *, in, &shared)
        instance_finish(e, *in, status, exit, false, duration_ms,
                        (*in)->node == flight->node ? NULL : same);
    free(same);
    vec_release(&shared);
    if (flight->spool >= 0)
        close(flight->spool);
    if (!recorded && flight->log)
        unlink(flight->log);
    worktree_check_free(flight->check);
    vec_release(&flight->dep_stamps);
    vec_release(&flight->dep_ticks);
    vec_release(&flight->sharers);
    vec_release(&flight->chunks);
    vec_release(&flight->ticks);
    free(flight->log);
    free(flight);
    schedule_pump(e);
}

/* A step that seems to disturb itself is not looked at again before somebody else changes an input,
 * or all is calm. Returns why it may never be, or what is to come. */
static const char *leave_alone(struct engine *e, struct flight *flight, const char *why)
{
    struct node *node = &e->nodes.v[flight->node];
    struct instance *next = node->current;
    node->taints = node->cancels = 0;
    node->deaf_until = e->clock.tick;
    node->left = true;
    node->left_key = flight->key;
    if (calm_wait(e, node))
        why = "it runs again when nothing changes for a while";
    if (next != flight->owner &&
        (next->state == READY || next->state == SHARING || next->state == QUEUED))
        instance_finish(e, next, STEP_CANCELLED, NULL, true, 0, why);
    return why;
}

/* Disturbed: the result does not belong to the key. Watching, the step is looked at again, unless
 * it seems to disturb itself. */
static void end_tainted(struct engine *e, struct commit *commit)
{
    struct flight *flight = commit->flight;
    struct node *node = &e->nodes.v[flight->node];
    const char *path = commit->check ? worktree_check_changed(commit->check) : NULL;
    bool watching = e->opt.mode == ENGINE_WATCH;
    bool again = watching && ++node->taints < ENGINE_MAX_TAINTS;
    struct buf error = BUF_INIT;
    if (path)
        buf_addf(&error, "input %s changed while it ran", *path ? path : ".");
    else if (commit->rc < 0)
        buf_adds(&error, err_text(&commit->err));
    else
        buf_adds(&error, flight->disturbed ? flight->disturbed : "an input changed while it ran");
    buf_adds(&error, ": the result is not kept");
    if (again) {
        buf_adds(&error, "; it runs again");
    } else if (watching) {
        buf_adds(&error, "; ");
        buf_adds(&error, leave_alone(e, flight,
                                     "if the step writes it itself, declare it as an output and "
                                     "not as an input"));
    }
    if (again && node->current == flight->owner && !node->recheck) {
        node->recheck = true;
        e->n_recheck++;
    }
    note_result(e, flight->owner, HISTORY_TAINTED, run_ms(flight));
    commit_free(commit);
    end_flight(e, flight, node->value.known ? STEP_PASSED : STEP_FAILED, true, buf_str(&error));
    buf_release(&error);
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

/* Whether an event says that one of its inputs may have been touched. */
static bool inputs_touched(struct engine *e, const struct flight *flight)
{
    const struct node *node = &e->nodes.v[flight->node];
    for (size_t i = 0; i < node->locals.n; i++) {
        if (worktree_view_tick(e->worktree, e->locals.v[node->locals.v[i]].view) !=
            flight->ticks.v[i])
            return true;
    }
    return false;
}

static bool disturbed(struct engine *e, struct flight *flight)
{
    const struct node *node = &e->nodes.v[flight->node];
    if (flight->disturbed)
        return true;
    for (size_t i = 0; i < node->deps.n; i++) {
        const struct node *dep = &e->nodes.v[node->deps.v[i]];
        if (dep->out_view != WORKTREE_NONE &&
            worktree_view_tick(e->worktree, dep->out_view) != flight->dep_ticks.v[i]) {
            flight->disturbed = "an output that it needs was touched while it ran";
            return true;
        }
    }
    return false;
}

struct failure {
    struct flight *flight;
    char *error; /* owned, or NULL */
};

static void failure_finish(struct engine *e, struct failure *failure)
{
    struct flight *flight = failure->flight;
    struct node *node = &e->nodes.v[flight->node];
    bool cancelled = flight->cancelled;
    note_result(e, flight->owner, HISTORY_FAILED, run_ms(flight));
    if (!e->watch || !inputs_touched(e, flight))
        node->taints = node->cancels = 0;
    else if (++node->taints >= ENGINE_MAX_TAINTS)
        (void)leave_alone(
            e, flight,
            "its inputs changed while it ran, again and again; if it writes them itself, "
            "they are no inputs");
    if (cancelled)
        end_flight(e, flight, STEP_CANCELLED, flight->cancel_why != NULL, flight->cancel_why);
    else
        end_flight(e, flight, STEP_FAILED, false, failure->error);
    free(failure->error);
    free(failure);
}

static void commit_finish(struct engine *e, struct commit *commit)
{
    struct flight *flight = commit->flight;
    struct node *node = &e->nodes.v[flight->node];
    if (flight->cancelled) {
        const char *why = flight->cancel_why;
        commit_free(commit);
        end_flight(e, flight, STEP_CANCELLED, why != NULL, why);
        return;
    }
    if (commit->rc < 0 &&
        commit->err.kind != ERR_CORRUPT) { /* an output that is not there, or can't be kept */
        struct failure *failure = mem_zalloc(1, sizeof *failure);
        failure->flight = flight;
        failure->error = mem_strdup(err_text(&commit->err));
        commit_free(commit);
        failure_finish(e, failure); /* the barrier has been */
        return;
    }
    if (!e->cache_warned && commit->stored.kind != ERR_NONE) {
        e->cache_warned = true;
        char *text = mem_printf("results are not being cached: %s", err_text(&commit->stored));
        engine_notice(e, "warning", text);
        free(text);
    }
    /* The outputs' content is true of this execution even when its inputs were touched, so what
     * depends on it may go on. */
    commit->value.key = flight->key;
    commit->value.input_root = flight->owner->input_root;
    bool set =
        commit->rc == 0 && value_set(e, node, &commit->value, commit->stored.kind == ERR_NONE);
    node->stamped = set && !e->watch && node->exec->n_outputs;
    node->stamp = commit->stamp;
    if (commit->rc == 0 && !set) {
        commit_free(commit);
        end_flight(e, flight, STEP_FAILED, false,
                   "its outputs could not be read back from the cache");
        return;
    }
    if (commit->rc < 0 || disturbed(e, flight) ||
        (commit->check && worktree_check_changed(commit->check))) {
        end_tainted(e, commit);
        return;
    }
    node->taints = node->cancels = 0;
    node->calm_tries = 0;
    if (node->out_view != WORKTREE_NONE)
        node->out_tick = worktree_view_tick(e->worktree, node->out_view);
    if (commit->store && commit->stored.kind == ERR_NONE) {
        struct buf blob = BUF_INIT;
        struct err err = ERR_INIT;
        action_result_encode(&node->value.result, &blob);
        if (cache_put_action(e->opt.cache, &flight->key, blob.data, blob.len, &err) < 0 &&
            !e->cache_warned) {
            e->cache_warned = true;
            engine_notice(e, "warning", err_text(&err));
        }
        err_release(&err);
        buf_release(&blob);
    }
    note_result(e, flight->owner, HISTORY_PASSED, run_ms(flight));
    commit_free(commit);
    end_flight(e, flight, STEP_PASSED, false, NULL);
}

static void checked_cb(struct commit *commit)
{
    struct engine *e = commit->engine;
    commit_finish(e, commit);
    engine_job_done(e);
}

static void barrier_cb(void *ctx, struct watch_clock clock)
{
    struct commit *commit = ctx;
    struct engine *e = commit->engine;
    e->clock = clock;
    /* An event may be about nothing that counts; the stats tell. Without one there is nothing to
     * look at. */
    if (inputs_touched(e, commit->flight)) {
        commit->capture = false;
        commit->check = commit->flight->check;
        commit->done = checked_cb;
        commit_queue(e->loop, commit);
        return;
    }
    commit_finish(e, commit);
    engine_job_done(e);
}

static void commit_cb(struct commit *commit)
{
    struct engine *e = commit->engine;
    if (e->watch && !e->closing) {
        e->n_jobs++; /* the barrier answers exactly once, unless the watch is closed, which waits
                        for jobs */
        watch_barrier(e->watch, barrier_cb, commit);
    } else {
        commit_finish(e, commit);
    }
    engine_job_done(e);
}

static void commit_start(struct engine *e, struct flight *flight)
{
    struct node *node = &e->nodes.v[flight->node];
    struct commit *commit = mem_zalloc(1, sizeof *commit);
    commit->engine = e;
    commit->flight = flight;
    commit->cache = e->opt.cache;
    commit->root = e->opt.root;
    commit->exec = node->exec;
    commit->store = node->exec->cache && !e->opt.no_cache;
    commit->capture = true;
    commit->check =
        e->watch ? NULL : flight->check; /* watching, events tell whether it is needed */
    commit->done = commit_cb;
    e->n_jobs++;
    commit_queue(e->loop, commit);
}

/* Notes what the inputs are as the command begins; they must still be what its key says. */
static void note_inputs(struct engine *e, struct flight *flight)
{
    const struct node *node = &e->nodes.v[flight->node];
    ids views = VEC_INIT;
    vec_each (uint32_t, local, (ids *)&node->locals) {
        vec_push(&views, e->locals.v[*local].view);
        vec_push(&flight->ticks, e->locals.v[*local].tick);
    }
    vec_each (uint32_t, dep, (ids *)&node->deps) {
        uint32_t view = e->nodes.v[*dep].out_view;
        /* Not as of now: since it was known to be in place. */
        vec_push(&flight->dep_ticks, view == WORKTREE_NONE ? 0 : e->nodes.v[*dep].out_tick);
        const struct node *needed = &e->nodes.v[*dep];
        if (!e->watch && needed->stamped)
            vec_push(&flight->dep_stamps, (struct dep_stamp){needed->exec, needed->stamp});
        else if (!e->watch && view != WORKTREE_NONE)
            vec_push(&views, view); /* in place since the round looked */
    }
    if (views.n) {
        worktree_prepare(e->worktree, views.v, views.n);
        flight->check = worktree_check_new(e->worktree, views.v, views.n);
    }
    vec_release(&views);
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
    if (!flight->announced)
        emit_started(flight->engine, flight->owner, pid);
    flight->announced = true;
}

static void on_started(void *ctx, pid_t pid)
{
    announce(ctx, pid);
}

static void on_output(void *ctx, int stream, uint64_t offset, uint64_t n)
{
    struct flight *flight = ctx;
    announce(flight, 0);
    if (flight->chunks.n && vec_last(&flight->chunks).stream == stream)
        vec_last(&flight->chunks).bytes += n;
    else
        vec_push(&flight->chunks, (struct action_chunk){(uint8_t)stream, n});
    flight->spooled = offset + n;
    struct event event = {
        .type = EVENT_STEP_LOG,
        .step = flight->engine->nodes.v[flight->node].exec->name,
        .u.log = {.stream = stream, .offset = offset, .n = n, .log = flight->log}};
    emit(flight->engine, flight->owner->run, &event);
}

static int launch(struct engine *e, struct flight *flight, struct err *err);

static void failure_barrier(void *ctx, struct watch_clock clock)
{
    struct failure *failure = ctx;
    struct engine *e = failure->flight->engine;
    e->clock = clock;
    failure_finish(e, failure);
    engine_job_done(e);
}

/* A failure too may come of inputs that the step itself changed: watching, the events tell. error:
 * NULL where the exit says it. */
static void fail_flight(struct engine *e, struct flight *flight, const char *error)
{
    struct failure *failure = mem_zalloc(1, sizeof *failure);
    failure->flight = flight;
    failure->error = error ? mem_strdup(error) : NULL;
    if (e->watch && !e->closing) {
        e->n_jobs++;
        watch_barrier(e->watch, failure_barrier, failure);
    } else {
        failure_finish(e, failure);
    }
}

static void on_exited(void *ctx, const struct runner_exit *exit)
{
    struct flight *flight = ctx;
    struct engine *e = flight->engine;
    struct node *node = &e->nodes.v[flight->node];
    flight->exec = NULL;
    flight->exit = *exit;
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
        e->exit_code = 3;
        end_flight(e, flight, STEP_FAILED, false, exit->lost);
    } else if (flight->cancelled || exit->cancelled) {
        node->cancels += flight->cancel_why != NULL;
        end_flight(e, flight, STEP_CANCELLED, flight->cancel_why != NULL, flight->cancel_why);
    } else if (exit->spool_errno) {
        char *text = mem_printf("its output could not be written to %s: %s", flight->log,
                                strerror(exit->spool_errno));
        e->exit_code = 3;
        end_flight(e, flight, STEP_FAILED, false, text);
        free(text);
    } else if (exit->exit_code == 0 && !exit->timed_out) {
        commit_start(e, flight);
    } else if (flight->owner->attempt <= node->exec->retries && !e->stop_starting) {
        struct err err = ERR_INIT;
        flight->owner->attempt++;
        if (launch(e, flight, &err) < 0)
            end_flight(e, flight, STEP_FAILED, false, err_text(&err));
        err_release(&err);
    } else {
        fail_flight(e, flight, NULL);
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

static int launch(struct engine *e, struct flight *flight, struct err *err)
{
    static const struct runner_callbacks callbacks = {on_started, on_output, on_exited};
    const struct op_exec *exec = e->nodes.v[flight->node].exec;
    if (check_cwd(e, exec, err) < 0)
        return -(int)err->kind;
    char **envp = key_environment(e, exec);
    flight->announced = false;
    struct runner_request request = {.argv = exec->argv,
                                     .envp = (const char *const *)envp,
                                     .root = e->opt.root,
                                     .cwd = exec->cwd,
                                     .spool_fd = flight->spool,
                                     .spool_offset = flight->spooled,
                                     .spool_limit = ENGINE_SPOOL_LIMIT,
                                     .timeout_ms = exec->timeout_ms,
                                     .grace_ms = ENGINE_GRACE_MS};
    int rc = runner_start(e->opt.runner, &request, &callbacks, flight, &flight->exec, err);
    key_environment_free(envp);
    return rc;
}

static int spool_open(struct engine *e, struct instance *in, char **path, int *fd, struct err *err)
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

void flight_start(struct engine *e, struct instance *in)
{
    struct node *node = &e->nodes.v[in->node];
    struct flight *flight = mem_zalloc(1, sizeof *flight);
    struct err err = ERR_INIT;
    flight->engine = e;
    flight->owner = in;
    flight->node = in->node;
    flight->key = in->key;
    flight->spool = -1;
    flight->start_ns = clock_monotonic_ns();
    note_inputs(e, flight);
    flight_disturb_dependents(e, node);
    in->state = RUNNING;
    in->flight = flight;
    node->flight = flight;
    node->value.known = false; /* it writes over what was in place */
    e->n_running++;
    map_put(&e->flights, flight->key.hash, sizeof flight->key.hash, flight, NULL);
    if (spool_open(e, in, &flight->log, &flight->spool, &err) < 0 || launch(e, flight, &err) < 0) {
        int code = err.kind == ERR_CONFIG ? 2 : 3;
        e->exit_code = e->exit_code < code ? code : e->exit_code;
        end_flight(e, flight, STEP_FAILED, false, err_text(&err));
    }
    err_release(&err);
}

void flight_cancel(struct flight *flight, const char *why)
{
    if (flight->cancelled)
        return;
    flight->cancelled = true;
    flight->cancel_why = why;
    if (flight->exec)
        runner_cancel(flight->exec);
}
