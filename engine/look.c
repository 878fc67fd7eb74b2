/*
 * look.c - the key that a step has now, and the files that it reads, window by window.
 *
 * How many files a directory has in all is counted once and remembered by its digest, so a window
 * anywhere is found without a look at what comes before it, and after a change only what changed
 * is counted anew. Counting is done in pieces: who asks is told to ask again.
 */
#include "engine/look.h"

#include "base/map.h"
#include "engine/inputs.h"
#include "engine/private.h"

#include <stdlib.h>
#include <string.h>

#define PIECE      4000   /* entries looked at by one call, about */
#define MAX_COUNTS 200000 /* directories remembered */
/* Directories of so many entries are kept as they were taken apart; larger ones take too much. */
#define WIDE      500
#define TOO_WIDE  200000
#define WIDE_KEPT 2

struct sum {
    uint64_t files, bytes;
};

struct change {
    char *path, *target;
    uint64_t bytes;
    bool executable;
    int kind; /* of struct input_file */
};

/* A directory taken apart. */
struct opened {
    struct digest dir;
    struct arena arena;
    struct tree_dir list;
};

struct look {
    struct map sum_of; /* digest -> index + 1 into sums */
    VEC(struct sum) sums;
    /* The last comparison. */
    struct digest old, now;
    VEC(struct change) changes;
    struct map change_of; /* path -> index + 1 */
    uint64_t n_changed;
    struct opened wide[WIDE_KEPT]; /* the last ones: what a window is in is looked at often */
    uint32_t *seen, mark;          /* nodes, by mark: look_key() was there */
    size_t n_seen;
};

static void forget_changes(struct look *look)
{
    vec_each (struct change, change, &look->changes) {
        free(change->path);
        free(change->target);
    }
    vec_clear(&look->changes);
    map_release(&look->change_of);
    look->change_of = (struct map)MAP_INIT;
    look->n_changed = 0;
}

static void forget_wide(struct look *look)
{
    for (size_t i = 0; i < WIDE_KEPT; i++) {
        arena_release(&look->wide[i].arena);
        look->wide[i] = (struct opened){.arena = ARENA_INIT};
    }
}

static void forget_sums(struct look *look)
{
    map_release(&look->sum_of);
    look->sum_of = (struct map)MAP_INIT;
    vec_clear(&look->sums);
}

void look_free(struct look *look)
{
    if (!look)
        return;
    forget_changes(look);
    forget_sums(look);
    forget_wide(look);
    map_release(&look->change_of);
    map_release(&look->sum_of);
    vec_release(&look->changes);
    vec_release(&look->sums);
    free(look->seen);
    free(look);
}

static struct look *look_of(struct engine *e)
{
    if (!e->look)
        e->look = mem_zalloc(1, sizeof *e->look);
    return e->look;
}

/* -- keys -------------------------------------------------------------------------------------- */

/* Whether nothing that the node or what it needs reads has happened since its key was made. */
static bool is_settled(struct engine *e, struct look *look, uint32_t index)
{
    const struct node *node = &e->nodes.v[index];
    if (look->seen[index] == look->mark)
        return true;
    look->seen[index] = look->mark;
    if (!node->current || node->current->state != DONE || node->recheck || e->affected[index])
        return false;
    vec_each (uint32_t, at, (ids *)&node->locals) {
        const struct local *local = &e->locals.v[*at];
        if (local->answer != WORKTREE_READY ||
            worktree_view_tick(e->worktree, local->view) != local->tick)
            return false;
    }
    vec_each (uint32_t, dep, (ids *)&node->deps) {
        if (!is_settled(e, look, *dep))
            return false;
    }
    return true;
}

bool look_key(void *ctx, const char *step, char hex[DIGEST_HEX + 1])
{
    struct engine *e = ctx;
    op_id op = e->graph && !e->drained ? graph_find(e->graph, step) : OP_NONE;
    if (op == OP_NONE || e->round != ROUND_IDLE || e->stale.n)
        return false;
    struct look *look = look_of(e);
    if (look->n_seen < e->nodes.n) {
        look->seen = mem_realloc(look->seen, e->nodes.n, sizeof *look->seen);
        memset(look->seen, 0, e->nodes.n * sizeof *look->seen);
        look->n_seen = e->nodes.n;
        look->mark = 0;
    }
    if (++look->mark == 0) {
        memset(look->seen, 0, look->n_seen * sizeof *look->seen);
        look->mark = 1;
    }
    const struct instance *in = e->nodes.v[e->node_of[op]].current;
    if (!is_settled(e, look, e->node_of[op]) || !in->has_key)
        return false;
    digest_hex(&in->key, hex);
    return true;
}

bool look_place(void *ctx, const char *step, struct step_place *out)
{
    const struct engine *e = ctx;
    op_id op = e->graph && e->graph->file ? graph_find(e->graph, step) : OP_NONE;
    if (op == OP_NONE)
        return false;
    const struct op_exec *exec = &e->graph->ops[op].u.exec;
    *out = (struct step_place){e->graph->file, exec->line, exec->column};
    return true;
}

/* -- counting ---------------------------------------------------------------------------------- */

static const struct sum *sum_of(const struct look *look, const struct digest *dir)
{
    void **place = map_get(&look->sum_of, dir->hash, sizeof dir->hash);
    return place ? &look->sums.v[(uintptr_t)*place - 1] : NULL;
}

/* What is open is nobody else's until it is closed. */
static bool open_dir(struct engine *e, const struct digest *dir, struct opened *out)
{
    *out = (struct opened){.dir = *dir, .arena = ARENA_INIT};
    for (size_t i = 0; i < WIDE_KEPT; i++) {
        struct opened *kept = &e->look->wide[i];
        if (kept->list.n > 0 && digest_eq(&kept->dir, dir)) {
            *out = *kept;
            *kept = (struct opened){.arena = ARENA_INIT};
            return true;
        }
    }
    return trees_open(e->trees, dir, &out->arena, &out->list, NULL) == 0;
}

static void close_dir(struct engine *e, struct opened *opened)
{
    struct opened *wide = e->look->wide;
    if (opened->list.n < WIDE || opened->list.n > TOO_WIDE) {
        arena_release(&opened->arena);
        return;
    }
    arena_release(&wide[WIDE_KEPT - 1].arena);
    memmove(wide + 1, wide, (WIDE_KEPT - 1) * sizeof *wide);
    wide[0] = *opened;
}

/* False when there is more to count than left allows, or a directory is not known. */
static bool count(struct engine *e, const struct digest *dir, long *left)
{
    struct look *look = e->look;
    struct opened opened;
    struct sum sum = {0};
    if (sum_of(look, dir))
        return true;
    if (*left <= 0)
        return false;
    bool done = open_dir(e, dir, &opened);
    size_t n = done ? opened.list.n : 0;
    for (size_t i = 0; i < n && done; i++) {
        const struct tree_entry *entry = &opened.list.entries[i];
        if (entry->kind != TREE_DIR) {
            sum.files++;
            sum.bytes += entry->kind == TREE_FILE ? entry->digest.size : 0;
            continue;
        }
        done = count(e, &entry->digest, left);
        if (done) {
            const struct sum *below = sum_of(look, &entry->digest);
            sum.files += below->files;
            sum.bytes += below->bytes;
        }
    }
    if (done) {
        *left -= (long)n + 1;
        vec_push(&look->sums, sum);
        map_put(&look->sum_of, dir->hash, sizeof dir->hash, (void *)(uintptr_t)look->sums.n, NULL);
    }
    close_dir(e, &opened);
    return done;
}

/* -- comparing --------------------------------------------------------------------------------- */

static bool on_change(void *ctx, const char *path, const struct tree_entry *old,
                      const struct tree_entry *now)
{
    struct look *look = ctx;
    const struct tree_entry *entry = now ? now : old;
    look->n_changed++;
    if (look->changes.n >= INPUTS_CHANGED)
        return true;
    struct change change = {.path = mem_strdup(path),
                            .target = entry->target ? mem_strdup(entry->target) : NULL,
                            .bytes = entry->kind == TREE_FILE ? entry->digest.size : 0,
                            .executable = entry->executable,
                            .kind = !old   ? INPUT_ADDED
                                    : !now ? INPUT_REMOVED
                                           : INPUT_CHANGED};
    vec_push(&look->changes, change);
    map_put_str(&look->change_of, path, (void *)(uintptr_t)look->changes.n);
    return true;
}

/* A comparison needs few of the earlier directories: those that differ. */
static void from_history(void *ctx, const struct digest *digest)
{
    struct engine *e = ctx;
    history_load_dir(e->opt.history, digest, e->trees);
}

/* False when the earlier tree is not known. */
static bool compare(struct engine *e, const struct digest *old, const struct digest *now)
{
    struct look *look = e->look;
    if (digest_eq(&look->old, old) && digest_eq(&look->now, now))
        return true;
    forget_changes(look);
    look->old = look->now = (struct digest){0};
    trees_ask(e->trees, from_history, e);
    int rc = trees_compare(e->trees, old, now, on_change, look, NULL);
    trees_ask_no_more(e->trees, e);
    if (rc != 0) {
        forget_changes(look);
        return false;
    }
    look->old = *old;
    look->now = *now;
    return true;
}

/* -- a window ---------------------------------------------------------------------------------- */

struct window {
    struct engine *e;
    struct inputs_page *page;
    uint64_t skip;
    size_t want;
    struct buf path;
};

static void add_change(struct window *w, const struct change *change)
{
    struct inputs_page *page = w->page;
    page->v[page->n++] = (struct input_file){
        .path = arena_strdup(&page->arena, change->path),
        .target = change->target ? arena_strdup(&page->arena, change->target) : NULL,
        .bytes = change->bytes,
        .executable = change->executable,
        .change = change->kind};
}

static void add_entry(struct window *w, const struct tree_entry *entry)
{
    const struct look *look = w->e->look;
    struct inputs_page *page = w->page;
    const char *path = buf_str(&w->path);
    size_t place = (size_t)(uintptr_t)map_get_str(&look->change_of, path);
    page->v[page->n++] = (struct input_file){
        .path = arena_strdup(&page->arena, path),
        .target = entry->target ? arena_strdup(&page->arena, entry->target) : NULL,
        .bytes = entry->kind == TREE_FILE ? entry->digest.size : 0,
        .executable = entry->executable,
        .change = place ? look->changes.v[place - 1].kind : INPUT_SAME};
}

/* Adds what the window wants of the directory, which was counted. */
static void add_dir(struct window *w, const struct digest *dir)
{
    struct opened opened;
    size_t n = w->path.len;
    size_t entries = open_dir(w->e, dir, &opened) ? opened.list.n : 0;
    for (size_t i = 0; i < entries && w->page->n < w->want; i++) {
        const struct tree_entry *entry = &opened.list.entries[i];
        const struct sum *below =
            entry->kind == TREE_DIR ? sum_of(w->e->look, &entry->digest) : NULL;
        uint64_t files = entry->kind != TREE_DIR ? 1 : below ? below->files : 0;
        if (w->skip >= files) {
            w->skip -= files;
            continue;
        }
        buf_addf(&w->path, "%s%s", n ? "/" : "", entry->name);
        if (entry->kind == TREE_DIR)
            add_dir(w, &entry->digest);
        else
            add_entry(w, entry);
        buf_truncate(&w->path, n);
    }
    close_dir(w->e, &opened);
}

static void fill(struct engine *e, const struct digest *root, uint64_t from, size_t n,
                 struct inputs_page *page)
{
    const struct look *look = e->look;
    struct window window = {.e = e, .page = page, .want = n};
    page->v = arena_zalloc(&page->arena, n + 1, sizeof *page->v);
    for (; from < look->changes.n && page->n < n; from++)
        add_change(&window, &look->changes.v[from]);
    window.skip = from - look->changes.n;
    if (page->n < n)
        add_dir(&window, root);
    buf_release(&window.path);
}

/* Whether something that the step reads of the tree has changed since it was looked at. */
static bool is_unread(struct engine *e, const struct node *node)
{
    vec_each (uint32_t, at, (ids *)&node->locals) {
        const struct local *local = &e->locals.v[*at];
        if (local->answer != WORKTREE_READY ||
            worktree_view_tick(e->worktree, local->view) != local->tick)
            return true;
    }
    return false;
}

void look_inputs(void *ctx, const char *step, uint64_t from, size_t n, struct inputs_page *page)
{
    struct engine *e = ctx;
    *page = (struct inputs_page){.arena = ARENA_INIT};
    op_id op = e->graph && !e->drained ? graph_find(e->graph, step) : OP_NONE;
    if (op == OP_NONE)
        return;
    struct look *look = look_of(e);
    const struct node *node = &e->nodes.v[e->node_of[op]];
    const struct history_record *last = e->opt.history ? history_last(e->opt.history, step) : NULL;
    struct digest root;
    page->unread = is_unread(e, node);
    page->current = value_of(e, node->exec->input, &root, NULL);
    if (!page->current) {
        /* What it needs has no result yet, or a file is missing. */
        if (!last || !history_load_tree(e->opt.history, &last->input_root, e->trees))
            return;
        root = last->input_root;
    }
    page->known = true;
    page->compared = last && compare(e, &last->input_root, &root);
    if (!page->compared)
        forget_changes(look);
    if (look->sums.n > MAX_COUNTS)
        forget_sums(look);
    long left = PIECE;
    page->counting = !count(e, &root, &left);
    page->changed = look->n_changed;
    if (page->counting) {
        page->known = left <= 0; /* else a directory is not known */
        page->counting = page->known;
        return;
    }
    const struct sum *sum = sum_of(look, &root);
    page->files = sum->files;
    page->bytes = sum->bytes;
    fill(e, &root, from, n, page);
}
