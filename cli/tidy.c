/* tidy.c - keeping the cache within its limit, after a run and whenever a watch has nothing to do
 * (see cli.h). */
#include "cli/cli.h"

#include "base/mem.h"
#include "cache/cache_gc.h"

#include <stdlib.h>

struct tidy {
    uv_work_t work;
    uv_loop_t *loop;
    struct cache *cache;
    bool busy; /* a worker is at it */
    int rc;
    struct err err;
};

struct tidy *tidy_new(uv_loop_t *loop, struct cache *cache)
{
    struct tidy *tidy = mem_zalloc(1, sizeof *tidy);
    tidy->work.data = tidy;
    tidy->loop = loop;
    tidy->cache = cache;
    return tidy;
}

static void tidy_work(uv_work_t *work)
{
    struct tidy *tidy = work->data;
    struct gc_report report;
    bool did;
    err_release(&tidy->err);
    tidy->rc = cache_tidy(tidy->cache, &did, &report, &tidy->err);
    gc_report_release(&report);
}

static void tidy_done(uv_work_t *work, int status)
{
    struct tidy *tidy = work->data;
    (void)status;
    tidy->busy = false;
}

void tidy_event(void *ctx, const struct event *event)
{
    struct tidy *tidy = ctx;
    if (event->type != EVENT_WATCH_IDLE || tidy->busy)
        return;
    tidy->busy = uv_queue_work(tidy->loop, &tidy->work, tidy_work, tidy_done) == 0;
}

void tidy_end(struct tidy *tidy, const struct options *options)
{
    if (!tidy)
        return;
    tidy_work(&tidy->work);
    if (tidy->rc < 0)
        warn(options, err_text(&tidy->err));
    err_release(&tidy->err);
    free(tidy);
}
