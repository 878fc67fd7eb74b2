/* What a task fetches: what a reference means, an image's documents, its layers' blobs. */
#include "runners/image_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void on_fetched(void *ctx, struct image_run *run);

/* More programs than these would not be faster: one alone fetches several blobs at a time. */
#define MOST_AT_ONCE 4

static bool too_many_fetch(const struct image_task *task)
{
    size_t n = 0;
    for (const struct image_task *other = task->store->tasks; other; other = other->next)
        n += other->fetch.exec != NULL;
    return n >= MOST_AT_ONCE;
}

/* Does nothing while too many do: then task->waits_for_others. */
static int start_fetch(struct image_task *task, enum image_fetching what)
{
    task->waits_for_others = too_many_fetch(task);
    if (task->waits_for_others)
        return 0;
    struct image_argv argv = {.arena = ARENA_INIT};
    const struct digest *manifest = task->want == WANT_PIN ? &task->at : &task->pin.manifest;
    if (what == FETCH_MANIFEST)
        image_skopeo_manifest(&argv, task->store, &task->ref, manifest);
    else if (what == FETCH_CONFIG)
        image_skopeo_config(&argv, task->store, &task->ref, manifest);
    else
        image_skopeo_copy(&argv, task->store, &task->ref, manifest);
    int rc = 0;
    if (what == FETCH_LAYERS && !task->tmp.path)
        rc = image_tmp_make(task->store, &task->tmp, &task->err);
    if (rc == 0) {
        task->fetch.ctx = task;
        task->fetch.done = on_fetched;
        task->fetching = what;
        task->fetched_layers |= what == FETCH_LAYERS;
        rc = image_run_start(task->store, task->store->host,
                             what == FETCH_LAYERS ? task->tmp.path : "", argv.v.v, &task->fetch,
                             &task->err);
    }
    image_argv_release(&argv);
    if (rc == 0)
        image_task_tell(task);
    return rc;
}

/* Keeps a document that has come, which has to be the one wanted (null: whatever it is). */
static int keep_document(struct image_task *task, const struct digest *wanted,
                         struct digest *digest)
{
    struct buf *bytes = &task->fetch.out;
    if (bytes->len > MANIFEST_MOST_BYTES)
        return err_set(&task->err, ERR_CONFIG, "its manifest is larger than 4 MiB");
    *digest = digest_of(buf_str(bytes), bytes->len);
    if (!digest_is_null(wanted) && !image_same_hash(digest, wanted))
        return err_set(&task->err, ERR_SYSTEM,
                       "the registry gave something else than it was asked for");
    return image_blob_write(task->store, digest, bytes, &task->err);
}

/* The tag's manifest or index has come. */
static int resolve_from(struct image_task *task, const struct digest *named)
{
    struct arena arena = ARENA_INIT;
    struct manifest manifest;
    int rc = manifest_parse(buf_str(&task->fetch.out), task->fetch.out.len, &arena, &manifest,
                            &task->err);
    task->pin.index = task->pin.manifest = *named;
    if (rc == 0 && manifest.is_index)
        rc = manifest_choose(&manifest, task->platform, &task->pin.manifest, &task->err);
    task->pin.index.size = task->pin.manifest.size = 0;
    arena_release(&arena);
    return rc;
}

/* Where it is noted what the archive holds as it is now. *settled: what changes from now on has
 * other times. */
static int memo_path(const struct image_task *task, char **path, bool *settled, struct err *err)
{
    struct stat st;
    struct timespec now;
    if (stat(task->ref.path, &st) < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? err_set(err, ERR_CONFIG, "there is no file %s", task->ref.path)
                   : err_sys(err, errno, "cannot read %s", task->ref.path);
    }
    char hex[DIGEST_HEX + 1];
    char *what = mem_printf("%s\n%s\n%ju %ju %jd %jd.%09ld %jd.%09ld", task->ref.path,
                            task->ref.tag ? task->ref.tag : "", (uintmax_t)st.st_dev,
                            (uintmax_t)st.st_ino, (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec,
                            st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    struct digest digest = digest_of(what, strlen(what));
    digest_hex(&digest, hex);
    free(what);
    clock_gettime(CLOCK_REALTIME, &now);
    *settled = st.st_ctim.tv_sec + 1 < now.tv_sec;
    *path = path_join(task->store->archives, hex);
    return 0;
}

/* The image of an archive has been copied: which one it was. */
static int resolve_archive(struct image_task *task)
{
    char hex[DIGEST_HEX + 2];
    char *layout = mem_printf("%s/%s/" IMAGE_LAYOUT_DIR, task->store->dir, task->tmp.path);
    char *index = path_join(layout, "index.json"), *memo = NULL;
    bool settled = false;
    struct arena arena = ARENA_INIT;
    struct buf bytes = BUF_INIT;
    struct manifest manifest;
    const struct manifest_choice *choice;
    int rc = file_read(index, MANIFEST_MOST_BYTES, &bytes, &task->err);
    if (rc == 0)
        rc = manifest_parse(buf_str(&bytes), bytes.len, &arena, &manifest, &task->err);
    if (rc == 0)
        rc = manifest_tagged(&manifest, NULL, &choice, &task->err);
    if (rc == 0) {
        task->pin.index = task->pin.manifest = choice->digest;
        task->pin.index.size = task->pin.manifest.size = 0;
        rc = memo_path(task, &memo, &settled, &task->err);
    }
    if (rc == 0 && settled && strcmp(memo, task->memo) == 0) {
        digest_hex(&task->pin.manifest, hex);
        strcat(hex, "\n");
        rc = file_write_atomic(memo, hex, strlen(hex), 0644, &task->err);
    }
    free(memo);
    free(index);
    free(layout);
    buf_release(&bytes);
    arena_release(&arena);
    return rc;
}

static int take_fetched(struct image_task *task, enum image_fetching what)
{
    struct digest digest;
    if (task->fetch.exit_code != 0)
        return image_skopeo_failed(task->store, &task->ref, &task->fetch, &task->err);
    if (what == FETCH_CONFIG)
        return keep_document(task, &task->manifest.config.digest, &digest);
    if (what == FETCH_LAYERS)
        return task->want == WANT_PIN ? resolve_archive(task) : 0;
    const struct digest *wanted = task->want == WANT_IMAGE    ? &task->pin.manifest
                                  : digest_is_null(&task->at) ? &task->ref.digest
                                                              : &task->at;
    int rc = keep_document(task, wanted, &digest);
    return rc == 0 && task->want == WANT_PIN ? resolve_from(task, &digest) : rc;
}

static void on_fetched(void *ctx, struct image_run *run)
{
    struct image_task *task = ctx;
    enum image_fetching what = task->fetching;
    (void)run;
    task->fetching = FETCH_NOTHING;
    if (task->rc == 0 && !task->cancelled) {
        int rc = take_fetched(task, what);
        if (rc < 0)
            image_task_fail(task, rc);
    }
    image_fetch_give_up_claims(task);
    image_task_wake_others(task);
    image_task_wake(task, 0);
}

static void on_imported(void *ctx, struct image_import *import)
{
    struct image_task *task = ctx;
    task->importing = false;
    task->fetching = FETCH_NOTHING;
    if (import->rc < 0 && task->rc == 0 && !task->cancelled) {
        err_move(&task->err, &import->err);
        image_task_fail(task, import->rc);
    }
    image_fetch_give_up_claims(task);
    image_task_wake_others(task);
    image_task_wake(task, 0);
}

void image_fetch_give_up_claims(struct image_task *task)
{
    vec_each (struct image_tmp, claim, &task->claims)
        image_tmp_remove(task->store, claim);
    vec_clear(&task->claims);
}

static bool is_listed(const struct image_task *task, const struct digest *blob)
{
    vec_each (const struct digest, listed, &task->import.blobs) {
        if (image_same_hash(listed, blob))
            return true;
    }
    return false;
}

/* Makes the list of the blobs that layers lack, and claims them: all or, when others have one, none
 * and *held is false. */
static int claim_blobs(struct image_task *task, bool *held)
{
    int rc = 0;
    *held = true;
    task->to_fetch = task->fetched_before = 0;
    vec_clear(&task->import.blobs);
    for (size_t i = 0; i < task->manifest.n_layers && rc == 0 && *held; i++) {
        const struct digest *blob = &task->manifest.layers[i].digest;
        struct image_tmp claim = {.path = NULL};
        /* skopeo fetches all, also what layers do not need any more. */
        if (is_listed(task, blob) || (task->ref.source == IMAGE_LAYOUT && i < task->n_held))
            continue;
        bool there = image_blob_there(task->store, blob, true);
        if (!there)
            rc = image_blob_claim(task->store, blob, &claim, held, &task->err);
        if (claim.path && image_blob_there(task->store, blob, true)) { /* it has just come */
            image_tmp_remove(task->store, &claim);
            there = true;
        }
        if (there)
            task->fetched_before += blob->size;
        if (!claim.path)
            continue;
        vec_push(&task->claims, claim);
        vec_push(&task->import.blobs, *blob);
        task->to_fetch += blob->size;
    }
    if (rc < 0 || !*held)
        image_fetch_give_up_claims(task);
    return rc;
}

int image_fetch_layers(struct image_task *task)
{
    struct image_store *store = task->store;
    bool held = false;
    task->waits_for_others = task->ref.source != IMAGE_LAYOUT && too_many_fetch(task);
    if (task->waits_for_others)
        return 0;
    int rc = claim_blobs(task, &held);
    task->waits_for_others = rc == 0 && (!held || !task->claims.n);
    if (rc < 0 || task->waits_for_others)
        return rc;
    if (task->ref.source != IMAGE_LAYOUT)
        return start_fetch(task, FETCH_LAYERS);
    if (!task->tmp.path)
        rc = image_tmp_make(store, &task->tmp, &task->err);
    if (rc < 0)
        return rc;
    task->import.store = store;
    task->import.from = task->ref.path;
    task->import.tmp = task->tmp.path;
    task->import.ctx = task;
    task->import.finished = on_imported;
    task->fetching = FETCH_LAYERS;
    task->fetched_layers = true;
    task->importing = true;
    image_import_start(&task->import);
    return 0;
}

/* --- documents --- */

/* Reads one from the store; *waiting is set when it has to be fetched first. */
static int have_document(struct image_task *task, const struct digest *digest,
                         enum image_fetching what, struct buf *out, bool *waiting)
{
    bool there;
    *waiting = false;
    int rc = image_blob_read(task->store, digest, out, &there, &task->err);
    if (rc < 0 || there)
        return rc;
    if (task->ref.source == IMAGE_LAYOUT) {
        rc = image_import_read(task->ref.path, digest, out, &task->err);
        return rc < 0 ? rc : image_blob_write(task->store, digest, out, &task->err);
    }
    *waiting = true;
    if (task->ref.source == IMAGE_ARCHIVE) {
        if (task->fetched_layers)
            return err_set(&task->err, ERR_CONFIG, "%s has changed meanwhile", task->ref.path);
        return start_fetch(task, FETCH_LAYERS);
    }
    return start_fetch(task, what);
}

/* digest(chain of those below, this one): what a layer is on top of others. */
static struct digest chain_of(const struct digest *below, const struct digest *diff_id)
{
    char text[2 * (7 + DIGEST_HEX) + 2], a[DIGEST_HEX + 1], b[DIGEST_HEX + 1];
    digest_hex(below, a);
    digest_hex(diff_id, b);
    int n = snprintf(text, sizeof text, "sha256:%s sha256:%s", a, b);
    return digest_of(text, (size_t)n);
}

static int read_image(struct image_task *task, const struct buf *config)
{
    struct image *image = task->image;
    size_t n = 0;
    int rc = manifest_config(buf_str(config), config->len, image, &task->diff_ids, &n, &task->err);
    if (rc == 0)
        rc = image_store_find_ids(task->store, &task->err);
    if (rc < 0)
        return rc;
    if (n != task->manifest.n_layers)
        return err_set(&task->err, ERR_CONFIG,
                       "its manifest has %zu layers and its configuration %zu; whoever made the "
                       "image has to make it again",
                       task->manifest.n_layers, n);
    if (!*image->platform)
        image->platform = arena_strdup(&image->arena, task->platform);
    if (!manifest_runs_on(image->platform, task->platform))
        return err_set(&task->err, ERR_CONFIG, "it is for %s, not for %s", image->platform,
                       task->platform);
    image->name = arena_strdup(&image->arena, task->ref.name);
    image->pin = task->pin;
    task->names = arena_zalloc(&image->arena, n, sizeof *task->names);
    task->dirs = arena_zalloc(&image->arena, n, sizeof *task->dirs);
    image->held = arena_zalloc(&image->arena, n, sizeof *image->held);
    struct digest chain = task->diff_ids[0];
    for (size_t i = 0; i < n; i++) {
        if (i)
            chain = chain_of(&chain, &task->diff_ids[i]);
        task->names[i] = image_layer_name(task->store, &chain, &image->arena);
        task->dirs[i] = arena_printf(&image->arena, "%s/%s", task->store->layers, task->names[i]);
    }
    image->layers = (const char *const *)task->dirs;
    image->n_layers = n;
    return 0;
}

/* From the pin to the image's configuration. */
int image_fetch_documents(struct image_task *task, bool *waiting)
{
    struct buf bytes = BUF_INIT;
    struct image *image = task->image;
    if (!image) {
        struct arena arena = ARENA_INIT;
        image = arena_zalloc(&arena, 1, sizeof *image);
        image->arena = arena;
        task->image = image;
    }
    int rc = have_document(task, &task->pin.manifest, FETCH_MANIFEST, &bytes, waiting);
    if (rc == 0 && !*waiting)
        rc = manifest_parse(buf_str(&bytes), bytes.len, &image->arena, &task->manifest, &task->err);
    if (rc == 0 && !*waiting && task->manifest.is_index)
        rc = err_set(&task->err, ERR_CONFIG,
                     "what is pinned as its manifest is an index; remove its line from kiln.lock");
    if (rc == 0 && !*waiting) {
        buf_reset(&bytes);
        rc = have_document(task, &task->manifest.config.digest, FETCH_CONFIG, &bytes, waiting);
    }
    if (rc == 0 && !*waiting)
        rc = read_image(task, &bytes);
    buf_release(&bytes);
    return rc;
}

int image_fetch_pin(struct image_task *task, bool *done)
{
    struct buf memo = BUF_INIT;
    *done = !digest_is_null(&task->pin.manifest);
    if (*done || task->fetching != FETCH_NOTHING)
        return 0;
    if (task->ref.source == IMAGE_REGISTRY)
        return start_fetch(task, FETCH_MANIFEST);
    if (task->ref.source == IMAGE_LAYOUT) {
        *done = true;
        return image_import_find(task->ref.path, task->ref.tag, task->platform, &task->pin,
                                 &task->err);
    }
    bool settled;
    int rc = memo_path(task, &task->memo, &settled, &task->err);
    if (rc < 0)
        return rc;
    struct err ignored = ERR_INIT;
    if (file_read(task->memo, DIGEST_HEX + 1, &memo, &ignored) == 0 && memo.len == DIGEST_HEX + 1) {
        buf_truncate(&memo, DIGEST_HEX);
        *done = digest_parse(memo.data, 0, &task->pin.manifest) &&
                image_blob_there(task->store, &task->pin.manifest, false);
        task->pin.index = task->pin.manifest;
    }
    err_release(&ignored);
    buf_release(&memo);
    if (!*done)
        task->pin = (struct image_pin){.index = {.size = 0}};
    return *done ? 0 : start_fetch(task, FETCH_LAYERS);
}

int image_pick(struct image_store *store, const struct digest *index, const char *platform,
               struct image_pin *out, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buf bytes = BUF_INIT;
    struct manifest manifest;
    bool there;
    int rc = image_blob_read(store, index, &bytes, &there, err);
    if (rc == 0 && !there)
        rc = err_set(err, ERR_CONFIG, "the index of the image is not there");
    if (rc == 0)
        rc = manifest_parse(buf_str(&bytes), bytes.len, &arena, &manifest, err);
    if (rc == 0 && !manifest.is_index)
        rc = err_set(err, ERR_CONFIG, "it is for one platform alone");
    *out = (struct image_pin){.index = *index};
    if (rc == 0)
        rc = manifest_choose(&manifest, platform, &out->manifest, err);
    out->index.size = out->manifest.size = 0;
    buf_release(&bytes);
    arena_release(&arena);
    return rc;
}
