/*
 * snapshot_fill.c - carrying out a plan: directories first, then what is in them by several
 * threads, a piece of a directory at a time, then the directories' times.
 */
#include "cache/snapshot_private.h"

#include "base/crew.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PIECE 256

struct piece {
    size_t dir, first, n;
};

struct fill {
    const struct snapshot_plan *plan;
    struct snapshot_request *request;
    int root_fd, source_fd, pool_fd;
    VEC(struct piece) pieces;
    atomic_size_t next;
    atomic_bool over;      /* no use in going on */
    pthread_mutex_t mutex; /* guards what follows */
    enum fill_answer answer;
    int rc;
    struct err *err;
};

static bool whiteout_impossible(int errnum)
{
    return errnum == EPERM || errnum == EACCES || errnum == ENOSYS || errnum == EOPNOTSUPP ||
           errnum == EINVAL;
}

/* Whoever is first says how it ends. */
static void end(struct fill *fill, int rc, struct err *err, enum fill_answer answer,
                const struct plan_dir *dir, const char *name)
{
    pthread_mutex_lock(&fill->mutex);
    if (fill->rc == 0 && fill->answer == FILL_DONE) {
        fill->rc = rc;
        fill->answer = answer;
        char *path = path_join(dir->path, name);
        if (rc != 0) {
            (void)err_move(fill->err, err);
            if (rc != -(int)ERR_CANCELLED)
                (void)err_wrap(fill->err, "making a snapshot of \"%s\"", path);
        } else if (answer == FILL_CHANGED) {
            free(fill->request->changed);
            fill->request->changed = mem_strdup(path);
        }
        free(path);
    }
    pthread_mutex_unlock(&fill->mutex);
    atomic_store(&fill->over, true);
    err_release(err);
}

/* Makes one entry that is no file; returns 0 or an errno. */
static int make_special(const struct fill *fill, int dirfd, const struct plan_entry *entry)
{
    if (entry->kind == PLAN_WHITEOUT)
        return mknodat(dirfd, entry->name, S_IFCHR, makedev(0, 0)) != 0 ? errno : 0;
    if (symlinkat(entry->target, dirfd, entry->name) != 0)
        return errno;
    return snapshot_settle(fill->request, dirfd, entry->name);
}

static void put_entry(struct fill *fill, struct pool_hand *hand, const struct plan_dir *dir,
                      const struct plan_entry *entry, int dirfd, int source_fd)
{
    struct err err = ERR_INIT;
    bool changed = false;
    int rc = 0;
    if (snapshot_stopped(fill->request)) {
        rc = err_set(&err, ERR_CANCELLED, "told to stop");
    } else if (entry->kind == PLAN_FILE || entry->kind == PLAN_EXECUTABLE) {
        rc = pool_put(hand, dirfd, dir->path, entry, source_fd, &changed, &err);
    } else {
        int errnum = make_special(fill, dirfd, entry);
        if (errnum != 0 && entry->kind == PLAN_WHITEOUT && whiteout_impossible(errnum)) {
            end(fill, 0, &err, FILL_NO_WHITEOUTS, dir, entry->name);
            return;
        }
        if (errnum != 0)
            rc = cache_put_failed(fill->request->cache, errnum, &err);
    }
    if (rc != 0 || changed)
        end(fill, rc, &err, FILL_CHANGED, dir, entry->name);
    else if (fill->request->progress)
        atomic_fetch_add_explicit(&fill->request->progress->files, 1, memory_order_relaxed);
}

static void put_piece(struct fill *fill, struct pool_hand *hand, const struct piece *piece)
{
    const struct plan_dir *dir = &fill->plan->dirs.v[piece->dir];
    struct err err = ERR_INIT;
    int dirfd = -1, source_fd = -1;
    int rc = beneath_open(fill->root_fd, dir->path, false, &dirfd, &err);
    if (rc != 0) {
        end(fill, rc, &err, FILL_DONE, dir, "");
        return;
    }
    if (fill->source_fd >= 0) {
        rc = beneath_open(fill->source_fd, dir->path, false, &source_fd, &err);
        if (rc == -(int)ERR_CONFIG) { /* it is none (any more): then the content must be stored */
            err_release(&err);
            source_fd = -1;
        } else if (rc != 0) {
            close(dirfd);
            end(fill, rc, &err, FILL_DONE, dir, "");
            return;
        }
    }
    for (size_t i = 0; i < piece->n && !atomic_load(&fill->over); i++)
        put_entry(fill, hand, dir, &fill->plan->entries.v[piece->first + i], dirfd, source_fd);
    close(dirfd);
    if (source_fd >= 0)
        close(source_fd);
}

static void work(void *ctx, size_t index)
{
    struct fill *fill = ctx;
    struct pool_hand hand = {.request = fill->request, .pool_fd = fill->pool_fd};
    size_t i;
    (void)index;
    cache_hand_init(&hand.hand);
    while (!atomic_load(&fill->over) && (i = atomic_fetch_add(&fill->next, 1)) < fill->pieces.n)
        put_piece(fill, &hand, &fill->pieces.v[i]);
    cache_hand_release(&hand.hand);
}

/* -- directories ------------------------------------------------------------------------------- */

static int make_dirs(const struct fill *fill, struct err *err)
{
    const struct snapshot_plan *plan = fill->plan;
    char *open_path = NULL; /* of the directory that is open: siblings follow one another */
    int fd = -1, rc = 0;
    for (size_t i = 1; rc == 0 && i < plan->dirs.n; i++) {
        const char *path = plan->dirs.v[i].path, *slash = strrchr(path, '/');
        size_t n = slash ? (size_t)(slash - path) : 0;
        if (!open_path || strlen(open_path) != n || memcmp(open_path, path, n) != 0) {
            free(open_path);
            open_path = mem_strndup(path, n);
            if (fd >= 0)
                close(fd);
            rc = beneath_open(fill->root_fd, open_path, false, &fd, err);
        }
        if (rc == 0 && mkdirat(fd, slash ? slash + 1 : path, 0700) != 0)
            rc = cache_put_failed(fill->request->cache, errno, err);
    }
    if (fd >= 0)
        close(fd);
    free(open_path);
    return rc;
}

static int settle_dirs(const struct fill *fill, struct err *err)
{
    int rc = 0, fd = -1;
    for (size_t i = fill->plan->dirs.n; rc == 0 && i-- > 0;) {
        rc = beneath_open(fill->root_fd, fill->plan->dirs.v[i].path, false, &fd, err);
        if (rc != 0)
            break;
        int errnum = fchmod(fd, 0755) != 0 ? errno : snapshot_settle(fill->request, fd, ".");
        if (errnum != 0)
            rc = cache_put_failed(fill->request->cache, errnum, err);
        close(fd);
    }
    return rc;
}

static void cut(struct fill *fill)
{
    for (size_t i = 0; i < fill->plan->dirs.n; i++) {
        const struct plan_dir *dir = &fill->plan->dirs.v[i];
        for (size_t at = 0; at < dir->n; at += PIECE)
            vec_push(&fill->pieces,
                     (struct piece){i, dir->first + at, dir->n - at < PIECE ? dir->n - at : PIECE});
    }
}

int snapshot_fill(const struct snapshot_plan *plan, struct snapshot_request *request, int root_fd,
                  enum fill_answer *answer, struct err *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    struct fill fill = {.plan = plan, .request = request, .root_fd = root_fd, .err = err};
    *answer = FILL_DONE;
    fill.pool_fd = openat(snapshot_place(request->cache, true), SNAPSHOT_POOL, flags);
    if (fill.pool_fd < 0)
        return cache_put_failed(request->cache, errno, err);
    fill.source_fd = request->dir ? open(request->dir, flags) : -1;
    if (request->dir && fill.source_fd < 0 && errno != ENOENT && errno != ENOTDIR) {
        int rc = err_sys(err, errno, "cannot open the directory %s", request->dir);
        close(fill.pool_fd);
        return rc;
    }
    pthread_mutex_init(&fill.mutex, NULL);
    cut(&fill);
    if (request->progress)
        atomic_store(&request->progress->all_files, plan->entries.n);
    fill.rc = make_dirs(&fill, err);
    if (fill.rc == 0 && fill.pieces.n > 0) {
        size_t hands = crew_size();
        crew_run(hands < fill.pieces.n ? hands : fill.pieces.n, work, &fill);
    }
    if (fill.rc == 0 && fill.answer == FILL_DONE)
        fill.rc = settle_dirs(&fill, err);
    *answer = fill.answer;
    pthread_mutex_destroy(&fill.mutex);
    vec_release(&fill.pieces);
    if (fill.source_fd >= 0)
        close(fill.source_fd);
    close(fill.pool_fd);
    return fill.rc;
}
