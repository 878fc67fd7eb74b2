#include "test_worktree.h"

#include "cache/ignore.h"
#include "cache/ignore_rules.h"

#include <sys/mman.h>

static void expect(const char *rules, const char *path, bool directory, enum ignore_match expected)
{
    struct ignore_rules *compiled = ignore_rules_new(rules, strlen(rules), false);
    enum ignore_match match = ignore_rules_match(compiled, path, directory);
    if (match != expected)
        print_error("rules \"%s\", path \"%s\"\n", rules, path);
    assert_int_equal(match, expected);
    ignore_rules_free(compiled);
}

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const char *rules, *path;
        bool directory;
        enum ignore_match expected;
    } cases[] = {
        {"", "a", false, IGNORE_UNDECIDED},
        {"a", "a", false, IGNORE_YES},
        {"a", "x/y/a", false, IGNORE_YES},
        {"/a", "x/a", false, IGNORE_UNDECIDED},
        {"/a", "a", true, IGNORE_YES},
        {"a/", "a", false, IGNORE_UNDECIDED},
        {"a/", "a", true, IGNORE_YES},
        {"a/b", "a/b", false, IGNORE_YES},
        {"a/b", "x/a/b", false, IGNORE_UNDECIDED},
        {"*.o", "x/y.o", false, IGNORE_YES},
        {"*.o\n!y.o", "x/y.o", false, IGNORE_NO},
        {"!y.o\n*.o", "x/y.o", false, IGNORE_YES},
        {"!y.o", "y.o", false, IGNORE_NO},
        {"# a\n\\#b", "#b", false, IGNORE_YES},
        {"\\!a", "!a", false, IGNORE_YES},
        {"a ", "a", false, IGNORE_YES},
        {"a\\ ", "a ", false, IGNORE_YES},
        {"a\t", "a", false, IGNORE_UNDECIDED},
        {"a\r\nb\r\n", "a", false, IGNORE_YES},
        {"\xef\xbb\xbf"
         "a",
         "a", false, IGNORE_YES},
        {"**/a", "a", false, IGNORE_YES},
        {"**/a", "x/y/a", false, IGNORE_YES},
        {"a/**", "a/x/y", false, IGNORE_YES},
        {"a/**", "a", true, IGNORE_UNDECIDED},
        {"a/**/b", "a/b", false, IGNORE_YES},
        {"a/**/b", "a/x/y/b", false, IGNORE_YES},
        {"a/**/b", "ab", false, IGNORE_UNDECIDED},
        {"a/*", "a/x/y", false, IGNORE_UNDECIDED},
        {"a/*/b", "a/x/b", false, IGNORE_YES},
        {"/*.c", "x/y.c", false, IGNORE_UNDECIDED},
        {"[a-c]x", "bx", false, IGNORE_YES},
        {"[!a-c]x", "bx", false, IGNORE_UNDECIDED},
        {"[^a-c]x", "dx", false, IGNORE_YES},
        {"[]]", "]", false, IGNORE_YES},
        {"[[:digit:]]", "7", false, IGNORE_YES},
        {"[[:nonsense:]]", "7", false, IGNORE_UNDECIDED},
        {"[a", "a", false, IGNORE_UNDECIDED},
        {"[a", "[a", false, IGNORE_UNDECIDED},
        {"a\\", "a", false, IGNORE_UNDECIDED},
        {"?", "\xff", false, IGNORE_YES},
        {"a?b", "a/b", false, IGNORE_UNDECIDED},
        {"/", "a", true, IGNORE_UNDECIDED},
        {"!", "a", true, IGNORE_UNDECIDED},
        {"foo/*a*b*c", "foo/xaybzc", false, IGNORE_YES},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(cases[i].rules, cases[i].path, cases[i].directory, cases[i].expected);
}

static void test_case_folds(void **state)
{
    (void)state;
    struct ignore_rules *rules = ignore_rules_new("Build\n*.[o]\n", 12, true);
    assert_int_equal(ignore_rules_match(rules, "bUILD", true), IGNORE_YES);
    assert_int_equal(ignore_rules_match(rules, "x.O", false), IGNORE_YES);
    ignore_rules_free(rules);
}

/* Patterns made to take exponential time end at once (the test's time limit says so). */
static void test_many_stars_end(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'a', 250);
    name[250] = '\0';
    expect("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name, false, IGNORE_UNDECIDED);
    struct buf path = BUF_INIT;
    for (int i = 0; i < 500; i++)
        buf_adds(&path, "a/");
    buf_adds(&path, "c");
    expect("**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/*a*/**/b", buf_str(&path), false,
           IGNORE_UNDECIDED);
    buf_release(&path);
}

static uint32_t random_state = 12345;

static uint32_t pick(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

static const char *const names[] = {"a",   "b",      "c.o", "d.txt", "build",
                                    "foo", "keep.o", "x y", "Foo",   "z#"};
static const char *const patterns[] = {
    "*.o",      "!keep.o", "build/", "/a",      "!a",   "a/b",      "**/foo", "foo/**",  "a/**/b",
    "*",        "!*/",     "!*.txt", "[a-c]",   "?",    "x\\ y",    "# no",   "d.txt  ", "!build/",
    "b/",       "/*",      "!/foo",  "*.[ot]*", "fo*",  "!foo",     "a/*",    "!a/b",    "!b",
    "/build/*", "!/a/",    "**/a/*", "x*y",     "**",   "!**/b/**", "z#",     "[!f]*",   "f?o",
    "/foo/",    "!*.o",    "a/b/",   "build",   "!x y", "/**/d.txt"};
#define N(array) (sizeof(array) / sizeof((array)[0]))

static void write_rules(const struct project *project, const char *path)
{
    struct buf text = BUF_INIT;
    for (uint32_t i = 0, n = 1 + pick(4); i < n; i++)
        buf_addf(&text, "%s%s", patterns[pick(N(patterns))], pick(9) ? "\n" : "\r\n");
    project_write(project, path, buf_str(&text));
    buf_release(&text);
}

static void grow(const struct project *project, const char *dir, int depth)
{
    for (uint32_t i = 0, n = 2 + pick(5); i < n; i++) {
        char *path = path_join(dir, names[pick(N(names))]);
        char *full = project_path(project, path);
        struct stat st;
        if (lstat(full, &st) != 0) {
            uint32_t what = pick(10);
            if (what < 4 && depth < 4)
                grow(project, path, depth + 1);
            else if (what == 4)
                (void)!symlink("nowhere", full);
            else if (what > 4)
                project_write(project, path, "x");
        }
        free(full);
        free(path);
    }
    project_mkdir(project, dir);
    if (pick(3) == 0) {
        char *path = path_join(dir, ".gitignore");
        write_rules(project, path);
        free(path);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_git(const struct project *project, const char *dir, struct buf *out)
{
    char *command =
        mem_printf("cd '%s/%s' && git ls-files -co --exclude-standard -z", project->root, dir);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    char *lines[4096];
    size_t n = 0, cap = 0;
    char *line = NULL;
    while (n < N(lines) && getdelim(&line, &cap, '\0', stream) > 0)
        lines[n++] = mem_strdup(line);
    assert_int_equal(pclose(stream), 0);
    free(line);
    free(command);
    qsort(lines, n, sizeof(*lines), by_text);
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "%s\n", lines[i]);
        free(lines[i]);
    }
}

struct lines {
    char *line[4096];
    size_t n;
};

static bool add_file(void *ctx, const char *path, const struct tree_entry *entry)
{
    struct lines *lines = ctx;
    if (entry->kind != TREE_DIR)
        lines->line[lines->n++] = mem_strdup(path);
    return true;
}

static void read_kiln(struct project *project, const char *dir, struct buf *out)
{
    struct lines *lines = mem_zalloc(1, sizeof(*lines));
    char *root = project_path(project, dir);
    struct worktree_options options = {.root = root, .trees = project->trees};
    struct worktree *tree;
    assert_int_equal(worktree_new(&options, &tree, NULL), 0);
    struct digest digest = digest_of_view(tree, INPUTS(tree, "**"));
    assert_int_equal(trees_walk(project->trees, &digest, add_file, lines, NULL), 0);
    worktree_free(tree);
    free(root);
    qsort(lines->line, lines->n, sizeof(*lines->line), by_text);
    for (size_t i = 0; i < lines->n; i++) {
        buf_addf(out, "%s\n", lines->line[i]);
        free(lines->line[i]);
    }
    free(lines);
}

/* The folder itself may be ignored; kiln then asks whether it tracks anything. */
static void compare(struct project *project, const char *dir, int round)
{
    struct buf git = BUF_INIT, kiln = BUF_INIT;
    read_git(project, dir, &git);
    read_kiln(project, dir, &kiln);
    if (git.len && strcmp(buf_str(&git), buf_str(&kiln)) != 0) {
        print_error("round %d, folder \"%s\": git lists\n%s--- kiln takes\n%s", round, dir,
                    buf_str(&git), buf_str(&kiln));
    }
    if (git.len)
        assert_string_equal(buf_str(&kiln), buf_str(&git));
    buf_release(&git);
    buf_release(&kiln);
}

static void test_as_git_lists(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct project project;
        random_state = 777u * (uint32_t)round + 1;
        project_init(&project);
        project_run(&project, "git init -q .");
        grow(&project, "", 0);
        if (pick(2))
            write_rules(&project, ".git/info/exclude");
        if (pick(3) == 0) {
            project_run(&project, "git config core.excludesFile '~/excludes'");
            write_rules(&project, "../excludes");
        } else if (pick(3) == 0) {
            project_run(&project, "mkdir -p ../.config/git");
            write_rules(&project, "../.config/git/ignore");
        }
        if (pick(2))
            project_run(&project,
                        "find . -path ./.git -prune -o -type f -print | awk 'NR %% 4 == %u' "
                        "| tr '\\n' '\\0' | xargs -0r git add -f --",
                        pick(4));
        compare(&project, "", round);
        for (const char *sub = "a\0b\0"; *sub; sub += 2) {
            char *full = project_path(&project, sub);
            struct stat st;
            if (lstat(full, &st) == 0 && S_ISDIR(st.st_mode))
                compare(&project, sub, round);
            free(full);
        }
        project_release(&project);
    }
}

static void test_no_repository(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    project_write(&project, ".gitignore", "*.o\n");
    project_write(&project, "a.o", "");
    project_write(&project, "sub/a.o", "");
    project_write(&project, "sub/b.o", "");
    project_write(&project, "sub/.gitignore", "!b.o\n");
    project_open(&project);
    assert_lists(&project, INPUTS(project.tree, "**"),
                 ".gitignore\nsub/\nsub/.gitignore\nsub/b.o\n");
    /* A broken one is as none. */
    project_write(&project, ".git/HEAD", "nonsense");
    project_open(&project);
    assert_lists(&project, INPUTS(project.tree, "**"),
                 ".gitignore\nsub/\nsub/.gitignore\nsub/b.o\n");
    project_release(&project);
}

static void test_linked_worktree(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    project_run(&project,
                "git init -q ../main && cd ../main && "
                "git -c user.name=a -c user.email=b commit -q --allow-empty -m x && "
                "rmdir '%s' && git worktree add -q '%s' && echo '*.log' >.git/info/exclude",
                project.root, project.root);
    project_write(&project, "a.log", "");
    project_write(&project, "b", "");
    project_open(&project);
    assert_lists(&project, INPUTS(project.tree, "**"), "b\n");
    project_release(&project);
}

/* A repository that ignores the project's own folder does not decide about what is in it. */
static void test_ignored_project(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    project_run(
        &project,
        "git init -q .. && echo 'project/' >../.gitignore && echo '*.c' >../.git/info/exclude");
    project_write(&project, "a.c", "");
    project_write(&project, "a.h", "");
    project_open(&project);
    assert_lists(&project, INPUTS(project.tree, "**"), "a.c\na.h\n");
    project_run(&project, "git add -f a.h");
    project_open(&project);
    assert_lists(&project, INPUTS(project.tree, "**"), "a.h\n");
    project_release(&project);
}

/* What git keeps outside the tree changes while kiln watches. */
static void test_news_from_git(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    project_run(&project, "git init -q . && echo '*.o' >.git/info/exclude");
    project_write(&project, "a.o", "");
    project_write(&project, "b", "");
    project_write(&project, "out/c.o", "");
    project_open(&project);
    uint32_t all = INPUTS(project.tree, "**");
    const uint32_t *dirty;
    assert_lists(&project, all, "b\n");
    assert_int_equal(worktree_take_dirty(project.tree, &dirty), 0);
    project_run(&project, "git add -f a.o out/c.o");
    worktree_prepare(project.tree, &all, 1);
    assert_int_equal(worktree_take_dirty(project.tree, &dirty), 1);
    assert_lists(&project, all, "a.o\nb\nout/\nout/c.o\n");
    project_run(&project, "git rm -q --cached out/c.o");
    worktree_prepare(project.tree, &all, 1);
    assert_lists(&project, all, "a.o\nb\n");
    project_run(&project, "echo b >.git/info/exclude");
    worktree_prepare(project.tree, &all, 1);
    assert_lists(&project, all, "a.o\nout/\nout/c.o\n");
    project_release(&project);
}

/* A page that was written once can be written again without any change of the file's times. */
static void rules_through_a_mapping(const char *path, const char *others)
{
    struct project project;
    project_init(&project);
    project_run(&project, "git init -q .");
    project_write(&project, path, "a\n");
    project_write(&project, "a", "");
    project_write(&project, "b", "");
    char *full = project_path(&project, path);
    int fd = open(full, O_RDWR | O_CLOEXEC);
    char *text = mmap(NULL, 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(text != MAP_FAILED);
    close(fd);
    *text = 'a'; /* from here on it is written to without a trace */
    project_age(&project);
    for (int i = 0; i < 4; i++) {
        char *expected = mem_printf("%s%c\n", others, *text == 'a' ? 'b' : 'a');
        struct err err = ERR_INIT;
        if (i != 2) /* a watch's next round, otherwise a new process */
            project_open(&project);
        else
            worktree_doubt_open(project.tree);
        assert_lists(&project, INPUTS(project.tree, "**"), expected);
        assert_int_equal(worktree_save(project.tree, &err), 0);
        free(expected);
        *text = *text == 'a' ? 'b' : 'a';
    }
    assert_int_equal(munmap(text, 2), 0);
    free(full);
    project_release(&project);
}

static void test_rules_through_a_mapping(void **state)
{
    (void)state;
    rules_through_a_mapping(".gitignore", ".gitignore\n");
    rules_through_a_mapping(".git/info/exclude", "");
}

/* Two indices within one tick have the same stamp: one that was young when it was read is read
 * again, and verdicts that it gave do not outlive it. */
static void test_a_young_index(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    project_run(&project, "git init -q . && touch a && git add a");
    struct ignore *ignore = NULL;
    uint64_t young, settled;
    char *index = project_path(&project, ".git/index");
    struct timespec future[2] = {{(time_t)1 << 32, 5}, {(time_t)1 << 32, 5}};
    assert_int_equal(utimensat(AT_FDCWD, index, future, 0), 0); /* never old enough */
    ignore = ignore_new(project.root, NULL, 0);
    young = ignore_index_fingerprint(ignore);
    assert_int_equal(ignore_refresh(ignore), IGNORE_NEW_INDEX);
    assert_true(ignore_index_fingerprint(ignore) != young);
    ignore_free(ignore);
    future[0].tv_sec = future[1].tv_sec = 1000000000;
    assert_int_equal(utimensat(AT_FDCWD, index, future, 0), 0);
    project_age(&project);
    ignore = ignore_new(project.root, NULL, 0);
    settled = ignore_index_fingerprint(ignore);
    assert_int_equal(ignore_refresh(ignore), IGNORE_SAME);
    assert_true(ignore_index_fingerprint(ignore) == settled);
    ignore_free(ignore);
    free(index);
    project_release(&project);
}

static bool remembers(const struct project *project, const struct buf *memory)
{
    struct ignore *ignore = ignore_new(project->root, memory->data, memory->len);
    bool remembered = ignore_was_remembered(ignore);
    ignore_free(ignore);
    return remembered;
}

/* What decides is remembered from one process to the next, until any of it changes. */
static void test_memory(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "echo '*.x' >>../../.git/info/exclude",
        "git config core.ignoreCase true",
        "git config --global core.ignoreCase true",
        "echo x >../.gitignore",
        "git init -q .",
        "mkdir -p $HOME/.config/git && echo y >$HOME/.config/git/ignore",
        "mkdir -p $HOME/.config/git && touch $HOME/.config/git/config",
        "rm -rf ../../.git"};
    for (size_t i = 0; i < N(changes); i++) {
        struct project project;
        project_init(&project);
        project_run(
            &project,
            "mkdir -p ../r/sub/project && cd .. && git init -q r && echo '*.o' >r/.gitignore");
        free(project.root);
        project.root = path_join(project.base, "r/sub/project");
        project_age(&project);
        struct buf memory = BUF_INIT;
        struct ignore *ignore = ignore_new(project.root, NULL, 0);
        assert_false(ignore_was_remembered(ignore));
        assert_true(ignore_remember(ignore, &memory));
        uint64_t print = ignore_rules_fingerprint(ignore);
        ignore_free(ignore);
        ignore = ignore_new(project.root, memory.data, memory.len);
        assert_true(ignore_was_remembered(ignore));
        assert_true(ignore_rules_fingerprint(ignore) == print);
        assert_int_equal(ignore_refresh(ignore), IGNORE_SAME);
        assert_int_equal(ignore_outer(ignore, "a.o", false), IGNORE_YES);
        assert_false(ignore_was_remembered(ignore));
        assert_true(ignore_rules_fingerprint(ignore) == print);
        ignore_free(ignore);
        for (size_t n = 0; i == 0 && n < memory.len; n += 1 + n / 8) {
            struct buf part = {memory.data, n, n};
            assert_false(remembers(&project, &part));
        }
        assert_true(remembers(&project, &memory));
        project_run(&project, "%s", changes[i]);
        if (remembers(&project, &memory))
            fail_msg("unseen: %s", changes[i]);
        buf_release(&memory);
        project_release(&project);
    }
}

/* Files that a configuration includes are not known by name. */
static void test_no_memory_of_includes(void **state)
{
    (void)state;
    struct project project;
    project_init(&project);
    project_run(&project, "git init -q . && git config include.path ../../more");
    struct ignore *ignore = ignore_new(project.root, NULL, 0);
    struct buf memory = BUF_INIT;
    assert_false(ignore_remember(ignore, &memory));
    ignore_free(ignore);
    buf_release(&memory);
    project_release(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_case_folds),
        cmocka_unit_test(test_many_stars_end),
        cmocka_unit_test(test_no_repository),
        cmocka_unit_test(test_linked_worktree),
        cmocka_unit_test(test_ignored_project),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_memory_of_includes),
        cmocka_unit_test(test_news_from_git),
        cmocka_unit_test(test_as_git_lists),
        cmocka_unit_test(test_rules_through_a_mapping),
        cmocka_unit_test(test_a_young_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
