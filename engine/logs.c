/*
 * logs.c - where a step's own run has left what it wrote, and what it wrote to standard output.
 * answer_log.c has the logs of cached results.
 */
#include "engine/private.h"
#include "engine/tell.h"

#include <inttypes.h>

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
