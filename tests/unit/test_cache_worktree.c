#include "test_worktree.h"

#include <sys/socket.h>
#include <sys/un.h>

static int setup(void **state)
{
    struct project *project = mem_zalloc(1, sizeof(*project));
    project_init(project);
    *state = project;
    return 0;
}

static int teardown(void **state)
{
    struct project *project = *state;
    project_release(project);
    free(project);
    return 0;
}

static void test_digest_by_hand(void **state)
{
    struct project *project = *state;
    project_write(project, "src/main.c", "int main;\n");
    project_write(project, "src/run", "#!/bin/sh\n");
    project_write(project, "README", "");
    project_mkdir(project, "src/empty/deeper");
    project_run(project, "chmod 755 src/run && ln -s ../README src/link");
    project_open(project);
    struct tree_entry src[] = {
        {.kind = TREE_SYMLINK, .name = "link", .target = "../README"},
        {.kind = TREE_FILE, .name = "main.c", .digest = digest_of("int main;\n", 10)},
        {.kind = TREE_FILE,
         .name = "run",
         .executable = true,
         .digest = digest_of("#!/bin/sh\n", 10)},
    };
    struct tree_entry root[] = {
        {.kind = TREE_FILE, .name = "README", .digest = digest_of("", 0)},
        {.kind = TREE_DIR, .name = "src", .digest = trees_put(project->trees, src, 3)},
    };
    struct digest whole = trees_put(project->trees, root, 2),
                  part = trees_put(project->trees, root + 1, 1);
    struct digest digest = digest_of_view(project->tree, INPUTS(project->tree, "**"));
    assert_true(digest_eq(&digest, &whole));
    digest = digest_of_view(project->tree, INPUTS(project->tree, "src", "!src/*.md"));
    assert_true(digest_eq(&digest, &part));
    digest = digest_of_view(project->tree, INPUTS(project->tree, "src"));
    assert_true(digest_eq(&digest, &part));
    digest = digest_of_view(project->tree, view_of(project->tree, WORKTREE_INPUTS, NULL, 0));
    struct digest empty = tree_empty();
    assert_true(digest_eq(&digest, &empty));
    digest = digest_of_view(project->tree, INPUTS(project->tree, "src/empty"));
    assert_true(digest_eq(&digest, &empty));
}

static void test_views_are_shared(void **state)
{
    struct project *project = *state;
    project_open(project);
    uint32_t a = INPUTS(project->tree, "a", "b");
    assert_int_equal(INPUTS(project->tree, "a", "b"), a);
    assert_int_not_equal(INPUTS(project->tree, "b", "a"), a);
    assert_int_not_equal(OUTPUTS(project->tree, "a", "b"), a);
    assert_int_not_equal(INPUTS(project->tree, "ab"), a);
    uint32_t view;
    size_t bad;
    struct err err = ERR_INIT;
    const char *const malformed[] = {"a", "../b"};
    assert_int_not_equal(
        worktree_view(project->tree, WORKTREE_INPUTS, malformed, 2, &view, &bad, &err), 0);
    assert_int_equal(bad, 1);
    assert_true(*err_text(&err));
    assert_int_not_equal(
        worktree_view(project->tree, WORKTREE_OUTPUTS, malformed, 2, &view, &bad, &err), 0);
    assert_int_equal(bad, 1);
    err_release(&err);
}

static void test_what_is_left_out(void **state)
{
    struct project *project = *state;
    project_run(project, "git init -q .");
    project_write(project, ".gitignore", "*.o\nbuild/\n");
    project_write(project, "a.c", "");
    project_write(project, "a.o", "");
    project_write(project, "a.c~", "");
    project_write(project, ".a.c.swp", "");
    project_write(project, "4913", "");
    project_write(project, "#a.c#", "");
    project_write(project, "b.c___jb_tmp___", "");
    project_write(project, "kept~", "");
    project_write(project, "build/gen.h", "");
    project_write(project, "build/sub/x.o", "");
    project_write(project, "build/sub/.git/HEAD", "");
    project_write(project, "out/app", "");
    project_write(project, "lib/out/app", "");
    project_mkdir(project, "build/empty");
    project_run(project, "ln -s a.c .#a.c && git add -f kept~ && mkfifo fifo");
    project->outputs[project->n_outputs++] = "out";
    project->outputs[project->n_outputs++] = "build/sub/y";
    project_open(project);
    struct worktree *tree = project->tree;
    assert_lists(project, INPUTS(tree, "**"),
                 ".gitignore\na.c\nkept~\nlib/\nlib/out/\nlib/out/app\n");
    assert_lists(project, INPUTS(tree, "build"),
                 "build/\nbuild/gen.h\nbuild/sub/\nbuild/sub/x.o\n");
    assert_lists(project, INPUTS(tree, "build", "!build/sub"), "build/\nbuild/gen.h\n");
    assert_lists(project, INPUTS(tree, "build/*"), "");
    assert_lists(project, INPUTS(tree, "build/gen.h", "a.o"), "a.o\nbuild/\nbuild/gen.h\n");
    assert_lists(project, INPUTS(tree, "**", "a.o", "!lib"), ".gitignore\na.c\na.o\nkept~\n");
    assert_lists(project, INPUTS(tree, "out"), "");
    assert_lists(project, INPUTS(tree, "out/app", "a.c"), "a.c\n");
    assert_lists(project, OUTPUTS(tree, "out", "nowhere/x"), "out/\nout/app\n");
    assert_lists(project, OUTPUTS(tree, "build"),
                 "build/\nbuild/empty/\nbuild/gen.h\nbuild/sub/\nbuild/sub/.git/\nbuild/sub/.git/"
                 "HEAD\nbuild/sub/x.o\n");
    assert_lists(project, OUTPUTS(tree, "a.o"), "a.o\n");
}

static void expect_broken(struct project *project, uint32_t view, size_t expected,
                          const char *words)
{
    struct digest digest;
    struct err err = ERR_INIT;
    size_t bad = 77;
    assert_int_equal(answer_of(project->tree, view, &digest, &bad, &err), WORKTREE_BROKEN);
    assert_int_equal(err.kind, ERR_CONFIG);
    if (!strstr(err_text(&err), words))
        fail_msg("\"%s\" does not say \"%s\"", err_text(&err), words);
    assert_true(bad == expected);
    err_release(&err);
}

static void test_broken(void **state)
{
    struct project *project = *state;
    project_write(project, "dir/a", "");
    project_run(
        project,
        "mkfifo fifo && ln -s dir link && ln -s loop loop && mkdir bad && touch bad/$(printf "
        "'x\\377')"
        " && mkdir secret && touch secret/x secret2 && mkdir ctl && touch ctl/$(printf 'a\\001b')");
    char *path = project_path(project, "socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    free(path);
    project->outputs[project->n_outputs++] = "made/app";
    project_open(project);
    struct worktree *tree = project->tree;
    expect_broken(project, INPUTS(tree, "dir", "missing"), 1, "missing");
    expect_broken(project, INPUTS(tree, "dir/missing/x"), 0, "not there");
    expect_broken(project, INPUTS(tree, "dir/a/x"), 0, "not there");
    expect_broken(project, INPUTS(tree, "fifo"), 0, "FIFO");
    expect_broken(project, INPUTS(tree, "dir", "socket"), 1, "socket");
    expect_broken(project, INPUTS(tree, "link/a"), 0, "symbolic link");
    expect_broken(project, INPUTS(tree, "loop/a"), 0, "symbolic link");
    expect_broken(project, INPUTS(tree, "bad"), SIZE_MAX, "UTF-8");
    expect_broken(project, INPUTS(tree, "**"), SIZE_MAX, "bad/x\\xff");
    assert_lists(project, INPUTS(tree, "loop", "link"), "link@dir\nloop@loop\n");
    assert_lists(project, INPUTS(tree, "fi*", "dir"), "dir/\ndir/a\n");
    assert_lists(project, INPUTS(tree, "made/app", "made"), "");
    assert_lists(project, INPUTS(tree, "missing", "!missing"), "");
    assert_lists(project, INPUTS(tree, "ctl"), "ctl/\nctl/a\001b\n");
    assert_lists(project, OUTPUTS(tree, "link/a", "fifo"), "");
    if (geteuid() == 0)
        return; /* nothing is unreadable for root */
    project_run(project, "chmod 0 secret secret2");
    worktree_mark_all(tree, 1);
    expect_broken(project, INPUTS(tree, "secret"), SIZE_MAX, "Permission");
    expect_broken(project, INPUTS(tree, "secret2"), SIZE_MAX, "Permission");
    project_run(project, "chmod 700 secret secret2");
}

/* A file below a path far beyond PATH_MAX. */
static void make_deep(const struct project *project)
{
    char name[100];
    memset(name, 'd', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    int fd = open(project->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 80; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(below >= 0);
        close(fd);
        fd = below;
    }
    close(openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    close(fd);
}

static void test_names_of_all_kinds(void **state)
{
    struct project *project = *state;
    project_write(project, "a\nb/c d", "");
    project_write(project, "\xc3\xa4", "");
    project_write(project, "[x]", "");
    make_deep(project);
    project_open(project);
    assert_lists(project, INPUTS(project->tree, "**", "!ddd*"), "[x]\na\nb/\na\nb/c d\n\xc3\xa4\n");
    assert_lists(project, INPUTS(project->tree, "\\[x\\]"), "[x]\n");
    assert_lists(project, OUTPUTS(project->tree, "[x]"), "[x]\n");
    char *list = list_of_view(project, project->tree, INPUTS(project->tree, "**"));
    assert_true(strlen(list) > 8000);
    assert_non_null(strstr(list, "ddd/f\n"));
    free(list);
}

/* Same size, and mtime put back: ctime tells, or the racy rule hashes again. */
static void test_racy_edits(void **state)
{
    struct project *project = *state;
    for (int round = 0; round < 50; round++) {
        project_write(project, "a", round % 2 ? "one" : "two");
        char *path = project_path(project, "a");
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        project_open(project);
        struct digest first = digest_of_view(project->tree, INPUTS(project->tree, "a"));
        assert_int_equal(worktree_save(project->tree, NULL), 0);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, round % 2 ? "TWO" : "ONE", 3, 0), 3);
        struct timespec times[2] = {st.st_atim, st.st_mtim};
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
        free(path);
        project_open(project);
        struct digest second = digest_of_view(project->tree, INPUTS(project->tree, "a"));
        assert_false(digest_eq(&first, &second));
    }
}

static void test_stat_cache(void **state)
{
    struct project *project = *state;
    project_run(project, "git init -q .");
    project_write(project, ".gitignore", "*.o\n");
    project_write(project, "src/a.c", "1");
    project_write(project, "src/a.o", "1");
    project_write(project, "lib/b.c", "1");
    project_age(project);
    project_open(project);
    struct digest first = digest_of_view(project->tree, INPUTS(project->tree, "**"));
    assert_int_equal(worktree_counts(project->tree).hashed_files,
                     2); /* .gitignore is read at once */
    assert_int_equal(worktree_save(project->tree, NULL), 0);
    project_open(project);
    struct digest second = digest_of_view(project->tree, INPUTS(project->tree, "**"));
    assert_true(digest_eq(&first, &second));
    assert_int_equal(worktree_counts(project->tree).hashed_files, 0);
    /* What is not visited stays known. */
    project_write(project, "src/a.c", "2");
    project_open(project);
    digest_of_view(project->tree, INPUTS(project->tree, "src"));
    assert_int_equal(worktree_counts(project->tree).hashed_files, 1);
    assert_int_equal(worktree_save(project->tree, NULL), 0);
    project_age(project);
    project_open(project);
    second = digest_of_view(project->tree, INPUTS(project->tree, "**"));
    assert_false(digest_eq(&first, &second));
    assert_true(worktree_counts(project->tree).hashed_files <= 1);
    /* Verdicts follow the rules. */
    assert_int_equal(worktree_save(project->tree, NULL), 0);
    project_write(project, ".gitignore", "*.c\n");
    project_open(project);
    assert_lists(project, INPUTS(project->tree, "**"), ".gitignore\nsrc/\nsrc/a.o\n");
    assert_int_equal(worktree_save(project->tree, NULL), 0);
    project_run(project, "git add -f src/a.c");
    project_open(project);
    assert_lists(project, INPUTS(project->tree, "**"), ".gitignore\nsrc/\nsrc/a.c\nsrc/a.o\n");
}

/* A file that goes, or is written, between its stat and its hashing. */
static void test_changes_before_hashing(void **state)
{
    struct project *project = *state;
    project_write(project, "a", "1");
    project_write(project, "b", "1");
    project_write(project, "d/c", "1");
    project_open(project);
    uint32_t all = INPUTS(project->tree, "**");
    worktree_prepare(project->tree, &all, 1);
    struct worktree_batch *batch = worktree_next_batch(project->tree);
    assert_non_null(batch);
    assert_null(worktree_next_batch(project->tree));
    struct digest digest;
    assert_int_equal(worktree_digest(project->tree, all, &digest, NULL, NULL), WORKTREE_PENDING);
    project_run(project, "rm a && echo longer >b && rm -r d && ln -s / d");
    worktree_batch_work(batch);
    worktree_batch_done(project->tree, batch);
    struct tree_entry entries[] = {
        {.kind = TREE_FILE, .name = "b", .digest = digest_of("longer\n", 7)},
        {.kind = TREE_SYMLINK, .name = "d", .target = "/"}};
    struct digest expected = trees_put(project->trees, entries, 2);
    digest = digest_of_view(project->tree, all);
    assert_true(digest_eq(&digest, &expected));
    /* The tree may go while a batch is out. */
    project_write(project, "e", "1");
    worktree_mark_all(project->tree, 1);
    worktree_prepare(project->tree, &all, 1);
    batch = worktree_next_batch(project->tree);
    assert_non_null(batch);
    worktree_batch_work(batch);
    worktree_batch_done(project->tree, batch);
}

static void test_root_is_gone(void **state)
{
    struct project *project = *state;
    struct worktree_options options = {.root = "/proc/nonexistent", .trees = project->trees};
    struct worktree *tree;
    struct err err = ERR_INIT;
    assert_int_equal(worktree_new(&options, &tree, &err), -(int)ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "/proc/nonexistent"));
    err_release(&err);
    project_write(project, "a", "");
    project_open(project);
    uint32_t all = INPUTS(project->tree, "**");
    digest_of_view(project->tree, all);
    project_remove(project, "");
    worktree_mark_all(project->tree, 1);
    assert_lists(project, all, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_digest_by_hand), TEST(test_views_are_shared),       TEST(test_what_is_left_out),
        TEST(test_broken),         TEST(test_names_of_all_kinds),     TEST(test_racy_edits),
        TEST(test_stat_cache),     TEST(test_changes_before_hashing), TEST(test_root_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
