/*
 * test_watch_fixture.h - a watch over a fresh temporary directory, on a loop of its own, with a
 * record of everything it reports. Included by each tests/unit/test_watch_*.c; one thread; nothing
 * waits but for a condition, and never longer than DEADLINE_MS.
 */
#ifndef KILN_TESTS_UNIT_TEST_WATCH_FIXTURE_H
#define KILN_TESTS_UNIT_TEST_WATCH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/vec.h"
#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_MS 30000

struct report {
    uint32_t dir;
    char *name; /* NULL as reported */
    enum watch_what what;
    uint64_t tick;
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;
    char *tmp, *root;
    struct watch *watch;
    bool closed;
    VEC(struct report) reports;
    unsigned rescans, degraded, gone, asked, barriers;
    char reason[512];         /* of the last rescan */
    char degraded_text[512];  /* the last */
    struct watch_clock clock; /* of the last barrier */
    struct watch_clock lost;  /* of the last rescan */
    uint32_t close_at_entry;  /* id + 1 whose event closes the watch */
};

static inline void on_closed(void *ctx)
{
    struct fixture *f = ctx;
    f->closed = true;
    f->watch = NULL;
}

static inline void on_entry(void *ctx, uint32_t dir, const char *name, enum watch_what what,
                            uint64_t tick)
{
    struct fixture *f = ctx;
    assert_false(f->closed);
    if (f->reports.n)
        assert_true(tick >= vec_last(&f->reports).tick);
    assert_true(tick == watch_clock_now(f->watch).tick);
    vec_push(&f->reports, (struct report){dir, name ? mem_strdup(name) : NULL, what, tick});
    if (f->close_at_entry == dir + 1)
        watch_close(f->watch, on_closed, f);
}

static inline void on_rescan(void *ctx, const char *reason, struct watch_clock clock)
{
    struct fixture *f = ctx;
    assert_true(clock.epoch == watch_clock_now(f->watch).epoch);
    f->rescans++;
    f->lost = clock;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static inline void on_degraded(void *ctx, const char *reason)
{
    struct fixture *f = ctx;
    f->degraded++;
    snprintf(f->degraded_text, sizeof(f->degraded_text), "%s", reason);
}

static inline void on_root_gone(void *ctx)
{
    struct fixture *f = ctx;
    f->gone++;
}

static inline void on_barrier(void *ctx, struct watch_clock clock)
{
    struct fixture *f = ctx;
    f->barriers++;
    f->clock = clock;
}

static inline void on_deadline(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->late = true;
}

/* Runs the loop until the condition holds; the test fails when it does not by the deadline. */
#define run_until(f, condition)                                        \
    do {                                                               \
        (f)->late = false;                                             \
        uv_timer_start(&(f)->deadline, on_deadline, DEADLINE_MS, 0);   \
        while (!(condition) && !(f)->late)                             \
            uv_run(&(f)->loop, UV_RUN_ONCE);                           \
        uv_timer_stop(&(f)->deadline);                                 \
        if (!(condition))                                              \
            fail_msg("not within %d ms: %s", DEADLINE_MS, #condition); \
    } while (0)

static inline void ask(struct fixture *f)
{
    f->asked++;
    watch_barrier(f->watch, on_barrier, f);
}

/* Waits for this barrier and all that were asked for before. */
static inline void barrier(struct fixture *f)
{
    ask(f);
    run_until(f, f->barriers == f->asked);
}

static inline void forget_reports(struct fixture *f)
{
    vec_each (struct report, report, &f->reports)
        free(report->name);
    vec_clear(&f->reports);
}

/* How often entry name (NULL: the directory itself) of dir was reported. */
static inline unsigned count_of(const struct fixture *f, uint32_t dir, const char *name)
{
    unsigned n = 0;
    vec_each (const struct report, report, &f->reports)
        n += report->dir == dir &&
             (name ? report->name && !strcmp(report->name, name) : !report->name);
    return n;
}

/* --- the tree; paths are relative to the root ------------------------------------------------ */

static inline char *at(struct fixture *f, const char *path)
{
    static char full[4][4096];
    static unsigned next;
    char *out = full[next++ % 4];
    snprintf(out, sizeof(full[0]), "%s%s%s", f->root, *path ? "/" : "", path);
    return out;
}

static inline void put(struct fixture *f, const char *path, const char *text)
{
    int fd = open(at(f, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static inline void make_dir(struct fixture *f, const char *path)
{
    assert_int_equal(mkdir(at(f, path), 0755), 0);
}

static inline void move(struct fixture *f, const char *from, const char *to)
{
    assert_int_equal(rename(at(f, from), at(f, to)), 0);
}

/* --- beginning and end ----------------------------------------------------------------------- */

static inline void make_watch(struct fixture *f, size_t max_watches, uint64_t poll_ms)
{
    struct err err = ERR_INIT;
    struct watch_options options = {
        .root = f->root, .poll_ms = poll_ms, .max_watches = max_watches};
    struct watch_callbacks callbacks = {
        .entry = on_entry, .rescan = on_rescan, .degraded = on_degraded, .root_gone = on_root_gone};
    if (watch_new(&f->loop, &options, &callbacks, f, &f->watch, &err))
        fail_msg("%s", err_text(&err));
    f->closed = false;
    forget_reports(f); /* the ticks begin anew */
}

static inline int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    *state = f;
    char tmp[] = "/tmp/kiln-watch-XXXXXX";
    assert_non_null(mkdtemp(tmp));
    f->tmp = mem_strdup(tmp);
    f->root = mem_printf("%s/root", tmp);
    assert_int_equal(mkdir(f->root, 0755), 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    uv_timer_init(&f->loop, &f->deadline);
    f->deadline.data = f;
    return 0;
}

static inline void end_watch(struct fixture *f)
{
    if (f->watch)
        watch_close(f->watch, on_closed, f);
    run_until(f, f->closed);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->watch)
        end_watch(f);
    uv_close((uv_handle_t *)&f->deadline, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    forget_reports(f);
    vec_release(&f->reports);
    struct err err = ERR_INIT;
    if (file_remove_tree(AT_FDCWD, f->tmp, &err))
        fail_msg("%s", err_text(&err));
    free(f->tmp);
    free(f->root);
    free(f);
    return 0;
}

#define watch_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
