/*
 * What a view takes of the nodes, and its digest: gathering (worktree_gather.c) and composing
 * (Directory messages from the bottom up) go over the same selection and stop at memos.
 */
#include "cache/worktree_private.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static enum worktree_answer too_deep(const char *path, struct err *err)
{
    size_t n = strcspn(path, "/"); /* of kilobytes, the components that tell which one it is */
    for (size_t more; (more = strcspn(path + n + 1, "/") + 1) + n < 120;)
        n += more;
    struct buf text = BUF_INIT;
    buf_add_shown(&text, path, n);
    err_set(err, ERR_CONFIG,
            "\"%s/…\" is nested deeper than %d directories, which is more than kiln takes; exclude "
            "it with '!' in \"inputs\"",
            buf_str(&text), TREE_DEPTH_MAX);
    buf_release(&text);
    return WORKTREE_BROKEN;
}

static enum worktree_answer unreadable(const char *path, bool directory, int errnum,
                                       struct err *err)
{
    if (directory && errnum == ERRNUM_TOO_DEEP)
        return too_deep(path, err);
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
    if (worktree_may_pass(errnum)) {
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
        bool any = false;
        enum worktree_answer answer =
            worktree_compose(tree, &sub, child, &entry->digest, &any, err);
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

/* Whether every directory that the scope takes below has the digest that its record has. */
static enum worktree_answer recall_below(struct worktree *tree, const struct scope *scope,
                                         const struct dir *dir, bool *recalled, struct err *err)
{
    worktree_places few = VEC_INIT;
    bool limited = worktree_few_children(tree, scope, dir, &few, NULL, NULL);
    enum worktree_answer answer = WORKTREE_READY;
    *recalled = true;
    for (size_t i = 0, n = limited ? few.n : dir->n_children; i < n && *recalled; i++) {
        uint32_t child = dir->children[limited ? few.v[i] : i];
        struct node *node = worktree_node(tree, child);
        struct digest digest;
        struct scope sub;
        bool any;
        size_t before = worktree_path_push(&tree->path, node->name, node->name_len);
        if (worktree_pick(tree, scope, node, buf_str(&tree->path), &sub) == PICK_BELOW) {
            answer = worktree_compose(tree, &sub, child, &digest, &any, err);
            *recalled = answer == WORKTREE_READY && worktree_memo(node->dir, &sub)->recalled;
        }
        buf_truncate(&tree->path, before);
    }
    vec_release(&few);
    return answer;
}

/* The digest of a directory that is asleep, from its record. Where that does not tell, the
 * directory is awake afterwards. */
static enum worktree_answer recall(struct worktree *tree, const struct scope *scope, uint32_t id,
                                   struct err *err)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    struct statcache_memo known;
    bool recalled = false;
    if (worktree_sleep_memo(tree, dir, scope, &known)) {
        enum worktree_answer answer = recall_below(tree, scope, dir, &recalled, err);
        if (answer != WORKTREE_READY)
            return answer;
    }
    struct memo *memo = worktree_memo(dir, scope);
    if (recalled) {
        memo->digest = known.digest;
        memo->any = known.digest.size > 0;
        memo->composed = memo->recalled = true;
        worktree_note_recalled(tree, dir, scope, &known.digest);
        return WORKTREE_READY;
    }
    worktree_wake(tree, dir);
    memo->ready = false;
    if (worktree_gather(tree, scope, id) == 0)
        return WORKTREE_READY;
    worktree_unsettle(tree, id);
    worktree_node(tree, id)->flags |= N_MARKED;
    return WORKTREE_PENDING;
}

/* What is composed anew is worth keeping when it will be asked for under the same stamps. */
static void note_composed(struct worktree *tree, const struct dir *dir, const struct scope *scope,
                          const struct digest *digest)
{
    struct statcache_memo known;
    if (!tree->keeps_times || tree->cache_stale)
        return;
    if (worktree_record_memo(tree, dir, scope, &known) && digest_eq(&known.digest, digest))
        return;
    tree->cache_stale = stamp_settled(&dir->stamp, dir->read_ns);
}

enum worktree_answer worktree_compose(struct worktree *tree, const struct scope *scope, uint32_t id,
                                      struct digest *digest, bool *any, struct err *err)
{
    struct dir *dir = worktree_node(tree, id)->dir;
    struct memo *memo = dir ? worktree_memo(dir, scope) : NULL;
    if (!memo || !memo->ready || dir->state == DIR_ASSUMED)
        return WORKTREE_PENDING;
    if (!memo->composed && dir->state == DIR_ASLEEP) {
        enum worktree_answer answer = recall(tree, scope, id, err);
        if (answer != WORKTREE_READY)
            return answer;
        memo = worktree_memo(dir, scope);
    }
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
    bool limited = worktree_few_children(tree, scope, dir, &few, NULL, NULL);
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
        memo->recalled = false;
        note_composed(tree, dir, scope, digest);
        if (tree->git)
            worktree_git_note(tree, scope, dir, digest);
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
    const struct dir *dir = worktree_node(tree, 0)->dir;
    enum node_kind kind = NODE_DIR;
    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");
        if (kind == NODE_LINK)
            return broken(path,
                          "is reached through a symbolic link, and kiln follows none; name the "
                          "place that it leads to "
                          "in \"inputs\"",
                          err);
        bool found = false;
        /* Taken over from a memo of git's, which was made when this had been found right. */
        if (tree->git && dir && !dir->was_read)
            return WORKTREE_READY;
        if (kind == NODE_DIR && dir && n < sizeof(name)) {
            memcpy(name, at, n);
            name[n] = '\0';
            if (strcmp(name, ".git") == 0)
                return broken(path, "lies in a .git directory, which is never an input", err);
            uint32_t id = worktree_child(tree, dir, name, NULL);
            found = id != WORKTREE_NONE || worktree_hidden(tree, dir, name, &kind);
            if (id != WORKTREE_NONE)
                kind = worktree_node(tree, id)->kind;
            if (dir->state == DIR_ASSUMED)
                return WORKTREE_PENDING;
            dir = id == WORKTREE_NONE ? NULL : worktree_node(tree, id)->dir;
        }
        if (!found)
            return broken(
                path,
                "is named in \"inputs\" and is not there; make it, or take it out of \"inputs\"",
                err);
        at += n;
        at += *at == '/';
    }
    if (kind == NODE_OTHER)
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
        enum worktree_answer answer = check_literal(tree, path, err);
        if (answer != WORKTREE_READY) {
            *bad = answer == WORKTREE_BROKEN ? view->literal_index[i] : SIZE_MAX;
            return answer;
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
    enum worktree_answer answer = worktree_compose(tree, &scope, 0, out, &any, err);
    view->has_digest = answer == WORKTREE_READY;
    if (view->has_digest)
        view->digest = *out;
    return answer;
}
