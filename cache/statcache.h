/*
 * statcache.h - what was learned about files in earlier runs: stat stamps with digests, the names
 * in directories, ignore verdicts, and the digests of directories as far as they can be told from
 * all that.
 *
 * A loaded cache is immutable, and holds nothing that its file does not prove: a file that is
 * missing, damaged, of another version or of another root is an empty cache. A writer collects a
 * new one and replaces the file in one step.
 *
 * Ownership: both are opaque, statcache_free() and statcache_writer_free(). Names and digests got
 * from a cache live as long as it. A loaded cache may be read by any thread; a writer belongs to
 * one.
 */
#ifndef KILN_CACHE_STATCACHE_H
#define KILN_CACHE_STATCACHE_H

#include "base/digest.h"
#include "base/err.h"
#include "cache/stamp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum statcache_flags {
    STATCACHE_DIGEST = 1,    /* a file: stamp, recorded_ns and digest hold */
    STATCACHE_VERDICT = 2,   /* the following three hold, under the directory's fingerprints */
    STATCACHE_IGNORED = 4,   /* not taken */
    STATCACHE_TRACKED = 8,   /* a directory that is ignored and holds tracked files */
    STATCACHE_BY_INDEX = 16, /* git's index had a say */
    STATCACHE_TARGET = 32,   /* a link: stamp, recorded_ns and target hold */
};
#define STATCACHE_STAMPED (STATCACHE_DIGEST | STATCACHE_TARGET)

/* Values as they are stored. */
enum statcache_kind {
    STATCACHE_UNKNOWN,
    STATCACHE_FILE,
    STATCACHE_DIR,
    STATCACHE_LINK,
    STATCACHE_OTHER, /* FIFO, socket, device */
};

struct statcache_entry {
    const char *name; /* NUL terminated, len bytes */
    size_t len;
    uint32_t flags; /* of enum statcache_flags */
    enum statcache_kind kind;
    bool directory; /* what the verdict was given for */
    struct stamp stamp;
    int64_t recorded_ns;
    struct digest digest;
    const char *target; /* NULL unless STATCACHE_TARGET */
};

struct statcache_dir {
    const char *path; /* relative to the root, "" is the root */
    size_t len;
    uint32_t number;   /* of statcache_dir() */
    uint64_t rules;    /* fingerprint of all ignore rules that decide here */
    uint64_t index;    /* fingerprint of git's index */
    uint32_t first, n; /* its entries, sorted by name's bytes */
    uint32_t first_memo, n_memos;
    bool names; /* the entries are all that the directory had with that stamp, read at read_ns */
    struct stamp stamp;
    int64_t read_ns;
    /* Of its entries, as counted by the writer. */
    uint32_t n_files;
    bool has_dirs, has_rules, by_index; /* directories; .gitignore; STATCACHE_BY_INDEX */
};

/* The digest of what a view takes of a directory and below. It holds if all stamps of the
 * directory's entries, its fingerprints and the memos for the same of all directories below do. */
struct statcache_memo {
    uint32_t view; /* of statcache_view(), or STATCACHE_WHOLE: the same for every view */
    uint32_t flavour;
    struct digest digest;
};
#define STATCACHE_WHOLE UINT32_MAX

struct statcache;
struct statcache_writer;

/* Never fails: whatever can't be used is an empty cache. path NULL gives one too. */
struct statcache *statcache_load(const char *path, const char *root);
/* Whether the file name below dirfd is whole, and (new string, else NULL) whose root it is of. */
bool statcache_check(int dirfd, const char *name, char **root);
/* Reads all files below root whose stamps hold. Returns the path (new string) of one that has
 * another content or target than the cache says, or NULL. */
char *statcache_find_lie(const struct statcache *cache, const char *root);
void statcache_free(struct statcache *cache);
/* Directories count from 0, sorted by path. */
uint32_t statcache_n_dirs(const struct statcache *cache);
void statcache_dir(const struct statcache *cache, uint32_t i, struct statcache_dir *out);
/* False when the directory is not known. */
bool statcache_find(const struct statcache *cache, const char *path, size_t len,
                    struct statcache_dir *out);
/* Entry i of those that a directory names by first and n. */
void statcache_get(const struct statcache *cache, uint32_t i, struct statcache_entry *out);
/* Its name alone: the part that a join of two sorted lists compares. */
const char *statcache_name(const struct statcache *cache, uint32_t i, size_t *len);
/* Its flags, and what else a look at the disk is compared with: these hold for STATCACHE_STAMPED.
 */
uint32_t statcache_stamp(const struct statcache *cache, uint32_t i, struct stamp *stamp,
                         int64_t *recorded_ns);
/* Finds the entry of that name in a directory. */
bool statcache_find_entry(const struct statcache *cache, const struct statcache_dir *dir,
                          const char *name, uint32_t *i);

void statcache_memo(const struct statcache *cache, uint32_t i, struct statcache_memo *out);
/* The views that memos name, by what defines them: n bytes. */
uint32_t statcache_n_views(const struct statcache *cache);
const void *statcache_view(const struct statcache *cache, uint32_t i, size_t *n);
/* Fingerprint of all else that memos depend on: without the same they are worth nothing. */
uint64_t statcache_memo_print(const struct statcache *cache);

/* Bytes kept beside it, for whoever decides about ignore rules. Guarded against damage as all else
 * is. */
const void *statcache_memory(const struct statcache *cache, size_t *n);

struct statcache_writer *statcache_writer_new(const char *root);
void statcache_writer_free(struct statcache_writer *writer);
void statcache_writer_memory(struct statcache_writer *writer, const void *bytes, size_t n);
void statcache_writer_memo_print(struct statcache_writer *writer, uint64_t print);
/* Adds a view; they count from 0. */
void statcache_writer_view(struct statcache_writer *writer, const void *bytes, size_t n);
/* Begins a directory (its first, n and what is counted are not looked at); its entries, in the
 * order of their names' bytes, and memos follow. Each path at most once. */
void statcache_writer_dir(struct statcache_writer *writer, const struct statcache_dir *dir);
void statcache_writer_add(struct statcache_writer *writer, const struct statcache_entry *entry);
void statcache_writer_memo(struct statcache_writer *writer, const struct statcache_memo *memo);
/* Replaces the file at path; its directory is made when missing. A cache that would not fit its
 * format (4 GiB) is an error. */
int statcache_writer_save(struct statcache_writer *writer, const char *path,
                          struct err *err) MUST_CHECK;

#endif
