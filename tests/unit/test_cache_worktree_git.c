/* A worktree on a tree of git has the digests that one on a fresh clone has, whatever lies in it,
 * and whatever its memo knows. */
#include "test_worktree.h"

#include "cache/git_source.h"
#include "cache/git_tree.h"

static unsigned seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1103515245U + 12345U;
    return (seed >> 16) % n;
}

static const char *const dirs[] = {"", "a/", "a/b/", "a/b/c/", "b/", "sp ace/", "out/", "b/out/"};
static const char *const names[] = {"x.c",   "y.h",  "z.o",      "t.txt",
                                    "bin",   "4913", "x~",       ".hid",
                                    "#e#",   "-d",   "\xc3\xbc", ".kiln-1-00000001-a",
                                    "q\"uo", "t\tab"};
static const char *const contents[] = {"",          "one\n",    "two\nlines\n", "cr\r\nlf\n",
                                       "$Id$ id\n", "\xff\xfe", "b\1n\n"};
static const char *const ignores[] = {"*.o\n", "b/\n", "/a\n!x.c\n", "bin\n*.h\n", "out\n", "*\n"};
static const char *const attributes[] = {"* text=auto\n",
                                         "*.c eol=crlf\n",
                                         "*.txt ident\n",
                                         "* text eol=lf\n*.h -text\n",
                                         "[attr]win text eol=crlf\n*.h win\n",
                                         "*.o filter=up\n",
                                         "*.txt working-tree-encoding=UTF-16LE text\n",
                                         "* -filter -ident -eol\n"};
#define ONE_OF(list) list[pick(sizeof(list) / sizeof(*(list)))]

static void settings(const struct project *project)
{
    project_write(project, "../.gitconfig",
                  "[user]\nname=a\nemail=b\n[init]\ndefaultBranch=main\n[core]\nsafecrlf=false\n"
                  "[filter \"up\"]\nsmudge=tr a-z A-Z\nclean=tr A-Z a-z\n[protocol "
                  "\"file\"]\nallow=always\n");
    if (pick(6) == 0)
        project_run(project, "git config --global core.autocrlf true");
    if (pick(6) == 0)
        project_run(project, "git config --global core.eol crlf");
    if (pick(6) == 0)
        project_run(project, "mkdir -p ../.config/git; echo '*.h ident eol=crlf' "
                             ">../.config/git/attributes");
}

static void grow(const struct project *project)
{
    for (unsigned i = 0, n = pick(25); i < n; i++) {
        char *path = mem_printf("%s%s", ONE_OF(dirs), ONE_OF(names));
        char *full = project_path(project, path);
        struct stat st;
        if (lstat(full, &st) == 0) {
            project_remove(project, path);
        } else if (pick(6) == 0) {
            project_write(project, path, "");
            project_remove(project, path);
            assert_int_equal(symlink(pick(2) ? "x.c" : "../nowhere", full), 0);
        } else {
            project_write(project, path, ONE_OF(contents));
            assert_int_equal(chmod(full, pick(4) ? 0644 : 0755), 0);
        }
        free(full);
        free(path);
    }
    for (unsigned i = pick(3); i > 0; i--) {
        char *path = mem_printf("%s.gitignore", ONE_OF(dirs));
        project_write(project, path, ONE_OF(ignores));
        free(path);
    }
    for (unsigned i = pick(3); i > 0; i--) {
        char *path = mem_printf("%s.gitattributes", ONE_OF(dirs));
        project_write(project, path, ONE_OF(attributes));
        free(path);
    }
}

static void stage(const struct project *project)
{
    project_run(project, "git add -A -f . || git add -A -f --ignore-errors . || true");
    if (pick(3) == 0)
        project_run(project, "git update-index --add --cacheinfo "
                             "160000,0123456789012345678901234567890123456789,b/sub");
    if (pick(4) == 0) /* gone from the working tree alone */
        project_run(project, "rm -rf a");
}

struct both {
    struct project *project;
    struct worktree *git, *clone;
    struct trees *trees;
};

static bool add_line(void *ctx, const char *path, const struct tree_entry *entry)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(&entry->digest, hex);
    buf_addf(ctx, "%.8s %d ", hex, (int)entry->digest.size);
    return add_listed(ctx, path, entry);
}

static void list(const struct trees *trees, const struct digest *root, struct buf *out)
{
    if (root->size && trees_walk(trees, root, add_line, out, NULL) != 0)
        buf_adds(out, "not all there");
}

static void expect_equal(const struct both *both, const char *const *patterns, size_t n,
                         bool also_trees, int round)
{
    struct err a = ERR_INIT, b = ERR_INIT;
    struct digest one = {.size = 0}, two = {.size = 0};
    uint32_t view_one = view_of(both->git, WORKTREE_INPUTS, patterns, n);
    uint32_t view_two = view_of(both->clone, WORKTREE_INPUTS, patterns, n);
    enum worktree_answer first = answer_of(both->git, view_one, &one, NULL, &a);
    enum worktree_answer second = answer_of(both->clone, view_two, &two, NULL, &b);
    if (first != second || (first == WORKTREE_READY && !digest_eq(&one, &two))) {
        struct buf ours = BUF_INIT, theirs = BUF_INIT;
        list(both->trees, &one, &ours);
        list(both->project->trees, &two, &theirs);
        fail_msg("round %d, pattern %s: %d %s / %d %s\n%s\nclone:\n%s", round, patterns[0], first,
                 err_text(&a), second, err_text(&b), buf_str(&ours), buf_str(&theirs));
    }
    if (first == WORKTREE_BROKEN)
        assert_string_equal(err_text(&a), err_text(&b));
    if (first == WORKTREE_READY && also_trees) {
        /* The messages of all directories can be had, whatever the digest came from. */
        struct buf list = BUF_INIT;
        assert_int_equal(trees_walk(both->trees, &one, add_listed, &list, NULL), 0);
        buf_release(&list);
    }
    err_release(&a);
    err_release(&b);
}

#define EXPECT_EQUAL(both, round, ...)                       \
    expect_equal((both), (const char *const[]){__VA_ARGS__}, \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), also_trees, (round))

static void compare(struct project *project, const char *hex, const char *memo, const char *sub,
                    int round, bool also_trees)
{
    static const char *const outputs[] = {"out", "a/b/y.h"};
    struct git_place place;
    struct git_source *source;
    struct err err = ERR_INIT;
    char *root = path_join(project->root, sub), *clone = path_join(project->base, "clone"),
         *clone_root = path_join(clone, sub);
    assert_int_equal(file_mkdirs(root, 0755, NULL), 0);
    assert_int_equal(file_mkdirs(clone_root, 0755, NULL), 0);
    assert_int_equal(git_place_find(root, &place, NULL), 0);
    if (git_source_new(&place, hex, memo, project->base, &source, &err) != 0)
        fail_msg("%s", err_text(&err));
    struct both both = {.project = project, .trees = trees_new()};
    struct worktree_options options = {
        .root = root, .git = source, .outputs = outputs, .n_outputs = 2, .trees = both.trees};
    assert_int_equal(worktree_new(&options, &both.git, NULL), 0);
    options.root = clone_root;
    options.git = NULL;
    options.trees = project->trees;
    assert_int_equal(worktree_new(&options, &both.clone, NULL), 0);
    EXPECT_EQUAL(&both, round, "**");
    EXPECT_EQUAL(&both, round, "a/**", "b/*.c");
    EXPECT_EQUAL(&both, round, "**/*.h", "!a/b");
    EXPECT_EQUAL(&both, round, "*");
    EXPECT_EQUAL(&both, round, "b");
    EXPECT_EQUAL(&both, round, "a/b", "**/x.c");
    EXPECT_EQUAL(&both, round, "b/sub");
    EXPECT_EQUAL(&both, round, "x.c");
    worktree_free(both.git);
    worktree_free(both.clone);
    trees_free(both.trees);
    if (git_source_save(source, &err) != 0)
        fail_msg("%s", err_text(&err));
    git_source_free(source);
    git_place_release(&place);
    free(root);
    free(clone);
    free(clone_root);
}

static void damage(const char *memo)
{
    struct buf bytes = BUF_INIT;
    if (file_read(memo, (size_t)1 << 26, &bytes, NULL) != 0)
        return;
    switch (pick(5)) {
    case 0: unlink(memo); break;
    case 1:
        assert_int_equal(file_write_atomic(memo, bytes.data, pick((unsigned)bytes.len), 0600, NULL),
                         0);
        break;
    case 2:
        for (int i = 0; i < 20; i++)
            bytes.data[pick((unsigned)bytes.len)] ^= (char)(1 << pick(8));
        assert_int_equal(file_write_atomic(memo, bytes.data, bytes.len, 0600, NULL), 0);
        break;
    case 3: assert_int_equal(file_write_atomic(memo, "foreign", 7, 0600, NULL), 0); break;
    default: break;
    }
    buf_release(&bytes);
}

static void test_random(void **state)
{
    (void)state;
    struct project project;
    for (int round = 0; round < 10; round++) {
        seed = (unsigned)round * 7919 + 17;
        project_init(&project);
        char *memo = path_join(project.base, "memo/file");
        settings(&project);
        project_run(&project, "git init -q .");
        for (int commit = 0; commit < 3; commit++) {
            grow(&project);
            stage(&project);
            struct git_place place;
            char hex[GIT_TREE_HEX + 1];
            assert_int_equal(git_place_find(project.root, &place, NULL), 0);
            assert_int_equal(git_tree_of_index(&place, project.base, hex, NULL), 0);
            git_place_release(&place);
            project_run(&project,
                        "rm -rf ../clone; git update-ref HEAD $(git commit-tree -m x %s) && git "
                        "clone -q . ../clone",
                        hex);
            const char *sub = pick(3) ? "" : pick(2) ? "a" : "nothing/there";
            compare(&project, hex, memo, sub, round, pick(2));
            compare(&project, hex, memo, sub, round, pick(2));
            damage(memo);
            compare(&project, hex, memo, sub, round, pick(2));
        }
        free(memo);
        project_release(&project);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
