/*
 * logs.c - what a step wrote, from the spool of its run or woven together again out of the cache.
 */
#include "engine/private.h"
#include "engine/tell.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static int write_stream(struct engine *e, const struct digest *digest, int fd, struct err *err)
{
    char buffer[1 << 16];
    enum cache_answer answer = CACHE_MISS;
    int in = -1;
    if (digest_is_null(digest))
        return 0;
    if (cache_open_blob(e->opt.cache, digest, &in, &answer, err) < 0)
        return -(int)err->kind;
    if (answer == CACHE_MISS)
        return err_set(err, ERR_CORRUPT, "the log is no longer in the cache");
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;) {
        if (file_write_all(fd, buffer, (size_t)n) < 0)
            break;
    }
    close(in);
    return 0;
}

/* Weaves both streams together again in the order they came. */
static int write_log(struct engine *e, const struct action_result *result, int fd, struct err *err)
{
    if (!result->n_chunks) {
        if (write_stream(e, &result->stdout_digest, fd, err) < 0)
            return -(int)err->kind;
        return write_stream(e, &result->stderr_digest, fd, err);
    }
    int in[3] = {-1, -1, -1};
    enum cache_answer a = CACHE_MISS, b = CACHE_MISS;
    int rc = cache_open_blob(e->opt.cache, &result->stdout_digest, &in[1], &a, err);
    if (rc == 0)
        rc = cache_open_blob(e->opt.cache, &result->stderr_digest, &in[2], &b, err);
    if (rc == 0 && (a == CACHE_MISS || b == CACHE_MISS))
        rc = err_set(err, ERR_CORRUPT, "the log is no longer in the cache");
    char buffer[1 << 16];
    for (size_t i = 0; i < result->n_chunks && rc == 0; i++) {
        for (uint64_t left = result->chunks[i].bytes; left;) {
            ssize_t n = read(in[result->chunks[i].stream], buffer,
                             left < sizeof buffer ? (size_t)left : sizeof buffer);
            if (n <= 0 || file_write_all(fd, buffer, (size_t)n) < 0) {
                rc = err_sys(err, n == 0 ? EIO : errno, "copying the log out of the cache");
                break;
            }
            left -= (uint64_t)n;
        }
    }
    if (in[1] >= 0)
        close(in[1]);
    if (in[2] >= 0)
        close(in[2]);
    return rc;
}

static char *cached_log(struct engine *e, const struct node *node)
{
    char hex[DIGEST_HEX + 1];
    if (!e->opt.records)
        return NULL;
    digest_hex(&node->value.key, hex);
    char *dir = path_join(records_dir(e->opt.records), "logs");
    char *path = path_join(dir, hex);
    char *tmp = mem_printf("%s.%ld.tmp", path, (long)getpid());
    struct err err = ERR_INIT;
    int rc = 0;
    if (access(path, R_OK) != 0) {
        rc = file_mkdirs(dir, 0700, &err);
        int fd = rc == 0 ? open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
        rc = fd < 0 ? -1 : write_log(e, &node->value.result, fd, &err);
        if (fd >= 0)
            close(fd);
        if (rc == 0)
            rc = rename(tmp, path);
        else
            unlink(tmp);
    }
    err_release(&err);
    free(tmp);
    free(dir);
    if (rc == 0)
        return path;
    free(path);
    return NULL;
}

char *logs_path(void *ctx, const char *step)
{
    struct engine *e = ctx;
    op_id op = e->graph ? graph_find(e->graph, step) : OP_NONE;
    if (op == OP_NONE)
        return NULL;
    const struct node *node = &e->nodes.v[e->node_of[op]];
    const struct instance *in = node->current;
    if (in && in->flight)
        return mem_strdup(in->flight->log ? in->flight->log : EVENT_NO_LOG);
    if (in && in->state == DONE && in->status == STEP_CACHED && node->value.known) {
        char *path = cached_log(e, node);
        if (path)
            return path;
    }
    return e->opt.records ? records_log_path(e->opt.records, NULL, step) : NULL;
}

int engine_stdout(struct engine *e, const char *step, size_t max, struct buf *out, struct err *err)
{
    op_id op = graph_find(e->graph, step);
    enum cache_answer answer = CACHE_MISS;
    const struct value *value = op == OP_NONE ? NULL : &e->nodes.v[e->node_of[op]].value;
    if (!value || !value->known)
        return err_set(err, ERR_CORRUPT, "step \"%s\" has no result", step);
    if (value->lost_logs)
        return err_set(err, ERR_SYSTEM,
                       "what \"%s\" wrote could not be kept: the cache can't be written", step);
    if (digest_is_null(&value->result.stdout_digest))
        return 0;
    if (value->result.stdout_digest.size > max)
        return err_set(err, ERR_CONFIG, "\"%s\" wrote %" PRIu64 " bytes; at most %zu are read",
                       step, value->result.stdout_digest.size, max);
    if (cache_get(e->opt.cache, &value->result.stdout_digest, max, out, &answer, err) < 0)
        return -(int)err->kind;
    return answer == CACHE_HIT
               ? 0
               : err_set(err, ERR_CORRUPT, "what \"%s\" wrote is no longer in the cache", step);
}
