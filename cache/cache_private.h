/*
 * cache_private.h - what the files of the disk cache share: the handle, how a new file gets into
 * it, and how what is in it is listed.
 *
 * Private to cache/. The handle is immutable after cache_open() but for its atomics and what the
 * two mutexes guard, so any thread may use it.
 */
#ifndef KILN_CACHE_PRIVATE_H
#define KILN_CACHE_PRIVATE_H

#include "base/vec.h"
#include "cache/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* A file name that no other thread or process comes up with: <stem>-<pid>-<random>-<counter>. */
#define CACHE_NAME_SIZE 64

struct cache {
    char *path;                         /* as given to cache_open() */
    int root_fd, cas_fd, ac_fd, tmp_fd; /* directories; -1: not there, and nothing could make it */
    int lock_fd;                        /* -1: no lock file, or a file system without locks */
    bool read_only;
    atomic_bool giving_up;
    uint32_t random; /* tells apart what uses the same pid on another host */
    atomic_uint_fast64_t counter;
    /* unfinished.c: the note of what is being restored; under its lock. */
    pthread_mutex_t note_lock;
    int note_fd; /* -1: none is open */
    char note_name[CACHE_NAME_SIZE];
    unsigned n_restoring;
    atomic_uint_fast64_t added;  /* bytes stored that the ledger does not know yet */
    atomic_bool stored;          /* something was, since it was last looked at for its size */
    atomic_int_fast64_t rescued; /* CLOCK_MONOTONIC seconds of the last try to make room; 0: none */
    cache_remove_fn *remove;     /* NULL: file_remove_tree() */
    void *remove_ctx;
    pthread_mutex_t use_mutex;
    int use_fd; /* -1 until it is first needed */
    unsigned uses;
    int64_t use_since;
    /* snapshot_place.c; also under use_mutex */
    char boot[17];             /* "" until it is first needed */
    int snap_fd, snap_lock_fd; /* of the snapshots of this boot; -1: not open */
};

/* What was used within this time is not marked as used again: no write for a no-op. So a file may
 * have been used this much later than its mtime says. */
#define TOUCH_AGE_S 300

/* What file_write_atomic() began, and is older, has no writer any more. */
#define UNFINISHED_S 3600

/* "xx/<64 hexadecimal characters>" */
#define CACHE_REL_SIZE (DIGEST_HEX + 4)
void cache_rel(const struct digest *digest, char rel[CACHE_REL_SIZE]);

void cache_unique_name(struct cache *cache, const char *stem, char name[CACHE_NAME_SIZE]);

/* -- cache.c -- */

/* Calls cb for each name in the directory sub of dirfd but the dots, until it returns non-zero,
 * which is returned; -1 with errno when it can't be read. */
typedef int cache_name_cb(void *ctx, int dirfd, const char *name);
int cache_each_name(int dirfd, const char *sub, cache_name_cb *cb, void *ctx);
/* flock, past EINTR; 0, or -1 with errno. */
int cache_flock(int fd, int how);
/* Removes rel below v1 as cache_set_remover() says. */
int cache_remove(const struct cache *cache, const char *rel, struct err *err) MUST_CHECK;

/* -- box_dir.c -- */

/* Moves rel below v1 out of the way and removes it; false when it stays. What can't be removed lies
 * in tmp/ until box_dir_sweep() can. */
bool cache_drop(struct cache *cache, const char *rel);
/* Whether the name in tmp/ is such a thing, or a snapshot on its way in or out (snapshot_sweep()).
 */
bool cache_is_locked_kind(const char *name);

/* -- cache_put.c, cache_get.c -- */

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

/* Stores n bytes as the file rel below dirfd. */
int cache_put_file(struct cache *cache, int dirfd, const char *rel, const void *bytes, size_t n,
                   struct err *err) MUST_CHECK;
int cache_put_failed(const struct cache *cache, int errnum, struct err *err);
/* The file of that blob is there, with its size. */
bool cache_find(const struct cache *cache, const struct digest *digest, struct stat *st);

/* -- cache_get.c -- */

/* Opens a stored file; *fd is -1 when it is not there or is no file (then it is quarantined). */
int cache_open_stored(struct cache *cache, int dirfd, const char *rel, const char *kind, int *fd,
                      struct stat *st, struct err *err) MUST_CHECK;
/* Moves what does not hold what it claims (kind: "cas", "ac") to bad/. Where that is not possible
 * it stays, stays a miss, and false is returned. judged: of the file that was looked at, still
 * open: another one that has come into its place meanwhile is left alone; NULL: whatever is there.
 */
bool cache_quarantine(struct cache *cache, int dirfd, const char *rel, const char *kind,
                      const struct stat *judged);
/* Whether it was not noted lately that a file with that stat is used. */
bool cache_is_stale(const struct stat *st);
/* Notes that a file with that stat is used, when that was not noted lately. */
void cache_touch(const struct cache *cache, int fd, const struct stat *st);
/* Fills bytes from offset on; less than n only at the end of the file. -1 with errno. */
ssize_t cache_read(int fd, void *bytes, size_t n, uint64_t offset);
int cache_read_failed(const struct cache *cache, const struct digest *digest, int errnum,
                      struct err *err);

/* Reads a blob into buf, verified, without noting that it is used; false when it can't be had. */
bool cache_peek(const struct cache *cache, const struct digest *digest, size_t max,
                struct buf *buf);

/* -- cache_result.c -- */

/* Reads an action result without noting that it is used; false when there is none that is right. */
bool cache_peek_result(const struct cache *cache, const struct digest *key, struct buf *buf);

/* -- cache_use.c -- */

/* The time (of CLOCK_REALTIME, seconds) at which the oldest use that still goes on began, in any
 * process; INT64_MAX when nobody is at it. */
int64_t cache_use_oldest(struct cache *cache);

/* Now, in ns, by the clock that stamps the cache's files: nothing that is touched from here on is
 * older, and whatever was touched before is, where that clock ticks within a moment. */
int64_t cache_use_now(struct cache *cache);

/* For gc, around a moment in which a file may be missed that will be back: a descriptor for it (-1
 * is fine), and its beginning and end. */
int cache_gate_open(struct cache *cache);
void cache_gate_shut(int gate, bool shut);
/* For whoever misses something: waits until no such moment is on. False: no use in looking again.
 */
bool cache_gate_pass(struct cache *cache);

/* -- cache_size.c -- */

/* What a file of that size takes on a disk, near enough. */
uint64_t cache_on_disk(uint64_t size);
/* Notes that a file of that size was stored. */
void cache_size_add(struct cache *cache, uint64_t size);
/* Writes down what was noted. */
void cache_size_flush(struct cache *cache);
/* What all of it takes by the ledger; false when that is unknown. */
bool cache_size_estimate(struct cache *cache, uint64_t *bytes);
/* Starts the ledger anew with what was counted. */
void cache_size_set(struct cache *cache, uint64_t bytes);

/* -- cache_scan.c -- */

struct cache_file {
    struct digest digest; /* its name; size is the file's */
    int64_t mtime_ns;
};
typedef VEC(struct cache_file) cache_files;
/* Adds every file of dirfd (cas/ or ac/) that has a name of its kind, in no order. */
int cache_list(const struct cache *cache, int dirfd, cache_files *out, struct err *err) MUST_CHECK;
int64_t cache_mtime_ns(const struct stat *st);

/* -- cache_gc.c -- */

/* Takes the lock that whoever removes or checks holds; -1 with errno when it can't be had, which is
 * EWOULDBLOCK where another has it and wait is false. close() gives it back. */
int cache_gc_lock(struct cache *cache, bool wait);
/* The disk is full: removes the least recently used, so much that need more bytes fit, when a
 * modest part of the cache is enough for that. True when another try is worth while. */
bool cache_make_room(struct cache *cache, uint64_t need);

#endif
