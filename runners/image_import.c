/* Images from a layout in a directory: read where it is, its blobs copied into the store, where the
 * nest can get at them and nobody changes them any more. */
#include "runners/image_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES ((size_t)1 << 20)

static char *source_path(const char *layout, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return mem_printf("%s/blobs/sha256/%s", layout, hex);
}

static int not_right(const struct digest *digest, struct err *err)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return err_set(err, ERR_CONFIG,
                   "blobs/sha256/%s in it is not what its name says; make the image again", hex);
}

static int no_blob(const char *path, int errnum, struct err *err)
{
    return errnum == ENOENT ? err_set(err, ERR_CONFIG,
                                      "%s is not there; make the image again, with all of it", path)
                            : err_sys(err, errnum, "cannot read %s", path);
}

int image_import_read(const char *layout, const struct digest *digest, struct buf *out,
                      struct err *err)
{
    char *path = source_path(layout, digest);
    struct err local = ERR_INIT;
    int rc = file_read(path, MANIFEST_MOST_BYTES, out, &local);
    if (rc < 0 && local.errnum == ENOENT) {
        rc = no_blob(path, ENOENT, err);
    } else if (rc < 0) {
        rc = err_move(err, &local);
    } else {
        struct digest now = digest_of(buf_str(out), out->len);
        if (memcmp(now.hash, digest->hash, DIGEST_BYTES) != 0)
            rc = not_right(digest, err);
    }
    err_release(&local);
    free(path);
    return rc;
}

static int read_index(const char *layout, struct arena *arena, struct manifest *out,
                      struct err *err)
{
    char *path = path_join(layout, "index.json");
    struct buf bytes = BUF_INIT;
    struct err local = ERR_INIT;
    int rc = file_read(path, MANIFEST_MOST_BYTES, &bytes, &local);
    if (rc < 0 && (local.errnum == ENOENT || local.errnum == ENOTDIR))
        rc = err_set(err, ERR_CONFIG, "there is no OCI layout in %s (no index.json)", layout);
    else if (rc < 0)
        rc = err_move(err, &local);
    else
        rc = manifest_parse(buf_str(&bytes), bytes.len, arena, out, err);
    if (rc == 0 && !out->is_index)
        rc = err_set(err, ERR_CONFIG, "%s is no index; make the image again", path);
    err_release(&local);
    buf_release(&bytes);
    free(path);
    return rc;
}

/* An image for several platforms may also be one entry for each of them. */
static bool is_by_platform(const struct manifest *index)
{
    for (size_t i = 0; i < index->n_choices; i++) {
        if (!*index->choices[i].platform)
            return false;
    }
    return index->n_choices > 1;
}

int image_import_find(const char *layout, const char *tag, const char *platform,
                      struct image_pin *out, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct manifest index = {.is_index = false}, named = {.is_index = false};
    struct buf bytes = BUF_INIT;
    const struct manifest_choice *choice;
    int rc = read_index(layout, &arena, &index, err);
    if (rc == 0 && !tag && is_by_platform(&index)) {
        rc = manifest_choose(&index, platform, &out->manifest, err);
        out->index = out->manifest;
    } else if (rc == 0) {
        rc = manifest_tagged(&index, tag, &choice, err);
        if (rc == 0)
            rc = image_import_read(layout, &choice->digest, &bytes, err);
        if (rc == 0)
            rc = manifest_parse(buf_str(&bytes), bytes.len, &arena, &named, err);
        if (rc == 0) {
            out->index = out->manifest = choice->digest;
            if (named.is_index)
                rc = manifest_choose(&named, platform, &out->manifest, err);
        }
    }
    out->index.size = out->manifest.size = 0;
    buf_release(&bytes);
    arena_release(&arena);
    return rc;
}

/* --- copying, by a worker --- */

static int copy_bytes(struct image_import *import, struct hasher *hasher, int from, int to,
                      const char *path, struct err *err)
{
    char *bytes = mem_alloc(COPY_BYTES);
    int rc = 0;
    while (rc == 0) {
        ssize_t n = read(from, bytes, COPY_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(err, errno, "cannot read %s", path);
        if (n <= 0)
            break;
        hasher_add(hasher, bytes, (size_t)n);
        if (atomic_load(&import->stop))
            rc = err_set(err, ERR_CANCELLED, "cancelled");
        else if (file_write_all(to, bytes, (size_t)n) < 0)
            rc = err_sys(err, errno, "cannot write into the cache");
        atomic_fetch_add(&import->done, (uint64_t)n);
    }
    free(bytes);
    return rc;
}

static int copy_blob(struct image_import *import, const struct digest *digest, struct err *err)
{
    char *path = source_path(import->from, digest),
         *to_path = image_blob_path(import->store, digest);
    char *beside = mem_printf("%s/%s/import", import->store->dir, import->tmp);
    struct hasher *hasher = hasher_new();
    int rc = 0, to = -1, from = open(path, O_RDONLY | O_CLOEXEC);
    hasher_start(hasher);
    if (from < 0)
        rc = no_blob(path, errno, err);
    if (rc == 0) {
        to = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (to < 0)
            rc = err_sys(err, errno, "cannot write into the cache");
    }
    if (rc == 0)
        rc = copy_bytes(import, hasher, from, to, path, err);
    struct digest now = hasher_end(hasher);
    if (rc == 0 && memcmp(now.hash, digest->hash, DIGEST_BYTES) != 0)
        rc = not_right(digest, err);
    if (rc == 0 && rename(beside, to_path) < 0)
        rc = err_sys(err, errno, "cannot write into the cache");
    if (rc < 0 && to >= 0)
        unlink(beside);
    if (to >= 0)
        close(to);
    if (from >= 0)
        close(from);
    hasher_free(hasher);
    free(beside);
    free(to_path);
    free(path);
    return rc;
}

static void on_work(uv_work_t *work)
{
    struct image_import *import = work->data;
    for (size_t i = 0; i < import->blobs.n && import->rc == 0; i++)
        import->rc = copy_blob(import, &import->blobs.v[i], &import->err);
}

static void on_done(uv_work_t *work, int status)
{
    struct image_import *import = work->data;
    if (status < 0 && import->rc == 0)
        import->rc = err_set(&import->err, ERR_CANCELLED, "cancelled");
    import->finished(import->ctx, import);
}

void image_import_start(struct image_import *import)
{
    import->work.data = import;
    import->rc = 0;
    err_release(&import->err);
    atomic_store(&import->stop, false);
    atomic_store(&import->done, 0);
    uv_queue_work(import->store->loop, &import->work, on_work, on_done);
}
