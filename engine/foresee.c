/*
 * foresee.c - the results that steps probably have, read by workers while the tree is looked at:
 * mostly nothing has changed, and a step's key is the one that it had last. What a key leads to
 * does not depend on when it is read; a key that nobody comes to have is read in vain.
 */
#include "engine/inputs.h"
#include "engine/private.h"
#include "engine/rounds.h"

#include <stdlib.h>

#define PORTION 64

struct foresight {
    uv_work_t work;
    struct engine *engine;
    struct cache *cache;
    size_t n;
    struct {
        struct digest key;
        struct value *value; /* NULL: there is none */
    } items[PORTION];
};

bool foresee_read(struct cache *cache, const struct digest *key, struct value *out)
{
    struct buf blob = BUF_INIT;
    enum cache_answer answer = CACHE_MISS;
    *out = (struct value){.key = *key};
    bool hit = cache_get_action(cache, key, &blob, &answer, NULL) == 0 && answer == CACHE_HIT &&
               action_result_decode(blob.data, blob.len, &out->arena, &out->result, NULL) == 0 &&
               out->result.exit_code == 0;
    buf_release(&blob);
    if (!hit)
        value_release(out);
    return hit;
}

static void foresee_work(uv_work_t *work)
{
    struct foresight *foresight = work->data;
    for (size_t i = 0; i < foresight->n; i++) {
        struct value *value = mem_alloc(sizeof *value);
        if (foresee_read(foresight->cache, &foresight->items[i].key, value))
            foresight->items[i].value = value;
        else
            free(value);
    }
}

static void drop(struct value *value)
{
    value_release(value);
    free(value);
}

static void foresee_done(uv_work_t *work, int status)
{
    struct foresight *foresight = work->data;
    struct engine *e = foresight->engine;
    (void)status;
    for (size_t i = 0; i < foresight->n; i++) {
        struct value *value = foresight->items[i].value;
        if (!value)
            continue;
        if (e->foreseeing && !map_get(&e->foreseen, value->key.hash, DIGEST_BYTES))
            map_put(&e->foreseen, value->key.hash, DIGEST_BYTES, value, NULL);
        else
            drop(value);
    }
    free(foresight);
    engine_job_done(e);
}

static void submit(struct engine *e, struct foresight *foresight)
{
    foresight->work.data = foresight;
    foresight->engine = e;
    foresight->cache = e->opt.cache;
    e->n_jobs++;
    uv_queue_work(e->loop, &foresight->work, foresee_work, foresee_done);
}

void foresee_begin(struct engine *e)
{
    struct foresight *foresight = NULL;
    /* With a tree of git there is no look at files meanwhile: they would be read twice. */
    if (!e->opt.history || !e->opt.cache || e->opt.no_cache || e->opt.force || e->opt.git)
        return;
    e->foreseeing = true;
    for (size_t i = 0; i < e->nodes.n; i++) {
        const struct node *node = &e->nodes.v[i];
        const struct history_record *last =
            node->selected && node->exec->cache && !e->forced[i]
                ? history_last_pass(e->opt.history, node->exec->name)
                : NULL;
        if (!last)
            continue;
        if (!foresight)
            foresight = mem_zalloc(1, sizeof *foresight);
        foresight->items[foresight->n++].key = last->key;
        if (foresight->n == PORTION) {
            submit(e, foresight);
            foresight = NULL;
        }
    }
    if (foresight)
        submit(e, foresight);
}

bool foresee_take(struct engine *e, const struct digest *key, struct value *out)
{
    void **place = map_get(&e->foreseen, key->hash, DIGEST_BYTES);
    struct value *value = place ? *place : NULL;
    if (!value)
        return false;
    *out = *value;
    free(value);
    *place = NULL;
    return true;
}

void foresee_end(struct engine *e)
{
    e->foreseeing = false;
    map_each (entry, &e->foreseen) {
        if (entry->value)
            drop(entry->value);
    }
    map_release(&e->foreseen);
}
