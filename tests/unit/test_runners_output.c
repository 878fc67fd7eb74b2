/* The host runner: what a step writes, into its spool and told piece by piece. */
#include "test_runners_rig.h"

#include <sys/resource.h>

static void test_output(void **state)
{
    struct run *run = run_script(*state, "echo one; echo two >&2; printf three");
    assert_int_equal(run->n_started, 1);
    assert_int_equal(run->exit.exit_code, 0);
    assert_int_equal(run->exit.signal, 0);
    assert_false(run->exit.timed_out || run->exit.cancelled || run->exit.truncated);
    assert_int_equal(run->exit.spool_errno, 0);
    assert_null(run->exit.lost);
    assert_int_equal(run->text.len, 13);
    assert_int_equal(run->bytes[1], 9);
    assert_int_equal(run->bytes[2], 4);
    assert_true(run->exit.start_ns > 1000000000ULL * 1600000000ULL);
    run_free(run);
}

/* With the reader in step, the order is the writer's: each line is waited for through a file that
 * the test makes. */
static void test_order(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    run_start(rig, run,
              "echo a; until [ -e 1 ]; do :; done; echo b >&2; until [ -e 2 ]; do :; done; echo c");
    run_wait_text(rig, run, "a\n");
    rig_write_file(rig, "1", "", 0600);
    run_wait_text(rig, run, "a\nb\n");
    rig_write_file(rig, "2", "", 0600);
    run_wait(rig, run);
    assert_string_equal(buf_str(&run->text), "a\nb\nc\n");
    assert_int_equal(run->n_pieces, 3);
    assert_int_equal(run->pieces[0].stream, 1);
    assert_int_equal(run->pieces[1].stream, 2);
    assert_int_equal(run->pieces[2].stream, 1);
    run_free(run);
}

static void test_offset(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    assert_int_equal(write(run->spool, "before:", 7), 7);
    run->request.spool_offset = 7;
    run_start(rig, run, "printf after");
    run_wait(rig, run);
    assert_string_equal(buf_str(&run->text), "before:after");
    run_free(run);
}

static void test_flood(void **state)
{
    struct rig *rig = *state;
    const size_t each = 50000000;
    struct run *run = run_new(rig);
    run_start(rig, run,
              "yes 0123456789 | head -c 50000000 & yes abcdefghi | head -c 50000000 >&2; wait");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    assert_int_equal(run->bytes[1], each);
    assert_int_equal(run->bytes[2], each);
    assert_int_equal(run->text.len, 2 * each);
    assert_true(run->n_pieces < PIECES);
    size_t at[3] = {0, 0, 0};
    static const char *const line[3] = {"", "0123456789\n", "abcdefghi\n"};
    const size_t length[3] = {1, 11, 10};
    size_t wrong = 0;
    for (size_t i = 0; i < run->n_pieces; i++) {
        const struct piece *piece = &run->pieces[i];
        const char *bytes = run->text.data + piece->offset;
        int s = piece->stream;
        for (size_t k = 0; k < piece->n; k++)
            wrong += bytes[k] != line[s][at[s]++ % length[s]];
    }
    assert_int_equal(wrong, 0);
    run_free(run);
}

static void test_binary(void **state)
{
    struct rig *rig = *state;
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)(255 - i);
    char path[128];
    snprintf(path, sizeof path, "%s/bytes", rig->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
    struct run *run = run_script(rig, "cat bytes");
    assert_int_equal(run->text.len, sizeof bytes);
    assert_memory_equal(run->text.data, bytes, sizeof bytes);
    run_free(run);
}

static void test_limit(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    run->request.spool_limit = 1000;
    run_start(rig, run, "head -c 3000000 /dev/zero; echo more >&2");
    run_wait(rig, run);
    assert_int_equal(run->exit.exit_code, 0);
    assert_true(run->exit.truncated);
    assert_int_equal(run->text.len, 1000);
    run_free(run);

    run = run_new(rig);
    run->request.spool_limit = 5;
    run_start(rig, run, "printf 12345");
    run_wait(rig, run);
    assert_false(run->exit.truncated);
    assert_string_equal(buf_str(&run->text), "12345");
    run_free(run);
}

/* A file that only appends takes it as well. */
static void test_append_spool(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    assert_int_equal(fcntl(run->spool, F_SETFL, O_APPEND), 0);
    run->request.spool_limit = 300000;
    run_start(rig, run, "head -c 200000 /dev/zero; head -c 200000 /dev/zero >&2");
    run_wait(rig, run);
    assert_int_equal(run->text.len, 300000);
    assert_true(run->exit.truncated);
    run_free(run);
}

static void test_spool_full(void **state)
{
    struct rig *rig = *state;
    struct run *run = run_new(rig);
    close(run->spool);
    run->spool = open("/dev/full", O_WRONLY | O_CLOEXEC);
    run_start(rig, run, "yes");
    run_wait(rig, run);
    assert_int_equal(run->exit.spool_errno, ENOSPC);
    assert_int_equal(run->exit.signal, SIGKILL);
    run_free(run);

    /* One that cannot be made at all; only who writes notices. */
    run = run_new(rig);
    close(run->spool);
    run->spool = -1;
    run_start(rig, run, "yes");
    run_wait(rig, run);
    assert_int_equal(run->exit.spool_errno, EDQUOT);
    assert_int_equal(run->exit.signal, SIGKILL);
    run->n_exited = run->n_spool = 0;
    run_start(rig, run, "true");
    run_wait(rig, run);
    assert_int_equal(run->exit.spool_errno, 0);
    assert_int_equal(run->exit.exit_code, 0);
    run_free(run);

    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    run = run_new(rig);
    run_start(rig, run, "yes & yes >&2");
    setrlimit(RLIMIT_FSIZE, &small);
    rig_wait(rig, &run->n_exited, 1);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    run_wait(rig, run);
    assert_int_equal(run->exit.spool_errno, EFBIG);
    assert_int_equal(run->exit.signal, SIGKILL);
    assert_int_equal(run->text.len, 100000);
    run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_output, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_order, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_offset, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_flood, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_binary, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_limit, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_append_spool, rig_set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_spool_full, rig_set_up, rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
