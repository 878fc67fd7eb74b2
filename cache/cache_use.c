/*
 * cache_use.c - who is at work in the cache just now, so that gc takes nothing from under them.
 *
 * v1/use is an empty file. Whoever commits or restores holds a read lock (of its open file
 * description) on the one byte of it whose offset is the second of CLOCK_REALTIME in which that
 * began. gc asks the kernel for the lowest such byte: what was touched since then is left alone.
 * Nothing is written, and the locks of a process that dies go with it.
 *
 * The byte at GATE is locked for writing while gc has a file in its hands that it may put back. Who
 * misses a blob waits for that moment to pass and looks again.
 */
#include "cache/cache.h"

#include "cache/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* Where locks can't be had, everybody is taken to be at work for so long. */
#define BLIND_S 3600

/* How long the next tick of the files' clock is waited for. */
#define TICK_MS 25

#define GATE ((off_t)1 << 62)

static int open_uses(struct cache *cache)
{
    if (cache->use_fd < 0 && !cache->read_only)
        cache->use_fd =
            openat(cache->root_fd, "use", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return cache->use_fd;
}

static void mark(const struct cache *cache, short type)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)cache->use_since, .l_len = 1};
    /* Without a lock gc may take something too early: then it is missed and made again. */
    (void)fcntl(cache->use_fd, F_OFD_SETLK, &lock);
}

void cache_use_begin(struct cache *cache)
{
    pthread_mutex_lock(&cache->use_mutex);
    if (cache->uses++ == 0) {
        time_t now = time(NULL);
        cache->use_since = now > 0 ? now : 0;
        if (open_uses(cache) >= 0)
            mark(cache, F_RDLCK);
    }
    pthread_mutex_unlock(&cache->use_mutex);
}

void cache_use_end(struct cache *cache)
{
    pthread_mutex_lock(&cache->use_mutex);
    if (--cache->uses == 0 && cache->use_fd >= 0)
        mark(cache, F_UNLCK);
    pthread_mutex_unlock(&cache->use_mutex);
}

/* The kernel names one lock in the way, not the lowest: below that one it is asked again. */
static int64_t oldest_of_others(int fd)
{
    int64_t oldest = INT64_MAX;
    struct flock probe = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = GATE};
    while (fcntl(fd, F_OFD_GETLK, &probe) == 0) {
        if (probe.l_type == F_UNLCK)
            return oldest;
        oldest = probe.l_start;
        if (oldest == 0)
            return 0;
        probe = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = (off_t)oldest};
    }
    return (int64_t)time(NULL) - BLIND_S;
}

int64_t cache_use_oldest(struct cache *cache)
{
    pthread_mutex_lock(&cache->use_mutex);
    int64_t own = cache->uses > 0 ? cache->use_since : INT64_MAX;
    int fd = open_uses(cache);
    pthread_mutex_unlock(&cache->use_mutex);
    int64_t others = fd >= 0 ? oldest_of_others(fd) : (int64_t)time(NULL) - BLIND_S;
    return own < others ? own : others;
}

static bool stamp(int fd, int64_t *ns)
{
    struct stat st;
    if (fd < 0 || futimens(fd, NULL) != 0 || fstat(fd, &st) != 0)
        return false;
    *ns = cache_mtime_ns(&st);
    return true;
}

int64_t cache_use_now(struct cache *cache)
{
    int64_t first, now;
    pthread_mutex_lock(&cache->use_mutex);
    int fd = open_uses(cache);
    pthread_mutex_unlock(&cache->use_mutex);
    if (!stamp(fd, &first)) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME_COARSE, &ts);
        return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
    }
    now = first;
    for (int i = 0; i < TICK_MS && now == first; i++) {
        const struct timespec pause = {.tv_nsec = 1000000};
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        if (!stamp(fd, &now))
            return first;
    }
    return now;
}

int cache_gate_open(struct cache *cache)
{
    /* A description of its own, so that this process' own readers wait too. */
    return openat(cache->root_fd, "use", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void set_gate(int fd, int how, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = GATE, .l_len = 1};
    while (fcntl(fd, how, &lock) != 0 && errno == EINTR)
        continue;
}

void cache_gate_shut(int gate, bool shut)
{
    set_gate(gate, F_OFD_SETLKW, shut ? F_WRLCK : F_UNLCK);
}

bool cache_gate_pass(struct cache *cache)
{
    pthread_mutex_lock(&cache->use_mutex);
    int fd = open_uses(cache);
    pthread_mutex_unlock(&cache->use_mutex);
    if (fd < 0)
        return false;
    set_gate(fd, F_OFD_SETLKW, F_RDLCK);
    set_gate(fd, F_OFD_SETLK, F_UNLCK);
    return true;
}
