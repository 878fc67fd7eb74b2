/*
 * Which entries a view in the plain flavour leaves out. A verdict holds as long as the rules that
 * gave it: each directory has a fingerprint of all of them (its own .gitignore, those above, the
 * repository's and the user's, and whether the directory itself is ignored), and verdicts of the
 * stat cache are used only under the same fingerprint. So nothing is parsed in the ordinary case.
 */
#include "cache/beneath.h"
#include "cache/worktree_private.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RULES_BYTES ((size_t)16 << 20)
/* Raise it when what is built in here (droppings, the way rules are matched) changes. */
#define BUILT_IN UINT64_C(4)

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && !memcmp(name + len - n, end, n);
}

/* What a restored output is called until it is whole (cache_unique_name()): it may lie among
 * inputs, and stays when kiln is killed there. */
static bool is_unfinished(const char *name)
{
    static const char hex[] = "0123456789abcdef";
    static const char head[] = ".kiln-";
    if (strncmp(name, head, sizeof(head) - 1) != 0)
        return false;
    name += sizeof(head) - 1;
    size_t pid = strspn(name, hex);
    if (!pid || name[pid] != '-')
        return false;
    name += pid + 1;
    if (strspn(name, hex) != 8 || name[8] != '-')
        return false;
    name += 9;
    return *name && !name[strspn(name, hex)];
}

bool worktree_is_dropping(const char *name, size_t len)
{
    if (len > 1 && name[len - 1] == '~')
        return true; /* backups of vim, emacs, gedit */
    if (name[0] == '#')
        return len > 2 && name[len - 1] == '#'; /* emacs' auto-save */
    if (name[0] == '.') {
        if (name[1] == '#' && len > 2)
            return true; /* emacs' lock */
        if (len >= 4 && name[len - 4] == '.' && name[len - 3] == 's' && name[len - 2] == 'w' &&
            name[len - 1] >= 'a' && name[len - 1] <= 'z')
            return true; /* vim's and nano's swap files */
        if (ends_with(name, len, ".swpx"))
            return true; /* vim makes it beside the first to see whether names are cut */
        return is_unfinished(name) || ends_with(name, len, ".kate-swp") ||
               !strncmp(name, ".goutputstream-", 15);
    }
    if (len == 4 && (!strcmp(name, "4913") || !strcmp(name, "5036") || !strcmp(name, "5159")))
        return true; /* vim asks with these whether it may write to the directory */
    return ends_with(name, len, "___jb_tmp___") || ends_with(name, len, "___jb_old___");
}

/* Opens .gitignore in the directory, reads it; the stamp is that of what was read, at that time. */
static bool read_rules(int dirfd, struct buf *text, struct stamp *stamp, int64_t *recorded_ns)
{
    *recorded_ns = (int64_t)clock_realtime_ns();
    int fd = openat(dirfd, RULES_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat before, after;
    bool fine = false;
    for (int tries = 0; fd >= 0 && !fine && tries < 3; tries++) {
        buf_reset(text);
        if (lseek(fd, 0, SEEK_SET) != 0 || fstat(fd, &before) != 0 || !S_ISREG(before.st_mode))
            break;
        if (file_has_writer(fd, before.st_ctim.tv_sec))
            *recorded_ns = NEVER_SETTLED;
        if (file_read_fd(fd, RULES_NAME, MAX_RULES_BYTES, text, NULL) != 0 ||
            fstat(fd, &after) != 0)
            break;
        *stamp = stamp_of(&after);
        struct stamp first = stamp_of(&before);
        fine = stamp_eq(&first, stamp) && text->len == stamp->size;
    }
    if (fd >= 0)
        close(fd);
    return fine;
}

static void load_rules(struct worktree *tree, struct dir *dir)
{
    dir->has_rules = true;
    uint32_t child = worktree_child(tree, dir, RULES_NAME, NULL);
    if (child == WORKTREE_NONE || !(worktree_node(tree, child)->flags & N_DIGEST))
        return;
    struct node *node = worktree_node(tree, child);
    struct buf path = BUF_INIT, text = BUF_INIT;
    struct digest digest = {.size = 0};
    struct stamp stamp;
    int64_t recorded_ns;
    int fd;
    worktree_path(tree, dir->node, &path);
    if (beneath_open(tree->top->fd, buf_str(&path), false, &fd, NULL) == 0) {
        if (read_rules(fd, &text, &stamp, &recorded_ns)) {
            digest = digest_of(buf_str(&text), text.len);
            dir->rules =
                ignore_rules_new(buf_str(&text), text.len, ignore_folds_case(tree->ignore));
        }
        close(fd);
    }
    if (!digest_eq(&digest, &node->digest)) {
        /* Edited since the fingerprint was made. Where nobody knew of that, verdicts of the new
         * rules are given under the fingerprint of the old ones. */
        tree->rules_torn |= node->flags & N_FRESH;
        node->flags &= (uint16_t)~N_FRESH;
    }
    buf_release(&path);
    buf_release(&text);
}

static enum ignore_match match_rules(struct worktree *tree, uint32_t id, const char *path,
                                     const char *name, bool directory)
{
    const char *relative = name;
    for (;;) {
        const struct node *node = worktree_node(tree, id);
        if (!node->dir->has_rules)
            load_rules(tree, node->dir);
        if (node->dir->rules) {
            enum ignore_match match = ignore_rules_match(node->dir->rules, relative, directory);
            if (match != IGNORE_UNDECIDED)
                return match;
        }
        if (id == 0)
            return ignore_outer(tree->ignore, path, directory);
        relative -= node->name_len + (size_t)1;
        id = node->parent;
    }
}

unsigned worktree_judge(struct worktree *tree, uint32_t id, const char *path, bool directory)
{
    unsigned above = worktree_node(tree, id)->flags;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (above & N_IGNORED) {
        if (!(above & N_TRACKED))
            return N_VERDICT | N_IGNORED;
    } else if (!(directory ? is_unfinished(name) : worktree_is_dropping(name, strlen(name))) &&
               match_rules(tree, id, path, name, directory) != IGNORE_YES) {
        return N_VERDICT;
    }
    switch (ignore_tracked(tree->ignore, path, directory)) {
    case IGNORE_TRACKED: return N_VERDICT | N_BY_INDEX;
    case IGNORE_ABOVE: return N_VERDICT | N_BY_INDEX | N_IGNORED | N_TRACKED;
    case IGNORE_UNTRACKED: break;
    }
    return N_VERDICT | N_BY_INDEX | N_IGNORED;
}

static bool recall(struct worktree *tree, const struct dir *dir, struct node *node)
{
    if (!dir->has_record || node->record == WORKTREE_NONE || dir->record.rules != dir->rules_print)
        return false;
    struct statcache_entry entry;
    statcache_get(tree->cache, node->record, &entry);
    if (!(entry.flags & STATCACHE_VERDICT) || entry.directory != (node->kind == NODE_DIR))
        return false;
    if ((entry.flags & STATCACHE_BY_INDEX) && dir->record.index != tree->index_print)
        return false;
    node->flags |= N_VERDICT;
    node->flags |= entry.flags & STATCACHE_IGNORED ? N_IGNORED : 0;
    node->flags |= entry.flags & STATCACHE_TRACKED ? N_TRACKED : 0;
    node->flags |= entry.flags & STATCACHE_BY_INDEX ? N_BY_INDEX : 0;
    return true;
}

void worktree_decide(struct worktree *tree, struct node *node, const char *path)
{
    if (node->flags & N_VERDICT)
        return;
    const struct dir *dir = worktree_node(tree, node->parent)->dir;
    if (recall(tree, dir, node))
        return;
    node->flags |= (uint16_t)worktree_judge(tree, node->parent, path, node->kind == NODE_DIR);
    tree->cache_stale = true;
}

/* All memos of the directory and below that ignore rules may have had a part in. */
static void unsettle_below(struct worktree *tree, struct dir *dir)
{
    for (int i = 0; i < FLAVOURS; i++)
        dir->whole[i].ready = dir->whole[i].composed = false;
    vec_each (struct consumer, c, &dir->consumers)
        c->memo.ready = c->memo.composed = false;
    for (size_t i = 0; i < dir->n_children; i++) {
        struct dir *sub = worktree_node(tree, dir->children[i])->dir;
        if (sub)
            unsettle_below(tree, sub);
    }
}

static void forget_rules(struct dir *dir)
{
    ignore_rules_free(dir->rules);
    dir->rules = NULL;
    dir->has_rules = false;
}

/* The directory's own .gitignore: its digest, read right here when the stat cache does not have it.
 */
static void sync_own_rules(struct worktree *tree, struct dir *dir, struct reader *reader,
                           struct digest *digest)
{
    *digest = (struct digest){.size = 0};
    uint32_t child = worktree_child(tree, dir, RULES_NAME, NULL);
    if (child == WORKTREE_NONE)
        return;
    struct node *node = worktree_node(tree, child);
    if (!(node->flags & N_FRESH) && worktree_stat_child(tree, dir, node, reader) == ENOENT) {
        worktree_remove_child(tree, dir, child);
        dir->must_read = true; /* it may be the directory that was away for a moment */
        return;
    }
    if (node->kind != NODE_FILE || node->errnum)
        return;
    if (!(node->flags & N_DIGEST) && worktree_reader_open(tree, dir, reader) == 0) {
        struct buf text = BUF_INIT;
        if (read_rules(reader->fd, &text, &node->stamp, &node->recorded_ns)) {
            node->digest = digest_of(buf_str(&text), text.len);
            if (node->recorded_ns == NEVER_SETTLED)
                vec_push(&tree->unsure, child);
            node->flags |= N_STAT | N_DIGEST;
            tree->cache_stale = true;
            forget_rules(dir);
            dir->rules =
                ignore_rules_new(buf_str(&text), text.len, ignore_folds_case(tree->ignore));
            dir->has_rules = true;
        }
        buf_release(&text);
    }
    if (node->flags & N_DIGEST)
        *digest = node->digest;
}

void worktree_rules_sync(struct worktree *tree, struct dir *dir, struct reader *reader)
{
    const struct node *node = worktree_node(tree, dir->node);
    uint64_t print;
    if (dir->node == 0) {
        uint64_t built_in = BUILT_IN;
        print = ignore_mix(tree->rules_print, &built_in, sizeof(built_in));
    } else {
        print = worktree_node(tree, node->parent)->dir->rules_print;
    }
    struct digest own;
    sync_own_rules(tree, dir, reader, &own);
    unsigned state = node->flags & (N_IGNORED | N_TRACKED);
    print = ignore_mix(print, &state, sizeof(state));
    print = ignore_mix(print, own.hash, sizeof(own.hash));
    if (dir->has_print && print == dir->rules_print)
        return;
    if (dir->has_print) {
        for (size_t i = 0; i < dir->n_children; i++)
            worktree_node(tree, dir->children[i])->flags &= (uint16_t)~N_VERDICTS;
        forget_rules(dir);
        unsettle_below(tree, dir);
        worktree_unsettle(tree, dir->node);
    }
    dir->rules_print = print;
    dir->has_print = true;
}

static void dirty_inputs(struct worktree *tree)
{
    for (size_t i = 0; i < tree->views.n; i++) {
        struct view *view = &tree->views.v[i];
        if (view->kind != WORKTREE_INPUTS)
            continue;
        view->has_digest = false;
        if (!view->dirty)
            vec_push(&tree->dirty, (uint32_t)i);
        view->dirty = true;
    }
}

static void new_rules(struct worktree *tree)
{
    struct node *root = worktree_node(tree, 0);
    root->flags &= (uint16_t)~N_VERDICTS;
    root->flags |= N_VERDICT;
    if (ignore_root_ignored(tree->ignore))
        root->flags |= N_IGNORED | N_TRACKED | N_BY_INDEX;
    for (uint32_t id = 0; id < tree->n_nodes; id++) {
        struct node *node = worktree_node(tree, id);
        if (node->kind != NODE_FREE && node->dir)
            forget_rules(node->dir); /* case may count now, or not any more */
    }
    if (root->dir)
        unsettle_below(tree, root->dir);
}

static void new_index(struct worktree *tree)
{
    struct buf path = BUF_INIT;
    /* Sleepers wake with the verdicts that held until now. */
    for (uint32_t id = 0, n = tree->n_nodes; id < n; id++) {
        const struct node *node = worktree_node(tree, id);
        if (node->kind != NODE_FREE && node->dir && node->dir->record.by_index)
            worktree_wake(tree, node->dir);
    }
    for (uint32_t id = 1; id < tree->n_nodes; id++) {
        struct node *node = worktree_node(tree, id);
        if (node->kind == NODE_FREE || !(node->flags & N_BY_INDEX))
            continue;
        worktree_path(tree, id, &path);
        unsigned verdict =
            worktree_judge(tree, node->parent, buf_str(&path), node->kind == NODE_DIR);
        if (verdict == (node->flags & N_VERDICTS))
            continue;
        /* It concerns the views that took it, or that take it now. */
        worktree_mark(tree, node->parent, node->name, 0);
        node->flags &= (uint16_t)~N_VERDICTS;
        node->flags |= (uint16_t)verdict;
        worktree_mark(tree, node->parent, node->name, 0);
    }
    /* Names that came while they were ignored are not known at all yet: what is tracked now may be
     * among them. */
    bool unread = false;
    for (uint32_t id = 0; id < tree->n_nodes; id++) {
        const struct node *node = worktree_node(tree, id);
        if (node->kind == NODE_FREE || !node->dir || !node->dir->must_read || !node->dir->was_read)
            continue;
        worktree_unsettle(tree, id);
        unread = true;
    }
    if (unread)
        dirty_inputs(tree);
    tree->cache_stale = true;
    buf_release(&path);
}

void worktree_ignore_sync(struct worktree *tree)
{
    unsigned news = IGNORE_SAME;
    bool first = !tree->ignore;
    if (tree->git)
        return;
    if (first) {
        size_t n;
        const void *memory = statcache_memory(tree->cache, &n);
        tree->ignore = ignore_new(tree->root, memory, n);
        tree->cache_stale |= !ignore_was_remembered(tree->ignore);
    } else {
        news = ignore_refresh(tree->ignore);
    }
    tree->rules_print = ignore_rules_fingerprint(tree->ignore);
    tree->index_print = ignore_index_fingerprint(tree->ignore);
    if (first || (news & IGNORE_NEW_RULES))
        new_rules(tree);
    if (news & IGNORE_NEW_RULES)
        dirty_inputs(tree);
    if (news & IGNORE_NEW_INDEX)
        new_index(tree);
}
