/*
 * worktree_private.h - the node table behind worktree.h, shared by cache/worktree*.c alone.
 *
 * Nodes. Every name met in a directory that was read is a node, taken or not; node 0 is the root. A
 * node's kind comes from readdir and is confirmed by its stat, which is taken only when some view
 * takes the node. A directory that was visited has a struct dir.
 *
 * Scopes. A view sees a directory in one of three flavours (see enum flavour), and takes either all
 * that the flavour has ("whole": the same for every view, so the memo is the directory's) or what
 * its patterns select (the memo is the view's, in the directory's list of consumers). A memo is
 * "ready" when everything it needs is stat'ed and hashed or queued for hashing, and holds a digest
 * once that has been composed.
 *
 * Sleepers. A directory that the stat cache knows is not read: it is assumed to be as its record
 * says, and a worker looks whether that is so (the stamps of the directory and of its entries). Of
 * its entries only directories and .gitignore are nodes until somebody needs the others
 * (worktree_wake()); digests that the record has are taken over when all below proves the same.
 *
 * Invariants:
 *  - a scope's memo is ready only if the directory was read and the memos of all directories that
 * it takes below are ready;
 *  - so whatever makes a node uncertain clears the memos of its directory and of all above it
 * (worktree_unsettle);
 *  - struct node never moves; ids of freed nodes are used again, with another serial;
 *  - a scope that a memo was asked for is in the consumers, so that a mark finds the views it
 * concerns.
 */
#ifndef KILN_CACHE_WORKTREE_PRIVATE_H
#define KILN_CACHE_WORKTREE_PRIVATE_H

#include "base/arena.h"
#include "base/glob.h"
#include "base/map.h"
#include "base/vec.h"
#include "cache/git_source.h"
#include "cache/ignore.h"
#include "cache/statcache.h"
#include "cache/worktree.h"

#include <dirent.h>
#include <stdatomic.h>

#define RULES_NAME  ".gitignore"
#define CHUNK_NODES 1024
#define NAME_SIZES  17
/* So many entries of a directory are looked at at once. */
#define LOOK_ENTRIES 4096
/* A file below this is read at once. */
#define HASH_SMALL ((size_t)32 * 1024)
/* So many files are hashed by one call; of git's more, as each call starts a git. */
#define BATCH_FILES     ((size_t)128)
#define GIT_BATCH_FILES ((size_t)4096)

enum node_kind {
    NODE_FREE,
    NODE_UNKNOWN, /* readdir did not tell */
    NODE_FILE,
    NODE_DIR,
    NODE_LINK,
    NODE_OTHER, /* FIFO, socket, device */
};

enum node_flags {
    N_STAT = 1 << 0,     /* stamp holds what was last seen */
    N_FRESH = 1 << 1,    /* and nothing has happened since */
    N_MARKED = 1 << 2,   /* marked by name: it may even be something else by now */
    N_DIGEST = 1 << 3,   /* digest is that of the content with this stamp, begun at recorded_ns */
    N_QUEUED = 1 << 4,   /* waits to be hashed, or is being hashed */
    N_VERDICT = 1 << 5,  /* the next three hold */
    N_IGNORED = 1 << 6,  /* by ignore rules, or an editor's dropping */
    N_TRACKED = 1 << 7,  /* an ignored directory with tracked files below */
    N_BY_INDEX = 1 << 8, /* git's index had a say */
    N_OUTPUT = 1 << 9,   /* a declared output */
};
#define N_VERDICTS (N_VERDICT | N_IGNORED | N_TRACKED | N_BY_INDEX)

/* How a directory is looked at. */
enum flavour {
    PLAIN,  /* ignore rules hold; no outputs, no .git */
    FORCED, /* below an ignored directory that was named outright: no outputs, no .git */
    ALL,    /* an output: everything, empty directories too */
    FLAVOURS,
};

struct memo {
    bool ready;
    bool composed; /* the next three hold */
    bool any;      /* something is taken */
    bool recalled; /* it is the record's: the store of trees may not have it */
    struct digest digest;
};

/* A view that looked at this directory. Sorted by view, flavour, whole. */
struct consumer {
    uint32_t view;
    uint8_t flavour;
    bool whole;       /* takes all of it, through dir.whole[flavour] */
    struct memo memo; /* else its own */
};

enum dir_state {
    DIR_AWAKE,   /* every entry is a node */
    DIR_ASSUMED, /* to be as its record says; a look is on its way */
    DIR_ASLEEP,  /* as its record says */
};

/* A directory's errnum when it is nested deeper than TREE_DEPTH_MAX; openat(2) gives it for no
 * directory. */
#define ERRNUM_TOO_DEEP EOVERFLOW

/* Of a directory of git's. */
struct git_part {
    struct git_id id;
    struct git_filters above, own; /* own: once its names were read */
    struct digest outputs;         /* of the declared outputs below, as a list */
    bool no_memos; /* what is known of it does not suffice: its messages are asked for */
};

struct dir {
    uint32_t node;
    struct git_part *git; /* NULL: not looked at yet, or none of git's */
    uint8_t state;        /* enum dir_state */
    bool wants_nodes;     /* wake it when it has been looked at */
    bool index_held;      /* its record's verdicts are of the index that held when it was assumed */
    uint32_t *children;   /* sorted by name's bytes */
    size_t n_children, cap_children;
    bool opened;    /* dir_opened() was called and dir_closed() was not */
    bool reopen;    /* say it again: its watch may be gone */
    bool was_read;  /* the children are those of some earlier moment, at least */
    bool must_read; /* names may have come or gone */
    int errnum;     /* why it can't be read, or 0 */
    struct stamp stamp;
    int64_t read_ns;
    struct memo whole[FLAVOURS];
    VEC(struct consumer) consumers;
    /* Ignore rules: fingerprint of all that decide about this directory's entries; those of its own
     * .gitignore are read when needed. */
    uint64_t rules_print;
    bool has_print, has_rules;
    struct ignore_rules *rules;
    /* What the stat cache knew about it. */
    bool has_record;
    struct statcache_dir record;
    uint64_t hidden_files; /* entries that are no nodes */
    /* The look that is on its way. */
    uint32_t look, parts; /* its number, and how many parts of it are still out */
    bool differs, names_differ;
    uint8_t *answers; /* one of enum look_answer for each entry of the record; NULL: all the same */
};

struct node {
    const char *name;
    char *target; /* of a link */
    struct dir *dir;
    struct stamp stamp;
    int64_t recorded_ns;
    struct digest digest;
    uint32_t parent;
    uint32_t record; /* in the stat cache, or WORKTREE_NONE */
    uint32_t serial;
    uint16_t flags;
    uint8_t name_len;
    uint8_t misses; /* how often in a row it was hashed as something else than was stat'ed */
    uint8_t kind;
    int errnum; /* why it can't be stat'ed or hashed, or 0 */
};

struct view {
    enum worktree_view_kind kind;
    struct glob_set *set; /* INPUTS */
    char **literals;      /* patterns that name a path outright, normalised */
    size_t *literal_index;
    size_t n_literals;
    bool has_digest, dirty;
    struct digest digest;
    uint64_t tick;
    struct buf key;  /* kind and patterns: what it is in another process */
    uint32_t stored; /* its number in the stat cache, or WORKTREE_NONE */
};

/* A part of a directory to be looked at: n of its record's entries. */
struct look {
    uint32_t node, serial, look;
    uint32_t first, n;
};

enum look_answer {
    LOOK_SAME,
    LOOK_YOUNG,   /* the same stamp, but too young to trust */
    LOOK_DIFFERS, /* or gone */
};

struct look_item {
    struct look look;
    struct statcache_dir record;
    /* The answer: the directory's stamp differs, or an entry does. */
    bool names_differ, differs;
    bool linked;      /* a file has another name */
    uint8_t *answers; /* of its entries; NULL: all the same */
};

struct hash_item {
    uint32_t node, serial;
    struct git_source_file *git; /* the arena's; NULL: a file on the disk */
    const char *dir, *name;
    struct stamp stamp; /* as it was seen; then that of what was hashed */
    /* The answer. */
    int errnum; /* ENOENT: no regular file of that name any more; EBUSY: it changed whenever it was
                   read */
    int64_t recorded_ns;
    struct digest digest;
    bool linked;
};

/* The root, open: held by the tree, and by each batch that is out (there may be thousands). The
 * loop's. */
struct worktree_top {
    int fd;
    size_t holders;
};

/* Has one of the two. The stat cache that looks read outlives it: it ends with the tree. */
struct worktree_batch {
    struct arena arena;
    struct worktree_top *top; /* NULL: none that it would have to give back */
    int root_fd;
    const struct statcache *cache;
    struct git_source *git;      /* the worktree's, or NULL */
    const atomic_bool *stop;     /* the worktree's, which outlives it */
    atomic_uint_fast64_t *bytes; /* likewise */
    VEC(struct hash_item) items;
    struct hasher *hasher; /* these two while it hashes */
    unsigned char *space;  /* HASH_SMALL bytes */
    VEC(struct look_item) looks;
};

/* A memo that was taken over: where its Directory message can be made from. */
struct recalled {
    uint32_t dir; /* in the stat cache; of git's: the node */
    enum flavour flavour;
    uint32_t view; /* or WORKTREE_NONE */
};

/* Declared outputs that lie directly in one directory. */
struct output_names {
    VEC(const char *) names;
};

/* Values of worktree.output_paths. */
enum output_path { OUTPUT_NONE, OUTPUT_ABOVE, OUTPUT_ITSELF };

/* What selects in a directory: a view's patterns, or nothing (all that the flavour has). */
struct scope {
    const struct view *view; /* NULL: whole */
    uint32_t view_id;
    enum flavour flavour;
};

struct worktree {
    char *root, *stat_path;
    struct git_source *git;     /* or NULL */
    VEC(struct git_id) git_ids; /* of its nodes: node.record is the place */
    atomic_bool stop;
    struct worktree_top *top;
    struct trees *trees;
    void (*dir_opened)(void *ctx, uint32_t dir, const char *path);
    void (*dir_closed)(void *ctx, uint32_t dir);
    void (*files_queued)(void *ctx);
    void *ctx;

    struct node **chunks;
    size_t n_chunks;
    uint32_t n_nodes; /* ids ever used */
    uint32_t serial;
    VEC(uint32_t) free_nodes;
    struct arena names;
    void *free_names[NAME_SIZES];

    struct map outputs_in;   /* path of a directory -> struct output_names *: the outputs that lie
                                directly in it */
    struct map output_paths; /* declared outputs, and the directories above them -> enum output_path
                              */

    VEC(struct view) views;
    struct map view_ids;        /* kind and patterns -> id + 1 */
    VEC(uint32_t) dirty, taken; /* taken: what worktree_take_dirty() gave out */
    struct map changed;         /* paths marked */
    VEC(uint32_t) queue;
    size_t queue_at;
    /* Of hashing, since worktree_measure(). */
    atomic_uint_fast64_t bytes_read;
    uint64_t bytes_given, largest_bytes;
    uint32_t largest, largest_serial; /* node */
    VEC(struct look) looks;
    size_t looks_at;
    uint32_t n_looks, n_assumed; /* ever asked for; directories in that state */
    bool keeps_times;            /* the filesystem changes a directory's times with its names */
    uint64_t root_dev;
    uint64_t memo_print;
    struct map stored_views; /* key -> number in the stat cache + 1 */
    VEC(struct recalled) recalled;
    struct map recalled_by; /* hash -> index in recalled + 1 */
    VEC(uint32_t)
    unsure; /* files that were open for writing when they were hashed, and what could not be read
               for a reason that may pass; some of them may be something else by now */

    struct ignore *ignore; /* NULL until first needed */
    uint64_t rules_print, index_print;
    struct statcache *cache;
    struct worktree_ahead *ahead; /* what it saw may be taken over; NULL: not, or not any more */
    bool linked;                  /* worktree_linked() */
    bool cache_stale;             /* what is known is more than the file says */
    bool rules_torn; /* verdicts may be of other rules than they are filed under: don't save them */
    struct buf path; /* of the directory being walked */
    struct buf mark_path;
    struct worktree_counts counts;
};

/* A name found in a directory. */
struct found {
    const char *name;
    size_t len;
    enum node_kind kind;
};

/* An open directory while its entries are read and stat'ed; fd is -1 until something needs it. */
struct reader {
    DIR *stream;
    int fd;
};

/* worktree_nodes.c */
struct node *worktree_node(const struct worktree *tree, uint32_t id);
uint32_t worktree_node_add(struct worktree *tree, uint32_t parent, const char *name, size_t len,
                           enum node_kind kind);
/* Frees the node and all below it; directories that were opened are closed. It must be out of its
 * parent's children. */
void worktree_node_drop(struct worktree *tree, uint32_t id);
/* Frees what is below a directory and its struct dir. */
void worktree_dir_drop(struct worktree *tree, uint32_t id);
struct dir *worktree_dir(struct worktree *tree, uint32_t id);
/* The child of that name among the nodes, or WORKTREE_NONE; *at (may be NULL) is where it is or
 * belongs. A sleeper may have entries that are no nodes. */
uint32_t worktree_child(const struct worktree *tree, const struct dir *dir, const char *name,
                        size_t *at);
/* Writes the node's path relative to the root. */
void worktree_path(const struct worktree *tree, uint32_t id, struct buf *out);
/* The consumer of that scope in the directory, added when it is new. Valid until the next one is
 * added. */
struct consumer *worktree_consumer(struct dir *dir, uint32_t view, enum flavour flavour,
                                   bool whole);
/* Clears the memos of the directory and of all above it. */
void worktree_unsettle(struct worktree *tree, uint32_t dir);

/* Whether trouble with reading is not the file's fault, nor that of who named it: another time it
 * may be read. */
bool worktree_may_pass(int errnum);
/* Sees to it that what met such trouble is looked at again in the next round. */
void worktree_note_trouble(struct worktree *tree, uint32_t id, int errnum);

/* worktree_ahead.c */
/* What statcache_load(path, root) gives; the caller's. NULL, and nothing done, when another one was
 * begun, it was taken already, or ahead is NULL. It may go on to read the cache until it is
 * stopped.
 */
struct statcache *worktree_ahead_take(struct worktree_ahead *ahead, const char *path,
                                      const char *root);
/* Waits until all has been looked at. */
void worktree_ahead_finish(struct worktree_ahead *ahead);
/* Ends the looking; it takes no longer than one directory does. NULL is fine. */
void worktree_ahead_stop(struct worktree_ahead *ahead);
/* Stops it. What was seen of the directory of that number, all of its entries, or NULL. */
const struct look_item *worktree_ahead_looked(struct worktree_ahead *ahead, uint32_t dir);

/* worktree_sleep.c: directories as the stat cache knows them */
/* Assumes the directory, whose path is tree->path, to be as its record says, and queues the look at
 * it. False when there is no record to go by. */
bool worktree_assume(struct worktree *tree, struct dir *dir);
/* Queues a look at it (again); it is in the state DIR_ASSUMED. */
void worktree_queue_look(struct worktree *tree, struct dir *dir);
/* What was seen of it so far is not enough any more; it is assumed again when it is next read. */
void worktree_doubt_sleeper(struct worktree *tree, struct dir *dir);
/* Makes nodes of all entries. What was not found the same (and all, when there was no look) is
 * stat'ed when it is needed. */
void worktree_wake(struct worktree *tree, struct dir *dir);
/* For a directory that is dropped. */
void worktree_sleep_end(struct worktree *tree, struct dir *dir);
/* The entry of that name in a directory that is not awake. */
bool worktree_hidden(const struct worktree *tree, const struct dir *dir, const char *name,
                     enum node_kind *kind);
/* The memo that the directory's record has for the scope, whether it holds or not. */
bool worktree_record_memo(const struct worktree *tree, const struct dir *dir,
                          const struct scope *scope, struct statcache_memo *memo);
/* The same, if it holds provided that all memos below do; the directory is not awake. */
bool worktree_sleep_memo(const struct worktree *tree, const struct dir *dir,
                         const struct scope *scope, struct statcache_memo *memo);
/* Notes that a memo was taken over. */
void worktree_note_recalled(struct worktree *tree, const struct dir *dir, const struct scope *scope,
                            const struct digest *digest);
/* For trees_ask(): makes the Directory message of a memo that was taken over. */
void worktree_make_message(void *ctx, const struct digest *digest);

/* worktree.c */
/* Takes the descriptor over; its first holder is the caller. */
struct worktree_top *worktree_top_new(int fd);
/* One holder less; the last one closes it. */
void worktree_top_drop(struct worktree_top *top);

/* worktree_batch.c */
struct worktree_batch *worktree_batch_new(struct worktree *tree);
/* How many files are a batch. */
size_t worktree_batch_files(const struct worktree *tree);

/* worktree_look.c: whether directories are as they were */
/* The next portion of looks, or NULL. */
struct worktree_batch *worktree_next_look(struct worktree *tree);
void worktree_look_work(struct worktree_batch *batch, struct look_item *item);
void worktree_look_done(struct worktree *tree, const struct look_item *item);
/* What was seen ahead is not to be taken over any more. */
void worktree_forget_ahead(struct worktree *tree);
/* Looks at all that is assumed, here and now. */
void worktree_look_now(struct worktree *tree);

/* worktree_ignore.c: verdicts */
/* The node's verdict; path is the node's. */
void worktree_decide(struct worktree *tree, struct node *node, const char *path);
/* What the rules say about an entry that need not be a node: a set of N_VERDICTS. */
unsigned worktree_judge(struct worktree *tree, uint32_t dir, const char *path, bool directory);
/* Finds out under which rules a directory's entries are decided; drops verdicts given under others.
 * Parents come first. */
void worktree_rules_sync(struct worktree *tree, struct dir *dir, struct reader *reader);
/* Looks for changes of what git keeps outside the tree. */
void worktree_ignore_sync(struct worktree *tree);
bool worktree_is_dropping(const char *name, size_t len);

/* worktree_read.c: from the disk into nodes. All return 0, or an errno. */
void worktree_reader_close(struct reader *reader);
/* Opens the directory whose path is tree->path. ENOENT: it is no directory any more. */
int worktree_reader_open(struct worktree *tree, struct dir *dir, struct reader *reader);
/* Reads the names if they may have changed, or assumes them. */
int worktree_read_names(struct worktree *tree, struct dir *dir, struct reader *reader);
/* Takes the node's stat anew. ENOENT: it is gone (and not yet dropped). Other failures are kept in
 * the node. */
int worktree_stat_child(struct worktree *tree, struct dir *dir, struct node *node,
                        struct reader *reader);
/* Removes children that were found to be gone. */
void worktree_remove_child(struct worktree *tree, struct dir *dir, uint32_t child);
/* Makes the names, which it sorts, the directory's children; those that were stay. */
void worktree_merge(struct worktree *tree, struct dir *dir, struct found *found, size_t n);
/* Flags the children that are declared outputs; path is the directory's. */
void worktree_flag_outputs(struct worktree *tree, struct dir *dir, const char *path);

/* worktree_git.c: a tree of git in place of the folder */
/* As worktree_read_names(). */
int worktree_git_read(struct worktree *tree, struct dir *dir);
/* Takes over what the memo knows of what the scope takes of the directory, whose path is
 * tree->path; then the scope's memo is ready and composed. */
bool worktree_git_recall(struct worktree *tree, const struct scope *scope, struct dir *dir);
/* Keeps what was composed. */
void worktree_git_note(struct worktree *tree, const struct scope *scope, struct dir *dir,
                       const struct digest *digest);
/* A file's digest, where it is known; a link's target. */
void worktree_git_know(struct worktree *tree, struct node *node, uint32_t id);
void worktree_git_learn(struct worktree *tree, const struct node *node, uint32_t id);
/* What a worker needs for the file, whose directory is dir. */
struct git_source_file *worktree_git_file(const struct worktree *tree, const struct node *node,
                                          const char *dir, struct arena *arena);
void worktree_git_hash(struct worktree_batch *batch);
/* For trees_ask(). */
void worktree_git_make_message(void *ctx, const struct digest *digest);

/* worktree_gather.c */
/* Brings what the scope takes of the directory, whose path is tree->path, up to date. ENOENT: it is
 * no directory any more. */
int worktree_gather(struct worktree *tree, const struct scope *scope, uint32_t id);

/* worktree_view.c: what a scope takes */
enum pick {
    PICK_NONE,
    PICK_ENTRY, /* the file or link itself */
    PICK_BELOW, /* a directory, looked at in *sub */
};
/* What scope takes of the node at path; decides ignore verdicts on the way. */
enum pick worktree_pick(struct worktree *tree, const struct scope *scope, struct node *node,
                        const char *path, struct scope *sub);
enum glob_reach worktree_view_reach(const struct view *view, const char *dir);
bool worktree_view_has(const struct view *view, const char *path);
bool worktree_view_names(const struct view *view, const char *path);
bool worktree_view_names_below(const struct view *view, const char *dir);
/* Whether the path is a declared output or lies below one. */
bool worktree_at_output(const struct worktree *tree, const char *path);
/* The digest of what the scope takes of the directory, whose path is tree->path. */
enum worktree_answer worktree_compose(struct worktree *tree, const struct scope *scope, uint32_t id,
                                      struct digest *digest, bool *any, struct err *err);
struct scope worktree_view_scope(const struct worktree *tree, uint32_t view);
struct memo *worktree_memo(struct dir *dir, const struct scope *scope);

/* worktree_mark.c */
/* The node is about to be forgotten, or to become something else: that is told to the views that
 * may have taken it. The event that comes later may find them no more, as it is judged by what
 * stands there then. */
void worktree_find_gone(struct worktree *tree, const struct node *node);

/* worktree_few.c */
/* Indices, rising, of the children of the directory (whose path is tree->path) that the scope may
 * take at all. False when it may take any of them. */
typedef VEC(size_t) worktree_places;
typedef VEC(const char *) worktree_names;
/* absent (may be NULL): gets the names that it might take but that are no children; their strings
 * are the arena's. */
bool worktree_few_children(const struct worktree *tree, const struct scope *scope,
                           const struct dir *dir, worktree_places *places, worktree_names *absent,
                           struct arena *arena);

/* Adds path's last component; returns what buf_truncate() takes to undo it. */
size_t worktree_path_push(struct buf *path, const char *name, size_t len);

#endif
