/* What isolated steps see and give, and what is said of those that fail. */
#include "tests/unit/test_engine_boxes.h"

static void outputs_stand_in_the_project(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    run(r, one(r, COPY));
    assert_int_equal(r->code, 0);
    assert_status(r, "s", STEP_PASSED);
    assert_string_equal(buf_str(&r->runners), "s:sandbox;");
    assert_string_equal(r->fake.mount, BOX_PROJECT);
    assert_file(r, "out/copy", "code\n");
    assert_file(r, "dropped", "(none)");
    assert_int_equal(count_boxes(r), 0);
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_CACHED);
    assert_int_equal(r->n_started, 0);
}

static void another_clone_hits(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    run(r, one(r, COPY));
    close_project(r);
    open_project(r, "clone");
    put(r, "src.txt", "code\n");
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_CACHED);
    assert_file(r, "out/copy", "code\n");
}

static void a_failure_is_kept_and_hints(void **state)
{
    struct rig *r = *state;
    struct kept kept;
    const char *script = "echo trace >trace; cat lib/gen.h";
    put(r, "src.txt", "code\n");
    put(r, "lib/gen.h", "#define X\n");
    run(r, one(r, script));
    assert_int_equal(r->code, 1);
    assert_status(r, "s", STEP_FAILED);
    assert_string_equal(buf_str(&r->hints),
                        "lib/gen.h exists in the project, but is not among the inputs of \"s\"; "
                        "add \"lib/gen.h\" to its \"inputs\"\n");
    assert_int_equal(count_boxes(r), 1);
    assert_true(kept_find(r->records, "s", &kept));
    assert_string_equal(kept.path, buf_str(&r->box));
    char *trace = mem_printf("%s/upper/trace", kept.path);
    assert_int_equal(access(trace, R_OK), 0);
    run(r, one(r, script)); /* the newest one is kept */
    assert_int_equal(count_boxes(r), 1);
    assert_int_not_equal(access(trace, R_OK), 0);
    free(trace);
    kept_release(&kept);
    run(r, one(r, COPY));
    assert_int_equal(count_boxes(r), 0);
    assert_false(kept_find(r->records, "s", &kept));
}

static void hints_name_the_step_that_is_needed(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    put(r, "src.txt", "code\n");
    put(r, "lib/unrelated.txt", "");
    op_id gen =
        step(g, OP_NONE,
             (struct made){"gen", "sandbox", "mkdir gen; echo x >gen/x.h", "gen", OP_NONE, 0});
    step(g, view(g, "src.txt"),
         (struct made){"s", "sandbox",
                       "cat src.txt >/dev/null; echo see src.txt and nowhere/else.c; cat gen/x.h",
                       NULL, gen, 0});
    run(r, g);
    assert_string_equal(buf_str(&r->hints), ""); /* it needs gen, but not its outputs */
    g = graph_new("test");
    step(g, OP_NONE,
         (struct made){"gen", "sandbox", "mkdir gen; echo x >gen/x.h", "gen", OP_NONE, 0});
    step(g, view(g, "src.txt"),
         (struct made){"s", "sandbox", "echo '\033[31m/src/gen/x.h:1:\033[0m no'; false", NULL,
                       OP_NONE, 0});
    run(r, g);
    assert_string_equal(
        buf_str(&r->hints),
        "gen/x.h is made by \"gen\", which \"s\" does not need; add \"gen\" to its \"needs\"\n");
}

static void hosts_and_boxes_give_to_each_other(void **state)
{
    struct rig *r = *state;
    for (int round = 0; round < 2; round++) {
        struct graph *g = graph_new("test");
        put(r, "src.txt", "code\n");
        op_id a = step(g, view(g, "src.txt"),
                       (struct made){"a", "host", "cp src.txt a.txt", "a.txt", OP_NONE, 0});
        op_id b =
            step(g, a, (struct made){"b", "sandbox", "cat a.txt a.txt >b.txt", "b.txt", a, 0});
        step(g, b, (struct made){"c", "host", "cp b.txt c.txt", "c.txt", b, 0});
        run(r, g);
        assert_int_equal(r->code, 0);
        assert_status(r, "c", round ? STEP_CACHED : STEP_PASSED);
        assert_file(r, "c.txt", "code\ncode\n");
    }
}

static void each_attempt_begins_anew(void **state)
{
    struct rig *r = *state;
    struct graph *g = graph_new("test");
    char *script =
        mem_printf("ls >>%s/seen; echo x >left; [ $(wc -l <%s/seen) -ge 3 ]", r->dir, r->dir);
    put(r, "src.txt", "code\n");
    step(g, view(g, "src.txt"), (struct made){"s", "sandbox", script, NULL, OP_NONE, 5});
    run(r, g);
    assert_status(r, "s", STEP_PASSED);
    assert_file(r, "../seen", "src.txt\nsrc.txt\nsrc.txt\n");
    assert_int_equal(count_boxes(r), 0);
    free(script);
}

static void without_boxes_it_is_said(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    r->no_boxes = "this kernel has no user namespaces; allow them";
    run(r, one(r, COPY));
    assert_int_equal(r->code, 3);
    assert_error(r, "s", "no user namespaces; allow them");
    r->no_boxes = NULL;
    run(r, one(r, COPY));
    r->no_boxes = "nobody asks";
    run(r, one(r, COPY)); /* a cached one needs none */
    assert_status(r, "s", STEP_CACHED);
}

static void a_missing_output_is_said(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    run(r, one(r, "true"));
    assert_int_equal(r->code, 1);
    assert_error(r, "s", "out");
    assert_int_equal(count_boxes(r), 1);
}

static void a_shell_sees_what_the_step_sees(void **state)
{
    struct rig *r = *state;
    const char *argv[] = {"/bin/sh", "-c", "ls; ls out; exit 7", NULL};
    struct engine_shell shell = {.step = "s", .argv = argv};
    put(r, "src.txt", "code\n");
    put(r, "other.txt", "not declared\n");
    r->shell = &shell;
    run(r, one(r, COPY));
    assert_int_equal(r->exit_code, 7);
    assert_non_null(strstr(buf_str(&r->log), "src.txt\n"));
    assert_null(strstr(buf_str(&r->log), "other.txt"));
    assert_int_equal(count_boxes(r), 0);
    r->shell = NULL;
    run(r, one(r, COPY "; false")); /* nothing was stored */
    assert_status(r, "s", STEP_FAILED);
    shell.failed = true;
    r->shell = &shell;
    run(r, one(r, COPY));
    assert_non_null(strstr(buf_str(&r->log), "dropped\n"));
    assert_non_null(strstr(buf_str(&r->log), "copy\n"));
    assert_int_equal(count_boxes(r), 1);
    r->shell = NULL;
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(outputs_stand_in_the_project),       T(another_clone_hits),
        T(a_failure_is_kept_and_hints),        T(hints_name_the_step_that_is_needed),
        T(hosts_and_boxes_give_to_each_other), T(each_attempt_begins_anew),
        T(without_boxes_it_is_said),           T(a_missing_output_is_said),
        T(a_shell_sees_what_the_step_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
