/*
 * bundle_read.c - reads a bundle, whatever it may be, and hands on what was found right.
 *
 * The manifest comes first and says what follows, in order; each entry must be the one that is due.
 * A tree must have the root that it is known by, content the digest that is its name, and some tree
 * must name it with that size. So what may be handed on is known before it comes, and nothing is
 * larger than the file.
 */
#include "engine/bundle_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "cache/kept_inputs.h"
#include "cache/tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct tar *tar;
    const struct bundle_sink *sink;
    struct bundle_manifest manifest;
    struct hasher *hasher;
    VEC(struct digest) wanted; /* content that trees name */
    struct map index;          /* its hash -> place + 1 in wanted; 0: it has come */
    uint64_t tree_bytes;
};

static int refuse(struct err *err, const char *what, const char *name)
{
    struct buf shown = BUF_INIT;
    if (name)
        buf_add_shown(&shown, name, strlen(name) < 200 ? strlen(name) : 200);
    err_set(err, ERR_CONFIG, name ? "%s (%s)" : "%s", what, buf_str(&shown));
    buf_release(&shown);
    return -(int)ERR_CONFIG;
}

/* The next entry, which must be a file; its name is the caller's. */
static int next(struct reading *r, char **name, uint64_t *size, struct err *err)
{
    const struct tar_entry *entry;
    *name = NULL;
    int rc = tar_next(r->tar, &entry, err);
    if (rc < 0 || !entry)
        return rc;
    if (entry->type != TAR_FILE)
        return refuse(err, "it holds something that is no file", entry->path);
    *name = mem_strdup(entry->path);
    *size = entry->size;
    return 0;
}

typedef int take_cb(void *ctx, const void *bytes, size_t n, struct err *err);

/* Reads the entry's content, at most size bytes of it, and takes its digest. */
static int content(struct reading *r, const char *name, uint64_t size, take_cb *take, void *ctx,
                   struct digest *out, struct err *err)
{
    uint64_t at = 0;
    hasher_start(r->hasher);
    for (;;) {
        const void *bytes;
        size_t n;
        uint64_t offset;
        int rc = tar_data(r->tar, &bytes, &n, &offset, err);
        if (rc < 0)
            return rc;
        if (offset != at || at + n > size) /* holes are not written by kiln */
            return refuse(err, "an entry is not as long as it says", name);
        if (!n)
            break;
        at += n;
        hasher_add(r->hasher, bytes, n);
        rc = take(ctx, bytes, n, err);
        if (rc < 0)
            return rc;
    }
    if (at != size)
        return refuse(err, "it ends in the middle of an entry", name);
    *out = hasher_end(r->hasher);
    return 0;
}

static int into_buf(void *ctx, const void *bytes, size_t n, struct err *err)
{
    (void)err;
    buf_add(ctx, bytes, n);
    return 0;
}

/* -- the manifest ------------------------------------------------------------------------------ */

static int read_manifest(struct reading *r, struct err *err)
{
    struct buf text = BUF_INIT;
    struct digest digest;
    uint64_t size = 0;
    char *name;
    int rc = next(r, &name, &size, err);
    if (rc == 0 && (!name || strcmp(name, BUNDLE_MANIFEST) != 0))
        rc = refuse(err, "it is no bundle of kiln's: it does not begin with a manifest", name);
    else if (rc == 0 && size > BUNDLE_MANIFEST_MAX)
        rc = refuse(err, "its manifest is too large", NULL);
    if (rc == 0)
        rc = content(r, name, size, into_buf, &text, &digest, err);
    if (rc == 0)
        rc = bundle_manifest_parse(buf_str(&text), text.len, &r->manifest, err);
    if (rc == 0)
        rc = r->sink->manifest(r->sink->ctx, &r->manifest, err);
    buf_release(&text);
    free(name);
    return rc;
}

/* -- the run ----------------------------------------------------------------------------------- */

struct taking_file {
    struct reading *r;
    const struct bundle_file *file;
};

static int take_file(void *ctx, const void *bytes, size_t n, struct err *err)
{
    struct taking_file *taking = ctx;
    return taking->r->sink->file(taking->r->sink->ctx, taking->file, bytes, n, err);
}

static int check_size(const struct bundle_file *file, struct err *err)
{
    enum bundle_kind kind = bundle_kind_of(file->path);
    bool fits = kind == BUNDLE_EVENTS    ? file->digest.size <= BUNDLE_EVENTS_MAX
                : kind == BUNDLE_FAILURE ? file->digest.size <= BUNDLE_FAILURE_MAX
                                         : true;
    return fits ? 0
                : refuse(err, "it holds a file that is larger than kiln makes them", file->path);
}

static int read_file(struct reading *r, const struct bundle_file *file, struct err *err)
{
    struct taking_file taking = {r, file};
    struct digest digest;
    uint64_t size = 0;
    char *name;
    int rc = next(r, &name, &size, err);
    if (rc == 0 && (!name || strcmp(name, file->path) != 0))
        rc = refuse(err, "a file that its manifest names is not there", file->path);
    else if (rc == 0 && size != file->digest.size)
        rc = refuse(err, "a file is not what its manifest says", name);
    if (rc == 0)
        rc = check_size(file, err);
    if (rc == 0)
        rc = content(r, name, size, take_file, &taking, &digest, err);
    if (rc == 0 && !digest_eq(&digest, &file->digest))
        rc = refuse(err, "a file is not what its manifest says", name);
    if (rc == 0)
        rc = r->sink->file(r->sink->ctx, file, "", 0, err);
    free(name);
    return rc;
}

/* -- inputs ------------------------------------------------------------------------------------ */

static int want(void *ctx, const struct digest *digest, struct err *err)
{
    struct reading *r = ctx;
    bool known;
    void **place = map_put(&r->index, digest->hash, DIGEST_BYTES, NULL, &known);
    (void)err;
    if (!known || !*place) {
        vec_push(&r->wanted, *digest);
        *place = (void *)(uintptr_t)r->wanted.n;
    }
    return 0;
}

static int take_tree(struct reading *r, const struct digest *root, const struct buf *message,
                     struct err *err)
{
    struct trees *trees = trees_new();
    struct digest found;
    int rc = trees_decode_tree(trees, buf_str(message), message->len, &found, NULL);
    trees_free(trees);
    if (rc < 0 || !digest_eq(&found, root))
        return refuse(err, "an input tree is not what it is known as", NULL);
    if (kept_inputs_each(buf_str(message), message->len, want, r, NULL) < 0)
        return refuse(err, "an input tree can't be read", NULL);
    return r->sink->tree(r->sink->ctx, root, buf_str(message), message->len, err);
}

static int read_tree(struct reading *r, const struct digest *root, struct err *err)
{
    struct buf message = BUF_INIT;
    struct digest digest;
    char due[sizeof "inputs/" + DIGEST_HEX] = "inputs/", *name;
    uint64_t size = 0;
    digest_hex(root, due + sizeof "inputs/" - 1);
    int rc = next(r, &name, &size, err);
    if (rc == 0 && (!name || strcmp(name, due) != 0))
        rc = refuse(err, "an input tree that its manifest names is not there", due);
    else if (rc == 0 && (size > BUNDLE_TREE_MAX || (r->tree_bytes += size) > BUNDLE_TREE_MAX))
        rc = refuse(err, "its input trees are larger than kiln keeps them", NULL);
    if (rc == 0)
        rc = content(r, name, size, into_buf, &message, &digest, err);
    if (rc == 0)
        rc = take_tree(r, root, &message, err);
    buf_release(&message);
    free(name);
    return rc;
}

/* -- content ----------------------------------------------------------------------------------- */

struct taking_blob {
    struct reading *r;
    const struct digest *digest;
};

static int take_blob(void *ctx, const void *bytes, size_t n, struct err *err)
{
    struct taking_blob *taking = ctx;
    return taking->r->sink->blob(taking->r->sink->ctx, taking->digest, bytes, n, err);
}

static int read_blob(struct reading *r, struct err *err)
{
    struct digest found = {0}, digest = {0};
    uint64_t size = 0;
    char *name;
    void **place = NULL;
    int rc = next(r, &name, &size, err);
    if (rc == 0 && !name)
        rc = refuse(err, "it ends too early", NULL);
    else if (rc == 0 && (strncmp(name, "cas/", 4) != 0 || !digest_parse(name + 4, size, &digest)))
        rc = refuse(err, "it holds a file that is not named as content", name);
    if (rc == 0)
        place = map_get(&r->index, digest.hash, DIGEST_BYTES);
    if (rc == 0 && (!place || !*place || !digest_eq(&r->wanted.v[(uintptr_t)*place - 1], &digest)))
        rc = refuse(err, "it holds content that none of its inputs names", name);
    if (rc == 0) {
        struct taking_blob taking = {r, &digest};
        *place = NULL;
        rc = content(r, name, size, take_blob, &taking, &found, err);
        if (rc == 0 && !digest_eq(&found, &digest))
            rc = refuse(err, "content is not what its name says", name);
        if (rc == 0)
            rc = r->sink->blob(r->sink->ctx, &digest, "", 0, err);
    }
    free(name);
    return rc;
}

/* -- all of it --------------------------------------------------------------------------------- */

static int read_all(struct reading *r, struct err *err)
{
    char *name;
    uint64_t size;
    int rc = read_manifest(r, err);
    for (size_t i = 0; i < r->manifest.files.n && rc == 0; i++)
        rc = read_file(r, &r->manifest.files.v[i], err);
    for (size_t i = 0; i < r->manifest.inputs.n && rc == 0; i++)
        rc = read_tree(r, &r->manifest.inputs.v[i], err);
    for (uint64_t i = 0; i < r->manifest.blobs && rc == 0; i++)
        rc = read_blob(r, err);
    if (rc < 0)
        return rc;
    rc = next(r, &name, &size, err);
    if (rc == 0 && name)
        rc = refuse(err, "it holds more than its manifest says", name);
    free(name);
    return rc;
}

int bundle_read(tar_pull *pull, void *pull_ctx, const struct bundle_sink *sink, struct err *err)
{
    struct err own = ERR_INIT;
    struct reading r = {.sink = sink, .tar = tar_new(pull, pull_ctx), .hasher = hasher_new()};
    int rc = read_all(&r, err ? err : &own);
    err_release(&own);
    bundle_manifest_release(&r.manifest);
    vec_release(&r.wanted);
    map_release(&r.index);
    hasher_free(r.hasher);
    tar_free(r.tar);
    return rc;
}
