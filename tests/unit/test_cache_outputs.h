/*
 * test_cache_outputs.h - a project and a cache, outputs of every kind, there and back.
 */
#ifndef KILN_TEST_CACHE_OUTPUTS_H
#define KILN_TEST_CACHE_OUTPUTS_H

#include "test_cache.h"

#include "base/text.h"
#include "cache/beneath.h"
#include "cache/outputs.h"
#include "cache/tree.h"
#include "cache/unfinished.h"

#include <dirent.h>
#include <limits.h>

struct fixture {
    char *dir, *root, *cache_dir;
    int fd; /* of root */
    struct cache *cache;
    struct arena arena;
};

static inline int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct err err = ERR_INIT;
    bool read_only;
    f->dir = scratch_make();
    f->root = path_join(f->dir, "project");
    f->cache_dir = path_join(f->dir, "cache");
    assert_int_equal(mkdir(f->root, 0755), 0);
    f->fd = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    assert_ok(cache_open(f->cache_dir, &f->cache, &read_only, &err), &err);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    cache_close(f->cache);
    close(f->fd);
    arena_release(&f->arena);
    scratch_remove(f->dir);
    free(f->root);
    free(f->cache_dir);
    free(f);
    return 0;
}

static inline void make_dir(struct fixture *f, const char *path)
{
    assert_int_equal(mkdirat(f->fd, path, 0755), 0);
}

static inline void make_file(struct fixture *f, const char *path, const char *text, mode_t mode)
{
    write_text(f->root, path, text, strlen(text), mode);
}

static inline void make_link(struct fixture *f, const char *path, const char *target)
{
    assert_int_equal(symlinkat(target, f->fd, path), 0);
}

static inline void remove_all(struct fixture *f, const char *path)
{
    struct err err = ERR_INIT;
    assert_ok(file_remove_tree(f->fd, path, &err), &err);
}

static inline void assert_link(struct fixture *f, const char *path, const char *target)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(f->fd, path, text, sizeof(text));
    assert_true(n >= 0);
    assert_int_equal((size_t)n, strlen(target));
    assert_memory_equal(text, target, (size_t)n);
}

static inline struct stat stat_of(struct fixture *f, const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(f->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st;
}

static inline struct action_output *capture(struct fixture *f, const char *const *paths, size_t n,
                                            uint64_t *bytes)
{
    struct err err = ERR_INIT;
    struct action_output *outputs;
    assert_ok(outputs_capture(f->cache, f->root, paths, n, &f->arena, &outputs, bytes, &err), &err);
    return outputs;
}

static inline struct action_output capture_one(struct fixture *f, const char *path)
{
    return capture(f, &path, 1, NULL)[0];
}

static inline enum cache_answer restore(struct fixture *f, const struct action_output *outputs,
                                        size_t n)
{
    struct err err = ERR_INIT;
    enum cache_answer answer;
    assert_ok(outputs_restore(f->cache, f->root, outputs, n, &answer, &err), &err);
    return answer;
}

static inline void capture_fails(struct fixture *f, const char *path, enum err_kind kind,
                                 const char *says)
{
    struct err err = ERR_INIT;
    struct action_output *outputs;
    assert_fails(outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, &err),
                 kind, &err);
    assert_has(err_text(&err), says);
    assert_int_equal(outputs_capture(f->cache, f->root, &path, 1, &f->arena, &outputs, NULL, NULL),
                     -(int)kind);
    err_release(&err);
}

static const char awkward[] = "new\nline \"quoted\" 日本 🔥 -rf";

static inline void make_everything(struct fixture *f)
{
    make_dir(f, "out");
    make_dir(f, "out/empty");
    make_dir(f, "out/sub");
    make_dir(f, "out/sub/deeper");
    make_dir(f, "out/sub/deeper/empty too");
    make_file(f, "out/plain", "plain\n", 0644);
    make_file(f, "out/nothing", "", 0600);
    make_file(f, "out/run", "#!/bin/sh\n", 0755);
    make_file(f, "out/sub/private", "p", 0700);
    make_file(f, "out/sub/deeper/same", "plain\n", 0444);
    make_link(f, "out/dangling", "no/where");
    make_link(f, "out/absolute", "/etc/passwd");
    make_link(f, "out/loop", "loop");
    make_link(f, "out/to-dir", "sub");
    char *path = mem_printf("out/sub/%s", awkward);
    make_file(f, path, "awkward", 0644);
    free(path);
    make_file(f, "single", "one file\n", 0755);
    make_link(f, "link", "../outside");
    make_dir(f, "hollow");
}

static const char *const everything[] = {"single", "out", "hollow", "link", "out"};

static inline void assert_everything(struct fixture *f)
{
    assert_file(f->root, "out/plain", "plain\n");
    assert_file(f->root, "out/nothing", "");
    assert_file(f->root, "out/run", "#!/bin/sh\n");
    assert_file(f->root, "out/sub/deeper/same", "plain\n");
    assert_file(f->root, "single", "one file\n");
    char *path = mem_printf("out/sub/%s", awkward);
    assert_file(f->root, path, "awkward");
    free(path);
    assert_link(f, "out/dangling", "no/where");
    assert_link(f, "out/absolute", "/etc/passwd");
    assert_link(f, "out/loop", "loop");
    assert_link(f, "out/to-dir", "sub");
    assert_link(f, "link", "../outside");
    assert_true(S_ISDIR(stat_of(f, "out/empty").st_mode));
    assert_true(S_ISDIR(stat_of(f, "out/sub/deeper/empty too").st_mode));
    assert_true(S_ISDIR(stat_of(f, "hollow").st_mode));
    assert_true(stat_of(f, "out/run").st_mode & S_IXUSR);
    assert_true(stat_of(f, "out/sub/private").st_mode & S_IXUSR);
    assert_true(stat_of(f, "single").st_mode & S_IXUSR);
    assert_false(stat_of(f, "out/plain").st_mode & 0111);
}

static inline size_t count_names(struct fixture *f, const char *path, const char *head)
{
    size_t n = 0;
    DIR *dir = fdopendir(openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strncmp(entry->d_name, head, strlen(head)) == 0;
    closedir(dir);
    return n;
}

/* Enough for several hands: all new, all there, and each second one spoilt. */

#define with_project(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
