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
        {1, NULL, ALL_OF | SRC | C | NAMED},
        {0, ".gitignore", ALL_OF | SRC | C | DOC | OBJ | NAMED},
    };
    uint32_t ids[] = {root, src, sub, doc, out, obj};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t tick = 100 + i;
        worktree_mark(tree, ids[cases[i].dir], cases[i].name, tick);
        unsigned dirty = take_dirty(tree);
        if (dirty != cases[i].expected)
            print_error("mark %d %s\n", cases[i].dir, cases[i].name ? cases[i].name : "(all)");
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
        uint32_t view = INPUTS(project->tree, "src");
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
    project_open(project);
    assert_non_null(
        check_of(project->tree, INPUTS(project->tree, "**"), &check)); /* never asked for */
    worktree_check_free(check);
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
    struct worktree_options options = {.root = "/nonexistent", .trees = project->trees};
    struct worktree *tree;
    struct err err = ERR_INIT;
    assert_int_equal(worktree_new(&options, &tree, &err), -(int)ERR_SYSTEM);
    assert_non_null(strstr(err_text(&err), "/nonexistent"));
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
        TEST(test_digest_by_hand),
        TEST(test_views_are_shared),
        TEST(test_what_is_left_out),
        TEST(test_broken),
        TEST(test_names_of_all_kinds),
        TEST(test_marks),
        TEST(test_hooks),
        TEST(test_racy_edits),
        TEST(test_stat_cache),
        TEST(test_check),
        TEST(test_changes_before_hashing),
        TEST(test_root_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
