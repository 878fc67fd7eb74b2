/*
 * The stat cache read while something else is being done: that of a big tree takes as long as all
 * else before the first look at the disk. It is a snapshot; what it knows is compared with the disk
 * as that of any stat cache.
 */
#include "cache/worktree_private.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct worktree_ahead {
    char *path, *root;
    pthread_t thread;
    bool started, taken;
    struct statcache *cache; /* the thread's until it has been joined */
};

static void *read_all(void *self)
{
    struct worktree_ahead *ahead = self;
    ahead->cache = statcache_load(ahead->path, ahead->root);
    return NULL;
}

struct worktree_ahead *worktree_ahead_new(const char *path, const char *root)
{
    struct worktree_ahead *ahead = mem_zalloc(1, sizeof(*ahead));
    ahead->path = mem_strdup(path);
    ahead->root = mem_strdup(root);
    ahead->started = pthread_create(&ahead->thread, NULL, read_all, ahead) == 0;
    return ahead;
}

static void wait_for(struct worktree_ahead *ahead)
{
    if (ahead->started)
        pthread_join(ahead->thread, NULL);
    ahead->started = false;
}

struct statcache *worktree_ahead_take(struct worktree_ahead *ahead, const char *path,
                                      const char *root)
{
    if (!ahead || ahead->taken || !path || strcmp(path, ahead->path) != 0 ||
        strcmp(root, ahead->root) != 0)
        return NULL;
    ahead->taken = true;
    if (!ahead->started)
        return statcache_load(path, root);
    wait_for(ahead);
    struct statcache *cache = ahead->cache;
    ahead->cache = NULL;
    return cache;
}

void worktree_ahead_free(struct worktree_ahead *ahead)
{
    if (!ahead)
        return;
    wait_for(ahead);
    statcache_free(ahead->cache);
    free(ahead->path);
    free(ahead->root);
    free(ahead);
}
