/*
 * What a view takes of the nodes, and its digest: gathering (read, stat, queue for hashing) and
 * composing (Directory messages from the bottom up) go over the same selection and stop at memos.
 */
#include "cache/worktree_private.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TRIES 4

struct below {
    uint32_t id, serial;
    struct scope scope;
};

/* --- what is taken --- */

bool worktree_view_names(const struct view *view, const char *path)
{
    for (size_t i = 0; i < view->n_literals; i++)
        if (strcmp(view->literals[i], path) == 0)
            return true;
    return false;
}

bool worktree_view_names_below(const struct view *view, const char *dir)
{
    for (size_t i = 0; i < view->n_literals; i++)
        if (path_is_below(view->literals[i], dir) && strcmp(view->literals[i], dir) != 0)
            return true;
    return false;
}

enum glob_reach worktree_view_reach(const struct view *view, const char *dir)
{
    if (view->set)
        return glob_set_reach(view->set, dir);
    for (size_t i = 0; i < view->n_literals; i++)
        if (path_is_below(dir, view->literals[i]))
            return GLOB_WHOLE;
    return worktree_view_names_below(view, dir) ? GLOB_SOME : GLOB_NONE;
}

bool worktree_view_has(const struct view *view, const char *path)
{
    return view->set ? glob_set_has(view->set, path)
                     : worktree_view_reach(view, path) == GLOB_WHOLE;
}

static enum output_path output_path(const struct worktree *tree, const char *path, size_t n)
{
    void **value = map_get(&tree->output_paths, path, n);
    return value ? (enum output_path)(uintptr_t)*value : OUTPUT_NONE;
}

bool worktree_at_output(const struct worktree *tree, const char *path)
{
    for (const char *end = path; tree->output_paths.count && *end;) {
        end += strcspn(end + 1, "/") + 1;
        if (output_path(tree, path, (size_t)(end - path)) == OUTPUT_ITSELF)
            return true;
    }
    return false;
}

struct scope worktree_view_scope(const struct worktree *tree, uint32_t id)
{
    const struct view *view = &tree->views.v[id];
    bool whole = worktree_view_reach(view, "") == GLOB_WHOLE;
    if (view->kind == WORKTREE_INPUTS && worktree_view_names_below(view, ""))
        whole = false;
    return (struct scope){whole ? NULL : view, id, view->kind == WORKTREE_INPUTS ? PLAIN : ALL};
}

struct memo *worktree_memo(struct dir *dir, const struct scope *scope)
{
    if (scope->view)
        return &worktree_consumer(dir, scope->view_id, scope->flavour, false)->memo;
    if (scope->view_id != WORKTREE_NONE)
        worktree_consumer(dir, scope->view_id, scope->flavour, true);
    return &dir->whole[scope->flavour];
}

enum pick worktree_pick(struct worktree *tree, const struct scope *scope, struct node *node,
                        const char *path, struct scope *sub)
{
    const struct view *view = scope->view;
    enum flavour flavour = scope->flavour;
    bool directory = node->kind == NODE_DIR, names_below = false;
    enum glob_reach reach = GLOB_WHOLE;
    if (node->kind == NODE_OTHER || node->kind == NODE_UNKNOWN)
        return PICK_NONE;
    if (flavour != ALL && ((node->flags & N_OUTPUT) || strcmp(node->name, ".git") == 0))
        return PICK_NONE;
    if (view && directory) {
        reach = worktree_view_reach(view, path);
        names_below = flavour == PLAIN && worktree_view_names_below(view, path);
        if (reach == GLOB_NONE)
            return PICK_NONE;
    } else if (view && !worktree_view_has(view, path)) {
        return PICK_NONE;
    }
    if (flavour == PLAIN) {
        worktree_decide(tree, node, path);
        if (node->flags & N_IGNORED) {
            if (view && worktree_view_names(view, path))
                flavour = FORCED;
            else if (!(node->flags & N_TRACKED) && !names_below)
                return PICK_NONE;
        }
    }
    if (!directory)
        return PICK_ENTRY;
    /* Something below is named outright, which the memo of the whole directory may leave out. */
    if (flavour == PLAIN && names_below)
        reach = GLOB_SOME;
    if (!view)
        *sub = (struct scope){NULL, WORKTREE_NONE, flavour};
    else
        *sub = (struct scope){reach == GLOB_WHOLE ? NULL : view, scope->view_id, flavour};
    return PICK_BELOW;
}

/* --- gathering --- */

struct pass {
    VEC(struct below) below;
    VEC(uint32_t) gone;
};

static void gather_child(struct worktree *tree, const struct scope *scope, struct dir *dir,
                         uint32_t child, struct reader *reader, struct pass *pass)
{
    struct node *node = worktree_node(tree, child);
    bool look = (node->flags & N_MARKED) || node->kind == NODE_UNKNOWN ||
                (node->kind == NODE_DIR && node->dir && !(node->flags & N_FRESH));
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        if (look && worktree_stat_child(tree, dir, node, reader) == ENOENT) {
            vec_push(&pass->gone, child);
            return;
        }
        struct scope sub;
        enum node_kind kind = node->kind;
        size_t before = worktree_path_push(&tree->path, node->name, node->name_len);
        enum pick pick = worktree_pick(tree, scope, node, buf_str(&tree->path), &sub);
        buf_truncate(&tree->path, before);
        if (pick == PICK_NONE)
            return;
        if (pick == PICK_BELOW) {
            vec_push(&pass->below, (struct below){child, node->serial, sub});
            return;
        }
        look = !(node->flags & N_FRESH);
        if (!look && node->kind == kind)
            break;
    }
    if (node->kind == NODE_FILE && !node->errnum && !(node->flags & (N_DIGEST | N_QUEUED))) {
        node->flags |= N_QUEUED;
        vec_push(&tree->queue, child);
    }
}

/* One look at all entries; false when some were gone, so that the names must be read again. */
static bool gather_children(struct worktree *tree, const struct scope *scope, struct dir *dir,
                            struct reader *reader, struct pass *pass)
{
    worktree_places few = VEC_INIT;
    bool limited = worktree_few_children(tree, scope, dir, &few);
    for (size_t i = 0, n = limited ? few.n : dir->n_children; i < n; i++)
        gather_child(tree, scope, dir, dir->children[limited ? few.v[i] : i], reader, pass);
    vec_release(&few);
    bool settled = pass->gone.n == 0;
    vec_each (uint32_t, gone, &pass->gone)
        worktree_remove_child(tree, dir, *gone);
    vec_clear(&pass->gone);
    return settled;
}

static int gather(struct worktree *tree, const struct scope *scope, uint32_t id);

static bool gather_below(struct worktree *tree, struct dir *dir, const struct pass *pass)
{
    bool settled = true;
    for (size_t i = 0; i < pass->below.n; i++) {
        const struct below *below = &pass->below.v[i];
        struct node *node = worktree_node(tree, below->id);
        if (node->kind != NODE_DIR || node->serial != below->serial)
            continue;
        size_t before = worktree_path_push(&tree->path, node->name, node->name_len);
        if (gather(tree, &below->scope, below->id) == ENOENT) {
            node->flags = (uint16_t)((node->flags & ~N_FRESH) | N_MARKED);
            settled = false;
        }
        buf_truncate(&tree->path, before);
    }
    if (!settled)
        dir->must_read = true;
    return settled;
}

/* Brings what the scope takes of the directory, whose path is tree->path, up to date. ENOENT: it is
 * no directory any more. */
static int gather(struct worktree *tree, const struct scope *scope, uint32_t id)
{
    struct dir *dir = worktree_dir(tree, id);
    if (worktree_memo(dir, scope)->ready)
        return 0;
    struct reader reader = {NULL, -1};
    struct pass pass = {VEC_INIT, VEC_INIT};
    bool settled = false;
    int errnum = 0;
    for (int tries = 0; !settled && !errnum && tries < MAX_TRIES; tries++) {
        vec_clear(&pass.below);
        errnum = worktree_read_names(tree, dir, &reader);
        if (errnum)
            break;
        if (scope->flavour == PLAIN)
            worktree_rules_sync(tree, dir, &reader);
        settled = gather_children(tree, scope, dir, &reader, &pass);
        worktree_reader_close(&reader);
        settled &= gather_below(tree, dir, &pass);
        if (!settled)
            dir->must_read = true;
    }
    worktree_reader_close(&reader);
    vec_release(&pass.below);
    vec_release(&pass.gone);
    if (!settled && !errnum)
        dir->errnum = EBUSY; /* must_read stands: the next time tries again */
    if (errnum == ENOENT)
        return ENOENT;
    worktree_memo(dir, scope)->ready = true;
    return 0;
}

/* Gathers the views that are not ready; true when there was none. */
static bool gather_views(struct worktree *tree, const uint32_t *views, size_t n)
{
    bool ready = true;
    for (size_t i = 0; i < n; i++) {
        struct scope scope = worktree_view_scope(tree, views[i]);
        struct dir *root = worktree_dir(tree, 0);
        if (worktree_memo(root, &scope)->ready)
            continue;
        ready = false;
        buf_reset(&tree->path);
        if (gather(tree, &scope, 0) != 0) {
            root->errnum = ENOENT;
            worktree_memo(root, &scope)->ready = true;
        }
    }
    return ready;
}

void worktree_prepare(struct worktree *tree, const uint32_t *views, size_t n)
{
    worktree_ignore_sync(tree);
    /* What one view finds changed without a mark may concern those before it. */
    for (int tries = 0; tries < MAX_TRIES && !gather_views(tree, views, n); tries++)
        ;
}

/* --- composing --- */

static void shown(struct buf *out, const char *path)
{
    buf_reset(out);
    buf_add_shown(out, *path ? path : ".", strlen(*path ? path : "."));
}

static enum worktree_answer broken(const char *path, const char *why, struct err *err)
{
    struct buf text = BUF_INIT;
    shown(&text, path);
    err_set(err, ERR_CONFIG, "\"%s\" %s", buf_str(&text), why);
    buf_release(&text);
    return WORKTREE_BROKEN;
}

static enum worktree_answer unreadable(const char *path, bool directory, int errnum,
                                       struct err *err)
{
    if (errnum == EBUSY)
        return broken(
            path,
            directory ? "changes faster than it can be listed; let what writes there end first, "
                        "or exclude it with '!' in \"inputs\""
                      : "changes faster than it can be read; let what writes it end first, "
                        "or exclude it with '!' in \"inputs\"",
            err);
    struct err system = ERR_INIT;
    struct buf text = BUF_INIT;
    shown(&text, path);
    if (errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == EIO) {
        /* not the file's fault, nor that of who named it */
        err_sys(err, errnum, "cannot read the input \"%s\"", buf_str(&text));
        buf_release(&text);
        return WORKTREE_BROKEN;
    }
    err_sys(&system, errnum,
            "cannot read the input \"%s\" (make it readable, or exclude it with '!' in \"inputs\")",
            buf_str(&text));
    err_set(err, ERR_CONFIG, "%s", err_text(&system));
    err_release(&system);
    buf_release(&text);
    return WORKTREE_BROKEN;
}

static enum worktree_answer compose(struct worktree *tree, const struct scope *scope, uint32_t id,
                                    struct digest *digest, bool *any, struct err *err);

static enum worktree_answer compose_child(struct worktree *tree, const struct scope *scope,
                                          uint32_t child, struct tree_entry *entry, bool *taken,
                                          struct err *err)
{
    struct node *node = worktree_node(tree, child);
    const char *path = buf_str(&tree->path);
    struct scope sub;
    enum pick pick = worktree_pick(tree, scope, node, path, &sub);
    *taken = false;
    if (pick == PICK_NONE)
        return WORKTREE_READY;
    *entry = (struct tree_entry){.kind = TREE_DIR, .name = node->name};
    if (pick == PICK_BELOW) {
        bool any;
        enum worktree_answer answer = compose(tree, &sub, child, &entry->digest, &any, err);
        *taken = answer == WORKTREE_READY && (any || (sub.flavour == ALL && !sub.view));
        if (*taken && !utf8_valid(node->name, node->name_len))
            return broken(path, "has a name that is not UTF-8; rename it", err);
        return answer;
    }
    *taken = true;
    if (node->errnum)
        return unreadable(path, false, node->errnum, err);
    if (!utf8_valid(node->name, node->name_len))
        return broken(
            path, "has a name that is not UTF-8; rename it, or exclude it with '!' in \"inputs\"",
            err);
    if (node->kind == NODE_LINK) {
        entry->kind = TREE_SYMLINK;
        entry->target = node->target;
        if (!node->target)
            return WORKTREE_PENDING;
        if (!utf8_valid(node->target, strlen(node->target)))
            return broken(path, "is a symbolic link to a name that is not UTF-8", err);
        return WORKTREE_READY;
    }
    entry->kind = TREE_FILE;
    entry->executable = node->stamp.mode & S_IXUSR;
    entry->digest = node->digest;
    return node->flags & N_DIGEST ? WORKTREE_READY : WORKTREE_PENDING;
}

static enum worktree_answer compose(struct worktree *tree, const struct scope *scope, uint32_t id,
                                    struct digest *digest, bool *any, struct err *err)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    struct memo *memo = dir ? worktree_memo(dir, scope) : NULL;
    if (!memo || !memo->ready)
        return WORKTREE_PENDING;
    if (memo->composed) {
        *digest = memo->digest;
        *any = memo->any;
        return WORKTREE_READY;
    }
    if (dir->errnum)
        return unreadable(buf_str(&tree->path), true, dir->errnum, err);
    VEC(struct tree_entry) entries = VEC_INIT;
    enum worktree_answer answer = WORKTREE_READY;
    worktree_places few = VEC_INIT;
    bool limited = worktree_few_children(tree, scope, dir, &few);
    size_t n = limited ? few.n : dir->n_children;
    vec_reserve(&entries, n);
    for (size_t i = 0; i < n && answer == WORKTREE_READY; i++) {
        uint32_t child = dir->children[limited ? few.v[i] : i];
        const struct node *node = worktree_node(tree, child);
        struct tree_entry entry;
        bool taken;
        size_t before = worktree_path_push(&tree->path, node->name, node->name_len);
        answer = compose_child(tree, scope, child, &entry, &taken, err);
        buf_truncate(&tree->path, before);
        if (taken)
            vec_push(&entries, entry);
    }
    if (answer == WORKTREE_READY) {
        memo = worktree_memo(dir, scope);
        memo->digest = *digest = trees_put(tree->trees, entries.v, entries.n);
        memo->any = *any = entries.n > 0;
        memo->composed = true;
    }
    vec_release(&few);
    vec_release(&entries);
    return answer;
}

/* --- inputs named outright --- */

static enum worktree_answer check_literal(const struct worktree *tree, const char *path,
                                          struct err *err)
{
    char name[256];
    uint32_t id = 0;
    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");
        const struct node *above = worktree_node(tree, id);
        if (above->kind == NODE_LINK)
            return broken(path,
                          "is reached through a symbolic link, and kiln follows none; name the "
                          "place that it leads to "
                          "in \"inputs\"",
                          err);
        id = WORKTREE_NONE;
        if (above->kind == NODE_DIR && above->dir && n < sizeof(name)) {
            memcpy(name, at, n);
            name[n] = '\0';
            if (strcmp(name, ".git") == 0)
                return broken(path, "lies in a .git directory, which is never an input", err);
            id = worktree_child(tree, above->dir, name, NULL);
        }
        if (id == WORKTREE_NONE)
            return broken(
                path,
                "is named in \"inputs\" and is not there; make it, or take it out of \"inputs\"",
                err);
        at += n;
        at += *at == '/';
    }
    if (worktree_node(tree, id)->kind == NODE_OTHER)
        return broken(
            path,
            "is a FIFO, a socket or a device; only files, links and directories can be inputs",
            err);
    return WORKTREE_READY;
}

static enum worktree_answer check_literals(const struct worktree *tree, const struct view *view,
                                           size_t *bad, struct err *err)
{
    for (size_t i = 0; i < view->n_literals; i++) {
        const char *path = view->literals[i];
        /* Above an output, too: a directory that a step may be about to make. */
        if (!*path || worktree_at_output(tree, path) || output_path(tree, path, strlen(path)))
            continue;
        if (!worktree_view_has(view, path) && worktree_view_reach(view, path) == GLOB_NONE)
            continue; /* a later pattern takes it away */
        if (check_literal(tree, path, err) != WORKTREE_READY) {
            *bad = view->literal_index[i];
            return WORKTREE_BROKEN;
        }
    }
    return WORKTREE_READY;
}

enum worktree_answer worktree_digest(struct worktree *tree, uint32_t id, struct digest *out,
                                     size_t *bad, struct err *err)
{
    struct view *view = &tree->views.v[id];
    size_t unused;
    bad = bad ? bad : &unused;
    *bad = SIZE_MAX;
    if (view->has_digest) {
        *out = view->digest;
        return WORKTREE_READY;
    }
    struct scope scope = worktree_view_scope(tree, id);
    bool any;
    buf_reset(&tree->path);
    const struct dir *root = worktree_node(tree, 0)->dir;
    if (!root || !worktree_memo(worktree_dir(tree, 0), &scope)->ready)
        return WORKTREE_PENDING;
    if (view->kind == WORKTREE_INPUTS && !root->errnum) {
        enum worktree_answer literals = check_literals(tree, view, bad, err);
        if (literals != WORKTREE_READY)
            return literals;
    }
    enum worktree_answer answer = compose(tree, &scope, 0, out, &any, err);
    view->has_digest = answer == WORKTREE_READY;
    if (view->has_digest)
        view->digest = *out;
    return answer;
}
