/*
 * test_engine_history.h - what these tests share: a log in a directory of its own, records and
 * trees by number.
 */
#ifndef KILN_TEST_ENGINE_HISTORY_H
#define KILN_TEST_ENGINE_HISTORY_H

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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    int code = file_remove_tree(AT_FDCWD, f->dir, NULL);
    trees_free(f->trees);
    free(f->path);
    free(f);
    return code;
}

static inline struct history *open_history(const char *path)
{
    struct history *history;
    struct err err = ERR_INIT;
    int code = history_open(path, &history, &err);
    assert_string_equal(err_text(&err), "");
    assert_int_equal(code, 0);
    return history;
}

static inline void flush(struct history *history)
{
    struct err err = ERR_INIT;
    int code = history_flush(history, &err);
    assert_string_equal(err_text(&err), "");
    assert_int_equal(code, 0);
}

static inline uint64_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

/* A tree of a few directories; the same number gives the same one, near numbers share some. */
static inline struct digest make_tree(struct trees *trees, unsigned number)
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

static inline struct history_record make_record(const char *step, enum history_status status,
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

static inline void note(struct history *history, struct trees *trees, const char *step,
                        enum history_status status, unsigned number)
{
    struct history_record record = make_record(step, status, number, make_tree(trees, number));
    assert_int_equal(history_note(history, &record, trees, NULL), 0);
}

static inline void check_record(const struct history_record *record, const char *step,
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

static inline bool count_entry(void *ctx, const char *path, const struct tree_entry *entry)
{
    (void)path;
    (void)entry;
    ++*(size_t *)ctx;
    return true;
}

/* Whether the record's tree can be had, into a store that has nothing. */
static inline bool tree_loads(const struct history *history, const struct history_record *record)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
