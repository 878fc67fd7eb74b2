#include "runners/image_manifest.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"

#include <jansson.h>
#include <string.h>

#define SHA256       "sha256:"
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define REF_NAME     "org.opencontainers.image.ref.name"

static int malformed(struct err *err, const char *what)
{
    return err_set(err, ERR_CONFIG, "%s; whoever made the image has to make it again", what);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_t *load(const char *bytes, size_t n, struct err *err)
{
    json_error_t error;
    json_t *json = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &error);
    if (json && json_is_object(json))
        return json;
    json_decref(json);
    malformed(err, "a document of the image is no JSON object");
    return NULL;
}

static bool read_digest(const json_t *object, struct digest *out)
{
    const char *text = text_of(object, "digest");
    json_int_t size = json_integer_value(json_object_get(object, "size"));
    return strncmp(text, SHA256, strlen(SHA256)) == 0 && size >= 0 &&
           digest_parse(text + strlen(SHA256), (uint64_t)size, out);
}

/* --- platforms --- */

static unsigned version(const char *variant)
{
    return variant[0] == 'v' && variant[1] >= '1' && variant[1] <= '9' && !variant[2]
               ? (unsigned)(variant[1] - '0')
               : 0;
}

/* How well what is for (arch, variant) serves on, "arch[/variant]"; 0: not at all. */
static unsigned fit(const char *platform, const char *on)
{
    size_t n = strcspn(on, "/"), arch;
    if (strncmp(platform, on, n + 1) != 0 || !on[n])
        return 0; /* another system */
    platform += n + 1;
    on += n + 1;
    arch = strcspn(on, "/");
    if (strncmp(platform, on, arch) != 0 || (platform[arch] && platform[arch] != '/'))
        return 0;
    const char *has = platform[arch] ? platform + arch + 1 : "";
    const char *wants = on[arch] ? on + arch + 1 : "";
    if (strcmp(has, wants) == 0)
        return 100;
    bool is_arm = arch == 3 && memcmp(on, "arm", 3) == 0;
    unsigned usual = is_arm ? 7 : arch == 5 && memcmp(on, "arm64", 5) == 0 ? 8 : 1;
    unsigned has_version = *has ? version(has) : usual;
    unsigned wants_version = *wants ? version(wants) : usual;
    return has_version && has_version <= wants_version ? has_version : 0;
}

bool manifest_runs_on(const char *platform, const char *on)
{
    return fit(platform, on) > 0;
}

static const char *platform_of(const json_t *object, struct arena *arena)
{
    const char *os = text_of(object, "os"), *arch = text_of(object, "architecture");
    const char *variant = text_of(object, "variant");
    if (!*os || !*arch)
        return "";
    return arena_printf(arena, "%s/%s%s%s", os, arch, *variant ? "/" : "", variant);
}

/* --- manifests and indexes --- */

static int read_choices(const json_t *list, struct arena *arena, struct manifest *out,
                        struct err *err)
{
    size_t n = json_array_size(list), i;
    if (n > MANIFEST_MOST)
        return malformed(err, "its index names more than 500 manifests");
    struct manifest_choice *choices = arena_zalloc(arena, n + 1, sizeof *choices);
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        const json_t *notes = json_object_get(item, "annotations");
        const char *tag = json_string_value(json_object_get(notes, REF_NAME));
        if (!read_digest(item, &choices[i].digest))
            return malformed(err, "its index names a manifest without a SHA-256 digest");
        choices[i].platform = platform_of(json_object_get(item, "platform"), arena);
        choices[i].tag = tag ? arena_strdup(arena, tag) : NULL;
    }
    out->is_index = true;
    out->choices = choices;
    out->n_choices = n;
    return 0;
}

static bool one_of(const char *text, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(text, *list) == 0)
            return true;
    }
    return false;
}

static int check_layer(const char *type, struct err *err)
{
    static const char *const known[] = {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        NULL,
    };
    if (one_of(type, known))
        return 0;
    if (strstr(type, "foreign") || strstr(type, "nondistributable"))
        return err_set(err, ERR_CONFIG,
                       "it has a layer that its registry does not give out (foreign), as images of "
                       "Windows have; kiln does not fetch it from elsewhere");
    struct buf shown = BUF_INIT;
    buf_add_shown(&shown, type, strlen(type) < 120 ? strlen(type) : 120);
    int rc =
        err_set(err, ERR_CONFIG,
                "it has a layer of the type \"%s\", which kiln cannot unpack; it may not be an "
                "image of a container",
                buf_str(&shown));
    buf_release(&shown);
    return rc;
}

static int read_manifest(const json_t *json, struct arena *arena, struct manifest *out,
                         struct err *err)
{
    static const char *const configs[] = {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        NULL,
    };
    const json_t *config = json_object_get(json, "config"), *item;
    const json_t *list = json_object_get(json, "layers");
    size_t n = json_array_size(list), i;
    if (!json_is_array(list) || !read_digest(config, &out->config.digest))
        return malformed(err, "its manifest has no configuration or no layers");
    if (!one_of(text_of(config, "mediaType"), configs))
        return err_set(err, ERR_CONFIG,
                       "it is not an image of a container, but something else that is kept in a "
                       "registry");
    if (n == 0)
        return err_set(err, ERR_CONFIG, "it has no layers, so there is nothing in it to run");
    if (n > MANIFEST_MOST)
        return malformed(err, "it has more than 500 layers, which Linux cannot stack");
    struct manifest_blob *layers = arena_zalloc(arena, n, sizeof *layers);
    json_array_foreach(list, i, item)
    {
        if (!read_digest(item, &layers[i].digest))
            return malformed(err, "its manifest has a layer without a SHA-256 digest");
        if (check_layer(text_of(item, "mediaType"), err) < 0)
            return -ERR_CONFIG;
    }
    out->layers = layers;
    out->n_layers = n;
    return 0;
}

int manifest_parse(const char *bytes, size_t n, struct arena *arena, struct manifest *out,
                   struct err *err)
{
    *out = (struct manifest){.is_index = false};
    json_t *json = load(bytes, n, err);
    if (!json)
        return -ERR_CONFIG;
    const json_t *choices = json_object_get(json, "manifests");
    const json_t *layers = json_object_get(json, "layers");
    int rc;
    if (json_integer_value(json_object_get(json, "schemaVersion")) == 1)
        rc = err_set(err, ERR_CONFIG,
                     "its manifest is of Docker's old schema 1; push it again with a tool of this "
                     "decade (skopeo copy --format v2s2 makes a new one of it)");
    else if (choices && layers) /* what one reads as the one, another could as the other */
        rc = malformed(err, "its manifest is an index and an image at the same time");
    else if (json_is_array(choices))
        rc = read_choices(choices, arena, out, err);
    else
        rc = read_manifest(json, arena, out, err);
    json_decref(json);
    return rc;
}

int manifest_choose(const struct manifest *index, const char *platform, struct digest *out,
                    struct err *err)
{
    struct buf there = BUF_INIT;
    unsigned best = 0;
    for (size_t i = 0; i < index->n_choices; i++) {
        const struct manifest_choice *choice = &index->choices[i];
        unsigned fits = fit(choice->platform, platform);
        if (fits > best) {
            best = fits;
            *out = choice->digest;
        }
        if (*choice->platform && strncmp(choice->platform, "unknown/", 8) != 0 && there.len < 400) {
            buf_adds(&there, there.len ? ", " : "");
            buf_add_shown(&there, choice->platform, strlen(choice->platform));
        }
    }
    int rc = best ? 0
                  : err_set(err, ERR_CONFIG, "it is not there for %s, but for: %s", platform,
                            there.len ? buf_str(&there) : "nothing that it names");
    buf_release(&there);
    return rc;
}

int manifest_tagged(const struct manifest *index, const char *tag,
                    const struct manifest_choice **out, struct err *err)
{
    struct buf there = BUF_INIT;
    *out = NULL;
    for (size_t i = 0; i < index->n_choices; i++) {
        const struct manifest_choice *choice = &index->choices[i];
        if (tag ? choice->tag && strcmp(choice->tag, tag) == 0 : index->n_choices == 1)
            *out = choice;
        if (choice->tag && there.len < 400) {
            buf_adds(&there, there.len ? ", " : "");
            buf_add_shown(&there, choice->tag, strlen(choice->tag));
        }
    }
    int rc = 0;
    if (!*out && tag)
        rc = err_set(err, ERR_CONFIG, "there is no image \"%s\" in it, but: %s", tag,
                     there.len ? buf_str(&there) : "none with a name");
    else if (!*out)
        rc = err_set(err, ERR_CONFIG, "%s: %s",
                     index->n_choices ? "there are several images in it; put \":\" and the name of "
                                        "one behind the directory"
                                      : "there is no image in it",
                     there.len ? buf_str(&there) : "none has a name");
    buf_release(&there);
    return rc;
}

/* --- configurations --- */

/* The texts of a list, or none, NULL terminated; with extra places left. */
static const char **texts(const json_t *list, size_t extra, struct arena *arena, size_t *n)
{
    const json_t *item;
    size_t i;
    const char **out = arena_zalloc(arena, json_array_size(list) + extra + 1, sizeof *out);
    *n = 0;
    json_array_foreach(list, i, item)
    {
        if (json_is_string(item))
            out[(*n)++] = arena_strdup(arena, json_string_value(item));
    }
    return out;
}

static void read_env(const json_t *list, struct image *image)
{
    size_t n, kept = 0;
    bool path = false;
    const char **env = texts(list, 1, &image->arena, &n);
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(env[i], '=');
        if (!equals || equals == env[i])
            continue;
        path |= strncmp(env[i], "PATH=", 5) == 0;
        env[kept++] = env[i];
    }
    if (!path)
        env[kept++] = DEFAULT_PATH;
    env[kept] = NULL;
    image->env = env;
    image->n_env = kept;
}

static int read_diff_ids(const json_t *list, struct arena *arena, const struct digest **out,
                         size_t *n, struct err *err)
{
    const json_t *item;
    size_t i;
    *n = json_array_size(list);
    struct digest *ids = arena_zalloc(arena, *n + 1, sizeof *ids);
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        if (!text || strncmp(text, SHA256, strlen(SHA256)) != 0 ||
            !digest_parse(text + strlen(SHA256), 0, &ids[i]))
            return malformed(err, "its configuration names a layer without a SHA-256 digest");
    }
    *out = ids;
    return 0;
}

int manifest_config(const char *bytes, size_t n, struct image *image,
                    const struct digest **diff_ids, size_t *n_diff_ids, struct err *err)
{
    json_t *json = load(bytes, n, err);
    if (!json)
        return -ERR_CONFIG;
    const json_t *config = json_object_get(json, "config");
    const char *workdir = text_of(config, "WorkingDir");
    char *normal = path_normalize(workdir + strspn(workdir, "/"));
    read_env(json_object_get(config, "Env"), image);
    image->entrypoint =
        texts(json_object_get(config, "Entrypoint"), 0, &image->arena, &image->n_entrypoint);
    image->cmd = texts(json_object_get(config, "Cmd"), 0, &image->arena, &image->n_cmd);
    image->user = arena_strdup(&image->arena, text_of(config, "User"));
    image->workdir = arena_printf(&image->arena, "/%s", normal ? normal : "");
    image->platform = platform_of(json, &image->arena);
    int rc = read_diff_ids(json_object_get(json_object_get(json, "rootfs"), "diff_ids"),
                           &image->arena, diff_ids, n_diff_ids, err);
    free(normal);
    json_decref(json);
    return rc;
}
