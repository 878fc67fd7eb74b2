/*
 * history.c - what is known of the log (format: history_log.c), and how several processes write it.
 *
 * The log is read without a lock, as far as it is whole. What is noted waits in memory until a
 * flush appends it with one write under an exclusive flock, after reading what others have appended
 * meanwhile and cutting off what a crash left behind. Rewriting makes a new file and renames it
 * over the log, under the same lock; so whoever has got the lock looks whether the path still is
 * the file that it locked, and otherwise moves what it has pending to the new one.
 *
 * A directory is only written behind all that it names. So one that the log knows is known with
 * everything below.
 */
#include "engine/history.h"

#include "base/mem.h"
#include "engine/history_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int history_open_log(const char *path, bool *writable, int *out, struct err *err)
{
    const int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct stat st;
    int fd = open(path, flags | O_RDWR | O_CREAT | O_APPEND, 0600);
    *writable = fd >= 0;
    if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
        int errnum = errno;
        fd = open(path, flags | O_RDONLY);
        errno = fd < 0 ? errnum : 0;
    }
    if (fd < 0)
        return err_sys(err, errno, "cannot open %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, ERR_SYSTEM, "cannot use %s: it is no regular file; remove it", path);
    }
    *out = fd;
    return 0;
}

int history_open(const char *path, struct history **out, struct err *err)
{
    *out = NULL;
    bool writable;
    int fd = -1;
    struct view *view;
    int code = history_open_log(path, &writable, &fd, err);
    if (code < 0)
        return code;
    code = history_view_new(fd, &view, err);
    if (code < 0) {
        err_wrap(err, "%s", path);
        return code;
    }
    struct history *history = mem_zalloc(1, sizeof(*history));
    history->path = mem_strdup(path);
    history->writable = writable;
    history->view = view;
    history->first_pending = view->dirs.n;
    *out = history;
    return 0;
}

void history_close(struct history *history)
{
    if (!history)
        return;
    history_view_free(history->view);
    buf_release(&history->pending);
    free(history->path);
    free(history);
}

const char *history_status_name(enum history_status status)
{
    return status == HISTORY_PASSED ? "passed" : status == HISTORY_FAILED ? "failed" : "tainted";
}

const struct history_record *history_last(const struct history *history, const char *step)
{
    const struct step *found = map_get_str(&history->view->steps, step);
    return found ? found->last : NULL;
}

const struct history_record *history_last_pass(const struct history *history, const char *step)
{
    const struct step *found = map_get_str(&history->view->steps, step);
    return found ? found->pass : NULL;
}

struct finding {
    const char *step;
    const struct digest *key;
    struct history_record *found;
};

static void look_at(void *ctx, const struct log_item *item)
{
    struct finding *finding = ctx;
    if (item->type != LOG_STEP)
        return;
    bool wanted = !memcmp(item->step->key.hash, finding->key->hash, DIGEST_BYTES) &&
                  !strcmp(item->step->step, finding->step);
    if (wanted) {
        free(finding->found);
        finding->found = item->step;
    } else {
        free(item->step);
    }
}

struct history_record *history_find(const struct history *history, const char *step,
                                    const struct digest *key)
{
    struct finding finding = {.step = step, .key = key};
    uint64_t end;
    int rc =
        history_log_scan(history->view->fd, 0, history->view->end, look_at, &finding, &end, NULL);
    (void)rc; /* what was found before an error still holds */
    history_log_scan_bytes(&history->pending, look_at, &finding);
    return finding.found;
}

void history_steps(const struct history *history, void (*cb)(void *ctx, const char *step),
                   void *ctx)
{
    map_each (entry, &history->view->steps) {
        const struct step *step = entry->value;
        cb(ctx, step->last->step);
    }
}

/* A stored message proved wrong: no directory is taken for known any more, so that all are written
 * again when they are next needed. */
static void forget_dirs(struct history *history)
{
    if (history->pending.len)
        return; /* it refers to them; they are looked at again after the next flush */
    map_release(&history->view->dir_index);
    vec_release(&history->view->dirs);
    history->first_pending = 0;
}

static bool load_order(struct walk *walk, struct trees *trees)
{
    for (size_t i = 0; i < walk->order.n; i++) {
        const struct digest *digest = &walk->order.v[i];
        const void *bytes = history_walk_get(walk, digest);
        if (!bytes)
            return false;
        size_t n;
        if (!trees_get(trees, digest, &n)) {
            struct digest put = trees_put_encoded(trees, bytes, (size_t)digest->size);
            if (!digest_eq(&put, digest))
                return false;
        }
        trees_set_whole(trees, digest); /* what it names came before it */
    }
    return true;
}

bool history_load_tree(const struct history *history, const struct digest *root,
                       struct trees *trees)
{
    /* What is known of the file is a memo: it may change though the history does not. */
    struct history *self = (struct history *)(uintptr_t)history;
    struct walk walk = {.history = self, .trees = trees, .loaded = trees};
    bool known = history_view_find_dir(self->view, root) != NULL;
    bool ok = history_walk_tree(&walk, root) && load_order(&walk, trees);
    if (!ok && known)
        forget_dirs(self);
    history_walk_release(&walk);
    return ok;
}

void history_load_dir(const struct history *history, const struct digest *digest,
                      struct trees *trees)
{
    struct walk walk = {.history = history};
    const void *bytes = history_walk_get(&walk, digest);
    if (bytes)
        (void)trees_put_encoded(trees, bytes, (size_t)digest->size);
    history_walk_release(&walk);
}

void history_add_dirs(struct history *history, struct walk *walk)
{
    for (size_t i = 0; i < walk->order.n; i++) {
        const struct digest *digest = &walk->order.v[i];
        const void *bytes = history_walk_get(walk, digest);
        /* It was there a moment ago, so the file was cut; what names it must not be added. */
        if (!bytes)
            return;
        size_t offset = history_log_add_dir(&history->pending, digest, bytes);
        history_view_add_dir(history->view, digest, offset, true);
    }
}

/* -- noting ------------------------------------------------------------------------------------ */

int history_note(struct history *history, const struct history_record *record,
                 const struct trees *trees, struct err *err)
{
    const struct history_record *last = history_last(history, record->step);
    /* A pass that comes again came from the cache; a failure happened again. */
    if (last && last->status == record->status && record->status == HISTORY_PASSED &&
        digest_eq(&last->key, &record->key))
        return 0;
    if (record->n_command > INT32_MAX)
        return err_set(err, ERR_SYSTEM, "step %s: a command of %zu bytes cannot be noted",
                       record->step, record->n_command);
    struct walk walk = {.trees = trees, .known = history->view};
    if (history_walk_tree(&walk, &record->input_root))
        history_add_dirs(history, &walk);
    history_walk_release(&walk);
    history_log_add_step(&history->pending, record);
    history_view_add_step(history->view, history_log_copy_step(record));
    return 0;
}
