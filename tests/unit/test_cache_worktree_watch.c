#include "test_worktree.h"

#include <sys/resource.h>

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

/* Ids of directories in the order in which the hook told them. */
struct told {
    char *path[64];
    uint32_t id[64];
    size_t n;
};
static void tell_opened(void *ctx, uint32_t dir, const char *path)
{
    struct told *told = ctx;
    assert_true(told->n < 64);
    told->path[told->n] = mem_strdup(path);
    told->id[told->n++] = dir;
}

static void tell_closed(void *ctx, uint32_t dir)
{
    struct told *told = ctx;
    for (size_t i = 0; i < told->n; i++) {
        if (told->id[i] != dir)
            continue;
        free(told->path[i]);
        told->n--;
        told->path[i] = told->path[told->n];
        told->id[i] = told->id[told->n];
        return;
    }
    fail_msg("closed what was not open");
}

static void open_told(struct project *project, struct told *told)
{
    struct worktree_options options = {
        .root = project->root,
        .stat_path = project->stat_path,
        .outputs = project->outputs,
        .n_outputs = project->n_outputs,
        .trees = project->trees,
        .dir_opened = tell_opened,
        .dir_closed = tell_closed,
        .ctx = told,
    };
    assert_int_equal(worktree_new(&options, &project->tree, NULL), 0);
}

static uint32_t told_id(const struct told *told, const char *path)
{
    for (size_t i = 0; i < told->n; i++)
        if (strcmp(told->path[i], path) == 0)
            return told->id[i];
    return WORKTREE_NONE;
}

static void release_told(struct told *told)
{
    for (size_t i = 0; i < told->n; i++)
        free(told->path[i]);
}

/* Which of the views are dirty, as a set of bits. */
static unsigned take_dirty(struct worktree *tree)
{
    const uint32_t *views;
    unsigned set = 0;
    size_t n = worktree_take_dirty(tree, &views);
    for (size_t i = 0; i < n; i++)
        set |= 1u << views[i];
    return set;
}

/* Which views a mark concerns. */
static void test_marks(void **state)
{
    struct project *project = *state;
    struct told told = {.n = 0};
    project_write(project, ".gitignore", "*.o\nobj/\n");
    project_write(project, "src/a.c", "1");
    project_write(project, "src/a.o", "1");
    project_write(project, "src/sub/b.c", "1");
    project_write(project, "doc/x.md", "1");
    project_write(project, "obj/y", "1");
    project_write(project, "out/app", "1");
    project->outputs[project->n_outputs++] = "out";
    open_told(project, &told);
    struct worktree *tree = project->tree;
    enum { ALL_OF = 1, SRC = 2, C = 4, DOC = 8, OUT = 16, OBJ = 32, NAMED = 64 };
    uint32_t views[] = {INPUTS(tree, "**"),       INPUTS(tree, "src"),  INPUTS(tree, "**/*.c"),
                        INPUTS(tree, "doc/*.md"), OUTPUTS(tree, "out"), INPUTS(tree, "obj"),
                        INPUTS(tree, "src/a.o")};
    for (size_t i = 0; i < 7; i++)
        digest_of_view(tree, views[i]);
    assert_int_equal(take_dirty(tree), 0);
    uint32_t root = told_id(&told, ""), src = told_id(&told, "src"),
             sub = told_id(&told, "src/sub"), doc = told_id(&told, "doc"),
             out = told_id(&told, "out"), obj = told_id(&told, "obj");
    static const struct {
        int dir;
        const char *name;
        unsigned expected;
    } cases[] = {
        {1, "a.c", ALL_OF | SRC | C},
        {2, "b.c", ALL_OF | SRC | C},
        {2, "new.txt", ALL_OF | SRC},
        {2, "new.c", ALL_OF | SRC | C},
        {1, "a.o", NAMED},
        {1, "new.o", 0},
        {1, "a.c~", 0},
        {1, ".a.c.swp", 0},
        {1, ".a.c.swpx", 0},
        {3, "x.md", ALL_OF | DOC},
        {3, "y.md", ALL_OF | DOC},
        {3, "y.txt", ALL_OF},
        {4, "app", OUT},
        {4, "new", OUT},
        {5, "y", OBJ},
        {5, "z.o", OBJ},
        {0, "out", OUT},
        {0, "obj", OBJ},
        {0, ".git", 0},
        {0, "README", ALL_OF},
        {0, ".gitignore", ALL_OF | SRC | C | DOC | OBJ | NAMED},
    };
    uint32_t ids[] = {root, src, sub, doc, out, obj};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t tick = 100 + i;
        worktree_mark(tree, ids[cases[i].dir], cases[i].name, tick);
        unsigned dirty = take_dirty(tree);
        if (dirty != cases[i].expected)
            print_error("mark %d %s\n", cases[i].dir, cases[i].name);
        assert_int_equal(dirty, cases[i].expected);
        for (uint32_t view = 0; view < 7; view++)
            assert_int_equal(worktree_view_tick(tree, views[view]) == tick,
                             (cases[i].expected >> view) & 1);
        /* Nothing really changed: all is as it was, and clean again. */
        for (size_t view = 0; view < 7; view++)
            digest_of_view(tree, views[view]);
        assert_int_equal(take_dirty(tree), 0);
        ids[0] = told_id(&told, ""), ids[1] = told_id(&told, "src"),
        ids[2] = told_id(&told, "src/sub");
        ids[3] = told_id(&told, "doc"), ids[4] = told_id(&told, "out"),
        ids[5] = told_id(&told, "obj");
    }
    char *paths[4];
    size_t n;
    worktree_take_changed(tree, paths, 4, &n);
    while (n)
        free(paths[--n]);
    /* Something in a directory, nobody knows what: only what really changed has been touched. */
    static const struct {
        const char *path, *text;
        unsigned touched;
    } unnamed[] = {{"src/a.c", "22", ALL_OF | SRC | C},
                   {"src/a.o", "22", NAMED},
                   {"src/a.txt", "", ALL_OF | SRC},
                   {"src/b.o", "", 0}};
    for (size_t i = 0; i < sizeof(unnamed) / sizeof(unnamed[0]); i++) {
        project_write(project, unnamed[i].path, unnamed[i].text);
        worktree_mark(tree, src, NULL, 150 + i);
        assert_int_equal(take_dirty(tree) & unnamed[i].touched, unnamed[i].touched);
        for (uint32_t view = 0; view < 7; view++) {
            assert_int_equal(worktree_view_tick(tree, views[view]) == 150 + i,
                             (unnamed[i].touched >> view) & 1);
            digest_of_view(tree, views[view]);
        }
        size_t told_of = worktree_take_changed(tree, paths, 4, &n);
        assert_int_equal(told_of, unnamed[i].touched ? 1 : 0);
        if (n) {
            assert_string_equal(paths[0], unnamed[i].path);
            free(paths[0]);
        }
        take_dirty(tree);
    }
    worktree_mark(tree, src, "a.c", 200);
    worktree_mark(tree, src, "a.c", 201);
    worktree_mark(tree, src, "a.o~", 202);
    worktree_mark(tree, sub, "fresh", 203);
    assert_int_equal(worktree_take_changed(tree, paths, 1, &n), 2);
    assert_int_equal(n, 1);
    assert_string_equal(paths[0], "src/a.c");
    free(paths[0]);
    assert_int_equal(worktree_take_changed(tree, paths, 4, &n), 0);
    worktree_mark(tree, 12345, "x", 1);
    worktree_mark_all(tree, 300);
    assert_int_equal(take_dirty(tree), 127);
    worktree_free(tree);
    project->tree = NULL;
    release_told(&told);
}

/* Directories come, go, are replaced, and are moved away and back. */
static void test_hooks(void **state)
{
    struct project *project = *state;
    struct told told = {.n = 0};
    project_write(project, "a/b/c", "1");
    open_told(project, &told);
    uint32_t all = INPUTS(project->tree, "**");
    assert_lists(project, all, "a/\na/b/\na/b/c\n");
    assert_int_equal(told.n, 3);
    uint32_t root = told_id(&told, "");
    project_run(project, "mv a x");
    worktree_mark(project->tree, root, "a", 1);
    worktree_mark(project->tree, root, "x", 1);
    assert_lists(project, all, "x/\nx/b/\nx/b/c\n");
    assert_int_equal(told.n, 3);
    assert_int_equal(told_id(&told, "a"), WORKTREE_NONE);
    assert_int_not_equal(told_id(&told, "x/b"), WORKTREE_NONE);
    /* What happened in it while it was elsewhere was seen by nobody. */
    project_run(project, "mv x y && echo 2 >y/b/d && mv y x");
    worktree_mark(project->tree, root, "x", 2);
    assert_lists(project, all, "x/\nx/b/\nx/b/c\nx/b/d\n");
    assert_int_equal(told.n, 3);
    /* Another directory of that name, then a file, a link, nothing. */
    project_run(project, "mkdir -p z/q && touch z/q/r && mv x old && mv z x && rm -r old");
    worktree_mark(project->tree, root, "x", 3);
    assert_lists(project, all, "x/\nx/q/\nx/q/r\n");
    project_run(project, "rm -r x && touch x");
    worktree_mark(project->tree, root, "x", 4);
    assert_lists(project, all, "x\n");
    assert_int_equal(told.n, 1);
    project_run(project, "rm x && ln -s . x");
    worktree_mark(project->tree, root, "x", 5);
    assert_lists(project, all, "x@.\n");
    project_run(project, "rm x");
    worktree_mark(project->tree, root, NULL, 6);
    assert_lists(project, all, "");
    worktree_free(project->tree);
    project->tree = NULL;
    release_told(&told);
}

/* What one view has read already, before its event came, the others have to be told of all the
 * same. */
static void test_read_before_it_was_marked(void **state)
{
    struct project *project = *state;
    struct told told = {.n = 0};
    static const char *const changes[] = {"rm -r sub", "rm -r sub && touch sub"};
    for (size_t i = 0; i < 2; i++) {
        project_run(project, "rm -rf sub && mkdir sub && touch sub/a other");
        open_told(project, &told);
        struct worktree *tree = project->tree;
        uint32_t all = INPUTS(tree, "**"), below = INPUTS(tree, "sub/*");
        assert_lists(project, all, "other\nsub/\nsub/a\n");
        assert_lists(project, below, "sub/\nsub/a\n");
        assert_int_equal(take_dirty(tree), 0);
        project_run(project, "%s", changes[i]);
        project_run(project, "touch new");
        uint32_t root = told_id(&told, "");
        worktree_mark(tree, root, "new", 1);
        assert_lists(project, all, i ? "new\nother\nsub\n" : "new\nother\n");
        take_dirty(tree);
        worktree_mark(tree, root, "sub", 2);
        assert_true(take_dirty(tree) & 1u << below);
        assert_lists(project, below, "");
        project_run(project, "rm -f new");
        worktree_free(tree);
        project->tree = NULL;
    }
    release_told(&told);
}

static const char *check_of(struct worktree *tree, uint32_t view, struct worktree_check **check)
{
    *check = worktree_check_new(tree, &view, 1);
    worktree_check_work(*check);
    return worktree_check_changed(*check);
}

static void test_check(void **state)
{
    struct project *project = *state;
    static const struct {
        const char *command, *expected; /* NULL: nothing that counts */
    } cases[] = {
        {"true", NULL},
        {"echo 2 >src/a.c", "src/a.c"},
        {"rm src/a.c", "src/a.c"},
        {"chmod +x src/a.c", "src/a.c"},
        {"touch src/new.c", "src/new.c"},
        {"touch src/new.o", NULL},
        {"touch src/sub/x~ out/other lib/x", NULL},
        {"mkdir src/cache && touch src/cache/x && echo '*' >src/cache/.gitignore", NULL},
        {"mkdir src/empty", NULL},
        {"mkdir -p src/n/m && touch src/n/m/x", "src/n"},
        {"rm src/link && ln -s b src/link", "src/link"},
        {"rm -r src/sub", "src/sub"},
        {"mv src/sub src/gone && mkdir src/sub", "src/sub/b.c"},
        {"rm -r src", "src"},
        {"ln -s a.c src/other", "src/other"},
        /* Of the root two names and the rules count. */
        {"touch other.c lib2", NULL},
        {"touch single", NULL},
        {"mkdir single && touch single/b.c", "single"},
        {"mkdir -p deep/er && touch deep/er/x", "deep"},
        {"mkdir deep", NULL},
        {"echo a.c >.gitignore", NULL}, /* as before: what stood there is told by its event */
        {"rm .gitignore", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        project_remove(project, "");
        project_mkdir(project, "");
        project_write(project, ".gitignore", "*.o\n");
        project_write(project, "src/a.c", "1");
        project_write(project, "src/sub/b.c", "1");
        project_write(project, "lib/c", "1");
        project_write(project, "src/out/app", "1");
        project_run(project, "ln -s a src/link && mkdir out");
        project->outputs[0] = "out";
        project->outputs[1] = "src/out";
        project->n_outputs = 2;
        project_open(project);
        uint32_t view = INPUTS(project->tree, "src", "single/*.c", "deep/er/*");
        digest_of_view(project->tree, view);
        struct worktree_check *check = worktree_check_new(project->tree, &view, 1);
        project_run(project, "%s", cases[i].command);
        worktree_check_work(check);
        const char *changed = worktree_check_changed(check);
        const char *expected = cases[i].expected;
        if (!changed != !expected || (changed && strncmp(changed, expected, strlen(expected)) != 0))
            fail_msg("%s: \"%s\", expected \"%s\"", cases[i].command, changed ? changed : "-",
                     expected ? expected : "-");
        worktree_check_free(check);
    }
    struct worktree_check *check;
    project_run(project, "rm -f .gitignore && mkdir -p src && touch src/a.c");
    project_open(project);
    uint32_t ruled = INPUTS(project->tree, "src");
    digest_of_view(project->tree, ruled);
    check = worktree_check_new(project->tree, &ruled, 1);
    project_write(project, ".gitignore", "a.c\n");
    worktree_check_work(check);
    assert_non_null(worktree_check_changed(check));
    worktree_check_free(check);
    project_open(project);
    assert_non_null(
        check_of(project->tree, INPUTS(project->tree, "**"), &check)); /* never asked for */
    worktree_check_free(check);
}

/* Too many open files are no reason to call an input unreadable for ever. */
static void test_trouble_that_passes(void **state)
{
    struct project *project = *state;
    project_write(project, "src/a.c", "1");
    project_write(project, "src/sub/b.c", "1");
    project_open(project);
    struct worktree *tree = project->tree;
    uint32_t view = INPUTS(tree, "src");
    struct digest before = digest_of_view(tree, view), during;
    struct rlimit old;
    struct err err = ERR_INIT;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (rlim_t spare = 0; spare < 3; spare++) {
        project_write(project, "src/sub/b.c", spare % 2 ? "1" : "2");
        worktree_mark_all(tree, ++project->tick);
        int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
        close(next);
        struct rlimit few = {(rlim_t)next + spare, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        worktree_prepare(tree, &view, 1);
        struct worktree_batch *batch;
        while ((batch = worktree_next_batch(tree))) {
            worktree_batch_work(batch);
            worktree_batch_done(tree, batch);
        }
        enum worktree_answer answer = worktree_digest(tree, view, &during, NULL, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(answer, WORKTREE_BROKEN);
        err_release(&err);
        worktree_doubt_open(tree);
        assert_true(take_dirty(tree) & 1u << view);
        struct digest after = digest_of_view(tree, view);
        assert_int_equal(digest_eq(&after, &before), spare % 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_marks), TEST(test_hooks),
                                       TEST(test_read_before_it_was_marked), TEST(test_check),
                                       TEST(test_trouble_that_passes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
