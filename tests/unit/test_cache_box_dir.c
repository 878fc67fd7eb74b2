/* Directories for what boxes write: made, kept, dropped, and swept when their owner is gone. */
#include "test_cache_cas.h"

#include "cache/box_dir.h"
#include "cache/snapshot.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <uv.h>

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static struct box_dir *box_new(struct cache *cache)
{
    struct err err = ERR_INIT;
    struct box_dir *box;
    assert_ok(box_dir_new(cache, geteuid(), getegid(), &box, &err), &err);
    return box;
}

static void test_made_and_dropped(void **state)
{
    struct fixture *f = *state;
    static const char *const parts[] = {"upper"};
    struct box_dir *box = box_new(f->cache), *other = box_new(f->cache);
    char *path = mem_strdup(box_dir_path(box));
    assert_int_equal(path[0], '/');
    assert_string_not_equal(path, box_dir_path(other));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct stat st;
        char *part = path_join(path, parts[i]);
        assert_int_equal(stat(part, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        assert_int_equal(st.st_mtim.tv_sec, SNAPSHOT_MTIME); /* what a step sees of it */
        write_text(part, "file", "x", 1, 0400);
        assert_int_equal(chmod(part, 0), 0); /* as an overlay's work directory is */
        free(part);
    }
    box_dir_sweep(f->cache, 0);
    assert_true(is_there(path));
    box_dir_drop(box);
    assert_false(is_there(path));
    assert_int_equal(count_files(f, "tmp"), 0);
    assert_true(is_there(box_dir_path(other)));
    box_dir_drop(other);
    free(path);
}

/* A directory that a step writes into looks as one of the snapshot that it lies over. */
static void test_a_directory_in_it(void **state)
{
    static const char *const all[] = {"upper", "upper/a", "upper/a/b", "upper/a/c"};
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct box_dir *box;
    bool root = geteuid() == 0;
    uid_t owner = root ? 12345 : geteuid();
    gid_t group = root ? 12346 : getegid();
    assert_ok(box_dir_new(f->cache, owner, group, &box, &err), &err);
    mode_t mask = umask(077);
    assert_ok(box_dir_make(box, "a/b", &err), &err);
    assert_ok(box_dir_make(box, "a/c", &err), &err);
    assert_ok(box_dir_make(box, "a/c", &err), &err);
    umask(mask);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct stat st;
        char *path = path_join(box_dir_path(box), all[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        assert_int_equal(st.st_uid, owner);
        assert_int_equal(st.st_gid, group);
        assert_int_equal(st.st_mtim.tv_sec, SNAPSHOT_MTIME);
        assert_int_equal(st.st_mtim.tv_nsec, 0);
        free(path);
    }
    char *link = path_join(box_dir_path(box), "upper/l");
    assert_int_equal(symlink("/tmp", link), 0);
    assert_int_equal(box_dir_make(box, "l/x", &err), -ERR_SYSTEM);
    err_release(&err);
    free(link);
    box_dir_drop(box);
}

static void test_for_another_owner(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct box_dir *box;
    struct stat st;
    if (geteuid() != 0)
        skip();
    assert_ok(box_dir_new(f->cache, 12345, 12346, &box, &err), &err);
    assert_int_equal(stat(box_dir_path(box), &st), 0);
    assert_int_equal(st.st_uid, 12345);
    char *upper = path_join(box_dir_path(box), "upper");
    assert_int_equal(stat(upper, &st), 0);
    assert_int_equal(st.st_uid, 12345);
    assert_int_equal(st.st_gid, 12346);
    free(upper);
    box_dir_drop(box);
}

static void test_swept_when_its_owner_is_killed(void **state)
{
    struct fixture *f = *state;
    int ends[2], status;
    char path[4096];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cache *cache = open_cache(f->path);
        const char *made = box_dir_path(box_new(cache));
        if (write(ends[1], made, strlen(made) + 1) > 0)
            for (;;)
                pause();
        _exit(1);
    }
    assert_true(read(ends[0], path, sizeof(path)) > 0);
    box_dir_sweep(f->cache, 0);
    assert_true(is_there(path));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    box_dir_sweep(f->cache, BOX_DIR_KEPT_S);
    assert_false(is_there(path));
    assert_int_equal(count_files(f, "tmp"), 0);
    close(ends[0]);
    close(ends[1]);
}

static void test_kept(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct box_dir *box = box_new(f->cache), *again;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char *path = mem_strdup(box_dir_path(box)), *kept = path_join(path, "kept");
    assert_true(box_dir_keep(box));
    assert_fails(box_dir_open(f->cache, path, &again, &err), ERR_SYSTEM, &err);
    assert_int_equal(err.errnum, EWOULDBLOCK);
    err_release(&err);
    box_dir_free(box);
    box_dir_sweep(f->cache, BOX_DIR_KEPT_S);
    assert_true(is_there(path));

    assert_ok(box_dir_open(f->cache, path, &again, &err), &err);
    assert_string_equal(box_dir_path(again), path);
    assert_int_equal(utimensat(AT_FDCWD, kept, old, 0), 0);
    box_dir_sweep(f->cache, BOX_DIR_KEPT_S);
    assert_true(is_there(path)); /* somebody looks at it */
    box_dir_free(again);
    box_dir_sweep(f->cache, BOX_DIR_KEPT_S);
    assert_false(is_there(path));

    assert_fails(box_dir_open(f->cache, path, &again, &err), ERR_SYSTEM, &err);
    assert_null(again);
    err_release(&err);
    assert_fails(box_dir_open(f->cache, "/tmp", &again, &err), ERR_SYSTEM, &err);
    err_release(&err);
    free(kept);
    free(path);
}

/* What it takes another user to remove stays until there is somebody who can. */
static int refuse(void *ctx, const char *path, struct err *err)
{
    ++*(int *)ctx;
    return err_sys(err, EACCES, "cannot remove %s", path);
}

static int agree(void *ctx, const char *path, struct err *err)
{
    ++*(int *)ctx;
    return file_remove_tree(AT_FDCWD, path, err);
}

static void test_removed_by_another(void **state)
{
    struct fixture *f = *state;
    int refused = 0, agreed = 0;
    struct box_dir *box = box_new(f->cache);
    char *path = mem_strdup(box_dir_path(box));
    cache_set_remover(f->cache, refuse, &refused);
    box_dir_drop(box);
    assert_false(is_there(path));
    assert_int_equal(refused, 1);
    assert_int_equal(count_files(f, "tmp"), 1);
    cache_set_remover(f->cache, agree, &agreed);
    box_dir_sweep(f->cache, 0);
    assert_int_equal(agreed, 1);
    assert_int_equal(count_files(f, "tmp"), 0);
    free(path);
}

struct sweeper {
    struct cache *cache;
    atomic_bool stop;
};

static void sweep_on(void *ctx)
{
    struct sweeper *sweeper = ctx;
    while (!atomic_load(&sweeper->stop))
        box_dir_sweep(sweeper->cache, 0);
}

/* What has just been begun and is not locked yet may go; who begun it gets another one. */
static void test_swept_while_it_is_made(void **state)
{
    struct fixture *f = *state;
    struct sweeper sweeper = {.cache = f->cache};
    uv_thread_t thread;
    assert_int_equal(uv_thread_create(&thread, sweep_on, &sweeper), 0);
    for (int i = 0; i < 500; i++) {
        struct box_dir *box = box_new(f->cache);
        char *upper = path_join(box_dir_path(box), "upper");
        assert_true(is_there(upper));
        free(upper);
        box_dir_drop(box);
    }
    atomic_store(&sweeper.stop, true);
    uv_thread_join(&thread);
    assert_int_equal(count_files(f, "box"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_and_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_directory_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_for_another_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swept_when_its_owner_is_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_by_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swept_while_it_is_made, setup, teardown),
    };
    return cmocka_run_group_tests_name("cache.box_dir", tests, NULL, NULL);
}
