/*
 * unfinished.c - notes of what is being restored (see unfinished.h).
 *
 * A note is the file tmp/restoring-<pid>-<random>-<counter>, kept under an exclusive flock by its
 * writer as long as that lives. It holds pairs of strings, each with a NUL behind it: a root
 * directory, absolute, and the path of a directory below it, "" for the root itself. What its
 * writer made there is called .kiln-<pid>-<random>-<counter>, with the same two numbers; nothing of
 * another name is touched. A pair that was cut off says nothing.
 */
#include "cache/unfinished.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD     "restoring"
#define NOTE_MAX ((size_t)64 << 20)

static int lock(int fd, int how)
{
    int rc;
    do
        rc = flock(fd, how);
    while (rc != 0 && errno == EINTR);
    return rc;
}

/* -- writing ----------------------------------------------------------------------------------- */

void unfinished_begin(struct cache *cache)
{
    pthread_mutex_lock(&cache->note_lock);
    cache->n_restoring++;
    pthread_mutex_unlock(&cache->note_lock);
}

void unfinished_end(struct cache *cache)
{
    pthread_mutex_lock(&cache->note_lock);
    if (--cache->n_restoring == 0 && cache->note_fd >= 0 && ftruncate(cache->note_fd, 0) != 0)
        unfinished_close(cache);
    pthread_mutex_unlock(&cache->note_lock);
}

static void open_note(struct cache *cache)
{
    for (int tries = 0; tries < 8 && cache->note_fd < 0; tries++) {
        struct stat st;
        cache_unique_name(cache, HEAD, cache->note_name);
        int fd = openat(cache->tmp_fd, cache->note_name,
                        O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return;
        /* Who collects may have been faster than the lock. */
        if (lock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
            cache->note_fd = fd;
        else
            close(fd);
    }
}

void unfinished_note(struct cache *cache, const char *root, const char *path)
{
    if (cache->read_only)
        return;
    struct buf pair = BUF_INIT;
    buf_add(&pair, root, strlen(root) + 1);
    buf_add(&pair, path, strlen(path) + 1);
    pthread_mutex_lock(&cache->note_lock);
    open_note(cache);
    if (cache->note_fd >= 0 && file_write_all(cache->note_fd, pair.data, pair.len) != 0)
        unfinished_close(cache);
    pthread_mutex_unlock(&cache->note_lock);
    buf_release(&pair);
}

void unfinished_close(struct cache *cache)
{
    if (cache->note_fd < 0)
        return;
    (void)unlinkat(cache->tmp_fd, cache->note_name, 0);
    close(cache->note_fd);
    cache->note_fd = -1;
}

/* -- collecting -------------------------------------------------------------------------------- */

bool unfinished_is_note(const char *name)
{
    return strncmp(name, HEAD "-", sizeof(HEAD)) == 0;
}

/* Removes what begins with head in the directory at path below root. */
static void collect_in(const char *root, const char *path, const char *head)
{
    int fd = -1;
    int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return;
    DIR *dir = beneath_open(root_fd, path, false, &fd, NULL) == 0 ? fdopendir(fd) : NULL;
    if (dir) {
        VEC(char *) names = VEC_INIT;
        for (struct dirent *entry; (entry = readdir(dir));)
            if (strncmp(entry->d_name, head, strlen(head)) == 0)
                vec_push(&names, mem_strdup(entry->d_name));
        vec_each (char *, name, &names) {
            if (file_remove_tree(fd, *name, NULL) != 0) {
                /* somebody else's by now: a mount, or a directory that is not ours to write */
            }
            free(*name);
        }
        vec_release(&names);
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
    close(root_fd);
}

bool unfinished_collect(const struct cache *cache, const char *name)
{
    char head[CACHE_NAME_SIZE];
    struct buf note = BUF_INIT;
    struct stat st;
    const char *numbers = name + sizeof(HEAD);
    const char *counter = strrchr(numbers, '-');
    int fd = openat(cache->tmp_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool locked = lock(fd, LOCK_EX | LOCK_NB) == 0;
    bool known = locked || errno == EWOULDBLOCK;
    bool dead = locked && fstat(fd, &st) == 0 && st.st_nlink > 0;
    if (dead && counter && file_read_fd(fd, name, NOTE_MAX, &note, NULL) == 0) {
        snprintf(head, sizeof(head), ".kiln-%.*s-", (int)(counter - numbers), numbers);
        for (const char *root = buf_str(&note), *end = root + note.len; root < end;) {
            const char *path = memchr(root, '\0', (size_t)(end - root));
            const char *next = path ? memchr(path + 1, '\0', (size_t)(end - path - 1)) : NULL;
            if (!next)
                break;
            collect_in(root, path + 1, head);
            root = next + 1;
        }
    }
    if (dead)
        (void)unlinkat(cache->tmp_fd, name, 0);
    close(fd);
    buf_release(&note);
    return known;
}
