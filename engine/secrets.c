/*
 * secrets.c - what the steps' secrets are: fetched once a run, for the steps that are looked at.
 *
 *     UNKNOWN -> (command: FETCHING by the host runner ->) FETCHING by a worker -> KNOWN or FAILED
 *
 * Steps that name the same source share its value. A command writes to a file in memory, never to
 * a spool. A flight has copies of its own: what it was keyed by is what it is given, also when it
 * is tried again.
 */
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/wants.h"

#include "base/crypt.h"
#include "base/mask.h"
#include "engine/secret.h"
#include "runners/box.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COMMAND_TIMEOUT_MS 60000

enum source_state { SOURCE_UNKNOWN, SOURCE_FETCHING, SOURCE_KNOWN, SOURCE_FAILED };

struct secret_source {
    uv_work_t work;
    struct engine *engine;
    struct graph_secret from; /* strings in the arena */
    struct arena arena;
    enum source_state state;
    atomic_bool stop; /* no longer wanted */
    struct secret_value value;
    char hash[SECRET_HASH_BYTES];
    instances waiting;
    /* a command */
    struct runner_exec *exec;
    int memory;       /* what it writes to; -1 */
    log_order chunks; /* which of it is standard output */
    struct runner_exit exit;
    struct err err; /* while FAILED */
};

/* What a flight has of its step's secrets. */
struct flight_secrets {
    size_t n;
    struct secret_value *values; /* by the exec's secrets */
    const char **bytes;          /* the same, as strings */
    struct mask *mask;
    struct mask_stream *streams[2];
};

/* -- sources ----------------------------------------------------------------------------------- */

static bool same_argv(const struct graph_secret *a, const struct graph_secret *b)
{
    if (a->n_argv != b->n_argv)
        return false;
    for (size_t i = 0; i < a->n_argv; i++) {
        if (strcmp(a->argv[i], b->argv[i]) != 0)
            return false;
    }
    return true;
}

static bool same_source(const struct graph_secret *a, const struct graph_secret *b)
{
    return a->source == b->source && !a->from == !b->from &&
           (!a->from || strcmp(a->from, b->from) == 0) && same_argv(a, b);
}

static struct secret_source *find(const struct engine *e, const struct graph_secret *secret)
{
    vec_each (struct secret_source *, source, (secret_sources *)&e->secrets) {
        if (same_source(&(*source)->from, secret))
            return *source;
    }
    return NULL;
}

static struct secret_source *make(struct engine *e, const struct graph_secret *secret)
{
    struct secret_source *source = mem_zalloc(1, sizeof *source);
    source->engine = e;
    source->work.data = source;
    source->memory = -1;
    source->from.source = secret->source;
    source->from.from = secret->from ? arena_strdup(&source->arena, secret->from) : NULL;
    if (secret->argv) {
        const char **argv = arena_zalloc(&source->arena, secret->n_argv + 1, sizeof *argv);
        for (size_t i = 0; i < secret->n_argv; i++)
            argv[i] = arena_strdup(&source->arena, secret->argv[i]);
        source->from.argv = argv;
        source->from.n_argv = secret->n_argv;
    }
    vec_push(&e->secrets, source);
    return source;
}

void secrets_close(struct engine *e)
{
    vec_each (struct secret_source *, at, &e->secrets) {
        struct secret_source *source = *at;
        secret_value_release(&source->value);
        arena_release(&source->arena);
        vec_release(&source->waiting);
        vec_release(&source->chunks);
        err_release(&source->err);
        free(source);
    }
    vec_release(&e->secrets);
}

void secrets_begin(struct engine *e)
{
    vec_each (struct secret_source *, source, &e->secrets) {
        if ((*source)->state != SOURCE_FETCHING)
            (*source)->state = SOURCE_UNKNOWN;
    }
}

void secrets_cancel(struct engine *e)
{
    vec_each (struct secret_source *, source, &e->secrets) {
        atomic_store(&(*source)->stop, true);
        if ((*source)->exec)
            runner_cancel((*source)->exec);
    }
}

/* -- fetching ---------------------------------------------------------------------------------- */

static void done(struct secret_source *source)
{
    struct engine *e = source->engine;
    source->state = source->err.kind == ERR_NONE ? SOURCE_KNOWN : SOURCE_FAILED;
    vec_each (struct instance *, in, &source->waiting) {
        if (*in)
            schedule_ready(e, *in);
    }
    vec_clear(&source->waiting);
    schedule_pump(e);
    engine_job_done(e);
}

/* The command's standard output, without what it wrote to standard error between. */
static int read_memory(struct secret_source *source, struct err *err)
{
    uint64_t n = 0, at = 0;
    vec_each (struct action_chunk, chunk, &source->chunks)
        n += chunk->stream == 1 ? chunk->bytes : 0;
    if (n > SECRET_MAX_BYTES)
        return err_set(err, ERR_USAGE, "its command prints more than %zu KiB, which no secret is",
                       SECRET_MAX_BYTES >> 10);
    secret_value_make(&source->value, (size_t)n);
    n = 0;
    vec_each (struct action_chunk, chunk, &source->chunks) {
        if (chunk->stream == 1 && pread(source->memory, source->value.bytes + n,
                                        (size_t)chunk->bytes, (off_t)at) != (ssize_t)chunk->bytes)
            return err_set(err, ERR_SYSTEM, "what its command printed cannot be read back");
        n += chunk->stream == 1 ? chunk->bytes : 0;
        at += chunk->bytes;
    }
    if (n && source->value.bytes[n - 1] == '\n')
        source->value.bytes[--source->value.n] = '\0';
    return 0;
}

/* A worker's: the value, and what stands for it. */
static int fetch(struct secret_source *source, struct err *err)
{
    struct secret_key key;
    const struct graph_secret *from = &source->from;
    int rc = 0;
    if (from->source == GRAPH_SECRET_ENV)
        rc = secret_from_env(from->from, &source->value, err);
    else if (from->source == GRAPH_SECRET_FILE)
        rc = secret_from_file(from->from, source->engine->opt.root, &source->stop, &source->value,
                              err);
    else
        rc = read_memory(source, err);
    if (rc == 0)
        rc = secret_key_load(&key, err);
    if (rc == 0)
        secret_hash(&key, &source->value, source->hash);
    crypt_wipe(&key, sizeof key);
    return rc;
}

static void fetch_work(uv_work_t *work)
{
    struct secret_source *source = work->data;
    int rc = fetch(source, &source->err);
    (void)rc; /* err tells */
}

static void fetch_done(uv_work_t *work, int status)
{
    struct secret_source *source = work->data;
    (void)status;
    if (source->memory >= 0)
        close(source->memory);
    source->memory = -1;
    done(source);
}

static void on_started(void *ctx, pid_t pid)
{
    (void)ctx;
    (void)pid;
}

static int on_spool(void *ctx)
{
    struct secret_source *source = ctx;
    return source->memory;
}

static void on_output(void *ctx, int stream, uint64_t offset, uint64_t n)
{
    struct secret_source *source = ctx;
    (void)offset;
    vec_push(&source->chunks, (struct action_chunk){(uint8_t)stream, n});
}

static void on_exited(void *ctx, const struct runner_exit *exit)
{
    struct secret_source *source = ctx;
    struct engine *e = source->engine;
    source->exec = NULL;
    if (exit->counted)
        ahead_take_place(e);
    if (exit->exit_code == 0 && !exit->timed_out && !exit->spool_errno && !exit->truncated) {
        uv_queue_work(e->loop, &source->work, fetch_work, fetch_done);
        return;
    }
    if (exit->lost)
        err_set(&source->err, ERR_SYSTEM, "%s", exit->lost);
    else if (exit->spool_errno)
        err_sys(&source->err, exit->spool_errno, "what its command prints cannot be kept");
    else if (exit->timed_out)
        err_set(&source->err, ERR_USAGE, "its command did not end within %d seconds",
                COMMAND_TIMEOUT_MS / 1000);
    else if (exit->signal)
        err_set(&source->err, ERR_USAGE, "its command was ended by signal %d", exit->signal);
    else if (exit->truncated)
        err_set(&source->err, ERR_USAGE, "its command prints far more than a secret");
    else /* what it said may have the value in it */
        err_set(&source->err, ERR_USAGE,
                "its command failed with exit code %d; run it by hand to see why", exit->exit_code);
    close(source->memory);
    source->memory = -1;
    done(source);
}

/* As the caller would run it: with his environment, in the project. */
static int run_command(struct secret_source *source, struct err *err)
{
    static const struct runner_callbacks callbacks = {
        .started = on_started, .spool = on_spool, .output = on_output, .exited = on_exited};
    struct engine *e = source->engine;
    struct runner_request request = {.argv = source->from.argv,
                                     .envp = (const char *const *)environ,
                                     .root = e->opt.root,
                                     .cwd = "",
                                     .spool_limit = 16 * SECRET_MAX_BYTES,
                                     .timeout_ms = COMMAND_TIMEOUT_MS,
                                     .grace_ms = ENGINE_GRACE_MS};
    vec_clear(&source->chunks);
    source->memory = memfd_create("kiln-secret", MFD_CLOEXEC);
    if (source->memory < 0)
        return err_sys(err, errno, "there is no memory for what its command prints");
    int rc = runner_start(e->opt.runner, &request, &callbacks, source, &source->exec, err);
    if (rc < 0) {
        close(source->memory);
        source->memory = -1;
    }
    return rc;
}

static void begin(struct secret_source *source)
{
    struct engine *e = source->engine;
    crypt_leave_no_core();
    secret_value_release(&source->value);
    atomic_store(&source->stop, false);
    err_release(&source->err);
    source->err = (struct err)ERR_INIT;
    if (source->from.source == GRAPH_SECRET_COMMAND) {
        if (run_command(source, &source->err) < 0) {
            source->state = SOURCE_FAILED;
            return;
        }
    } else {
        uv_queue_work(e->loop, &source->work, fetch_work, fetch_done);
    }
    source->state = SOURCE_FETCHING;
    e->n_jobs++;
}

/* -- for the schedule -------------------------------------------------------------------------- */

bool secrets_wait(struct engine *e, struct instance *in)
{
    const struct op_exec *exec = e->nodes.v[in->node].exec;
    struct secret_source *first = NULL;
    for (size_t i = 0; i < exec->n_secrets; i++) {
        struct secret_source *source = find(e, &exec->secrets[i]);
        if (!source)
            source = make(e, &exec->secrets[i]);
        if (source->state == SOURCE_UNKNOWN)
            begin(source);
        if (source->state == SOURCE_FETCHING && !first)
            first = source;
    }
    if (!first)
        return false;
    in->state = READY;
    vec_push(&first->waiting, in);
    return true;
}

void secrets_forget(struct engine *e, const struct instance *in)
{
    vec_each (struct secret_source *, source, &e->secrets) {
        for (size_t i = 0; i < (*source)->waiting.n; i++) {
            if ((*source)->waiting.v[i] == in)
                (*source)->waiting.v[i] = NULL;
        }
    }
}

static int check_value(const struct graph_secret *secret, const struct secret_source *source,
                       struct err *err)
{
    size_t n = source->value.n;
    if (source->state == SOURCE_FAILED)
        return err_set(err, source->err.kind, "%s", err_text(&source->err));
    if (secret->target[0] != '/' && n && memchr(source->value.bytes, 0, n))
        return err_set(err, ERR_USAGE,
                       "its value has a NUL, which no variable can hold; name a file instead");
    return 0;
}

int secrets_check(struct engine *e, const struct op_exec *exec, struct err *err)
{
    for (size_t i = 0; i < exec->n_secrets; i++) {
        const struct graph_secret *secret = &exec->secrets[i];
        if (check_value(secret, find(e, secret), err) < 0) {
            err_wrap(err, "%s: the secret \"%s\"", secret->where, secret->target);
            return -(int)err->kind;
        }
    }
    return 0;
}

bool secrets_known(struct engine *e, const struct op_exec *exec)
{
    for (size_t i = 0; i < exec->n_secrets; i++) {
        const struct secret_source *source = find(e, &exec->secrets[i]);
        if (!source || source->state != SOURCE_KNOWN)
            return false;
    }
    return true;
}

const char *const *secrets_hashes(struct engine *e, const struct op_exec *exec, struct arena *arena)
{
    if (!exec->n_secrets)
        return NULL;
    const char **hashes = arena_zalloc(arena, exec->n_secrets, sizeof *hashes);
    for (size_t i = 0; i < exec->n_secrets; i++)
        hashes[i] = find(e, &exec->secrets[i])->hash;
    return hashes;
}

/* -- for a flight ------------------------------------------------------------------------------ */

/* A file is a file to the step, as it is; a variable has no newline at its end. */
static size_t given_bytes(const struct graph_secret *secret, const struct secret_value *value)
{
    bool newline = value->n && value->bytes[value->n - 1] == '\n';
    return value->n - (newline && secret->source == GRAPH_SECRET_FILE && secret->target[0] != '/');
}

struct flight_secrets *secrets_take(struct engine *e, const struct op_exec *exec)
{
    if (!exec->n_secrets)
        return NULL;
    struct flight_secrets *secrets = mem_zalloc(1, sizeof *secrets);
    secrets->n = exec->n_secrets;
    secrets->values = mem_zalloc(secrets->n, sizeof *secrets->values);
    secrets->bytes = mem_zalloc(secrets->n, sizeof *secrets->bytes);
    secrets->mask = mask_new();
    for (size_t i = 0; i < secrets->n; i++) {
        const struct secret_value *value = &find(e, &exec->secrets[i])->value;
        size_t n = given_bytes(&exec->secrets[i], value);
        secret_value_make(&secrets->values[i], n);
        if (n)
            memcpy(secrets->values[i].bytes, value->bytes, n);
        secrets->bytes[i] = secrets->values[i].bytes;
        mask_add_secret(secrets->mask, value->bytes, value->n);
    }
    mask_close(secrets->mask);
    for (size_t i = 0; i < 2; i++)
        secrets->streams[i] = mask_stream_new(secrets->mask);
    return secrets;
}

void secrets_release(struct flight_secrets *secrets)
{
    if (!secrets)
        return;
    for (size_t i = 0; i < 2; i++)
        mask_stream_free(secrets->streams[i]);
    mask_free(secrets->mask);
    for (size_t i = 0; i < secrets->n; i++)
        secret_value_release(&secrets->values[i]);
    free(secrets->values);
    free(secrets->bytes);
    free(secrets);
}

const char *const *secrets_values(const struct flight_secrets *secrets)
{
    return secrets ? secrets->bytes : NULL;
}

const struct mask *secrets_mask(const struct flight_secrets *secrets)
{
    return secrets ? secrets->mask : NULL;
}

void secrets_filter(struct flight_secrets *secrets, int stream, const char *bytes, size_t n,
                    struct buf *out)
{
    if (n)
        mask_feed(secrets->streams[stream - 1], bytes, n, out);
    else
        mask_end(secrets->streams[stream - 1], out);
}

size_t secrets_files(const struct flight_secrets *secrets, const struct op_exec *exec,
                     struct arena *arena, const struct box_secret **out)
{
    struct box_secret *files = arena_zalloc(arena, exec->n_secrets + 1, sizeof *files);
    size_t n = 0;
    for (size_t i = 0; secrets && i < exec->n_secrets; i++) {
        if (exec->secrets[i].target[0] == '/')
            files[n++] = (struct box_secret){exec->secrets[i].target, secrets->values[i].bytes,
                                             secrets->values[i].n};
    }
    *out = files;
    return n;
}
