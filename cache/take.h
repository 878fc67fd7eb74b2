/*
 * take.h - files from elsewhere into the working tree, checked against what it holds now: all of
 * them or none.
 *
 * Each file has three states: what it was before somebody changed it elsewhere, what it is there,
 * and what the working tree holds now. Where the tree holds what it was, it gets what it is; where
 * both changed, their texts are merged. Nothing is written as long as one of them conflicts.
 *
 * What is written lies complete beside each file before the first of them is renamed. Where a
 * rename then fails, those before it are put back. Killed in between, each file is whole, old or
 * new; the same request takes the rest, and what lay beside them goes when the cache is next
 * opened.
 *
 * Any thread.
 */
#ifndef KILN_CACHE_TAKE_H
#define KILN_CACHE_TAKE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct cache;

enum file_kind { FILE_ABSENT, FILE_REGULAR, FILE_LINK, FILE_OTHER };

struct file_state {
    enum file_kind kind;
    bool executable;      /* FILE_REGULAR */
    struct digest digest; /* FILE_REGULAR; null: not known */
    const char *target;   /* FILE_LINK */
};

bool file_state_eq(const struct file_state *a, const struct file_state *b);

enum take_action {
    TAKE_NOTHING, /* the tree has it already */
    TAKE_CONTENT, /* what it is there, with the mode of the plan */
    TAKE_MODE,    /* the content stays, its mode does not */
    TAKE_MERGE,   /* of three texts */
    TAKE_REMOVE,
    TAKE_CONFLICT
};

struct take_plan {
    enum take_action action;
    bool executable; /* as it is to be */
    const char *why; /* CONFLICT; a constant */
};

/* What is to be done with a file; all digests are known. Pure. */
struct take_plan take_plan(const struct file_state *was, const struct file_state *is,
                           const struct file_state *now);

struct take_item {
    const char *path; /* normalised, relative */
    struct file_state was, is;
    const char *problem; /* why it can't be taken; or NULL */
    /* out */
    struct take_plan plan;
    struct file_state now;
    const char *conflict; /* what to tell; or NULL */
    size_t line;          /* of the working tree's file, where that conflicts; 0: of none */
};

struct take_request {
    struct cache *cache;
    const char *root; /* absolute: the working tree */
    int from_fd;      /* the directory in which the files lie as they are */
    struct take_item *items;
    size_t n;
    /* Adds what a file was; false: nobody has it any more. */
    bool (*was)(void *ctx, const char *path, const struct digest *digest, struct buf *out);
    void *ctx;
    struct arena *arena; /* of what is told in items */
    /* out */
    size_t conflicts; /* not 0: nothing was written */
    size_t taken;
    const char *left; /* what could not be removed (the last of it); or NULL */
};

/* Texts that are larger are not merged. */
#define TAKE_MERGE_MAX ((size_t)16 << 20)

/* ERR_SYSTEM when something can't be read or written, or changed meanwhile: then the tree is as it
 * was, or err names what could not be put back. */
int take_files(struct take_request *request, struct err *err) MUST_CHECK;

/* The state of name in dirfd, its strings in the arena. What can't be read is an error; what is
 * being written to is ERR_CORRUPT. */
int take_look(int dirfd, const char *name, struct arena *arena, struct file_state *out,
              struct err *err) MUST_CHECK;

/* Opens the file at path below the directory fd for reading, without following a link or waiting
 * for anything; the descriptor, or a negative code. */
int take_open(int fd, const char *path, struct err *err) MUST_CHECK;
/* Adds what it holds, at most max bytes. */
int take_read(int fd, const char *path, size_t max, struct buf *out, struct err *err) MUST_CHECK;

#endif
