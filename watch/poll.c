#include "watch/private.h"

#include <stdlib.h>
#include <string.h>

void watch_poll_add(struct watch *watch, uint32_t slot, const char *path)
{
    uint32_t index = watch->slots.v[slot].polled;
    if (index && !strcmp(watch->polled.v[index - 1].path, path))
        return;
    watch_poll_remove(watch, slot);
    /* Nothing is known of it yet, so that the first pass reports it: what the owner reads of it now
     * may be older than what that pass finds. */
    vec_push(
        &watch->polled,
        (struct polled){.slot = slot, .serial = ++watch->next_serial, .path = mem_strdup(path)});
    watch->slots.v[slot].polled = (uint32_t)watch->polled.n;
    watch_poll_schedule(watch);
}

void watch_poll_remove(struct watch *watch, uint32_t slot)
{
    uint32_t index = watch->slots.v[slot].polled;
    if (!index)
        return;
    watch->slots.v[slot].polled = 0;
    struct polled *polled = &watch->polled.v[index - 1];
    free(polled->path);
    struct polled last = vec_pop(&watch->polled);
    if (last.slot != slot) {
        watch->polled.v[index - 1] = last;
        watch->slots.v[last.slot].polled = index;
    }
    watch_poll_schedule(watch);
}

/* --- passes -------------------------------------------------------------------------------- */

static void pass_free(struct poll_pass *pass)
{
    buf_release(&pass->paths);
    free(pass->items);
    free(pass->root);
    free(pass);
}

static void on_work(uv_work_t *work)
{
    fingerprint_work(work->data);
}

/* The entry that an item was made from, or NULL when it is no longer polled. */
static struct polled *polled_of(struct watch *watch, const struct poll_item *item)
{
    uint32_t index = watch->slots.v[item->slot].polled;
    if (!index || watch->polled.v[index - 1].serial != item->serial)
        return NULL;
    return &watch->polled.v[index - 1];
}

static void compare(struct watch *watch, const struct poll_item *item)
{
    struct polled *polled = polled_of(watch, item);
    if (!polled)
        return;
    const struct fingerprint *last = &polled->last, *found = &item->found;
    bool changed =
        !polled->known || last->racy || last->gone != found->gone || last->sum != found->sum;
    polled->known = true;
    polled->last = *found;
    if (!changed)
        return;
    watch->events++;
    watch->callbacks.entry(watch->ctx, item->slot - SLOT_FIRST, NULL, WATCH_DIRECTORY,
                           ++watch->clock.tick);
}

static void on_work_done(uv_work_t *work, int status)
{
    struct poll_pass *pass = work->data;
    struct watch *watch = pass->watch;
    watch->pass = NULL;
    if (watch->closing) {
        pass_free(pass);
        watch_part_closed(watch);
        return;
    }
    watch->n_open--;
    if (!status)
        for (size_t i = 0; i < pass->n_items && !watch->closing; i++)
            compare(watch, &pass->items[i]);
    watch->passes_done = pass->number;
    pass_free(pass);
    watch_check_root(watch);
    watch_tell_rescan(watch);
    watch_barrier_answer(watch);
    watch_poll_schedule(watch);
}

static void begin_pass(struct watch *watch)
{
    uint64_t number = ++watch->passes_begun;
    if (!watch->polled.n) {
        watch->passes_done = number;
        return;
    }
    struct poll_pass *pass = mem_zalloc(1, sizeof(*pass));
    pass->watch = watch;
    pass->number = number;
    atomic_init(&pass->stop, false);
    pass->root = mem_strdup(watch->root);
    pass->items = mem_zalloc(watch->polled.n, sizeof(*pass->items));
    vec_each (struct polled, polled, &watch->polled) {
        pass->items[pass->n_items++] = (struct poll_item){
            .slot = polled->slot, .serial = polled->serial, .path = pass->paths.len};
        buf_add(&pass->paths, polled->path, strlen(polled->path) + 1);
    }
    pass->work.data = pass;
    watch->pass = pass;
    watch->n_open++;
    uv_timer_stop(&watch->poll_timer);
    uv_queue_work(watch->loop, &pass->work, on_work, on_work_done);
}

uint64_t watch_poll_request(struct watch *watch)
{
    if (watch->pass)
        return watch->passes_begun + 1; /* the one under way may have looked already */
    begin_pass(watch);
    return watch->passes_begun;
}

/* Whether a barrier waits for a pass that has not begun. */
static bool is_wanted(const struct watch *watch)
{
    for (const struct barrier_group *group = watch->flight; group; group = group->next)
        if (group->pass > watch->passes_begun)
            return true;
    return false;
}

void watch_poll_schedule(struct watch *watch)
{
    if (watch->closing || watch->pass)
        return;
    if (is_wanted(watch)) {
        begin_pass(watch);
        if (!watch->pass)
            watch_wake(watch); /* nothing is polled any more: the barrier has what it waits for */
    } else if (!watch->polled.n) {
        uv_timer_stop(&watch->poll_timer);
    } else if (!uv_is_active((uv_handle_t *)&watch->poll_timer)) {
        uv_timer_start(&watch->poll_timer, watch_poll_timeout, watch->poll_ms, 0);
    }
}

void watch_poll_timeout(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    if (!watch->pass)
        begin_pass(watch);
}

void watch_poll_stop(struct watch *watch)
{
    if (!watch->pass)
        return;
    atomic_store_explicit(&watch->pass->stop, true, memory_order_relaxed);
    uv_cancel((uv_req_t *)&watch->pass->work);
}

void watch_poll_release(struct watch *watch)
{
    vec_each (struct polled, polled, &watch->polled)
        free(polled->path);
    vec_release(&watch->polled);
}
