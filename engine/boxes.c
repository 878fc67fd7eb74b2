/*
 * boxes.c - what all isolated steps need together: their runner, their images, and nothing left of
 * kilns that were killed.
 */
#include "engine/boxing.h"
#include "engine/private.h"
#include "engine/rounds.h"

#include <stdlib.h>

struct sweeping {
    uv_work_t work;
    struct engine *engine;
};

static void sweep_work(uv_work_t *work)
{
    struct sweeping *sweeping = work->data;
    box_dir_sweep(sweeping->engine->opt.cache, BOX_DIR_KEPT_S);
}

static void sweep_done(uv_work_t *work, int status)
{
    struct sweeping *sweeping = work->data;
    struct engine *e = sweeping->engine;
    (void)status;
    free(sweeping);
    engine_job_done(e);
}

void boxes_sweep(struct engine *e)
{
    if (!e->boxes.runner || e->swept)
        return;
    struct sweeping *sweeping = mem_zalloc(1, sizeof *sweeping);
    sweeping->engine = e;
    sweeping->work.data = sweeping;
    e->swept = true;
    e->n_jobs++;
    uv_queue_work(e->loop, &sweeping->work, sweep_work, sweep_done);
}

int boxes_need(struct engine *e, bool images, struct err *err)
{
    if (!e->boxes.runner) {
        if (!e->opt.boxes)
            return err_set(err, ERR_SYSTEM, "steps can't be isolated here");
        if (e->opt.boxes(e->opt.ctx, &e->boxes, err) < 0) {
            e->boxes = (struct engine_boxes){0};
            return -(int)err->kind;
        }
    }
    if (images && !e->boxes.images)
        return err_set(err, ERR_SYSTEM, "images can't be had here");
    return 0;
}
