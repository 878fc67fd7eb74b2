/*
 * images.c - asks for an image as the engine does, for the process tests of images.
 *
 *     images [--update] [--no-nest] [--platform P] STORE LOCK ROOT REFERENCE
 *
 * STORE stands for the cache's versioned root. Prints "resolved INDEX MANIFEST" where it had to be
 * asked for, "pulling" and "unpacking" with the last figures, then "layer DIR" each, "env
 * NAME=value" each, "user", "workdir", "entrypoint", "cmd" and "skipped N". KILN is the program
 * that unpacks. Exits with 0, with 2 where the user is to be told, with 3 where the machine is to
 * blame.
 */
#include "config/lock.h"
#include "runners/image.h"
#include "runners/runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asking {
    struct image_store *store;
    struct image_ref ref;
    const char *platform, *lock_path;
    struct lock lock;
    struct image_pin pin;
    struct image *image;
    struct image_progress pulled, unpacked;
    struct image_task *task;
    uv_signal_t interrupt;
    bool over;
    int rc;
    struct err err;
};

static void over(struct asking *asking, int rc, const struct err *err)
{
    asking->rc = rc;
    if (err)
        err_set(&asking->err, err->kind, "%s", err_text(err));
    asking->over = true;
    asking->task = NULL;
}

static void on_progress(void *ctx, const struct image_progress *progress)
{
    struct asking *asking = ctx;
    if (progress->phase == IMAGE_PULLING)
        asking->pulled = *progress;
    if (progress->phase == IMAGE_UNPACKING)
        asking->unpacked = *progress;
    fprintf(stderr, "progress %d %llu of %llu\n", progress->phase,
            (unsigned long long)progress->done, (unsigned long long)progress->total);
}

static void on_ready(void *ctx, struct image *image, const struct err *err)
{
    struct asking *asking = ctx;
    asking->image = image;
    over(asking, image ? 0 : -(int)err->kind, err);
}

static void on_resolved(void *ctx, const struct image_pin *pin, const struct err *err);
static const struct image_callbacks callbacks = {on_progress, on_resolved, on_ready};

static void prepare(struct asking *asking)
{
    struct err err = ERR_INIT;
    if (image_prepare(asking->store, &asking->ref, asking->platform, &asking->pin, NULL, &callbacks,
                      asking, &asking->task, &err) < 0)
        over(asking, -(int)err.kind, &err);
    err_release(&err);
}

static void on_resolved(void *ctx, const struct image_pin *pin, const struct err *err)
{
    struct asking *asking = ctx;
    char index[DIGEST_HEX + 1], manifest[DIGEST_HEX + 1];
    struct err local = ERR_INIT;
    if (!pin) {
        over(asking, -(int)err->kind, err);
        return;
    }
    asking->pin = *pin;
    digest_hex(&pin->index, index);
    digest_hex(&pin->manifest, manifest);
    printf("resolved %s %s\n", index, manifest);
    if (image_ref_is_locked(&asking->ref)) {
        lock_set(&asking->lock, asking->ref.name, asking->platform, &pin->index, &pin->manifest);
        if (lock_write(&asking->lock, asking->lock_path, &local) < 0) {
            over(asking, -(int)local.kind, &local);
            err_release(&local);
            return;
        }
    }
    prepare(asking);
}

static void begin(struct asking *asking, bool update)
{
    struct err err = ERR_INIT;
    const struct lock_entry *entry = NULL, *any = NULL;
    if (lock_read(asking->lock_path, &asking->lock, &err) < 0) {
        over(asking, -(int)err.kind, &err);
        err_release(&err);
        return;
    }
    if (!update && image_ref_is_locked(&asking->ref)) {
        entry = lock_find(&asking->lock, asking->ref.name, asking->platform);
        any = lock_find_any(&asking->lock, asking->ref.name);
    }
    if (entry) {
        asking->pin = (struct image_pin){entry->digest, entry->manifest};
        prepare(asking);
    } else if (image_resolve(asking->store, &asking->ref, asking->platform,
                             any ? &any->digest : NULL, &callbacks, asking, &asking->task,
                             &err) < 0) {
        over(asking, -(int)err.kind, &err);
    }
    err_release(&err);
}

static void tell(const struct image *image)
{
    for (size_t i = 0; i < image->n_layers; i++)
        printf("layer %s\n", image->layers[i]);
    for (size_t i = 0; i < image->n_env; i++)
        printf("env %s\n", image->env[i]);
    printf("user %s\nworkdir %s\nentrypoint", image->user, image->workdir);
    for (size_t i = 0; i < image->n_entrypoint; i++)
        printf(" %s", image->entrypoint[i]);
    printf("\ncmd");
    for (size_t i = 0; i < image->n_cmd; i++)
        printf(" %s", image->cmd[i]);
    printf("\nplatform %s\nskipped %llu\n", image->platform, (unsigned long long)image->skipped);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct asking *asking = handle->data;
    (void)signum;
    if (asking->task)
        image_cancel(asking->task);
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void wait_closed(uv_loop_t *loop, const bool *closed)
{
    while (!*closed)
        uv_run(loop, UV_RUN_ONCE);
}

static int ask(uv_loop_t *loop, struct asking *asking, const struct image_store_options *options,
               bool update, struct err *err)
{
    bool closed = false;
    if (image_store_open(loop, options, &asking->store, err) < 0)
        return -(int)err->kind;
    begin(asking, update);
    while (!asking->over)
        uv_run(loop, UV_RUN_ONCE);
    image_store_close(asking->store, on_closed, &closed);
    wait_closed(loop, &closed);
    return err_move(err, &asking->err);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct asking asking = {.err = ERR_INIT, .platform = NULL};
    struct image_store_options options = {.program = getenv("KILN")};
    struct runner_box_options box = {.runtime = NULL};
    char *platform = NULL;
    bool update = false, nest = true, closed = false;
    int i = 1, rc = 0;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--update") == 0)
            update = true;
        else if (strcmp(argv[i], "--no-nest") == 0)
            nest = false;
        else if (strcmp(argv[i], "--platform") == 0 && i + 1 < argc)
            rc = image_platform_parse(argv[++i], &platform, &err);
    }
    if (argc - i != 4 || !options.program)
        return 2;
    uv_loop_t loop;
    uv_loop_init(&loop);
    uv_signal_init(&loop, &asking.interrupt);
    asking.interrupt.data = &asking;
    uv_signal_start(&asking.interrupt, on_signal, SIGINT);
    uv_unref((uv_handle_t *)&asking.interrupt);
    options.dir = box.dir = argv[i];
    asking.lock_path = argv[i + 1];
    asking.platform = platform ? platform : image_platform();
    options.owner = (struct box_owner){.uid = getuid(), .gid = getgid(), .n = getuid() ? 0 : 65536};
    if (rc == 0)
        rc = image_ref_parse(argv[i + 3], argv[i + 2], &asking.ref, &err);
    if (rc == 0)
        rc = runner_host_new(&loop, &options.host, &err);
    if (rc == 0 && nest)
        rc = runner_box_new(&loop, &box, &options.nest, &err);
    if (rc == 0 && nest)
        rc = box_owner(&options.owner, &err);
    if (rc == 0)
        rc = ask(&loop, &asking, &options, update, &err);
    if (options.nest) {
        closed = false;
        runner_close(options.nest, on_closed, &closed);
        wait_closed(&loop, &closed);
    }
    if (options.host) {
        closed = false;
        runner_close(options.host, on_closed, &closed);
        wait_closed(&loop, &closed);
    }
    uv_close((uv_handle_t *)&asking.interrupt, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (asking.image)
        tell(asking.image);
    if (rc < 0)
        fprintf(stderr, "images: %s\n", err_text(&err));
    image_free(asking.image);
    lock_release(&asking.lock);
    image_ref_release(&asking.ref);
    free(platform);
    err_release(&err);
    uv_loop_close(&loop);
    return rc == 0 ? 0 : rc == -ERR_CONFIG || rc == -ERR_USAGE ? 2 : 3;
}
