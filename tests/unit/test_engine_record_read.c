/* Run records, read: lists, replays and logs. */
#include "test_engine_record.h"

static void listed(void **state)
{
    struct fixture *f = *state;
    struct record_summary *list;
    size_t n;
    assert_int_equal(records_list(f->records, 10, &list, &n, NULL), 0);
    assert_int_equal(n, 0);
    records_free_list(list, n);

    struct record *one = new_run(f->records);
    begin(one);
    free(run_step(one, "build", "x"));
    end(one);
    add(one, (struct event){.type = EVENT_WATCH_IDLE}); /* something may follow */
    record_free(one);
    struct record *two = new_run(f->records);
    begin(two);
    free(run_step(two, "build", "y"));
    struct record *three = new_run(f->records); /* nothing in it yet */

    assert_int_equal(records_list(f->records, 10, &list, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].id, "2");
    assert_int_equal(list[0].status, -1);
    assert_string_equal(list[1].id, "1");
    assert_string_equal(list[1].trigger, "watch");
    assert_true(list[1].time_ns == 1769860800000000007u);
    assert_int_equal(list[1].status, RUN_FAILED);
    assert_int_equal(list[1].duration_ms, 1234);
    assert_int_equal(list[1].passed, 1);
    assert_int_equal(list[1].cached, 2);
    assert_int_equal(list[1].saved_ms, 6);
    assert_int_equal(list[1].failed, 3);
    assert_int_equal(list[1].skipped, 4);
    assert_int_equal(list[1].cancelled, 5);
    records_free_list(list, n);
    assert_int_equal(records_list(f->records, 1, &list, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].id, "2");
    records_free_list(list, n);
    record_free(two);
    record_free(three);
}

/* Beginnings and logs that are larger than what a listing reads at first. */
static void large_records(void **state)
{
    struct fixture *f = *state;
    enum { N = 20000 };
    const char **steps = mem_zalloc(N, sizeof(*steps));
    char text[20];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < N; i++)
        steps[i] = text;
    struct record *record = new_run(f->records);
    add(record, (struct event){.type = EVENT_NOTICE, .u.notice = {"info", "before"}});
    add(record, (struct event){.type = EVENT_RUN_STARTED,
                               .u.run_started = {"0.1", "demo", ROOT, "hook", steps, N, 2}});
    for (int i = 0; i < N; i++)
        add(record, (struct event){.type = EVENT_STEP_QUEUED, .step = text});
    end(record);
    record_free(record);
    free(steps);

    struct record_summary *list;
    size_t n;
    assert_int_equal(records_list(f->records, 5, &list, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].trigger, "hook");
    assert_int_equal(list[0].status, RUN_FAILED);
    records_free_list(list, n);
}

static void replayed(void **state)
{
    struct fixture *f = *state;
    bool found = true;
    struct seen seen = {0};
    assert_int_equal(records_replay(f->records, NULL, see, &seen, &found, NULL), 0);
    assert_false(found);

    struct record *record = new_run(f->records);
    begin(record);
    char *first = run_step(record, "build", "one\n");
    char *second = run_step(record, "te\"st", "two\n");
    end(record);
    record_free(record);

    static const enum event_type types[] = {
        EVENT_RUN_STARTED,  EVENT_STEP_STARTED, EVENT_STEP_LOG,      EVENT_STEP_FINISHED,
        EVENT_STEP_STARTED, EVENT_STEP_LOG,     EVENT_STEP_FINISHED, EVENT_RUN_FINISHED,
    };
    static const char *const ids[] = {NULL, "1"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(records_replay(f->records, ids[i], see, &seen, &found, NULL), 0);
        assert_true(found);
        assert_int_equal(seen.n, 8);
        for (size_t j = 0; j < 8; j++)
            assert_int_equal(seen.types[j], types[j]);
        assert_string_equal(seen.logs[1], first);
        assert_string_equal(seen.logs[2], first);
        assert_string_equal(seen.logs[4], second);
        forget(&seen);
    }
    static const char *const none[] = {"2", "0", "01", "", "x", "../1", "1/../1", "1 ", "-1"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_int_equal(records_replay(f->records, none[i], see, &seen, &found, NULL), 0);
        assert_false(found);
        assert_null(records_log_path(f->records, none[i], "build"));
    }
    free(first);
    free(second);
}

/* The state directory can be moved, and then says where the logs are now. */
static void moved(void **state)
{
    struct fixture *f = *state;
    struct record *record = new_run(f->records);
    begin(record);
    free(run_step(record, "build", "one\n"));
    add(record, (struct event){.type = EVENT_STEP_STARTED,
                               .step = "far",
                               .u.started = {.runner = "host", .log = "/elsewhere/x.log"}});
    record_free(record);
    records_close(f->records);
    char *old = mem_strdup(f->dir);
    strcat(f->dir, "-b");
    assert_int_equal(rename(old, f->dir), 0);
    free(old);
    assert_int_equal(records_open(f->dir, ROOT, &f->records, NULL), 0);
    check_log(f->records, NULL, "build", "one\n");
    struct seen seen = {0};
    bool found;
    assert_int_equal(records_replay(f->records, "1", see, &seen, &found, NULL), 0);
    assert_true(path_is_below(seen.logs[1], f->dir));
    assert_string_equal(seen.logs[4], "/elsewhere/x.log");
    forget(&seen);
}

static void logs_by_step(void **state)
{
    struct fixture *f = *state;
    struct record *one = new_run(f->records);
    begin(one);
    free(run_step(one, "build", "old build"));
    free(run_step(one, "te\"st\n", "test, first attempt"));
    free(run_step(one, "te\"st\n", "test, second attempt"));
    struct record *two = new_run(f->records);
    begin(two);
    free(run_step(two, "build", "new build"));
    /* Both runs are still being written. */
    check_log(f->records, NULL, "build", "new build");
    check_log(f->records, "1", "build", "old build");
    check_log(f->records, "2", "build", "new build");
    check_log(f->records, NULL, "te\"st\n", "test, second attempt");
    check_log(f->records, "2", "te\"st\n", NULL);
    check_log(f->records, NULL, "buil", NULL);
    /* A log that was removed is not offered; the one before is. */
    char *path = records_log_path(f->records, "2", "build");
    assert_int_equal(unlink(path), 0);
    free(path);
    check_log(f->records, "2", "build", NULL);
    check_log(f->records, NULL, "build", "old build");
    record_free(one);
    record_free(two);
}

static void torn_and_strange_records(void **state)
{
    struct fixture *f = *state;
    struct record *record = new_run(f->records);
    begin(record);
    free(run_step(record, "build", "x"));
    end(record);
    record_free(record);
    char *path = mem_printf("%s/runs/1/events.ndjson", records_dir(f->records));
    struct buf whole = BUF_INIT;
    assert_int_equal(file_read(path, 1 << 20, &whole, NULL), 0);
    for (size_t cut = 0; cut < whole.len; cut++) {
        assert_int_equal(file_write_atomic(path, whole.data, cut, 0600, NULL), 0);
        size_t lines = 0;
        for (size_t i = 0; i < cut; i++)
            lines += whole.data[i] == '\n';
        struct seen seen = {0};
        bool found;
        assert_int_equal(records_replay(f->records, NULL, see, &seen, &found, NULL), 0);
        assert_true(found);
        assert_in_range(seen.n, lines, lines + 1);
        forget(&seen);
        struct record_summary *list;
        size_t n;
        assert_int_equal(records_list(f->records, 5, &list, &n, NULL), 0);
        assert_int_equal(n, lines > 0);
        if (n)
            assert_int_equal(list[0].status, -1);
        records_free_list(list, n);
    }
    static const char junk[] = "\n\n{}\nnull\n\0\xff\n{\"type\":\"run.started\"}\n"
                               "{\"type\":\"run.finished\",\"seq\":1}\n";
    assert_int_equal(file_write_atomic(path, junk, sizeof(junk) - 1, 0600, NULL), 0);
    struct seen seen = {0};
    bool found;
    assert_int_equal(records_replay(f->records, "1", see, &seen, &found, NULL), 0);
    assert_true(found);
    assert_int_equal(seen.n, 0);
    struct record_summary *list;
    size_t n;
    assert_int_equal(records_list(f->records, 5, &list, &n, NULL), 0);
    assert_int_equal(n, 0);
    records_free_list(list, n);
    /* A FIFO in the record's place must not be waited for. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(records_list(f->records, 5, &list, &n, NULL), 0);
    records_free_list(list, n);
    assert_int_equal(records_replay(f->records, "1", see, &seen, &found, NULL), 0);
    assert_int_equal(seen.n, 0);
    check_log(f->records, "1", "build", NULL);
    buf_release(&whole);
    free(path);
}

/* A step that wrote nothing has a log all the same, an empty one, and not that of an earlier run;
 * the first output names the file. */
static void silent_steps(void **state)
{
    struct fixture *f = *state;
    const struct event silent = {.type = EVENT_STEP_STARTED,
                                 .step = "build",
                                 .u.started = {.runner = "host", .log = EVENT_NO_LOG}};
    struct record *one = new_run(f->records);
    begin(one);
    free(run_step(one, "build", "old build"));
    struct record *two = new_run(f->records);
    begin(two);
    add(two, silent);
    check_log(f->records, "2", "build", "");
    check_log(f->records, NULL, "build", "");
    char *path;
    int fd;
    struct err err = ERR_INIT;
    assert_int_equal(record_spool(two, "build", &path, &fd, &err), 0);
    assert_int_equal(file_write_all(fd, "new", 3), 0);
    close(fd);
    add(two, (struct event){.type = EVENT_STEP_LOG, .step = "build", .u.log = {1, 0, 3, path}});
    end(two);
    check_log(f->records, NULL, "build", "new");
    assert_int_equal(unlink(path), 0);
    check_log(f->records, NULL, "build", "old build");
    free(path);
    record_free(one);
    record_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(listed),       TEST(large_records), TEST(replayed),
        TEST(moved),        TEST(logs_by_step),  TEST(torn_and_strange_records),
        TEST(silent_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
