/*
 * test_engine_record.h - what these tests share: a state directory of its own, and runs whose
 * events are known.
 */
#ifndef KILN_TEST_ENGINE_RECORD_H
#define KILN_TEST_ENGINE_RECORD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT "/home/somebody/my pro\xc3\xa9ject"

struct fixture {
    char dir[32];
    struct records *records;
};

static inline int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/kiln-test-XXXXXX");
    if (!mkdtemp(f->dir) || records_open(f->dir, ROOT, &f->records, NULL) < 0)
        return -1;
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    records_close(f->records);
    int code = file_remove_tree(AT_FDCWD, f->dir, NULL);
    free(f);
    return code;
}

static inline struct record *new_run(struct records *records)
{
    struct record *record;
    struct err err = ERR_INIT;
    int code = record_new(records, &record, &err);
    assert_string_equal(err_text(&err), "");
    assert_int_equal(code, 0);
    return record;
}

static inline void add(struct record *record, struct event event)
{
    struct err err = ERR_INIT;
    event.run = record_id(record);
    event.time_ns = 1769860800000000007u;
    event.seq = 4711; /* of the engine's stream, which is longer */
    record_event(record, &event, &err);
    assert_string_equal(err_text(&err), "");
}

static inline void begin(struct record *record)
{
    static const char *const steps[] = {"build", "te\"st"};
    add(record, (struct event){.type = EVENT_RUN_STARTED,
                               .u.run_started = {"0.1", "demo", ROOT, "watch", steps, 2, 2}});
}

static inline void end(struct record *record)
{
    add(record, (struct event){.type = EVENT_RUN_FINISHED,
                               .u.run_finished = {RUN_FAILED, 1234, 1, 2, 3, 4, 5, 6}});
}

/* A step that wrote text; returns the path of its log. */
static inline char *run_step(struct record *record, const char *step, const char *text)
{
    char *path;
    int fd;
    struct err err = ERR_INIT;
    assert_int_equal(record_spool(record, step, &path, &fd, &err), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    add(record, (struct event){.type = EVENT_STEP_STARTED,
                               .step = step,
                               .u.started = {.runner = "host", .attempt = 1, .log = path}});
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    add(record,
        (struct event){.type = EVENT_STEP_LOG, .step = step, .u.log = {1, 0, strlen(text), path}});
    add(record, (struct event){
                    .type = EVENT_STEP_FINISHED, .step = step, .u.finished.status = STEP_PASSED});
    close(fd);
    return path;
}

static inline void check_log(struct records *records, const char *id, const char *step,
                             const char *text)
{
    char *path = records_log_path(records, id, step);
    if (!text) {
        assert_null(path);
        return;
    }
    assert_non_null(path);
    struct buf log = BUF_INIT;
    assert_int_equal(file_read(path, 1 << 20, &log, NULL), 0);
    assert_string_equal(buf_str(&log), text);
    buf_release(&log);
    free(path);
}

struct seen {
    size_t n;
    enum event_type types[32];
    char *logs[32];
};

static inline void see(void *ctx, const struct event *event)
{
    struct seen *seen = ctx;
    assert_true(seen->n < 32);
    assert_int_equal(event->seq, seen->n + 1);
    const char *log = NULL;
    if (event->type == EVENT_STEP_STARTED)
        log = event->u.started.log;
    else if (event->type == EVENT_STEP_LOG)
        log = event->u.log.log;
    seen->logs[seen->n] = log ? mem_strdup(log) : NULL;
    seen->types[seen->n++] = event->type;
}

static inline void forget(struct seen *seen)
{
    for (size_t i = 0; i < seen->n; i++)
        free(seen->logs[i]);
    seen->n = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
