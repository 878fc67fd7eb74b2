/*
 * What one view's reading finds, before any event tells of it, concerns the other views as well.
 */
#include "test_worktree.h"

static bool is_dirty(struct worktree *tree, uint32_t view)
{
    const uint32_t *dirty;
    size_t n = worktree_take_dirty(tree, &dirty);
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found |= dirty[i] == view;
    return found;
}

static void note_x(void *ctx, uint32_t dir, const char *path)
{
    if (strcmp(path, "x") == 0)
        *(uint32_t *)ctx = dir;
}

/* The directory is gone when the event comes: as what it is judged by then, a file, it would be
 * ignored. */
static void test_gone_before_the_event(void **state)
{
    (void)state;
    struct project project;
    uint32_t x = WORKTREE_NONE;
    project_init(&project);
    project_write(&project, ".gitignore", "*\n!*/\n!*.c\n");
    project_write(&project, "x/f.c", "1");
    project_write(&project, "top.c", "2");
    struct worktree_options options = {
        .root = project.root, .trees = project.trees, .dir_opened = note_x, .ctx = &x};
    assert_int_equal(worktree_new(&options, &project.tree, NULL), 0);
    uint32_t top = INPUTS(project.tree, "*.c"), below = INPUTS(project.tree, "x/**");
    digest_of_view(project.tree, top);
    digest_of_view(project.tree, below);
    is_dirty(project.tree, below);
    assert_int_not_equal(x, WORKTREE_NONE);

    project_remove(&project, "x");
    project_write(&project, "new.c", "3");
    worktree_mark(project.tree, 0, "new.c", 1);
    digest_of_view(project.tree, top);
    worktree_mark(project.tree, x, "f.c", 2);
    worktree_mark(project.tree, 0, "x", 3);
    assert_true(is_dirty(project.tree, below));
    struct digest empty = tree_empty(), now = digest_of_view(project.tree, below);
    assert_true(digest_eq(&now, &empty));
    project_release(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gone_before_the_event)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
