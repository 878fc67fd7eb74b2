/* Output that goes through a filter of the caller's before it reaches the spool. */
#include "test_runners_rig.h"

#include <ctype.h>

/* Capitals, and the last byte of each stream held back until it is over. */
struct kept {
    struct run *run; /* first: the callbacks' context is a run */
    char last[3];
    int n_ended[3];
};

static struct kept kept;

static void capitals(void *ctx, int stream, const char *bytes, size_t n, struct buf *out)
{
    assert_ptr_equal(ctx, kept.run);
    assert_int_equal(kept.n_ended[stream], 0);
    kept.n_ended[stream] += n == 0;
    for (size_t i = 0; i < n; i++) {
        if (kept.last[stream])
            buf_addc(out, kept.last[stream]);
        kept.last[stream] = (char)toupper(bytes[i]);
    }
    if (n == 0 && kept.last[stream])
        buf_addc(out, kept.last[stream]);
}

static void nothing(void *ctx, int stream, const char *bytes, size_t n, struct buf *out)
{
    (void)ctx;
    (void)stream;
    (void)bytes;
    (void)n;
    (void)out;
}

static struct run *run_filtered(struct rig *rig, const char *script, uint64_t limit,
                                void (*filter)(void *, int, const char *, size_t, struct buf *))
{
    struct runner_callbacks callbacks = run_callbacks;
    struct err err = ERR_INIT;
    struct run *run = run_new(rig);
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    kept = (struct kept){.run = run};
    callbacks.filter = filter;
    run->request.argv = argv;
    run->request.spool_limit = limit;
    assert_int_equal(runner_start(rig->runner, &run->request, &callbacks, run, &run->exec, &err),
                     0);
    run_wait(rig, run);
    assert_false(run->disordered);
    return run;
}

static void test_streams_apart(void **state)
{
    struct run *run = run_filtered(*state, "printf ab; printf cd >&2; printf ef", 0, capitals);
    size_t own[3] = {0};
    assert_int_equal(run->exit.exit_code, 0);
    assert_int_equal(run->bytes[1], 4);
    assert_int_equal(run->bytes[2], 2);
    char streams[3][8] = {""};
    for (size_t i = 0; i < run->n_pieces; i++) {
        const struct piece *piece = &run->pieces[i];
        memcpy(streams[piece->stream] + own[piece->stream], run->text.data + piece->offset,
               piece->n);
        own[piece->stream] += piece->n;
    }
    assert_string_equal(streams[1], "ABEF");
    assert_string_equal(streams[2], "CD");
    assert_int_equal(kept.n_ended[1], 1);
    assert_int_equal(kept.n_ended[2], 1);
    run_free(run);
}

static void test_much(void **state)
{
    struct run *run = run_filtered(
        *state, "i=0; while [ $i -lt 20000 ]; do echo line $i of output; i=$((i+1)); done", 0,
        capitals);
    assert_int_equal(run->text.len, 20000 * 16 + 20000 * 5 - 11110);
    assert_memory_equal(run->text.data, "LINE 0 OF OUTPUT\nLINE 1 OF OUTPUT\n", 34);
    assert_string_equal(run->text.data + run->text.len - 21, "LINE 19999 OF OUTPUT\n");
    run_free(run);
}

static void test_limit(void **state)
{
    struct run *run = run_filtered(*state, "printf 0123456789", 4, capitals);
    assert_string_equal(buf_str(&run->text), "0123");
    assert_true(run->exit.truncated);
    run_free(run);
    run = run_filtered(*state, "printf 0123", 4, capitals);
    assert_string_equal(buf_str(&run->text), "0123");
    assert_false(run->exit.truncated);
    run_free(run);
}

static void test_nothing_left(void **state)
{
    struct run *run = run_filtered(*state, "echo something", 0, nothing);
    assert_int_equal(run->text.len, 0);
    assert_int_equal(run->n_pieces, 0);
    assert_int_equal(run->exit.exit_code, 0);
    run_free(run);
}

static void test_silence(void **state)
{
    struct run *run = run_filtered(*state, ":", 0, capitals);
    assert_int_equal(run->n_spool, 0);
    run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_streams_apart, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_much, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_limit, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_left, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_silence, rig_set_up, rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
