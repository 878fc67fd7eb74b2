/*
 * Sleepers: directories as the stat cache knows them, and how they wake. What a record says is a
 * fact about the moment it was made at; whether it still holds, a look tells (worktree_look.c).
 *
 * A Directory message is not needed to know its digest. Where somebody opens one whose digest was
 * taken over, it is made from the records alone, whatever the directory has become since.
 */
#include "cache/worktree_private.h"

#include <stdlib.h>
#include <string.h>

static enum node_kind kind_of(enum statcache_kind kind)
{
    switch (kind) {
    case STATCACHE_FILE: return NODE_FILE;
    case STATCACHE_DIR: return NODE_DIR;
    case STATCACHE_LINK: return NODE_LINK;
    case STATCACHE_OTHER: return NODE_OTHER;
    case STATCACHE_UNKNOWN: break;
    }
    return NODE_UNKNOWN;
}

static unsigned verdict_of(const struct statcache_entry *entry)
{
    return N_VERDICT | (entry->flags & STATCACHE_IGNORED ? (unsigned)N_IGNORED : 0) |
           (entry->flags & STATCACHE_TRACKED ? (unsigned)N_TRACKED : 0) |
           (entry->flags & STATCACHE_BY_INDEX ? (unsigned)N_BY_INDEX : 0);
}

/* --- falling asleep --- */

static bool has_usable_record(const struct worktree *tree, const struct dir *dir)
{
    const struct statcache_dir *record = &dir->record;
    return dir->has_record && record->names && record->stamp.dev == tree->root_dev &&
           stamp_settled(&record->stamp, record->read_ns);
}

/* Nodes for what a walk needs: directories, and the ignore rules. */
static void add_few_nodes(struct worktree *tree, struct dir *dir)
{
    const struct statcache_dir *record = &dir->record;
    VEC(uint32_t) children = VEC_INIT;
    uint32_t rules = WORKTREE_NONE, first = record->first, end = first + record->n;
    if (record->has_rules && !record->has_dirs) {
        if (statcache_find_entry(tree->cache, record, ".gitignore", &rules))
            first = rules, end = rules + 1;
    }
    for (uint32_t i = first; i < end && (record->has_dirs || record->has_rules); i++) {
        struct statcache_entry entry;
        statcache_get(tree->cache, i, &entry);
        if (entry.kind != STATCACHE_DIR && strcmp(entry.name, ".gitignore") != 0)
            continue;
        uint32_t id =
            worktree_node_add(tree, dir->node, entry.name, entry.len, kind_of(entry.kind));
        worktree_node(tree, id)->record = i;
        dir->hidden_files -= entry.kind == STATCACHE_FILE;
        vec_push(&children, id);
    }
    free(dir->children);
    dir->children = children.v;
    dir->n_children = children.n;
    dir->cap_children = children.cap;
    worktree_flag_outputs(tree, dir, record->path);
}

void worktree_queue_look(struct worktree *tree, struct dir *dir)
{
    struct look look = {.node = dir->node,
                        .serial = worktree_node(tree, dir->node)->serial,
                        .look = ++tree->n_looks,
                        .first = dir->record.first};
    uint32_t left = dir->record.n;
    dir->look = look.look;
    dir->parts = 0;
    dir->differs = dir->names_differ = false;
    free(dir->answers);
    dir->answers = NULL;
    do {
        look.n = left < LOOK_ENTRIES ? left : LOOK_ENTRIES;
        vec_push(&tree->looks, look);
        dir->parts++;
        look.first += look.n;
        left -= look.n;
    } while (left);
}

bool worktree_assume(struct worktree *tree, struct dir *dir)
{
    if (dir->state == DIR_AWAKE) {
        if (dir->was_read || !tree->keeps_times)
            return false;
        if (!dir->has_record)
            dir->has_record =
                statcache_find(tree->cache, buf_str(&tree->path), tree->path.len, &dir->record);
        if (!has_usable_record(tree, dir))
            return false;
        dir->hidden_files = dir->record.n_files;
        tree->counts.files += dir->record.n_files;
        add_few_nodes(tree, dir);
    }
    tree->n_assumed += dir->state != DIR_ASSUMED;
    dir->state = DIR_ASSUMED;
    dir->stamp = dir->record.stamp;
    dir->read_ns = dir->record.read_ns;
    dir->index_held = dir->record.index == tree->index_print;
    dir->was_read = true;
    dir->must_read = false;
    dir->errnum = 0;
    worktree_queue_look(tree, dir);
    return true;
}

void worktree_doubt_sleeper(struct worktree *tree, struct dir *dir)
{
    if (dir->state == DIR_AWAKE)
        return;
    tree->n_assumed += dir->state != DIR_ASSUMED;
    dir->state = DIR_ASSUMED;
    dir->look = ++tree->n_looks; /* what is on its way comes too late */
}

bool worktree_hidden(const struct worktree *tree, const struct dir *dir, const char *name,
                     enum node_kind *kind)
{
    struct statcache_entry entry;
    uint32_t i;
    if (dir->state == DIR_AWAKE || !statcache_find_entry(tree->cache, &dir->record, name, &i))
        return false;
    statcache_get(tree->cache, i, &entry);
    *kind = kind_of(entry.kind);
    return true;
}

/* --- waking --- */

/* What the record and the look know about an entry. */
static void tell_node(const struct dir *dir, struct node *node, const struct statcache_entry *entry,
                      enum look_answer answer)
{
    if ((entry->flags & STATCACHE_VERDICT) && dir->has_print &&
        dir->record.rules == dir->rules_print && entry->directory == (node->kind == NODE_DIR) &&
        (dir->index_held || !(entry->flags & STATCACHE_BY_INDEX)))
        node->flags |= (uint16_t)verdict_of(entry);
    if (!(entry->flags & STATCACHE_STAMPED))
        return;
    node->stamp = entry->stamp;
    node->recorded_ns = entry->recorded_ns;
    node->flags |= N_STAT;
    if (entry->flags & STATCACHE_TARGET) {
        node->target = mem_strdup(entry->target);
        node->flags |= answer == LOOK_SAME ? N_FRESH : 0;
        return;
    }
    node->digest = entry->digest;
    node->flags |= answer == LOOK_DIFFERS ? 0 : N_FRESH;
    node->flags |= answer == LOOK_YOUNG ? 0 : N_DIGEST;
}

void worktree_wake(struct worktree *tree, struct dir *dir)
{
    if (dir->state == DIR_AWAKE)
        return;
    bool looked = dir->state == DIR_ASLEEP;
    const struct statcache_dir *record = &dir->record;
    uint32_t *children = mem_alloc((record->n + dir->n_children + 1) * sizeof(*children));
    size_t n = 0, old = 0;
    for (uint32_t i = 0; i < record->n; i++) {
        struct statcache_entry entry;
        statcache_get(tree->cache, record->first + i, &entry);
        enum look_answer answer = !looked        ? LOOK_DIFFERS
                                  : dir->answers ? (enum look_answer)dir->answers[i]
                                                 : LOOK_SAME;
        if (old < dir->n_children &&
            worktree_node(tree, dir->children[old])->record == record->first + i) {
            struct node *node = worktree_node(tree, dir->children[old]);
            if (answer == LOOK_DIFFERS && node->kind != NODE_DIR)
                node->flags &= (uint16_t)~N_FRESH;
            children[n++] = dir->children[old++];
            continue;
        }
        uint32_t id =
            worktree_node_add(tree, dir->node, entry.name, entry.len, kind_of(entry.kind));
        struct node *node = worktree_node(tree, id);
        node->record = record->first + i;
        tell_node(dir, node, &entry, answer);
        children[n++] = id;
    }
    free(dir->children);
    dir->children = children;
    dir->n_children = dir->cap_children = n;
    dir->hidden_files = 0;
    dir->must_read |= !looked;
    tree->n_assumed -= dir->state == DIR_ASSUMED;
    dir->state = DIR_AWAKE;
    worktree_flag_outputs(tree, dir, record->path);
    if (!looked)
        worktree_unsettle(tree, dir->node);
}

void worktree_sleep_end(struct worktree *tree, struct dir *dir)
{
    tree->counts.files -= dir->hidden_files;
    tree->n_assumed -= dir->state == DIR_ASSUMED;
    free(dir->answers);
}

/* --- memos --- */

static bool find_memo(const struct worktree *tree, const struct statcache_dir *record,
                      const struct scope *scope, struct statcache_memo *memo)
{
    uint32_t view = scope->view ? scope->view->stored : STATCACHE_WHOLE;
    uint32_t low = record->first_memo, high = low + record->n_memos;
    if (statcache_memo_print(tree->cache) != tree->memo_print ||
        (scope->view && view == WORKTREE_NONE))
        return false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        statcache_memo(tree->cache, middle, memo);
        if (memo->view == view && memo->flavour == scope->flavour)
            return true;
        if (view != memo->view ? view < memo->view : scope->flavour < memo->flavour)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

bool worktree_record_memo(const struct worktree *tree, const struct dir *dir,
                          const struct scope *scope, struct statcache_memo *memo)
{
    return dir->has_record && find_memo(tree, &dir->record, scope, memo);
}

bool worktree_sleep_memo(const struct worktree *tree, const struct dir *dir,
                         const struct scope *scope, struct statcache_memo *memo)
{
    const struct statcache_dir *record = &dir->record;
    if (scope->flavour == PLAIN && (!dir->has_print || record->rules != dir->rules_print ||
                                    (record->by_index && record->index != tree->index_print)))
        return false;
    return find_memo(tree, record, scope, memo);
}

void worktree_note_recalled(struct worktree *tree, const struct dir *dir, const struct scope *scope,
                            const struct digest *digest)
{
    if (map_get(&tree->recalled_by, digest->hash, DIGEST_BYTES))
        return;
    vec_push(&tree->recalled, (struct recalled){dir->record.number, scope->flavour,
                                                scope->view ? scope->view_id : WORKTREE_NONE});
    map_put(&tree->recalled_by, digest->hash, DIGEST_BYTES, (void *)(uintptr_t)tree->recalled.n,
            NULL);
}

/* The entry as the scope took it when the record was made; false when it did not. */
static bool entry_of(struct worktree *tree, const struct scope *scope,
                     const struct statcache_dir *record, const struct statcache_entry *entry,
                     struct buf *path, struct tree_entry *out)
{
    struct statcache_dir below;
    struct statcache_memo memo;
    struct scope sub;
    struct node node = {.name = entry->name,
                        .name_len = (uint8_t)entry->len,
                        .kind = (uint8_t)kind_of(entry->kind),
                        .parent = WORKTREE_NONE,
                        .record = WORKTREE_NONE};
    if (scope->flavour == PLAIN && !(entry->flags & STATCACHE_VERDICT))
        return false; /* nobody asked, so it was not selected */
    node.flags = (uint16_t)verdict_of(entry);
    const struct output_names *outputs = map_get_str(&tree->outputs_in, record->path);
    for (size_t i = 0; outputs && i < outputs->names.n; i++)
        if (strcmp(outputs->names.v[i], entry->name) == 0)
            node.flags |= N_OUTPUT;
    size_t before = worktree_path_push(path, entry->name, entry->len);
    enum pick pick = worktree_pick(tree, scope, &node, buf_str(path), &sub);
    bool taken = pick == PICK_ENTRY;
    *out = (struct tree_entry){.name = entry->name, .kind = TREE_FILE, .digest = entry->digest};
    if (pick == PICK_BELOW) {
        taken = statcache_find(tree->cache, buf_str(path), path->len, &below) &&
                find_memo(tree, &below, &sub, &memo) &&
                (memo.digest.size || (sub.flavour == ALL && !sub.view));
        out->kind = TREE_DIR;
        out->digest = taken ? memo.digest : (struct digest){.size = 0};
        if (taken)
            worktree_note_recalled(tree, &(struct dir){.record = below}, &sub, &memo.digest);
    } else if (entry->flags & STATCACHE_TARGET) {
        out->kind = TREE_SYMLINK;
        out->target = entry->target;
        out->digest = (struct digest){.size = 0};
    } else {
        out->executable = entry->stamp.mode & S_IXUSR;
    }
    buf_truncate(path, before);
    return taken;
}

void worktree_make_message(void *ctx, const struct digest *digest)
{
    struct worktree *tree = ctx;
    void **known = map_get(&tree->recalled_by, digest->hash, DIGEST_BYTES);
    if (!known)
        return;
    struct recalled recalled = tree->recalled.v[(uintptr_t)*known - 1];
    struct scope scope = {recalled.view == WORKTREE_NONE ? NULL : &tree->views.v[recalled.view],
                          recalled.view, recalled.flavour};
    struct statcache_dir record;
    struct buf path = BUF_INIT;
    VEC(struct tree_entry) entries = VEC_INIT;
    statcache_dir(tree->cache, recalled.dir, &record);
    buf_add(&path, record.path, record.len);
    for (uint32_t i = record.first; i < record.first + record.n; i++) {
        struct statcache_entry entry;
        struct tree_entry made;
        statcache_get(tree->cache, i, &entry);
        if (entry_of(tree, &scope, &record, &entry, &path, &made))
            vec_push(&entries, made);
    }
    trees_put(tree->trees, entries.v, entries.n);
    vec_release(&entries);
    buf_release(&path);
}
