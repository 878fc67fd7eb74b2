/* The order of barriers and events, lost events, closing. */
#include "test_watch_fixture.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void start(struct fixture *f)
{
    make_watch(f, 0, 0);
    watch_add(f->watch, 0, "");
}

static void every_earlier_change_is_reported_first(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "d");
    start(f);
    watch_add(f->watch, 1, "d");
    for (int i = 0; i < 3000; i++) {
        char name[32], path[40];
        snprintf(name, sizeof(name), "f%d", i);
        snprintf(path, sizeof(path), "%s%s", i & 1 ? "d/" : "", name);
        put(f, path, name);
        barrier(f);
        assert_true(count_of(f, i & 1, name) >= 1);
        assert_true(f->clock.tick >= vec_last(&f->reports).tick);
        assert_int_equal(f->clock.epoch, 1);
        forget_reports(f);
        unlink(at(f, path));
    }
    assert_int_equal(f->rescans, 0);
}

/* Saves file after file in d, and tells after each; what stands in the way of that are events
 * without end in noise. */
static void save_and_tell(struct fixture *f, int out)
{
    for (int i = 0; i < 2000; i++) {
        char path[40];
        snprintf(path, sizeof(path), "d/f%d", i);
        put(f, path, "");
        if (write(out, "x", 1) != 1)
            _exit(1);
    }
    _exit(0);
}

static void make_noise(struct fixture *f)
{
    for (unsigned i = 0;; i++)
        put(f, i & 1 ? "noise/a" : "noise/b", "");
}

static pid_t fork_to(void (*act)(struct fixture *f, int out), struct fixture *f, int out)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        if (act)
            act(f, out);
        make_noise(f);
    }
    return pid;
}

static void what_another_process_has_done_is_reported(void **state)
{
    struct fixture *f = *state;
    int tell[2];
    make_dir(f, "d");
    make_dir(f, "noise");
    start(f);
    watch_add(f->watch, 1, "d");
    watch_add(f->watch, 2, "noise");
    pid_t noise = fork_to(NULL, f, -1);
    assert_int_equal(pipe(tell), 0);
    pid_t saver = fork_to(save_and_tell, f, tell[1]);
    close(tell[1]);
    char told[64];
    ssize_t n;
    for (int saved = 0; (n = read(tell[0], told, sizeof(told))) > 0;) {
        barrier(f);
        for (; n; n--, saved++) {
            char name[32];
            snprintf(name, sizeof(name), "f%d", saved);
            assert_true(count_of(f, 1, name) >= 1 || f->rescans);
        }
        size_t kept = 0;
        vec_each (struct report, report, &f->reports) {
            if (report->dir == 1)
                f->reports.v[kept++] = *report;
            else
                free(report->name);
        }
        f->reports.n = kept;
    }
    int status;
    kill(noise, SIGKILL);
    assert_int_equal(waitpid(noise, &status, 0), noise);
    assert_int_equal(waitpid(saver, &status, 0), saver);
    assert_int_equal(status, 0);
    close(tell[0]);
}

struct order {
    struct fixture *f;
    int next;
    struct {
        struct order *order;
        int number;
    } barriers[200];
};

static void on_ordered(void *ctx, struct watch_clock clock)
{
    struct {
        struct order *order;
        int number;
    } *barrier = ctx;
    struct order *order = barrier->order;
    char name[32];
    assert_int_equal(order->next, barrier->number);
    order->next++;
    for (int i = 0; i <= barrier->number; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        assert_true(count_of(order->f, 0, name) >= 1);
    }
    assert_int_equal(clock.epoch, 1);
}

/* Several in one turn of the loop, several under way at once. */
static void many_at_once_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    struct order order = {.f = f};
    start(f);
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof(name), "f%d", i);
        put(f, name, "");
        order.barriers[i].order = &order;
        order.barriers[i].number = i;
        watch_barrier(f->watch, on_ordered, &order.barriers[i]);
        if (i % 3 == 0)
            uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    run_until(f, order.next == 200);
}

static void ask_again(void *ctx, struct watch_clock clock)
{
    struct fixture *f = ctx;
    f->clock = clock;
    if (++f->barriers < 50)
        watch_barrier(f->watch, ask_again, f);
}

static void asked_from_its_own_answer(void **state)
{
    struct fixture *f = *state;
    start(f);
    watch_barrier(f->watch, ask_again, f);
    run_until(f, f->barriers == 50);
    assert_int_equal(f->rescans, 0);
}

static long queue_length(void)
{
    long n = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    if (file) {
        if (fscanf(file, "%ld", &n) != 1)
            n = 0;
        fclose(file);
    }
    return n;
}

static void overflow(struct fixture *f)
{
    /* Two files in turns: the kernel merges equal neighbours. */
    for (long i = 0; i < queue_length() + 100; i++)
        assert_int_equal(chmod(at(f, i & 1 ? "a" : "b"), 0600), 0);
}

static void overflow_is_a_new_epoch(void **state)
{
    struct fixture *f = *state;
    if (queue_length() < 1 || queue_length() > 1000000)
        skip();
    start(f);
    put(f, "a", "");
    put(f, "b", "");
    barrier(f);
    assert_int_equal(f->clock.epoch, 1);

    overflow(f);
    barrier(f);
    assert_int_equal(f->rescans, 1);
    assert_string_equal(f->reason, "queue overflow");
    assert_int_equal(f->clock.epoch, 2);

    /* And with one asked for before; the rescan comes before the answer. */
    ask(f);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    overflow(f);
    barrier(f);
    assert_int_equal(f->rescans, 2);
    assert_int_equal(f->clock.epoch, 3);

    forget_reports(f);
    put(f, "after", "");
    barrier(f);
    assert_true(count_of(f, 0, "after") >= 1);
    assert_int_equal(f->rescans, 2);
}

static void unmounting_is_a_new_epoch(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "m");
    if (mount("none", at(f, "m"), "tmpfs", 0, NULL))
        skip();
    start(f);
    watch_add(f->watch, 1, "m");
    make_dir(f, "m/d");
    watch_add(f->watch, 2, "m/d");
    barrier(f);
    assert_int_equal(umount(at(f, "m")), 0);
    barrier(f);
    assert_int_equal(f->rescans, 1);
    assert_string_equal(f->reason, "unmounted");
    assert_int_equal(f->clock.epoch, 2);
    assert_int_equal(watch_counts(f->watch).watched, 1);
}

static void bind_mounts_share_an_inode(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "b");
    if (mount(at(f, "a"), at(f, "b"), NULL, MS_BIND, NULL))
        skip();
    start(f);
    watch_add(f->watch, 1, "a");
    watch_add(f->watch, 2, "b");
    put(f, "a/f", "");
    barrier(f);
    assert_true(count_of(f, 1, "f") >= 1);
    assert_int_equal(count_of(f, 1, "f"), count_of(f, 2, "f"));
    watch_remove(f->watch, 1);
    forget_reports(f);
    put(f, "b/g", "");
    barrier(f);
    assert_int_equal(count_of(f, 1, "g"), 0);
    assert_true(count_of(f, 2, "g") >= 1);
    assert_int_equal(umount(at(f, "b")), 0);
}

static void never(void *ctx, struct watch_clock clock)
{
    (void)ctx;
    (void)clock;
    fail_msg("a barrier was answered after its watch was closed");
}

static void closes_with_barriers_pending(void **state)
{
    struct fixture *f = *state;
    for (int turns = 0; turns < 4; turns++) {
        start(f);
        put(f, "a", "");
        watch_barrier(f->watch, never, f);
        watch_close(f->watch, on_closed, f);
        watch_close(f->watch, on_closed, f);
        watch_barrier(f->watch, never, f);
        watch_add(f->watch, 1, "");
        watch_remove(f->watch, 0);
        run_until(f, f->closed);
        assert_int_equal(f->reports.n, 0);
    }
}

static void close_in_answer(void *ctx, struct watch_clock clock)
{
    struct fixture *f = ctx;
    (void)clock;
    watch_barrier(f->watch, never, f);
    watch_close(f->watch, on_closed, f);
}

static void closes_from_callbacks(void **state)
{
    struct fixture *f = *state;
    start(f);
    watch_barrier(f->watch, close_in_answer, f);
    watch_barrier(f->watch, never, f);
    run_until(f, f->closed);

    start(f);
    f->close_at_entry = 1;
    put(f, "a", "");
    put(f, "b", "");
    watch_barrier(f->watch, never, f);
    run_until(f, f->closed);
    assert_int_equal(f->reports.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        watch_test(every_earlier_change_is_reported_first),
        watch_test(what_another_process_has_done_is_reported),
        watch_test(many_at_once_are_answered_in_order),
        watch_test(asked_from_its_own_answer),
        watch_test(overflow_is_a_new_epoch),
        watch_test(unmounting_is_a_new_epoch),
        watch_test(bind_mounts_share_an_inode),
        watch_test(closes_with_barriers_pending),
        watch_test(closes_from_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
