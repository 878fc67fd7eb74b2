/*
 * test_worktree.h - a project in a temporary folder and a working tree over it, for the tests of
 * cache/worktree.
 *
 * The user's own git configuration is kept out: HOME lies in the temporary folder too.
 */
#ifndef KILN_TEST_WORKTREE_H
#define KILN_TEST_WORKTREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/git.h"
#include "cache/worktree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct project {
    char *base, *root, *stat_path;
    struct trees *trees;
    struct worktree *tree;
    const char *outputs[8];
    size_t n_outputs;
    uint64_t tick;
    int opened, closed;
};

static inline char *project_path(const struct project *project, const char *path)
{
    return path_join(project->root, path);
}

/* Places of git's configuration are found out once a process; here each project has its own HOME.
 */
static inline void forget_home(void)
{
    struct git git;
    git_load(&git);
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        assert_int_equal(git.libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, NULL), 0);
}

static inline void project_init(struct project *project)
{
    const char *tmp = getenv("TMPDIR");
    *project = (struct project){.base = mem_printf("%s/kiln-worktree-XXXXXX", tmp ? tmp : "/tmp")};
    assert_non_null(mkdtemp(project->base));
    project->root = path_join(project->base, "project");
    project->stat_path = path_join(project->base, "state/stat");
    assert_int_equal(mkdir(project->root, 0755), 0);
    assert_int_equal(setenv("HOME", project->base, 1), 0);
    assert_int_equal(setenv("GIT_CONFIG_NOSYSTEM", "1", 1), 0);
    unsetenv("XDG_CONFIG_HOME");
    forget_home();
    project->trees = trees_new();
}

static inline void count_opened(void *ctx, uint32_t dir, const char *path)
{
    struct project *project = ctx;
    (void)dir, (void)path;
    project->opened++;
}

static inline void count_closed(void *ctx, uint32_t dir)
{
    struct project *project = ctx;
    (void)dir;
    project->closed++;
}

static inline struct worktree *project_open_other(struct project *project, const char *stat_path)
{
    struct worktree_options options = {
        .root = project->root,
        .stat_path = stat_path,
        .outputs = project->outputs,
        .n_outputs = project->n_outputs,
        .trees = project->trees,
    };
    struct worktree *tree;
    assert_int_equal(worktree_new(&options, &tree, NULL), 0);
    return tree;
}

static inline void project_open(struct project *project)
{
    struct worktree_options options = {
        .root = project->root,
        .stat_path = project->stat_path,
        .outputs = project->outputs,
        .n_outputs = project->n_outputs,
        .trees = project->trees,
        .dir_opened = count_opened,
        .dir_closed = count_closed,
        .ctx = project,
    };
    worktree_free(project->tree);
    assert_int_equal(worktree_new(&options, &project->tree, NULL), 0);
}

static inline void project_release(struct project *project)
{
    worktree_free(project->tree);
    trees_free(project->trees);
    assert_int_equal(file_remove_tree(AT_FDCWD, project->base, NULL), 0);
    free(project->base);
    free(project->root);
    free(project->stat_path);
}

static inline void project_write(const struct project *project, const char *path, const char *text)
{
    char *full = project_path(project, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_int_equal(file_mkdirs(full, 0755, NULL), 0);
    *slash = '/';
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    close(fd);
    free(full);
}

static inline void project_mkdir(const struct project *project, const char *path)
{
    char *full = project_path(project, path);
    assert_int_equal(file_mkdirs(full, 0755, NULL), 0);
    free(full);
}

static inline void project_remove(const struct project *project, const char *path)
{
    char *full = project_path(project, path);
    assert_int_equal(file_remove_tree(AT_FDCWD, full, NULL), 0);
    free(full);
}

/* Makes everything old enough to be trusted by stat alone; the clock needs no waiting for. */
static inline void project_age(const struct project *project)
{
    struct timespec pause = {0, 30000000};
    (void)project;
    /* ctime can't be set: this waits for the filesystem's clock to leave the racy window, not for
     * another process. */
    while (nanosleep(&pause, &pause) != 0)
        ;
}

/* Runs a shell command in the project; fails the test when it fails. */
__attribute__((format(printf, 2, 3))) static inline void project_run(const struct project *project,
                                                                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *command = mem_vprintf(format, args);
    va_end(args);
    char *whole = mem_printf("cd '%s' && { %s\n} >/dev/null 2>&1", project->root, command);
    int status = system(whole);
    if (status != 0)
        print_error("failed: %s\n", whole);
    assert_int_equal(status, 0);
    free(whole);
    free(command);
}

static inline uint32_t view_of(struct worktree *tree, enum worktree_view_kind kind,
                               const char *const *patterns, size_t n)
{
    uint32_t id;
    struct err err = ERR_INIT;
    if (worktree_view(tree, kind, patterns, n, &id, NULL, &err) != 0)
        fail_msg("%s", err_text(&err));
    return id;
}

#define INPUTS(tree, ...)                                                \
    view_of((tree), WORKTREE_INPUTS, (const char *const[]){__VA_ARGS__}, \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define OUTPUTS(tree, ...)                                                \
    view_of((tree), WORKTREE_OUTPUTS, (const char *const[]){__VA_ARGS__}, \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* Prepares, hashes, and asks until there is an answer. */
static inline enum worktree_answer answer_of(struct worktree *tree, uint32_t view,
                                             struct digest *digest, size_t *bad, struct err *err)
{
    for (int round = 0; round < 100; round++) {
        worktree_prepare(tree, &view, 1);
        for (struct worktree_batch *batch; (batch = worktree_next_batch(tree));) {
            worktree_batch_work(batch);
            worktree_batch_done(tree, batch);
        }
        enum worktree_answer answer = worktree_digest(tree, view, digest, bad, err);
        if (answer != WORKTREE_PENDING)
            return answer;
    }
    fail_msg("the view stays pending");
    return WORKTREE_PENDING;
}

static inline struct digest digest_of_view(struct worktree *tree, uint32_t view)
{
    struct digest digest = {.size = 0};
    struct err err = ERR_INIT;
    if (answer_of(tree, view, &digest, NULL, &err) != WORKTREE_READY)
        fail_msg("broken: %s", err_text(&err));
    return digest;
}

static inline bool add_listed(void *ctx, const char *path, const struct tree_entry *entry)
{
    struct buf *out = ctx;
    buf_adds(out, path);
    if (entry->kind == TREE_DIR)
        buf_addc(out, '/');
    else if (entry->kind == TREE_SYMLINK)
        buf_addf(out, "@%s", entry->target);
    else if (entry->executable)
        buf_addc(out, '*');
    buf_addc(out, '\n');
    return true;
}

/* What a view takes, one path a line. */
static inline char *list_of_view(struct project *project, struct worktree *tree, uint32_t view)
{
    struct digest digest = digest_of_view(tree, view);
    struct buf out = BUF_INIT;
    assert_int_equal(trees_walk(project->trees, &digest, add_listed, &out, NULL), 0);
    return buf_detach(&out);
}

static inline void assert_lists(struct project *project, uint32_t view, const char *expected)
{
    char *list = list_of_view(project, project->tree, view);
    assert_string_equal(list, expected);
    free(list);
}

#endif
