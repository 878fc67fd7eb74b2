/* What an image's configuration means for a step. */
#include "runners/image.h"

#include <string.h>

const char *const *image_command(const struct image *image, const char *const *argv, bool is_text,
                                 struct arena *arena)
{
    size_t n = 0, first = is_text ? 0 : image->n_entrypoint;
    while (argv[n])
        n++;
    const char **out = arena_zalloc(arena, first + n + 1, sizeof *out);
    for (size_t i = 0; i < first; i++)
        out[i] = image->entrypoint[i];
    for (size_t i = 0; i < n; i++)
        out[first + i] = argv[i];
    return out;
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

const char *const *image_environment(const struct image *image, const char *const *envp,
                                     struct arena *arena)
{
    size_t n_own = 0, n = 0;
    while (envp[n_own])
        n_own++;
    const char **out = arena_zalloc(arena, image->n_env + n_own + 1, sizeof *out);
    for (size_t i = 0; i < image->n_env; i++) {
        bool over = false;
        for (size_t k = 0; k < n_own && !over; k++)
            over = same_name(image->env[i], envp[k]);
        for (size_t k = i + 1; k < image->n_env && !over; k++) /* the last one counts */
            over = same_name(image->env[i], image->env[k]);
        if (!over)
            out[n++] = image->env[i];
    }
    for (size_t i = 0; i < n_own; i++)
        out[n++] = envp[i];
    return out;
}
