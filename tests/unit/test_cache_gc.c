/* Collecting: the order of it, what is spared, and why it begins. */
#include "test_cache_care.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/statvfs.h>

#define HOUR 3600

static void gc(struct fixture *f, uint64_t size, bool dry_run, struct gc_report *report)
{
    struct err err = ERR_INIT;
    struct gc_options options = {.size = size, .dry_run = dry_run};
    assert_ok(cache_gc(f->cache, &options, report, &err), &err);
}

static bool is(const struct gc_item *item, const struct digest *digest)
{
    return memcmp(item->digest.hash, digest->hash, DIGEST_BYTES) == 0;
}

static uint64_t disk_bytes(struct fixture *f)
{
    struct err err = ERR_INIT;
    struct cache_stats stats;
    assert_ok(cache_stats(f->cache, &stats, &err), &err);
    return stats.disk_bytes;
}

/* The least recently used goes, a result before its blobs, and nothing that a kept one names. */
static void test_order(void **state)
{
    struct fixture *f = *state;
    struct gc_report report;
    struct digest old = put_result(f, "old", "only old", "shared", 9 * HOUR);
    struct digest mid = put_result(f, "mid", "only mid", NULL, 6 * HOUR);
    struct digest new = put_result(f, "new", "only new", "shared", 3 * HOUR);
    struct digest shared = digest_str("shared"), only_old = digest_str("only old");
    struct digest only_mid = digest_str("only mid"), only_new = digest_str("only new");
    age(f, "cas", &shared, 20 * HOUR);
    age(f, "cas", &only_new, 20 * HOUR);
    assert_int_equal(disk_bytes(f), 7 * 4096);

    gc(f, 5 * 4096, true, &report);
    assert_int_equal(report.items.n, 2);
    assert_int_equal(report.over_limit, 2 * 4096);
    assert_true(is(&report.items.v[0], &old));
    assert_string_equal(report.items.v[0].step, "old");
    assert_string_equal(report.items.v[0].root, "/p");
    assert_int_equal(report.items.v[1].kind, GC_BLOB);
    assert_true(is(&report.items.v[1], &only_old));
    assert_int_equal(report.items.v[1].result, 0);
    assert_int_equal(disk_bytes(f), 7 * 4096);
    gc_report_release(&report);

    gc(f, 5 * 4096, false, &report);
    assert_int_equal(report.removed.actions, 1);
    assert_int_equal(report.removed.blobs, 1);
    assert_int_equal(report.removed.disk_bytes, 2 * 4096);
    assert_false(report.in_use);
    gc_report_release(&report);
    assert_false(stored(f, "ac", &old) || stored(f, "cas", &only_old));
    assert_true(stored(f, "ac", &mid) && stored(f, "cas", &only_mid) && stored(f, "cas", &shared));

    gc(f, 4096, false, &report); /* a blob that a result names goes after it */
    assert_false(stored(f, "ac", &new));
    assert_int_equal(disk_bytes(f), 4096);
    gc_report_release(&report);

    gc(f, 0, false, &report);
    assert_int_equal(disk_bytes(f), 0);
    gc_report_release(&report);
    gc(f, 0, false, &report);
    assert_int_equal(report.items.n, 0);
    gc_report_release(&report);
}

static void test_trees(void **state)
{
    struct fixture *f = *state;
    struct gc_report report;
    struct digest tree, other;
    struct digest key = put_tree_result(f, "kept", "1", "2", HOUR, &tree);
    struct digest gone = put_tree_result(f, "gone", "1", "3", 2 * HOUR, &other);
    struct digest one = digest_str("1"), two = digest_str("2"), three = digest_str("3");
    age(f, "cas", &one, 9 * HOUR);
    age(f, "cas", &two, 9 * HOUR);
    gc(f, 4 * 4096, false, &report);
    assert_int_equal(report.removed.actions, 1);
    assert_int_equal(report.removed.blobs, 2);
    gc_report_release(&report);
    assert_false(stored(f, "ac", &gone) || stored(f, "cas", &other) || stored(f, "cas", &three));
    assert_true(stored(f, "ac", &key) && stored(f, "cas", &tree) && stored(f, "cas", &one) &&
                stored(f, "cas", &two));
}

/* What was touched since somebody began to work stays, and what was used shortly before. */
static void test_in_use(void **state)
{
    struct fixture *f = *state;
    struct gc_report report;
    struct cache *other = open_cache(f->path);
    struct digest old = put_result(f, "old", "1", NULL, HOUR);
    struct digest new = put_result(f, "new", "2", NULL, 0);
    for (int own = 0; own < 2; own++) {
        struct cache *user = own ? f->cache : other;
        cache_use_begin(user);
        cache_use_begin(user);
        cache_use_end(user);
        gc(f, 0, true, &report);
        assert_int_equal(report.removed.actions, 1);
        assert_int_equal(report.removed.blobs, 1);
        assert_true(report.in_use);
        assert_true(is(&report.items.v[0], &old));
        gc_report_release(&report);
        cache_use_end(user);
        gc(f, 0, true, &report);
        assert_int_equal(report.removed.actions, 2);
        assert_false(report.in_use);
        gc_report_release(&report);
    }
    cache_use_begin(other); /* a process that dies takes its marks along */
    cache_close(other);
    gc(f, 0, false, &report);
    assert_false(stored(f, "ac", &new));
    gc_report_release(&report);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct cache_limits limits;
    struct statvfs fs;
    assert_ok(cache_limits(f->cache, &limits, &err), &err);
    assert_int_equal(statvfs(f->path, &fs), 0);
    uint64_t tenth = (uint64_t)fs.f_blocks * fs.f_frsize / 10;
    uint64_t most = UINT64_C(20) << 30, least = UINT64_C(64) << 20;
    assert_int_equal(limits.limit, tenth > most ? most : tenth < least ? least : tenth);
    setenv("KILN_CACHE_SIZE", "12MiB", 1);
    assert_ok(cache_limits(f->cache, &limits, &err), &err);
    assert_int_equal(limits.limit, 12 << 20);
    assert_true(limits.floor <= limits.limit / 10);
    setenv("KILN_CACHE_SIZE", "0", 1);
    assert_ok(cache_limits(f->cache, &limits, &err), &err);
    assert_int_equal(limits.limit, 0);
    setenv("KILN_CACHE_SIZE", "many", 1);
    assert_fails(cache_limits(f->cache, &limits, &err), ERR_USAGE, &err);
    assert_has(err_text(&err), "KILN_CACHE_SIZE");
    err_release(&err);
    unsetenv("KILN_CACHE_SIZE");
}

static bool tidy(struct fixture *f, struct gc_report *report)
{
    struct err err = ERR_INIT;
    bool did;
    char *lock = path_join(f->path, "v1/gc");
    if (access(lock, F_OK) == 0)
        set_age(lock, HOUR); /* not just now */
    assert_ok(cache_tidy(f->cache, &did, report, &err), &err);
    free(lock);
    return did;
}

/* By itself it does nothing below the limit, and comes down a bit further than it must above it. */
static void test_tidy(void **state)
{
    struct fixture *f = *state;
    struct gc_report report;
    char text[16];
    setenv("KILN_CACHE_SIZE", "409600", 1);
    assert_false(tidy(f, &report));
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "blob %u", i);
        struct digest digest = put(f, text);
        age(f, "cas", &digest, HOUR + i);
    }
    assert_false(tidy(f, &report)); /* counted, and found to fit */
    put(f, "one too many");
    assert_true(tidy(f, &report));
    assert_int_equal(report.removed.blobs, 11);
    assert_int_equal(disk_bytes(f), 90 * 4096);
    gc_report_release(&report);
    assert_false(tidy(f, &report)); /* nothing was stored since */
    put(f, "another");
    assert_false(tidy(f, &report));
    for (unsigned i = 0; i < 11; i++) {
        snprintf(text, sizeof text, "more %u", i);
        put(f, text);
    }
    /* The ledger is a file as any other. */
    const char *const damaged[] = {"", "x", "12345678", "12345678\xff\xff\xff\xff\xff\xff\xff\xff"};
    char *v1 = path_join(f->path, "v1");
    for (size_t i = 0; i < 4; i++) {
        put(f, damaged[i]);
        write_text(v1, "size", damaged[i], strlen(damaged[i]), 0600);
        if (i == 0)
            assert_true(tidy(f, &report));
        else
            (void)tidy(f, &report);
        gc_report_release(&report);
        assert_true(disk_bytes(f) <= 409600);
    }
    free(v1);
    unsetenv("KILN_CACHE_SIZE");
}

/* Other kilns' stores count, also of handles that are closed. */
static void test_ledger_is_shared(void **state)
{
    struct fixture *f = *state;
    struct gc_report report;
    setenv("KILN_CACHE_SIZE", "40960", 1);
    put(f, "first");
    assert_false(tidy(f, &report));
    for (unsigned i = 0; i < 10; i++) {
        struct fixture other = {.cache = open_cache(f->path)};
        char text[16];
        snprintf(text, sizeof text, "blob %u", i);
        put(&other, text);
        cache_close(other.cache);
    }
    put(f, "last");
    assert_true(tidy(f, &report));
    assert_int_equal(disk_bytes(f), 9 * 4096);
    gc_report_release(&report);
    unsetenv("KILN_CACHE_SIZE");
}

static void test_leftovers(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct gc_report report;
    char *bad = path_join(f->path, "v1/bad"), *stat = path_join(f->path, "v1/stat");
    char *tmp = path_join(f->path, "v1/tmp"), *path;
    assert_ok(file_mkdirs(bad, 0700, &err), &err);
    assert_ok(file_mkdirs(stat, 0700, &err), &err);
    static const struct {
        const char *name;
        int days;
        bool goes;
    } files[] = {{"v1/bad/old", 8, true},    {"v1/bad/new", 6, false}, {"v1/stat/old", 31, true},
                 {"v1/stat/new", 29, false}, {"v1/tmp/old", 8, true},  {"v1/tmp/new", 6, false}};
    for (size_t i = 0; i < 6; i++) {
        write_text(f->path, files[i].name, "x", 1, 0600);
        path = path_join(f->path, files[i].name);
        set_age(path, files[i].days * 86400);
        free(path);
    }
    gc(f, GC_TO_LIMIT, true, &report);
    assert_int_equal(report.items.n, 3);
    assert_int_equal(report.others_bytes, 3 * 4096);
    gc_report_release(&report);
    gc(f, GC_TO_LIMIT, false, &report);
    gc_report_release(&report);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(exists(f->path, files[i].name), !files[i].goes);
    free(bad);
    free(stat);
    free(tmp);
}

/* -- gc against everybody else ------------------------------------------------------------------
 */

struct race {
    pthread_t thread;
    const char *path;
    atomic_bool *stop;
    uint32_t seed;
    unsigned failures, rounds;
};

/* Commits as a run does; what was put since the use began must be there until it ends. */
static void *commit_often(void *ctx)
{
    struct race *race = ctx;
    struct cache *cache;
    bool read_only;
    if (cache_open(race->path, &cache, &read_only, NULL) != 0)
        return race;
    while (!atomic_load(race->stop)) {
        static const char *const paths[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
        struct digest digests[8];
        struct action_output outputs[8];
        struct buf blob = BUF_INIT;
        enum cache_answer answer;
        cache_use_begin(cache);
        for (unsigned i = 0; i < 8; i++) {
            char text[32];
            int n = snprintf(text, sizeof text, "content %u", roll(&race->seed, 40));
            if (cache_put(cache, text, (size_t)n, &digests[i], NULL) != 0)
                race->failures++;
            outputs[i] =
                (struct action_output){.kind = OUTPUT_FILE, .path = paths[i], .digest = digests[i]};
        }
        struct action_result result = {.outputs = outputs, .n_outputs = 8};
        action_result_encode(&result, &blob);
        if (cache_put_action(cache, &digests[1], blob.data, blob.len, NULL) != 0)
            race->failures++;
        buf_reset(&blob);
        for (unsigned i = 0; i < 8; i++) {
            if (cache_get(cache, &digests[i], 100, &blob, &answer, NULL) != 0 ||
                answer != CACHE_HIT)
                race->failures++;
        }
        cache_use_end(cache);
        buf_release(&blob);
        race->rounds++;
        struct timespec moment = {.tv_nsec = roll(&race->seed, 3000000)};
        nanosleep(&moment, NULL);
    }
    cache_close(cache);
    return NULL;
}

static void test_race(void **state)
{
    struct fixture *f = *state;
    struct race races[2];
    atomic_bool stop = false;
    uint64_t removed = 0, dangling = 0;
    unsigned want = getenv("KILN_ROUNDS") ? (unsigned)atoi(getenv("KILN_ROUNDS")) : 300;
    for (uint32_t i = 0; i < 2; i++) {
        races[i] = (struct race){.path = f->path, .stop = &stop, .seed = i + 7};
        assert_int_equal(pthread_create(&races[i].thread, NULL, commit_often, &races[i]), 0);
    }
    /* As long as it takes for it to have found a gap between two commits that many times. */
    time_t deadline = time(NULL) + 60;
    for (unsigned round = 0; round < want && time(NULL) < deadline; round++) {
        struct gc_options options = {.size = 4096};
        struct gc_report report;
        struct verify_report verified;
        if (cache_gc(f->cache, &options, &report, NULL) == 0)
            removed += report.removed.blobs;
        gc_report_release(&report);
        /* No result may be left whose content is gone. */
        assert_int_equal(cache_verify(f->cache, NULL, NULL, &verified, NULL), 0);
        dangling += verified.findings.n;
        verify_report_release(&verified);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        void *failed;
        assert_int_equal(pthread_join(races[i].thread, &failed), 0);
        assert_null(failed);
        assert_int_equal(races[i].failures, 0);
    }
    assert_true(removed > 0);
    assert_int_equal(dangling, 0);
}

#define with_cache(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_cache(test_order),  with_cache(test_trees),     with_cache(test_in_use),
        with_cache(test_limits), with_cache(test_tidy),      with_cache(test_ledger_is_shared),
        with_cache(test_race),   with_cache(test_leftovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
