/* What is reported of watched directories, of moves, and of the root. */
#include "test_watch_fixture.h"

static void start(struct fixture *f)
{
    make_watch(f, 0, 0);
    watch_add(f->watch, 0, "");
}

static void reports_every_kind_of_change(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "d");
    start(f);
    watch_add(f->watch, 1, "d");
    assert_int_equal(watch_counts(f->watch).watched, 2);

    put(f, "a", "1");
    barrier(f);
    assert_true(count_of(f, 0, "a") >= 1);
    struct watch_clock before = f->clock;

    forget_reports(f);
    int fd = open(at(f, "a"), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "2", 1), 1);
    barrier(f); /* also while the file is still open */
    assert_int_equal(count_of(f, 0, "a"), 1);
    assert_true(f->clock.tick > before.tick);
    assert_int_equal(f->clock.epoch, before.epoch);
    close(fd);
    barrier(f);
    assert_int_equal(count_of(f, 0, "a"), 2);

    forget_reports(f);
    assert_int_equal(chmod(at(f, "a"), 0600), 0);
    barrier(f);
    assert_int_equal(count_of(f, 0, "a"), 1);

    forget_reports(f);
    move(f, "a", "d/b");
    barrier(f);
    assert_int_equal(count_of(f, 0, "a"), 1);
    assert_int_equal(count_of(f, 1, "b"), 1);
    assert_int_equal(f->reports.n, 2);

    forget_reports(f);
    assert_int_equal(symlink("nowhere", at(f, "d/link")), 0);
    assert_int_equal(link(at(f, "d/b"), at(f, "d/hard")), 0);
    assert_int_equal(mkfifo(at(f, "d/fifo"), 0600), 0);
    barrier(f);
    assert_int_equal(count_of(f, 1, "link"), 1);
    assert_int_equal(count_of(f, 1, "hard"), 1);
    assert_int_equal(count_of(f, 1, "fifo"), 1);

    forget_reports(f);
    assert_int_equal(unlink(at(f, "d/b")), 0);
    barrier(f);
    assert_int_equal(count_of(f, 1, "b"), 1);

    forget_reports(f);
    make_dir(f, "e");
    barrier(f);
    assert_int_equal(f->reports.n, 1);
    assert_int_equal(f->reports.v[0].what, WATCH_DIRECTORY);
    assert_string_equal(f->reports.v[0].name, "e");
    assert_int_equal(f->rescans + f->gone + f->degraded, 0);
}

static void reports_odd_names_as_they_are(void **state)
{
    struct fixture *f = *state;
    start(f);
    put(f, "new\nline", "");
    put(f, "\xff\xfe", "");
    char name[256];
    memset(name, 'x', 255);
    name[255] = '\0';
    put(f, name, "");
    barrier(f);
    assert_true(count_of(f, 0, "new\nline") && count_of(f, 0, "\xff\xfe") && count_of(f, 0, name));
}

static void quiet_without_changes(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    start(f);
    char text[8];
    int fd = open(at(f, "a"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text)), 1);
    close(fd);
    put(f, "../outside", "");
    barrier(f);
    assert_int_equal(f->reports.n, 0);
    /* Nothing may wake the loop up: only the descriptor waits. */
    assert_int_equal(uv_backend_timeout(&f->loop), -1);
}

static void directory_changes_are_seen_by_parent_and_itself(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "d");
    start(f);
    watch_add(f->watch, 1, "d");
    assert_int_equal(chmod(at(f, "d"), 0700), 0);
    barrier(f);
    assert_int_equal(count_of(f, 0, "d"), 1);
    assert_int_equal(count_of(f, 1, NULL), 1);
    forget_reports(f);
    assert_int_equal(rmdir(at(f, "d")), 0);
    barrier(f);
    assert_int_equal(count_of(f, 0, "d"), 1);
    assert_true(count_of(f, 1, NULL) >= 1);
    assert_int_equal(watch_counts(f->watch).watched, 1);

    forget_reports(f);
    make_dir(f, "d");
    watch_add(f->watch, 1, "d");
    put(f, "d/x", "");
    barrier(f);
    assert_true(count_of(f, 1, "x") >= 1);
}

static void moved_directory_goes_on_until_removed(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "a");
    make_dir(f, "b");
    make_dir(f, "a/x");
    start(f);
    watch_add(f->watch, 1, "a");
    watch_add(f->watch, 2, "b");
    watch_add(f->watch, 3, "a/x");
    move(f, "a/x", "b/y");
    barrier(f);
    assert_int_equal(count_of(f, 1, "x"), 1);
    assert_int_equal(count_of(f, 2, "y"), 1);
    assert_int_equal(count_of(f, 3, NULL), 1);

    /* Added under its new id before the old one is removed: the inode is shared. */
    watch_add(f->watch, 4, "b/y");
    forget_reports(f);
    put(f, "b/y/f", "1");
    barrier(f);
    assert_int_equal(count_of(f, 3, "f"), count_of(f, 4, "f"));
    assert_true(count_of(f, 4, "f") >= 1);

    watch_remove(f->watch, 3);
    forget_reports(f);
    put(f, "b/y/f", "2");
    barrier(f);
    assert_int_equal(count_of(f, 3, "f"), 0);
    assert_true(count_of(f, 4, "f") >= 1);

    /* Out of the tree, and back in. */
    forget_reports(f);
    move(f, "b/y", "../away");
    barrier(f);
    assert_int_equal(count_of(f, 2, "y"), 1);
    watch_remove(f->watch, 4);
    forget_reports(f);
    put(f, "../away/f", "3");
    barrier(f);
    assert_int_equal(f->reports.n, 0);
    move(f, "../away", "a/z");
    barrier(f);
    assert_int_equal(count_of(f, 1, "z"), 1);
    assert_int_equal(watch_counts(f->watch).watched, 3);
}

static void one_inode_under_many_ids(void **state)
{
    struct fixture *f = *state;
    enum { IDS = 20 };
    make_dir(f, "d");
    start(f);
    for (uint32_t id = 1; id <= IDS; id++)
        watch_add(f->watch, id, "d");
    put(f, "d/f", "1");
    barrier(f);
    for (uint32_t id = 1; id <= IDS; id++)
        assert_true(count_of(f, id, "f") >= 1);
    for (uint32_t id = 1; id < IDS; id += 2)
        watch_remove(f->watch, id);
    forget_reports(f);
    put(f, "d/f", "2");
    barrier(f);
    for (uint32_t id = 1; id <= IDS; id++)
        assert_int_equal(count_of(f, id, "f") >= 1, id % 2 == 0);
}

static void removes_and_adds_again(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "d");
    start(f);
    for (int i = 0; i < 500; i++) {
        watch_add(f->watch, 1, "d");
        put(f, "d/lost", "");
        watch_remove(f->watch, 1);
    }
    watch_remove(f->watch, 1);
    watch_remove(f->watch, 4711);
    watch_add(f->watch, 1, "d");
    watch_add(f->watch, 1, "d");
    put(f, "d/kept", "");
    barrier(f);
    assert_int_equal(count_of(f, 1, "lost"), 0);
    assert_true(count_of(f, 1, "kept") >= 1);
    assert_int_equal(watch_counts(f->watch).watched, 2);
}

static void renewing_follows_the_path(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "d");
    start(f);
    watch_add(f->watch, 1, "d");
    move(f, "d", "old");
    make_dir(f, "d");
    watch_add(f->watch, 1, "d");
    barrier(f);
    forget_reports(f);
    put(f, "old/f", "");
    put(f, "d/g", "");
    barrier(f);
    assert_int_equal(count_of(f, 1, "f"), 0);
    assert_true(count_of(f, 1, "g") >= 1);
}

static void what_is_no_directory_is_not_watched(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "d");
    put(f, "file", "");
    assert_int_equal(symlink("d", at(f, "link")), 0);
    start(f);
    watch_add(f->watch, 1, "absent");
    watch_add(f->watch, 2, "file");
    watch_add(f->watch, 3, "link");
    watch_add(f->watch, 4, "absent/below");
    assert_int_equal(watch_counts(f->watch).watched, 1);
    assert_int_equal(watch_counts(f->watch).polled, 0);
    barrier(f);
    assert_int_equal(f->degraded + f->rescans, 0);
}

static void root_removed(void **state)
{
    struct fixture *f = *state;
    start(f);
    put(f, "a", "");
    unlink(at(f, "a"));
    assert_int_equal(rmdir(f->root), 0);
    run_until(f, f->gone);
    barrier(f);
    assert_int_equal(f->gone, 1);
    assert_int_equal(f->clock.epoch, 2);
    assert_int_equal(f->rescans, 0);
}

/* A process in the root keeps its inode, and so its watch, alive. */
static void root_removed_while_somebody_is_in_it(void **state)
{
    struct fixture *f = *state;
    start(f);
    int fd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(rmdir(f->root), 0);
    run_until(f, f->gone);
    close(fd);
    barrier(f);
    assert_int_equal(f->gone, 1);
}

static void root_moved_away_and_back(void **state)
{
    struct fixture *f = *state;
    start(f);
    move(f, "", "../elsewhere");
    run_until(f, f->gone);
    assert_int_equal(rename(at(f, "../elsewhere"), f->root), -1); /* .. is below what is gone */
    char *away = mem_printf("%s/elsewhere", f->tmp);
    assert_int_equal(rename(away, f->root), 0);
    free(away);
    run_until(f, f->rescans);
    assert_string_equal(f->reason, "root replaced");
    barrier(f);
    assert_int_equal(f->gone, 1);
    assert_int_equal(f->clock.epoch, 3);
}

static void root_replaced(void **state)
{
    struct fixture *f = *state;
    start(f);
    move(f, "", "../elsewhere");
    assert_int_equal(mkdir(f->root, 0755), 0);
    run_until(f, f->rescans);
    assert_int_equal(f->gone, 0);
    assert_string_equal(f->reason, "root replaced");
    watch_add(f->watch, 0, "");
    put(f, "new", "");
    barrier(f);
    assert_true(count_of(f, 0, "new") >= 1);
    assert_int_equal(f->clock.epoch, 2);
    assert_int_equal(f->rescans, 1);
}

/* Nothing at all is reported when a directory above the root is moved; a barrier looks. */
static void parent_of_the_root_moved(void **state)
{
    struct fixture *f = *state;
    free(f->root);
    f->root = mem_printf("%s/up/root", f->tmp);
    char *up = mem_printf("%s/up", f->tmp), *away = mem_printf("%s/away", f->tmp);
    assert_int_equal(mkdir(up, 0755), 0);
    assert_int_equal(mkdir(f->root, 0755), 0);
    start(f);
    barrier(f);
    assert_int_equal(rename(up, away), 0);
    barrier(f);
    assert_int_equal(f->gone, 1);
    assert_int_equal(f->clock.epoch, 2);
    struct watch_clock before = f->clock;
    assert_int_equal(mkdir(up, 0755), 0);
    assert_int_equal(mkdir(f->root, 0755), 0);
    barrier(f);
    assert_int_equal(f->rescans, 1);
    assert_string_equal(f->reason, "root replaced");
    assert_true(f->lost.tick > before.tick); /* no event has moved it */
    assert_true(f->clock.tick >= f->lost.tick);
    free(up);
    free(away);
}

static void root_by_a_link_or_absent(void **state)
{
    struct fixture *f = *state;
    char *real = f->root;
    f->root = mem_printf("%s/by-link", f->tmp);
    assert_int_equal(symlink(real, f->root), 0);
    start(f);
    put(f, "a", "");
    barrier(f);
    assert_true(count_of(f, 0, "a") >= 1);
    free(real);

    struct err err = ERR_INIT;
    struct watch *none;
    struct watch_options options = {.root = "/tmp/kiln-absent/x"};
    struct watch_callbacks callbacks = {0};
    assert_int_equal(watch_new(&f->loop, &options, &callbacks, f, &none, &err), -ERR_SYSTEM);
    assert_null(none);
    assert_non_null(strstr(err_text(&err), "/tmp/kiln-absent/x"));
    err_release(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        watch_test(reports_every_kind_of_change),
        watch_test(reports_odd_names_as_they_are),
        watch_test(quiet_without_changes),
        watch_test(directory_changes_are_seen_by_parent_and_itself),
        watch_test(moved_directory_goes_on_until_removed),
        watch_test(one_inode_under_many_ids),
        watch_test(removes_and_adds_again),
        watch_test(renewing_follows_the_path),
        watch_test(what_is_no_directory_is_not_watched),
        watch_test(root_removed),
        watch_test(root_removed_while_somebody_is_in_it),
        watch_test(root_moved_away_and_back),
        watch_test(root_replaced),
        watch_test(parent_of_the_root_moved),
        watch_test(root_by_a_link_or_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
