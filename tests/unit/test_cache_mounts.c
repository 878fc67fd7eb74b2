/* Cache directories of steps: taken together, alone, or each its own; told and removed. */
#include "test_cache_cas.h"

#include "cache/cache_gc.h"
#include "cache/mounts.h"

#include <sys/stat.h>

static struct mount *take(struct cache *cache, const char *root, const char *name,
                          enum mount_sharing sharing)
{
    struct err err = ERR_INIT;
    struct mount *mount;
    struct mount_request request = {
        .root = root, .name = name, .sharing = sharing, .owner = geteuid(), .group = getegid()};
    assert_ok(mount_open(cache, &request, &mount, &err), &err);
    return mount;
}

static void test_kept(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    struct mount *mount = take(f->cache, "/p", "cargo", MOUNT_SHARED);
    assert_non_null(mount);
    assert_int_equal(stat(mount_dir(mount), &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0777);
    char *around = path_join(mount_dir(mount), "..");
    assert_int_equal(stat(around, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    free(around);
    write_text(mount_dir(mount), "file", "x", 1, 0644);
    mount_close(mount);
    mount = take(f->cache, "/p", "cargo", MOUNT_LOCKED);
    char *file = path_join(mount_dir(mount), "file");
    assert_int_equal(access(file, F_OK), 0);
    free(file);
    mount_close(mount);
    mount_close(NULL);
}

static void test_each_project_and_name_has_its_own(void **state)
{
    struct fixture *f = *state;
    struct mount *a = take(f->cache, "/p", "cargo", MOUNT_LOCKED),
                 *b = take(f->cache, "/q", "cargo", MOUNT_LOCKED),
                 *c = take(f->cache, "/p", "npm", MOUNT_LOCKED);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_string_not_equal(mount_dir(a), mount_dir(b));
    assert_string_not_equal(mount_dir(a), mount_dir(c));
    mount_close(a);
    mount_close(b);
    mount_close(c);
}

static void test_sharing(void **state)
{
    struct fixture *f = *state;
    struct mount *a = take(f->cache, "/p", "x", MOUNT_SHARED),
                 *b = take(f->cache, "/p", "x", MOUNT_SHARED);
    assert_string_equal(mount_dir(a), mount_dir(b));
    assert_null(take(f->cache, "/p", "x", MOUNT_LOCKED));
    mount_close(a);
    assert_null(take(f->cache, "/p", "x", MOUNT_LOCKED));
    struct mount *own = take(f->cache, "/p", "x", MOUNT_PRIVATE),
                 *next = take(f->cache, "/p", "x", MOUNT_PRIVATE);
    assert_string_not_equal(mount_dir(own), mount_dir(b));
    assert_string_not_equal(mount_dir(own), mount_dir(next));
    char *again = mem_strdup(mount_dir(own));
    mount_close(b);
    mount_close(own);
    a = take(f->cache, "/p", "x", MOUNT_LOCKED);
    assert_non_null(a);
    assert_null(take(f->cache, "/p", "x", MOUNT_SHARED));
    own = take(f->cache, "/p", "x", MOUNT_PRIVATE);
    assert_string_equal(mount_dir(own), again); /* the first that is free */
    free(again);
    mount_close(a);
    mount_close(own);
    mount_close(next);
}

struct found {
    size_t n;
    char text[400];
};

static void note(void *ctx, const struct cache_mount *mount)
{
    struct found *found = ctx;
    found->n++;
    snprintf(found->text, sizeof found->text, "%s %s %d", mount->label, mount->project,
             mount->bytes > 0);
    assert_true(mount->used_ns > 0);
}

static void test_told_and_cleared(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct found found = {0};
    bool there = false;
    struct mount *mount = take(f->cache, "/some/project", "cargo", MOUNT_PRIVATE);
    write_text(mount_dir(mount), "file", "x", 1, 0644);
    cache_each_mount(f->cache, note, &found);
    assert_int_equal(found.n, 1);
    assert_string_equal(found.text, "cargo /some/project 1");
    char *name = mem_strdup(mount_dir(mount));
    *strrchr(name, '/') = '\0';
    const char *base = strrchr(name, '/') + 1;
    assert_int_equal(cache_clear_mount(f->cache, base, &there, &err), -ERR_SYSTEM);
    assert_true(there);
    err_release(&err);
    mount_close(mount);
    assert_ok(cache_clear_mount(f->cache, base, &there, &err), &err);
    assert_true(there);
    assert_ok(cache_clear_mount(f->cache, base, &there, &err), &err);
    assert_false(there);
    mount = take(f->cache, "/some/project", "cargo", MOUNT_PRIVATE);
    char *file = path_join(mount_dir(mount), "file");
    assert_int_not_equal(access(file, F_OK), 0);
    free(file);
    mount_close(mount);
    free(name);
}

static void test_of_another_owner(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct stat st;
    struct mount *mount;
    if (geteuid() != 0)
        skip();
    struct mount_request request = {.root = "/p", .name = "a", .owner = 12345, .group = 12346};
    for (int i = 0; i < 2; i++) {
        assert_ok(mount_open(f->cache, &request, &mount, &err), &err);
        assert_int_equal(stat(mount_dir(mount), &st), 0);
        assert_int_equal(st.st_uid, 12345);
        assert_int_equal(st.st_gid, 12346);
        assert_int_equal(st.st_mode, S_IFDIR | 0777);
        mount_close(mount);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_project_and_name_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sharing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told_and_cleared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_another_owner, setup, teardown),
    };
    return cmocka_run_group_tests_name("cache.mounts", tests, NULL, NULL);
}
