/* Input trees kept whole in the cache: taken from where they are, given back byte for byte. */
#include "test_cache_outputs.h"

#include "cache/cache_gc.h"
#include "cache/kept_inputs.h"

#include <stdatomic.h>

/* The Tree message of what lies below out, whose content the cache does not have. */
static struct digest message_of(struct fixture *f, struct buf *message)
{
    struct err err = ERR_INIT;
    enum cache_answer answer;
    struct action_output out = capture_one(f, "out");
    assert_ok(cache_get(f->cache, &out.digest, 1 << 20, message, &answer, &err), &err);
    assert_int_equal(answer, CACHE_HIT);
    struct gc_report report = {0};
    assert_ok(cache_gc(f->cache, &(struct gc_options){.size = 0}, &report, &err), &err);
    gc_report_release(&report);
    assert_false(cache_has(f->cache, &out.digest));
    return out.root;
}

struct kept {
    struct buf message;
    struct digest root;
    char *place;
    struct kept_inputs_options options;
    struct kept_inputs_report report;
};

static void setup_kept(struct fixture *f, struct kept *k)
{
    *k = (struct kept){0};
    make_everything(f);
    k->root = message_of(f, &k->message);
    k->place = mem_printf("%s/out", f->root);
    k->options = (struct kept_inputs_options){.step = "test",
                                              .root = f->root,
                                              .places = (const char *const *)&k->place,
                                              .n_places = 1,
                                              .max_files = 100,
                                              .max_bytes = 1000};
}

static void release_kept(struct kept *k)
{
    free(k->report.path);
    free(k->place);
    buf_release(&k->message);
}

static enum kept_inputs_answer put(struct fixture *f, struct kept *k)
{
    struct err err = ERR_INIT;
    free(k->report.path);
    assert_ok(
        kept_inputs_put(f->cache, k->message.data, k->message.len, &k->options, &k->report, &err),
        &err);
    return k->report.answer;
}

static bool restore_kept(struct fixture *f, const struct kept *k, const char *name)
{
    struct err err = ERR_INIT;
    bool found;
    assert_ok(kept_inputs_restore(f->cache, &k->root, f->root, name, &found, &err), &err);
    return found;
}

static void test_there_and_back(void **state)
{
    struct fixture *f = *state;
    struct kept k;
    setup_kept(f, &k);
    assert_false(restore_kept(f, &k, "back"));
    assert_int_equal(put(f, &k), KEPT_INPUTS_WHOLE);
    assert_int_equal(k.report.files, 6);
    assert_true(restore_kept(f, &k, "back"));
    struct action_output back = capture_one(f, "back");
    assert_true(digest_eq(&back.root, &k.root));
    /* What is there already needs no place to come from. */
    k.options.n_places = 0;
    k.options.max_bytes = 0;
    assert_int_equal(put(f, &k), KEPT_INPUTS_WHOLE);
    release_kept(&k);
}

static void test_what_has_changed(void **state)
{
    struct fixture *f = *state;
    struct kept k;
    setup_kept(f, &k);
    remove_all(f, "out/plain");
    make_file(f, "out/plain", "other\n", 0644);
    assert_int_equal(put(f, &k), KEPT_INPUTS_CHANGED);
    assert_string_equal(k.report.path, "plain");
    assert_false(restore_kept(f, &k, "back"));
    remove_all(f, "out/plain");
    assert_int_equal(put(f, &k), KEPT_INPUTS_CHANGED);
    /* Nothing is read through a link, whatever it leads to. */
    assert_int_equal(symlinkat("../single", f->fd, "out/plain"), 0);
    assert_int_equal(put(f, &k), KEPT_INPUTS_CHANGED);
    release_kept(&k);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct kept k;
    setup_kept(f, &k);
    k.options.max_files = 5;
    assert_int_equal(put(f, &k), KEPT_INPUTS_TOO_MUCH);
    k.options.max_files = 6;
    k.options.max_bytes = 3;
    assert_int_equal(put(f, &k), KEPT_INPUTS_TOO_MUCH);
    struct cache_stats stats;
    struct err err = ERR_INIT;
    assert_ok(cache_stats(f->cache, &stats, &err), &err);
    assert_int_equal(stats.blobs + stats.actions, 0);
    k.options.max_bytes = 1000;
    atomic_uint_fast64_t until = 1;
    k.options.until = &until;
    assert_int_equal(put(f, &k), KEPT_INPUTS_LATE);
    atomic_store(&until, 0);
    assert_int_equal(put(f, &k), KEPT_INPUTS_WHOLE);
    release_kept(&k);
}

/* gc takes all of it or leaves it usable; damage is never handed out. */
static void test_lost(void **state)
{
    struct fixture *f = *state;
    struct kept k;
    struct err err = ERR_INIT;
    struct gc_report report = {0};
    setup_kept(f, &k);
    assert_int_equal(put(f, &k), KEPT_INPUTS_WHOLE);
    assert_ok(cache_gc(f->cache, &(struct gc_options){.size = 0}, &report, &err), &err);
    assert_int_equal(report.removed.actions, 1);
    gc_report_release(&report);
    assert_false(restore_kept(f, &k, "back"));
    struct buf tree = BUF_INIT;
    bool found = true;
    assert_ok(kept_inputs_tree(f->cache, &k.root, &tree, &found, &err), &err);
    assert_false(found);
    buf_release(&tree);
    release_kept(&k);
}

static int remove_blob(void *ctx, const struct digest *digest, struct err *err)
{
    const struct fixture *f = ctx;
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    char *path = mem_printf("%s/v1/cas/%.2s/%s", cache_path(f->cache), hex, hex);
    (void)err;
    assert_int_equal(unlink(path), 0);
    free(path);
    return 1; /* one is enough */
}

/* Its result is there, and one of its files is not. */
static void test_a_file_of_it_lost(void **state)
{
    struct fixture *f = *state;
    struct kept k;
    struct err err = ERR_INIT;
    struct buf tree = BUF_INIT;
    bool found = false;
    setup_kept(f, &k);
    assert_int_equal(put(f, &k), KEPT_INPUTS_WHOLE);
    assert_ok(kept_inputs_tree(f->cache, &k.root, &tree, &found, &err), &err);
    assert_true(found);
    buf_release(&tree);
    assert_int_equal(kept_inputs_each(k.message.data, k.message.len, remove_blob, f, NULL), 1);
    assert_ok(kept_inputs_tree(f->cache, &k.root, &tree, &found, &err), &err);
    assert_false(found);
    buf_release(&tree);
    release_kept(&k);
}

static void test_no_tree(void **state)
{
    struct fixture *f = *state;
    struct kept_inputs_report report;
    struct kept_inputs_options options = {.step = "a", .root = "/", .max_files = 1};
    struct err err = ERR_INIT;
    assert_true(kept_inputs_put(f->cache, "nonsense", 8, &options, &report, &err) < 0);
    assert_int_equal(err.kind, ERR_CORRUPT);
    err_release(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_of_it_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_tree, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
