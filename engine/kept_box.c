#include "engine/kept_box.h"

#include "base/bits.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/cache.h"
#include "cache/changes.h"
#include "cache/snapshot.h"
#include "engine/content.h"
#include "engine/kept.h"
#include "engine/kept_mask.h"
#include "runners/box.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a file whose lines are shown. */
#define SHOWN_MAX ((size_t)4 << 20)

struct kept_box {
    struct arena arena;
    struct kept kept;
    char *root;
    char *mount; /* where the project was in the box */
    struct cache *cache;
    struct trees *trees; /* what the step was given */
    struct snapshot *snapshot;
    int fd;                    /* of what was written over it */
    VEC(const char *) outputs; /* of all steps */
    struct kept_mask *mask;
    struct box_changes found;
    VEC(struct kept_change) changes;
};

/* -- opening ----------------------------------------------------------------------------------- */

static int why_none(const struct kept_box_options *o, struct err *err)
{
    const struct history_record *last = o->history ? history_last(o->history, o->step) : NULL;
    if (!o->records)
        return err_set(err, ERR_USAGE, "without a state directory nobody knows what \"%s\" left",
                       o->step);
    if (!last)
        return err_set(err, ERR_USAGE, "\"%s\" has not run here yet: no failure of it is kept",
                       o->step);
    if (last->status == HISTORY_PASSED)
        return err_set(err, ERR_USAGE,
                       "\"%s\" passed when it last ran: what a failure before that left is gone",
                       o->step);
    return err_set(err, ERR_USAGE,
                   "nothing is kept of the last failure of \"%s\"; kiln run %s makes it anew",
                   o->step, o->step);
}

static int find_exec(const struct kept_box_options *o, const struct op_exec **out, struct err *err)
{
    op_id id = graph_find(o->graph, o->step);
    if (id == OP_NONE) {
        VEC(const char *) names = VEC_INIT;
        for (size_t i = 0; i < o->graph->n_execs; i++)
            vec_push(&names, o->graph->ops[o->graph->execs[i]].u.exec.name);
        const char *near = text_nearest(o->step, names.v, names.n);
        int rc = err_set(err, ERR_USAGE,
                         near ? "no step \"%s\"; did you mean \"%s\"?" : "no step \"%s\"", o->step,
                         near);
        vec_release(&names);
        return rc;
    }
    *out = &o->graph->ops[id].u.exec;
    if (strcmp((*out)->runner, "host") == 0)
        return err_set(err, ERR_USAGE,
                       "\"%s\" runs on the host, in the working tree itself: there is no box, and "
                       "what was changed is there already",
                       o->step);
    return 0;
}

static int open_upper(struct kept_box *box, const char *step, struct err *err)
{
    char *upper = path_join(box->kept.path, "upper");
    int rc = 0;
    box->fd = open(upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (box->fd < 0 && errno == ENOENT)
        rc = err_set(err, ERR_USAGE,
                     "what the last failure of \"%s\" left was collected; kiln run %s makes it "
                     "anew",
                     step, step);
    else if (box->fd < 0)
        rc = err_sys(err, errno, "cannot open %s", upper);
    free(upper);
    return rc;
}

static void find_snapshot(struct kept_box *box, const char *step)
{
    struct box_owner owner;
    if (box_owner(&owner, NULL) < 0)
        return;
    const struct snapshot_options options = {
        .root = box->root, .name = step, .owner = owner.uid, .group = owner.gid};
    box->snapshot = snapshot_find(box->cache, &box->kept.input_root, &options);
}

int kept_box_open(const struct kept_box_options *o, struct kept_box **out, struct err *err)
{
    const struct op_exec *exec = NULL;
    struct kept kept = {0};
    *out = NULL;
    int rc = find_exec(o, &exec, err);
    if (rc == 0 && (!o->records || !kept_find(o->records, o->step, &kept)))
        rc = why_none(o, err);
    if (rc < 0)
        return rc;
    struct kept_box *box = mem_zalloc(1, sizeof *box);
    box->kept = kept;
    box->cache = o->cache;
    box->root = mem_strdup(o->root);
    box->mount = mem_strdup(exec->mount_same ? o->root : BOX_PROJECT);
    box->trees = trees_new();
    for (size_t i = 0; i < o->graph->n_execs; i++) {
        const struct op_exec *other = &o->graph->ops[o->graph->execs[i]].u.exec;
        for (size_t j = 0; j < other->n_outputs; j++)
            vec_push(&box->outputs, arena_strdup(&box->arena, other->outputs[j]));
    }
    box->mask = kept_mask_new(exec, o->root);
    rc = open_upper(box, o->step, err);
    struct digest nothing = tree_empty();
    if (rc == 0 && !digest_eq(&kept.input_root, &nothing) &&
        (!o->history || !history_load_tree(o->history, &kept.input_root, box->trees)))
        rc = err_set(err, ERR_USAGE,
                     "what \"%s\" had read when it failed is not known any more; kiln run %s "
                     "makes the failure anew",
                     o->step, o->step);
    if (rc == 0)
        find_snapshot(box, o->step);
    if (rc < 0)
        kept_box_free(box);
    else
        *out = box;
    return rc;
}

void kept_box_free(struct kept_box *box)
{
    if (!box)
        return;
    snapshot_release(box->snapshot);
    trees_free(box->trees);
    kept_mask_free(box->mask);
    box_changes_release(&box->found);
    vec_release(&box->changes);
    vec_release(&box->outputs);
    kept_release(&box->kept);
    if (box->fd >= 0)
        close(box->fd);
    free(box->root);
    free(box->mount);
    arena_release(&box->arena);
    free(box);
}

/* -- looking ----------------------------------------------------------------------------------- */

static bool is_output(const struct kept_box *box, const char *path)
{
    vec_each (const char *, output, &box->outputs) {
        if (path_is_below(path, *output))
            return true;
    }
    return false;
}

static bool wants(void *ctx, const char *path)
{
    return !is_output(ctx, path);
}

/* What is swept meanwhile is moved away first: so what was read before it was still there is whole.
 */
static bool stands(const struct kept_box *box)
{
    struct stat st, now;
    char *upper = path_join(box->kept.path, "upper");
    bool there = fstat(box->fd, &st) == 0 && lstat(upper, &now) == 0 && st.st_ino == now.st_ino &&
                 st.st_dev == now.st_dev;
    free(upper);
    return there;
}

int kept_box_look(struct kept_box *box, struct err *err)
{
    int rc =
        box_changes_find(box->fd, box->trees, &box->kept.input_root, wants, box, &box->found, err);
    if (rc == 0 && !stands(box))
        rc = err_set(err, ERR_SYSTEM,
                     "what the step left went while it was looked at: it has passed, failed "
                     "again, or was collected");
    if (rc < 0)
        return rc;
    vec_each (struct box_change, at, &box->found.v) {
        struct kept_change change = {.at = at};
        change.class = is_output(box, at->path)      ? KEPT_OUTPUT
                       : at->was.kind == FILE_ABSENT ? KEPT_MADE
                                                     : KEPT_INPUT;
        vec_push(&box->changes, change);
    }
    return 0;
}

const struct kept_change *kept_box_changes(const struct kept_box *box, size_t *n, uint64_t *more)
{
    *n = box->changes.n;
    *more = box->found.more;
    return box->changes.v;
}

/* -- as a patch -------------------------------------------------------------------------------- */

/* As git quotes names that would be misread. */
static void add_name(struct buf *out, const char *prefix, const char *path)
{
    bool plain = true;
    for (const char *c = path; *c; c++)
        plain &= (unsigned char)*c >= ' ' && *c != 0x7f && *c != '"' && *c != '\\';
    if (plain) {
        buf_addf(out, "%s%s", prefix, path);
        return;
    }
    buf_addf(out, "\"%s", prefix);
    for (const char *c = path; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_addf(out, "\\%c", *c);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            buf_addf(out, "\\%03o", (unsigned)(unsigned char)*c);
        else
            buf_addc(out, *c);
    }
    buf_addc(out, '"');
}

static void add_side(struct buf *out, const char *mark, bool there, const char *prefix,
                     const char *path)
{
    buf_addf(out, "%s ", mark);
    if (there)
        add_name(out, prefix, path);
    else
        buf_adds(out, "/dev/null");
    buf_adds(out, there && strchr(path, ' ') ? "\t\n" : "\n"); /* where the name ends */
}

static const char *mode_of(const struct file_state *state)
{
    return state->kind == FILE_LINK ? "120000" : state->executable ? "100755" : "100644";
}

static bool is_shown(const struct file_state *state)
{
    return state->kind != FILE_REGULAR || state->digest.size <= SHOWN_MAX;
}

static bool read_was(struct kept_box *box, const struct box_change *at, struct buf *out)
{
    if (at->was.kind == FILE_LINK)
        buf_adds(out, at->was.target);
    return at->was.kind != FILE_REGULAR || content_find(box->root, box->cache, box->snapshot,
                                                        at->path, &at->was.digest, SHOWN_MAX, out);
}

static bool read_is(struct kept_box *box, const struct box_change *at, struct buf *out)
{
    if (at->is.kind == FILE_LINK)
        buf_adds(out, at->is.target);
    return at->is.kind != FILE_REGULAR || take_read(box->fd, at->path, SHOWN_MAX, out, NULL) == 0;
}

/* One of the sides may be absent; both are of one kind where they are not. */
static const char *add_patch(const char *path, const struct file_state *was, const struct buf *old,
                             const struct file_state *is, const struct buf *now, struct buf *out)
{
    bool before = was->kind != FILE_ABSENT, after = is->kind != FILE_ABSENT;
    struct buf lines = BUF_INIT;
    bool told = changes_patch(old, now, &lines);
    if (told) {
        buf_adds(out, "diff --git ");
        add_name(out, "a/", path);
        buf_addc(out, ' ');
        add_name(out, "b/", path);
        buf_addc(out, '\n');
        if (!before)
            buf_addf(out, "new file mode %s\n", mode_of(is));
        else if (!after)
            buf_addf(out, "deleted file mode %s\n", mode_of(was));
        else if (was->executable != is->executable)
            buf_addf(out, "old mode %s\nnew mode %s\n", mode_of(was), mode_of(is));
        if (lines.len) {
            add_side(out, "---", before, "a/", path);
            add_side(out, "+++", after, "b/", path);
            buf_add(out, lines.data, lines.len);
        }
    }
    buf_release(&lines);
    return told ? NULL : "can't be compared";
}

const char *kept_box_patch(struct kept_box *box, const struct kept_change *change,
                           struct buf *patch)
{
    static const struct file_state absent = {.kind = FILE_ABSENT};
    const struct box_change *at = change->at;
    struct buf old = BUF_INIT, now = BUF_INIT, nothing = BUF_INIT;
    const char *remark = NULL;
    if (at->problem)
        return at->problem;
    if (at->is.kind == FILE_OTHER)
        return "neither a file nor a link";
    bool content = at->was.kind != at->is.kind || at->is.kind != FILE_REGULAR ||
                   !digest_eq(&at->was.digest, &at->is.digest);
    if (content && (!is_shown(&at->was) || !is_shown(&at->is)))
        remark = "too large to be shown";
    else if (content && !read_was(box, at, &old))
        remark = "what the step was given is not kept, so what differs can't be shown";
    else if (content && !read_is(box, at, &now))
        remark = "can't be read";
    else if (kept_mask_hides(box->mask, &old) || kept_mask_hides(box->mask, &now))
        remark = "may hold a secret of the step's";
    else if (!changes_is_text(buf_str(&old), old.len) || !changes_is_text(buf_str(&now), now.len))
        remark = "no text";
    else if (at->was.kind != FILE_ABSENT && at->is.kind != FILE_ABSENT &&
             at->was.kind != at->is.kind) {
        remark = add_patch(at->path, &at->was, &old, &absent, &nothing, patch);
        if (!remark)
            remark = add_patch(at->path, &absent, &nothing, &at->is, &now, patch);
    } else {
        remark = add_patch(at->path, &at->was, &old, &at->is, &now, patch);
    }
    buf_release(&old);
    buf_release(&now);
    return remark;
}

/* -- taking ------------------------------------------------------------------------------------ */

static bool was_cb(void *ctx, const char *path, const struct digest *digest, struct buf *out)
{
    struct kept_box *box = ctx;
    return content_find(box->root, box->cache, box->snapshot, path, digest, TAKE_MERGE_MAX, out);
}

/* A path as people have it: from the project's folder, or as it is called in the box. */
static const char *inside(const struct kept_box *box, const char *path)
{
    size_t n = strlen(box->mount);
    bool below =
        *path == '/' && strncmp(path, box->mount, n) == 0 && (path[n] == '/' || path[n] == '\0');
    return below ? path + n + (path[n] == '/') : path;
}

/* Marks what is at or below the path. */
static int choose(struct kept_box *box, const char *path, struct bits *chosen, struct err *err)
{
    char *normal = path_normalize(inside(box, path));
    size_t found = 0;
    for (size_t i = 0; normal && i < box->changes.n; i++) {
        if (path_is_below(box->changes.v[i].at->path, normal)) {
            bits_put(chosen, i);
            found++;
        }
    }
    free(normal);
    return found ? 0
                 : err_set(err, ERR_USAGE,
                           "nothing was changed, made or removed at \"%s\" in the "
                           "box",
                           path);
}

int kept_box_take(struct kept_box *box, const char *const *paths, size_t n,
                  struct kept_taken *taken, struct err *err)
{
    struct bits chosen = {0};
    int rc = 0;
    *taken = (struct kept_taken){0};
    bits_init(&chosen, box->changes.n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = choose(box, paths[i], &chosen, err);
    taken->items = arena_zalloc(&box->arena, box->changes.n + 1, sizeof *taken->items);
    for (size_t i = 0; rc == 0 && i < box->changes.n; i++) {
        const struct kept_change *change = &box->changes.v[i];
        const struct box_change *at = change->at;
        if (n ? !bits_has(&chosen, i) : change->class != KEPT_INPUT)
            continue;
        if (n == 0 && at->is.kind == FILE_REGULAR &&
            kept_mask_hides_file(box->mask, box->fd, at->path))
            taken->secret++;
        else
            taken->items[taken->n++] = (struct take_item){
                .path = at->path, .was = at->was, .is = at->is, .problem = at->problem};
    }
    struct take_request request = {.cache = box->cache,
                                   .root = box->root,
                                   .from_fd = box->fd,
                                   .items = taken->items,
                                   .n = taken->n,
                                   .was = was_cb,
                                   .ctx = box,
                                   .arena = &box->arena};
    if (rc == 0)
        rc = take_files(&request, err);
    taken->conflicts = request.conflicts;
    taken->taken = request.taken;
    taken->left = request.left;
    bits_release(&chosen);
    return rc;
}
