/* The history: what is noted is found again, by any process, whatever happened to the file's end.
 */
#include "test_engine_history.h"

#include "base/text.h"

static void found_again(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    assert_null(history_last(history, "build"));
    assert_null(history_last_pass(history, "build"));
    note(history, f->trees, "build", HISTORY_PASSED, 1);
    note(history, f->trees, "build", HISTORY_FAILED, 2);
    note(history, f->trees, "te\nst", HISTORY_TAINTED, 3);
    for (int again = 0; again < 3; again++) {
        check_record(history_last(history, "build"), "build", HISTORY_FAILED, 2);
        check_record(history_last_pass(history, "build"), "build", HISTORY_PASSED, 1);
        check_record(history_last(history, "te\nst"), "te\nst", HISTORY_TAINTED, 3);
        assert_null(history_last_pass(history, "te\nst"));
        assert_true(tree_loads(history, history_last(history, "build")));
        assert_true(tree_loads(history, history_last_pass(history, "build")));
        if (again == 0) {
            flush(history);
        } else {
            history_close(history);
            history = open_history(f->path);
        }
    }
    history_close(history);
    history_close(NULL);
}

static void nothing_new_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    flush(history);
    assert_int_equal(size_of(f->path), 0);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    flush(history);
    uint64_t size = size_of(f->path);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    flush(history);
    assert_int_equal(size_of(f->path), size);

    /* An equal tree costs the step alone, also in another process. */
    history_close(history);
    history = open_history(f->path);
    note(history, f->trees, "b", HISTORY_PASSED, 1);
    flush(history);
    uint64_t step = size_of(f->path) - size;
    assert_true(step < 200);
    note(history, f->trees, "b", HISTORY_FAILED, 1);
    flush(history);
    assert_int_equal(size_of(f->path), size + 2 * step);
    history_close(history);
}

static void trees_that_are_not_whole(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    struct digest nobodys = digest_of("nobody", 6);
    struct tree_entry entry = {.kind = TREE_DIR, .name = "d", .digest = nobodys};
    struct digest half = trees_put(f->trees, &entry, 1);
    struct history_record record = make_record("a", HISTORY_PASSED, 1, half);
    assert_int_equal(history_note(history, &record, f->trees, NULL), 0);
    record = make_record("b", HISTORY_PASSED, 1, nobodys);
    assert_int_equal(history_note(history, &record, f->trees, NULL), 0);
    flush(history);
    for (int again = 0; again < 2; again++) {
        struct trees *fresh = trees_new();
        assert_non_null(history_last(history, "a"));
        assert_non_null(history_last(history, "b"));
        assert_false(history_load_tree(history, &half, fresh));
        assert_false(history_load_tree(history, &nobodys, fresh));
        struct digest empty = tree_empty();
        assert_true(history_load_tree(history, &empty, fresh));
        trees_free(fresh);
        history_close(history);
        history = open_history(f->path);
    }
    history_close(history);
}

/* A store that is filled piece by piece, and one that is new at (perhaps) the same address. */
static void loading_twice(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    note(history, f->trees, "b", HISTORY_PASSED, 2);
    flush(history);
    history_close(history);
    history = open_history(f->path);
    for (int i = 0; i < 3; i++) {
        struct trees *fresh = trees_new();
        for (int j = 0; j < 2; j++) {
            const char *step = j ? "b" : "a";
            const struct history_record *record = history_last(history, step);
            size_t n = 0;
            assert_true(history_load_tree(history, &record->input_root, fresh));
            assert_int_equal(trees_walk(fresh, &record->input_root, count_entry, &n, NULL), 0);
            assert_int_equal(n, 9);
        }
        trees_free(fresh);
    }
    history_close(history);
}

/* One directory at a time, as a comparison needs them. */
static void loading_one(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    struct digest nobodys = digest_of("nobody", 6);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    for (int pending = 1; pending >= 0; pending--) {
        struct trees *fresh = trees_new();
        struct digest root = history_last(history, "a")->input_root;
        size_t n = 0;
        history_load_dir(history, &nobodys, fresh);
        assert_null(trees_get(fresh, &nobodys, &n));
        history_load_dir(history, &root, fresh);
        assert_non_null(trees_get(fresh, &root, &n));
        assert_int_equal(n, root.size);
        /* What lies in it was not loaded with it, and still can be. */
        assert_int_not_equal(trees_walk(fresh, &root, count_entry, &n, NULL), 0);
        assert_true(history_load_tree(history, &root, fresh));
        assert_int_equal(trees_walk(fresh, &root, count_entry, &n, NULL), 0);
        trees_free(fresh);
        if (pending)
            flush(history);
    }
    history_close(history);
}

/* What was loaded into one store is not taken for loaded into the next, which may lie at the same
 * address. */
static void loading_into_another(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    struct digest root = history_last(history, "a")->input_root;
    for (int i = 0; i < 20; i++) {
        struct trees *fresh = trees_new();
        size_t n = 0;
        if (i % 2)
            history_load_dir(history, &root, fresh);
        assert_false(trees_is_whole(fresh, &root));
        assert_true(history_load_tree(history, &root, fresh));
        assert_true(trees_is_whole(fresh, &root));
        assert_int_equal(trees_walk(fresh, &root, count_entry, &n, NULL), 0);
        trees_keep(fresh, &root);
        trees_sweep(fresh);
        assert_true(trees_is_whole(fresh, &root));
        assert_int_equal(trees_walk(fresh, &root, count_entry, &n, NULL), 0);
        trees_free(fresh);
    }
    history_close(history);
}

static void deep_and_wide_trees(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    struct digest root = tree_empty();
    for (int i = 0; i < 20000; i++) {
        struct tree_entry twice[] = {{.kind = TREE_DIR, .name = "a", .digest = root},
                                     {.kind = TREE_DIR, .name = "b", .digest = root}};
        root = trees_put(f->trees, twice, 2);
    }
    struct history_record record = make_record("deep", HISTORY_PASSED, 1, root);
    assert_int_equal(history_note(history, &record, f->trees, NULL), 0);
    flush(history);
    history_close(history);
    history = open_history(f->path);
    struct trees *fresh = trees_new();
    assert_true(history_load_tree(history, &root, fresh));
    trees_free(fresh);
    history_close(history);
}

static void places_that_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    struct history *history;
    struct err err = ERR_INIT;
    assert_int_equal(history_open("/proc/nonexistent/steps.log", &history, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "/proc/nonexistent/steps.log"));
    assert_int_equal(history_open(f->dir, &history, &err), -ERR_SYSTEM);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(history_open(f->path, &history, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "regular"));
    err_release(&err);
}

static void read_only(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    flush(history);
    history_close(history);
    assert_int_equal(chmod(f->path, 0400), 0);
    if (access(f->path, W_OK) == 0)
        skip(); /* root writes everywhere */
    history = open_history(f->path);
    check_record(history_last(history, "a"), "a", HISTORY_PASSED, 1);
    note(history, f->trees, "b", HISTORY_PASSED, 2);
    struct err err = ERR_INIT;
    assert_int_equal(history_flush(history, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), f->path));
    err_release(&err);
    check_record(history_last(history, "b"), "b", HISTORY_PASSED, 2);
    assert_int_equal(history_flush(history, &err), 0);
    history_close(history);
}

static void locked_by_another(void **state)
{
    struct fixture *f = *state;
    struct history *history = open_history(f->path);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    note(history, f->trees, "a", HISTORY_PASSED, 1);
    struct err err = ERR_INIT;
    uint64_t begun = clock_monotonic_ns();
    assert_int_equal(history_flush(history, &err), -ERR_SYSTEM);
    uint64_t patience = clock_monotonic_ns() - begun;
    assert_non_null(strstr(err_text(&err), "locked"));
    err_release(&err);
    assert_int_equal(size_of(f->path), 0);
    begun = clock_monotonic_ns();
    assert_int_equal(history_try_flush(history, &err), 0);
    assert_true(clock_monotonic_ns() - begun < patience);
    assert_int_equal(size_of(f->path), 0);
    close(fd);
    assert_int_equal(history_try_flush(history, &err), 0);
    assert_true(size_of(f->path) > 0);
    history_close(history);
}

/* -- at random, against a model ---------------------------------------------------------------- */

enum { N_STEPS = 7, N_HANDLES = 3 };

struct model {
    int last[N_STEPS], last_status[N_STEPS], pass[N_STEPS]; /* numbers; -1 = none */
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void check_model(const struct history *history, const struct model *model)
{
    for (int i = 0; i < N_STEPS; i++) {
        char step[8];
        snprintf(step, sizeof(step), "s%d", i);
        const struct history_record *last = history_last(history, step);
        const struct history_record *pass = history_last_pass(history, step);
        assert_int_equal(last != NULL, model->last[i] >= 0);
        assert_int_equal(pass != NULL, model->pass[i] >= 0);
        if (last) {
            check_record(last, step, (enum history_status)model->last_status[i],
                         (unsigned)model->last[i]);
            assert_true(tree_loads(history, last));
        }
        if (pass) {
            check_record(pass, step, HISTORY_PASSED, (unsigned)model->pass[i]);
            assert_true(tree_loads(history, pass));
        }
    }
}

static void at_random(void **state)
{
    struct fixture *f = *state;
    struct model model;
    memset(&model, 0xff, sizeof(model));
    struct history *handles[N_HANDLES];
    for (int i = 0; i < N_HANDLES; i++)
        handles[i] = open_history(f->path);
    uint32_t seed = 7;
    for (int round = 0; round < 1500; round++) {
        struct history **handle = &handles[next_random(&seed) % N_HANDLES];
        uint32_t what = next_random(&seed) % 20;
        if (what == 0) {
            history_close(*handle);
            *handle = open_history(f->path);
            check_model(*handle, &model);
        } else if (what == 1) {
            int fd = open(f->path, O_WRONLY | O_APPEND);
            assert_int_equal(file_write_all(fd, "KLH1junk", next_random(&seed) % 9), 0);
            close(fd);
        } else if (what == 2) {
            /* What a rewriting by a later kiln, or a copy put back, looks like. */
            struct buf log = BUF_INIT;
            assert_int_equal(file_read(f->path, 1 << 24, &log, NULL), 0);
            assert_int_equal(file_write_atomic(f->path, buf_str(&log), log.len, 0600, NULL), 0);
            buf_release(&log);
        } else {
            /* A new key each time: a handle may not know what the others wrote meanwhile. */
            uint32_t n = 1 + next_random(&seed) % 4;
            for (uint32_t i = 0; i < n; i++) {
                uint32_t at = next_random(&seed) % N_STEPS;
                enum history_status status = (enum history_status)(next_random(&seed) % 3);
                int number = round * 8 + (int)i;
                char step[8];
                snprintf(step, sizeof(step), "s%u", at);
                note(*handle, f->trees, step, status, (unsigned)number);
                model.last[at] = number;
                model.last_status[at] = (int)status;
                if (status == HISTORY_PASSED)
                    model.pass[at] = number;
            }
            flush(*handle);
            if (round % 10 == 0)
                check_model(*handle, &model);
        }
    }
    for (int i = 0; i < N_HANDLES; i++)
        history_close(handles[i]);
    struct history *history = open_history(f->path);
    check_model(history, &model);
    history_close(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(found_again),
        TEST(nothing_new_writes_nothing),
        TEST(trees_that_are_not_whole),
        TEST(loading_twice),
        TEST(loading_one),
        TEST(loading_into_another),
        TEST(deep_and_wide_trees),
        TEST(places_that_cannot_be_used),
        TEST(read_only),
        TEST(locked_by_another),
        TEST(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
