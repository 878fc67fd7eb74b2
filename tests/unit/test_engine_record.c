/* Run records: what is written is listed, replayed and found again, old runs go, and nothing in the
 * state directory can do harm. */
#include "test_engine_record.h"

static void project_directory(void **state)
{
    struct fixture *f = *state;
    const char *dir = records_dir(f->records);
    assert_true(path_is_below(dir, f->dir));
    const char *id = strrchr(dir, '/') + 1;
    assert_int_equal(strncmp(id, "my_pro__ject-", 13), 0);
    assert_int_equal(strlen(id), 13 + 16);
    assert_int_equal(strspn(id + 13, "0123456789abcdef"), 16);

    char *path = path_join(dir, "root");
    struct buf root = BUF_INIT;
    assert_int_equal(file_read(path, 4096, &root, NULL), 0);
    assert_string_equal(buf_str(&root), ROOT "\n");
    buf_release(&root);
    free(path);

    static const struct {
        const char *root, *start;
        bool same;
    } others[] = {
        {ROOT "/", "my_pro__ject-", true},
        {"/other/my pro\xc3\xa9ject", "my_pro__ject-", false},
        {"/", "root-", false},
        {"/.hidden", "_hidden-", false},
        {"/a/..", "_.-", false},
        {"/0123456789012345678901234567890123456789abcdef",
         "0123456789012345678901234567890123456789-", false},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct records *other;
        assert_int_equal(records_open(f->dir, others[i].root, &other, NULL), 0);
        const char *name = strrchr(records_dir(other), '/') + 1;
        assert_int_equal(strncmp(name, others[i].start, strlen(others[i].start)), 0);
        assert_int_equal(!strcmp(name, id), others[i].same);
        records_close(other);
    }
    records_close(NULL);
}

static void ids_count_up(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 12; i++) {
        struct record *record = new_run(f->records);
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        assert_string_equal(record_id(record), id);
        record_free(record);
    }
    /* Names that are no runs are left alone. */
    static const char *const names[] = {"x", "07", "99x", "-5", "99999999999999999999"};
    for (size_t i = 0; i < 5; i++) {
        char *path = mem_printf("%s/runs/%s", records_dir(f->records), names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    struct record *one = new_run(f->records), *two = new_run(f->records);
    assert_string_equal(record_id(one), "13");
    assert_string_equal(record_id(two), "14");
    record_free(one);
    record_free(two);
    record_free(NULL);
}

static void nothing_is_made_in_vain(void **state)
{
    struct fixture *f = *state;
    struct record *record = new_run(f->records);
    char *path = mem_printf("%s/runs/1", records_dir(f->records));
    begin(record);
    assert_int_equal(rmdir(path), 0); /* still empty */
    assert_int_equal(mkdir(path, 0700), 0);
    end(record);
    char *logs = path_join(path, "logs"), *events = path_join(path, "events.ndjson");
    assert_int_not_equal(access(logs, F_OK), 0);
    assert_int_equal(access(events, F_OK), 0);
    free(logs);
    free(events);
    free(path);
    record_free(record);
}

static size_t count_runs(struct records *records, unsigned long *lowest)
{
    char *path = path_join(records_dir(records), "runs");
    DIR *dir = opendir(path);
    free(path);
    assert_non_null(dir);
    size_t n = 0;
    *lowest = ULONG_MAX;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        unsigned long id = strtoul(entry->d_name, NULL, 10);
        n += id > 0;
        if (id > 0 && id < *lowest)
            *lowest = id;
    }
    closedir(dir);
    return n;
}

static void old_runs_are_pruned(void **state)
{
    struct fixture *f = *state;
    unsigned long lowest;
    struct record *first = new_run(f->records); /* lives on while it is pruned */
    begin(first);
    free(run_step(first, "build", "x"));
    for (int i = 2; i <= RECORD_KEEP + 20; i++) {
        struct record *record = new_run(f->records);
        begin(record);
        end(record);
        record_free(record);
    }
    assert_int_equal(count_runs(f->records, &lowest), RECORD_KEEP + 20);
    for (int i = 0; i < 5; i++) {
        struct record *record = new_run(f->records);
        free(run_step(record, "build", "x"));
        record_free(record);
    }
    assert_int_equal(count_runs(f->records, &lowest), RECORD_KEEP + 4);
    assert_int_equal(lowest, 22);
    /* The run that is gone can still be told things. */
    free(run_step(first, "build", "x"));
    end(first);
    record_free(first);
    struct record *record = new_run(f->records);
    assert_string_equal(record_id(record), "226");
    record_free(record);
}

static void unusable_places(void **state)
{
    struct fixture *f = *state;
    struct records *records = NULL;
    struct err err = ERR_INIT;
    char *file = path_join(f->dir, "file");
    assert_int_equal(file_write_atomic(file, "", 0, 0600, NULL), 0);
    assert_int_equal(records_open(file, "/x", &records, &err), -ERR_SYSTEM);
    assert_null(records);
    assert_non_null(strstr(err_text(&err), file));
    assert_int_equal(records_open("/proc/nowhere", "/x", &records, &err), -ERR_SYSTEM);

    char *runs = path_join(records_dir(f->records), "runs");
    assert_int_equal(file_write_atomic(runs, "", 0, 0600, NULL), 0);
    struct record *record = NULL;
    assert_int_equal(record_new(f->records, &record, &err), -ERR_SYSTEM);
    assert_null(record);
    assert_non_null(strstr(err_text(&err), runs));
    err_release(&err);
    free(runs);
    free(file);
}

/* A full disk, as far as one process can have it: files may not grow. */
static void full_disk(void **state)
{
    struct fixture *f = *state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct record *record = NULL;
        struct err err = ERR_INIT;
        int bad = record_new(f->records, &record, NULL);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, 100});
        struct event event = {.type = EVENT_RUN_FINISHED, .u.run_finished = {.passed = 1}};
        record_event(record, &event, &err);
        bad |= err.kind != ERR_SYSTEM || !strstr(err_text(&err), "events.ndjson");
        err_release(&err);
        for (int i = 0; i < 100; i++)
            record_event(record, &event, &err);
        bad |= err.kind != ERR_NONE;
        record_free(record);
        _exit(bad ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void processes_take_different_ids(void **state)
{
    struct fixture *f = *state;
    enum { N = 4, RUNS = 25 };
    pid_t pids[N];
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            struct records *records = NULL;
            bool ok = records_open(f->dir, ROOT, &records, NULL) == 0;
            for (int j = 0; ok && j < RUNS; j++) {
                struct record *record = NULL;
                ok = record_new(records, &record, NULL) == 0;
                struct event event = {.type = EVENT_RUN_FINISHED};
                if (ok)
                    record_event(record, &event, NULL);
                record_free(record);
            }
            records_close(records);
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < N; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    for (int i = 1; i <= N * RUNS; i++) {
        char id[16];
        struct seen seen = {0};
        bool found;
        snprintf(id, sizeof(id), "%d", i);
        assert_int_equal(records_replay(f->records, id, see, &seen, &found, NULL), 0);
        assert_true(found);
        assert_int_equal(seen.n, 1);
        forget(&seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(project_directory),
        TEST(ids_count_up),
        TEST(nothing_is_made_in_vain),
        TEST(old_runs_are_pruned),
        TEST(unusable_places),
        TEST(full_disk),
        TEST(processes_take_different_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
