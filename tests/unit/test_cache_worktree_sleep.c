/*
 * Directories that the stat cache knows: not read again while they are as they were, and never
 * believed when they are not.
 */
#include "cache/worktree_private.h"
#include "test_worktree.h"

static void make_project(struct project *project)
{
    project_init(project);
    project_write(project, "top", "0");
    project_write(project, "src/a", "1");
    project_write(project, "src/lib/x", "2");
    project_write(project, "src/lib/deep/y", "3");
    project_write(project, "other/z", "4");
    project_run(project, "ln -s a src/link");
}

/* What is saved is old enough to be trusted afterwards. */
static void settle(struct project *project)
{
    project_age(project);
    project_open(project);
    digest_of_view(project->tree, INPUTS(project->tree, "**"));
    digest_of_view(project->tree, INPUTS(project->tree, "src"));
    digest_of_view(project->tree, INPUTS(project->tree, "**/x", "**/y"));
    assert_int_equal(worktree_save(project->tree, NULL), 0);
}

static struct digest fresh_digest(struct project *project, const char *pattern)
{
    struct worktree *tree = project_open_other(project, NULL);
    struct digest digest = digest_of_view(tree, INPUTS(tree, pattern));
    worktree_free(tree);
    return digest;
}

/* A working tree whose stat cache is read ahead, and which was looked at wholly before it was asked
 * for. The worktree goes before *ahead. */
static struct worktree *open_ahead(struct project *project, struct trees *trees,
                                   struct worktree_ahead **ahead)
{
    struct worktree *tree;
    *ahead = worktree_ahead_new(project->stat_path, project->root, true);
    worktree_ahead_finish(*ahead);
    struct worktree_options options = {
        .root = project->root,
        .stat_path = project->stat_path,
        .stat_ahead = *ahead,
        .trees = trees,
    };
    assert_int_equal(worktree_new(&options, &tree, NULL), 0);
    return tree;
}

static struct digest digest_ahead(struct project *project, const char *pattern)
{
    struct worktree_ahead *ahead;
    struct trees *trees = trees_new();
    struct worktree *tree = open_ahead(project, trees, &ahead);
    struct digest digest = digest_of_view(tree, INPUTS(tree, pattern));
    worktree_free(tree);
    worktree_ahead_free(ahead);
    trees_free(trees);
    return digest;
}

static void assert_same(struct project *project, const char *pattern)
{
    struct digest digest = digest_of_view(project->tree, INPUTS(project->tree, pattern));
    struct digest expected = fresh_digest(project, pattern);
    struct digest ahead = digest_ahead(project, pattern);
    assert_true(digest_eq(&digest, &expected));
    assert_true(digest_eq(&ahead, &expected));
}

/* Nothing is hashed, nothing is written, and the hooks are called all the same. */
static void test_nothing_changed(void **state)
{
    (void)state;
    struct project project;
    struct stat before, after;
    make_project(&project);
    settle(&project);
    assert_int_equal(stat(project.stat_path, &before), 0);
    project.opened = 0;
    project_open(&project);
    assert_same(&project, "**");
    assert_same(&project, "src");
    digest_of_view(project.tree, INPUTS(project.tree, "**/x", "**/y"));
    assert_int_equal(project.opened, 5);
    assert_int_equal(worktree_counts(project.tree).hashed_files, 0);
    assert_int_equal(worktree_counts(project.tree).files, 5);
    assert_int_equal(worktree_save(project.tree, NULL), 0);
    assert_int_equal(stat(project.stat_path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    project_release(&project);
}

/* A directory's digest rests on those below. One of these is seen to change by somebody who does
 * not ask for the one above: what is saved then must not tell the old digest to the next. */
static void test_changed_below_unasked(void **state)
{
    (void)state;
    struct project project;
    make_project(&project);
    settle(&project);
    project_write(&project, "src/lib/deep/y", "changed");
    project_age(&project);
    project_open(&project);
    digest_of_view(project.tree, INPUTS(project.tree, "src/lib/deep"));
    assert_int_equal(worktree_save(project.tree, NULL), 0);
    project_open(&project);
    assert_same(&project, "src");
    assert_same(&project, "**");
    project_release(&project);
}

/* The same when somebody is stopped half-way: one directory below was found changed and has a new
 * digest, others were not looked at yet. */
static void test_saved_half_way(void **state)
{
    (void)state;
    struct project project;
    struct digest digest;
    make_project(&project);
    project_write(&project, "src/lib/deep/gone", "5");
    project_run(&project, "for i in $(seq 100 299); do mkdir src/lib/z$i && echo >src/lib/z$i/f; "
                          "done");
    settle(&project);
    project_run(&project, "rm src/lib/deep/gone");
    project_age(&project);
    project_open(&project);
    uint32_t view = INPUTS(project.tree, "**");
    worktree_prepare(project.tree, &view, 1);
    struct worktree_batch *batch = worktree_next_batch(project.tree);
    worktree_batch_work(batch);
    worktree_batch_done(project.tree, batch);
    worktree_prepare(project.tree, &view, 1);
    assert_int_equal(worktree_digest(project.tree, view, &digest, NULL, NULL), WORKTREE_PENDING);
    assert_int_equal(worktree_save(project.tree, NULL), 0);
    project_open(&project);
    assert_same(&project, "src");
    assert_same(&project, "**");
    project_release(&project);
}

/* Each kind of change, unseen: in a file, of a name, of a link, of rules; below what is whole and
 * what is selected. */
static void test_changed_unseen(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "echo 5 > src/lib/x",          "touch src/lib/new",    "rm src/lib/deep/y",
        "ln -sfn top src/link",        "mv src/lib src/moved", "echo /lib/ > src/.gitignore",
        "rm -r src && mkdir src",      "chmod +x src/a",       "rm -r other && echo 6 > other",
        "mv other/z other/z2",         "mkfifo src/fifo",      "mkdir -p .git && rm -r .git",
        "echo x > src/lib/.gitignore",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct project project;
        make_project(&project);
        settle(&project);
        project_run(&project, "%s", changes[i]);
        for (int turn = 0; turn < 2; turn++) {
            project_open(&project);
            assert_same(&project, "**");
            assert_same(&project, "**/x");
            assert_int_equal(worktree_save(project.tree, NULL), 0);
        }
        project_release(&project);
    }
}

/* Changes in disguise: of the same size, under an old mtime, by another name, or of what git keeps
 * elsewhere. */
static void test_changed_in_disguise(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "touch -r src/lib/x ../t && printf 9 >src/lib/x && touch -r ../t src/lib/x",
        "touch -r src/lib/x ../t && printf 9 >../n && touch -r ../t ../n && mv ../n src/lib/x",
        "touch -r src/lib ../t && mv other/z src/lib/z && touch -r ../t src/lib",
        "touch -r src/a ../t && touch -r ../t src/b src/lib src && mv src/a c && mv src/b src/a && "
        "mv c src/b && touch -r ../t src",
        "touch ../t && touch -hr src/link ../t && ln -sfn b src/link && touch -hr ../t src/link",
        "ln src/lib/x ../hard && printf 9 >../hard",
        "mv src/lib ../c && mv src/twin src/lib && mv ../c src/twin",
        "mv src/lib other/lib && ln -s ../other/lib src/lib",
        "mv src ../src && ln -s ../src src",
        "cp -a src c && rm -r src && mv c src && printf 9 >src/lib/x",
        "rm src/lib/x && mkdir src/lib/x",
        "rm -r src/lib/deep && touch src/lib/deep",
        "touch -r .gitignore ../t && echo '*.p' >.gitignore && touch -r ../t .gitignore",
        "touch -r .gitignore ../t && echo '*.p' >../n && touch -r ../t ../n && mv ../n .gitignore",
        "mv .gitignore c.c && ln -s c.c .gitignore",
        "printf '*.p\\n' >../.gitignore",
        "git add -f src/f.o",
        "git add -f src/f.o && git add -f src/lib/g.o",
        "git rm -q --cached kept.o",
        "git rm -q --cached src/gen/kept",
        "git add -f src/gen/new",
        "echo '*.c' >.git/info/exclude",
        "git config core.excludesFile \"$HOME/x\" && echo a >\"$HOME/x\"",
        "git config core.ignoreCase true && mv src/f.o src/f.O",
        "mkdir -p \"$HOME/.config/git\" && echo a >\"$HOME/.config/git/ignore\"",
        "rm -r .git",
        "mv .git ../git && git init -q .",
        "chmod 600 src/lib/x",
        "chmod +x src/lib/deep/y && chmod -x src/lib/deep/y",
        "mv src/lib/deep src/lib/deeper && mv src/lib/deeper src/lib/deep && echo 9 "
        ">src/lib/deep/y",
        "cd .. && cp -a project c && rm -r project && mv c project && printf 9 >project/src/lib/x",
        "cd .. && mv project c && mkdir project && cp -a c/. project && rm project/src/a",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct project project;
        make_project(&project);
        project_write(&project, ".gitignore", "*.o\n");
        project_write(&project, "src/.gitignore", "gen/\n");
        project_write(&project, "src/b", "8");
        project_write(&project, "src/f.o", "o");
        project_write(&project, "src/f.p", "p");
        project_write(&project, "src/lib/g.o", "o");
        project_write(&project, "kept.o", "o");
        project_write(&project, "c.c", "*.p\n");
        project_write(&project, "src/gen/kept", "k");
        project_write(&project, "src/gen/new", "n");
        project_write(&project, "src/twin/x", "7");
        project_write(&project, "src/twin/deep/y", "6");
        project_run(&project, "git init -q . && git add -f kept.o src/gen/kept src/a");
        settle(&project);
        if (i % 2) { /* what was taken over is taken over once more */
            project_open(&project);
            digest_of_view(project.tree, INPUTS(project.tree, "**"));
            digest_of_view(project.tree, INPUTS(project.tree, "src/f.p"));
            assert_int_equal(worktree_save(project.tree, NULL), 0);
        }
        project_run(&project, "%s", changes[i]);
        for (int turn = 0; turn < 2; turn++) {
            project_open(&project);
            assert_same(&project, "**");
            assert_same(&project, "**/x");
            assert_same(&project, "src");
            assert_int_equal(worktree_save(project.tree, NULL), 0);
        }
        project_release(&project);
    }
}

/* Rules are read when the first verdict needs them, which may be after they were edited: what is
 * found then must not pass for what those say that were there before. */
static void test_rules_edited_while_read(void **state)
{
    (void)state;
    struct project project;
    struct worktree_batch *batch;
    make_project(&project);
    project_write(&project, ".gitignore", "*.o\n");
    settle(&project);
    project_write(&project, "src/f.o", "o");
    project_write(&project, "src/f.p", "p");
    project_age(&project);
    project_open(&project);
    uint32_t view = INPUTS(project.tree, "**");
    worktree_prepare(project.tree, &view, 1);
    while ((batch = worktree_next_batch(project.tree))) {
        worktree_batch_work(batch);
        worktree_batch_done(project.tree, batch);
    }
    project_write(&project, ".gitignore", "*.p\n");
    digest_of_view(project.tree, view);
    assert_int_equal(worktree_save(project.tree, NULL), 0);
    project_write(&project, ".gitignore", "*.o\n");
    project_open(&project);
    assert_same(&project, "**");
    project_release(&project);
}

/* A look that was under way when everything had to be doubted says nothing. */
static void test_late_answer(void **state)
{
    (void)state;
    for (int turn = 0; turn < 4; turn++) {
        const char *pattern = turn / 2 ? "**/?" : "**"; /* the former makes them wake */
        bool marked = turn % 2;
        struct project project;
        make_project(&project);
        settle(&project);
        project_open(&project);
        uint32_t view = INPUTS(project.tree, pattern);
        worktree_prepare(project.tree, &view, 1);
        struct worktree_batch *batch = worktree_next_batch(project.tree);
        assert_non_null(batch);
        worktree_batch_work(batch);
        project_write(&project, "src/lib/x", "changed");
        if (marked)
            worktree_mark_all(project.tree, 1);
        else
            worktree_prepare_now(project.tree, &view, 1);
        worktree_batch_done(project.tree, batch);
        assert_same(&project, pattern);
        project_release(&project);
    }
}

/* What was looked at ahead needs no work any more. It is not for what was marked, nor for whoever
 * wants to know what is so now. */
static void test_looked_at_ahead(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) {
        struct project project;
        struct worktree_ahead *ahead;
        struct digest digest;
        make_project(&project);
        settle(&project);
        struct trees *trees = trees_new();
        struct worktree *tree = open_ahead(&project, trees, &ahead);
        uint32_t view = INPUTS(tree, "**");
        worktree_prepare(tree, &view, 1);
        if (turn > 0)
            project_write(&project, "src/lib/x", "changed");
        if (turn == 1)
            worktree_mark_all(tree, 1);
        if (turn == 2)
            worktree_prepare_now(tree, &view, 1);
        if (turn == 0) {
            assert_null(worktree_next_batch(tree));
            assert_int_equal(worktree_counts(tree).stats, 10);
            assert_int_equal(worktree_digest(tree, view, &digest, NULL, NULL), WORKTREE_READY);
        }
        digest = digest_of_view(tree, view);
        struct digest expected = fresh_digest(&project, "**");
        assert_true(digest_eq(&digest, &expected));
        /* The second look is one of now. */
        project_write(&project, "src/lib/x", "again");
        worktree_mark_all(tree, 2);
        digest = digest_of_view(tree, view);
        expected = fresh_digest(&project, "**");
        assert_true(digest_eq(&digest, &expected));
        worktree_free(tree);
        worktree_ahead_free(ahead);
        trees_free(trees);
        project_release(&project);
    }
}

/* Messages that were never made in this process can be opened, also after a change. */
static void test_messages(void **state)
{
    (void)state;
    struct project project;
    make_project(&project);
    settle(&project);
    worktree_free(project.tree);
    project.tree = NULL;
    trees_free(project.trees);
    project.trees = trees_new();
    project_open(&project);
    uint32_t view = INPUTS(project.tree, "**");
    struct digest before = digest_of_view(project.tree, view);
    struct worktree *other = project_open_other(&project, NULL);
    worktree_mark_all(project.tree, 1);
    struct buf out = BUF_INIT;
    assert_int_equal(trees_walk(project.trees, &before, add_listed, &out, NULL), 0);
    assert_string_equal(buf_str(&out), "other/\nother/z\nsrc/\nsrc/a\nsrc/lib/\nsrc/lib/deep/\n"
                                       "src/lib/deep/y\nsrc/lib/x\nsrc/link@a\ntop\n");
    buf_release(&out);
    worktree_free(other);
    project_release(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_changed),     cmocka_unit_test(test_changed_below_unasked),
        cmocka_unit_test(test_changed_unseen),      cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_looked_at_ahead),     cmocka_unit_test(test_messages),
        cmocka_unit_test(test_changed_in_disguise), cmocka_unit_test(test_rules_edited_while_read),
        cmocka_unit_test(test_saved_half_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
