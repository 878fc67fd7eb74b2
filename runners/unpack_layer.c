/*
 * A layer as a whole: made beside its place under a name that begins with ".new-", held by a lock
 * while somebody works on it, so that what nobody holds can be told for left behind.
 */
#include "runners/unpack.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/unpack_blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW       ".new-"
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct making {
    int layers;
    int root; /* holds the lock */
    char name[40];
};

/* Removes what nobody works on any more. */
static void sweep(int layers)
{
    int fd = openat(layers, ".", DIR_FLAGS);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, NEW, strlen(NEW)) != 0)
            continue;
        int left = openat(layers, entry->d_name, DIR_FLAGS);
        if (left < 0)
            continue;
        struct err ignored = ERR_INIT;
        if (flock(left, LOCK_EX | LOCK_NB) == 0 &&
            file_remove_tree(layers, entry->d_name, &ignored) < 0)
            err_release(&ignored); /* the next one tries again */
        close(left);
    }
    closedir(dir);
}

/* A new name that nobody has. */
static void new_name(char name[40])
{
    uint64_t random[2] = {0};
    if (getrandom(random, sizeof random, 0) < 0)
        random[0] = (uint64_t)getpid();
    snprintf(name, 40, NEW "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
}

static int begin(struct making *making, const char *layers, struct err *err)
{
    making->root = -1;
    making->layers = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (making->layers < 0)
        return err_sys(err, errno, "cannot open %s", layers);
    sweep(making->layers);
    for (int tries = 0; tries < 10; tries++) {
        struct stat st;
        new_name(making->name);
        if (mkdirat(making->layers, making->name, 0700) < 0)
            return err_sys(err, errno, "cannot make a directory in %s", layers);
        making->root = openat(making->layers, making->name, DIR_FLAGS);
        /* Between the two it may have been taken for left behind. */
        if (making->root >= 0 && flock(making->root, LOCK_EX | LOCK_NB) == 0 &&
            fstat(making->root, &st) == 0 && st.st_nlink > 0)
            return 0;
        if (making->root >= 0)
            close(making->root);
        making->root = -1;
    }
    return err_set(err, ERR_SYSTEM, "cannot make a directory in %s", layers);
}

static void end(struct making *making, bool remove)
{
    struct err ignored = ERR_INIT;
    if (making->root >= 0) {
        if (remove && file_remove_tree(making->layers, making->name, &ignored) < 0)
            err_release(&ignored);
        close(making->root);
    }
    if (making->layers >= 0)
        close(making->layers);
}

/* --- unpacking --- */

static uint64_t bytes_in(void *blob)
{
    return blob_bytes_in(blob);
}

static int unpack_blob(const struct unpack_request *request, int root, const int *lowers,
                       struct unpack_counts *counts, struct err *err)
{
    struct digest file = {0}, content = {0};
    struct blob *blob = NULL;
    struct err first = ERR_INIT;
    int fd = open(request->blob, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot open %s", request->blob);
    int rc = blob_open(fd, request->progress, request->ctx, &blob, &first);
    if (rc == 0)
        rc = unpack_tree(root, lowers, request->n_lowers, blob_pull, blob, bytes_in, &unpack_usual,
                         counts, &first);
    /* What the file is decides whom an error is to be blamed on. */
    if (rc == 0 || rc == -ERR_CONFIG) {
        int ended = blob_end(blob, &file, &content, err);
        if (ended < 0) {
            rc = ended;
        } else if (!digest_is_null(&request->blob_digest) &&
                   memcmp(file.hash, request->blob_digest.hash, DIGEST_BYTES) != 0) {
            rc = err_set(err, ERR_CORRUPT, "it is not what its digest says");
        } else if (rc < 0) {
            rc = err_move(err, &first);
        } else if (memcmp(content.hash, request->diff_id.hash, DIGEST_BYTES) != 0) {
            rc = err_set(err, ERR_CONFIG,
                         "its content does not have the digest that the image's configuration "
                         "says; whoever made the image has to make it again");
        }
    } else {
        rc = err_move(err, &first);
    }
    err_release(&first);
    blob_close(blob);
    close(fd);
    return rc;
}

static int write_note(int layers, const char *name, const struct unpack_counts *counts,
                      struct err *err)
{
    char boot[BOOT_ID_SIZE], *used = mem_printf("%s.used", name), *text;
    unsigned long long skipped = counts->devices + counts->owners + counts->xattrs;
    file_boot_id(boot);
    int fd = openat(layers, used, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    text = mem_printf("skipped %llu\nboot %s\n", skipped, boot);
    int rc = 0;
    if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0)
        rc = err_sys(err, errno, "cannot write %s", used);
    if (fd >= 0)
        close(fd);
    free(text);
    free(used);
    return rc;
}

void unpack_read_note(int layers_fd, const char *name, struct unpack_note *out)
{
    char text[256], boot[BOOT_ID_SIZE], *used = mem_printf("%s.used", name), *line;
    struct stat st;
    int fd = openat(layers_fd, used, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    *out = (struct unpack_note){.skipped = 0};
    if (n > 0 && fstat(fd, &st) == 0) {
        text[n] = '\0';
        file_boot_id(boot);
        line = strstr(text, "\nboot ");
        out->skipped = strncmp(text, "skipped ", 8) == 0 ? strtoull(text + 8, NULL, 10) : 0;
        out->synced = strstr(text, "\nsynced\n") != NULL;
        out->sound = out->synced || (line && *boot && strncmp(line + 6, boot, strlen(boot)) == 0);
        out->made = st.st_ctim.tv_sec;
    }
    if (fd >= 0)
        close(fd);
    free(used);
}

void unpack_sync(const char *layers, const char *const *names, size_t n)
{
    static const char mark[] = "synced\n";
    int dir = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && syncfs(dir) == 0) {
        for (size_t i = 0; i < n; i++) {
            char *used = mem_printf("%s.used", names[i]);
            int fd = openat(dir, used, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
            if (fd >= 0 && file_write_all(fd, mark, sizeof mark - 1) == 0)
                (void)futimens(fd, NULL);
            if (fd >= 0)
                close(fd);
            free(used);
        }
    }
    if (dir >= 0)
        close(dir);
}

/* Puts what has been made into its place; somebody else's, there already, is as good. */
static int put_in_place(struct making *making, const char *name, bool *moved, struct err *err)
{
    *moved = false;
    if (renameat2(making->layers, making->name, making->layers, name, RENAME_NOREPLACE) == 0 ||
        (errno == EINVAL && renameat(making->layers, making->name, making->layers, name) == 0))
        *moved = true;
    else if (errno != EEXIST && errno != ENOTEMPTY)
        return err_sys(err, errno, "cannot put the layer into its place");
    return 0;
}

int unpack_layer(const struct unpack_request *request, struct unpack_counts *counts,
                 struct err *err)
{
    struct making making;
    struct stat st;
    bool moved = false;
    int *lowers = mem_alloc((request->n_lowers + 1) * sizeof *lowers);
    size_t n = 0;
    memset(counts, 0, sizeof *counts);
    int rc = begin(&making, request->layers, err);
    if (rc == 0 && fstatat(making.layers, request->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        struct unpack_note note;
        unpack_read_note(making.layers, request->name, &note);
        if (note.sound)
            goto out;
        rc = unpack_remove(request->layers, request->name, err);
    }
    for (; rc == 0 && n < request->n_lowers; n++) {
        lowers[n] = openat(making.layers, request->lowers[n], DIR_FLAGS);
        if (lowers[n] < 0) {
            rc = err_sys(err, errno, "cannot open the layer %s below it", request->lowers[n]);
            break;
        }
    }
    if (rc == 0)
        rc = unpack_blob(request, making.root, lowers, counts, err);
    if (rc == 0)
        rc = write_note(making.layers, request->name, counts, err);
    if (rc == 0)
        rc = put_in_place(&making, request->name, &moved, err);
out:
    while (n > 0)
        close(lowers[--n]);
    free(lowers);
    end(&making, !moved);
    return rc;
}

int unpack_remove(const char *layers, const char *name, struct err *err)
{
    struct making making = {.root = -1};
    making.layers = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (making.layers < 0)
        return err_sys(err, errno, "cannot open %s", layers);
    char *used = mem_printf("%s.used", name);
    int rc = 0;
    /* Not in parts under its own name, whatever happens. */
    new_name(making.name);
    if (renameat(making.layers, name, making.layers, making.name) == 0)
        rc = file_remove_tree(making.layers, making.name, err);
    else if (errno != ENOENT)
        rc = err_sys(err, errno, "cannot remove the layer %s", name);
    unlinkat(making.layers, used, 0);
    free(used);
    end(&making, false);
    return rc;
}
