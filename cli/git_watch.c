/*
 * git_watch.c - tells a view the branch and what is not committed (see cli.h).
 *
 * A worker looks a moment after something has happened, and when git has written its HEAD or its
 * index; the longer that takes, the seldomer.
 */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/git_state.h"

#include <stdlib.h>
#include <string.h>

#define SOON_MS 250
#define SHARE   10 /* of the time, one part for looking */

struct git_watch {
    uv_loop_t *loop;
    char *root;
    event_cb *tell;
    void *ctx;
    uv_work_t work;
    uv_timer_t timer;
    uv_fs_event_t written;
    struct git_state state, told;
    uint64_t took_ms;
    bool working, again, watching, closing;
    int open; /* handles */
};

static void look(uv_timer_t *timer);

static void want(struct git_watch *git)
{
    uint64_t wait = git->took_ms * SHARE > SOON_MS ? git->took_ms * SHARE : SOON_MS;
    if (git->working)
        git->again = true;
    else if (!git->closing && !uv_is_active((uv_handle_t *)&git->timer))
        uv_timer_start(&git->timer, look, wait, 0);
}

static void closed(uv_handle_t *handle)
{
    struct git_watch *git = handle->data;
    if (--git->open)
        return;
    git_state_release(&git->state);
    git_state_release(&git->told);
    free(git->root);
    free(git);
}

static void close_handles(struct git_watch *git)
{
    uv_close((uv_handle_t *)&git->timer, closed);
    uv_close((uv_handle_t *)&git->written, closed);
}

static void on_written(uv_fs_event_t *handle, const char *name, int events, int status)
{
    (void)events;
    (void)status;
    if (!name || strcmp(name, "HEAD") == 0 || strcmp(name, "index") == 0)
        want(handle->data);
}

static void work(uv_work_t *request)
{
    struct git_watch *git = request->data;
    uint64_t start = clock_monotonic_ns();
    git_state_read(git->root, &git->state);
    git->took_ms = (clock_monotonic_ns() - start) / 1000000;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void done(uv_work_t *request, int status)
{
    struct git_watch *git = request->data;
    git->working = false;
    if (git->closing) {
        close_handles(git);
        return;
    }
    if (status == 0 &&
        (!same(git->state.branch, git->told.branch) || git->state.dirty != git->told.dirty)) {
        struct event event = {.type = EVENT_WATCH_TREE,
                              .time_ns = clock_realtime_ns(),
                              .u.tree = {git->state.branch, git->state.dirty}};
        git->tell(git->ctx, &event);
    }
    if (git->state.git_dir && !git->watching)
        git->watching = uv_fs_event_start(&git->written, on_written, git->state.git_dir, 0) == 0;
    git_state_release(&git->told);
    git->told = git->state;
    git->state = (struct git_state){0};
    if (git->again)
        want(git);
    git->again = false;
}

static void look(uv_timer_t *timer)
{
    struct git_watch *git = timer->data;
    git->working = uv_queue_work(git->loop, &git->work, work, done) == 0;
}

struct git_watch *git_watch_new(uv_loop_t *loop, const char *root, event_cb *tell, void *ctx)
{
    struct git_watch *git = mem_zalloc(1, sizeof *git);
    git->loop = loop;
    git->root = mem_strdup(root);
    git->tell = tell;
    git->ctx = ctx;
    uv_timer_init(loop, &git->timer);
    uv_fs_event_init(loop, &git->written);
    git->open = 2;
    git->work.data = git->timer.data = git->written.data = git;
    return git;
}

void git_watch_event(void *ctx, const struct event *event)
{
    if (event->type == EVENT_PIPELINE_LOADED || event->type == EVENT_WATCH_CHANGED ||
        event->type == EVENT_WATCH_IDLE || event->type == EVENT_RUN_FINISHED)
        want(ctx);
}

void git_watch_free(struct git_watch *git)
{
    if (!git || git->closing)
        return;
    git->closing = true;
    if (!git->working)
        close_handles(git);
}
