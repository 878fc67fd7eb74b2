/*
 * kept_inputs.c - see kept_inputs.h.
 */
#include "cache/kept_inputs.h"

#include "base/crew.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/action.h"
#include "cache/beneath.h"
#include "cache/cache_private.h"
#include "cache/outputs.h"
#include "cache/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SALT     "kiln/inputs"
#define OUTPUT   "inputs"
#define TREE_MAX ((size_t)1 << 30)

static struct digest key_of(const struct digest *root)
{
    struct buf action = BUF_INIT;
    struct digest command = digest_of("", 0);
    action_encode(&command, root, SALT, NULL, 0, &action);
    struct digest key = digest_of(action.data, action.len);
    buf_release(&action);
    return key;
}

/* -- the files of a tree ----------------------------------------------------------------------- */

struct file {
    const char *path;
    struct digest digest;
};

struct files {
    struct arena arena;
    VEC(struct file) list; /* each content once */
    struct map seen;
    struct digest root;
    size_t n, max; /* paths; it ends after more than max */
    uint64_t bytes;
};

static bool on_entry(void *ctx, const char *path, const struct tree_entry *entry)
{
    struct files *files = ctx;
    bool seen = true;
    if (entry->kind != TREE_FILE)
        return true;
    map_put(&files->seen, entry->digest.hash, DIGEST_BYTES, NULL, &seen);
    if (!seen) {
        files->bytes += entry->digest.size;
        vec_push(&files->list, (struct file){arena_strdup(&files->arena, path), entry->digest});
    }
    return ++files->n <= files->max;
}

static int list_files(const void *tree, size_t n, struct files *files, struct err *err)
{
    struct trees *trees = trees_new();
    int rc = trees_decode_tree(trees, tree, n, &files->root, err);
    if (rc == 0)
        rc = trees_walk(trees, &files->root, on_entry, files, err);
    trees_free(trees);
    return rc;
}

static void release_files(struct files *files)
{
    map_release(&files->seen);
    vec_release(&files->list);
    arena_release(&files->arena);
}

/* -- putting ----------------------------------------------------------------------------------- */

#define HANDS       ((size_t)4)
#define ALONE_FILES ((size_t)16) /* up to these many no second thread is worth its start */

/* What one thread needs, and what came of what it took. */
struct hand {
    struct cache_hand tools;
    char *folder; /* of the file before, or NULL: files of one come one after the other */
    int *dirs;    /* it, in each place; -1: is not there */
    enum kept_inputs_answer answer;
    size_t at; /* the file that the answer is about */
    int rc;
    struct err err;
};

struct putting {
    struct cache *cache;
    const struct kept_inputs_options *options;
    int *places;
    const struct file *files; /* that the cache does not have */
    size_t n_files;
    struct hand hands[HANDS];
    atomic_size_t next; /* file to be taken */
    atomic_bool stop;   /* one of the hands can't go on */
    struct kept_inputs_report *report;
};

static bool is_late(const struct putting *p)
{
    uint64_t until = p->options->until ? atomic_load(p->options->until) : 0;
    return until && clock_monotonic_ns() >= until;
}

static void leave_folder(const struct putting *p, struct hand *hand)
{
    for (size_t i = 0; hand->folder && i < p->options->n_places; i++) {
        if (hand->dirs[i] >= 0)
            close(hand->dirs[i]);
    }
    free(hand->folder);
    hand->folder = NULL;
}

/* Opens what holds the file, in each place; returns its name there. */
static const char *enter_folder(const struct putting *p, struct hand *hand, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (hand->folder && strlen(hand->folder) == n && !memcmp(hand->folder, path, n))
        return name;
    leave_folder(p, hand);
    hand->folder = mem_strndup(path, n);
    for (size_t i = 0; i < p->options->n_places; i++) {
        if (p->places[i] < 0 ||
            beneath_open(p->places[i], hand->folder, false, &hand->dirs[i], NULL))
            hand->dirs[i] = -1;
    }
    return name;
}

/* Stores the file if that directory has it as it is to be. */
static int take_from(const struct putting *p, struct hand *hand, int dir, const char *name,
                     const struct file *file, bool *taken)
{
    struct digest digest;
    struct stat st;
    int rc = 0;
    int fd =
        dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size == file->digest.size) {
        rc = cache_put_by(p->cache, &hand->tools, fd, file->digest.size, &digest, &hand->err);
        if (rc < 0 && hand->err.kind == ERR_CORRUPT) { /* it became shorter */
            err_release(&hand->err);
            rc = 0;
        } else if (rc == 0) {
            *taken = digest_eq(&digest, &file->digest);
        }
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static void put_file(const struct putting *p, struct hand *hand, const struct file *file)
{
    const char *name = enter_folder(p, hand, file->path);
    bool taken = false;
    for (size_t i = 0; i < p->options->n_places && hand->rc == 0 && !taken; i++)
        hand->rc = take_from(p, hand, hand->dirs[i], name, file, &taken);
    if (hand->rc < 0 && is_late(p)) {
        err_release(&hand->err);
        hand->rc = 0;
        hand->answer = KEPT_INPUTS_LATE;
    } else if (hand->rc == 0 && !taken) {
        hand->answer = KEPT_INPUTS_CHANGED;
    }
}

static void hand_work(void *ctx, size_t index)
{
    struct putting *p = ctx;
    struct hand *hand = &p->hands[index];
    size_t from, to;
    hand->dirs = mem_alloc((p->options->n_places + 1) * sizeof *hand->dirs);
    cache_hand_init(&hand->tools);
    while (!atomic_load(&p->stop) &&
           (from = atomic_fetch_add(&p->next, ALONE_FILES)) < p->n_files) {
        to = from + ALONE_FILES < p->n_files ? from + ALONE_FILES : p->n_files;
        for (size_t i = from; i < to && hand->rc == 0 && hand->answer == KEPT_INPUTS_WHOLE; i++) {
            hand->at = i;
            if (is_late(p))
                hand->answer = KEPT_INPUTS_LATE;
            else
                put_file(p, hand, &p->files[i]);
        }
        if (hand->rc < 0 || hand->answer != KEPT_INPUTS_WHOLE)
            atomic_store(&p->stop, true);
    }
    leave_folder(p, hand);
    cache_hand_release(&hand->tools);
    free(hand->dirs);
}

/* What went wrong goes before what changed, and that before having been late. */
static int end_of_hands(struct putting *p, struct err *err)
{
    int rc = 0;
    const struct hand *changed = NULL;
    for (size_t i = 0; i < HANDS; i++) {
        struct hand *hand = &p->hands[i];
        if (hand->rc < 0 && rc == 0) {
            rc = hand->rc;
            err_move(err, &hand->err);
        }
        err_release(&hand->err);
        if (hand->answer == KEPT_INPUTS_LATE)
            p->report->answer = KEPT_INPUTS_LATE;
        else if (hand->answer == KEPT_INPUTS_CHANGED && (!changed || hand->at < changed->at))
            changed = hand;
    }
    if (rc == 0 && changed) {
        p->report->answer = KEPT_INPUTS_CHANGED;
        p->report->path = mem_strdup(p->files[changed->at].path);
    }
    return rc;
}

static int put_files(struct putting *p, struct files *files, struct err *err)
{
    uint64_t missing = 0;
    size_t n = 0;
    if (files->n > p->options->max_files) {
        p->report->answer = KEPT_INPUTS_TOO_MUCH;
        return 0;
    }
    for (size_t i = 0; i < files->list.n; i++) {
        if (cache_has(p->cache, &files->list.v[i].digest))
            continue;
        missing += files->list.v[i].digest.size;
        files->list.v[n++] = files->list.v[i];
    }
    if (missing > p->options->max_bytes) {
        p->report->answer = KEPT_INPUTS_TOO_MUCH;
        return 0;
    }
    p->files = files->list.v;
    p->n_files = n;
    if (n)
        crew_run(n <= ALONE_FILES ? 1 : crew_size(), hand_work, p);
    return end_of_hands(p, err);
}

int kept_inputs_note(struct cache *cache, const void *tree, size_t n, const char *step,
                     const char *root, struct err *err)
{
    struct action_output output = {.kind = OUTPUT_DIR, .path = OUTPUT};
    struct buf message = BUF_INIT;
    struct trees *trees = trees_new();
    int rc = trees_decode_tree(trees, tree, n, &output.root, err);
    trees_free(trees);
    if (rc == 0)
        rc = cache_put(cache, tree, n, &output.digest, err);
    if (rc == 0) {
        char *whose = mem_printf("%s, the inputs of a failure", step);
        struct action_result result = {
            .outputs = &output, .n_outputs = 1, .step = whose, .root = root};
        struct digest key = key_of(&output.root);
        action_result_encode(&result, &message);
        rc = cache_put_action(cache, &key, message.data, message.len, err);
        free(whose);
    }
    buf_release(&message);
    return rc;
}

static int put_all(struct putting *p, const void *tree, size_t n, struct err *err)
{
    struct files files = {.max = p->options->max_files};
    int rc = list_files(tree, n, &files, err);
    p->report->files = files.n;
    p->report->bytes = files.bytes;
    if (rc == 0)
        rc = put_files(p, &files, err);
    if (rc == 0 && p->report->answer == KEPT_INPUTS_WHOLE)
        rc = kept_inputs_note(p->cache, tree, n, p->options->step, p->options->root, err);
    release_files(&files);
    return rc;
}

int kept_inputs_put(struct cache *cache, const void *tree, size_t n,
                    const struct kept_inputs_options *options, struct kept_inputs_report *out,
                    struct err *err)
{
    struct err own = ERR_INIT; /* what it is decides, also when nobody wants the words */
    struct putting p = {.cache = cache, .options = options, .report = out};
    *out = (struct kept_inputs_report){.answer = KEPT_INPUTS_WHOLE};
    p.places = mem_alloc((options->n_places + 1) * sizeof(*p.places));
    for (size_t i = 0; i < options->n_places; i++)
        p.places[i] = open(options->places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cache_use_begin(cache);
    int rc = put_all(&p, tree, n, err ? err : &own);
    cache_use_end(cache);
    for (size_t i = 0; i < options->n_places; i++) {
        if (p.places[i] >= 0)
            close(p.places[i]);
    }
    free(p.places);
    err_release(&own);
    return rc;
}

/* -- having them again ------------------------------------------------------------------------- */

/* The output that stands for the tree; its strings are in the arena. */
static int find(struct cache *cache, const struct digest *root, struct arena *arena,
                struct action_output *out, bool *found, struct err *err)
{
    struct action_result result;
    struct buf message = BUF_INIT;
    enum cache_answer answer;
    struct digest key = key_of(root);
    *found = false;
    int rc = cache_get_action(cache, &key, &message, &answer, err);
    if (rc == 0 && answer == CACHE_HIT &&
        action_result_decode(message.data, message.len, arena, &result, NULL) == 0 &&
        result.n_outputs == 1 && result.outputs[0].kind == OUTPUT_DIR &&
        digest_eq(&result.outputs[0].root, root)) {
        *out = result.outputs[0];
        *found = true;
    }
    buf_release(&message);
    return rc;
}

int kept_inputs_restore(struct cache *cache, const struct digest *root, const char *dir,
                        const char *name, bool *found, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct action_output output;
    enum cache_answer answer = CACHE_MISS;
    cache_use_begin(cache);
    int rc = find(cache, root, &arena, &output, found, err);
    output.path = name;
    if (rc == 0 && *found)
        rc = outputs_restore(cache, dir, &output, 1, &answer, err);
    cache_use_end(cache);
    *found = rc == 0 && answer == CACHE_HIT;
    arena_release(&arena);
    return rc;
}

static int by_digest(const void *a, const void *b)
{
    return digest_cmp(&((const struct file *)a)->digest, &((const struct file *)b)->digest);
}

int kept_inputs_each(const void *tree, size_t n, kept_inputs_cb *cb, void *ctx, struct err *err)
{
    struct files files = {.max = SIZE_MAX - 1};
    int rc = list_files(tree, n, &files, err);
    if (files.list.n)
        qsort(files.list.v, files.list.n, sizeof(*files.list.v), by_digest);
    for (size_t i = 0; i < files.list.n && rc == 0; i++)
        rc = cb(ctx, &files.list.v[i].digest, err);
    release_files(&files);
    return rc;
}

static int look(void *ctx, const struct digest *digest, struct err *err)
{
    (void)err;
    return cache_has(ctx, digest) ? 0 : 1;
}

int kept_inputs_tree(struct cache *cache, const struct digest *root, struct buf *tree, bool *found,
                     struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct action_output output;
    enum cache_answer answer = CACHE_MISS;
    struct digest key = key_of(root);
    *found = cache_has_action(cache, &key);
    int rc = *found ? find(cache, root, &arena, &output, found, err) : 0;
    if (rc == 0 && *found)
        rc = cache_get(cache, &output.digest, TREE_MAX, tree, &answer, err);
    *found = rc == 0 && answer == CACHE_HIT &&
             kept_inputs_each(tree->data, tree->len, look, cache, NULL) == 0;
    arena_release(&arena);
    return rc;
}
