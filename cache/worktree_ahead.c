/*
 * The stat cache read, and what it knows looked at, while something else is being done: a big tree
 * takes as long as all else that a command begins with. It is a snapshot; what it knows is compared
 * with the disk as that of any stat cache.
 *
 * A look that was begun here tells what was so after the command had begun, which is all that a
 * command that does not watch wants to know. Its answers are for the first that the worktree wants
 * to look at: before steps run. Who watches must put a watch on a directory first, and looks then.
 */
#include "cache/worktree_private.h"

#include "base/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct worktree_ahead {
    char *path, *root;
    pthread_t thread;
    bool begun, joined, looks, taken;
    sem_t loaded; /* from then on the cache is read by both */
    struct statcache *cache;
    atomic_bool stop;
    /* The thread's until it has been joined: directories by their number. */
    struct worktree_batch batch;
};

/* Directories are looked at in the order in which the worktree comes to them. A big one is left to
 * several workers. */
static void look_around(struct worktree_ahead *ahead)
{
    struct worktree_batch *batch = &ahead->batch;
    uint32_t n = statcache_n_dirs(ahead->cache);
    batch->cache = ahead->cache;
    batch->root_fd = open(ahead->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (batch->root_fd >= 0 && batch->looks.n < n && !atomic_load(&ahead->stop)) {
        struct look_item item = {.look = {.node = WORKTREE_NONE}};
        statcache_dir(ahead->cache, (uint32_t)batch->looks.n, &item.record);
        item.look.first = item.record.first;
        item.look.n = item.record.n;
        if (item.record.names && item.record.n <= LOOK_ENTRIES) {
            item.look.node = 0;
            worktree_look_work(batch, &item);
        }
        vec_push(&batch->looks, item);
    }
    if (batch->root_fd >= 0)
        close(batch->root_fd);
}

static void *read_all(void *self)
{
    struct worktree_ahead *ahead = self;
    ahead->cache = statcache_load(ahead->path, ahead->root);
    sem_post(&ahead->loaded);
    if (ahead->looks)
        look_around(ahead);
    return NULL;
}

struct worktree_ahead *worktree_ahead_new(const char *path, const char *root, bool look)
{
    struct worktree_ahead *ahead = mem_zalloc(1, sizeof(*ahead));
    ahead->path = mem_strdup(path);
    ahead->root = mem_strdup(root);
    ahead->looks = look;
    sem_init(&ahead->loaded, 0, 0);
    ahead->begun = pthread_create(&ahead->thread, NULL, read_all, ahead) == 0;
    return ahead;
}

void worktree_ahead_finish(struct worktree_ahead *ahead)
{
    if (ahead->begun && !ahead->joined)
        pthread_join(ahead->thread, NULL);
    ahead->joined = true;
}

void worktree_ahead_stop(struct worktree_ahead *ahead)
{
    if (!ahead)
        return;
    atomic_store(&ahead->stop, true);
    worktree_ahead_finish(ahead);
}

struct statcache *worktree_ahead_take(struct worktree_ahead *ahead, const char *path,
                                      const char *root)
{
    if (!ahead || ahead->taken || !path || strcmp(path, ahead->path) != 0 ||
        strcmp(root, ahead->root) != 0)
        return NULL;
    ahead->taken = true;
    if (!ahead->begun)
        return statcache_load(path, root);
    while (sem_wait(&ahead->loaded) != 0)
        ;
    struct statcache *cache = ahead->cache;
    if (!ahead->looks)
        worktree_ahead_stop(ahead);
    return cache;
}

const struct look_item *worktree_ahead_looked(struct worktree_ahead *ahead, uint32_t dir)
{
    worktree_ahead_stop(ahead);
    const struct look_item *item = dir < ahead->batch.looks.n ? &ahead->batch.looks.v[dir] : NULL;
    return item && item->look.node != WORKTREE_NONE ? item : NULL;
}

void worktree_ahead_free(struct worktree_ahead *ahead)
{
    if (!ahead)
        return;
    worktree_ahead_stop(ahead);
    if (!ahead->taken)
        statcache_free(ahead->cache);
    vec_release(&ahead->batch.looks);
    arena_release(&ahead->batch.arena);
    sem_destroy(&ahead->loaded);
    free(ahead->path);
    free(ahead->root);
    free(ahead);
}
