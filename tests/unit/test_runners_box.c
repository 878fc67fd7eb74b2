/*
 * The box runner with the kernel's own namespaces and the OCI runtime: what a step in the sandbox
 * and one in an image (of busybox alone) sees, and what is left of them.
 *
 * As root the same is done by an ordinary process too, in the process tests.
 */
#include "tests/unit/test_runners_box.h"

#include <sys/resource.h>

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

static void test_user(void **state)
{
    struct box_rig r;
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its own thread keeps a child of a process of one thread from making a nest */
#endif
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    struct err err = ERR_INIT;
    use_image(&r, &box);
    if (r.owner.n > 35) {
        box.user = "web";
        check(&r, &box, "id -u; id -g; id -G", "33\n34\n34 35\n");
        box.user = "web:root";
        check(&r, &box, "id -u; id -g; id -G", "33\n0\n0\n");
    }
    box.user = "33";
    check(&r, &box, "id -u; id -g; echo x > made; echo y >> input; cat input",
          "33\n34\nas it was\ny\n");
    char path[160];
    struct stat st;
    snprintf(path, sizeof path, "%s/upper/made", r.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, r.owner.uid); /* so that kiln can take it */
    box.user = "nobody-here";
    struct run *run = run_new(&r.rig);
    static const char *const argv[] = {"true", NULL};
    run->request.argv = argv;
    run->request.box = &box;
    assert_int_not_equal(
        runner_start(r.rig.runner, &run->request, &run_callbacks, run, &run->exec, &err), 0);
    assert_non_null(strstr(err_text(&err), "no user \"nobody-here\""));
    err_release(&err);
    run_free(run);
    box_free(&r);
}

static void test_no_program(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    static const char *const missing[] = {"no-such-program", NULL};
    static const char *const missing_path[] = {"/src/no-such-program", NULL};
    static const char *const forbidden[] = {"/src/input", NULL};
    static const char *const *const commands[] = {missing, missing_path, forbidden};
    static const int codes[] = {127, 127, 126};
    for (int i = 0; i < 3; i++) {
        struct run *run = run_new(&r.rig);
        run->request.box = &box;
        run->on_exit = tell_lost;
        run_start_argv(&r.rig, run, commands[i]);
        run_wait(&r.rig, run);
        assert_null(run->exit.lost);
        if (run->exit.exit_code != codes[i])
            fail_msg("%s: %d, %s", commands[i][0], run->exit.exit_code, buf_str(&run->text));
        assert_non_null(strstr(buf_str(&run->text), commands[i][0]));
        run_free(run);
    }
    box_free(&r);
}

static void test_exit_codes(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    struct run *run = run_in(&r, &box, "echo out; echo err >&2; exit 7");
    assert_int_equal(run->exit.exit_code, 7);
    assert_int_equal(run->bytes[1], 4);
    assert_int_equal(run->bytes[2], 4);
    run_free(run);
    run = run_in(&r, &box, "kill -TERM $$; exit 3");
    assert_int_equal(run->exit.exit_code, 143);
    run_free(run);
    box_free(&r);
}

/* Nothing survives the end of the command, its own session or not, and nothing a cancellation. */
static void test_nothing_stays(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    char path[160];
    snprintf(path, sizeof path, "%s/upper/written", r.dir);
    struct run *run = run_in(&r, &box,
                             "setsid sh -c 'while :; do echo x >> /src/written; done' & "
                             "until test -s written; do :; done; exit 0");
    assert_int_equal(run->exit.exit_code, 0);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    run_free(run);
    run = run_in(&r, &box, "true");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    run_free(run);

    run = run_new(&r.rig);
    run->request.box = &box;
    run_start(&r.rig, run,
              "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo ready; while :; do "
              "sleep 1; done' & while :; do sleep 1; done");
    run_wait_text(&r.rig, run, "ready");
    run->request.grace_ms = 0;
    runner_cancel(run->exec);
    runner_cancel(run->exec);
    run_wait(&r.rig, run);
    assert_true(run->exit.cancelled);
    run_free(run);
    box_free(&r);
}

/* A runtime that somebody kills takes its box along. */
static void test_runtime_killed(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    struct run *run = run_new(&r.rig);
    run->request.box = &box;
    run_start(&r.rig, run, "echo ready; while :; do sleep 1; done");
    run_wait_text(&r.rig, run, "ready");
    assert_int_equal(kill(run->pid, SIGKILL), 0);
    run_wait(&r.rig, run);
    assert_int_equal(run->exit.signal, SIGKILL);
    run_free(run);
    box_free(&r);
}

static void test_secrets(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    static const struct box_secret secrets[] = {{"/run/secrets/key", "open sesame\n", 12},
                                                {"/src/.token", "\0x", 2}};
    box.secrets = secrets;
    box.n_secrets = 2;
    check(&r, &box,
          "cat /run/secrets/key; wc -c < .token; echo x 2>/dev/null > .token || echo fixed; "
          "ulimit -c",
          "open sesame\n2\nfixed\n0\n");
    box_free(&r);
}

static void test_caches(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    char dir[160];
    snprintf(dir, sizeof dir, "%s/cache", r.rig.dir);
    make_dir(&r, dir);
    const struct box_cache caches[] = {{"/var/cache/tool", dir}};
    box.caches = caches;
    box.n_caches = 1;
    check(&r, &box, "ls /var/cache/tool; echo kept > /var/cache/tool/it", "");
    check(&r, &box, "cat /var/cache/tool/it", "kept\n");
    box_free(&r);
}

/* Layers whose names overlayfs would take for its own syntax, and a project at the host's path. */
static void test_odd_paths(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    char odd[160], lower[160];
    snprintf(odd, sizeof odd, "%s/a,b:c\\d e", r.rig.dir);
    snprintf(lower, sizeof lower, "%s/low:er", r.rig.dir);
    make_dir(&r, odd);
    make_dir(&r, lower);
    make_file(&r, odd, "input", "above\n", 0644);
    make_file(&r, lower, "input", "below\n", 0644);
    make_file(&r, lower, "more", "more\n", 0644);
    struct runner_box box = new_box(&r, "b,o:x");
    const char *const views[] = {lower, odd};
    box.view = views;
    box.n_view = 2;
    box.mount = odd;
    char expected[256];
    snprintf(expected, sizeof expected, "%s\nabove\nmore\n", odd);
    check(&r, &box, "pwd; cat input more; echo x > new; rm more", expected);
    snprintf(lower, sizeof lower, "%s/upper/new", r.dir);
    assert_int_equal(access(lower, F_OK), 0);
    box.n_view = 0;
    check(&r, &box, "cat new", "x\n");
    box_free(&r);
}

static void test_limits(void **state)
{
    struct box_rig r;
    struct err err = ERR_INIT;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    box.limits.file_size = 4096;
    struct run *run = run_in(&r, &box, "head -c 10000 /dev/zero > big; exit $?");
    assert_int_equal(run->exit.cause, BOX_CAUSE_FILE_SIZE);
    assert_non_null(strstr(buf_str(&run->text), "limit of a file's size"));
    run_free(run);
    box.limits = (struct box_limits){.memory = 64 << 20, .pids = 20};
    run = run_new(&r.rig);
    run->request.box = &box;
    static const char *const argv[] = {"/bin/sh", "-c",
                                       "x=$(head -c 200000000 /dev/zero | tr '\\0' x)", NULL};
    run->request.argv = argv;
    if (runner_start(r.rig.runner, &run->request, &run_callbacks, run, &run->exec, &err) < 0) {
        /* Nobody has handed control groups down to us: told, with the remedy. */
        assert_non_null(strstr(err_text(&err), "control group"));
        err_release(&err);
        run_free(run);
        box_free(&r);
        return;
    }
    run_wait(&r.rig, run);
    assert_int_equal(run->exit.cause, BOX_CAUSE_MEMORY);
    run_free(run);
    run = run_in(&r, &box, "i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i + 1)); done");
    assert_int_not_equal(run->exit.exit_code, 0);
    assert_int_equal(run->exit.cause, BOX_CAUSE_PIDS);
    run_free(run);
    box_free(&r);
}

/* Whoever handles TERM ends in its own way, whether it is the box's first process or not. */
static void test_ends_in_peace(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    struct run *run = run_new(&r.rig);
    run->request.box = &box;
    run_start(&r.rig, run,
              "trap 'wait; echo outer; exit 0' TERM; "
              "sh -c 'trap \"echo inner; exit 0\" TERM; echo ready; while :; do sleep 0.1; done' & "
              "while :; do sleep 0.1; done");
    run_wait_text(&r.rig, run, "ready");
    runner_cancel(run->exec);
    run_wait(&r.rig, run);
    assert_true(run->exit.cancelled);
    const char *inner = strstr(buf_str(&run->text), "inner\n"); /* sh tells of its sleep, too */
    assert_non_null(inner);
    assert_non_null(strstr(inner, "outer\n"));
    run_free(run);
    /* ... and who does not, at once. */
    run = run_new(&r.rig);
    run->request.box = &box;
    static const char *const argv[] = {"/bin/sh", "-c", "echo ready; exec sleep 1000", NULL};
    run_start_argv(&r.rig, run, argv);
    run_wait_text(&r.rig, run, "ready");
    runner_cancel(run->exec);
    run_wait(&r.rig, run);
    assert_true(run->exit.cancelled);
    assert_true(run->exit.end_ns - run->exit.start_ns < (uint64_t)LIMIT_MS * 1000000);
    run_free(run);
    box_free(&r);
}

/* Where kiln itself may have less than a box is to have. */
static void test_own_limits(void **state)
{
    struct box_rig r;
    (void)state;
    struct rlimit before, none = {0, 0};
    assert_int_equal(getrlimit(RLIMIT_CORE, &before), 0);
    if (geteuid() != 0) /* who is not root cannot put it back, and needs not */
        assert_int_equal(setrlimit(RLIMIT_CORE, &none), 0);
    box_init(&r);
    struct runner_box box = new_box(&r, "box");
    check(&r, &box, "ulimit -c; ulimit -Sn", "0\n1024\n");
    box_free(&r);
}

/* Root's cache lies where nobody else can go, and must be a box's all the same. */
static void test_veiled(void **state)
{
    struct box_rig r;
    struct err err = ERR_INIT;
    (void)state;
    box_init(&r);
    char outer[80], dir[160], cache[160];
    snprintf(outer, sizeof outer, "%s/private", r.rig.dir);
    snprintf(dir, sizeof dir, "%s/.cache/kiln", outer);
    snprintf(cache, sizeof cache, "%s/.cache", outer);
    assert_int_equal(mkdir(outer, 0700), 0);
    assert_int_equal(mkdir(cache, 0700), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    rig_close(&r.rig);
    r.rig.closed = false;
    const struct runner_box_options options = {.dir = dir};
    assert_int_equal(runner_box_new(&r.rig.loop, &options, &r.rig.runner, &err), 0);
    struct runner_box box = new_box(&r, "private/.cache/kiln/box");
    check(&r, &box, "pwd; echo x > made; cat made", "/src\nx\n");
    char command[256];
    snprintf(command, sizeof command, "cat '%s/upper/made'", r.dir);
    struct run *run = run_new(&r.rig);
    run_start(&r.rig, run, command);
    run_wait(&r.rig, run);
    assert_string_equal(buf_str(&run->text), "x\n");
    run_free(run);
    struct stat st;
    assert_int_equal(stat(outer, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    box_free(&r);
}

/* A command without a box: the host as it is, as the nest's root. */
static void test_nest_alone(void **state)
{
    struct box_rig r;
    (void)state;
    box_init(&r);
    struct run *run = run_script(&r.rig, "id -u; ls view");
    assert_string_equal(buf_str(&run->text), "0\ninput\n");
    run_free(run);
    rig_free(&r.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox),        cmocka_unit_test(test_image),
        cmocka_unit_test(test_user),           cmocka_unit_test(test_no_program),
        cmocka_unit_test(test_exit_codes),     cmocka_unit_test(test_nothing_stays),
        cmocka_unit_test(test_runtime_killed), cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_caches),         cmocka_unit_test(test_odd_paths),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_ends_in_peace),
        cmocka_unit_test(test_own_limits),     cmocka_unit_test(test_veiled),
        cmocka_unit_test(test_nest_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
