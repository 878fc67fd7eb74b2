/*
 * history_write.c - appending what is pending, and rewriting the log; history.c says how processes
 * share it.
 */
#include "engine/history_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define COMPACT_BYTES ((uint64_t)1 << 20)
#define LOCK_TRIES    3000 /* of about a millisecond */
#define LOCK_AT_ONCE  10

enum { LOCKED = 1 };
#define OPEN_TRIES 100

/* What is pending will not be written: its directories are not known to the log. The steps stay,
 * for this process. */
static void drop_pending(struct history *history)
{
    struct view *view = history->view;
    while (view->dirs.n > history->first_pending)
        map_del(&view->dir_index, vec_pop(&view->dirs).digest.hash, DIGEST_BYTES);
    buf_reset(&history->pending);
}

/* Applies the steps alone: what is pending stands behind what others wrote meanwhile. */
static void apply_pending(void *ctx, const struct log_item *item)
{
    if (item->type == LOG_STEP)
        history_view_add_step(ctx, item->step);
}

/* -- writing ----------------------------------------------------------------------------------- */

struct move {
    struct history *from, *to;
};

static void move_item(void *ctx, const struct log_item *item)
{
    struct move *move = ctx;
    if (item->type != LOG_STEP)
        return;
    struct walk walk = {.history = move->from, .known = move->to->view};
    if (history_walk_tree(&walk, &item->step->input_root))
        history_add_dirs(move->to, &walk);
    history_walk_release(&walk);
    history_log_add_step(&move->to->pending, item->step);
    history_view_add_step(move->to->view, item->step);
}

/* Goes over to another view of the log, taking along what is pending with the directories that the
 * other one lacks. */
static void adopt(struct history *history, struct view *view)
{
    struct history next = {.view = view, .first_pending = view->dirs.n};
    struct move move = {history, &next};
    history_log_scan_bytes(&history->pending, move_item, &move);
    history_view_free(history->view);
    buf_release(&history->pending);
    history->view = view;
    history->pending = next.pending;
    history->first_pending = next.first_pending;
}

/* Waits a bounded time: a process that was stopped while it held the lock must not stop this one
 * too. LOCKED then, with err set. */
static int lock(int fd, const char *path, int max_tries, struct err *err)
{
    for (int tries = 0; tries < max_tries; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return 0; /* a file system without locks: appending still keeps records whole */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    (void)err_set(err, ERR_SYSTEM, "cannot write %s: another kiln keeps it locked", path);
    return LOCKED;
}

static bool is_current(const struct history *history)
{
    struct stat by_path, by_fd;
    return stat(history->path, &by_path) == 0 && fstat(history->view->fd, &by_fd) == 0 &&
           by_path.st_ino == by_fd.st_ino && by_path.st_dev == by_fd.st_dev;
}

/* Locks the file that the path names now, going over to it when it is another one than before. */
static int lock_current(struct history *history, int max_tries, struct err *err)
{
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        int code = lock(history->view->fd, history->path, max_tries, err);
        if (code != 0 || is_current(history))
            return code;
        int fd;
        bool writable;
        struct view *view;
        code = history_open_log(history->path, &writable, &fd, err);
        if (code == 0)
            code = history_view_new(fd, &view, err);
        if (code < 0)
            return code;
        adopt(history, view);
        if (!writable)
            return err_sys(err, EACCES, "cannot write %s", history->path);
    }
    return err_set(err, ERR_SYSTEM, "cannot write %s: it is replaced again and again",
                   history->path);
}

/* Takes in what others appended, and cuts off what is not whole. Under the lock. */
static int catch_up(struct history *history, struct err *err)
{
    struct stat st;
    uint64_t before = history->view->end;
    if (fstat(history->view->fd, &st) < 0)
        return err_sys(err, errno, "cannot look at %s", history->path);
    uint64_t size = (uint64_t)st.st_size;
    if (size == before)
        return 0;
    int code = size > before ? history_view_read(history->view, err) : 0;
    if (code < 0)
        return code;
    if (history->view->end != size) {
        /* Seldom, so everything is read again before anything is cut: the part that was known may
         * not be what is there now. The descriptors share the lock. */
        struct view *view;
        int fd = fcntl(history->view->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return err_sys(err, errno, "cannot read %s", history->path);
        code = history_view_new(fd, &view, err);
        if (code < 0)
            return code;
        adopt(history, view);
        if (view->end != size && ftruncate(view->fd, (off_t)view->end) < 0)
            return err_sys(err, errno, "cannot cut the damaged end off %s", history->path);
        return 0;
    }
    history_log_scan_bytes(&history->pending, apply_pending, history->view);
    return 0;
}

/* Appends the bytes with one write; nothing of them stays when they do not fit. */
static int append(struct history *history, const struct buf *bytes, struct err *err)
{
    struct view *view = history->view;
    if (file_write_all(view->fd, bytes->data, bytes->len) < 0) {
        int errnum = errno;
        if (ftruncate(view->fd, (off_t)view->end) < 0)
            errnum =
                errnum ? errnum : errno; /* the next reader stops there, the next writer cuts */
        return err_sys(err, errnum, "cannot write %s", history->path);
    }
    view->end += bytes->len;
    return 0;
}

static int append_pending(struct history *history, struct err *err)
{
    uint64_t start = history->view->end;
    int code = append(history, &history->pending, err);
    if (code < 0)
        return code;
    for (size_t i = history->first_pending; i < history->view->dirs.n; i++) {
        struct dir *dir = &history->view->dirs.v[i];
        dir->offset += dir->pending ? start : 0;
        dir->pending = false;
    }
    history->first_pending = history->view->dirs.n;
    buf_reset(&history->pending);
    return 0;
}

/* -- rewriting --------------------------------------------------------------------------------- */

static void add_live(const struct history_record *record, struct walk *walk, struct buf *out)
{
    vec_clear(&walk->order);
    if (history_walk_tree(walk, &record->input_root)) {
        for (size_t i = 0; i < walk->order.n; i++) {
            const void *bytes = history_walk_get(walk, &walk->order.v[i]);
            if (bytes)
                history_log_add_dir(out, &walk->order.v[i], bytes);
        }
    }
    history_log_add_step(out, record);
}

/* Adds what is still needed of the log. */
static void add_all_live(struct history *history, struct buf *out)
{
    struct walk walk = {.history = history};
    map_each (entry, &history->view->steps) {
        const struct step *step = entry->value;
        if (step->pass && step->pass != step->last)
            add_live(step->pass, &walk, out);
        add_live(step->last, &walk, out);
    }
    history_walk_release(&walk);
}

/* Puts a file with these bytes in the log's place and goes over to it. Under the lock. */
static int replace(struct history *history, const struct buf *bytes, struct err *err)
{
    char *name = mem_printf("%s.new", history->path);
    unlink(name); /* of a process that was killed here */
    struct view *view = NULL;
    int code = 0;
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || file_write_all(fd, bytes->data, bytes->len) < 0) {
        code = err_sys(err, errno, "cannot write %s", name);
        if (fd >= 0)
            close(fd);
    } else {
        code = history_view_new(fd, &view, err);
    }
    if (code == 0 && rename(name, history->path) < 0)
        code = err_sys(err, errno, "cannot rename %s", name);
    if (code < 0) {
        unlink(name);
        history_view_free(view);
    } else {
        adopt(history, view);
    }
    free(name);
    return code;
}

/* Rewrites the log when less than half of it is in use. Looking costs a walk over everything, so it
 * is done when the log has doubled. */
static void compact(struct history *history)
{
    struct view *view = history->view;
    if (view->end < COMPACT_BYTES || view->end / 2 < view->base)
        return;
    struct buf out = BUF_INIT, base = BUF_INIT;
    history_log_add_base(&out, 0);
    add_all_live(history, &out);
    history_log_add_base(&base, out.len);
    view->base = out.len;
    if (out.len < view->end / 2) {
        memcpy(out.data, base.data, base.len);
        /* Failing loses nothing: the old log stays, and is looked at again when it has grown. */
        if (replace(history, &out, NULL) < 0)
            view->base = view->end;
    } else if (append(history, &base, NULL) < 0) {
        view->base = view->end;
    }
    buf_release(&base);
    buf_release(&out);
}

static int flush(struct history *history, int max_tries, struct err *err)
{
    if (!history->pending.len)
        return 0;
    if (!history->writable) {
        drop_pending(history);
        return err_sys(err, EACCES, "cannot write %s", history->path);
    }
    int code = lock_current(history, max_tries, err);
    if (code != 0)
        return code;
    code = catch_up(history, err);
    if (code == 0)
        code = append_pending(history, err);
    if (code == 0)
        compact(history);
    (void)flock(history->view->fd, LOCK_UN);
    return code;
}

int history_flush(struct history *history, struct err *err)
{
    int code = flush(history, LOCK_TRIES, err);
    return code == LOCKED ? -ERR_SYSTEM : code;
}

int history_try_flush(struct history *history, struct err *err)
{
    int code = flush(history, LOCK_AT_ONCE, err);
    if (code != LOCKED)
        return code;
    err_release(err);
    return 0;
}
