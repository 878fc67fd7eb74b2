/*
 * snapshot_private.h - what the files of snapshots share: a layer on the disk, what is to be done
 * to make one, and doing it.
 *
 * Private to cache/. Nothing here is shared between threads but what is said to be.
 */
#ifndef KILN_CACHE_SNAPSHOT_PRIVATE_H
#define KILN_CACHE_SNAPSHOT_PRIVATE_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "cache/cache_private.h"
#include "cache/snapshot.h"

/* -- snapshot_meta.c: what a layer says of itself ---------------------------------------------- */

struct snapshot_header { /* as it is on the disk: see snapshot_meta.c */
    char magic[8];
    uint8_t root[DIGEST_BYTES];
    uint64_t root_size;
    uint8_t base[DIGEST_BYTES]; /* zeros: none, it is a whole tree */
    uint32_t uid, gid;
    uint64_t entries; /* of the layer itself, of any kind */
    uint64_t dirs;    /* of these */
    uint64_t tree; /* entries of the whole tree that the layers below and this one are based on */
    uint64_t n_index;
    uint8_t index_hash[DIGEST_BYTES];
    uint8_t header_hash[DIGEST_BYTES]; /* of all before */
};

struct snapshot_index {
    uint8_t hash[DIGEST_BYTES];
    uint64_t size, offset;
};

struct snapshot_layer {
    char hex[DIGEST_HEX + 1];
    int fd; /* of meta, with the lock */
    struct snapshot_header header;
    struct snapshot_index *index; /* n_index of them, by hash; NULL until it is read */
};

/* -- snapshot_place.c -- */

/* The directory of this boot's snapshots, the cache's own; with make, made when it is not there. -1
 * with errno. */
int snapshot_place(struct cache *cache, bool make);
void snapshot_leave(struct cache *cache);
/* Removes those of other boots. */
void snapshot_sweep_places(struct cache *cache);
#define SNAPSHOT_BOOT_SIZE 17

/* Below that. */
#define SNAPSHOT_TREES "tree"
#define SNAPSHOT_POOL  "pool"
#define SNAPSHOT_LAST  "last"

/* "tree/<hex>" */
#define SNAPSHOT_REL_SIZE (sizeof(SNAPSHOT_TREES) + DIGEST_HEX + 1)

/* Reads what meta says; false when it is damaged, of another version, or of another tree. */
bool snapshot_meta_read(int fd, const char *hex, struct snapshot_header *out);
/* Reads the layer's index, unless it was; false when it is damaged. */
bool snapshot_meta_index(struct snapshot_layer *layer);
/* Whether the layer keeps the Directory with that hash. */
const struct snapshot_index *snapshot_meta_find(const struct snapshot_layer *layer,
                                                const uint8_t hash[DIGEST_BYTES]);
/* Adds the Directory to the arena, verified; NULL when it is damaged. */
const void *snapshot_meta_message(const struct snapshot_layer *layer,
                                  const struct snapshot_index *at, struct arena *arena);

struct snapshot_message {
    struct digest digest;
    const void *bytes;
};
typedef VEC(struct snapshot_message) snapshot_messages;
/* Writes it; sorts the messages and fills in what of the header follows from them. ERR_SYSTEM. */
int snapshot_meta_write(int fd, struct snapshot_header *header, snapshot_messages *messages,
                        struct err *err) MUST_CHECK;

/* -- snapshot.c: held ones --------------------------------------------------------------------- */

struct snapshot {
    struct cache *cache;
    struct digest digest;
    struct snapshot_layer layers[SNAPSHOT_LAYERS_MAX]; /* the lowest first */
    size_t n;
    char *dirs[SNAPSHOT_LAYERS_MAX];
};

/* Takes hold of a tree with all below it and notes that it is used; NULL when it is not there as it
 * should be. */
struct snapshot *snapshot_hold(struct cache *cache, const char *hex, uid_t owner, gid_t group);
/* The same without noting that it is used. */
struct snapshot *snapshot_peek(struct cache *cache, const char *hex, uid_t owner, gid_t group);
/* Moves one that is no use out of the way, to be swept when nobody has it any more. */
bool snapshot_condemn(struct cache *cache, const char *hex);
/* Puts the layer, whose lock is held, on top of base (NULL: on nothing); takes both over. */
struct snapshot *snapshot_stack(struct cache *cache, struct snapshot *base,
                                const struct snapshot_layer *layer);

/* Opens and locks the meta of the snapshot at the directory rel of dirfd; *st is its stat. -1 when
 * it is not there, another one was put there meanwhile or, with LOCK_NB, somebody has it. */
int snapshot_lock(int dirfd, const char *rel, int how, struct stat *st);

struct snapshot_request {
    struct cache *cache;
    struct digest root;
    struct map messages; /* hash -> struct snapshot_message */
    struct arena arena;
    struct snapshot *near; /* has the Directories that messages lacks; NULL: it lacks none */
    char *dir;             /* the working tree, or NULL */
    char *hints[2];        /* names in SNAPSHOT_LAST */
    uid_t owner;
    gid_t group;
    bool ours; /* what this process makes belongs to them anyway */
    struct snapshot_progress *progress;
    const atomic_bool *stop;
    char *changed; /* the path whose content is not to be had */
};

/* Finds a Directory that the request has or near keeps; NULL when it is damaged or absent. */
const void *snapshot_request_message(struct snapshot_request *request, const struct digest *digest,
                                     struct arena *arena);
/* Whether one of the first n layers of near keeps it. */
bool snapshot_keeps(const struct snapshot *near, size_t n, const uint8_t hash[DIGEST_BYTES]);

/* -- snapshot_plan.c: what there is to do ------------------------------------------------------ */

struct plan_entry {
    const char *name, *target;
    struct digest digest;
    enum { PLAN_FILE, PLAN_EXECUTABLE, PLAN_LINK, PLAN_WHITEOUT } kind;
};

struct plan_dir {
    const char *path; /* below the root, "" is the root; parents come first */
    struct digest digest, base;
    bool has_base;
    size_t parent; /* of the others: in the list of them */
    unsigned depth;
    size_t first, n; /* of entries */
};

struct snapshot_plan {
    struct arena arena;
    VEC(struct plan_dir) dirs;
    VEC(struct plan_entry) entries;
    snapshot_messages messages; /* that the base does not keep */
    size_t layers;              /* of near that it lies on; 0: a whole tree */
    bool whiteouts;
};

enum plan_answer { PLAN_READY, PLAN_LARGE, PLAN_DAMAGED };

/* Finds the best way to the request's tree. PLAN_DAMAGED: near is. ERR_CORRUPT for a Directory that
 * is malformed, ERR_CONFIG for a tree without measure. */
int snapshot_plan_make(struct snapshot_plan *plan, struct snapshot_request *request,
                       bool whole_tree, enum plan_answer *answer, struct err *err) MUST_CHECK;
/* The plan by which the highest layer of near, the request's tree, was made. False when that can't
 * be known any more. */
bool snapshot_plan_again(struct snapshot_plan *plan, struct snapshot_request *request);
void snapshot_plan_release(struct snapshot_plan *plan);

/* -- snapshot_fill.c, snapshot_pool.c: doing it ------------------------------------------------ */

enum fill_answer { FILL_DONE, FILL_CHANGED, FILL_NO_WHITEOUTS };

/* Makes what the plan says in the empty directory. Several threads. */
int snapshot_fill(const struct snapshot_plan *plan, struct snapshot_request *request, int root_fd,
                  enum fill_answer *answer, struct err *err) MUST_CHECK;

/* What a thread needs to put files into place. */
struct pool_hand {
    struct snapshot_request *request; /* read only */
    struct cache_hand hand;
    int pool_fd;
    bool no_clone[2]; /* it can't be done from there: the working tree, the content store */
};
/* Puts the file into dirfd, which is folder below the root of the tree. source_fd: the working
 * tree's directory of the same path, or -1. *changed: its content is not to be had. */
int pool_put(struct pool_hand *hand, int dirfd, const char *folder, const struct plan_entry *entry,
             int source_fd, bool *changed, struct err *err) MUST_CHECK;
/* Where in the pool a file of a tree lies. */
#define POOL_PLACE_HEX 16
#define POOL_REL_SIZE  (CACHE_REL_SIZE + 1 + POOL_PLACE_HEX + 2)
void pool_rel(const char *folder, const struct plan_entry *entry, char rel[POOL_REL_SIZE]);
/* What the name of a file in the pool says of it; false when it is none. */
bool pool_parse(const char *name, struct digest *digest, bool *executable);
/* Gives a file, directory or link the owner and times that all in snapshots have; 0, or an errno.
 */
int snapshot_settle(const struct snapshot_request *request, int dirfd, const char *name);
bool snapshot_stopped(const struct snapshot_request *request);

/* -- snapshot_care.c: looking after them ------------------------------------------------------- */

/* Takes away what killed kilns left of snapshots. */
void snapshot_sweep(struct cache *cache);

#endif
