/*
 * test_runners_box.h - what the tests of the box runner share: a rig with that runner, and boxes on
 * a view of one file.
 */
#ifndef KILN_TESTS_RUNNERS_BOX_H
#define KILN_TESTS_RUNNERS_BOX_H

#include "tests/unit/test_runners_rig.h"

#include "base/file.h"
#include "runners/box.h"

struct box_rig {
    struct rig rig;
    struct box_owner owner;
    char view[96], dir[96], layer[96];
    const char *views[1], *layers[1];
};

static inline void make_dir(const struct box_rig *r, const char *path)
{
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(lchown(path, r->owner.uid, r->owner.gid), 0);
}

static inline void make_file(const struct box_rig *r, const char *dir, const char *name,
                             const char *text, mode_t mode)
{
    char path[160];
    assert_true((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) < sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchown(fd, r->owner.uid, r->owner.gid), 0);
    close(fd);
}

static inline void box_init(struct box_rig *r)
{
    struct err err = ERR_INIT;
    memset(r, 0, sizeof *r);
    rig_init(&r->rig);
    rig_close(&r->rig); /* the host's is not wanted */
    r->rig.closed = false;
    assert_int_equal(chmod(r->rig.dir, 0755), 0);
    if (box_owner(&r->owner, &err) < 0)
        fail_msg("%s", err_text(&err));
    assert_int_equal(runner_box_new(&r->rig.loop, NULL, &r->rig.runner, &err), 0);
    snprintf(r->view, sizeof r->view, "%s/view", r->rig.dir);
    make_dir(r, r->view);
    make_file(r, r->view, "input", "as it was\n", 0644);
    r->views[0] = r->view;
}

/* overlayfs leaves a directory that nobody may enter. */
static inline void box_free(struct box_rig *r)
{
    struct err err = ERR_INIT;
    if (box_remove(r->dir, &err) < 0)
        fail_msg("%s", err_text(&err));
    rig_free(&r->rig);
}

static inline struct runner_box new_box(struct box_rig *r, const char *name)
{
    static const char *const parts[] = {"upper"};
    char path[160];
    snprintf(r->dir, sizeof r->dir, "%s/%s", r->rig.dir, name);
    make_dir(r, r->dir);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s/%s", r->dir, parts[i]);
        make_dir(r, path);
    }
    return (struct runner_box){
        .view = r->views, .n_view = 1, .mount = BOX_PROJECT, .dir = r->dir, .user = ""};
}

/* The words are gone after the callback. */
static inline void tell_lost(struct run *run)
{
    if (run->exit.lost)
        print_error("lost: %s\n", run->exit.lost);
}

#endif
