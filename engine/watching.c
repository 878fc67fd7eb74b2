/*
 * watching.c - from inotify's events to the wish for a round: marks at once, work when things are
 * quiet.
 *
 * Settling counts idle time, not events: a single save is taken up after a few milliseconds, a big
 * burst (a checkout) when it has been quiet for longer and git no longer holds its index lock.
 */
#include "engine/private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUIET_MS     3
#define QUIET_BIG_MS 40
#define BIG_BURST    50
#define LONGEST_MS \
    10000 /* never keep somebody waiting longer than this, however busy the tree is */

static void settled(uv_timer_t *timer);

static void settle_again(struct engine *e)
{
    uint64_t quiet = e->n_settling > BIG_BURST ? QUIET_BIG_MS : QUIET_MS;
    uv_timer_start(&e->settle, settled, quiet, 0);
}

static bool git_is_busy(const struct engine *e)
{
    char *lock = path_join(e->opt.root, ".git/index.lock");
    bool busy = access(lock, F_OK) == 0;
    free(lock);
    return busy;
}

static void settled(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    uint64_t waited_ms = (clock_monotonic_ns() - e->settling_since) / 1000000;
    if (e->n_settling > BIG_BURST && waited_ms < LONGEST_MS && git_is_busy(e)) {
        settle_again(e);
        return;
    }
    e->n_settling = 0;
    e->round_wanted = true;
    round_next(e);
}

static void something_happened(struct engine *e)
{
    if (e->n_settling++ == 0)
        e->settling_since = clock_monotonic_ns();
    if ((clock_monotonic_ns() - e->settling_since) / 1000000 < LONGEST_MS ||
        !uv_is_active((uv_handle_t *)&e->settle))
        settle_again(e);
}

static void on_entry(void *ctx, uint32_t dir, const char *name, bool is_dir, uint64_t tick)
{
    struct engine *e = ctx;
    (void)is_dir;
    worktree_mark(e->worktree, dir, name, tick);
    something_happened(e);
}

static void on_rescan(void *ctx, const char *reason, struct watch_clock clock)
{
    struct engine *e = ctx;
    worktree_mark_all(e->worktree, clock.tick);
    char *text = mem_printf("%s: everything is looked at again", reason);
    struct event event = {.type = EVENT_WATCH_DEGRADED, .u.degraded = {.reason = text}};
    emit(e, NULL, &event);
    free(text);
    something_happened(e);
}

static void on_degraded(void *ctx, const char *reason)
{
    struct event event = {.type = EVENT_WATCH_DEGRADED, .u.degraded = {.reason = reason}};
    emit(ctx, NULL, &event);
}

static void on_root_gone(void *ctx)
{
    struct engine *e = ctx;
    char *text = mem_printf("%s is gone: there is nothing left to watch", e->opt.root);
    engine_notice(e, "error", text);
    free(text);
    e->exit_code = 3;
    if (!e->finished) {
        e->finished = true;
        e->opt.done(e->opt.ctx);
    }
}

int watching_open(struct engine *e, struct err *err)
{
    static const struct watch_callbacks callbacks = {on_entry, on_rescan, on_degraded,
                                                     on_root_gone};
    struct watch_options options = {.root = e->opt.root, .cookie_dir = e->opt.cookie_dir};
    if (!e->settle_open) {
        uv_timer_init(e->loop, &e->settle);
        e->settle.data = e;
        e->settle_open = true;
    }
    return watch_new(e->loop, &options, &callbacks, e, &e->watch, err);
}
