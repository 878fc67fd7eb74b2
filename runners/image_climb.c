/* A task's way up an image's layers: each is unpacked on top of those below, or held as it is. */
#include "runners/image_private.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS      100
#define MOST_WAITS   100 /* for a layer that somebody removes just now */
#define EXIT_REFUSED 1   /* of "kiln internal unpack" */
#define EXIT_DAMAGED 4

static void on_unpack_said(void *ctx, struct image_run *run)
{
    struct image_task *task = ctx;
    const char *text = buf_str(&run->out), *end;
    while ((end = strchr(text + task->told, '\n'))) {
        uint64_t bytes;
        if (sscanf(text + task->told, "read %" SCNu64, &bytes) == 1)
            task->unpacked_now = bytes;
        task->told = (size_t)(end - text) + 1;
    }
    if (task->fetching == FETCH_NOTHING)
        image_task_tell(task);
}

static void on_unpacked(void *ctx, struct image_run *run)
{
    struct image_task *task = ctx;
    const struct digest *blob = &task->manifest.layers[task->n_held].digest;
    task->unpacking = false;
    task->unpacked += blob->size;
    task->unpacked_now = 0;
    image_task_wake_others(task);
    image_task_wake(task, 0);
    if (task->rc < 0 || task->cancelled || run->exit_code == 0)
        return;
    struct buf words = BUF_INIT;
    size_t n = run->words.len;
    while (n && run->words.data[n - 1] == '\n')
        n--;
    buf_add_shown(&words, buf_str(&run->words), n);
    if (run->exit_code == EXIT_DAMAGED && task->again < task->n_held + 1) {
        image_blob_remove(task->store, blob);
        task->again = task->n_held + 1;
        task->fetched_layers = false;
        task->unpacked -= blob->size;
    } else {
        enum err_kind kind = run->exit_code == EXIT_REFUSED ? ERR_CONFIG : ERR_SYSTEM;
        if (run->exit_code == EXIT_DAMAGED)
            image_blob_remove(task->store, blob);
        image_task_fail(task,
                        err_set(&task->err, kind, "its layer %zu of %zu cannot be unpacked: %s",
                                task->n_held + 1, task->manifest.n_layers, buf_str(&words)));
    }
    buf_release(&words);
}

static int start_unpack(struct image_task *task)
{
    struct image_store *store = task->store;
    size_t i = task->n_held, n = 0;
    const struct digest *digest = &task->manifest.layers[i].digest;
    char hex[DIGEST_HEX + 1], diff_hex[DIGEST_HEX + 1], *blob = image_blob_path(store, digest);
    const char **argv = mem_alloc((i + 10) * sizeof *argv);
    digest_hex(digest, hex);
    digest_hex(&task->diff_ids[i], diff_hex);
    argv[n++] = store->program;
    argv[n++] = "internal";
    argv[n++] = "unpack";
    argv[n++] = blob;
    argv[n++] = hex;
    argv[n++] = diff_hex;
    argv[n++] = store->layers;
    argv[n++] = task->names[i];
    for (size_t k = 0; k < i; k++)
        argv[n++] = task->names[k];
    argv[n] = NULL;
    task->unpack.ctx = task;
    task->unpack.said = on_unpack_said;
    task->unpack.done = on_unpacked;
    task->unpack.uid = task->uid;
    task->unpack.gid = task->gid;
    task->told = 0;
    task->unpacking = true;
    int rc = image_run_start(store, store->nest ? store->nest : store->host, "", argv,
                             &task->unpack, &task->err);
    if (rc < 0)
        task->unpacking = false;
    free(argv);
    free(blob);
    return rc;
}

static bool others_unpack(const struct image_task *task, const char *name)
{
    for (const struct image_task *other = task->store->tasks; other; other = other->next) {
        if (other != task && other->unpacking && strcmp(other->names[other->n_held], name) == 0)
            return true;
    }
    return false;
}

/* All layers are there. What kiln makes for a step belongs to its user; where that is not root, the
 * two change places in the nest, and so they have to in the layers: once more up, in that nest.
 * *more tells. Who the user is, is in the layers themselves. */
static int choose_ids(struct image_task *task, bool *more)
{
    struct image *image = task->image;
    uint32_t uid, gid;
    struct err none = ERR_INIT;
    *more = false;
    if (!task->store->nest || task->store->owner.n < 2 || task->uid || task->gid)
        return 0;
    if (box_find_ids(image->layers, image->n_layers, task->user ? task->user : image->user, &uid,
                     &gid, &none) < 0) {
        err_release(&none); /* told when a step is started */
        return 0;
    }
    if ((!uid && !gid) || uid >= task->store->owner.n || gid >= task->store->owner.n)
        return 0;
    task->uid = uid;
    task->gid = gid;
    for (size_t i = 0; i < task->manifest.n_layers; i++) {
        task->names[i] = arena_printf(&image->arena, "%s.%u-%u", task->names[i], uid, gid);
        task->dirs[i] = arena_printf(&image->arena, "%s/%s", task->store->layers, task->names[i]);
        close(image->held[i]);
    }
    image->n_held = task->n_held = 0;
    image->skipped = task->unpacked = 0;
    task->fetched_layers = false;
    *more = true;
    return 0;
}

static int climb(struct image_task *task, bool *done);

int image_climb(struct image_task *task, bool *done)
{
    bool more = false;
    int rc = climb(task, done);
    if (rc == 0 && *done)
        rc = choose_ids(task, &more);
    return more ? climb(task, done) : rc;
}

/* Goes up the layers as far as it can; *done when all are there. */
static int climb(struct image_task *task, bool *done)
{
    *done = false;
    if (!task->to_unpack) {
        for (size_t i = 0; i < task->manifest.n_layers; i++)
            task->to_unpack += task->manifest.layers[i].digest.size;
    }
    while (task->n_held < task->manifest.n_layers && !task->unpacking) {
        size_t i = task->n_held;
        uint64_t skipped = 0;
        int held = image_layer_hold(task->store, task->names[i], &skipped);
        if (held >= 0) {
            task->image->held[task->image->n_held++] = held;
            task->image->skipped += skipped;
            task->n_held++;
            task->waits = 0;
            continue;
        }
        if (others_unpack(task, task->names[i]))
            return 0; /* which wakes this one */
        if (!image_blob_there(task->store, &task->manifest.layers[i].digest,
                              task->fetching == FETCH_NOTHING)) {
            if (task->fetching != FETCH_NOTHING)
                return 0;
            if (task->fetched_layers)
                return err_set(&task->err, ERR_SYSTEM,
                               "a layer is not there although it has been fetched; is another "
                               "program clearing the cache?");
            return image_fetch_layers(task);
        }
        if (task->waits++ > MOST_WAITS)
            return err_set(&task->err, ERR_SYSTEM,
                           "the layer %s does not stay; is another program clearing the cache?",
                           task->names[i]);
        if (task->waits > 2) {
            image_task_wake(task, POLL_MS);
            return 0;
        }
        return start_unpack(task);
    }
    *done = task->n_held == task->manifest.n_layers && task->fetching == FETCH_NOTHING;
    return 0;
}
