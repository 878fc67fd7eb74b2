/*
 * image_task.c - one image wanted, from its reference to its layers.
 *
 * A task goes on whenever something it waits for has happened (go_on()): it looks at what is there
 * and starts what is missing, so what others have done meanwhile, or an earlier try has left, needs
 * no case of its own. At most one thing is fetched and one layer unpacked at a time; a layer is
 * unpacked as soon as its blob is there and those below are done, while others are still fetched.
 * A blob is fetched by one task at a time, of all kilns, and few tasks fetch at once.
 * Of several tasks for one image the first does the work and the others wait for it.
 */
#include "runners/image_private.h"

#include "base/mem.h"

#include <string.h>
#include <unistd.h>

#define POLL_MS 100

static void go_on(struct image_task *task);

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

/* From the loop, soon. */
void image_task_wake(struct image_task *task, uint64_t ms)
{
    if (!task->finished)
        uv_timer_start(&task->timer, on_timer, ms, 0);
}

void image_task_wake_others(const struct image_task *task)
{
    for (struct image_task *other = task->store->tasks; other; other = other->next) {
        if (other != task && !other->leader && !image_task_is_busy(other))
            image_task_wake(other, 0);
    }
}

/* --- the end --- */

void image_free(struct image *image)
{
    if (!image)
        return;
    for (size_t i = 0; i < image->n_held; i++)
        close(image->held[i]);
    struct arena arena = image->arena;
    arena_release(&arena);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct image_task *task = handle->data;
    struct image_store *store = task->store;
    struct image_task **at = &store->tasks;
    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    image_run_release(&task->fetch);
    image_run_release(&task->unpack);
    vec_release(&task->import.blobs);
    vec_release(&task->claims);
    err_release(&task->import.err);
    err_release(&task->err);
    image_ref_release(&task->ref);
    image_free(task->image);
    free(task->platform);
    free(task->user);
    free(task->memo);
    free(task);
    image_store_tasks_gone(store);
}

bool image_task_is_busy(const struct image_task *task)
{
    return task->fetch.exec || task->unpack.exec || task->importing;
}

static void finish(struct image_task *task)
{
    task->finished = true;
    uv_timer_stop(&task->timer);
    image_tmp_remove(task->store, &task->tmp);
    image_fetch_give_up_claims(task);
    image_task_wake_others(task);
    for (struct image_task *other = task->store->tasks; other; other = other->next) {
        if (other->leader != task)
            continue;
        other->leader = NULL;
        if (task->rc < 0 && task->rc != -ERR_CANCELLED)
            other->rc = err_set(&other->err, task->err.kind, "%s", err_text(&task->err));
        image_task_wake(other, 0);
    }
    if (task->rc < 0)
        err_wrap(&task->err, "image %s", task->ref.name);
    struct image *image = task->rc < 0 ? NULL : task->image;
    if (image)
        task->image = NULL;
    const struct err *err = task->rc < 0 ? &task->err : NULL;
    if (task->want == WANT_PIN)
        task->callbacks.resolved(task->ctx, task->rc < 0 ? NULL : &task->pin, err);
    else
        task->callbacks.ready(task->ctx, image, err);
    uv_close((uv_handle_t *)&task->timer, on_timer_closed);
}

static void stop_runs(struct image_task *task)
{
    if (task->fetch.exec)
        runner_cancel(task->fetch.exec);
    if (task->unpack.exec)
        runner_cancel(task->unpack.exec);
    if (task->importing)
        atomic_store(&task->import.stop, true);
}

/* It is over, as task->err says; told when nothing runs any more. */
void image_task_fail(struct image_task *task, int rc)
{
    if (task->rc == 0)
        task->rc = rc;
    stop_runs(task);
    image_task_wake(task, 0);
}

/* --- progress --- */

/* Bytes that have come and are not blobs yet. */
static uint64_t half_fetched(const struct image_task *task)
{
    return task->importing ? atomic_load(&task->import.done)
                           : image_tmp_bytes(task->store, &task->tmp);
}

static void tell(struct image_task *task, const struct image_progress *progress)
{
    if (task->callbacks.progress && !task->finished && !task->cancelled)
        task->callbacks.progress(task->ctx, progress);
}

void image_task_tell(struct image_task *task)
{
    struct image_progress progress = {.phase = IMAGE_RESOLVING};
    if (task->waits_for_others) {
        progress.phase = IMAGE_WAITING;
    } else if (task->fetching == FETCH_LAYERS) {
        progress.phase = IMAGE_PULLING;
        progress.total = task->to_fetch;
        if (!task->importing) {
            for (size_t i = 0; i < task->manifest.n_layers; i++) {
                const struct digest *blob = &task->manifest.layers[i].digest;
                if (image_blob_there(task->store, blob, false))
                    progress.done += blob->size;
            }
            progress.done -=
                progress.done < task->fetched_before ? progress.done : task->fetched_before;
        }
        progress.done += half_fetched(task);
        if (progress.total && progress.done > progress.total)
            progress.done = progress.total;
    } else if (task->unpacking) {
        progress.phase = IMAGE_UNPACKING;
        progress.done = task->unpacked + task->unpacked_now;
        progress.total = task->to_unpack;
    }
    tell(task, &progress);
    for (struct image_task *other = task->store->tasks; other; other = other->next) {
        if (other->leader == task)
            tell(other, &progress);
    }
}

/* --- going on --- */

/* Whether somebody else is at this image already. */
static bool follow(struct image_task *task)
{
    if (task->want != WANT_IMAGE || task->image)
        return false;
    for (struct image_task *other = task->store->tasks; other; other = other->next) {
        if (other != task && other->want == WANT_IMAGE && other->image && !other->finished &&
            image_same_hash(&other->pin.manifest, &task->pin.manifest)) {
            task->leader = other;
            return true;
        }
    }
    return false;
}

static int work(struct image_task *task, bool *done)
{
    bool waiting = false;
    if (task->want == WANT_PIN)
        return image_fetch_pin(task, done);
    *done = false;
    if (!task->names) {
        if (task->fetching != FETCH_NOTHING)
            return 0;
        int rc = image_fetch_documents(task, &waiting);
        if (rc < 0 || waiting)
            return rc;
    }
    return image_climb(task, done);
}

static void go_on(struct image_task *task)
{
    bool done = false;
    if (task->finished)
        return;
    if (task->cancelled && task->rc == 0) {
        task->rc = err_set(&task->err, ERR_CANCELLED, "cancelled");
        stop_runs(task);
    }
    if (task->rc == 0 && (task->leader || follow(task)))
        return;
    task->waits_for_others = false;
    if (task->rc == 0) {
        int rc = work(task, &done);
        if (rc < 0) {
            task->rc = rc;
            stop_runs(task);
        }
    }
    if ((task->rc < 0 || done) && !image_task_is_busy(task)) {
        finish(task);
    } else if (task->rc == 0 && (task->fetching == FETCH_LAYERS || task->waits_for_others)) {
        image_task_tell(task);
        image_task_wake(task, POLL_MS);
    }
}

/* --- from outside --- */

static struct image_task *task_new(struct image_store *store, const struct image_ref *ref,
                                   char *platform, const struct image_callbacks *callbacks,
                                   void *ctx)
{
    struct image_task *task = mem_zalloc(1, sizeof *task), **at = &store->tasks;
    task->store = store;
    task->ref = (struct image_ref){
        .source = ref->source,
        .name = mem_strdup(ref->name),
        .path = mem_strdup(ref->path),
        .tag = ref->tag ? mem_strdup(ref->tag) : NULL,
        .digest = ref->digest,
        .loopback = ref->loopback,
    };
    task->platform = platform;
    task->callbacks = *callbacks;
    task->ctx = ctx;
    uv_timer_init(store->loop, &task->timer);
    task->timer.data = task;
    while (*at)
        at = &(*at)->next;
    *at = task;
    image_task_wake(task, 0);
    return task;
}

static int platform_or_ours(const char *platform, char **out, struct err *err)
{
    if (platform)
        return image_platform_parse(platform, out, err);
    *out = mem_strdup(image_platform());
    return 0;
}

int image_resolve(struct image_store *store, const struct image_ref *ref, const char *platform,
                  const struct digest *at, const struct image_callbacks *callbacks, void *ctx,
                  struct image_task **out, struct err *err)
{
    char *own = NULL;
    int rc = platform_or_ours(platform, &own, err);
    if (rc < 0)
        return rc;
    *out = task_new(store, ref, own, callbacks, ctx);
    (*out)->want = WANT_PIN;
    if (at)
        (*out)->at = *at;
    return 0;
}

int image_prepare(struct image_store *store, const struct image_ref *ref, const char *platform,
                  const struct image_pin *pin, const char *user,
                  const struct image_callbacks *callbacks, void *ctx, struct image_task **out,
                  struct err *err)
{
    char *own = NULL;
    int rc = digest_is_null(&pin->manifest)
                 ? err_set(err, ERR_USAGE, "image %s: it is not pinned", ref->name)
                 : platform_or_ours(platform, &own, err);
    if (rc < 0)
        return rc;
    *out = task_new(store, ref, own, callbacks, ctx);
    (*out)->want = WANT_IMAGE;
    (*out)->user = user ? mem_strdup(user) : NULL;
    (*out)->pin = *pin;
    return 0;
}

void image_cancel(struct image_task *task)
{
    task->cancelled = true;
    image_task_wake(task, 0);
}

void image_store_close(struct image_store *store, void (*closed)(void *ctx), void *ctx)
{
    store->closing = true;
    store->closed = closed;
    store->closed_ctx = ctx;
    for (struct image_task *task = store->tasks; task; task = task->next)
        image_cancel(task);
    image_store_tasks_gone(store);
}
