/* Whether files are as git wrote them, by the stamps in its index. */
#include "test_worktree.h"

#include "cache/git_stamps.h"

#include <sys/wait.h>

static void run(const struct project *project, const char *script)
{
    char *command = mem_printf("exec 2>&1; cd '%s' && set -e && %s", project->root, script);
    int status = system(command); /* NOLINT(cert-env33-c) */
    if (status != 0)
        print_error("%s\n", command);
    assert_int_equal(status, 0);
    free(command);
}

static void begin(struct project *project)
{
    project_init(project);
    run(project, "git init -q .; mkdir -p d/e; echo 1 >a; echo 2 >a-b; echo 3 >d.c; echo 4 >d/f; "
                 "echo 5 >d/e/g; echo 6 >d0; ln -s a l; echo 7 >x; chmod +x x; git add .; git "
                 "write-tree >/dev/null");
}

/* A settled index: its time is after that of each file. */
static struct git_stamps *stamps_of(const struct project *project)
{
    run(project, "touch -d '1 hour' .git/index");
    char *index = project_path(project, ".git/index");
    struct git_stamps *stamps = git_stamps_read(index, 20);
    assert_non_null(stamps);
    assert_int_equal(git_stamps_fresh(stamps)->len, 0);
    free(index);
    return stamps;
}

static void test_what_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *change;
        bool holds, alone;
    } cases[] = {
        {"true", true, true},
        {"touch new", true, false},
        {"mkdir d/empty", true, false},
        {"touch d/e/new", true, false},
        {"echo 99 >a", false, false},
        {"touch -d '1 minute' a", false, false},
        {"cp -p a y; mv y a", false, false},
        {"chmod -x x", false, false},
        {"rm d/e/g", false, false},
        {"rm d/e/g; touch d/e/h", false, false},
        {"ln -sf a-b l", false, false},
        {"mv d/e ../e; ln -s ../../e d/e", false, false},
        {"rm a; mkdir a", false, false},
        {"rm -r d; touch d", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct project project;
        begin(&project);
        struct git_stamps *stamps = stamps_of(&project);
        run(&project, cases[i].change);
        if (git_stamps_hold(stamps, project.root) != cases[i].holds ||
            git_stamps_follow(stamps, NULL, project.root, INT64_MAX) != cases[i].alone)
            fail_msg("%s", cases[i].change);
        git_stamps_free(stamps);
        project_release(&project);
    }
}

static void test_what_it_does_not_read(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "git update-index --assume-unchanged a",
        "git update-index --skip-worktree a",
        "echo >new; git add -N new",
        "git update-index --split-index",
        "echo bad >.git/index",
        "rm .git/index",
        "git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,sub",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct project project;
        begin(&project);
        run(&project, cases[i]);
        char *index = project_path(&project, ".git/index");
        struct git_stamps *stamps = git_stamps_read(index, 20);
        if (stamps)
            fail_msg("%s", cases[i]);
        free(index);
        project_release(&project);
    }
}

/* What was written at the index's own time counts where that is known to be git's work. */
static void test_fresh(void **state)
{
    (void)state;
    struct project project;
    begin(&project);
    run(&project, "touch -r d/f -d '-1 hour' .git/index");
    char *index = project_path(&project, ".git/index");
    struct git_stamps *stamps = git_stamps_read(index, 20);
    assert_non_null(stamps);
    assert_true(git_stamps_fresh(stamps)->len > 0);
    assert_string_equal(git_stamps_fresh(stamps)->data, "a");
    assert_true(git_stamps_hold(stamps, project.root));
    assert_true(git_stamps_follow(stamps, NULL, project.root, 0));
    assert_false(git_stamps_follow(stamps, NULL, project.root, INT64_MAX));
    git_stamps_free(stamps);
    free(index);
    project_release(&project);
}

/* git makes another tree of it between two looks: what it did is looked at, the rest was. */
static void test_follow(void **state)
{
    (void)state;
    static const struct {
        const char *before, *by_git, *beside;
        bool holds;
    } cases[] = {
        {"true", "true", "true", true},
        {"true",
         "echo 99 >a; echo new >d/new; git rm -q --cached d/e/g; rm -r d/e; git add a d/new",
         "true", true},
        {"true", "git rm -rqf d; echo 1 >d; git add d", "true", true},
        {"true", "git rm -qf d0; mkdir d0; echo 1 >d0/n; git add d0", "true", true},
        {"true", "echo 99 >a; git add a", "true", true},
        {"true", "echo 99 >a; git add a", "touch new", false},
        {"true", "echo 99 >d/e/g; git add d/e/g", "touch d/e/new", false},
        {"touch new", "echo 99 >d/f; git add d/f", "true", false},
        {"touch d/e/new; chmod -x x", "true", "rm d/e/new; chmod +x x", false},
        {"touch d/e/new", "true", "rm d/e/new", true},
        {"rm d/f", "true", "true", false},
        {"rm d/f", "echo 99 >a; git add a", "true", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct project project;
        begin(&project);
        struct git_stamps *before = stamps_of(&project);
        run(&project, cases[i].before);
        git_stamps_look(before, project.root);
        run(&project, cases[i].by_git);
        struct git_stamps *after = stamps_of(&project);
        run(&project, cases[i].beside);
        if (git_stamps_follow(after, before, project.root, 0) != cases[i].holds)
            fail_msg("%s; %s; %s", cases[i].before, cases[i].by_git, cases[i].beside);
        git_stamps_free(before);
        git_stamps_free(after);
        project_release(&project);
    }
}

/* The index as it was read stays, whatever becomes of its file. */
static void test_the_index_as_it_was(void **state)
{
    (void)state;
    struct project project;
    begin(&project);
    char *index = project_path(&project, ".git/index"), *copy = path_join(project.base, "copy");
    struct git_stamps *stamps = stamps_of(&project);
    char hex[GIT_TREE_HEX + 1];
    assert_true(git_stamps_tree(stamps, hex));
    assert_int_equal(strlen(hex), 40);
    assert_true(git_stamps_are(stamps, index));
    run(&project, "cp -p .git/index ../was; echo 99 >a; git add a");
    assert_false(git_stamps_are(stamps, index));
    assert_int_equal(git_stamps_write(stamps, copy, NULL), 0);
    run(&project, "cmp ../was ../copy; test ! ../was -nt ../copy; test ! ../was -ot ../copy; "
                  "! GIT_INDEX_FILE=$PWD/../copy git diff-files --quiet");
    git_stamps_free(stamps);
    free(index);
    free(copy);
    project_release(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_seen),
        cmocka_unit_test(test_what_it_does_not_read),
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_the_index_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
