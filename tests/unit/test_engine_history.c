/* The history: what is noted is found again, by any process, whatever happened to the file's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char dir[32];
    char *path;
    struct trees *trees;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/kiln-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->path = path_join(f->dir, "steps.log");
    f->trees = trees_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    int code = file_remove_tree(AT_FDCWD, f->dir, NULL);
    trees_free(f->trees);
    free(f->path);
    free(f);
    return code;
}

static struct history *open_history(const char *path)
{
    struct history *history;
    struct err err = ERR_INIT;
    int code = history_open(path, &history, &err);
    assert_string_equal(err_text(&err), "");
    assert_int_equal(code, 0);
    return history;
}

static void flush(struct history *history)
{
    struct err err = ERR_INIT;
    int code = history_flush(history, &err);
    assert_string_equal(err_text(&err), "");
    assert_int_equal(code, 0);
}

static uint64_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

/* A tree of a few directories; the same number gives the same one, near numbers share some. */
static struct digest make_tree(struct trees *trees, unsigned number)
{
    char name[32];
    struct digest content = digest_of(&number, sizeof(number));
    snprintf(name, sizeof(name), "f%u", number);
    struct tree_entry file = {.kind = TREE_FILE, .name = name, .digest = content};
    struct tree_entry shared = {.kind = TREE_FILE, .name = "shared", .digest = digest_of("x", 1)};
    struct digest a = trees_put(trees, &file, 1);
    struct digest b = trees_put(trees, &shared, 1);
    struct tree_entry inner[] = {{.kind = TREE_DIR, .name = "a", .digest = a},
                                 {.kind = TREE_DIR, .name = "b", .digest = b},
                                 {.kind = TREE_DIR, .name = "e", .digest = tree_empty()}};
    struct digest c = trees_put(trees, inner, 3);
    struct tree_entry root[] = {{.kind = TREE_DIR, .name = "a", .digest = a},
                                {.kind = TREE_DIR, .name = "c", .digest = c},
                                {.kind = TREE_SYMLINK, .name = "l", .target = "a"}};
    return trees_put(trees, root, 3);
}

static struct history_record make_record(const char *step, enum history_status status,
                                         unsigned number, struct digest root)
{
    return (struct history_record){
        .step = step,
        .status = status,
        .key = digest_of(&number, sizeof(number)),
        .input_root = root,
        .command = "\0cmd\xff",
        .n_command = 5,
        .salt = "kiln/1",
        .duration_ms = number,
        .time_ns = 1000000000000000000u + number,
        .run = "12",
    };
}

static void note(struct history *history, struct trees *trees, const char *step,
                 enum history_status status, unsigned number)
{
    struct history_record record = make_record(step, status, number, make_tree(trees, number));
    assert_int_equal(history_note(history, &record, trees, NULL), 0);
}

static void check_record(const struct history_record *record, const char *step,
                         enum history_status status, unsigned number)
{
    assert_non_null(record);
    struct digest key = digest_of(&number, sizeof(number));
    assert_string_equal(record->step, step);
    assert_int_equal(record->status, status);
    assert_true(digest_eq(&record->key, &key));
    assert_int_equal(record->n_command, 5);
    assert_memory_equal(record->command, "\0cmd\xff", 5);
    assert_string_equal(record->salt, "kiln/1");
    assert_string_equal(record->run, "12");
    assert_int_equal(record->duration_ms, number);
    assert_true(record->time_ns == 1000000000000000000u + number);
}

static bool count_entry(void *ctx, const char *path, const struct tree_entry *entry)
{
    (void)path;
    (void)entry;
    ++*(size_t *)ctx;
    return true;
}

/* Whether the record's tree can be had, into a store that has nothing. */
static bool tree_loads(const struct history *history, const struct history_record *record)
{
    struct trees *fresh = trees_new();
    bool ok = history_load_tree(history, &record->input_root, fresh);
    if (ok) {
        size_t n = 0;
        assert_int_equal(trees_walk(fresh, &record->input_root, count_entry, &n, NULL), 0);
        assert_int_equal(n, 3 + 3 + 1 + 1 + 1);
    }
    trees_free(fresh);
    return ok;
}

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
    assert_true(most > 1 << 20);
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
    assert_int_equal(history_open("/nonexistent/steps.log", &history, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "/nonexistent/steps.log"));
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
    assert_int_equal(history_flush(history, &err), -ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "locked"));
    err_release(&err);
    assert_int_equal(size_of(f->path), 0);
    close(fd);
    flush(history);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(found_again),
        TEST(nothing_new_writes_nothing),
        TEST(trees_that_are_not_whole),
        TEST(loading_twice),
        TEST(torn_at_every_byte),
        TEST(damaged_at_every_byte),
        TEST(junk_behind_is_cut_off),
        TEST(the_later_flush_wins),
        TEST(log_removed_or_replaced),
        TEST(processes_append_together),
        TEST(rewriting),
        TEST(growing_keeps_all),
        TEST(deep_and_wide_trees),
        TEST(places_that_cannot_be_used),
        TEST(read_only),
        TEST(locked_by_another),
        TEST(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
