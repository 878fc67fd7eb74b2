/* The operations on trees against a plain model of paths. */
#include "test_cache_tree.h"

/* -- a model: a flat list of paths ------------------------------------------------------------- */

#define MODEL_MAX 400

struct item {
    char path[48];
    enum tree_kind kind;
    char value; /* content of a file, target of a link */
    bool executable;
};

struct model {
    struct item items[MODEL_MAX];
    size_t n;
};

static struct item *model_find(struct model *model, const char *path)
{
    for (size_t i = 0; i < model->n; i++)
        if (strcmp(model->items[i].path, path) == 0)
            return &model->items[i];
    return NULL;
}

static void model_remove(struct model *model, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < model->n; i++)
        if (!path_is_below(model->items[i].path, path))
            model->items[kept++] = model->items[i];
    model->n = kept;
}

static void model_put(struct model *model, const struct item *item)
{
    struct item parent = {.kind = TREE_DIR};
    for (const char *slash = item->path; (slash = strchr(slash, '/')); slash++) {
        size_t n = (size_t)(slash - item->path);
        memcpy(parent.path, item->path, n);
        parent.path[n] = '\0';
        struct item *there = model_find(model, parent.path);
        if (!there || there->kind != TREE_DIR) {
            model_remove(model, parent.path);
            model->items[model->n++] = parent;
        }
    }
    struct item copy = *item;
    struct item *there = model_find(model, copy.path);
    if (there && there->kind == TREE_DIR && copy.kind == TREE_DIR)
        return;
    model_remove(model, copy.path);
    assert_true(model->n < MODEL_MAX);
    model->items[model->n++] = copy;
}

static void model_lay(struct model *model, const struct model *over, const char *from,
                      const char *to)
{
    for (size_t i = 0; i < over->n; i++) { /* parents stand before what they hold */
        struct item item = over->items[i];
        if (!path_is_below(item.path, from))
            continue;
        const char *rest = item.path + strlen(from);
        char *path = path_join(to, *rest == '/' ? rest + 1 : rest);
        if (*path && path[strlen(path) - 1] == '/')
            path[strlen(path) - 1] = '\0';
        snprintf(item.path, sizeof(item.path), "%s", path);
        free(path);
        if (*item.path)
            model_put(model, &item);
    }
}

/* Component by component: a directory's contents come before "a-b", although '-' sorts before '/'.
 */
static int path_order(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    int ca = *a == '/' ? 1 : (unsigned char)*a, cb = *b == '/' ? 1 : (unsigned char)*b;
    return ca - cb;
}

static int item_cmp(const void *a, const void *b)
{
    return path_order(((const struct item *)a)->path, ((const struct item *)b)->path);
}

static void model_sort(struct model *model)
{
    if (model->n > 0)
        qsort(model->items, model->n, sizeof(*model->items), item_cmp);
}

static struct tree_entry item_entry(const struct item *item, char target[2])
{
    target[0] = item->value;
    target[1] = '\0';
    return item->kind == TREE_FILE  ? file("", digest_of(&item->value, 1), item->executable)
           : item->kind == TREE_DIR ? dir("", tree_empty())
                                    : symlink_to("", target);
}

static struct digest model_tree(struct trees *trees, struct model *model)
{
    struct err err = ERR_INIT;
    struct digest root = tree_empty();
    model_sort(model);
    for (size_t i = 0; i < model->n; i++) {
        char target[2];
        struct tree_entry entry = item_entry(&model->items[i], target);
        assert_ok(trees_make(trees, &root, model->items[i].path, &entry, &root, &err), &err);
    }
    return root;
}

struct model_walk {
    const struct model *model;
    size_t at;
};

static bool model_walk_cb(void *ctx, const char *path, const struct tree_entry *entry)
{
    struct model_walk *walk = ctx;
    assert_true(walk->at < walk->model->n);
    const struct item *item = &walk->model->items[walk->at++];
    char target[2];
    struct tree_entry wanted = item_entry(item, target);
    assert_string_equal(path, item->path);
    assert_int_equal(entry->kind, wanted.kind);
    if (entry->kind == TREE_FILE) {
        assert_true(digest_eq(&entry->digest, &wanted.digest));
        assert_int_equal(entry->executable, wanted.executable);
    } else if (entry->kind == TREE_SYMLINK) {
        assert_string_equal(entry->target, target);
    }
    return true;
}

static void assert_model(struct trees *trees, const struct digest *root, struct model *model)
{
    struct err err = ERR_INIT;
    struct model_walk walk = {model, 0};
    model_sort(model);
    assert_ok(trees_walk(trees, root, model_walk_cb, &walk, &err), &err);
    assert_int_equal(walk.at, model->n);
    struct digest built = model_tree(trees, model);
    assert_true(digest_eq(&built, root));
}

static void random_path(uint32_t *seed, char *out, size_t n)
{
    static const char *const parts[] = {"a", "b", "a-b", "c", "日"};
    size_t len = 0;
    uint32_t depth = 1 + roll(seed, 4);
    for (uint32_t i = 0; i < depth; i++)
        len += (size_t)snprintf(out + len, n - len, "%s%s", i ? "/" : "", parts[roll(seed, 5)]);
}

static struct item random_item(uint32_t *seed)
{
    struct item item = {.kind = (enum tree_kind)(roll(seed, 5) < 3 ? 0 : roll(seed, 3)),
                        .value = (char)('a' + roll(seed, 3)),
                        .executable = roll(seed, 4) == 0};
    if (item.kind != TREE_FILE)
        item.executable = false;
    random_path(seed, item.path, sizeof(item.path));
    return item;
}

static void random_model(uint32_t *seed, struct model *model)
{
    model->n = 0;
    for (uint32_t i = roll(seed, 20); i > 0; i--) {
        struct item item = random_item(seed);
        model_put(model, &item);
    }
    model_sort(model);
}

static void test_operations_model(void **state)
{
    static struct model a, b, c, sum;
    uint32_t seed = 12345;
    struct err err = ERR_INIT;
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct trees *trees = trees_new();
        struct arena arena = ARENA_INIT;
        struct digest out;
        char path[48], to[48];
        random_model(&seed, &a);
        random_model(&seed, &b);
        random_model(&seed, &c);
        struct digest roots[] = {model_tree(trees, &a), model_tree(trees, &b),
                                 model_tree(trees, &c)};
        assert_model(trees, &roots[0], &a);

        assert_ok(trees_merge(trees, roots, 3, &out, &err), &err);
        sum = a;
        model_lay(&sum, &b, "", "");
        model_lay(&sum, &c, "", "");
        assert_model(trees, &out, &sum);
        struct digest step[] = {roots[0], roots[1]}, folded; /* the same two at a time */
        assert_ok(trees_merge(trees, step, 2, &folded, &err), &err);
        assert_ok(trees_merge(trees, (struct digest[]){folded, roots[2]}, 2, &folded, &err), &err);
        assert_true(digest_eq(&folded, &out));

        /* What the upper one adds is exactly what has to be laid over the lower one, where nothing
         * was removed. */
        struct digest added, both;
        assert_ok(trees_merge(trees, step, 2, &both, &err), &err);
        assert_ok(trees_diff(trees, &roots[0], &both, &added, &err), &err);
        assert_ok(trees_merge(trees, (struct digest[]){roots[0], added}, 2, &folded, &err), &err);
        assert_true(digest_eq(&folded, &both));
        assert_ok(trees_diff(trees, &out, &out, &added, &err), &err);
        struct digest empty = tree_empty();
        assert_true(digest_eq(&added, &empty));

        struct item item = random_item(&seed);
        char target[2];
        struct tree_entry entry = item_entry(&item, target);
        sum = a;
        if (item.kind == TREE_DIR) /* make replaces where laying over would keep */
            model_remove(&sum, item.path);
        model_put(&sum, &item);
        assert_ok(trees_make(trees, &roots[0], item.path, &entry, &out, &err), &err);
        assert_model(trees, &out, &sum);

        random_path(&seed, path, sizeof(path));
        sum = a;
        model_remove(&sum, path);
        assert_ok(trees_remove(trees, &roots[0], path, &out, &err), &err);
        assert_model(trees, &out, &sum);

        random_path(&seed, path, sizeof(path));
        path[strcspn(path, "/")] = '\0';
        random_path(&seed, to, sizeof(to));
        to[8] = '\0';
        if (to[strlen(to) - 1] == '/')
            to[strlen(to) - 1] = '\0';
        bool found;
        struct tree_entry at;
        assert_ok(trees_find(trees, &roots[1], path, &arena, &at, &found, &err), &err);
        assert_int_equal(found, model_find(&b, path) != NULL);
        if (!strstr(to, "\xe6")) { /* a character may have been cut */
            bool copied;
            assert_ok(trees_copy(trees, &roots[1], path, &roots[0], to, &copied, &out, &err), &err);
            assert_int_equal(copied, found);
            sum = a;
            model_lay(&sum, &b, path, to);
            assert_model(trees, &out, &sum);
        }
        arena_release(&arena);
        trees_free(trees);
    }
    err_release(&err);
}

/* Changes as they are told, applied to the old model, must give the new one. */
struct changes {
    struct model *model;
    char last[48];
    size_t n;
};

static bool changes_cb(void *ctx, const char *path, const struct tree_entry *old,
                       const struct tree_entry *now)
{
    struct changes *changes = ctx;
    assert_true(old || now);
    assert_true(changes->n == 0 || path_order(changes->last, path) < 0);
    snprintf(changes->last, sizeof(changes->last), "%s", path);
    changes->n++;
    struct item *there = model_find(changes->model, path);
    if (old) {
        /* What stood below a directory that is a file now went when the file came. */
        assert_true(there || !now);
        assert_true(!there || there->kind == old->kind);
        if (now)
            model_remove(changes->model, path);
        else if (there)
            there->value = '-'; /* taken out at the end; its directory stays for now */
    }
    if (now) {
        struct item item = {.kind = now->kind, .executable = now->executable};
        snprintf(item.path, sizeof(item.path), "%s", path);
        if (now->kind == TREE_SYMLINK)
            item.value = now->target[0];
        for (char value = 'a'; now->kind == TREE_FILE && value <= 'c'; value++) {
            struct digest digest = digest_of(&value, 1);
            if (digest_eq(&digest, &now->digest))
                item.value = value;
        }
        if (there && there->value == '-')
            model_remove(changes->model, path);
        model_put(changes->model, &item);
    }
    return true;
}

static void leaves_of(struct model *model)
{
    size_t kept = 0;
    for (size_t i = 0; i < model->n; i++)
        if (model->items[i].kind != TREE_DIR && model->items[i].value != '-')
            model->items[kept++] = model->items[i];
    model->n = kept;
    model_sort(model);
}

static void test_compare_model(void **state)
{
    static struct model a, b, result;
    uint32_t seed = 4711;
    struct err err = ERR_INIT;
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct trees *trees = trees_new();
        random_model(&seed, &a);
        if (round % 2) {
            random_model(&seed, &b);
        } else {
            struct item item = random_item(&seed);
            b = a;
            model_put(&b, &item);
        }
        struct digest old = model_tree(trees, &a), now = model_tree(trees, &b);
        result = a;
        struct changes changes = {.model = &result};
        assert_ok(trees_compare(trees, &old, &now, changes_cb, &changes, &err), &err);
        assert_int_equal(changes.n == 0 && digest_eq(&old, &now), digest_eq(&old, &now));
        leaves_of(&result);
        leaves_of(&b);
        assert_int_equal(result.n, b.n);
        for (size_t i = 0; i < b.n; i++) {
            assert_string_equal(result.items[i].path, b.items[i].path);
            assert_int_equal(result.items[i].kind, b.items[i].kind);
            assert_int_equal(result.items[i].value, b.items[i].value);
        }
        trees_free(trees);
    }
    err_release(&err);
}

static bool text_cb(void *ctx, const char *path, const struct tree_entry *old,
                    const struct tree_entry *now)
{
    static const char kinds[] = "fdl";
    buf_addf(ctx, "%s:%c%c ", path, old ? kinds[old->kind] : '-', now ? kinds[now->kind] : '-');
    return true;
}

static bool stop_cb(void *ctx, const char *path, const struct tree_entry *old,
                    const struct tree_entry *now)
{
    text_cb(ctx, path, old, now);
    return false;
}

static void test_compare_kinds(void **state)
{
    struct trees *trees = trees_new();
    struct err err = ERR_INIT;
    struct buf buf = BUF_INIT;
    struct digest x = digest_str("x"), y = digest_str("y"), nil = tree_empty();
    (void)state;
    struct digest full = trees_put(trees, (struct tree_entry[]){file("k", x, false)}, 1);
    struct tree_entry old_entries[] = {
        dir("a", full),         file("a-b", x, false),    dir("emptied", full),
        file("exec", x, false), dir("gone", nil),         symlink_to("link", "1"),
        dir("tofile", full),    file("tofull", x, false), file("tonil", x, false)};
    struct tree_entry now_entries[] = {
        dir("a", full),           file("a-b", y, false),   dir("emptied", nil),
        file("exec", x, true),    symlink_to("link", "2"), dir("new", nil),
        file("tofile", x, false), dir("tofull", full),     dir("tonil", nil)};
    struct digest old = trees_put(trees, old_entries, 9), now = trees_put(trees, now_entries, 9);
    assert_ok(trees_compare(trees, &old, &now, text_cb, &buf, &err), &err);
    assert_string_equal(buf_str(&buf), "a-b:ff emptied/k:f- exec:ff gone:d- link:ll new:-d "
                                       "tofile:-f tofile/k:f- tofull:f- tofull/k:-f tonil:fd ");
    buf_reset(&buf);
    assert_ok(trees_compare(trees, &old, &now, stop_cb, &buf, &err), &err);
    assert_string_equal(buf_str(&buf), "a-b:ff ");
    struct digest absent = digest_fake('b', 9);
    assert_fails(trees_compare(trees, &old, &absent, text_cb, &buf, &err), ERR_CORRUPT, &err);
    err_release(&err);
    buf_release(&buf);
    trees_free(trees);
}

static void test_operation_edges(void **state)
{
    struct trees *trees = trees_new();
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct digest nil = tree_empty(), out, absent = digest_fake('c', 3);
    struct tree_entry entry = file("ignored", digest_str("x"), true), found_entry;
    bool found;
    (void)state;
    assert_ok(trees_merge(trees, NULL, 0, &out, &err), &err);
    assert_true(digest_eq(&out, &nil));
    assert_fails(trees_make(trees, &nil, "", &entry, &out, &err), ERR_CONFIG, &err);
    assert_ok(trees_make(trees, &nil, "a/b/c", &entry, &out, &err), &err);
    struct digest root = out;
    assert_ok(trees_find(trees, &root, "a/b/c", &arena, &found_entry, &found, &err), &err);
    assert_true(found && found_entry.executable);
    assert_string_equal(found_entry.name, "c");
    assert_ok(trees_find(trees, &root, "a/b/c/d", &arena, &found_entry, &found, &err), &err);
    assert_false(found);
    assert_ok(trees_find(trees, &root, "a/bb", &arena, &found_entry, &found, &err), &err);
    assert_false(found);
    assert_ok(trees_find(trees, &root, "", &arena, &found_entry, &found, &err), &err);
    assert_true(found && found_entry.kind == TREE_DIR && digest_eq(&found_entry.digest, &root));

    assert_ok(trees_remove(trees, &root, "a/b/c", &out, &err), &err);
    assert_ok(trees_find(trees, &out, "a/b", &arena, &found_entry, &found, &err), &err);
    assert_true(found && digest_eq(&found_entry.digest, &nil));
    assert_ok(trees_remove(trees, &root, "a/b/c/d", &out, &err), &err);
    assert_true(digest_eq(&out, &root));
    assert_ok(trees_remove(trees, &root, "", &out, &err), &err);
    assert_true(digest_eq(&out, &nil));

    assert_ok(trees_copy(trees, &root, "nothing", &nil, "x", &found, &out, &err), &err);
    assert_true(!found && digest_eq(&out, &nil));
    assert_ok(trees_copy(trees, &root, "a/b", &nil, "", &found, &out, &err), &err);
    assert_true(found);
    assert_ok(trees_find(trees, &out, "c", &arena, &found_entry, &found, &err), &err);
    assert_true(found);
    assert_fails(trees_copy(trees, &root, "a/b/c", &nil, "", &found, &out, &err), ERR_CONFIG, &err);
    assert_fails(trees_make(trees, &absent, "x", &entry, &out, &err), ERR_CORRUPT, &err);
    assert_fails(trees_remove(trees, &absent, "x", &out, &err), ERR_CORRUPT, &err);
    assert_fails(trees_diff(trees, &absent, &root, &out, &err), ERR_CORRUPT, &err);
    assert_fails(trees_merge(trees, (struct digest[]){absent, root}, 2, &out, &err), ERR_CORRUPT,
                 &err);
    err_release(&err);
    arena_release(&arena);
    trees_free(trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations_model),
        cmocka_unit_test(test_compare_model),
        cmocka_unit_test(test_compare_kinds),
        cmocka_unit_test(test_operation_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
