/* Isolated steps whose inputs change, that are ended, or whose store is damaged. */
#include "tests/unit/test_engine_boxes.h"

static void an_edit_in_mid_run_does_not_reach_it(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "old\n");
    char *script = mem_printf("mkdir out; echo new >%s/src.txt; cat src.txt >out/copy", r->root);
    run(r, one(r, script));
    assert_status(r, "s", STEP_PASSED);
    assert_false(r->tainted);
    assert_file(r, "out/copy", "old\n");
    run(r, one(r, script));
    assert_status(r, "s", STEP_PASSED);
    assert_file(r, "out/copy", "new\n");
    put(r, "src.txt", "old\n"); /* what was stored belongs to what was read */
    run(r, one(r, script));
    assert_status(r, "s", STEP_CACHED);
    assert_file(r, "out/copy", "old\n");
    free(script);
}

static void edit_source(struct rig *r)
{
    put(r, "src.txt", "edited meanwhile\n");
}

static void an_edit_before_the_snapshot_is_looked_at_again(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "old\n");
    r->on_run = edit_source;
    run(r, one(r, COPY));
    r->on_run = NULL;
    assert_status(r, "s", STEP_PASSED);
    assert_int_equal(r->n_started, 1);
    assert_file(r, "out/copy", "edited meanwhile\n");
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_CACHED);
}

/* Each time that the inputs have been looked at it is edited again. */
static void edit_always(uv_check_t *check)
{
    struct rig *r = check->data;
    char *text = mem_printf("edit %d\n", r->n_edits++);
    put(r, "src.txt", text);
    free(text);
}

static void what_never_rests_is_told(void **state)
{
    struct rig *r = *state;
    uv_check_t check;
    put(r, "src.txt", "old\n");
    uv_check_init(&r->loop, &check);
    check.data = r;
    uv_check_start(&check, edit_always);
    uv_unref((uv_handle_t *)&check);
    run(r, one(r, COPY));
    uv_close((uv_handle_t *)&check, NULL);
    uv_run(&r->loop, UV_RUN_NOWAIT);
    /* It runs with one of them, whole, or not at all. */
    if (r->n_started) {
        char *out = at(r, "out/copy");
        struct buf have = BUF_INIT;
        assert_status(r, "s", STEP_PASSED);
        assert_int_equal(file_read(out, 100, &have, NULL), 0);
        assert_true(!strcmp(buf_str(&have), "old\n") || !strncmp(buf_str(&have), "edit ", 5));
        buf_release(&have);
        free(out);
    } else {
        /* By the round that reads the inputs, or by the copy of them. */
        const char *error = map_get_str(&r->error, "s");
        assert_status(r, "s", STEP_FAILED);
        if (!error || !strstr(error, "inputs keep changing"))
            assert_error(r, "s", "src.txt");
    }
    assert_false(r->tainted);
}

static void ending_it_leaves_nothing(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "code\n");
    r->stop_when_started = true;
    run(r, one(r, "sleep 1000"));
    r->stop_when_started = false;
    assert_status(r, "s", STEP_CANCELLED);
    assert_int_equal(count_boxes(r), 0);
}

static void what_a_killed_kiln_left_goes(void **state)
{
    struct rig *r = *state;
    struct err err = ERR_INIT;
    struct box_dir *dead, *kept;
    put(r, "src.txt", "code\n");
    assert_int_equal(box_dir_new(r->cache, geteuid(), getegid(), &dead, &err), 0);
    assert_int_equal(box_dir_new(r->cache, geteuid(), getegid(), &kept, &err), 0);
    assert_true(box_dir_keep(kept));
    box_dir_free(dead);
    box_dir_free(kept);
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_PASSED);
    assert_int_equal(count_boxes(r), 1);
}

/* Writes over the messages that a snapshot tells its tree by. */
static void damage_snapshots(struct rig *r)
{
    char *command = mem_printf("for meta in '%s'/v1/snap/*/tree/*/meta; do "
                               "printf XXXXXXXX | dd of=\"$meta\" bs=1 conv=notrunc status=none "
                               "seek=$(($(stat -c %%s \"$meta\") - 8)); done",
                               r->cache_dir);
    assert_int_equal(system(command), 0);
    free(command);
}

static void a_damaged_snapshot_is_made_anew(void **state)
{
    struct rig *r = *state;
    put(r, "src.txt", "old\n");
    run(r, one(r, COPY));
    damage_snapshots(r);
    put(r, "src.txt", "new\n");
    run(r, one(r, COPY));
    assert_status(r, "s", STEP_PASSED);
    assert_file(r, "out/copy", "new\n");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_edit_in_mid_run_does_not_reach_it),
        T(an_edit_before_the_snapshot_is_looked_at_again),
        T(what_never_rests_is_told),
        T(ending_it_leaves_nothing),
        T(what_a_killed_kiln_left_goes),
        T(a_damaged_snapshot_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
