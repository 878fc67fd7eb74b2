/*
 * kept_box.h - what was changed in the box that a step's last failure left (kept.h), and taking it
 * into the working tree.
 *
 * The box is only read, and not claimed: a shell may be open in it meanwhile. What the step was
 * given is known by digest, and where its content is needed it is looked for (content.h).
 *
 * Ownership: opaque, kept_box_open() to kept_box_free(), both on the loop thread; in between it
 * belongs to one thread at a time, any. The cache has to outlive it.
 */
#ifndef KILN_ENGINE_KEPT_BOX_H
#define KILN_ENGINE_KEPT_BOX_H

#include "cache/box_changes.h"
#include "engine/graph.h"
#include "engine/history.h"
#include "engine/record.h"

struct kept_box;

struct kept_box_options {
    const struct records *records; /* or NULL */
    const struct history *history; /* or NULL */
    struct cache *cache;
    const struct graph *graph;
    const char *root; /* the project's folder, absolute */
    const char *step;
};

/* ERR_USAGE says why there is none: it runs on the host, never failed, has passed since, was
 * collected ... */
int kept_box_open(const struct kept_box_options *options, struct kept_box **out,
                  struct err *err) MUST_CHECK;
/* NULL is fine. */
void kept_box_free(struct kept_box *box);

enum kept_class {
    KEPT_INPUT,  /* of the step: changed, or removed */
    KEPT_OUTPUT, /* of a step: the cache's affair */
    KEPT_MADE,   /* there was nothing */
    KEPT_CLASSES
};

struct kept_change {
    const struct box_change *at;
    enum kept_class class;
};

/* Finds all changes; once, before what follows. ERR_SYSTEM when the box can't be read, or went
 * meanwhile. */
int kept_box_look(struct kept_box *box, struct err *err) MUST_CHECK;
/* By path; the box's. *more: further new files that are not listed. */
const struct kept_change *kept_box_changes(const struct kept_box *box, size_t *n, uint64_t *more);

/* Adds the change as git has it in a patch. NULL, or why there is nothing of it to be shown (a
 * constant): it is no text, it may hold a secret of the step's ... */
const char *kept_box_patch(struct kept_box *box, const struct kept_change *change,
                           struct buf *patch);

struct kept_taken {
    struct take_item *items; /* the box's */
    size_t n;
    size_t conflicts; /* not 0: nothing was written */
    size_t taken;     /* files written or removed; the rest of the items was there already */
    const char *left; /* as of struct take_request */
    size_t secret;    /* files left out, because they may hold a secret of the step's */
};

/* Takes the inputs that were changed, or (n not 0) what was changed, made or removed at or below
 * those paths, whatever it is. ERR_USAGE when there was nothing like that at one of them; else as
 * take_files(). */
int kept_box_take(struct kept_box *box, const char *const *paths, size_t n,
                  struct kept_taken *taken, struct err *err) MUST_CHECK;

#endif
