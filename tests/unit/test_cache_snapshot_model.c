/* Random trees, each made out of the one before, presented and compared with what they are. */
#include "test_cache_snapshot.h"

static const char *const names[] = {"a", "b", "c\nd", "\xc3\xbc", "long name with spaces", "-x"};
static const char *const texts[] = {"", "one", "two\n", "three"};

struct model {
    struct fixture *f;
    struct trees *trees;
    struct digest root;
    uint32_t seed;
};

static void random_path(struct model *m, struct buf *path)
{
    buf_reset(path);
    for (uint32_t depth = 1 + roll(&m->seed, 4); depth > 0; depth--)
        buf_addf(path, "%s%s", path->len ? "/" : "", names[roll(&m->seed, 6)]);
}

static void step(struct model *m)
{
    struct buf path = BUF_INIT, other = BUF_INIT;
    struct err err = ERR_INIT;
    struct tree_entry entry = {.kind = TREE_SYMLINK, .target = "a/../else where"};
    bool found;
    random_path(m, &path);
    random_path(m, &other);
    switch (roll(&m->seed, 8)) {
    case 0:
    case 1:
        assert_ok(trees_remove(m->trees, &m->root, buf_str(&path), &m->root, &err), &err);
        break;
    case 2: tree_set(m->trees, &m->root, buf_str(&path), &entry); break;
    case 3:
        entry = (struct tree_entry){.kind = TREE_DIR, .digest = tree_empty()};
        tree_set(m->trees, &m->root, buf_str(&path), &entry);
        break;
    case 4:
        assert_ok(trees_copy(m->trees, &m->root, buf_str(&path), &m->root, buf_str(&other), &found,
                             &m->root, &err),
                  &err);
        break;
    default:
        entry = entry_of(m->f->cache, texts[roll(&m->seed, 4)], roll(&m->seed, 3) == 0);
        tree_set(m->trees, &m->root, buf_str(&path), &entry);
    }
    buf_release(&path);
    buf_release(&other);
}

static void run_model(struct fixture *f, uint32_t seed, int rounds, bool mountable, size_t *deepest)
{
    struct model m = {.f = f, .trees = trees_new(), .root = tree_empty(), .seed = seed};
    VEC(struct snapshot *) all = VEC_INIT;
    char *name = mem_printf("model %u", seed);
    struct snapshot_options options = snapshot_ours(NULL, name);
    for (int round = 0; round < rounds; round++) {
        /* Large changes at times, so that layers of all sizes come about. */
        for (uint32_t n = 1 + roll(&m.seed, round % 8 == 0 ? 60 : 3); n > 0; n--)
            step(&m);
        struct snapshot *snapshot = present(f->cache, m.trees, &m.root, &options);
        assert_non_null(snapshot);
        vec_push(&all, snapshot);
        size_t n;
        const char *const *dirs = snapshot_dirs(snapshot, &n);
        assert_true(n >= 1 && n <= SNAPSHOT_LAYERS_MAX);
        *deepest = n > *deepest ? n : *deepest;
        struct digest shown = view_layers(dirs, n);
        assert_true(digest_eq(&shown, &m.root));
        assert_true(digest_eq(snapshot_digest(snapshot), &m.root));
        if (mountable) {
            shown = view_mounted(f->dir, dirs, n);
            assert_true(digest_eq(&shown, &m.root));
        }
    }
    /* None of them has changed since. */
    vec_each (struct snapshot *, snapshot, &all) {
        size_t n;
        const char *const *dirs = snapshot_dirs(*snapshot, &n);
        struct digest shown = view_layers(dirs, n);
        assert_true(digest_eq(&shown, snapshot_digest(*snapshot)));
        snapshot_release(*snapshot);
    }
    vec_release(&all);
    free(name);
    trees_free(m.trees);
}

static void test_random_trees(void **state)
{
    struct fixture *f = *state;
    size_t deepest = 0;
    for (uint32_t seed = 1; seed <= 4; seed++)
        run_model(f, seed * 7919, 60, false, &deepest);
    assert_true(deepest >= 3); /* else the model does not show what it should */
    assert_int_equal(count_files(f, "tmp"), 0);
}

static void test_random_trees_mounted(void **state)
{
    struct fixture *f = *state;
    size_t deepest = 0;
    if (!view_mountable(f->dir))
        skip(); /* no user namespaces, or no overlays in them */
    run_model(f, 104729, 40, true, &deepest);
    assert_true(deepest >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_trees, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_trees_mounted, setup, teardown),
    };
    return cmocka_run_group_tests_name("cache.snapshot.model", tests, NULL, NULL);
}
