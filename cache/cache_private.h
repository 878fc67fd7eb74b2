/*
 * cache_private.h - what the files of the disk cache share: the handle, and how a new file gets
 * into it.
 *
 * Private to cache/. The handle is immutable after cache_open() but for the counter and the note,
 * so any thread may use it.
 */
#ifndef KILN_CACHE_PRIVATE_H
#define KILN_CACHE_PRIVATE_H

#include "cache/cache.h"

#include <pthread.h>
#include <stdatomic.h>

/* A file name that no other thread or process comes up with: <stem>-<pid>-<random>-<counter>. */
#define CACHE_NAME_SIZE 64

struct cache {
    char *path;                         /* as given to cache_open() */
    int root_fd, cas_fd, ac_fd, tmp_fd; /* directories; -1: not there, and nothing could make it */
    int lock_fd;                        /* -1: no lock file, or a file system without locks */
    bool read_only;
    uint32_t random; /* tells apart what uses the same pid on another host */
    atomic_uint_fast64_t counter;
    /* unfinished.c: the note of what is being restored; under its lock. */
    pthread_mutex_t note_lock;
    int note_fd; /* -1: none is open */
    char note_name[CACHE_NAME_SIZE];
    unsigned n_restoring;
};

/* "xx/<64 hexadecimal characters>" */
#define CACHE_REL_SIZE (DIGEST_HEX + 4)
void cache_rel(const struct digest *digest, char rel[CACHE_REL_SIZE]);

void cache_unique_name(struct cache *cache, const char *stem, char name[CACHE_NAME_SIZE]);

/* What a thread needs to move content, made once for many files. */
struct cache_hand {
    struct hasher *hasher;
    unsigned char *block; /* CACHE_BLOCK bytes */
};
#define CACHE_BLOCK ((size_t)256 * 1024)
void cache_hand_init(struct cache_hand *hand);
void cache_hand_release(struct cache_hand *hand);

/* As cache_put_fd(). */
int cache_put_by(struct cache *cache, struct cache_hand *hand, int fd, uint64_t size,
                 struct digest *out, struct err *err) MUST_CHECK;
/* As cache_copy_out(). fresh: nobody sees the directory yet and nothing of that name is in it, so
 * the file is made under its own name; what fails leaves it there for whoever removes the whole. */
int cache_copy_by(struct cache *cache, struct cache_hand *hand, const struct digest *digest,
                  int dirfd, const char *name, bool executable, bool fresh,
                  enum cache_answer *answer, struct err *err) MUST_CHECK;

#endif
