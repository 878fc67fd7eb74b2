/*
 * lock.h - kiln.lock: which images the references in kiln.json mean, by digest.
 *
 * It lies beside kiln.json and is checked in, so that everybody runs the same images until somebody
 * renews them. One line an image and platform, sorted, so that differences read well and merge
 * well (lock.c has the format).
 *
 * Ownership: the struct is the caller's, lock_release() frees what it holds; strings live until
 * then, or until the entry is set anew or dropped. One thread at a time.
 */
#ifndef KILN_CONFIG_LOCK_H
#define KILN_CONFIG_LOCK_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>

#define LOCK_NAME "kiln.lock"

struct lock_entry {
    char *image;            /* the normalised reference: "docker.io/library/debian:12" */
    char *platform;         /* "linux/amd64" */
    struct digest digest;   /* what the reference names, an index or a manifest; size 0 */
    struct digest manifest; /* the platform's; size 0 */
    bool changed;           /* since it was read */
};

struct lock {
    VEC(struct lock_entry) entries; /* sorted by image, then platform */
    VEC(struct lock_entry) dropped; /* since it was read */
};

#define LOCK_INIT          \
    {                      \
        VEC_INIT, VEC_INIT \
    }

/* Reads the file; one that is not there is empty. ERR_CONFIG with "kiln.lock:3:7: ..." and how to
 * put it right; ERR_SYSTEM when it cannot be read. Release it in either case. */
int lock_read(const char *path, struct lock *out, struct err *err) MUST_CHECK;
/* The same from n bytes of text; shown is the file's name in messages. */
int lock_parse(const char *text, size_t n, const char *shown, struct lock *out,
               struct err *err) MUST_CHECK;
void lock_release(struct lock *lock);

/* The entry, or NULL. */
const struct lock_entry *lock_find(const struct lock *lock, const char *image,
                                   const char *platform);
/* An entry of the image for any platform, or NULL: another one is to be resolved at its digest, so
 * that all platforms stay together. */
const struct lock_entry *lock_find_any(const struct lock *lock, const char *image);
/* Pins the image; nothing changes when it is pinned so already. */
void lock_set(struct lock *lock, const char *image, const char *platform,
              const struct digest *digest, const struct digest *manifest);
void lock_drop(struct lock *lock, const char *image, const char *platform);

/* Adds the file's text. */
void lock_text(const struct lock *lock, struct buf *out);
/* Writes to path, in one step, what was set and dropped since it was read; not when nothing was.
 * What others wrote there meanwhile is kept, but for the entries changed here. */
int lock_write(struct lock *lock, const char *path, struct err *err) MUST_CHECK;

#endif
