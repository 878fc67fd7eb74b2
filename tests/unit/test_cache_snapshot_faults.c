/* Making snapshots where calls go wrong one by one, and where kiln is killed at any of them. */
#define FAULT_NO_MALLOC
#include "../process/fault.c"

#include "test_cache_snapshot.h"

#include "cache/cache_verify.h"

/* Enough of everything: files of both kinds, a link, directories, and for the second tree
 * whiteouts.
 */
struct subject {
    struct trees *trees;
    struct digest first, second;
    char *dir;
};

static void add_file(struct subject *s, const char *name, const char *text, bool executable)
{
    struct tree_entry entry = {
        .kind = TREE_FILE, .executable = executable, .digest = digest_str(text)};
    char *path = path_join("d", name);
    write_text(s->dir, path, text, strlen(text), 0644);
    tree_set(s->trees, &s->first, path, &entry);
    free(path);
}

static void subject_begin(struct subject *s, struct fixture *f)
{
    struct err err = ERR_INIT;
    struct tree_entry link = {.kind = TREE_SYMLINK, .target = "a"};
    *s = (struct subject){.trees = trees_new(), .first = tree_empty()};
    s->dir = path_join(f->dir, "project");
    char *sub = path_join(s->dir, "d/sub");
    assert_ok(file_mkdirs(sub, 0755, &err), &err);
    free(sub);
    add_file(s, "a", "first", false);
    add_file(s, "run", "first", true);
    add_file(s, "sub/gone", "gone", false);
    add_file(s, "large", "a file of some size", false);
    tree_set(s->trees, &s->first, "d/link", &link);
    s->second = s->first;
    assert_ok(trees_remove(s->trees, &s->second, "d/sub", &s->second, &err), &err);
    struct tree_entry entry = {.kind = TREE_FILE, .digest = digest_str("gone")};
    tree_set(s->trees, &s->second, "d/a", &entry);
    (void)put(f, "gone"); /* no longer what the working tree has there */
}

static void subject_end(struct subject *s)
{
    trees_free(s->trees);
    free(s->dir);
}

/* How a try ended; a killed one has no exit code. */
enum { DONE = 0, REFUSED = 10, ASKED_AGAIN, CHANGED, BAD };

static int try_one(struct cache *cache, struct subject *s, const struct digest *root)
{
    struct snapshot_options options = snapshot_ours(s->dir, "step");
    struct snapshot_request *request;
    enum snapshot_answer answer;
    struct err err = ERR_INIT;
    struct snapshot *snapshot = snapshot_find(cache, root, &options);
    int rc = 0;
    if (!snapshot) {
        rc = snapshot_request_new(cache, s->trees, root, &options, &request, &err);
        if (rc == 0) {
            rc = snapshot_make(request, &answer, &snapshot, &err);
            if (rc == 0 && answer != SNAPSHOT_READY)
                rc = answer == SNAPSHOT_AGAIN ? ASKED_AGAIN : CHANGED;
            if (rc == CHANGED)
                fprintf(stderr, "%s\n", snapshot_request_changed(request));
            snapshot_request_free(request);
        }
    }
    snapshot_release(snapshot);
    if (rc < 0 && !kind)
        fprintf(stderr, "%s\n", err_text(&err));
    if (rc < 0)
        rc = err.kind == ERR_SYSTEM && *err_text(&err) ? REFUSED : BAD;
    err_release(&err);
    return rc;
}

/* Both trees in a process of its own, in which the call number at goes wrong. Returns its status;
 * *calls is how many there were. */
static int faulty(struct fixture *f, struct subject *s, const struct kind *how, unsigned long at,
                  unsigned long *calls)
{
    int status;
    atomic_store(counter, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cache *cache = open_cache(f->path);
        kind = how;
        fault_at = at;
        int rc = try_one(cache, s, &s->first), second = try_one(cache, s, &s->second);
        kind = NULL;
        cache_close(cache);
        _exit(rc ? rc : second);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *calls = atomic_load(counter);
    return status;
}

static void assert_right(struct cache *cache, struct subject *s, const struct digest *root)
{
    struct snapshot_options options = snapshot_ours(s->dir, "step");
    struct snapshot *snapshot = snapshot_find(cache, root, &options);
    size_t n;
    if (!snapshot)
        return;
    const char *const *dirs = snapshot_dirs(snapshot, &n);
    struct digest shown = view_layers(dirs, n);
    assert_true(digest_eq(&shown, root));
    snapshot_release(snapshot);
}

/* Whatever went wrong: what is there is right, the next try succeeds, and nothing is left over. */
static void look_after(struct fixture *f, struct subject *s)
{
    struct cache *cache = open_cache(f->path);
    struct verify_report report;
    struct err err = ERR_INIT;
    f->cache = cache;
    (void)put(f, "gone");
    f->cache = NULL;
    assert_right(cache, s, &s->first);
    assert_right(cache, s, &s->second);
    assert_int_equal(try_one(cache, s, &s->first), DONE);
    assert_int_equal(try_one(cache, s, &s->second), DONE);
    struct snapshot_options options = snapshot_ours(s->dir, "step");
    struct snapshot *snapshot = snapshot_find(cache, &s->second, &options);
    assert_non_null(snapshot);
    snapshot_release(snapshot);
    assert_right(cache, s, &s->first);
    assert_right(cache, s, &s->second);
    assert_ok(cache_verify(cache, NULL, NULL, &report, &err), &err);
    vec_each (struct verify_finding, finding, &report.findings)
        fail_msg("%s: %s", finding->name, finding->problem);
    verify_report_release(&report);
    cache_close(cache);
}

static void wipe(struct fixture *f)
{
    struct err err = ERR_INIT;
    char *snap = path_join(f->path, "v1/snap");
    assert_ok(file_remove_tree(AT_FDCWD, snap, &err), &err);
    free(snap);
    char *tmp = path_join(f->path, "v1/tmp");
    assert_ok(file_remove_tree(AT_FDCWD, tmp, &err), &err);
    assert_int_equal(mkdir(tmp, 0700), 0);
    free(tmp);
}

/* Every stride-th call. */
static void sweep(struct fixture *f, const char *name, unsigned long stride)
{
    const struct kind *how = NULL;
    struct subject s;
    unsigned long n, calls;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0)
            how = &kinds[i];
    assert_non_null(how);
    counter =
        mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(counter != MAP_FAILED);
    subject_begin(&s, f);
    cache_close(f->cache);
    f->cache = NULL;
    assert_int_equal(faulty(f, &s, how, 0, &n), 0);
    assert_true(n > (how->only == WRITES ? 5 : 30));
    look_after(f, &s);
    for (unsigned long at = 1; at <= n; at += stride) {
        wipe(f);
        int status = faulty(f, &s, how, at, &calls);
        if (how->how == KILL) {
            assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || calls < at);
        } else {
            assert_true(WIFEXITED(status));
            int code = WEXITSTATUS(status);
            /* What is read wrong is taken for damaged, and asked for again, or no longer had. */
            if (code != DONE && code != REFUSED &&
                !((code == ASKED_AGAIN || code == CHANGED) && how->only == READS))
                fail_msg("%s at %lu: %d", name, at, code);
            /* A disk that is full, and then is not, does not leave anything lying about. */
            if (how->only == CHANGES && how->errnum == ENOSPC && code == REFUSED)
                assert_true(count_files(f, "tmp") <= 1);
        }
        look_after(f, &s);
    }
    subject_end(&s);
    munmap(counter, sizeof(*counter));
    counter = NULL;
    f->cache = open_cache(f->path);
}

static void test_killed(void **state)
{
    sweep(*state, "kill", 1);
}

static void test_full_disk(void **state)
{
    sweep(*state, "ENOSPC", 2);
}

static void test_broken_disk(void **state)
{
    sweep(*state, "EIO", 5);
}

static void test_short_writes(void **state)
{
    sweep(*state, "short", 1);
}

static void test_reads_that_fail(void **state)
{
    sweep(*state, "read", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads_that_fail, setup, teardown),
    };
    return cmocka_run_group_tests_name("cache.snapshot.faults", tests, NULL, NULL);
}
