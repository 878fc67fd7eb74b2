/*
 * boxing.c - what an isolated step runs in, from its image to the directory it writes to.
 *
 *     image (its layers are there) -> snapshot of its input tree -> directories to write -> started
 *
 * The first two may take minutes where they are met for the first time, and nothing where they are
 * known; workers and other programs do what takes long, and how far that is is told now and then.
 * Where a file is no longer what the key says when the snapshot is made, the inputs are looked at
 * again.
 */
#include "engine/boxing.h"
#include "engine/kept.h"
#include "engine/private.h"
#include "engine/rounds.h"
#include "engine/running.h"
#include "engine/tell.h"
#include "engine/wants.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LOOKS 3
#define MAX_TRIES 4 /* to make a snapshot of what turns out to be damaged */

struct boxing {
    uv_work_t work;
    struct engine *engine;
    struct flight *flight;
    struct preparing preparing;

    struct image_task *task;
    struct image *image;

    struct snapshot_request *request;
    atomic_bool stop;
    enum snapshot_answer answer;
    int tries;
    struct snapshot *view;
    struct worktree_check *check; /* after SNAPSHOT_CHANGED */

    struct digest root; /* what it reads */
    struct box_dir *dir;
    bool keeps_dir; /* it is an older failure's */
    char *upper;
    struct arena arena; /* of the request */
    int rc;
    struct err err;
};

static const struct op_exec *exec_of(const struct boxing *box)
{
    return box->engine->nodes.v[box->flight->node].exec;
}

static const char *mount_of(const struct boxing *box)
{
    return exec_of(box)->mount_same ? box->engine->opt.root : BOX_PROJECT;
}

/* -- one after the other ----------------------------------------------------------------------- */

/* Frees the flight, and the boxing with it. */
static void fail(struct boxing *box, int code, struct err *err)
{
    struct flight *flight = box->flight;
    struct engine *e = box->engine;
    struct err kept = ERR_INIT;
    err_move(&kept, err);
    preparing_end(&box->preparing);
    if (flight->cancelled || e->drained) {
        flight_end(e, flight, STEP_CANCELLED, flight->cancel_why != NULL, flight->cancel_why);
    } else {
        engine_failed(e, flight->owner, code);
        flight_end(e, flight, STEP_FAILED, false, err_text(&kept));
    }
    err_release(&kept);
}

static int code_of(const struct err *err)
{
    return err->kind == ERR_CONFIG ? 2 : 3;
}

static int new_dir(struct boxing *box, struct err *err)
{
    struct engine *e = box->engine;
    const struct box_owner *owner = &e->boxes.owner;
    if (!box->dir && (box_dir_new(e->opt.cache, owner->uid, owner->gid, &box->dir, err) < 0 ||
                      room_in_box(e, exec_of(box), &box->root, box->dir, err) < 0))
        return -(int)err->kind;
    box->upper = path_join(box_dir_path(box->dir), "upper");
    return 0;
}

static void ready(struct boxing *box)
{
    preparing_end(&box->preparing);
    if (box->flight->cancelled || new_dir(box, &box->err) < 0) {
        fail(box, 3, &box->err);
        return;
    }
    if (box->flight->shell) /* nobody needs to wait for what it does */
        turn_give(box->engine, &box->engine->nodes.v[box->flight->node]);
    flight_launch(box->engine, box->flight);
}

/* -- an input is no longer what the key says --------------------------------------------------- */

static void check_work(uv_work_t *work)
{
    struct boxing *box = work->data;
    worktree_check_work(box->check);
}

/* The needed step that makes what stands at the path, or NULL. */
static const char *maker_of(const struct boxing *box, const char *path)
{
    struct engine *e = box->engine;
    vec_each (uint32_t, dep, &e->nodes.v[box->flight->node].deps) {
        const struct op_exec *exec = e->nodes.v[*dep].exec;
        for (size_t i = 0; i < exec->n_outputs; i++) {
            if (path_is_below(path, exec->outputs[i]))
                return exec->name;
        }
    }
    return NULL;
}

/* A shell is wanted where the step failed the last time. */
static int take_failed(struct boxing *box, struct err *err)
{
    struct engine *e = box->engine;
    const char *step = exec_of(box)->name;
    struct kept kept;
    int rc = 0;
    if (!e->opt.records || !kept_find(e->opt.records, step, &kept))
        return err_set(err, ERR_USAGE, "no failure of \"%s\" is kept", step);
    box->root = kept.input_root;
    if (!e->opt.history || !history_load_tree(e->opt.history, &kept.input_root, e->trees))
        rc = err_set(err, ERR_CORRUPT, "what \"%s\" had read when it failed is not known any more",
                     step);
    if (rc == 0)
        rc = box_dir_open(e->opt.cache, kept.path, &box->dir, err);
    box->keeps_dir = rc == 0;
    kept_release(&kept);
    return rc;
}

static void look_again(struct boxing *box)
{
    const char *path = snapshot_request_changed(box->request);
    const char *maker = maker_of(box, path);
    if (box->flight->cancelled || box->engine->drained) {
        fail(box, 3, &box->err);
    } else if (maker) {
        err_set(&box->err, ERR_CORRUPT,
                "%s, which it needs of \"%s\", is no longer in the cache, and changed in the "
                "project; kiln run --force=%s makes it anew",
                path, maker, maker);
        fail(box, 1, &box->err);
    } else if (++box->flight->owner->looks > MAX_LOOKS) {
        err_set(&box->err, ERR_CORRUPT,
                "input %s changes all the time: no copy of it could be made that is whole", path);
        fail(box, 1, &box->err);
    } else {
        preparing_end(&box->preparing);
        flight_look_again(box->engine, box->flight);
    }
}

static void checked(uv_work_t *work, int status)
{
    struct boxing *box = work->data;
    struct engine *e = box->engine;
    (void)status;
    (void)worktree_check_changed(box->check); /* marks it */
    look_again(box);
    engine_job_done(e);
}

static void input_changed(struct boxing *box)
{
    struct engine *e = box->engine;
    ids views = VEC_INIT;
    vec_each (uint32_t, local, &e->nodes.v[box->flight->node].locals)
        vec_push(&views, e->locals.v[*local].view);
    if (views.n) {
        box->check = worktree_check_new(e->worktree, views.v, views.n);
        e->n_jobs++;
        uv_queue_work(e->loop, &box->work, check_work, checked);
    } else {
        look_again(box);
    }
    vec_release(&views);
}

/* -- the snapshot ------------------------------------------------------------------------------ */

static void snapshot_work(uv_work_t *work)
{
    struct boxing *box = work->data;
    box->rc = snapshot_make(box->request, &box->answer, &box->view, &box->err);
}

static void begin_snapshot(struct boxing *box);

/* Another snapshot that this one was to be made from is damaged, and gone now. */
static void make_anew(struct boxing *box)
{
    if (++box->tries == MAX_TRIES) {
        err_set(&box->err, ERR_CORRUPT,
                "snapshots in the cache are damaged each time that they are read; is the disk "
                "failing? kiln cache verify tells more");
        fail(box, 3, &box->err);
        return;
    }
    snapshot_request_free(box->request);
    box->request = NULL;
    begin_snapshot(box);
}

static void snapshot_done(uv_work_t *work, int status)
{
    struct boxing *box = work->data;
    struct engine *e = box->engine;
    (void)status;
    if (box->rc < 0)
        fail(box, 3, &box->err);
    else if (box->answer == SNAPSHOT_AGAIN)
        make_anew(box);
    else if (box->answer == SNAPSHOT_CHANGED)
        input_changed(box);
    else
        ready(box);
    engine_job_done(e);
}

static void begin_snapshot(struct boxing *box)
{
    struct engine *e = box->engine;
    const struct snapshot_options options = {.root = e->opt.root,
                                             .name = exec_of(box)->name,
                                             .owner = e->boxes.owner.uid,
                                             .group = e->boxes.owner.gid,
                                             .progress = &box->preparing.snapshot_progress,
                                             .stop = &box->stop};
    const struct digest *root = &box->root;
    preparing_next(&box->preparing, NULL);
    box->view = snapshot_find(e->opt.cache, root, &options);
    if (box->view) {
        ready(box);
    } else if (snapshot_request_new(e->opt.cache, e->trees, root, &options, &box->request,
                                    &box->err) < 0) {
        fail(box, 3, &box->err);
    } else {
        e->n_jobs++;
        uv_queue_work(e->loop, &box->work, snapshot_work, snapshot_done);
    }
}

/* -- the image --------------------------------------------------------------------------------- */

static void on_image_progress(void *ctx, const struct image_progress *progress)
{
    preparing_image(&((struct boxing *)ctx)->preparing, progress);
}

static void on_image(void *ctx, struct image *image, const struct err *err)
{
    struct boxing *box = ctx;
    struct engine *e = box->engine;
    box->task = NULL;
    box->image = image;
    if (!image) {
        err_set(&box->err, err->kind, "%s", err_text(err));
        fail(box, code_of(err), &box->err);
    } else if (box->flight->cancelled) {
        fail(box, 3, &box->err);
    } else {
        begin_snapshot(box);
    }
    engine_job_done(e);
}

static void begin_image(struct boxing *box)
{
    static const struct image_callbacks callbacks = {.progress = on_image_progress,
                                                     .ready = on_image};
    struct engine *e = box->engine;
    const struct pin *pin = images_pin(e, &e->nodes.v[box->flight->node]);
    if (!pin) {
        begin_snapshot(box);
        return;
    }
    preparing_next(&box->preparing, exec_of(box)->image);
    if (image_prepare(e->boxes.images, &pin->ref, pin->platform, &pin->pin, exec_of(box)->user,
                      &callbacks, box, &box->task, &box->err) < 0) {
        fail(box, code_of(&box->err), &box->err);
        return;
    }
    e->n_jobs++;
}

void boxing_prepare(struct engine *e, struct flight *flight)
{
    struct boxing *box = mem_zalloc(1, sizeof *box);
    box->engine = e;
    box->flight = flight;
    box->work.data = box;
    flight->box = box;
    preparing_begin(&box->preparing, flight);
    box->root = flight->owner->input_root;
    if (boxes_need(e, e->nodes.v[flight->node].pin != 0, &box->err) < 0 ||
        (flight->shell && e->opt.shell->failed && take_failed(box, &box->err) < 0) ||
        caches_check(flight->caches, &box->err) < 0)
        fail(box, code_of(&box->err), &box->err);
    else
        begin_image(box);
    boxes_sweep(e);
}

void boxing_cancel(struct flight *flight)
{
    struct boxing *box = flight->box;
    atomic_store(&box->stop, true);
    if (box->task)
        image_cancel(box->task);
}

/* -- running ----------------------------------------------------------------------------------- */

static bool is_text(const struct op_exec *exec)
{
    return exec->n_argv == 3 && !strcmp(exec->argv[0], "/bin/sh") && !strcmp(exec->argv[1], "-ec");
}

static bool is_set(const char *const *envp, const char *name)
{
    size_t n = strlen(name);
    for (; *envp; envp++) {
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
            return true;
    }
    return false;
}

/* The step's over the image's over what every step has. */
static const char *const *environment(struct boxing *box, const char *const *own)
{
    static const char *const base[][2] = {
        {"LANG", "LANG=C.UTF-8"}, {"TERM", "TERM=dumb"}, {"TZ", "TZ=UTC"}};
    const char *const *both = image_environment(box->image, own, &box->arena);
    size_t n = 0, n_base = sizeof base / sizeof *base;
    while (both[n])
        n++;
    const char **all = arena_zalloc(&box->arena, n + n_base + 1, sizeof *all);
    memcpy(all, both, n * sizeof *all);
    for (size_t i = 0; i < n_base; i++) {
        if (!is_set(both, base[i][0]))
            all[n++] = base[i][1];
    }
    return all;
}

void boxing_request(struct engine *e, struct flight *flight, struct runner_request *request)
{
    struct boxing *box = flight->box;
    const struct op_exec *exec = exec_of(box);
    struct runner_box *out = arena_zalloc(&box->arena, 1, sizeof *out);
    (void)e;
    *out = (struct runner_box){.root = box->image ? BOX_ROOT_IMAGE : BOX_ROOT_HOST,
                               .mount = mount_of(box),
                               .dir = box_dir_path(box->dir),
                               .user = "",
                               .network = exec->network,
                               .limits = {.memory = exec->limits.memory,
                                          .file_size = exec->limits.file_size,
                                          .pids = exec->limits.pids,
                                          .cpu_milli = exec->limits.cpu_milli}};
    struct digest nothing = tree_empty();
    if (!digest_eq(&box->root, &nothing)) /* else what it writes is all there is */
        out->view = snapshot_dirs(box->view, &out->n_view);
    out->n_caches = caches_mounts(flight->caches, exec, &box->arena, &out->caches);
    out->n_secrets = secrets_files(flight->secrets, exec, &box->arena, &out->secrets);
    if (box->image) {
        out->layers = box->image->layers;
        out->n_layers = box->image->n_layers;
        out->user = exec->user ? exec->user : box->image->user;
        request->argv =
            image_command(box->image, request->argv, flight->shell || is_text(exec), &box->arena);
        request->envp = environment(box, request->envp);
    }
    request->box = out;
    request->ahead = false;
}

const char *boxing_mount(const struct engine *e, const struct flight *flight)
{
    const struct op_exec *exec = e->nodes.v[flight->node].exec;
    return flight->box && !exec->mount_same ? BOX_PROJECT : NULL;
}

const char *boxing_upper(const struct flight *flight)
{
    return flight->box->upper;
}

int boxing_again(struct engine *e, struct flight *flight, struct err *err)
{
    struct boxing *box = flight->box;
    box_dir_release(e, box->dir);
    free(box->upper);
    box->upper = NULL;
    box->dir = NULL;
    arena_release(&box->arena);
    return new_dir(box, err);
}

void boxing_keep(struct engine *e, struct flight *flight)
{
    struct boxing *box = flight->box;
    struct node *node = &e->nodes.v[flight->node];
    hints_release(&node->hints);
    if (flight->exit.exit_code > 0)
        hints_of(e, flight, mount_of(box), &node->hints);
    free(node->kept);
    node->kept = NULL;
    write_results(e, true); /* what it was given, for whoever looks at the box while this goes on */
    if (kept_put(e, node->exec->name, &flight->owner->input_root, box->dir)) {
        node->kept = mem_strdup(box_dir_path(box->dir));
        box_dir_free(box->dir);
        box->dir = NULL;
    }
}

void boxing_free(struct boxing *box)
{
    if (!box)
        return;
    preparing_end(&box->preparing);
    worktree_check_free(box->check);
    snapshot_request_free(box->request);
    snapshot_release(box->view);
    image_free(box->image);
    if (box->keeps_dir)
        box_dir_free(box->dir);
    else
        box_dir_release(box->engine, box->dir);
    free(box->upper);
    arena_release(&box->arena);
    err_release(&box->err);
    free(box);
}
