/* What stands where something else was: the root, an ignored file; and views of a few of many
 * directories. */
#include "test_worktree.h"

#include "cache/cache_private.h"

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

/* Moves the root away; what write makes afterwards is a new one. */
static void move_root(struct project *project)
{
    char *away = path_join(project->base, "away");
    assert_int_equal(rename(project->root, away), 0);
    assert_int_equal(mkdir(project->root, 0755), 0);
    free(away);
}

static void test_root_replaced(void **state)
{
    struct project *project = *state;
    project_write(project, "src/a", "1");
    project_write(project, "src/old", "1");
    project_open(project);
    uint32_t view = INPUTS(project->tree, "**");
    assert_lists(project, view, "src/\nsrc/a\nsrc/old\n");
    move_root(project);
    project_write(project, "src/a", "22");
    project_write(project, "src/new", "1");
    worktree_mark_all(project->tree, 1);
    assert_lists(project, view, "src/\nsrc/a\nsrc/new\n");
    struct worktree *other = project_open_other(project, NULL);
    struct digest have = digest_of_view(project->tree, view);
    struct digest want = digest_of_view(other, INPUTS(other, "**"));
    assert_true(digest_eq(&have, &want));
    worktree_free(other);
}

/* A step is started in the root by its path, so that the one that was read must still be there. */
static void test_check_root_replaced(void **state)
{
    struct project *project = *state;
    project_write(project, "a", "1");
    project_open(project);
    uint32_t view = INPUTS(project->tree, "a");
    digest_of_view(project->tree, view);
    struct worktree_check *check = worktree_check_new(project->tree, &view, 1);
    worktree_check_work(check);
    assert_null(worktree_check_changed(check));
    worktree_check_free(check);
    check = worktree_check_new(project->tree, &view, 1);
    move_root(project);
    project_write(project, "a", "2");
    worktree_check_work(check);
    assert_string_equal(worktree_check_changed(check), ".");
    worktree_check_free(check);
}

/* So many files that several threads look; what is told is the first, as if it were one. */
static void test_check_many(void **state)
{
    struct project *project = *state;
    static const struct {
        const char *command, *expected; /* NULL: nothing that counts */
    } cases[] = {
        {"true", NULL},
        {"echo 2 >d40/f9; echo 2 >d11/f7; echo 2 >d33/f3", "d11/f7"},
        {"rm -r d39; rm d22/f1", "d22/f1"},
        {"touch d41/new d13/new d13/also", "d13/also"},
        {"mkdir d41/empty d13/empty", NULL},
        {"touch d12/new; echo 2 >d41/f19", "d41/f19"},
    };
    project_run(project, "for d in $(seq 10 49); do mkdir d$d; for f in $(seq 1 120); do echo 1 "
                         ">d$d/f$f; done; done");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        project_open(project);
        uint32_t view = INPUTS(project->tree, "**");
        digest_of_view(project->tree, view);
        struct worktree_check *check = worktree_check_new(project->tree, &view, 1);
        project_run(project, "%s", cases[i].command);
        worktree_check_work(check);
        const char *changed = worktree_check_changed(check);
        if (!changed != !cases[i].expected || (changed && strcmp(changed, cases[i].expected) != 0))
            fail_msg("%s: \"%s\"", cases[i].command, changed ? changed : "-");
        worktree_check_free(check);
    }
}

/* Rules for files need not hold for directories. */
static void test_ignored_file_becomes_directory(void **state)
{
    struct project *project = *state;
    project_write(project, ".gitignore", "/*\n!*/\n");
    project_write(project, "x", "ignored");
    project_write(project, "backup~", "ignored");
    project_open(project);
    uint32_t view = INPUTS(project->tree, "**");
    assert_lists(project, view, "");
    const uint32_t *dirty;
    assert_int_equal(worktree_take_dirty(project->tree, &dirty), 0);

    project_write(project, "x", "still ignored");
    worktree_mark(project->tree, 0, "x", 1);
    project_remove(project, "x");
    worktree_mark(project->tree, 0, "x", 2);
    assert_int_equal(worktree_take_dirty(project->tree, &dirty), 0);

    project_write(project, "x/a", "1");
    worktree_mark(project->tree, 0, "x", 3);
    assert_int_equal(worktree_take_dirty(project->tree, &dirty), 1);
    assert_lists(project, view, "x/\nx/a\n");
    project_remove(project, "backup~");
    project_write(project, "backup~/b", "1");
    worktree_mark(project->tree, 0, "backup~", 4);
    assert_lists(project, view, "backup~/\nbackup~/b\nx/\nx/a\n");
    project_remove(project, "x");
    project_write(project, "x", "ignored again");
    worktree_mark(project->tree, 0, "x", 5);
    assert_lists(project, view, "backup~/\nbackup~/b\n");
}

static void note_bin(void *ctx, uint32_t dir, const char *path)
{
    if (strcmp(path, "bin") == 0)
        *(uint32_t *)ctx = dir;
}

/* A file output may be restored right among the inputs of others. */
static void test_restoring_touches_no_inputs(void **state)
{
    struct project *project = *state;
    project_write(project, "bin/a", "1");
    static const char *const outputs[] = {"bin/app"};
    uint32_t bin = WORKTREE_NONE;
    struct worktree_options options = {
        .root = project->root,
        .outputs = outputs,
        .n_outputs = 1,
        .trees = project->trees,
        .dir_opened = note_bin,
        .ctx = &bin,
    };
    assert_int_equal(worktree_new(&options, &project->tree, NULL), 0);
    uint32_t view = INPUTS(project->tree, "bin");
    assert_lists(project, view, "bin/\nbin/a\n");
    struct cache *cache;
    bool read_only;
    struct digest digest;
    struct err err = ERR_INIT;
    char tmp[CACHE_NAME_SIZE], *path = path_join(project->base, "cache");
    assert_int_equal(cache_open(path, &cache, &read_only, &err), 0);
    cache_unique_name(cache, ".kiln", tmp);
    assert_int_equal(cache_put(cache, "x", 1, &digest, &err), 0);
    cache_close(cache);
    free(path);
    path = mem_printf("bin/%s", tmp);
    project_write(project, path, "half");
    free(path);

    const uint32_t *dirty;
    worktree_mark(project->tree, bin, tmp, 1);
    assert_int_equal(worktree_take_dirty(project->tree, &dirty), 0);
    project_write(project, "bin/.kiln-file", "1");
    worktree_mark(project->tree, bin, ".kiln-file", 2);
    assert_int_equal(worktree_take_dirty(project->tree, &dirty), 1);
    assert_lists(project, view, "bin/\nbin/.kiln-file\nbin/a\n");
}

/* Literal patterns go straight to what they name, also while it comes and goes. */
static void test_few_of_many(void **state)
{
    struct project *project = *state;
    char path[64];
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof(path), "sub/d%03d/f", i);
        project_write(project, path, path);
    }
    project_write(project, "out/one/x", "1");
    project_write(project, "out/oneself", "1");
    project->outputs[project->n_outputs++] = "out/one";
    project->outputs[project->n_outputs++] = "out/two/deep";
    project_open(project);
    struct worktree *tree = project->tree;
    uint32_t two = INPUTS(tree, "sub/d150", "sub/d007/**", "sub/d150/f", "!sub/d150/g");
    uint32_t wild = INPUTS(tree, "sub/d00[12]/f"), rest = INPUTS(tree, "out");
    uint32_t above = INPUTS(tree, "out/two"), made = OUTPUTS(tree, "out/one", "out/two/deep");
    assert_lists(project, two, "sub/\nsub/d007/\nsub/d007/f\nsub/d150/\nsub/d150/f\n");
    assert_lists(project, wild, "sub/\nsub/d001/\nsub/d001/f\nsub/d002/\nsub/d002/f\n");
    assert_lists(project, rest, "out/\nout/oneself\n");
    assert_lists(project, above, ""); /* not there, and a step will make it */
    assert_lists(project, made, "out/\nout/one/\nout/one/x\n");

    uint64_t stats = worktree_counts(tree).stats;
    uint32_t one = INPUTS(tree, "sub/d033");
    assert_lists(project, one, "sub/\nsub/d033/\nsub/d033/f\n");
    assert_true(worktree_counts(tree).stats - stats < 10);

    project_remove(project, "sub/d150");
    project_write(project, "sub/d007/g", "1");
    project_write(project, "out/two/deep", "1");
    worktree_mark_all(tree, 1);
    uint32_t gone = INPUTS(tree, "sub/d007", "sub/d150/*");
    assert_lists(project, gone, "sub/\nsub/d007/\nsub/d007/f\nsub/d007/g\n");
    assert_lists(project, made, "out/\nout/one/\nout/one/x\nout/two/\nout/two/deep\n");
    assert_lists(project, above, "");
    struct digest digest;
    size_t bad;
    assert_int_equal(answer_of(tree, two, &digest, &bad, NULL), WORKTREE_BROKEN);
    assert_int_equal(bad, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_root_replaced),
        TEST(test_check_root_replaced),
        TEST(test_check_many),
        TEST(test_ignored_file_becomes_directory),
        TEST(test_restoring_touches_no_inputs),
        TEST(test_few_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
