/*
 * image_manifest.h - the JSON documents that an image is made of: indexes, manifests,
 * configurations, of OCI and of Docker's schema 2; and the index.json of a layout.
 *
 * Private to the images' files. Documents are hostile until their digest has been compared, and may
 * be anything even then. All that is read is allocated in the arena. ERR_CONFIG with words for
 * whoever named the image. Any thread.
 */
#ifndef KILN_RUNNERS_IMAGE_MANIFEST_H
#define KILN_RUNNERS_IMAGE_MANIFEST_H

#include "runners/image.h"

#define MANIFEST_MOST_BYTES ((size_t)4 << 20)
#define MANIFEST_MOST       500u /* layers: what overlayfs takes; and platforms of an index */

struct manifest_blob {
    struct digest digest; /* with its size */
};

struct manifest_choice {
    struct digest digest;
    const char *platform; /* "os/arch[/variant]"; "" when it does not say */
    const char *tag;      /* in a layout's index: its name; or NULL */
};

struct manifest {
    bool is_index;
    struct manifest_blob config;
    const struct manifest_blob *layers; /* the lowest first */
    size_t n_layers;
    const struct manifest_choice *choices; /* of an index */
    size_t n_choices;
};

int manifest_parse(const char *bytes, size_t n, struct arena *arena, struct manifest *out,
                   struct err *err) MUST_CHECK;
/* The choice for the platform: the same, or the best that runs there; of equals the first.
 * ERR_CONFIG that lists what there is. */
int manifest_choose(const struct manifest *index, const char *platform, struct digest *out,
                    struct err *err) MUST_CHECK;
/* The choice of that tag; NULL: the only one. */
int manifest_tagged(const struct manifest *index, const char *tag,
                    const struct manifest_choice **out, struct err *err) MUST_CHECK;

/* Reads a configuration into image's env ... cmd, allocated in its arena, and platform; diff_ids
 * are those of its layers. */
int manifest_config(const char *bytes, size_t n, struct image *image,
                    const struct digest **diff_ids, size_t *n_diff_ids, struct err *err) MUST_CHECK;
/* Whether what is made for the one platform runs on the other. */
bool manifest_runs_on(const char *platform, const char *on);

#endif
