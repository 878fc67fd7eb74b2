/* Which tree an index holds, whatever git wrote it like, and a directory that holds a tree. */
#include "test_worktree.h"

#include "cache/git_index.h"
#include "cache/git_tree.h"

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

/* What the script prints. */
static char *told(const struct project *project, const char *script)
{
    char text[4096];
    char *command = mem_printf("cd '%s' && %s", project->root, script);
    FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(out);
    size_t n = fread(text, 1, sizeof(text) - 1, out);
    assert_int_equal(pclose(out), 0);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    free(command);
    return mem_strdup(text);
}

static struct git_place place_of(const struct project *project)
{
    struct git_place place;
    assert_int_equal(git_place_find(project->root, &place, NULL), 0);
    return place;
}

static enum git_index_answer index_answer(const struct project *project, size_t id_size)
{
    struct git_place place = place_of(project);
    struct git_index_tree tree;
    struct buf bytes = BUF_INIT;
    assert_int_equal(file_read(place.index, (size_t)1 << 30, &bytes, NULL), 0);
    enum git_index_answer answer = git_index_tree(bytes.data, bytes.len, id_size, &tree);
    buf_release(&bytes);
    git_place_release(&place);
    return answer;
}

/* The tree of the index as it stands, by git on a copy and by kiln, which leaves the index alone.
 */
static void expect_tree(const struct project *project)
{
    struct git_place place = place_of(project);
    struct err err = ERR_INIT;
    char hex[GIT_TREE_HEX + 1] = "";
    char *before = told(project, "sha256sum .git/index; stat -c %Y%Z%i .git/index");
    if (git_tree_of_index(&place, project->base, hex, &err) != 0)
        print_error("%s\n", err_text(&err));
    assert_int_equal(err.kind, ERR_NONE);
    char *after = told(project, "sha256sum .git/index; stat -c %Y%Z%i .git/index");
    assert_string_equal(before, after);
    char *expected =
        told(project, "cp .git/index ../copy && GIT_INDEX_FILE=../copy git write-tree");
    assert_string_equal(hex, expected);
    free(before);
    free(after);
    free(expected);
    git_place_release(&place);
}

static void begin(struct project *project, const char *init)
{
    project_init(project);
    for (const char *name = "GIT_AUTHOR_NAME\0GIT_AUTHOR_EMAIL\0GIT_COMMITTER_NAME\0"
                            "GIT_COMMITTER_EMAIL\0";
         *name; name += strlen(name) + 1)
        assert_int_equal(setenv(name, "kiln", 1), 0);
    run(project, init);
    run(project, "printf a >a; mkdir -p d/e; printf b >d/e/b; ln -s a l; "
                 "printf x >'d/n\tö'; git add . && "
                 "git commit -q -m x");
}

static void test_versions(void **state)
{
    (void)state;
    static const char *const versions[] = {
        "true",
        "git update-index --index-version 2",
        "git update-index --index-version 4",
        "printf n >d/new; git add -N d/new; git update-index --index-version 3; git rm -q --cached "
        "d/new; git reset -q",
        "git update-index --skip-worktree a; git read-tree HEAD; git update-index --skip-worktree "
        "a",
        "git update-index --assume-unchanged a",
        "git config index.skipHash true; git update-index --index-version 4; git update-index "
        "--force-write-index",
    };
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct project project;
        begin(&project, "git init -q .");
        run(&project, versions[i]);
        /* As git commit prepares it. */
        run(&project, "git write-tree >/dev/null");
        assert_int_equal(index_answer(&project, 20), GIT_INDEX_TREE);
        expect_tree(&project);
        project_release(&project);
    }
}

static void test_still_to_be_made(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        enum git_index_answer answer;
    } cases[] = {
        {"printf c >c; git add c", GIT_INDEX_NONE},
        {"rm .git/index; git read-tree --empty", GIT_INDEX_TREE},
        {"rm -r d; git rm -rq --cached d", GIT_INDEX_NONE},
        {"printf n >n; git add -N n", GIT_INDEX_NONE},
        {"printf c >c; git update-index --split-index; git add c", GIT_INDEX_STRANGE},
        {"git sparse-checkout init --cone --sparse-index; printf z >a; git add a",
         GIT_INDEX_STRANGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct project project;
        begin(&project, "git init -q .");
        run(&project, cases[i].script);
        if (index_answer(&project, 20) != cases[i].answer)
            fail_msg("%s", cases[i].script);
        expect_tree(&project);
        project_release(&project);
    }
}

static void test_intended_alone(void **state)
{
    (void)state;
    struct project project;
    begin(&project, "git init -q .");
    char *before = told(&project, "git write-tree");
    run(&project, "printf n >d/n; git add -N d/n");
    struct git_place place = place_of(&project);
    char hex[GIT_TREE_HEX + 1];
    assert_int_equal(git_tree_of_index(&place, project.base, hex, NULL), 0);
    assert_string_equal(hex, before);
    free(before);
    git_place_release(&place);
    project_release(&project);
}

static void test_long_ids(void **state)
{
    (void)state;
    struct project project;
    begin(&project, "git init -q --object-format=sha256 .");
    run(&project, "git write-tree >/dev/null");
    assert_int_equal(index_answer(&project, 32), GIT_INDEX_TREE);
    expect_tree(&project);
    project_release(&project);
}

static void test_conflict(void **state)
{
    (void)state;
    struct project project;
    struct err err = ERR_INIT;
    char hex[GIT_TREE_HEX + 1];
    begin(&project, "git init -q -b main .");
    run(&project, "git checkout -q -b o && printf o >d/e/b && "
                  "git commit -q -am o && git checkout -q "
                  "main && printf m >d/e/b && "
                  "git commit -q -am m && ! git merge -q o >/dev/null");
    struct git_place place = place_of(&project);
    assert_int_equal(git_tree_of_index(&place, project.base, hex, &err), -(int)ERR_CONFIG);
    assert_string_equal(err_text(&err),
                        "\"d/e/b\" is not merged yet; resolve it and \"git add\" it, then commit");
    err_release(&err);
    git_place_release(&place);
    project_release(&project);
}

static void test_damaged(void **state)
{
    (void)state;
    struct project project;
    struct buf bytes = BUF_INIT;
    struct git_index_tree tree;
    begin(&project, "git init -q .");
    struct git_place place = place_of(&project);
    assert_int_equal(file_read(place.index, (size_t)1 << 20, &bytes, NULL), 0);
    assert_int_equal(git_index_tree(bytes.data, bytes.len, 20, &tree), GIT_INDEX_TREE);
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.data[i] ^= 1;
        assert_true(git_index_tree(bytes.data, bytes.len, 20, &tree) >= GIT_INDEX_DAMAGED);
        bytes.data[i] ^= 1;
    }
    for (size_t n = 0; n < bytes.len; n++)
        assert_true(git_index_tree(bytes.data, n, 20, &tree) >= GIT_INDEX_DAMAGED);
    struct err err = ERR_INIT;
    char hex[GIT_TREE_HEX + 1];
    bytes.data[40] ^= 1;
    assert_int_equal(file_write_atomic(place.index, bytes.data, bytes.len, 0644, NULL), 0);
    assert_int_equal(git_tree_of_index(&place, project.base, hex, &err), -(int)ERR_CONFIG);
    assert_non_null(strstr(err_text(&err), "/index is damaged"));
    err_release(&err);
    buf_release(&bytes);
    git_place_release(&place);
    project_release(&project);
}

static void test_places(void **state)
{
    (void)state;
    struct project project;
    struct git_place place;
    begin(&project, "git init -q .");
    char *sub = project_path(&project, "d/e"), *index = project_path(&project, "other");
    assert_int_equal(git_place_find(sub, &place, NULL), 0);
    assert_string_equal(place.prefix, "d/e/");
    assert_string_equal(place.work_tree, project.root);
    git_place_release(&place);
    assert_int_equal(setenv("GIT_INDEX_FILE", "other", 1), 0);
    place = place_of(&project);
    assert_string_equal(place.index, index);
    assert_string_equal(place.prefix, "");
    git_place_release(&place);
    unsetenv("GIT_INDEX_FILE");
    free(sub);
    free(index);
    run(&project, "git worktree add -q ../linked");
    char *linked = path_join(project.base, "linked");
    char *inside = project_path(&project, ".git/worktrees/linked"),
         *common = project_path(&project, ".git");
    assert_int_equal(git_place_find(linked, &place, NULL), 0);
    assert_string_equal(place.git_dir, inside);
    assert_string_equal(place.common, common);
    assert_string_equal(place.work_tree, linked);
    git_place_release(&place);
    free(linked);
    free(inside);
    free(common);
    assert_int_equal(git_place_find(project.base, &place, NULL), -(int)ERR_CONFIG);
    project_release(&project);
}

static void test_checkout(void **state)
{
    (void)state;
    struct project project;
    struct err err = ERR_INIT;
    static const char *const keep[] = {"/kept/"};
    begin(&project, "git init -q .");
    run(&project, "printf '*.t eol=crlf\\n' >.gitattributes; printf 'a\\nb\\n' >x.t; chmod +x a; "
                  "git add .; git write-tree >/dev/null; printf later >a; printf '*.o\\n' "
                  ">.git/info/exclude");
    struct git_place place = place_of(&project);
    char *dir = path_join(project.base, "hook/tree"),
         *index = path_join(project.base, "hook/index");
    char hex[GIT_TREE_HEX + 1];
    assert_int_equal(git_tree_of_index(&place, project.base, hex, NULL), 0);
    run(&project, "cp .git/index ../before");
    for (int i = 0; i < 4; i++) {
        if (git_tree_checkout(&place, hex, dir, index, keep, 1, &err) != 0)
            fail_msg("%s", err_text(&err));
        run(&project,
            "test \"$(cat ../hook/tree/a)\" = a; test -x ../hook/tree/a; test \"$(wc -c "
            "<../hook/tree/x.t)\" = 6; test -L ../hook/tree/l; test -f ../hook/tree/d/e/b; "
            "test ! -e ../hook/tree/junk.o; test ! -e ../hook/tree/d/u; cmp .git/index "
            "../before; test ! -e .git/index.lock");
        run(&project, i == 0 ? "cd ../hook/tree; ls -id d/e/b >../is; rm a; printf y >x.t; touch "
                               "junk.o d/u; mkdir kept; touch kept/k"
                      : i == 1
                          ? "cd ../hook/tree; ls -id d/e/b | cmp - ../is; test -f kept/k; echo "
                            "bad >../index; rm -rf d; touch d"
                      : i == 2 ? "touch ../hook/index.lock; rm ../hook/index"
                               : "true");
    }
    free(dir);
    free(index);
    git_place_release(&place);
    project_release(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),       cmocka_unit_test(test_still_to_be_made),
        cmocka_unit_test(test_intended_alone), cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_conflict),       cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_places),         cmocka_unit_test(test_checkout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
