/* image_absent.c - until there is a store of images: who wants one is told so. Goes when it comes.
 */
#include "runners/image.h"

#if !__has_include("runners/image_store.c")

static int absent(struct err *err)
{
    return err_set(err, ERR_CONFIG, "images are not available in this kiln yet");
}

int image_ref_parse(const char *text, const char *root, struct image_ref *out, struct err *err)
{
    (void)text;
    (void)root;
    (void)out;
    return absent(err);
}

void image_ref_release(struct image_ref *ref)
{
    (void)ref;
}

bool image_ref_is_locked(const struct image_ref *ref)
{
    (void)ref;
    return false;
}

const char *image_platform(void)
{
    return "";
}

int image_platform_parse(const char *text, char **out, struct err *err)
{
    (void)text;
    *out = NULL;
    return absent(err);
}

int image_store_open(uv_loop_t *loop, const struct image_store_options *options,
                     struct image_store **out, struct err *err)
{
    (void)loop;
    (void)options;
    (void)err;
    *out = NULL;
    return 0;
}

void image_store_close(struct image_store *store, void (*closed)(void *ctx), void *ctx)
{
    (void)store;
    closed(ctx);
}

void image_free(struct image *image)
{
    (void)image;
}

int image_resolve(struct image_store *store, const struct image_ref *ref, const char *platform,
                  const struct digest *at, const struct image_callbacks *callbacks, void *ctx,
                  struct image_task **out, struct err *err)
{
    (void)store;
    (void)ref;
    (void)platform;
    (void)at;
    (void)callbacks;
    (void)ctx;
    (void)out;
    return absent(err);
}

int image_prepare(struct image_store *store, const struct image_ref *ref, const char *platform,
                  const struct image_pin *pin, const struct image_callbacks *callbacks, void *ctx,
                  struct image_task **out, struct err *err)
{
    (void)store;
    (void)ref;
    (void)platform;
    (void)pin;
    (void)callbacks;
    (void)ctx;
    (void)out;
    return absent(err);
}

void image_cancel(struct image_task *task)
{
    (void)task;
}

int image_pick(struct image_store *store, const struct digest *index, const char *platform,
               struct image_pin *out, struct err *err)
{
    (void)store;
    (void)index;
    (void)platform;
    (void)out;
    return absent(err);
}

const char *const *image_command(const struct image *image, const char *const *argv, bool is_text,
                                 struct arena *arena)
{
    (void)image;
    (void)is_text;
    (void)arena;
    return argv;
}

const char *const *image_environment(const struct image *image, const char *const *envp,
                                     struct arena *arena)
{
    (void)image;
    (void)arena;
    return envp;
}

#endif
