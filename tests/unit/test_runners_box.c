/*
 * The box runner with the kernel's own namespaces and the OCI runtime: what a step in the sandbox
 * and one in an image (of busybox alone) sees, and what is left of them.
 *
 * As root the same is done by an ordinary process too, in the process tests.
 */
#include "tests/unit/test_runners_rig.h"

#include "base/file.h"
#include "base/mem.h"
#include "runners/box.h"

#include <sys/mman.h>

struct box_rig {
    struct rig rig;
    struct box_owner owner;
    char view[96], dir[96], layer[96];
    const char *views[1], *layers[1];
};

static void make_dir(const struct box_rig *r, const char *path)
{
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(lchown(path, r->owner.uid, r->owner.gid), 0);
}

static void make_file(const struct box_rig *r, const char *dir, const char *name, const char *text,
                      mode_t mode)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchown(fd, r->owner.uid, r->owner.gid), 0);
    close(fd);
}

static void box_init(struct box_rig *r)
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
static void box_free(struct box_rig *r)
{
    struct err err = ERR_INIT;
    if (file_remove_tree(AT_FDCWD, r->dir, &err) < 0)
        fail_msg("%s", err_text(&err));
    rig_free(&r->rig);
}

static struct runner_box new_box(struct box_rig *r, const char *name)
{
    static const char *const parts[] = {"upper", "work", "root-upper", "root-work"};
    char path[160];
    snprintf(r->dir, sizeof r->dir, "%s/%s", r->rig.dir, name);
    make_dir(r, r->dir);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", r->dir, parts[i]);
        make_dir(r, path);
    }
    return (struct runner_box){
        .view = r->views, .n_view = 1, .mount = BOX_PROJECT, .dir = r->dir, .user = ""};
}

static void use_image(struct box_rig *r, struct runner_box *box)
{
    static const char *const dirs[] = {"", "/bin", "/etc", "/tmp"};
    char path[160];
    snprintf(r->layer, sizeof r->layer, "%s/layer", r->rig.dir);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        snprintf(path, sizeof path, "%s%s", r->layer, dirs[i]);
        make_dir(r, path);
    }
    make_file(r, r->layer, "etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n",
              0644);
    make_file(r, r->layer, "etc/group", "root:x:0:\nweb:x:34:\nmore:x:35:web\n", 0644);
    char command[512];
    snprintf(command, sizeof command,
             "b=$(command -v busybox) && cp -L $b '%s/bin/busybox' && cd '%s/bin' && "
             "for i in sh cat ls id mount touch mkdir sleep true; do ln -s busybox $i; done",
             r->layer, r->layer);
    assert_int_equal(system(command), 0);
    r->layers[0] = r->layer;
    box->root = BOX_ROOT_IMAGE;
    box->layers = r->layers;
    box->n_layers = 1;
}

/* The words are gone after the callback. */
static void tell_lost(struct run *run)
{
    if (run->exit.lost)
        print_error("lost: %s\n", run->exit.lost);
}

static struct run *run_in(struct box_rig *r, const struct runner_box *box, const char *script)
{
    struct run *run = run_new(&r->rig);
    run->request.box = box;
    run->on_exit = tell_lost;
    run_start(&r->rig, run, script);
    run_wait(&r->rig, run);
    run->request.box = NULL;
    assert_null(run->exit.lost);
    return run;
}

static void check(struct box_rig *r, const struct runner_box *box, const char *script,
                  const char *expected)
{
    struct run *run = run_in(r, box, script);
    if (strcmp(buf_str(&run->text), expected) != 0 || run->exit.exit_code != 0)
        fail_msg("%s: exit code %d, wrote '%s' instead of '%s'", script, run->exit.exit_code,
                 buf_str(&run->text), expected);
    run_free(run);
}

static void test_sandbox(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    check(&r, &box, "pwd; id -u; id -un; id -g; cat input; echo more >> input; cat input; umask",
          "/src\n1000\nkiln\n1000\nas it was\nas it was\nmore\n0022\n");
    check(&r, &box,
          "ls -A /home /root /srv; ls /sys/class/net; touch /usr/x /etc/x 2>/dev/null || echo no",
          "/home:\n\n/root:\n\n/srv:\nlo\nno\n");
    box_free(&r);
}

static void test_image(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    use_image(&r, &box);
    check(&r, &box, "id -u; cat input; ls /; touch /new /src/made; ls /bin/busybox",
          "0\nas it was\nbin\ndev\netc\nproc\nsrc\nsys\ntmp\n/bin/busybox\n");
    box_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox),
        cmocka_unit_test(test_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
