/* commit.c - see commit.h. */
#include "engine/commit.h"

#include "engine/inputs.h"
#include "engine/wants.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Copies one stream's pieces out of the interleaved spool into an unnamed file. */
static int split(const struct flight *flight, int stream, const char *dir, int *out,
                 struct err *err)
{
    char buffer[1 << 16];
    uint64_t at = 0;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "cannot make a temporary file in %s", dir);
    for (size_t i = 0; i < flight->chunks.n; i++) {
        uint64_t left = flight->chunks.v[i].bytes;
        for (; left && flight->chunks.v[i].stream == stream;) {
            size_t want = left < sizeof buffer ? (size_t)left : sizeof buffer;
            ssize_t got = pread(flight->spool, buffer, want, (off_t)at);
            if (got <= 0 || file_write_all(fd, buffer, (size_t)got) < 0) {
                int rc = err_sys(err, got == 0 ? EIO : errno, "copying the log of %s", flight->log);
                close(fd);
                return rc;
            }
            at += (uint64_t)got;
            left -= (uint64_t)got;
        }
        at += left;
    }
    *out = fd;
    return 0;
}

static int put_stream(struct commit *commit, int stream, bool alone, struct digest *digest,
                      struct err *err)
{
    struct flight *flight = commit->flight;
    int fd = flight->spool;
    char *tmp = path_join(cache_path(commit->cache), "v1/tmp");
    int rc = alone ? 0 : split(flight, stream, tmp, &fd, err);
    if (rc == 0)
        rc = cache_put_fd(commit->cache, fd, alone ? flight->spooled : UINT64_MAX, digest, err);
    if (!alone && fd != flight->spool)
        close(fd);
    free(tmp);
    return rc;
}

/* When the log came. */
static void put_times(struct commit *commit)
{
    const struct chunks *came = &commit->flight->times;
    struct action_result *result = &commit->value.result;
    struct buf times = BUF_INIT;
    uint64_t told_ns = commit->flight->exit.start_ns;
    for (size_t i = 0; i < came->list.n; i++) {
        const struct chunk *chunk = &came->list.v[i];
        uint64_t end = i + 1 < came->list.n ? chunk[1].offset : came->end;
        uint64_t ms = chunk->time_ns > told_ns ? (chunk->time_ns - told_ns) / 1000000 : 0;
        action_times_add(&times, end - chunk->offset, ms);
        told_ns += ms * 1000000;
    }
    result->times = arena_memdup(&commit->value.arena, times.data, times.len);
    result->n_times = times.len;
    buf_release(&times);
}

static int put_logs(struct commit *commit, struct err *err)
{
    const struct flight *flight = commit->flight;
    struct action_result *result = &commit->value.result;
    bool has[3] = {false};
    for (size_t i = 0; i < flight->chunks.n; i++)
        has[flight->chunks.v[i].stream] = true;
    bool alone = has[1] != has[2];
    if (has[1] && put_stream(commit, 1, alone, &result->stdout_digest, err) < 0)
        return -(int)err->kind;
    if (has[2] && put_stream(commit, 2, alone, &result->stderr_digest, err) < 0)
        return -(int)err->kind;
    if (has[1] && has[2]) {
        result->chunks = arena_memdup(&commit->value.arena, flight->chunks.v,
                                      flight->chunks.n * sizeof *flight->chunks.v);
        result->n_chunks = flight->chunks.n;
    }
    put_times(commit);
    return 0;
}

static int capture(struct commit *commit, struct cache *cache, struct err *err)
{
    struct action_result *result = &commit->value.result;
    const struct op_exec *exec = commit->exec;
    const char *root = commit->upper ? commit->upper : commit->root;
    int rc = outputs_capture(cache, root, exec->outputs, exec->n_outputs, &commit->value.arena,
                             &result->outputs, NULL, err);
    result->n_outputs = rc == 0 ? exec->n_outputs : 0;
    return rc;
}

static struct digest stamp_of(const struct commit *commit)
{
    return outputs_stamp(commit->root, commit->exec->outputs, commit->exec->n_outputs,
                         commit->stamp_ns);
}

/* What an isolated step wrote may be for another of its users' eyes alone. */
static int capture_box(struct commit *commit)
{
    int rc = capture(commit, commit->cache, &commit->err);
    if (rc < 0 && (commit->err.errnum == EACCES || commit->err.errnum == EPERM)) {
        struct err err = ERR_INIT;
        if (box_own(commit->upper, &err) == 0) {
            err_release(&commit->err);
            rc = capture(commit, commit->cache, &commit->err);
        }
        err_release(&err);
    }
    return rc;
}

static void capture_all(struct commit *commit)
{
    struct action_result *result = &commit->value.result;
    const struct flight *flight = commit->flight;
    result->exit_code = flight->exit.exit_code;
    result->start_ns = flight->exit.start_ns;
    result->end_ns = flight->exit.end_ns;
    result->worker = arena_printf(&commit->value.arena, "run %s, step %s", flight->owner->run->id,
                                  commit->exec->name);
    result->step = arena_strdup(&commit->value.arena, commit->exec->name);
    const struct system_packages *system = &flight->owner->system;
    commit->outdated = system->known && !system_packages_stand(system, "");
    commit->store = commit->store && !commit->outdated;
    result->root = arena_strdup(&commit->value.arena, commit->root);
    bool outputs = commit->exec->n_outputs > 0;
    commit->stamp_ns = (int64_t)clock_realtime_ns();
    if (outputs && !commit->upper)
        commit->stamp = stamp_of(commit);
    if (outputs)
        commit->rc =
            commit->upper ? capture_box(commit) : capture(commit, commit->cache, &commit->err);
    if (commit->rc < 0 && !commit->upper && commit->err.kind == ERR_SYSTEM &&
        commit->err.errnum != ECANCELED) {
        /* The cache can't take it (full, read-only): the step passed all the same, its outputs are
         * where they belong. */
        err_move(&commit->stored, &commit->err);
        commit->store = false;
        commit->rc = capture(commit, NULL, &commit->err);
    }
    if (commit->rc == 0 && commit->store && put_logs(commit, &commit->stored) < 0)
        commit->store = false;
    if (commit->rc == 0 && outputs && !commit->upper && !commit->engine->watch) {
        struct digest after = stamp_of(commit);
        if (!digest_eq(&commit->stamp, &after))
            commit->rc =
                err_set(&commit->err, ERR_CORRUPT, "its outputs changed while they were taken");
    }
    if (commit->rc == 0 && outputs && flight->secrets)
        commit->leak = secrets_in_outputs(
            flight->secrets, commit->upper ? commit->upper : commit->root, commit->exec);
    commit->value.lost_logs = commit->stored.kind != ERR_NONE;
}

static void commit_work(uv_work_t *work)
{
    struct commit *commit = work->data;
    if (commit->capture)
        capture_all(commit);
    if (commit->check)
        worktree_check_work(commit->check);
    struct flight *flight = commit->flight;
    for (size_t i = 0; i < flight->dep_stamps.n; i++) {
        const struct dep_stamp *dep = &flight->dep_stamps.v[i];
        struct digest now =
            outputs_stamp(commit->root, dep->exec->outputs, dep->exec->n_outputs, dep->stamp_ns);
        if (!digest_eq(&now, &dep->stamp))
            flight->disturbed = "an output that it needs was touched before it ended";
    }
}

static void commit_after(uv_work_t *work, int status)
{
    struct commit *commit = work->data;
    (void)status;
    commit->done(commit);
}

/* Whether there is nothing to be read or written, so that a worker would be more work. */
static bool is_light(const struct commit *commit)
{
    const struct flight *flight = commit->flight;
    return !commit->check && !flight->chunks.n && !flight->dep_stamps.n && !commit->exec->n_outputs;
}

void commit_queue(uv_loop_t *loop, struct commit *commit)
{
    commit->work.data = commit;
    if (is_light(commit)) {
        commit_work(&commit->work);
        commit->done(commit);
        return;
    }
    uv_queue_work(loop, &commit->work, commit_work, commit_after);
}

void commit_free(struct commit *commit)
{
    cache_use_end(commit->cache);
    value_release(&commit->value);
    err_release(&commit->err);
    err_release(&commit->stored);
    free(commit->leak);
    free(commit);
}
