/*
 * history_private.h - the parts of the history: what one log file says (history_view.c), reading
 * and noting (history.c), writing (history_write.c). Included by these three alone.
 *
 * Ownership: a view is opaque to nobody here and freed by history_view_free(); records belong to
 * the view. Loop thread.
 */
#ifndef KILN_ENGINE_HISTORY_PRIVATE_H
#define KILN_ENGINE_HISTORY_PRIVATE_H

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "engine/history.h"
#include "engine/history_log.h"

struct dir {
    struct digest digest;
    bool pending;    /* the message is in the pending buffer, not in the file */
    uint64_t offset; /* of the message */
};

struct step {
    struct history_record *last, *pass; /* may be the same */
};

/* What one file says. */
struct view {
    int fd;
    uint64_t end;         /* of the records that are whole */
    uint64_t base;        /* bytes in use, when last looked at */
    struct map dir_index; /* hash -> index + 1 into dirs */
    VEC(struct dir) dirs;
    struct map steps; /* name -> struct step */
};

struct history {
    char *path;
    bool writable;
    struct view *view;
    struct buf pending;   /* whole records */
    size_t first_pending; /* of view->dirs */
};

struct visit {
    struct digest digest;
    bool leave;
};

/* Goes through the directories below a root and puts them into order: each once, what it names
 * before it. */
struct walk {
    const struct history *history; /* messages come from here ... */
    const struct trees *trees;     /* ... or from here; either may be NULL */
    /* Directories of these are passed over with all below. */
    const struct view *known;
    const struct trees *loaded; /* when set, those that this store has whole */
    struct map seen;
    VEC(struct visit) stack;
    VEC(struct digest) order;
    struct buf message;
};

/* A view of the whole file; takes the descriptor, also on failure. */
int history_view_new(int fd, struct view **out, struct err *err) MUST_CHECK;
void history_view_free(struct view *view);
/* Reads on to the end of the file, as far as it is whole. */
int history_view_read(struct view *view, struct err *err) MUST_CHECK;
/* Takes the record over. */
void history_view_add_step(struct view *view, struct history_record *record);
void history_view_add_dir(struct view *view, const struct digest *digest, uint64_t offset,
                          bool pending);
struct dir *history_view_find_dir(const struct view *view, const struct digest *digest);

/* Adds to order what is below the root. False, and nothing added, when a message is missing. */
bool history_walk_tree(struct walk *walk, const struct digest *root);
/* The message of a directory, valid until the next call; NULL when nobody has it. */
const void *history_walk_get(struct walk *walk, const struct digest *digest);
void history_walk_release(struct walk *walk);

/* Opens the log for writing, or where that is not allowed for reading alone. */
int history_open_log(const char *path, bool *writable, int *out, struct err *err) MUST_CHECK;
/* Adds the directories of the walk to what is pending. */
void history_add_dirs(struct history *history, struct walk *walk);

#endif
