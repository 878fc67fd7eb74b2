/*
 * Random operations on a project, marked as a watch would, against a working tree that sees it for
 * the first time: every view must have the same digest in both; and a view that is not dirty must
 * have the digest that it had.
 *
 * Now and then the tree is saved, and another one goes on from what was saved, after operations
 * that nobody saw. What it takes over must be as true, and the directories that it did not read
 * must open. Operations also come while threads look and hash, and while a step would run: the
 * check must tell if they concern its inputs.
 */
#include "test_worktree.h"

#include "base/map.h"

#include <pthread.h>

#define ROUNDS 40
#define STEPS  40

static uint32_t random_state;

static uint32_t pick(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

static const char *const names[] = {"a",   "b",      "c.o", "d.c",    "out",
                                    "gen", "keep.o", "e~",  ".x.swp", "Makefile"};
static const char *const rules[] = {"*.o\n", "!keep.o\n", "gen/\n", "/a\n", "*.o\n!keep.o\n",
                                    "b/\n",  "*\n!*.c\n", "",       "d.c\n"};
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* The directories that the tree reported, by path, as a watch keeps them. */
struct watch {
    struct project project;
    struct trees *trees; /* of the tree; a fresh one has another */
    char *saved;
    bool git, silent, new_rules;
    struct map ids; /* path -> id + 1 */
};

static void opened(void *ctx, uint32_t dir, const char *path)
{
    struct watch *watch = ctx;
    void *have = map_get_str(&watch->ids, path); /* told again after a rescan, as the same one */
    assert_true(!have || (uintptr_t)have == (uintptr_t)dir + 1);
    map_put_str(&watch->ids, path, (void *)((uintptr_t)dir + 1));
}

static void closed(void *ctx, uint32_t dir)
{
    struct watch *watch = ctx;
    map_each (entry, &watch->ids) {
        if ((uintptr_t)entry->value == (uintptr_t)dir + 1) {
            map_del(&watch->ids, entry->key, entry->key_len);
            return;
        }
    }
    fail_msg("a directory was closed that was not open");
}

static void mark(struct watch *watch, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup("");
    uintptr_t id = (uintptr_t)map_get_str(&watch->ids, dir);
    if (id && !watch->silent) /* else nobody looks there */
        worktree_mark(watch->project.tree, (uint32_t)(id - 1),
                      pick(12) ? (slash ? slash + 1 : path) : NULL, ++watch->project.tick);
    free(dir);
}

/* A path through a link would change what stands elsewhere, and the mark would name the wrong
 * place. */
static bool is_direct(const struct watch *watch, const char *path)
{
    char *full = project_path(&watch->project, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    char *real = realpath(full, NULL), *root = realpath(watch->project.root, NULL);
    bool direct = !real || strcmp(real + strlen(root), full + strlen(watch->project.root)) == 0;
    free(root);
    free(real);
    free(full);
    return direct;
}

static char *any_path(void)
{
    struct buf path = BUF_INIT;
    for (uint32_t i = 0, n = 1 + pick(3); i < n; i++)
        buf_addf(&path, "%s%s", i ? "/" : "", names[pick(N(names))]);
    return buf_detach(&path);
}

static char *random_path(const struct watch *watch)
{
    char *path = any_path();
    while (!is_direct(watch, path)) {
        free(path);
        path = any_path();
    }
    return path;
}

static void write_some(struct watch *watch, const char *path)
{
    char *full = project_path(&watch->project, path);
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd >= 0) {
        char text[2] = {(char)('0' + pick(10)), 0};
        assert_int_equal(file_write_all(fd, text, 1), 0);
        close(fd);
        mark(watch, path);
    }
    free(full);
}

static void operate(struct watch *watch)
{
    char *path = random_path(watch), *full = project_path(&watch->project, path);
    struct stat st;
    if (watch->git && pick(60) == 0) {
        project_run(&watch->project, pick(2) ? "git add -A" : "git add -f %s || :", path);
        mark(watch, ".git/index");
    }
    switch (pick(12)) {
    case 0:
    case 1:
    case 2: write_some(watch, path); break;
    case 3:
    case 4:
    case 5:
        if (mkdir(full, 0755) == 0)
            mark(watch, path);
        break;
    case 6:
        if (lstat(full, &st) == 0 && file_remove_tree(AT_FDCWD, full, NULL) == 0)
            mark(watch, path);
        break;
    case 7:
        if (lstat(full, &st) == 0 && S_ISREG(st.st_mode) && chmod(full, st.st_mode ^ 0100) == 0)
            mark(watch, path);
        break;
    case 8:
        if (symlink(pick(2) ? "a" : "nowhere/x", full) == 0)
            mark(watch, path);
        break;
    case 9:
    case 10: {
        char *other = random_path(watch), *to = project_path(&watch->project, other);
        if (rename(full, to) == 0) {
            mark(watch, path);
            mark(watch, other);
        }
        free(other);
        free(to);
        break;
    }
    default: {
        const char *slash = strrchr(path, '/');
        char *ignore = slash && pick(3) ? mem_printf("%.*s/.gitignore", (int)(slash - path), path)
                                        : mem_strdup(".gitignore");
        char *place = project_path(&watch->project, ignore);
        watch->new_rules = true;
        if (pick(4) == 0) {
            if (unlink(place) == 0)
                mark(watch, ignore);
        } else {
            int fd = open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
            if (fd >= 0) {
                const char *text = rules[pick(N(rules))];
                assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
                close(fd);
                mark(watch, ignore);
            }
        }
        free(place);
        free(ignore);
    }
    }
    free(full);
    free(path);
}

static size_t add_views(struct worktree *tree, uint32_t *views)
{
    size_t n = 0;
    views[n++] = INPUTS(tree, "**");
    views[n++] = INPUTS(tree, "a");
    views[n++] = INPUTS(tree, "a", "!a/b");
    views[n++] = INPUTS(tree, "**/*.c");
    views[n++] = INPUTS(tree, "a/**/*.o", "gen");
    views[n++] = INPUTS(tree, "b/c.o", "Makefile");
    views[n++] = INPUTS(tree, "**", "gen/a", "!b");
    views[n++] = INPUTS(tree, "out");
    views[n++] = OUTPUTS(tree, "out");
    views[n++] = OUTPUTS(tree, "a/out", "gen/b");
    return n;
}
#define MAX_VIEWS 10

struct seen {
    enum worktree_answer answer;
    struct digest digest;
};

static struct seen look(struct worktree *tree, uint32_t view)
{
    struct seen seen = {.digest = {.size = 0}};
    struct err err = ERR_INIT;
    seen.answer = answer_of(tree, view, &seen.digest, NULL, &err);
    if (seen.answer == WORKTREE_BROKEN)
        seen.digest = (struct digest){.size = 0};
    err_release(&err);
    return seen;
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->answer == b->answer && digest_eq(&a->digest, &b->digest);
}

static bool add_described(void *ctx, const char *path, const struct tree_entry *entry)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(&entry->digest, hex);
    buf_addf(ctx, "%.8s ", hex);
    return add_listed(ctx, path, entry);
}

static void describe(struct watch *watch, struct worktree *tree, uint32_t view)
{
    struct seen seen = look(tree, view);
    if (seen.answer != WORKTREE_READY)
        return;
    struct buf out = BUF_INIT;
    struct trees *trees = tree == watch->project.tree ? watch->trees : watch->project.trees;
    if (trees_walk(trees, &seen.digest, add_described, &out, NULL) != 0)
        buf_adds(&out, "a directory is not known\n");
    char *list = buf_detach(&out);
    print_error("-----\n%s", list);
    free(list);
}

static void compare(struct watch *watch, const uint32_t *views, size_t n, struct seen *last,
                    bool anew, int round, int step)
{
    const uint32_t *dirty;
    bool is_dirty[MAX_VIEWS + 1] = {false};
    worktree_prepare(watch->project.tree, NULL, 0); /* what git's index tells makes views dirty */
    size_t n_dirty = worktree_take_dirty(watch->project.tree, &dirty);
    for (size_t i = 0; i < n_dirty; i++)
        is_dirty[dirty[i]] = true;
    /* Every other time with what the last one knew. */
    struct worktree *fresh =
        project_open_other(&watch->project, step % 2 ? watch->project.stat_path : NULL);
    uint32_t other[MAX_VIEWS];
    add_views(fresh, other);
    for (size_t i = 0; i < n; i++) {
        struct seen expected = look(fresh, other[i]);
        struct seen seen = last[i];
        if (is_dirty[views[i]] || anew)
            seen = look(watch->project.tree, views[i]);
        if (!same(&seen, &expected)) {
            print_error("round %d, step %d, view %d, dirty %d, anew %d: %d, expected %d\n", round,
                        step, (int)i, is_dirty[views[i]], anew, seen.answer, expected.answer);
            describe(watch, watch->project.tree, views[i]);
            describe(watch, fresh, other[i]);
        }
        assert_true(same(&seen, &expected));
        last[i] = seen;
    }
    if (step % 2)
        assert_int_equal(worktree_save(fresh, NULL), 0);
    worktree_free(fresh);
}

static void *work(void *batch)
{
    worktree_batch_work(batch);
    return NULL;
}

/* As the engine works, and nothing rests meanwhile. */
static void be_restless(struct watch *watch, const uint32_t *views, size_t n)
{
    struct worktree *tree = watch->project.tree;
    for (uint32_t turn = 0, turns = 1 + pick(3); turn < turns; turn++) {
        struct worktree_batch *out[3];
        pthread_t threads[3];
        size_t n_out = 0, from = pick((uint32_t)n);
        struct digest digest;
        worktree_prepare(tree, views + from, pick(3) ? n - from : 1);
        while (n_out < 3 && (out[n_out] = worktree_next_batch(tree))) {
            assert_int_equal(pthread_create(&threads[n_out], NULL, work, out[n_out]), 0);
            n_out++;
        }
        for (uint32_t i = 0, many = pick(4); i < many; i++)
            operate(watch);
        if (pick(10) == 0)
            worktree_mark_all(tree, ++watch->project.tick);
        if (pick(4) == 0)
            worktree_prepare_now(tree, &views[pick((uint32_t)n)], 1);
        while (n_out) {
            assert_int_equal(pthread_join(threads[--n_out], NULL), 0);
            worktree_batch_done(tree, out[n_out]);
            if (pick(3) == 0)
                operate(watch);
            (void)worktree_digest(tree, views[pick((uint32_t)n)], &digest, NULL, NULL);
        }
        if (pick(4) == 0)
            assert_int_equal(worktree_save(tree, NULL), 0);
    }
}

/* A step runs, and things happen that no event tells of. */
static void check(struct watch *watch, uint32_t view)
{
    struct worktree *tree = watch->project.tree;
    struct seen before = look(tree, view);
    bool git = watch->git;
    if (before.answer != WORKTREE_READY)
        return;
    struct worktree_check *check = worktree_check_new(tree, &view, 1);
    watch->git = watch->new_rules = false; /* they touch no file: the step did read its inputs */
    watch->silent = true;
    for (uint32_t i = 0, many = pick(4); i < many; i++)
        operate(watch);
    watch->silent = false;
    watch->git = git;
    worktree_check_work(check);
    bool changed = worktree_check_changed(check) != NULL;
    worktree_check_free(check);
    worktree_mark_all(tree, ++watch->project.tick);
    struct seen after = look(tree, view);
    assert_true(changed || watch->new_rules || same(&before, &after));
}

static void open_tree(struct watch *watch)
{
    struct worktree_options options = {
        .root = watch->project.root,
        .stat_path = watch->saved,
        .outputs = watch->project.outputs,
        .n_outputs = watch->project.n_outputs,
        .trees = watch->trees = trees_new(),
        .dir_opened = opened,
        .dir_closed = closed,
        .ctx = watch,
    };
    assert_int_equal(worktree_new(&options, &watch->project.tree, NULL), 0);
}

static void close_tree(struct watch *watch, bool save)
{
    if (save)
        assert_int_equal(worktree_save(watch->project.tree, NULL), 0);
    worktree_free(watch->project.tree);
    watch->project.tree = NULL;
    trees_free(watch->trees);
    map_release(&watch->ids);
    watch->ids = (struct map)MAP_INIT;
}

static bool count_entry(void *ctx, const char *path, const struct tree_entry *entry)
{
    (void)path, (void)entry;
    ++*(size_t *)ctx;
    return true;
}

/* Saves and goes on from that: once with stamps that are old enough to be trusted, once more after
 * operations in between. Some views are asked for the first time only afterwards. */
static void go_on(struct watch *watch, uint32_t *views, size_t n)
{
    for (int turn = 0; turn < 2; turn++) {
        project_age(&watch->project);
        close_tree(watch, true);
        if (turn) {
            for (uint32_t i = 0, many = pick(4); i < many; i++)
                operate(watch);
        }
        open_tree(watch);
        if (pick(2)) /* other numbers than the last one had */
            INPUTS(watch->project.tree, "gen/**");
        add_views(watch->project.tree, views);
        if (turn && pick(2))
            be_restless(watch, views, n);
        for (size_t i = 0; i < n; i++) {
            struct seen seen = {.answer = WORKTREE_PENDING};
            size_t entries = 0;
            if (turn && pick(3) == 0)
                continue;
            seen = look(watch->project.tree, views[i]);
            if (seen.answer == WORKTREE_READY && pick(2))
                assert_int_equal(
                    trees_walk(watch->trees, &seen.digest, count_entry, &entries, NULL), 0);
        }
    }
}

static void test_model(void **state)
{
    (void)state;
    const char *seed = getenv("KILN_SEED");
    int first = seed ? atoi(seed) : 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct watch watch = {.ids = MAP_INIT};
        project_init(&watch.project);
        watch.saved = path_join(watch.project.base, "state/saved");
        random_state = 4711u * (uint32_t)(round + first) + 99;
        watch.git = round % 2;
        if (watch.git)
            project_run(&watch.project, "git init -q .");
        watch.project.outputs[watch.project.n_outputs++] = "out";
        watch.project.outputs[watch.project.n_outputs++] = "a/out";
        open_tree(&watch);
        uint32_t views[MAX_VIEWS];
        struct seen last[MAX_VIEWS] = {{.answer = WORKTREE_PENDING}};
        size_t n = add_views(watch.project.tree, views);
        for (int step = 0; step < STEPS; step++) {
            bool anew = step == 0;
            for (uint32_t i = 0, many = 1 + pick(step ? 6 : 30); i < many; i++)
                operate(&watch);
            if (pick(20) == 0)
                worktree_mark_all(watch.project.tree, ++watch.project.tick);
            if (step && pick(10) == 0) {
                go_on(&watch, views, n);
                anew = true;
                for (uint32_t i = 0, many = pick(3); i < many; i++)
                    operate(&watch);
                if (pick(8) == 0)
                    worktree_mark_all(watch.project.tree, ++watch.project.tick);
            }
            if (!anew && pick(6) == 0)
                be_restless(&watch, views, n);
            compare(&watch, views, n, last, anew, round, step);
            if (pick(6) == 0)
                check(&watch, views[pick((uint32_t)n)]);
        }
        close_tree(&watch, false);
        free(watch.saved);
        project_release(&watch.project);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
