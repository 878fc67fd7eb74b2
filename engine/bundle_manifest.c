/*
 * bundle_manifest.c - the first file of a bundle:
 *
 *     {"kiln_bundle": 1, "kiln": version, "pipeline": name or null, "run": id,
 *      "files": [[path, size, sha256], ...], "inputs": [[sha256, size], ...], "blobs": number}
 *
 * files are all of run/, sorted by path; inputs the roots of the trees that follow, sorted; blobs
 * how many files of content come then. What a later kiln adds is passed over; what it changes
 * raises kiln_bundle.
 */
#include "engine/bundle_private.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

void bundle_manifest_text(const struct bundle_manifest *manifest, struct buf *out)
{
    char hex[DIGEST_HEX + 1];
    buf_addf(out, "{\"kiln_bundle\":%d,\"kiln\":", VERSION);
    buf_add_json_str(out, manifest->kiln);
    buf_adds(out, ",\"pipeline\":");
    buf_add_json_str(out, manifest->pipeline);
    buf_adds(out, ",\"run\":");
    buf_add_json_str(out, manifest->run);
    buf_adds(out, ",\n\"files\":[");
    for (size_t i = 0; i < manifest->files.n; i++) {
        const struct bundle_file *file = &manifest->files.v[i];
        buf_adds(out, i ? ",\n[" : "\n[");
        buf_add_json_str(out, file->path);
        digest_hex(&file->digest, hex);
        buf_addf(out, ",%" PRIu64 ",\"%s\"]", file->digest.size, hex);
    }
    buf_adds(out, "],\n\"inputs\":[");
    for (size_t i = 0; i < manifest->inputs.n; i++) {
        digest_hex(&manifest->inputs.v[i], hex);
        buf_addf(out, "%s[\"%s\",%" PRIu64 "]", i ? ",\n" : "\n", hex, manifest->inputs.v[i].size);
    }
    buf_addf(out, "],\n\"blobs\":%" PRIu64 "}\n", manifest->blobs);
}

static bool is_number(const char *text, size_t n)
{
    return n && n < 19 && strspn(text, "0123456789") >= n && *text != '0';
}

enum bundle_kind bundle_kind_of(const char *path)
{
    char hex[DIGEST_HEX + 1];
    struct digest digest;
    size_t n = strlen(path);
    if (!strcmp(path, "run/events.ndjson"))
        return BUNDLE_EVENTS;
    if (!strcmp(path, "run/steps.log"))
        return BUNDLE_HISTORY;
    if (!strncmp(path, "run/logs/", 9) && n > 13 && !strcmp(path + n - 4, ".log") &&
        is_number(path + 9, n - 13))
        return BUNDLE_LOG;
    if (!strncmp(path, "run/failed/", 11) && n == 11 + DIGEST_HEX + 5 &&
        !strcmp(path + n - 5, ".json")) {
        memcpy(hex, path + 11, DIGEST_HEX);
        hex[DIGEST_HEX] = '\0';
        if (digest_parse(hex, 0, &digest))
            return BUNDLE_FAILURE;
    }
    return BUNDLE_OTHER;
}

/* -- reading ----------------------------------------------------------------------------------- */

static int refuse(struct err *err, const char *what)
{
    return err_set(err, ERR_CONFIG, "its manifest is not as kiln writes it: %s", what);
}

static const char *text_of(struct arena *arena, const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) && strlen(text) < 4096
               ? arena_strdup(arena, text)
               : NULL;
}

static bool size_of(const json_t *value, uint64_t *size)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *size = (uint64_t)json_integer_value(value);
    return true;
}

static bool digest_of_json(const json_t *hex, const json_t *number, struct digest *out)
{
    const char *text = json_string_value(hex);
    uint64_t size;
    return text && size_of(number, &size) && digest_parse(text, size, out);
}

static int read_files(const json_t *list, struct bundle_manifest *out, struct err *err)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > BUNDLE_FILES_MAX)
        return refuse(err, "\"files\"");
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        struct bundle_file file = {.path = text_of(&out->arena, json_array_get(item, 0))};
        if (!file.path || bundle_kind_of(file.path) == BUNDLE_OTHER ||
            !digest_of_json(json_array_get(item, 2), json_array_get(item, 1), &file.digest) ||
            (i && strcmp(out->files.v[i - 1].path, file.path) >= 0))
            return refuse(err, "\"files\"");
        vec_push(&out->files, file);
    }
    return n && bundle_kind_of(out->files.v[0].path) == BUNDLE_EVENTS
               ? 0
               : refuse(err, "it has no events");
}

static int read_inputs(const json_t *list, struct bundle_manifest *out, struct err *err)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > BUNDLE_FILES_MAX)
        return refuse(err, "\"inputs\"");
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        struct digest root;
        if (!digest_of_json(json_array_get(item, 0), json_array_get(item, 1), &root) ||
            (i && digest_cmp(&out->inputs.v[i - 1], &root) >= 0))
            return refuse(err, "\"inputs\"");
        vec_push(&out->inputs, root);
    }
    return 0;
}

static int read_manifest(const json_t *object, struct bundle_manifest *out, struct err *err)
{
    const json_t *version = json_object_get(object, "kiln_bundle");
    const json_t *pipeline = json_object_get(object, "pipeline");
    if (!json_is_integer(version))
        return err_set(err, ERR_CONFIG, "it is no bundle of kiln's");
    if (json_integer_value(version) != VERSION)
        return err_set(err, ERR_CONFIG,
                       "it is a bundle of version %lld, and this kiln reads version %d; a newer "
                       "kiln may read it",
                       (long long)json_integer_value(version), VERSION);
    out->kiln = text_of(&out->arena, json_object_get(object, "kiln"));
    out->run = text_of(&out->arena, json_object_get(object, "run"));
    out->pipeline = pipeline && !json_is_null(pipeline) ? text_of(&out->arena, pipeline) : NULL;
    if (!out->kiln || !out->run || !is_number(out->run, strlen(out->run)))
        return refuse(err, "\"run\"");
    if (read_files(json_object_get(object, "files"), out, err) < 0 ||
        read_inputs(json_object_get(object, "inputs"), out, err) < 0)
        return -(int)ERR_CONFIG;
    if (!size_of(json_object_get(object, "blobs"), &out->blobs))
        return refuse(err, "\"blobs\"");
    return 0;
}

int bundle_manifest_parse(const char *text, size_t n, struct bundle_manifest *out, struct err *err)
{
    json_error_t error;
    json_t *object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    *out = (struct bundle_manifest){.arena = ARENA_INIT};
    int rc = json_is_object(object) ? read_manifest(object, out, err)
                                    : refuse(err, "it is no JSON object");
    json_decref(object);
    return rc;
}

void bundle_manifest_release(struct bundle_manifest *manifest)
{
    vec_release(&manifest->files);
    vec_release(&manifest->inputs);
    arena_release(&manifest->arena);
}
