/* What images leave on the disk: blobs, layers, and what is half-made. */
#include "runners/image_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TMP          "image-"
#define SYNC_AFTER_S 120
#define DIR_FLAGS    (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* --- blobs --- */

bool image_same_hash(const struct digest *a, const struct digest *b)
{
    return memcmp(a->hash, b->hash, DIGEST_BYTES) == 0;
}

char *image_blob_path(const struct image_store *store, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return path_join(store->blobs, hex);
}

void image_blob_remove(const struct image_store *store, const struct digest *digest)
{
    char *path = image_blob_path(store, digest);
    unlink(path);
    free(path);
}

bool image_blob_there(const struct image_store *store, const struct digest *digest, bool sized)
{
    char *path = image_blob_path(store, digest);
    struct stat st;
    bool there = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    if (there && sized && (uint64_t)st.st_size != digest->size) {
        unlink(path);
        there = false;
    }
    free(path);
    return there;
}

int image_blob_read(const struct image_store *store, const struct digest *digest, struct buf *out,
                    bool *there, struct err *err)
{
    char *path = image_blob_path(store, digest);
    struct err local = ERR_INIT;
    int rc = file_read(path, MANIFEST_MOST_BYTES, out, &local);
    *there = false;
    if (rc < 0 && local.errnum != ENOENT && local.errnum != EFBIG) {
        rc = err_move(err, &local);
    } else if (rc < 0) {
        rc = 0;
    } else {
        struct digest now = digest_of(buf_str(out), out->len);
        *there = image_same_hash(&now, digest);
        if (!*there)
            unlink(path);
    }
    if (rc == 0 && !*there)
        buf_reset(out);
    err_release(&local);
    free(path);
    return rc;
}

int image_blob_write(const struct image_store *store, const struct digest *digest,
                     const struct buf *bytes, struct err *err)
{
    char *path = image_blob_path(store, digest);
    int rc = file_write_atomic(path, buf_str(bytes), bytes->len, 0644, err);
    free(path);
    return rc;
}

/* --- layers --- */

int image_store_find_ids(struct image_store *store, struct err *err)
{
    return store->nest ? runner_box_owner(store->nest, &store->owner, err) : 0;
}

const char *image_layer_name(const struct image_store *store, const struct digest *chain,
                             struct arena *arena)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(chain, hex);
    hex[DIGEST_HEX / 2] = '\0';
    return arena_printf(arena, "%s.%016" PRIx64, hex, store->owner.mapping);
}

static void sync_work(uv_work_t *work)
{
    struct image_store *store = work->data;
    unpack_sync(store->layers, (const char *const *)store->unsynced.v, store->unsynced.n);
}

static void sync_done(uv_work_t *work, int status)
{
    struct image_store *store = work->data;
    (void)status;
    vec_each (char *, name, &store->unsynced)
        free(*name);
    vec_clear(&store->unsynced);
    store->syncing = false;
    image_store_tasks_gone(store);
}

/* By now the kernel has written most of it itself, so this is short. */
static void sync_later(struct image_store *store, const char *name)
{
    if (store->syncing || store->closing)
        return;
    store->syncing = true;
    store->sync.data = store;
    vec_push(&store->unsynced, mem_strdup(name));
    uv_queue_work(store->loop, &store->sync, sync_work, sync_done);
}

int image_layer_hold(struct image_store *store, const char *name, uint64_t *skipped)
{
    char *used = mem_printf("%s/%s.used", store->layers, name);
    char *dir = path_join(store->layers, name);
    struct unpack_note note = {.sound = false};
    struct stat st;
    int fd = open(used, O_RDONLY | O_CLOEXEC), layers = -1;
    /* Who removes it does so under the exclusive lock, the directory first. */
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
                st.st_nlink > 0 && lstat(dir, &st) == 0 && S_ISDIR(st.st_mode);
    if (held && (layers = open(store->layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
        unpack_read_note(layers, name, &note);
        close(layers);
    }
    if (note.sound) {
        *skipped = note.skipped;
        if (note.synced)
            (void)futimens(fd, NULL);
        else if (note.made + SYNC_AFTER_S < (int64_t)time(NULL))
            sync_later(store, name);
    } else if (fd >= 0) {
        close(fd);
        fd = -1;
    }
    free(used);
    free(dir);
    return fd;
}

/* --- half-made --- */

static void sweep(const struct image_store *store)
{
    DIR *dir = opendir(store->tmp);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, TMP, strlen(TMP)) != 0)
            continue;
        int left = openat(dirfd(dir), entry->d_name, DIR_FLAGS);
        struct err ignored = ERR_INIT;
        if (left >= 0 && flock(left, LOCK_EX | LOCK_NB) == 0 &&
            file_remove_tree(dirfd(dir), entry->d_name, &ignored) < 0)
            err_release(&ignored);
        if (left >= 0)
            close(left);
    }
    closedir(dir);
}

/* Makes tmp/image-NAME, or takes over one that nobody holds; *held is false when somebody does. */
static int hold_tmp(const struct image_store *store, const char *name, struct image_tmp *tmp,
                    bool *held, struct err *err)
{
    struct stat st;
    *held = false;
    tmp->path = mem_printf("tmp/" TMP "%s", name);
    char *path = path_join(store->dir, tmp->path);
    int errnum = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : errno;
    tmp->fd = errnum ? -1 : open(path, DIR_FLAGS);
    if (!errnum && tmp->fd < 0 && errno != ENOENT) /* removed just now */
        errnum = errno;
    free(path);
    if (tmp->fd >= 0 && flock(tmp->fd, LOCK_EX | LOCK_NB) == 0 && fstat(tmp->fd, &st) == 0 &&
        st.st_nlink > 0) {
        *held = true;
        return 0;
    }
    if (tmp->fd >= 0)
        close(tmp->fd);
    free(tmp->path);
    tmp->path = NULL;
    return errnum ? err_sys(err, errnum, "cannot make a directory in %s", store->tmp) : 0;
}

int image_tmp_make(const struct image_store *store, struct image_tmp *tmp, struct err *err)
{
    bool held = false;
    for (int tries = 0; tries < 10 && !held; tries++) {
        uint64_t random = (uint64_t)getpid();
        char name[17];
        if (getrandom(&random, sizeof random, 0) < 0)
            random += (uint64_t)tries;
        snprintf(name, sizeof name, "%016llx", (unsigned long long)random);
        int rc = hold_tmp(store, name, tmp, &held, err);
        if (rc < 0)
            return rc;
    }
    return held ? 0 : err_set(err, ERR_SYSTEM, "cannot make a directory in %s", store->tmp);
}

int image_blob_claim(const struct image_store *store, const struct digest *digest,
                     struct image_tmp *tmp, bool *held, struct err *err)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    return hold_tmp(store, hex, tmp, held, err);
}

uint64_t image_tmp_bytes(const struct image_store *store, const struct image_tmp *tmp)
{
    uint64_t bytes = 0;
    char *path = mem_printf("%s/%s/" IMAGE_LAYOUT_DIR, store->dir, tmp->path ? tmp->path : "");
    DIR *dir = opendir(path);
    struct stat st;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    }
    if (dir)
        closedir(dir);
    free(path);
    return bytes;
}

void image_tmp_remove(const struct image_store *store, struct image_tmp *tmp)
{
    struct err ignored = ERR_INIT;
    if (!tmp->path)
        return;
    char *path = path_join(store->dir, tmp->path);
    if (file_remove_tree(AT_FDCWD, path, &ignored) < 0)
        err_release(&ignored);
    free(path);
    free(tmp->path);
    close(tmp->fd);
    tmp->path = NULL;
}

/* --- the store --- */

static int make_dirs(const struct image_store *store, struct err *err)
{
    if (file_mkdirs(store->blobs, 0755, err) < 0 || file_mkdirs(store->archives, 0755, err) < 0 ||
        file_mkdirs(store->tmp, 0755, err) < 0 || file_mkdirs(store->layers, 0700, err) < 0)
        return -ERR_SYSTEM;
    /* Nobody else gets at what is setuid in them. */
    struct stat st;
    if (stat(store->layers, &st) < 0 ||
        ((st.st_uid != store->owner.uid || st.st_gid != store->owner.gid) &&
         chown(store->layers, store->owner.uid, store->owner.gid) < 0) ||
        ((st.st_mode & 07777) != 0700 && chmod(store->layers, 0700) < 0))
        return err_sys(err, errno, "cannot make %s ready for layers of images", store->layers);
    char *layout = path_join(store->dir, "images/oci-layout"), text[] = "{\"imageLayoutVersion\": "
                                                                        "\"1.0.0\"}\n";
    int rc =
        access(layout, F_OK) == 0 ? 0 : file_write_atomic(layout, text, sizeof text - 1, 0644, err);
    free(layout);
    return rc;
}

static void store_free(struct image_store *store)
{
    free(store->dir);
    free(store->blobs);
    free(store->archives);
    free(store->layers);
    free(store->tmp);
    free(store->program);
    free(store->skopeo);
    vec_release(&store->unsynced);
    free(store);
}

int image_store_open(uv_loop_t *loop, const struct image_store_options *options,
                     struct image_store **out, struct err *err)
{
    const char *skopeo = options->skopeo ? options->skopeo : getenv("KILN_SKOPEO");
    struct image_store *store = mem_zalloc(1, sizeof *store);
    store->loop = loop;
    store->dir = mem_strdup(options->dir);
    store->blobs = path_join(options->dir, "images/blobs/sha256");
    store->archives = path_join(options->dir, "images/archives");
    store->layers = path_join(options->dir, "layers");
    store->tmp = path_join(options->dir, "tmp");
    store->program = mem_strdup(options->program);
    store->skopeo = mem_strdup(skopeo && *skopeo ? skopeo : "skopeo");
    store->envp = options->envp ? options->envp : (const char *const *)environ;
    store->host = options->host;
    store->nest = options->nest;
    store->owner = options->owner;
    int rc = make_dirs(store, err);
    if (rc < 0) {
        store_free(store);
        return rc;
    }
    sweep(store);
    uv_timer_init(loop, &store->last);
    store->last.data = store;
    *out = store;
    return 0;
}

static void on_last_closed(uv_handle_t *handle)
{
    struct image_store *store = handle->data;
    void (*closed)(void *ctx) = store->closed;
    void *ctx = store->closed_ctx;
    store_free(store);
    if (closed)
        closed(ctx);
}

void image_store_tasks_gone(struct image_store *store)
{
    if (store->closing && !store->tasks && !store->syncing &&
        !uv_is_closing((uv_handle_t *)&store->last))
        uv_close((uv_handle_t *)&store->last, on_last_closed);
}
