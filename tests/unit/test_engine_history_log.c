/* The history: torn, damaged, shared, replaced and rewritten logs. */
#include "test_engine_history.h"

#define N_TORN 5

/* Writes N_TORN steps, a flush each; ends[i] is the log's length after step i. */
static void write_log(struct fixture *f, struct buf *log, uint64_t ends[N_TORN])
{
    struct history *history = open_history(f->path);
    for (unsigned i = 0; i < N_TORN; i++) {
        char step[8];
        snprintf(step, sizeof(step), "s%u", i);
        note(history, f->trees, step, HISTORY_PASSED, i);
        flush(history);
        ends[i] = size_of(f->path);
    }
    history_close(history);
    assert_int_equal(file_read(f->path, 1 << 20, log, NULL), 0);
}

static void torn_at_every_byte(void **state)
{
    struct fixture *f = *state;
    struct buf log = BUF_INIT;
    uint64_t ends[N_TORN];
    write_log(f, &log, ends);
    for (size_t cut = 0; cut <= log.len; cut++) {
        assert_int_equal(file_write_atomic(f->path, buf_str(&log), cut, 0600, NULL), 0);
        struct history *history = open_history(f->path);
        for (int again = 0; again < 2; again++) {
            for (unsigned i = 0; i < N_TORN; i++) {
                char step[8];
                snprintf(step, sizeof(step), "s%u", i);
                const struct history_record *record = history_last(history, step);
                if (cut < ends[i]) {
                    assert_null(record);
                } else {
                    check_record(record, step, HISTORY_PASSED, i);
                    assert_true(tree_loads(history, record));
                }
            }
            if (!again)
                note(history, f->trees, "new", HISTORY_PASSED, N_TORN - 1);
            flush(history);
            history_close(history);
            history = open_history(f->path);
            assert_true(tree_loads(history, history_last(history, "new")));
        }
        history_close(history);
    }
    buf_release(&log);
}

static void damaged_at_every_byte(void **state)
{
    struct fixture *f = *state;
    struct buf log = BUF_INIT;
    uint64_t ends[N_TORN];
    write_log(f, &log, ends);
    for (size_t at = 0; at < log.len; at++) {
        log.data[at] = (char)(log.data[at] ^ 0x41);
        assert_int_equal(file_write_atomic(f->path, buf_str(&log), log.len, 0600, NULL), 0);
        log.data[at] = (char)(log.data[at] ^ 0x41);
        struct history *history = open_history(f->path);
        for (unsigned i = 0; i < N_TORN; i++) {
            char step[8];
            snprintf(step, sizeof(step), "s%u", i);
            const struct history_record *record = history_last(history, step);
            if (at >= ends[i])
                assert_non_null(record);
            if (record) {
                check_record(record, step, HISTORY_PASSED, i);
                bool whole = tree_loads(history, record);
                if (at >= ends[i])
                    assert_true(whole);
            }
        }
        /* What was found to be wrong is written again. */
        note(history, f->trees, "new", HISTORY_PASSED, N_TORN - 1);
        flush(history);
        history_close(history);
        history = open_history(f->path);
        assert_true(tree_loads(history, history_last(history, "new")));
        history_close(history);
    }
    buf_release(&log);
}

static void junk_behind_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct history *one = open_history(f->path);
    note(one, f->trees, "a", HISTORY_PASSED, 1);
    flush(one);
    uint64_t size = size_of(f->path);
    int fd = open(f->path, O_WRONLY | O_APPEND);
    assert_int_equal(file_write_all(fd, "KLH1 and then junk that is long enough to be a head", 50),
                     0);
    close(fd);
    /* One that had read before the damage, and one that reads it. */
    struct history *two = open_history(f->path);
    assert_non_null(history_last(two, "a"));
    note(one, f->trees, "b", HISTORY_PASSED, 1);
    flush(one);
    assert_true(size_of(f->path) < size + 200);
    note(two, f->trees, "c", HISTORY_PASSED, 2);
    flush(two);
    assert_non_null(history_last(two, "b"));
    history_close(one);
    history_close(two);
    struct history *three = open_history(f->path);
    check_record(history_last(three, "a"), "a", HISTORY_PASSED, 1);
    check_record(history_last(three, "b"), "b", HISTORY_PASSED, 1);
    check_record(history_last(three, "c"), "c", HISTORY_PASSED, 2);
    assert_true(tree_loads(three, history_last(three, "c")));
    history_close(three);
}

static void the_later_flush_wins(void **state)
{
    struct fixture *f = *state;
    struct history *one = open_history(f->path), *two = open_history(f->path);
    note(one, f->trees, "a", HISTORY_PASSED, 1);
    note(two, f->trees, "a", HISTORY_FAILED, 2);
    flush(two);
    flush(one);
    check_record(history_last(one, "a"), "a", HISTORY_PASSED, 1);
    note(two, f->trees, "b", HISTORY_PASSED, 3);
    flush(two);
    check_record(history_last(two, "a"), "a", HISTORY_PASSED, 1);
    check_record(history_last_pass(two, "a"), "a", HISTORY_PASSED, 1);
    history_close(one);
    history_close(two);
}

static void log_removed_or_replaced(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    flush(history);
    assert_int_equal(unlink(f->path), 0);
    note(history, f->trees, "b", HISTORY_PASSED, 1); /* its directories were in the removed file */
    flush(history);
    assert_true(tree_loads(history, history_last(history, "b")));
    note(history, f->trees, "c", HISTORY_PASSED, 1);
    assert_int_equal(file_write_atomic(f->path, "", 0, 0600, NULL), 0);
    flush(history);
    assert_true(tree_loads(history, history_last(history, "c")));
    /* Emptied in place, which even leaves offsets behind that lead nowhere. */
    assert_int_equal(truncate(f->path, 0), 0);
    note(history, f->trees, "d", HISTORY_PASSED, 4);
    flush(history);
    history_close(history);
    history = open_history(f->path);
    assert_null(history_last(history, "c"));
    check_record(history_last(history, "d"), "d", HISTORY_PASSED, 4);
    history_close(history);
}

enum { N_PROCESSES = 4, N_NOTES = 40 };

static void write_many(const char *path, unsigned process)
{
    struct trees *trees = trees_new();
    struct history *history = NULL;
    bool ok = history_open(path, &history, NULL) == 0;
    for (unsigned i = 0; ok && i < N_NOTES; i++) {
        char step[32];
        unsigned number = process * N_NOTES + i;
        snprintf(step, sizeof(step), "s%u", number);
        struct digest root = make_tree(trees, number);
        struct history_record record = make_record(step, HISTORY_PASSED, number, root);
        ok = history_note(history, &record, trees, NULL) == 0;
        if (i % 3 != 1)
            ok = ok && history_flush(history, NULL) == 0;
    }
    ok = ok && history_flush(history, NULL) == 0;
    history_close(history);
    trees_free(trees);
    _exit(ok ? 0 : 1);
}

static void processes_append_together(void **state)
{
    struct fixture *f = *state;
    pid_t pids[N_PROCESSES];
    for (unsigned i = 0; i < N_PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            write_many(f->path, i);
    }
    for (unsigned i = 0; i < N_PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct history *history = open_history(f->path);
    for (unsigned i = 0; i < N_PROCESSES * N_NOTES; i++) {
        char step[32];
        snprintf(step, sizeof(step), "s%u", i);
        check_record(history_last(history, step), step, HISTORY_PASSED, i);
        assert_true(tree_loads(history, history_last(history, step)));
    }
    history_close(history);
}

/* A log that is mostly superseded shrinks, and whoever had it open notices. */
static void rewriting(void **state)
{
    struct fixture *f = *state;
    struct history *one = open_history(f->path), *two = open_history(f->path);
    note(one, f->trees, "kept", HISTORY_PASSED, 0);
    note(one, f->trees, "b", HISTORY_PASSED, 1);
    flush(one);
    note(two, f->trees, "d", HISTORY_PASSED, 7);
    flush(two);
    note(two, f->trees, "c", HISTORY_PASSED, 1); /* its tree will be gone from the new log */
    uint64_t most = 0;
    unsigned number = 1;
    for (; number < 6000; number++) {
        note(one, f->trees, "b", number % 2 ? HISTORY_FAILED : HISTORY_PASSED, number);
        if (number % 8 == 0)
            flush(one);
        uint64_t size = size_of(f->path);
        if (size < most)
            break;
        most = size;
    }
    assert_true(number < 6000);
    assert_true(most > 1000000);
    assert_true(size_of(f->path) < 10000);
    flush(one);
    flush(two);
    note(two, f->trees, "e", HISTORY_PASSED, 9);
    flush(two);
    for (int i = 0; i < 2; i++) {
        const struct history *history = i ? one : two;
        check_record(history_last(history, "kept"), "kept", HISTORY_PASSED, 0);
        assert_true(tree_loads(history, history_last(history, "kept")));
        check_record(history_last(history, "b"), "b", HISTORY_PASSED, number);
        assert_true(tree_loads(history, history_last(history, "b")));
    }
    assert_true(tree_loads(two, history_last(two, "c")));
    history_close(one);
    history_close(two);
    one = open_history(f->path);
    static const char *const steps[] = {"kept", "b", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++)
        assert_true(tree_loads(one, history_last(one, steps[i])));
    history_close(one);
    char *left = mem_printf("%s.new", f->path);
    assert_int_not_equal(access(left, F_OK), 0);
    free(left);
}

/* What is all in use is not written again and again. */
static void growing_keeps_all(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    enum { N = 3000 };
    for (unsigned i = 0; i < N; i++) {
        char step[16];
        snprintf(step, sizeof(step), "s%u", i);
        note(history, f->trees, step, HISTORY_PASSED, i);
        if (i % 100 == 99)
            flush(history);
    }
    assert_true(size_of(f->path) > 2 << 20);
    history_close(history);
    history = open_history(f->path);
    for (unsigned i = 0; i < N; i++) {
        char step[16];
        snprintf(step, sizeof(step), "s%u", i);
        check_record(history_last(history, step), step, HISTORY_PASSED, i);
    }
    assert_true(tree_loads(history, history_last(history, "s0")));
    assert_true(tree_loads(history, history_last(history, "s2999")));
    history_close(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(torn_at_every_byte),
        TEST(damaged_at_every_byte),
        TEST(junk_behind_is_cut_off),
        TEST(the_later_flush_wins),
        TEST(log_removed_or_replaced),
        TEST(processes_append_together),
        TEST(rewriting),
        TEST(growing_keeps_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
