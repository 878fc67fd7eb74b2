/* Any bytes as a manifest, an index, a configuration, and as a reference: a result or words. */
#include "tests/fuzz/fuzz.h"

#include "runners/image_manifest.h"

static void claim(int rc, struct err *err)
{
    CLAIM(rc == 0 ? !*err_text(err) : rc == -ERR_CONFIG && *err_text(err));
    err_release(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct manifest manifest;
    struct image image = {.name = ""};
    struct image_ref ref;
    struct digest digest;
    const struct digest *ids;
    const struct manifest_choice *choice;
    struct input input = {data, size};
    struct err err = ERR_INIT;
    size_t n;
    int rc = manifest_parse((const char *)data, size, &arena, &manifest, &err);
    claim(rc, &err);
    if (rc == 0 && manifest.is_index) {
        claim(manifest_choose(&manifest, "linux/amd64", &digest, &err), &err);
        claim(manifest_tagged(&manifest, "a", &choice, &err), &err);
        claim(manifest_tagged(&manifest, NULL, &choice, &err), &err);
    } else if (rc == 0) {
        CLAIM(manifest.n_layers > 0 && manifest.n_layers <= MANIFEST_MOST);
    }
    rc = manifest_config((const char *)data, size, &image, &ids, &n, &err);
    claim(rc, &err);
    if (rc == 0) {
        CLAIM(image.n_env > 0 && !image.env[image.n_env] && image.workdir[0] == '/');
        for (size_t i = 0; i < image.n_env; i++)
            CLAIM(strchr(image.env[i], '='));
    }
    arena_release(&image.arena);
    arena_release(&arena);
    char *line = input_line(&input), *platform = NULL;
    rc = image_ref_parse(line, "/p", &ref, &err);
    claim(rc, &err);
    if (rc == 0) {
        struct image_ref again;
        CLAIM(*ref.name && *ref.path);
        /* A normal form is one. */
        if (ref.source == IMAGE_REGISTRY) {
            CLAIM(image_ref_parse(ref.name, "/p", &again, NULL) == 0);
            CLAIM(strcmp(again.name, ref.name) == 0 && again.loopback == ref.loopback);
            image_ref_release(&again);
        }
        image_ref_release(&ref);
    }
    rc = image_platform_parse(line, &platform, &err);
    claim(rc, &err);
    if (rc == 0) {
        char *again = NULL;
        CLAIM(image_platform_parse(platform, &again, NULL) == 0 && strcmp(platform, again) == 0);
        free(again);
    }
    free(platform);
    free(line);
    return 0;
}
