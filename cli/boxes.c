/* boxes.c - what isolated steps need, made when the first of them must run (see cli.h). */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int remove_as_nest(void *ctx, const char *path, struct err *err)
{
    (void)ctx;
    return box_remove(path, err);
}

void app_remove_as_nest(struct app *app)
{
    cache_set_remover(app->cache, remove_as_nest, NULL);
}

static int open_images(struct app *app, const struct box_owner *owner, const char *dir,
                       struct err *err)
{
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0)
        return err_sys(err, errno, "cannot tell where kiln's own program is");
    program[n] = '\0';
    struct image_store_options options = {.dir = dir,
                                          .host = app->runner,
                                          .nest = app->box_runner,
                                          .owner = *owner,
                                          .program = program};
    return image_store_open(&app->loop, &options, &app->images, err);
}

int app_boxes(struct app *app, struct engine_boxes *out, struct err *err)
{
    struct box_owner owner;
    int rc = box_owner(&owner, err);
    char *root = path_join(cache_path(app->cache), "v1");
    char *dir = path_join(root, "box");
    if (rc == 0 && app->read_only)
        rc = err_set(err, ERR_SYSTEM,
                     "isolated steps need a cache that can be written, for what they read and "
                     "write: %s can't be; KILN_CACHE_DIR names another place",
                     cache_path(app->cache));
    if (rc == 0)
        rc = box_check_dir(root, err); /* before anything is made there */
    if (rc == 0 && !app->box_runner) {
        struct runner_box_options options = {.dir = root, .host = app->runner};
        rc = file_mkdirs(dir, 0711, err);
        if (rc == 0)
            rc = runner_box_new(&app->loop, &options, &app->box_runner, err);
    }
    if (rc == 0 && !app->images)
        rc = open_images(app, &owner, root, err);
    *out = (struct engine_boxes){app->box_runner, app->images, owner};
    free(dir);
    free(root);
    return rc;
}

static void close_runners(void *ctx)
{
    struct app *app = ctx;
    if (app->box_runner)
        runner_close(app->box_runner, NULL, NULL);
    if (app->runner)
        runner_close(app->runner, NULL, NULL);
    app->box_runner = app->runner = NULL;
}

void app_close_runners(struct app *app)
{
    struct image_store *images = app->images;
    app->images = NULL;
    if (images)
        image_store_close(images, close_runners, app);
    else
        close_runners(app);
}
